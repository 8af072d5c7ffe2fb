//! Blocks of memory with a name, lists in them, and their manager.

use crate::program::{Program, exists, part, tell, trackers_of, wait};
use crate::trial::{Outcome, Trial, each, once};
use common::connection::{Connection, pipe};
use common::shared_memory::{ListError, SharedMemoryError, SharedMemoryManager};
use common::{Exit, Process, ShareableList, ShareableValue, SharedMemory, StartMethod};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{self, Pid};
use serde::Deserialize;
use serde::de::{IntoDeserializer as _, value};
use std::fs;
use std::io;
use std::process;

pub(crate) fn trials() -> Vec<Trial> {
    [
        once("c267_a_block_is_created_opened_written_and_unlinked", basics),
        once("c268_a_name_that_is_taken_is_skipped", recreate),
        once("c269_a_block_of_no_bytes_is_refused", no_bytes),
        once("c270_a_block_that_travels_is_the_same_block", travels),
        once("c271_a_block_that_is_gone_does_not_arrive", gone),
        each("c272_a_child_writes_by_name_and_by_handle", across_processes),
        once(VISITOR, visitor),
        once(TRACKED_VISITOR, tracked_visitor),
        once(ODD_NAMES, odd_names),
        once("c277_a_list_holds_items_of_every_kind", list),
        once("c278_a_list_that_travels_is_the_same_list", list_travels),
        once("c279_a_list_that_is_gone_does_not_arrive", list_gone),
        once("c280_a_manager_outlives_an_interrupt", manager_and_interrupt),
        once(QUIET_MANAGER, quiet_manager),
        once("c282_blocks_live_as_long_as_their_manager", manager),
        once("edge_names_that_cannot_be_are_refused", bad_names),
        once("edge_one_slash_before_a_name_is_left_out", slash),
        once("edge_a_block_without_its_first_byte_cannot_be_opened", empty),
        once("edge_more_memory_than_there_may_be_is_an_error", too_large),
        once("edge_what_lies_beyond_a_block_is_refused", out_of_bounds),
        once("edge_unlinking_spares_a_later_block_of_the_same_name", later_block),
        once("edge_nothing_is_printed_into_a_block", closed_stdout),
        once("edge_text_has_room_for_its_bytes", text_room),
        each("edge_a_daemon_can_create_a_block", daemon),
    ]
    .concat()
}

/// A name for this process alone.
fn name(text: &str) -> String {
    format!("common-{}-{text}", process::id())
}

