//! The tracker, which removes the named memory that a program leaves behind.

use crate::program::{Program, end, exists, is_alive, part, tell, trackers_of, until, wait};
use crate::trial::{LONG, Outcome, Trial, each, once, under};
use common::connection::{Sender, one_way_pipe};
use common::pool::MapError;
use common::shared_memory::SharedMemoryManager;
use common::{Exit, Pool, Process, SharedMemory, StartMethod};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::fs;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) fn trials() -> Vec<Trial> {
    [
        once(TERMINATED, terminated),
        once(KILLED, killed),
        once(TRACKER_KILLED, tracker_killed),
        each("c292_a_child_uses_the_tracker_of_its_parent", reused),
        once("c293_a_name_too_long_is_refused_and_the_longest_is_tracked", longest_name),
        once(EXIT_CODE, exit_code),
        once("c295_starting_it_leaves_the_signal_mask_alone", signal_mask),
        once(HOLDER, holder),
        under(StartMethod::Fork, PROMPT, prompt),
        under(StartMethod::Fork, "c299_a_child_forked_beside_threads_can_use_it", beside_threads),
        once(PATIENCE, patience),
        under(StartMethod::Spawn, FAILING_SPAWN, failing),
        under(StartMethod::ForkServer, FAILING_FORKSERVER, failing),
        each(ORPHAN, orphan),
        each("edge_a_block_outlives_the_child_that_has_created_it", made_by_child),
        once(FORGOTTEN, forgotten),
        once(UNLINKED_BY_OTHERS, unlinked_by_others),
        once(UNTRACKED, untracked),
        once(GROUP, group),
    ]
    .concat()
}

const TERMINATED: &str = "c273_a_creator_that_is_terminated_leaves_nothing";

fn terminated() -> Outcome {
    if part().is_some() {
        let block = SharedMemory::create(64)?;
        tell(block.name());
        return Ok(wait()?);
    }
    let mut program = Program::start(TERMINATED, "creator")?;
    let name = program.hear()?;
    assert!(exists(&name));
    program.signal(Signal::SIGTERM)?;
    let errors = program.errors()?;
    assert!(errors.contains("1 leaked block of shared memory"), "{errors}");
    assert!(!exists(&name));
    Ok(())
}

const KILLED: &str = "c288_what_a_killed_program_leaves_is_removed_and_counted";

fn killed() -> Outcome {
    if part().is_some() {
        let (first, second) = (SharedMemory::create(64)?, SharedMemory::create(64)?);
        tell(first.name());
        tell(second.name());
        return Ok(wait()?);
    }
    let mut program = Program::start(KILLED, "creator")?;
    let (first, second) = (program.hear()?, program.hear()?);
    fs::remove_file(format!("/dev/shm/{first}"))?;
    program.signal(Signal::SIGKILL)?;
    let errors = program.errors()?;
    assert!(errors.contains("2 leaked blocks of shared memory"), "{errors}");
    assert!(errors.contains(&format!("{first:?} (gone already)")), "{errors}");
    assert!(errors.contains(&format!("{second:?} (removed now)")), "{errors}");
    assert!(!exists(&second));
    Ok(())
}

const TRACKER_KILLED: &str = "c291_a_tracker_that_was_killed_is_started_again_with_one_warning";

fn tracker_killed() -> Outcome {
    if part().is_some() {
        let before = SharedMemory::create(64)?;
        let first = trackers_of(process::id());
        end(first[0])?;
        let after = SharedMemory::create(64)?;
        SharedMemory::create(64)?.unlink()?;
        let second = trackers_of(process::id());
        assert!(second.len() == 1 && first != second, "{first:?} {second:?}");
        tell(before.name());
        tell(after.name());
        return Ok(wait()?);
    }
    let mut program = Program::start(TRACKER_KILLED, "creator")?;
    let names = [program.hear()?, program.hear()?];
    program.signal(Signal::SIGKILL)?;
    let errors = program.errors()?;
    assert_eq!(errors.matches("the tracker of shared memory was killed").count(), 1, "{errors}");
    // What was listed with the first is known to the second.
    assert!(errors.contains("2 leaked blocks"), "{errors}");
    assert!(names.iter().all(|name| !exists(name)));
    Ok(())
}

