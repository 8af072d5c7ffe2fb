//! What happens between a process and the child that it starts.

use common::process::StartError;
use common::sync::Event;
use common::{Connection, Exit, Process, StartMethod, pipe};
use libtest_mimic::{Arguments, Failed, Trial};
use std::io;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

type Outcome = Result<(), Failed>;

fn main() {
    if common::is_child() && std::env::var_os(PART).is_some_and(|part| part == "lost") {
        std::process::exit(7);
    }
    // Before init(), so that the error of forgetting it can be seen.
    let forgotten = Process::new(nothing, ()).start();
    common::init();
    if let Some(part) = std::env::var_os(PART) {
        return play(&part.to_string_lossy());
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(2);
    let trials = vec![
        Trial::test("starting_before_init_is_an_error_that_says_so", move || match forgotten {
            Err(StartError::NotInitialised) => Ok(()),
            other => Err(format!("{other:?}").into()),
        }),
        Trial::test("a_child_has_its_argument_and_a_pid_of_its_own", child_has_its_argument),
        Trial::test("exit_codes_are_those_of_python", exit_codes),
        Trial::test("a_child_runs_until_its_event_is_set", child_runs_until_event),
        Trial::test("a_child_that_dies_closes_its_connection", dead_child_closes),
        Trial::test("a_child_holds_no_descriptor_that_it_was_not_given", child_holds_only_given),
        Trial::test("a_value_without_encoding_is_an_error", no_encoding),
        Trial::test("however_main_ends_daemons_end_and_others_are_waited_for", however_main_ends),
        Trial::test("an_executable_may_be_replaced_while_it_runs", replaced_executable),
        Trial::test("a_program_that_never_reaches_init_is_an_error", init_not_reached),
        Trial::test("a_hundred_children_leave_no_zombie_and_no_descriptor", a_hundred_children),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

fn nothing((): ()) {}

/// Says which part this program plays when a test starts it.
const PART: &str = "COMMON_TEST_PART";

fn play(part: &str) {
    let start = |target: fn(())| Process::new(target, ());
    match part {
        "replaced" => {
            let path = std::env::current_exe().expect("it has a path");
            std::fs::remove_file(&path).expect("it can be removed");
            std::fs::write(&path, "rubbish").expect("it can be written");
            for method in [StartMethod::Spawn, StartMethod::ForkServer] {
                let child = start(nothing).start_method(method).start().expect("it starts");
                assert!(child.join().expect("it is a child").is_success());
            }
            return;
        }
        // Ends before init() in the child only, as if main had taken another way there.
        "lost" => {
            let error = start(nothing).name("lost").start().expect_err("init() is not reached");
            println!("{error}");
            return;
        }
        _ => {}
    }
    let daemon = start(|()| sleep(Duration::from_secs(1000))).daemon().start().expect("it starts");
    println!("{}", daemon.pid());
    let _dropped = start(|()| {
        sleep(Duration::from_millis(300));
        println!("the other has ended");
    })
    .start()
    .expect("it starts");
    match part {
        "returns" => {}
        "fails" => std::process::exit(1),
        _ => panic!("a panic that the test expects"),
    }
}

fn however_main_ends() -> Outcome {
    for (part, code) in [("returns", 0), ("fails", 1), ("panics", 101)] {
        let output = Command::new(std::env::current_exe()?).env(PART, part).output()?;
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let text = String::from_utf8(output.stdout)?;
        let (daemon, rest) = text.split_once('\n').ok_or("the daemon has a pid")?;
        assert_eq!(rest, "the other has ended\n");
        assert!(!Path::new(&format!("/proc/{daemon}")).exists(), "{part}: the daemon lives on");
    }
    Ok(())
}

fn replaced_executable() -> Outcome {
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("program");
    std::fs::copy(std::env::current_exe()?, &copy)?;
    let output = Command::new(&copy).env(PART, "replaced").output()?;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(std::fs::read(&copy)?, b"rubbish");
    Ok(())
}

fn init_not_reached() -> Outcome {
    let output = Command::new(std::env::current_exe()?).env(PART, "lost").output()?;
    let text = "process \"lost\" exited with code 7 before it had its argument; does the \
                program's main begin with common::init()?\n";
    assert_eq!(String::from_utf8(output.stdout)?, text);
    Ok(())
}

fn child_has_its_argument() -> Outcome {
    fn child((connection, text, numbers): (Connection<(u32, String), ()>, String, Vec<u64>)) {
        let text = format!("{text}{numbers:?}");
        connection.send(&(std::process::id(), text)).expect("the parent receives");
    }
    let (ours, theirs) = pipe::<(), (u32, String)>()?;
    let process = Process::new(child, (theirs, "a".to_string(), vec![1, 2])).start()?;
    let (pid, text) = ours.recv()?;
    assert_eq!((pid, &text[..]), (process.pid(), "a[1, 2]"));
    assert_ne!(pid, std::process::id());
    assert_eq!(process.join()?, Exit::Code(0));
    Ok(())
}

fn exit_codes() -> Outcome {
    type Target = fn(()) -> Result<(), String>;
    let cases: [(Target, i32); 5] = [
        (|()| Ok(()), 0),
        (|()| std::process::exit(3), 3),
        (|()| Err("an error that the child prints".to_string()), 1),
        (|()| panic!("a panic that the child prints"), 101),
        (|()| std::process::abort(), -6),
    ];
    for (target, code) in cases {
        let child = Process::new(target, ()).start()?;
        child.join()?;
        assert_eq!(child.exitcode(), Some(code));
        assert!(!child.is_alive());
    }
    Ok(())
}

fn child_runs_until_event() -> Outcome {
    fn child((begun, end): (Event, Event)) {
        begun.set();
        end.wait();
    }
    let (begun, end) = (Event::new()?, Event::new()?);
    let child = Process::new(child, (begun.clone(), end.clone())).start()?;
    begun.wait();
    assert!(child.is_alive());
    assert_eq!(child.exitcode(), None);
    end.set();
    assert!(child.join()?.is_success());
    Ok(())
}

fn die_with(_end: Connection<(), ()>) {
    std::process::abort();
}

fn dead_child_closes() -> Outcome {
    let (ours, theirs) = pipe::<(), ()>()?;
    let child = Process::new(die_with, theirs).start()?;
    assert!(matches!(ours.recv(), Err(common::connection::RecvError::Eof)));
    assert_eq!(child.join()?.to_string(), "was killed by SIGABRT");
    Ok(())
}

fn descriptors() -> io::Result<usize> {
    Ok(std::fs::read_dir("/proc/self/fd")?.count())
}

fn child_holds_only_given() -> Outcome {
    fn child(answer: Connection<usize, ()>) {
        answer.send(&descriptors().unwrap_or(0)).expect("the parent receives");
    }
    let _many: Vec<_> = (0..20).map(|_| pipe::<(), ()>()).collect::<Result<_, _>>()?;
    let (ours, theirs) = pipe::<(), usize>()?;
    let child = Process::new(child, theirs).start()?;
    // Three streams, the lifeline of the parent, the register of the family, the connection, and the
    // folder that is being read.
    assert_eq!(ours.recv()?, 7);
    child.join()?;
    Ok(())
}

fn no_encoding() -> Outcome {
    #[derive(serde::Deserialize)]
    struct Refuses;
    impl serde::Serialize for Refuses {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("it refuses"))
        }
    }
    let error = Process::new(|_: Refuses| (), Refuses).name("odd").start().unwrap_err();
    let text = "the argument of process \"odd\": the value cannot be encoded: it refuses";
    assert_eq!(error.to_string(), text);
    Ok(())
}

fn a_hundred_children() -> Outcome {
    for _ in 0..10 {
        let children: Vec<_> =
            (0..10).map(|_| Process::new(nothing, ()).start()).collect::<Result<_, _>>()?;
        for child in &children {
            assert!(child.join()?.is_success());
        }
        let zombies = children
            .iter()
            .filter(|child| Path::new(&format!("/proc/{}/stat", child.pid())).exists());
        assert_eq!(zombies.count(), 0);
    }
    Ok(())
}