fn basics() -> Outcome {
    let name = name("basics");
    let block = SharedMemory::create_named(&name, 512)?;
    assert_eq!((block.name(), block.len(), block.is_new()), (name.as_str(), 512, true));
    let text = format!("{block:?}");
    assert!(text.contains(&name) && text.contains("512"), "{text}");
    block.set(0, 42u8)?;

    let other = SharedMemory::open(&name)?;
    assert_eq!((other.len(), other.get::<u8>(0)?, other.is_new()), (512, 42, false));
    other.copy_in(0, b"\x64\x65")?;
    assert_eq!(block.to_vec::<u8>(0, 2)?, b"\x64\x65");
    let same = SharedMemory::options().open_or_create(&name, 1)?;
    assert_eq!((same.len(), same.is_new()), (512, false));
    same.close();
    other.close();

    let taken = SharedMemory::create_named(&name, 512);
    assert!(matches!(taken, Err(SharedMemoryError::AlreadyExists { .. })), "{taken:?}");
    block.unlink()?;
    let twice = block.unlink();
    assert!(matches!(twice, Err(SharedMemoryError::NotFound { .. })), "{twice:?}");
    let missing = SharedMemory::open(&name);
    assert!(matches!(missing, Err(SharedMemoryError::NotFound { .. })), "{missing:?}");
    // Who has it open keeps it.
    assert_eq!(block.get::<u8>(0)?, 0x64);

    let made = SharedMemory::options().open_or_create(&name, 1)?;
    assert_eq!((made.len(), made.is_new()), (1, true));
    made.unlink()?;

    let nameless = SharedMemory::create(1)?;
    let digits = nameless.name().strip_prefix("psm_").ok_or("another name")?;
    assert!(digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    nameless.unlink()?;
    Ok(())
}

fn recreate() -> Outcome {
    let names = ["first", "second", "third"].map(name);
    let options = SharedMemory::options();
    let first = options.create_first_free(names.clone(), 8)?;
    let second = options.create_first_free(names.clone(), 8)?;
    assert_eq!((first.name(), second.name()), (names[0].as_str(), names[1].as_str()));
    first.set(0, 7u64)?;
    assert_eq!(second.get::<u64>(0)?, 0);
    match options.create_first_free(names[..2].to_vec(), 8) {
        Err(SharedMemoryError::AlreadyExists { name }) => assert_eq!(name, names[1]),
        other => return Err(format!("{other:?}").into()),
    }
    first.unlink()?;
    second.unlink()?;
    Ok(())
}

/// A length below 0, or none at all, does not compile.
fn no_bytes() -> Outcome {
    for block in [
        SharedMemory::create(0),
        SharedMemory::create_named(&name("none"), 0),
        SharedMemory::options().untracked().create(0),
        SharedMemory::options().open_or_create(&name("none"), 0),
    ] {
        assert!(matches!(block, Err(SharedMemoryError::NoBytes)), "{block:?}");
    }
    Ok(())
}

fn travels() -> Outcome {
    let block = SharedMemory::create(64)?;
    block.copy_in(0, b"hello")?;
    let (left, right) = pipe::<SharedMemory, SharedMemory>()?;
    left.send(&block)?;
    for other in [right.recv()?, arrived(block.name())?] {
        assert_eq!((other.name(), other.len()), (block.name(), block.len()));
        assert_eq!(other.to_vec::<u8>(0, 5)?, b"hello");
        other.set(63, 1u8)?;
        assert_eq!(block.get::<u8>(63)?, 1);
        block.set(63, 2u8)?;
        assert_eq!(other.get::<u8>(63)?, 2);
    }
    block.unlink()?;
    Ok(())
}

/// What a name is deserialised to.
fn arrived<T: Deserialize<'static>>(name: &str) -> Result<T, value::Error> {
    T::deserialize(name.to_string().into_deserializer())
}

fn gone() -> Outcome {
    let block = SharedMemory::create(64)?;
    let (left, right) = pipe::<SharedMemory, SharedMemory>()?;
    left.send(&block)?;
    block.unlink()?;
    for error in [
        arrived::<SharedMemory>(block.name()).err().ok_or("it arrived")?.to_string(),
        right.recv().err().ok_or("it arrived")?.to_string(),
    ] {
        assert!(error.contains("there is no shared memory named"), "{error}");
    }
    Ok(())
}

fn across_processes(method: StartMethod) -> Outcome {
    fn by_name((name, text): (String, String)) -> common::Result<()> {
        SharedMemory::open(&name)?.copy_in(0, text.as_bytes())?;
        Ok(())
    }
    fn by_handle((block, text): (SharedMemory, String)) -> common::Result<()> {
        block.copy_in(0, text.as_bytes())?;
        Ok(())
    }
    let block = SharedMemory::create(10)?;
    let argument = (block.name().to_string(), "howdy".to_string());
    let child = Process::new(by_name, argument).start_method(method).start()?;
    assert_eq!(child.join()?, Exit::Code(0));
    assert_eq!(block.to_vec::<u8>(0, 5)?, b"howdy");
    let argument = (SharedMemory::open(block.name())?, "HELLO".to_string());
    let child = Process::new(by_handle, argument).start_method(method).start()?;
    assert_eq!(child.join()?, Exit::Code(0));
    assert_eq!(block.to_vec::<u8>(0, 5)?, b"HELLO");
    block.unlink()?;
    Ok(())
}