fn reused(method: StartMethod) -> Outcome {
    fn child(answer: Sender<Vec<u32>>) -> common::Result<()> {
        let block = SharedMemory::create(8)?;
        answer.send(&trackers_of(process::id()))?;
        block.unlink()?;
        Ok(())
    }
    SharedMemory::create(8)?.unlink()?;
    let tracker = trackers_of(process::id());
    assert_eq!(tracker.len(), 1);
    let (answer, end) = one_way_pipe()?;
    let child = Process::new(child, end).start_method(method).start()?;
    assert_eq!(answer.recv()?, [0; 0]);
    assert_eq!(child.join()?, Exit::Code(0));
    assert_eq!(trackers_of(process::id()), tracker);
    Ok(())
}

fn longest_name() -> Outcome {
    let longest = format!("{:x<255}", process::id());
    let block = SharedMemory::create_named(&longest, 8)?;
    assert_eq!(block.name(), longest);
    let error = SharedMemory::create_named(&format!("{longest}x"), 8).err().ok_or("created")?;
    assert!(error.to_string().contains("more than 255 bytes"), "{error}");
    block.unlink()?;
    Ok(())
}

const EXIT_CODE: &str = "c294_its_exit_code_tells_whether_something_leaked";

fn exit_code() -> Outcome {
    if let Some(part) = part() {
        let block = SharedMemory::create(8)?;
        if part == "tidy" {
            block.unlink()?;
        }
        tell("ready");
        return Ok(wait()?);
    }
    // Trackers whose starters are killed become children of this process.
    nix::sys::prctl::set_child_subreaper(true)?;
    for (part, code) in [("tidy", 0), ("untidy", 1)] {
        let mut program = Program::start(EXIT_CODE, part)?;
        program.hear()?;
        let trackers = trackers_of(program.pid());
        program.signal(Signal::SIGKILL)?;
        let errors = program.errors()?;
        assert_eq!(errors.is_empty(), code == 0, "{errors}");
        let tracker = Pid::from_raw(trackers[0].cast_signed());
        assert_eq!(waitpid(tracker, None)?, WaitStatus::Exited(tracker, code));
    }
    Ok(())
}

fn signal_mask() -> Outcome {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1] {
        let mut blocked = SigSet::empty();
        blocked.add(signal);
        pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&blocked), None)?;
        SharedMemory::create(8)?.unlink()?;
        assert_eq!(SigSet::thread_get_mask()?, blocked);
        for tracker in trackers_of(process::id()) {
            end(tracker)?;
        }
    }
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    Ok(())
}

/// Leaves a process behind that nobody waits for and that holds all that a child holds; its pid.
fn leave_behind(method: StartMethod) -> common::Result<u32> {
    fn sleeps((): ()) {
        thread::sleep(LONG);
    }
    fn breeds((method, answer): (StartMethod, Sender<u32>)) -> common::Result<()> {
        let child = Process::new(sleeps, ()).start_method(method).start()?;
        answer.send(&child.pid())?;
        process::abort();
    }
    let (answer, end) = one_way_pipe()?;
    let child = Process::new(breeds, (method, end)).start_method(method).start()?;
    let pid = answer.recv()?;
    child.join()?;
    Ok(pid)
}

/// A program that ends while somebody of its family lives: how long that takes, and who it is.
fn end_beside_a_holder(
    trial: &str,
) -> Result<Option<(Duration, u32, Program)>, libtest_mimic::Failed> {
    if part().is_some() {
        SharedMemory::create(8)?.unlink()?;
        tell(leave_behind(StartMethod::Fork)?);
        wait()?;
        return Ok(None);
    }
    let mut program = Program::start(trial, "program")?;
    let holder: u32 = program.hear()?.parse()?;
    let start = Instant::now();
    program.go_on()?;
    assert!(program.ended()?.success());
    Ok(Some((start.elapsed(), holder, program)))
}

const HOLDER: &str =
    "c296_a_forked_process_that_holds_its_sign_does_not_keep_a_program_from_ending";

fn holder() -> Outcome {
    if let Some((elapsed, holder, program)) = end_beside_a_holder(HOLDER)? {
        assert!(elapsed < LONG / 2, "{elapsed:?}");
        assert!(is_alive(holder));
        end(holder)?;
        assert_eq!(program.errors()?, "");
    }
    Ok(())
}

