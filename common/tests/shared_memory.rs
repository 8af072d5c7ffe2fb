//! Named memory between processes: many at once, killed at random instants, and with Python.
//!
//! `COMMON_TORTURE_ROUNDS` sets how often a family is killed, `COMMON_TORTURE_SEED` the first seed. What
//! needs `python3` says so in one line where there is none.

use common::shared_memory::{ListError, SharedMemoryError};
use common::{Exit, Process, ShareableList, ShareableValue, SharedMemory, StartMethod};
use libtest_mimic::{Arguments, Failed, Trial};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

type Outcome = Result<(), Failed>;

/// Longer than anything takes here.
const LONG: Duration = Duration::from_secs(60);

fn main() {
    // Before init(), so that the error of forgetting it can be seen; not by those who are killed.
    let is_killed = common::is_child() || std::env::var_os(CHURN).is_some();
    let before_init = (!is_killed).then(before_init);
    common::init();
    if let Ok(names) = std::env::var(CHURN) {
        return churn(&names).expect("a churning program is killed, and does not fail");
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(2);
    let trials = vec![
        Trial::test("before_init_only_untracked_blocks_are_created", move || {
            before_init.ok_or("this is no child")?
        }),
        Trial::test("a_block_travels_in_any_format", any_format),
        Trial::test("processes_that_write_beside_each_other_lose_nothing", beside_each_other),
        Trial::test("threads_create_and_unlink_beside_each_other", threads),
        Trial::test("whoever_opens_a_block_sees_it_whole", seen_whole),
        Trial::test("one_of_many_creates_and_the_others_open", one_creates),
        Trial::test("ten_thousand_blocks_are_listed_and_struck_off", many_blocks),
        Trial::test("whenever_a_family_is_killed_nothing_is_left", torture),
        Trial::test("python_opens_what_rust_has_created", python_opens),
        Trial::test("rust_opens_what_python_has_created", python_creates),
        Trial::test("python_reads_and_changes_a_list_of_rust", python_opens_list),
        Trial::test("rust_reads_and_changes_a_list_of_python", python_creates_list),
        Trial::test("lists_have_the_bytes_of_python", same_bytes),
        Trial::test("text_that_python_has_cut_off_is_an_error_or_shorter", cut_off),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

fn before_init() -> Outcome {
    SharedMemory::options().untracked().create(8)?.unlink()?;
    match SharedMemory::create(8) {
        Err(SharedMemoryError::NotInitialised) => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

/// Numbers that look random and are the same for the same seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// A name for one trial of this process.
fn name(text: &str) -> String {
    format!("common-{}-{text}", std::process::id())
}

fn any_format() -> Outcome {
    let block = SharedMemory::create(8)?;
    block.set(0, 7u64)?;
    let text = serde_json::to_string(&block)?;
    assert_eq!(text, format!("{:?}", block.name()));
    let other: SharedMemory = serde_json::from_str(&text)?;
    assert_eq!(other.get::<u64>(0)?, 7);
    block.unlink()?;
    let error = serde_json::from_str::<SharedMemory>(&text).err().ok_or("it arrived")?;
    assert!(error.to_string().contains("there is no shared memory named"), "{error}");
    Ok(())
}

fn beside_each_other() -> Outcome {
    /// Each writes two bytes of every word, the last byte of one and the first of the next.
    fn child((block, lane): (SharedMemory, usize)) -> common::Result<()> {
        for number in 1..=20_000u16 {
            let place = 7 + 8 * usize::from(number % 3) + 2 * lane;
            block.set(place, number)?;
            assert_eq!(block.get::<u16>(place)?, number);
        }
        Ok(())
    }
    let block = SharedMemory::create(40)?;
    let children = (0..4).map(|lane| -> common::Result<_> {
        let same = SharedMemory::open(block.name())?;
        let method = [StartMethod::Spawn, StartMethod::ForkServer][lane % 2];
        Ok(Process::new(child, (same, lane)).start_method(method).start()?)
    });
    let children = children.collect::<common::Result<Vec<_>>>()?;
    for child in children {
        assert_eq!(child.join()?, Exit::Code(0));
    }
    block.unlink()?;
    Ok(())
}

fn threads() -> Outcome {
    thread::scope(|scope| {
        let threads = [(); 8].map(|()| {
            scope.spawn(|| -> common::Result<()> {
                for len in 1..100 {
                    let block = SharedMemory::create(len)?;
                    assert_eq!(SharedMemory::open(block.name())?.len(), len);
                    block.unlink()?;
                }
                Ok(())
            })
        });
        for thread in threads {
            thread.join().map_err(|_| "a thread has panicked")??;
        }
        Ok(())
    })
}

fn seen_whole() -> Outcome {
    fn visitor(name: String) -> Result<(), ListError> {
        let (mut seen, start) = (0, Instant::now());
        while seen < 300 && start.elapsed() < LONG {
            match ShareableList::open(&name) {
                Ok(list) => {
                    seen += 1;
                    assert_eq!(list.to_vec()?, ["first".into(), 2.into(), 3.5.into()]);
                }
                Err(ListError::Memory(SharedMemoryError::NotFound { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        assert_eq!(seen, 300);
        Ok(())
    }
    let name = name("whole");
    let visitor = Process::new(visitor, name.clone()).start()?;
    while visitor.is_alive() {
        let list = ShareableList::create_named(&name, &["first".into(), 2.into(), 3.5.into()])?;
        list.unlink()?;
    }
    assert_eq!(visitor.join()?, Exit::Code(0));
    Ok(())
}

fn one_creates() -> Outcome {
    fn child(name: String) -> common::Result<i32> {
        let block = SharedMemory::options().open_or_create(&name, 8)?;
        Ok(i32::from(block.is_new()))
    }
    for round in 0..10 {
        let name = name(&format!("first-{round}"));
        let children: Vec<_> = (0..4)
            .map(|_| {
                let method = StartMethod::ForkServer;
                Process::new(child, name.clone()).start_method(method).start()
            })
            .collect::<Result<_, _>>()?;
        let exits = children.iter().map(|child| Ok(child.join()?.code().unwrap_or(9)));
        assert_eq!(exits.sum::<common::Result<i32>>()?, 1);
        SharedMemory::open(&name)?.unlink()?;
    }
    Ok(())
}

fn many_blocks() -> Outcome {
    let names: Vec<String> = (0..10_000).map(|number| name(&format!("many-{number}"))).collect();
    for name in &names {
        // Closed at once, so that they take no descriptors.
        SharedMemory::create_named(name, 1)?.close();
    }
    for name in &names {
        SharedMemory::open(name)?.unlink()?;
    }
    Ok(())
}

/// Makes this program one that creates and unlinks for ever; its value is how its names begin.
const CHURN: &str = "COMMON_TEST_CHURN";

fn churn(names: &str) -> common::Result<()> {
    fn create((names, seed): (String, u64)) -> common::Result<()> {
        let mut dice = Dice(seed);
        let mut kept = Vec::new();
        for number in 0u64.. {
            let name = format!("{names}-{seed}-{number}");
            let block = SharedMemory::create_named(&name, 1 + dice.below(5000) as usize)?;
            match dice.below(3) {
                0 => block.unlink()?,
                1 => kept.push(block),
                _ => block.close(),
            }
            if kept.len() > 20 {
                kept.swap_remove(dice.below(20) as usize).unlink()?;
            }
            if number == 0 {
                println!("churning");
            }
        }
        Ok(())
    }
    let first = Process::new(create, (names.to_string(), 1)).start()?;
    for (seed, method) in (2..).zip([StartMethod::ForkServer, StartMethod::Fork]) {
        Process::new(create, (names.to_string(), seed)).start_method(method).start()?;
    }
    first.join()?;
    Ok(())
}

fn torture() -> Outcome {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let rounds = number("COMMON_TORTURE_ROUNDS").unwrap_or(20);
    let first = number("COMMON_TORTURE_SEED").unwrap_or_else(|| std::process::id().into());
    for seed in first..first + rounds {
        kill_a_family(seed).map_err(|error| format!("COMMON_TORTURE_SEED={seed}: {error:?}"))?;
    }
    Ok(())
}

fn kill_a_family(seed: u64) -> Outcome {
    let mut dice = Dice(seed);
    let names = name(&format!("churn-{seed}"));
    let mut program = Command::new(std::env::current_exe()?)
        .env(CHURN, &names)
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut output = BufReader::new(program.stdout.take().ok_or("no output")?);
    let mut line = String::new();
    // Now and then while it still begins.
    let begins = dice.below(3) == 0;
    if !begins {
        output.read_line(&mut line)?;
        assert!(line.contains("churning"), "{line}");
    }
    let pid = Pid::from_raw(program.id().cast_signed());
    sleep(Duration::from_micros(dice.below(40_000)));
    if dice.below(3) == 0 {
        // The rest of the family goes on without its main process for a while.
        kill(pid, Signal::SIGKILL)?;
        sleep(Duration::from_micros(dice.below(20_000)));
    }
    // Their tracker is in another group.
    killpg(pid, Signal::SIGKILL)?;
    program.wait()?;
    let mut errors = String::new();
    let mut stderr = program.stderr.take().ok_or("no errors")?;
    // The tracker holds it until it has done its work.
    stderr.read_to_string(&mut errors)?;
    let left: Vec<_> = fs::read_dir("/dev/shm")?
        .filter_map(|file| file.ok()?.file_name().into_string().ok())
        .filter(|file| file.starts_with(&names))
        .collect();
    assert!(left.is_empty(), "{left:?}; it said: {errors}");
    assert!(begins || errors.contains("leaked block"), "{errors}");
    Ok(())
}

/// A Python program; it is given lines, and tells lines.
struct Python {
    child: Child,
    output: BufReader<ChildStdout>,
}

/// Stands before each script: a visitor must not have Python's tracker remove what it visits.
const PREAMBLE: &str = "
import sys
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory, ShareableList

def visit(block):
    resource_tracker.unregister('/' + block.name, 'shared_memory')
    return block

def tell(what):
    print(what, flush=True)

def hear():
    return sys.stdin.readline().rstrip('\\n')
";

impl Python {
    /// Starts a script; `None`, and a line that says so, where there is no Python that can run it.
    fn start(trial: &str, script: &str) -> Result<Option<Self>, Failed> {
        let check = "import sys; sys.exit(sys.version_info < (3, 9))";
        let python = Command::new("python3").args(["-c", check]).status();
        if !python.is_ok_and(|status| status.success()) {
            println!("NOT RUN: {trial}: there is no python3 of version 3.9 or newer");
            return Ok(None);
        }
        let mut child = Command::new("python3")
            .args(["-c", &format!("{PREAMBLE}\n{script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let output = BufReader::new(child.stdout.take().ok_or("no output")?);
        Ok(Some(Self { child, output }))
    }

    fn say(&mut self, line: &str) -> Outcome {
        let input = self.child.stdin.as_mut().ok_or("no input")?;
        Ok(writeln!(input, "{line}")?)
    }

    fn hear(&mut self) -> Result<String, Failed> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        match line.strip_suffix('\n') {
            Some(line) => Ok(line.to_string()),
            None => Err(format!("it said no more; its errors: {}", self.errors()?).into()),
        }
    }

    fn errors(&mut self) -> Result<String, Failed> {
        let mut errors = String::new();
        self.child.stderr.as_mut().ok_or("no errors")?.read_to_string(&mut errors)?;
        Ok(errors)
    }

    /// It ends well, and without a word from its tracker.
    fn end(mut self) -> Outcome {
        let status = self.child.wait()?;
        let errors = self.errors()?;
        assert!(status.success() && errors.is_empty(), "{status}: {errors}");
        Ok(())
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn python_opens() -> Outcome {
    let script = "
block = visit(SharedMemory(hear()))
assert block.size == 100, block.size
assert bytes(block.buf[:5]) == b'howdy'
assert bytes(block.buf[5:]) == bytes(95)
block.buf[99] = 7
tell(block.name)
block.close()
";
    let Some(mut python) = Python::start("python_opens_what_rust_has_created", script)? else {
        return Ok(());
    };
    let block = SharedMemory::create(100)?;
    block.copy_in(0, b"howdy")?;
    let mode = fs::metadata(format!("/dev/shm/{}", block.name()))?.permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    python.say(block.name())?;
    assert_eq!(python.hear()?, block.name());
    python.end()?;
    assert_eq!(block.get::<u8>(99)?, 7);
    assert_eq!(SharedMemory::open(block.name())?.len(), 100);
    block.unlink()?;
    Ok(())
}

fn python_creates() -> Outcome {
    let script = "
block = SharedMemory(create=True, size=13)
block.buf[:5] = b'howdy'
tell(block.name)
assert hear() == 'changed'
assert bytes(block.buf) == b'HELLO, python', bytes(block.buf)
block.close()
block.unlink()
";
    let Some(mut python) = Python::start("rust_opens_what_python_has_created", script)? else {
        return Ok(());
    };
    let block = SharedMemory::open(&python.hear()?)?;
    assert!(block.name().starts_with("psm_"));
    assert_eq!((block.len(), block.to_vec::<u8>(0, 5)?), (13, b"howdy".to_vec()));
    block.copy_in(0, b"HELLO, python")?;
    python.say("changed")?;
    python.end()?;
    assert!(matches!(block.unlink(), Err(SharedMemoryError::NotFound { .. })));
    Ok(())
}

fn python_opens_list() -> Outcome {
    let script = "
values = ShareableList(name=hear())
visit(values.shm)
assert list(values) == ['howdy', b'HoWdY', -273.154, 100, None, True, 42, 'encodé' * 3], values
assert values.format == '8s8sdqxxxxxx?xxxxxxxx?q24s', values.format
values[0], values[1], values[2] = b'bytes', 'text', False
values[3], values[5], values[7] = None, 1.5, 'x' * 24
tell('changed')
hear()
assert list(values) == [7, 8.5, True, 'from rst', b'\\xff', None, -1, 'y'], values
values.shm.close()
";
    let Some(mut python) = Python::start("python_reads_and_changes_a_list_of_rust", script)? else {
        return Ok(());
    };
    let list = ShareableList::create(&[
        "howdy".into(),
        b"HoWdY".into(),
        (-273.154).into(),
        100.into(),
        ().into(),
        true.into(),
        42.into(),
        "encodé".repeat(3).into(),
    ])?;
    python.say(list.name())?;
    python.hear()?;
    let long = "x".repeat(24);
    let changed: [ShareableValue; 8] = [
        b"bytes".into(),
        "text".into(),
        false.into(),
        ().into(),
        ().into(),
        1.5.into(),
        42.into(),
        long.into(),
    ];
    assert_eq!(list.to_vec()?, changed);
    let values: [ShareableValue; 8] = [
        7.into(),
        8.5.into(),
        true.into(),
        "from rst".into(),
        b"\xff".into(),
        ().into(),
        (-1).into(),
        "y".into(),
    ];
    for (index, value) in values.into_iter().enumerate() {
        list.set(index, value)?;
    }
    python.say("changed")?;
    python.end()?;
    list.unlink()?;
    Ok(())
}

fn python_creates_list() -> Outcome {
    let script = "
values = ShareableList(['howdy', b'HoWdY', -273.154, 100, None, True, 42, 'exactly8', ''])
tell(values.shm.name)
hear()
assert list(values) == [None, 'x' * 8, 'y' * 8, 2.5, b'b', 1, False, 'z' * 16, b'12345678'], values
values.shm.close()
values.shm.unlink()
";
    let Some(mut python) = Python::start("rust_reads_and_changes_a_list_of_python", script)? else {
        return Ok(());
    };
    let list = ShareableList::open(&python.hear()?)?;
    let made: [ShareableValue; 9] = [
        "howdy".into(),
        b"HoWdY".into(),
        (-273.154).into(),
        100.into(),
        ().into(),
        true.into(),
        42.into(),
        "exactly8".into(),
        "".into(),
    ];
    assert_eq!(list.to_vec()?, made);
    assert_eq!(list.format()?, "8s8sdqxxxxxx?xxxxxxxx?q16s8s");
    let values: [ShareableValue; 9] = [
        ().into(),
        "x".repeat(8).into(),
        "y".repeat(8).into(),
        2.5.into(),
        b"b".into(),
        1.into(),
        false.into(),
        "z".repeat(16).into(),
        b"12345678".into(),
    ];
    for (index, value) in values.into_iter().enumerate() {
        list.set(index, value)?;
    }
    assert!(matches!(list.set(8, "123456789"), Err(ListError::TooLong { .. })));
    python.say("changed")?;
    python.end()?;
    Ok(())
}

/// A value and how Python writes it. Only text of one byte a character: for longer ones Python has
/// too little room.
fn random_value(dice: &mut Dice) -> (ShareableValue, String) {
    let letters: String =
        (0..dice.below(40)).map(|_| (b'a' + dice.below(26) as u8) as char).collect();
    match dice.below(6) {
        0 => {
            let number = dice.below(u64::MAX).cast_signed();
            (number.into(), number.to_string())
        }
        1 => {
            let number = dice.below(1 << 40) as f64 / 1024.0;
            (number.into(), format!("{number:?}"))
        }
        2 => (true.into(), "True".into()),
        3 => (letters.as_str().into(), format!("'{letters}'")),
        4 => (letters.as_bytes().into(), format!("b'{letters}'")),
        _ => (().into(), "None".into()),
    }
}

fn same_bytes() -> Outcome {
    let script = "
import ast
while line := hear():
    values = ShareableList(ast.literal_eval(line))
    tell(bytes(values.shm.buf).hex())
    values.shm.close()
    values.shm.unlink()
";
    let Some(mut python) = Python::start("lists_have_the_bytes_of_python", script)? else {
        return Ok(());
    };
    let mut dice = Dice(7);
    for _ in 0..200 {
        let values = (0..dice.below(12)).map(|_| random_value(&mut dice));
        let (values, written): (Vec<_>, Vec<_>) = values.unzip();
        let list = ShareableList::create(&values)?;
        let block = list.shared_memory();
        let bytes = block.to_vec::<u8>(0, block.len())?;
        list.unlink()?;
        python.say(&format!("[{}]", written.join(", ")))?;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(python.hear()?, hex, "{written:?}");
    }
    python.say("")?;
    python.end()
}

fn cut_off() -> Outcome {
    let script = "
values = ShareableList(['é' * 7, '日' * 7])
tell(values.shm.name)
hear()
values.shm.close()
values.shm.unlink()
";
    let trial = "text_that_python_has_cut_off_is_an_error_or_shorter";
    let Some(mut python) = Python::start(trial, script)? else {
        return Ok(());
    };
    let list = ShareableList::open(&python.hear()?)?;
    assert_eq!(list.get(0)?, "éééé".into());
    match list.get(1) {
        Err(ListError::NotText { index: 1, bytes }) => assert_eq!(bytes, "日日日".as_bytes()[..8]),
        other => return Err(format!("{other:?}").into()),
    }
    python.say("seen")?;
    python.end()
}