const VISITOR: &str = "c274_who_opens_a_block_and_ends_leaves_it_alone";

fn visitor() -> Outcome {
    if part().is_some() {
        let mut name = String::new();
        io::stdin().read_line(&mut name)?;
        tell(SharedMemory::open(name.trim_end())?.get::<u8>(0)?);
        return Ok(());
    }
    let block = SharedMemory::create_named("common-visited", 8)?;
    block.set(0, 7u8)?;
    let mut program = Program::start(VISITOR, "visitor")?;
    program.say(block.name())?;
    assert_eq!(program.hear()?, "7");
    assert_eq!(program.errors()?, "");
    assert!(exists(block.name()));
    block.unlink()?;
    Ok(())
}

const TRACKED_VISITOR: &str = "c275_a_visitor_with_a_tracker_of_its_own_destroys_nothing";

/// It has blocks of its own, so there is a tracker, and it is killed.
fn tracked_visitor() -> Outcome {
    if part().is_some() {
        let mut name = String::new();
        io::stdin().read_line(&mut name)?;
        let opened = SharedMemory::open(name.trim_end())?;
        let own = SharedMemory::create(8)?;
        opened.set(0, 1u8)?;
        tell(own.name());
        return Ok(wait()?);
    }
    let block = SharedMemory::create(8)?;
    let mut program = Program::start(TRACKED_VISITOR, "visitor")?;
    program.say(block.name())?;
    let own = program.hear()?;
    program.signal(Signal::SIGKILL)?;
    let errors = program.errors()?;
    assert!(errors.contains("1 leaked") && errors.contains(&own), "{errors}");
    assert!(exists(block.name()) && !exists(&own));
    assert_eq!(block.get::<u8>(0)?, 1);
    block.unlink()?;
    Ok(())
}

const ODD_NAMES: &str = "c276_odd_names_do_not_trouble_the_tracker";

fn odd_names() -> Outcome {
    if part().is_some() {
        let pid = process::id();
        for odd in ["a:b", ":a", "a:", ":", "::", "a:b:c", "\n", "a\nb", "\na:", ":\n:", "a:b\n"] {
            let block = SharedMemory::create_named(&format!("{odd}{pid}{odd}"), 8)?;
            block.set(0, 1u8)?;
            let name = block.name().to_string();
            block.close();
            SharedMemory::open(&name)?.unlink()?;
        }
        return Ok(());
    }
    let mut program = Program::start(ODD_NAMES, "creator")?;
    assert!(program.ended()?.success());
    assert_eq!(program.errors()?, "");
    Ok(())
}

