//! Queues, also those that can be joined.

use crate::pool::Unencodable;
use crate::trial::{LONG, Outcome, Trial, each, once};
use common::queue::{GetError, Joined, NothingInHand, PutRefusal, SimpleQueue};
use common::sync::Event;
use common::{Exit, JoinableQueue, Process, Queue, Signal, StartMethod};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub(crate) fn trials() -> Vec<Trial> {
    [
        each("c088_a_bounded_queue_is_full_after_its_size_in_puts", puts),
        each("c089_every_form_of_get_takes_items_in_order", gets),
        once("c091_the_length_follows_puts_and_gets", length),
        once("c093_a_get_with_a_limit_waits_that_long", limit),
        once("c094_an_item_without_encoding_takes_no_room", unencodable),
        once("c096_a_closed_handle_still_says_whether_it_is_empty", closed_looks),
        once("c097_a_closed_handle_puts_nothing_and_still_gets", closed),
        each("c098_join_returns_when_every_item_is_done", join),
        once("c099_a_closed_simple_queue_still_says_whether_it_is_empty", closed_simple),
        each("c100_a_simple_queue_is_empty_before_and_after", simple),
        once("c102_close_ends_the_puts_of_a_simple_queue", simple_closed),
        each("edge_what_a_dead_one_has_in_hand_counts_as_done", dead_in_hand),
        each("edge_a_child_ends_right_after_put_and_is_joined_first", put_and_end),
    ]
    .concat()
}

fn puts(method: StartMethod) -> Outcome {
    fn take((queue, done): (Queue<u32>, Event)) {
        (0..6).for_each(|_| assert!(queue.get().is_ok()));
        done.set();
    }
    let (queue, done) = (Queue::bounded(6)?, Event::new()?);
    let short = Duration::from_millis(100);
    assert!(queue.is_empty() && !queue.is_full());
    queue.put(1)?;
    queue.put(2)?;
    queue.try_put(3)?;
    queue.try_put(4)?;
    queue.put_timeout(5, Duration::ZERO)?;
    queue.put_timeout(6, short)?;
    assert!(!queue.is_empty() && queue.is_full());
    assert!(matches!(queue.try_put(7).unwrap_err().reason, PutRefusal::Full(6)));
    let start = Instant::now();
    let refused = queue.put_timeout(7, short).unwrap_err();
    assert!(matches!(refused.reason, PutRefusal::Full(6)) && refused.item == 7);
    assert!(start.elapsed() >= short);
    let child = Process::new(take, (queue.clone(), done.clone())).start_method(method).start()?;
    assert!(done.wait_timeout(LONG));
    assert!(queue.is_empty() && !queue.is_full());
    assert!(child.join()?.is_success());
    Ok(())
}

fn gets(method: StartMethod) -> Outcome {
    fn give(queue: Queue<u32>) {
        (1..=5).for_each(|number| queue.put(number).expect("there is room"));
    }
    let queue = Queue::new()?;
    let child = Process::new(give, queue.clone()).start_method(method).start()?;
    assert!(child.join()?.is_success());
    assert_eq!((queue.try_get()?, queue.get()?, queue.get_timeout(LONG)?), (1, 2, 3));
    assert_eq!((queue.get_timeout(Duration::ZERO)?, queue.try_get()?), (4, 5));
    assert!(queue.is_empty());
    assert!(matches!(queue.try_get(), Err(GetError::Empty)));
    let short = Duration::from_millis(100);
    let start = Instant::now();
    assert!(matches!(queue.get_timeout(short), Err(GetError::Empty)));
    assert!(start.elapsed() >= short);
    Ok(())
}

fn length() -> Outcome {
    let queue = Queue::new()?;
    for count in 0..3 {
        assert_eq!(queue.len(), count);
        queue.put(count)?;
    }
    for count in [2, 1, 0] {
        queue.get()?;
        assert_eq!(queue.len(), count);
    }
    Ok(())
}

fn limit() -> Outcome {
    let start = Instant::now();
    let limit = Duration::from_millis(200);
    assert!(matches!(Queue::<u8>::new()?.get_timeout(limit), Err(GetError::Empty)));
    assert!(start.elapsed() >= limit);
    Ok(())
}

fn unencodable() -> Outcome {
    let queue = Queue::bounded(1)?;
    let refused = queue.put(Some(Unencodable)).unwrap_err();
    assert!(matches!(refused.reason, PutRefusal::Encode(_)) && refused.item.is_some());
    assert!(queue.is_empty());
    queue.try_put(None)?;
    assert_eq!(queue.len(), 1);
    assert!(queue.get()?.is_none() && queue.is_empty());
    Ok(())
}