const PATIENCE: &str = "c300_the_end_of_a_program_waits_for_its_tracker_and_gives_up";

fn patience() -> Outcome {
    if let Some((elapsed, holder, program)) = end_beside_a_holder(PATIENCE)? {
        assert!(elapsed >= Duration::from_millis(500) && elapsed < LONG / 2, "{elapsed:?}");
        end(holder)?;
        assert_eq!(program.errors()?, "");
    }
    Ok(())
}

const PROMPT: &str = "c297_after_a_forked_child_it_ends_with_the_program";

fn prompt(method: StartMethod) -> Outcome {
    fn child((): ()) -> common::Result<()> {
        SharedMemory::create(8)?.unlink()?;
        assert_eq!(trackers_of(process::id()), [0; 0]);
        Ok(())
    }
    if part().is_some() {
        SharedMemory::create(8)?.unlink()?;
        tell(trackers_of(process::id())[0]);
        let child = Process::new(child, ()).start_method(method).start()?;
        assert_eq!(child.join()?, Exit::Code(0));
        return Ok(());
    }
    let mut program = Program::start(&format!("{PROMPT}::{method}"), "program")?;
    let tracker: u32 = program.hear()?.parse()?;
    assert!(program.ended()?.success());
    // Ended, and collected by the program before it ended itself.
    assert!(!fs::exists(format!("/proc/{tracker}"))?);
    assert_eq!(program.errors()?, "");
    Ok(())
}

fn beside_threads(method: StartMethod) -> Outcome {
    fn child((): ()) -> common::Result<()> {
        SharedMemory::create(8)?.unlink()?;
        Ok(())
    }
    let stop = AtomicBool::new(false);
    thread::scope(|scope| -> Outcome {
        let threads = [(); 2].map(|()| {
            scope.spawn(|| -> common::Result<()> {
                while !stop.load(Ordering::Relaxed) {
                    SharedMemory::create(8)?.unlink()?;
                }
                Ok(())
            })
        });
        let result = (0..100).try_for_each(|_| -> Outcome {
            let made = Process::new(child, ()).start_method(method).even_with_threads();
            let child = made.start()?;
            let exit = child.join_timeout(LONG)?;
            if exit.is_none() {
                child.kill()?;
            }
            if exit == Some(Exit::Code(0)) { Ok(()) } else { Err(format!("{exit:?}").into()) }
        });
        stop.store(true, Ordering::Relaxed);
        for thread in threads {
            thread.join().map_err(|_| "a thread has panicked")??;
        }
        result
    })
}

const FAILING_SPAWN: &str = "c303_work_that_fails_in_a_pool_leaves_nothing";
const FAILING_FORKSERVER: &str = "c304_work_that_fails_in_a_pool_leaves_nothing";

fn failing(method: StartMethod) -> Outcome {
    fn fails(number: u32) -> u32 {
        let manager = SharedMemoryManager::start();
        let block = manager.shared_memory(8).expect("there is room");
        tell(block.name());
        panic!("on purpose, at {number}");
    }
    if part().is_some() {
        common::set_start_method(method)?;
        let pool = Pool::new(2)?;
        let result = pool.map(fails, 0..4);
        assert!(matches!(result, Err(MapError::Tasks(_))), "{result:?}");
        return Ok(());
    }
    let trial = match method {
        StartMethod::Spawn => FAILING_SPAWN,
        _ => FAILING_FORKSERVER,
    };
    let mut program = Program::start(&format!("{trial}::{method}"), "program")?;
    let names = [(); 4].map(|()| program.hear());
    assert!(program.ended()?.success());
    let errors = program.errors()?;
    assert!(!errors.contains("leaked"), "{errors}");
    for name in names {
        assert!(!exists(&name?));
    }
    Ok(())
}

const ORPHAN: &str = "edge_a_block_lives_as_long_as_anyone_of_its_family";