fn list() -> Outcome {
    let list = ShareableList::create(&[
        "howdy".into(),
        b"HoWdY".into(),
        (-273.154).into(),
        100.into(),
        ().into(),
        true.into(),
        42.into(),
    ])?;
    let text = format!("{list:?}");
    assert!(text.contains("\"howdy\"") && text.contains(list.name()), "{text}");

    assert!(matches!(list.get(7), Err(ListError::OutOfRange { index: 7, len: 7 })));
    assert!(matches!(list.set(7, 2), Err(ListError::OutOfRange { index: 7, len: 7 })));
    assert!(matches!(list.get(usize::MAX), Err(ListError::OutOfRange { .. })));
    assert_eq!(list.format()?, "8s8sdqxxxxxx?xxxxxxxx?q");
    assert_eq!((list.len(), list.is_empty()), (7, false));
    assert_eq!(list.position(100)?, Some(3));
    assert_eq!(list.position("100")?, None);
    assert_eq!(list.get(list.len() - 2)?, true.into());
    assert_eq!(list.iter().count(), 7);

    list.set(3, 42)?;
    assert_eq!(list.get(3)?, 42.into());
    list.set(4, "some")?;
    assert_eq!(list.get(4)?, "some".into());
    assert_eq!(list.format()?, "8s8sdq8sxxxxxxx?q");
    assert!(matches!(list.set(4, "far too many"), Err(ListError::TooLong { .. })));
    assert_eq!(list.get(4)?, "some".into());
    list.set(0, "encodés")?;
    assert_eq!(list.get(0)?, "encodés".into());
    assert!(matches!(list.set(0, "encodéss"), Err(ListError::TooLong { len: 9, room: 8, .. })));
    assert_eq!(list.get(1)?, b"HoWdY".into());
    assert!(matches!(list.set(1, b"123456789"), Err(ListError::TooLong { .. })));
    list.set(1, b"12345678")?;
    assert_eq!(list.get(1)?, b"12345678".into());
    assert_eq!(list.get(2)?, (-273.154).into());

    assert_eq!(list.count(42)?, 2);
    assert_eq!(list.count(true)?, 1);
    assert_eq!(list.count(b"adios")?, 0);

    let duplicate = ShareableList::create_named(&name("duplicate"), &list.to_vec()?)?;
    assert_eq!(duplicate.to_vec()?, list.to_vec()?);
    list.set(6, -1)?;
    assert_eq!(duplicate.get(6)?, 42.into());
    let second = ShareableList::open(duplicate.name())?;
    assert_eq!(second.shared_memory().len(), duplicate.shared_memory().len());
    second.set(6, "same")?;
    assert_eq!(duplicate.get(6)?, "same".into());
    second.close();
    duplicate.unlink()?;

    let empty = ShareableList::create(&[])?;
    assert_eq!((empty.len(), empty.is_empty(), empty.format()?.as_str()), (0, true, ""));
    assert_eq!((empty.count("")?, empty.position("")?), (0, None));
    assert!(matches!(empty.get(0), Err(ListError::OutOfRange { index: 0, len: 0 })));
    empty.unlink()?;
    list.unlink()?;
    Ok(())
}

fn list_travels() -> Outcome {
    let list = ShareableList::create(&[0.into(), 1.25.into(), "text".into()])?;
    let other: ShareableList = arrived(list.name())?;
    list.set(0, b"bytes")?;
    assert_eq!(other.to_vec()?, [b"bytes".into(), 1.25.into(), "text".into()]);
    let (left, right) = pipe::<ShareableList, ShareableList>()?;
    left.send(&list)?;
    right.recv()?.set(1, ())?;
    assert_eq!(list.get(1)?, ShareableValue::None);

    let long = ShareableList::create(&vec![1.into(); 1000])?;
    left.send(&list)?;
    left.send(&long)?;
    assert_eq!(right.recv_bytes()?.len(), right.recv_bytes()?.len());
    long.unlink()?;
    list.unlink()?;
    Ok(())
}

fn list_gone() -> Outcome {
    let list = ShareableList::create(&[0.into()])?;
    list.unlink()?;
    let error = arrived::<ShareableList>(list.name()).err().ok_or("it arrived")?;
    assert!(error.to_string().contains("there is no shared memory named"), "{error}");
    Ok(())
}

/// What this process does about signals.
fn dispositions() -> io::Result<Vec<String>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let lines = status
        .lines()
        .filter(|line| ["SigBlk", "SigIgn", "SigCgt"].contains(&&line[..6.min(line.len())]));
    Ok(lines.map(str::to_string).collect())
}

/// What Python's server does, the tracker does here: it is what an interrupt from the terminal hits.
fn manager_and_interrupt() -> Outcome {
    let before = dispositions()?;
    let manager = SharedMemoryManager::start();
    let first = manager.shared_memory(8)?;
    assert_eq!(dispositions()?, before);
    let trackers = trackers_of(process::id());
    let [tracker] = trackers[..] else { return Err(format!("{trackers:?}").into()) };
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        kill(Pid::from_raw(tracker.cast_signed()), signal)?;
    }
    let second = manager.shared_memory(8)?;
    let list = manager.shareable_list(&[1.into()])?;
    assert_eq!(trackers_of(process::id()), [tracker]);
    assert!(exists(first.name()) && exists(second.name()) && exists(list.name()));
    Ok(())
}

