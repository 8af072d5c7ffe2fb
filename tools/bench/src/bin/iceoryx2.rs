//! The peer `iceoryx2`: loaned memory that is published and polled for, and its blocking event.
//!
//! The other side is this program started anew, as iceoryx2 wants it.

use iceoryx2::prelude::{
    BackpressureStrategy, EventId, LogLevel, NodeBuilder, PortFactory as _, ipc, set_log_level,
};
use iceoryx2::service::port_factory::{event, publish_subscribe};
use peers::{MIB, Run, gib_s, ns_per, pin, read_all, sink, us_per};
use std::process::{Child, Command};

type Node = iceoryx2::prelude::Node<ipc::Service>;
type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

/// Messages of any number of bytes.
fn service(
    node: &Node,
    name: &str,
) -> Fallible<publish_subscribe::PortFactory<ipc::Service, [u8], ()>> {
    Ok(node
        .service_builder(&name.try_into()?)
        .publish_subscribe::<[u8]>()
        .enable_safe_overflow(false)
        .subscriber_max_buffer_size(64)
        .max_publishers(2)
        .max_subscribers(2)
        .open_or_create()?)
}

/// Signals without content.
fn events(node: &Node, name: &str) -> Fallible<event::PortFactory<ipc::Service>> {
    Ok(node.service_builder(&name.try_into()?).event().open_or_create()?)
}

/// This program, started anew.
fn child(mode: &str, tag: &str) -> Child {
    Command::new("/proc/self/exe").args(["child", mode, tag]).spawn().unwrap()
}

fn main() -> Fallible<()> {
    set_log_level(LogLevel::Error);
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).is_some_and(|a| a == "child") {
        return child_main(&args[2], &args[3]);
    }
    let run = Run::from_arguments("iceoryx2");
    let node = NodeBuilder::new().create::<ipc::Service>()?;
    let tag = std::process::id().to_string();
    pin(0);
    polled_round_trips(&run, &node, &tag)?;
    streams(&run, &node, &tag);
    event_round_trips(&run, &node, &tag)?;
    run.bench("node_create", "us", || {
        us_per(5, || {
            for _ in 0..5 {
                sink(NodeBuilder::new().create::<ipc::Service>().unwrap());
            }
        })
    });
    Ok(())
}

fn polled_round_trips(run: &Run, node: &Node, tag: &str) -> Fallible<()> {
    if !run.wants("pipe_rtt_8B") {
        return Ok(());
    }
    let (there, back) =
        (service(node, &format!("there{tag}"))?, service(node, &format!("back{tag}"))?);
    let tx = there.publisher_builder().initial_max_slice_len(8).max_loaned_samples(4).create()?;
    let rx = back.subscriber_builder().create()?;
    let mut c = child("echo", tag);
    while there.dynamic_config().number_of_subscribers() == 0
        || back.dynamic_config().number_of_publishers() == 0
    {
        std::thread::yield_now();
    }
    let ask = |v: u64| -> u64 {
        let s = tx.loan_slice_uninit(8).unwrap().write_from_slice(&v.to_ne_bytes());
        s.send().unwrap();
        loop {
            if let Some(s) = rx.receive().unwrap() {
                return u64::from_ne_bytes(s.payload().try_into().unwrap());
            }
            std::hint::spin_loop();
        }
    };
    run.bench_as("iceoryx2:poll", "pipe_rtt_8B", "us", || {
        us_per(5000, || {
            for i in 1..=5000 {
                assert_eq!(ask(i), i);
            }
        })
    });
    ask(0);
    c.wait()?;
    Ok(())
}