fn orphan(method: StartMethod) -> Outcome {
    fn child((name, answer): (String, Sender<u32>)) -> common::Result<()> {
        answer.send(&process::id())?;
        common::process::parent().expect("a child has a parent").join()?;
        // Its parent was killed; the block is still there.
        let block = SharedMemory::open(&name)?;
        thread::sleep(Duration::from_millis(100));
        block.set(0, SharedMemory::open(&name)?.get::<u8>(0)? + 1)?;
        assert!(exists(&name));
        process::abort();
    }
    if part().is_some() {
        let block = SharedMemory::create(8)?;
        let (answer, end) = one_way_pipe()?;
        let argument = (block.name().to_string(), end);
        Process::new(child, argument).start_method(method).start()?;
        answer.recv()?;
        tell(block.name());
        return Ok(wait()?);
    }
    let mut program = Program::start(&format!("{ORPHAN}::{method}"), "program")?;
    let name = program.hear()?;
    let block = SharedMemory::open(&name)?;
    program.signal(Signal::SIGKILL)?;
    let errors = program.errors()?;
    assert!(errors.contains("1 leaked block"), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    assert_eq!(block.get::<u8>(0)?, 1);
    assert!(!exists(&name));
    Ok(())
}

fn made_by_child(method: StartMethod) -> Outcome {
    fn child(answer: Sender<String>) -> common::Result<()> {
        let block = SharedMemory::create(8)?;
        block.set(0, 7u8)?;
        answer.send(&block.name().to_string())?;
        Ok(())
    }
    let (answer, end) = one_way_pipe()?;
    let child = Process::new(child, end).start_method(method).start()?;
    let name = answer.recv()?;
    assert_eq!(child.join()?, Exit::Code(0));
    // The child has started the tracker, and is gone.
    thread::sleep(Duration::from_millis(20));
    let block = SharedMemory::open(&name)?;
    assert_eq!(block.get::<u8>(0)?, 7);
    block.unlink()?;
    Ok(())
}

const FORGOTTEN: &str = "edge_a_block_that_was_forgotten_is_gone_when_its_program_is";

/// Also where the tracker cannot do it any more.
fn forgotten() -> Outcome {
    if let Some(part) = part() {
        let block = SharedMemory::create(8)?;
        tell(block.name());
        if part == "alone" {
            end(trackers_of(process::id())[0])?;
        }
        return Ok(());
    }
    for part in ["tracked", "alone"] {
        let mut program = Program::start(FORGOTTEN, part)?;
        let name = program.hear()?;
        assert!(program.ended()?.success());
        assert!(!exists(&name));
        let errors = program.errors()?;
        assert!(errors.contains("1 leaked block") && errors.lines().count() == 1, "{errors}");
    }
    Ok(())
}

const UNLINKED_BY_OTHERS: &str = "edge_what_somebody_else_has_unlinked_is_no_leak";

fn unlinked_by_others() -> Outcome {
    if part().is_some() {
        let block = SharedMemory::create(8)?;
        tell(block.name());
        return Ok(wait()?);
    }
    let mut program = Program::start(UNLINKED_BY_OTHERS, "program")?;
    let name = program.hear()?;
    SharedMemory::open(&name)?.unlink()?;
    // Another block gets its name, and is not mistaken for it.
    let later = SharedMemory::create_named(&name, 8)?;
    program.go_on()?;
    assert!(program.ended()?.success());
    assert_eq!(program.errors()?, "");
    assert!(exists(&name));
    later.unlink()?;
    Ok(())
}

const UNTRACKED: &str = "edge_an_untracked_block_stays_and_has_no_tracker";

fn untracked() -> Outcome {
    if part().is_some() {
        let block = SharedMemory::options().untracked().create(8)?;
        assert_eq!(trackers_of(process::id()), [0; 0]);
        tell(block.name());
        return Ok(());
    }
    let mut program = Program::start(UNTRACKED, "program")?;
    let name = program.hear()?;
    assert!(program.ended()?.success());
    assert_eq!(program.errors()?, "");
    SharedMemory::open(&name)?.unlink()?;
    Ok(())
}

const GROUP: &str = "edge_a_killed_job_leaves_nothing";

/// What a shell does to a job: a signal for all of its processes.
fn group() -> Outcome {
    if part().is_some() {
        nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
        let block = SharedMemory::create(8)?;
        tell(block.name());
        return Ok(wait()?);
    }
    let mut program = Program::start(GROUP, "program")?;
    let name = program.hear()?;
    nix::sys::signal::killpg(Pid::from_raw(program.pid().cast_signed()), Signal::SIGKILL)?;
    assert!(program.errors()?.contains("1 leaked block"));
    until(|| !exists(&name));
    Ok(())
}