const QUIET_MANAGER: &str = "c281_starting_and_stopping_a_manager_prints_nothing";

fn quiet_manager() -> Outcome {
    if part().is_some() {
        let manager = SharedMemoryManager::start();
        let list = manager.shareable_list(&[1.into(), "two".into()])?;
        tell(list.name());
        manager.shutdown();
        return Ok(());
    }
    let mut program = Program::start(QUIET_MANAGER, "manager")?;
    let name = program.hear()?;
    assert!(program.ended()?.success());
    assert_eq!(program.errors()?, "");
    assert!(!exists(&name));
    Ok(())
}

/// There is no manager that is not started, or was stopped, of which anything could be asked.
fn manager() -> Outcome {
    let fill = |manager: &SharedMemoryManager| -> common::Result<Vec<String>> {
        let mut names = Vec::new();
        for number in 0..5 {
            names.push(manager.shareable_list(&vec![number.into(); 3])?.name().to_string());
        }
        for len in 1..=6 {
            names.push(manager.shared_memory(len)?.name().to_string());
        }
        Ok(names)
    };
    let manager = SharedMemoryManager::start();
    let names = fill(&manager)?;
    for name in &names {
        SharedMemory::open(name)?;
    }
    // What is unlinked already is no concern of the manager.
    SharedMemory::open(&names[0])?.unlink()?;
    manager.shutdown();
    let dropped = {
        let manager = SharedMemoryManager::start();
        fill(&manager)?
    };
    for name in names.iter().chain(&dropped) {
        let gone = SharedMemory::open(name);
        assert!(matches!(gone, Err(SharedMemoryError::NotFound { .. })), "{gone:?}");
    }
    Ok(())
}

fn bad_names() -> Outcome {
    let long = "x".repeat(256);
    for name in ["", "/", "a/b", "//a", "a/", "a\0b", ".", "..", &long] {
        for block in [
            SharedMemory::open(name),
            SharedMemory::create_named(name, 8),
            SharedMemory::options().open_or_create(name, 8),
        ] {
            assert!(matches!(block, Err(SharedMemoryError::BadName { .. })), "{block:?}");
        }
        let list = ShareableList::open(name);
        assert!(matches!(list, Err(ListError::Memory(SharedMemoryError::BadName { .. }))));
    }
    Ok(())
}

fn slash() -> Outcome {
    let name = name("slash");
    let block = SharedMemory::create_named(&format!("/{name}"), 8)?;
    assert_eq!(block.name(), name);
    assert_eq!(SharedMemory::open(&format!("/{name}"))?.name(), name);
    block.unlink()?;
    Ok(())
}

/// As another library's block is, before its creator has given it a length.
fn empty() -> Outcome {
    let name = name("empty");
    let file = fs::File::create(format!("/dev/shm/{name}"))?;
    let block = SharedMemory::open(&name);
    assert!(matches!(block, Err(SharedMemoryError::Empty { .. })), "{block:?}");
    file.set_len(8)?;
    let block = SharedMemory::open(&name)?;
    assert_eq!(block.len(), 8);
    block.unlink()?;
    Ok(())
}

fn too_large() -> Outcome {
    let refused = |len: usize| {
        let block = SharedMemory::create_named(&name("large"), len);
        assert!(matches!(block, Err(SharedMemoryError::NoSpace { .. })), "{block:?}");
        assert!(!exists(&name("large")));
    };
    refused(usize::MAX);
    refused(1 << 50);
    let (soft, hard) = getrlimit(Resource::RLIMIT_FSIZE)?;
    setrlimit(Resource::RLIMIT_FSIZE, 1 << 20, hard)?;
    refused((1 << 20) + 1);
    SharedMemory::create(1 << 20)?.unlink()?;
    setrlimit(Resource::RLIMIT_FSIZE, soft, hard)?;
    Ok(())
}