fn streams(run: &Run, node: &Node, tag: &str) {
    for (metric, size, n) in [
        ("queue_8B_1p1c", 8, 200_000),
        ("queue_1KiB_1p1c", 1024, 50_000),
        ("queue_64KiB_1p1c", 65536, 4000),
        ("queue_1MiB_1p1c", MIB, 300),
    ] {
        let unit = if size == 8 { "ns" } else { "GiB/s" };
        run.bench_as("iceoryx2:poll", metric, unit, || {
            let tag = format!("{tag}-{size}-{n}");
            let s = service(node, &tag).unwrap();
            let rx = s.subscriber_builder().create().unwrap();
            let mut c = child("produce", &tag);
            let get = || loop {
                if let Some(s) = rx.receive().unwrap() {
                    if size == 8 {
                        sink(s.payload()[0]);
                    } else {
                        sink(read_all(s.payload()));
                    }
                    break;
                }
                std::hint::spin_loop();
            };
            get();
            let v = if size == 8 {
                ns_per(n, || {
                    for _ in 0..n {
                        get();
                    }
                })
            } else {
                gib_s(n * size, || {
                    for _ in 0..n {
                        get();
                    }
                })
            };
            drop(rx);
            c.wait().unwrap();
            v
        });
    }
}

fn event_round_trips(run: &Run, node: &Node, tag: &str) -> Fallible<()> {
    if !run.wants("pipe_rtt_8B") {
        return Ok(());
    }
    let (a, b) = (events(node, &format!("ea{tag}"))?, events(node, &format!("eb{tag}"))?);
    let (note, listen) = (a.notifier_builder().create()?, b.listener_builder().create()?);
    let mut c = child("event", tag);
    while a.dynamic_config().number_of_listeners() == 0
        || b.dynamic_config().number_of_notifiers() == 0
    {
        std::thread::yield_now();
    }
    run.bench_as("iceoryx2:event", "pipe_rtt_8B", "us", || {
        us_per(1000, || {
            for _ in 0..1000 {
                note.notify_with_custom_event_id(EventId::new(1)).unwrap();
                listen.blocking_wait(|_| {}).unwrap();
            }
        })
    });
    note.notify_with_custom_event_id(EventId::new(2)).unwrap();
    c.wait()?;
    Ok(())
}

fn child_main(mode: &str, tag: &str) -> Fallible<()> {
    pin(1);
    let node = NodeBuilder::new().create::<ipc::Service>()?;
    match mode {
        "echo" => echo(&node, tag),
        "produce" => produce(&node, tag),
        _ => echo_events(&node, tag),
    }
}

fn echo(node: &Node, tag: &str) -> Fallible<()> {
    let (there, back) =
        (service(node, &format!("there{tag}"))?, service(node, &format!("back{tag}"))?);
    let tx = back.publisher_builder().initial_max_slice_len(8).max_loaned_samples(4).create()?;
    let rx = there.subscriber_builder().create()?;
    loop {
        if let Some(s) = rx.receive()? {
            let v: [u8; 8] = s.payload().try_into()?;
            tx.loan_slice_uninit(8)?.write_from_slice(&v).send()?;
            if v == [0; 8] {
                return Ok(());
            }
        }
        std::hint::spin_loop();
    }
}

fn produce(node: &Node, tag: &str) -> Fallible<()> {
    let mut it = tag.rsplit('-');
    let (n, size): (usize, usize) = (it.next().unwrap().parse()?, it.next().unwrap().parse()?);
    let s = service(node, tag)?;
    let tx = s
        .publisher_builder()
        .initial_max_slice_len(size)
        .max_loaned_samples(4)
        .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
        .create()?;
    let src = vec![1u8; size];
    // A send that found no subscriber yet reached nobody.
    let mut sent = 0;
    while sent < n + 1 {
        sent += tx.loan_slice_uninit(size)?.write_from_slice(&src).send()?;
    }

    // The subscriber still holds our memory.
    while s.dynamic_config().number_of_subscribers() > 0 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    Ok(())
}

fn echo_events(node: &Node, tag: &str) -> Fallible<()> {
    let (a, b) = (events(node, &format!("ea{tag}"))?, events(node, &format!("eb{tag}"))?);
    let (listen, note) = (a.listener_builder().create()?, b.notifier_builder().create()?);
    let mut more = true;
    while more {
        listen.blocking_wait(|e| more &= e.id != EventId::new(2))?;
        note.notify_with_custom_event_id(EventId::new(1))?;
    }
    Ok(())
}
