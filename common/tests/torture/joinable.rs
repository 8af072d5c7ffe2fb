//! Consumers of a joinable queue are killed between the taking of an item and the word that it is done.
//!
//! In each round items are put, and joined, while one consumer after the other is killed and replaced. The join
//! returns; each item was taken once at most; and what nobody has done is what the join says was lost, at most
//! one item for each who was killed.

use crate::dice::Dice;
use crate::{LIMIT, Plan};
use common::queue::GetError;
use common::{AtomicValue, Child, JoinableQueue, Process};
use libtest_mimic::Failed;
use std::thread::sleep;
use std::time::{Duration, Instant};

const ITEMS: u64 = 400;
const CONSUMERS: usize = 3;

/// What became of each item: how often it was taken, and done.
type Fates = Vec<(AtomicValue<u32>, AtomicValue<u32>)>;

/// See the top of this file.
pub(crate) fn torture() -> Result<(), Failed> {
    let Plan { rounds, seed: first } = Plan::from_environment();
    let rounds = rounds.div_ceil(6);
    let mut killed = 0;
    for seed in first..first + rounds {
        let round = round(seed, &mut killed);
        round.map_err(|error| format!("COMMON_TORTURE_SEED={seed}: {error:?}"))?;
    }
    println!("{rounds} rounds from seed {first} on; killed: {killed} consumers");
    assert!(killed >= rounds as usize, "the killer slept: {killed}");
    Ok(())
}

fn round(seed: u64, killed: &mut usize) -> Result<(), Failed> {
    let mut dice = Dice(seed);
    let fates: Fates = (0..ITEMS)
        .map(|_| Ok((AtomicValue::new(0)?, AtomicValue::new(0)?)))
        .collect::<Result<_, std::io::Error>>()?;
    let queue = JoinableQueue::new()?;
    let start = || {
        let handles = (queue.clone(), fates.clone(), seed);
        Process::new(consumer, handles).start()
    };
    let mut consumers: Vec<Child> = (0..CONSUMERS).map(|_| start()).collect::<Result<_, _>>()?;
    (0..ITEMS).try_for_each(|item| queue.put(item))?;
    let (begin, mut dead) = (Instant::now(), 0);
    let joined = loop {
        if let Some(joined) = queue.join_timeout(Duration::from_micros(dice.below(3000)))? {
            break joined;
        }
        if begin.elapsed() > LIMIT {
            return Err(format!("nobody is done: {queue:?}").into());
        }
        let victim = dice.below(CONSUMERS as u64) as usize;
        consumers[victim].kill()?;
        consumers[victim].join()?;
        consumers[victim] = start()?;
        dead += 1;
    };
    *killed += dead;
    queue.shutdown();
    for consumer in consumers {
        if !consumer.join_timeout(LIMIT)?.is_some_and(|exit| exit.is_success()) {
            return Err("a consumer does not end".into());
        }
    }
    let undone = fates.iter().filter(|(_, done)| done.get() == 0).count();
    assert!(fates.iter().all(|(taken, done)| taken.get() <= 1 && done.get() <= 1));
    assert!(undone <= joined.lost && joined.lost <= dead, "{undone}, {joined:?}, {dead}");
    Ok(())
}

fn consumer((queue, fates, seed): (JoinableQueue<u64>, Fates, u64)) -> Result<(), GetError> {
    let mut dice = Dice(seed ^ u64::from(std::process::id()));
    for item in queue.iter() {
        let (taken, done) = &fates[item? as usize];
        taken.fetch_add(1);
        if dice.once_in(4) {
            sleep(Duration::from_micros(dice.below(1500)));
        }
        done.fetch_add(1);
        queue.task_done().expect("it is in hand");
    }
    Ok(())
}
