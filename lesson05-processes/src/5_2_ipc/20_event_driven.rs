//! # 5.2 Event-driven programming (Python Processes, outline)
//!
//! One loop waits for all pipes at once, and handles whichever is ready first.
//!
//! ```console,any-order
//! $ cargo run -p lesson05-processes --bin event_driven
//! keyboard: event 1
//! keyboard: event 2  <- after above
//! keyboard: event 3  <- after above
//! keyboard: end  <- after above
//! network: event 1
//! network: event 2  <- after above
//! network: event 3  <- after above
//! network: end  <- after above
//! alarm: event 1  <- after all above
//! alarm: end  <- after above
//! ```
//!
//! Observe: the events of keyboard and network mix as they happen, and the loop needs no thread for that. The alarm is
//! the first of the three pipes and the last to speak, as it waits until the loop has seen the end of the others: a
//! program that received from one pipe after the other would wait for it for ever.
//! Try: let the loop sleep for half a second before it prints an event. How long does the program take now, and are
//! any events lost meanwhile?

use common::connection::{RecvError, wait};
use common::sync::Event;
use common::{Process, Sender, one_way_pipe};
use std::os::fd::AsFd;
use std::thread::sleep;
use std::time::Duration;

fn speak((events, pause, sender): (u32, u64, Sender<u32>)) -> common::Result<()> {
    for event in 1..=events {
        sleep(Duration::from_millis(pause));
        sender.send(&event)?;
    }
    Ok(())
}

fn speak_last((others_ended, sender): (Event, Sender<u32>)) -> common::Result<()> {
    others_ended.wait();
    speak((1, 0, sender))
}

fn main() -> common::Result<()> {
    common::init();
    let ((alarm, a), (keyboard, k), (network, n)) =
        (one_way_pipe()?, one_way_pipe()?, one_way_pipe()?);
    let others_ended = Event::new()?;
    Process::new(speak_last, (others_ended.clone(), a)).start()?;
    Process::new(speak, (3, 70, k)).start()?;
    Process::new(speak, (3, 50, n)).start()?;

    let mut open = vec![("alarm", alarm), ("keyboard", keyboard), ("network", network)];
    while !open.is_empty() {
        let ends: Vec<_> = open.iter().map(|(_, receiver)| receiver as &dyn AsFd).collect();
        for place in wait(&ends, None)?.into_iter().rev() {
            let (name, receiver) = &open[place];
            match receiver.recv() {
                Err(RecvError::Eof) => {
                    println!("{name}: end");
                    open.remove(place);
                }
                event => println!("{name}: event {}", event?),
            }
        }
        if open.len() == 1 {
            others_ended.set();
        }
    }
    Ok(())
}