fn closed_looks() -> Outcome {
    let (queue, joinable) = (Queue::<u8>::new()?, JoinableQueue::<u8>::new()?);
    queue.close();
    joinable.close();
    assert!(queue.is_empty() && joinable.is_empty());
    Ok(())
}

fn closed() -> Outcome {
    let (queue, joinable) = (Queue::new()?, JoinableQueue::new()?);
    queue.put(1)?;
    joinable.put(1)?;
    queue.close();
    joinable.close();
    assert!(matches!(queue.put(2).unwrap_err().reason, PutRefusal::Closed));
    assert!(matches!(joinable.put(2).unwrap_err().reason, PutRefusal::Closed));
    assert_eq!((queue.get()?, joinable.get()?), (1, 1));
    Ok(())
}

fn work(queue: JoinableQueue<Option<u32>>) {
    while queue.get().expect("an item").is_some() {
        sleep(Duration::from_millis(50));
        queue.task_done().expect("it is in hand");
    }
    queue.task_done().expect("it is in hand");
}

fn join(method: StartMethod) -> Outcome {
    let queue = JoinableQueue::new()?;
    let workers: Vec<_> = (0..4)
        .map(|_| Process::new(work, queue.clone()).start_method(method).start())
        .collect::<Result<_, _>>()?;
    let start = Instant::now();
    for number in 0..10 {
        queue.put(Some(number))?;
    }
    assert_eq!(queue.join()?.lost, 0);
    // Three rounds of four workers.
    assert!(start.elapsed() >= Duration::from_millis(150));
    assert_eq!(queue.task_done(), Err(NothingInHand));
    for _ in &workers {
        queue.put(None)?;
    }
    for worker in workers {
        assert!(worker.join()?.is_success());
    }
    assert_eq!(queue.join()?.lost, 0);
    Ok(())
}

fn closed_simple() -> Outcome {
    let queue = SimpleQueue::<u8>::new()?;
    queue.close();
    assert!(queue.is_empty());
    Ok(())
}

fn simple(method: StartMethod) -> Outcome {
    fn look((queue, answers): (SimpleQueue<bool>, Event)) {
        queue.put(queue.is_empty()).expect("there is room");
        queue.put(queue.is_empty()).expect("there is room");
        answers.set();
    }
    let (queue, answers) = (SimpleQueue::new()?, Event::new()?);
    assert!(queue.is_empty());
    let child =
        Process::new(look, (queue.clone(), answers.clone())).start_method(method).start()?;
    assert!(answers.wait_timeout(LONG));
    assert_eq!((queue.get()?, queue.get()?), (true, false));
    assert!(queue.is_empty());
    assert!(child.join()?.is_success());
    Ok(())
}

fn simple_closed() -> Outcome {
    let queue = SimpleQueue::new()?;
    queue.put(1)?;
    queue.close();
    assert!(matches!(queue.put(2).unwrap_err().reason, PutRefusal::Closed));
    assert_eq!(queue.get()?, 1);
    Ok(())
}

fn dead_in_hand(method: StartMethod) -> Outcome {
    fn take_two((queue, taken): (JoinableQueue<u32>, Event)) {
        queue.get().and_then(|_| queue.get()).expect("there are three");
        taken.set();
        sleep(Duration::from_secs(3600));
    }
    let (queue, taken) = (JoinableQueue::new()?, Event::new()?);
    for number in 0..3 {
        queue.put(number)?;
    }
    let child =
        Process::new(take_two, (queue.clone(), taken.clone())).start_method(method).start()?;
    assert!(taken.wait_timeout(LONG));
    assert_eq!(queue.get()?, 2);
    queue.task_done()?;
    assert_eq!(queue.join_timeout(Duration::from_millis(200))?, None);
    child.kill()?;
    assert_eq!(child.join()?, Exit::Signal(Signal::KILL));
    let Joined { lost, .. } = queue.join()?;
    assert_eq!(lost, 2);
    Ok(())
}

fn put_and_end(method: StartMethod) -> Outcome {
    fn put(queue: Queue<Vec<u8>>) {
        queue.put(vec![7; 20 << 20]).expect("there is room");
    }
    let queue = Queue::new()?;
    let child = Process::new(put, queue.clone()).start_method(method).start()?;
    assert!(child.join_timeout(LONG)?.is_some_and(Exit::is_success));
    assert!(queue.get()? == vec![7; 20 << 20]);
    Ok(())
}