fn out_of_bounds() -> Outcome {
    let block = SharedMemory::create(10)?;
    assert_eq!(block.get::<u64>(2)?, 0);
    for (offset, len) in [(3, 8), (10, 8), (usize::MAX, 8)] {
        let error = block.get::<u64>(offset).err().ok_or("it was read")?;
        assert_eq!((error.offset, error.len, error.block), (offset, len, 10));
        assert_eq!(block.set(offset, 1u64), Err(error));
    }
    assert!(block.copy_in(0, &[1u8; 11]).is_err());
    assert!(block.copy_out(8, &mut [0u16; 2]).is_err());
    assert!(block.to_vec::<u64>(0, usize::MAX).is_err());
    assert_eq!(block.to_vec::<u8>(0, 10)?, [0; 10]);
    assert_eq!(block.to_vec::<u64>(10, 0)?, []);
    block.unlink()?;
    Ok(())
}

fn later_block() -> Outcome {
    let name = name("later");
    let first = SharedMemory::create_named(&name, 8)?;
    let visitor = SharedMemory::open(&name)?;
    first.unlink()?;
    let second = SharedMemory::create_named(&name, 8)?;
    assert!(matches!(visitor.unlink(), Err(SharedMemoryError::NotFound { .. })));
    assert!(matches!(first.unlink(), Err(SharedMemoryError::NotFound { .. })));
    second.set(0, 1u8)?;
    assert_eq!((first.get::<u8>(0)?, SharedMemory::open(&name)?.get::<u8>(0)?), (0, 1));
    second.unlink()?;
    Ok(())
}

fn closed_stdout() -> Outcome {
    let streams = (unistd::dup(io::stdin())?, unistd::dup(io::stdout())?);
    unistd::close(0)?;
    unistd::close(1)?;
    let made = SharedMemory::create(64);
    let opened = made.as_ref().map(|made| SharedMemory::open(made.name()));
    println!("nobody reads this");
    unistd::dup2_stdin(&streams.0)?;
    unistd::dup2_stdout(&streams.1)?;
    drop(opened?);
    let made = made?;
    assert_eq!(made.to_vec::<u8>(0, 64)?, [0; 64]);
    made.unlink()?;
    Ok(())
}

/// Python counts characters: of seven letters of two bytes each it would keep four.
fn text_room() -> Outcome {
    let values = ["é".repeat(7), "日".repeat(7), "x".repeat(8), String::new()];
    let values = values.map(ShareableValue::from);
    let list = ShareableList::create(&values)?;
    assert_eq!(list.to_vec()?, values);
    assert_eq!(list.format()?, "16s24s16s8s");
    list.set(1, 7)?;
    assert_eq!(list.format()?, "16sq16s8s");
    list.set(1, "日".repeat(8))?;
    assert_eq!(list.format()?, "16s24s16s8s");
    assert!(matches!(
        list.set(1, "日".repeat(9)),
        Err(ListError::TooLong { len: 27, room: 24, .. })
    ));
    list.unlink()?;
    Ok(())
}

fn daemon(method: StartMethod) -> Outcome {
    fn child(parent: Connection<SharedMemory, ()>) -> common::Result<()> {
        let block = SharedMemory::create(8)?;
        block.set(0, 7u8)?;
        parent.send(&block)?;
        parent.recv()?;
        Ok(())
    }
    let (ours, theirs) = pipe()?;
    let child = Process::new(child, theirs).daemon().start_method(method).start()?;
    let block = ours.recv()?;
    assert_eq!(block.get::<u8>(0)?, 7);
    ours.send(&())?;
    assert_eq!(child.join()?, Exit::Code(0));
    // It has a tracker from its first block on, which serves its parent too.
    SharedMemory::create(1)?.unlink()?;
    assert_eq!(trackers_of(process::id()), [0; 0]);
    assert!(exists(block.name()));
    block.unlink()?;
    Ok(())
}
