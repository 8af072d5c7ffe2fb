//! Queues, pools and executors at the limits of the system: each works, or says in a typed error that it does
//! not, and works again when there is room.

use common::pool::{CallError, PoolError, TaskError};
use common::queue::{PutRefusal, SimpleQueue};
use common::sync::Event;
use common::{JoinableQueue, Pool, Process, ProcessPoolExecutor, Queue, StartMethod};
use libtest_mimic::{Arguments, Failed, Trial};
use nix::sys::resource::{Resource, setrlimit};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

type Outcome = Result<(), Failed>;
type Anything = Result<(), Box<dyn std::error::Error>>;

const MIB: usize = 1 << 20;

/// The program is this test's again, and does what the variable says, as somebody has limited it.
const VARIABLE: &str = "COMMON_TEST_LIMITS";

fn main() {
    common::init();
    if let Ok(what) = std::env::var(VARIABLE) {
        let result = match &what[..] {
            "everything" => everything(true),
            "nothing" => no_memory_at_all(),
            other => panic!("{other}"),
        };
        return result.unwrap_or_else(|error| panic!("{error}"));
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(2);
    let trials = vec![
        Trial::test("files_of_64_mib_at_most", || limited(files)),
        Trial::test("address_space_of_2_gib", || limited(address_space)),
        Trial::test("without_memfd_and_with_a_dev_shm_of_64_mib", small_dev_shm),
        Trial::test("without_any_shared_memory_a_queue_is_an_error", no_dev_shm),
        Trial::test("no_descriptor_left_is_an_error", || limited(no_descriptors)),
        Trial::test("ten_million_items_wait_and_leave_no_memory_behind", || limited(ten_million)),
        Trial::test("items_of_300_mib_pass", large_items),
        Trial::test("arguments_and_results_of_200_mib_pass", large_tasks),
        Trial::test("with_1024_open_files_100_000_tasks_wait", || limited(many_tasks)),
        Trial::test("who_waits_uses_no_processor", idle),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

/// Runs it in a process of its own, which limits itself.
fn limited(work: fn(())) -> Outcome {
    let child = Process::new(work, ()).start_method(StartMethod::Spawn).start()?;
    let exit = child.join()?;
    if exit.is_success() { Ok(()) } else { Err(format!("it {exit}; see its message").into()) }
}

fn limit(resource: Resource, limit: u64) {
    setrlimit(resource, limit, limit).expect("a limit may be lowered");
}

fn files((): ()) {
    limit(Resource::RLIMIT_FSIZE, 64 << 20);
    everything(true).unwrap_or_else(|error| panic!("{error}"));
}

fn address_space((): ()) {
    limit(Resource::RLIMIT_AS, 2 << 30);
    everything(false).unwrap_or_else(|error| panic!("{error}"));
}

fn no_descriptors((): ()) {
    limit(Resource::RLIMIT_NOFILE, 64);
    let mut files = Vec::new();
    while let Ok(file) = fs::File::open("/dev/null") {
        files.push(file);
    }
    assert!(Queue::<u8>::new().is_err());
    assert!(matches!(Pool::new(1), Err(PoolError::Start(_) | PoolError::Io(_))));
    drop(files);
    everything(false).unwrap_or_else(|error| panic!("{error}"));
}

/// A mebibyte that says which.
fn block(number: usize) -> Vec<u8> {
    vec![number as u8; MIB]
}

/// As much as 64 MiB allow and more than they do, through each of the three; `small` where they are the limit.
fn everything(small: bool) -> Anything {
    let queue = Queue::new()?;
    // More than fits, until somebody says so. What was taken is all there.
    let most = if small { 300 } else { 100 };
    let mut put = 0;
    let refusal = loop {
        if put == most {
            break None;
        }
        match queue.put(block(put)) {
            Ok(()) => put += 1,
            Err(refused) => {
                assert_eq!(refused.item, block(put), "the item comes back");
                break Some(refused.reason);
            }
        }
    };
    assert!(matches!(&refusal, None | Some(PutRefusal::Memory(_))), "{refusal:?}");
    assert_eq!(refusal.is_some(), small, "{put} blocks were put");
    assert!(put >= 16, "only {put} blocks fit");
    for number in 0..put {
        assert!(queue.get()? == block(number), "block {number}");
    }
    // And it goes on, also with the first item that was too large.
    let large = queue.put(vec![1; 100 * MIB]);
    assert_eq!(large.is_err(), small);
    if large.is_ok() {
        assert_eq!(queue.get()?.len(), 100 * MIB);
    }
    for number in 0..1000 {
        queue.put(vec![number as u8; number])?;
        assert_eq!(queue.get()?, vec![number as u8; number]);
    }
    let joinable = JoinableQueue::new()?;
    joinable.put(1)?;
    joinable.get()?;
    joinable.task_done()?;
    joinable.join()?;
    let simple = SimpleQueue::new()?;
    simple.put("text".to_string())?;
    assert_eq!(simple.get()?, "text");

    let pool = Pool::new(2)?;
    assert_eq!(pool.map(|x: u64| x + 1, 0..10_000)?.len(), 10_000);
    match pool.apply(|bytes: Vec<u8>| bytes.len(), vec![7; 100 * MIB]) {
        Ok(len) => assert_eq!(len, 100 * MIB),
        Err(CallError::Pool(PoolError::Io(_))) => assert!(small),
        Err(error) => return Err(error.into()),
    }
    match pool.apply(|len: usize| vec![7u8; len], 100 * MIB) {
        Ok(bytes) => assert_eq!(bytes.len(), 100 * MIB),
        Err(CallError::Task(TaskError::Result(_))) => assert!(small),
        Err(error) => return Err(error.into()),
    }
    // In all more than fits at a time.
    let blocks = pool.map(block, 0..100)?;
    assert!(blocks.iter().enumerate().all(|(number, bytes)| *bytes == block(number)));
    let lens = pool.map(|bytes: Vec<u8>| bytes.len(), (0..100).map(block))?;
    assert_eq!(lens, [MIB; 100]);
    drop(pool);
    let executor = ProcessPoolExecutor::new(1)?;
    assert_eq!(executor.submit(|x: u8| x + 1, 1)?.result()?, 2);
    Ok(())
}

/// The program again, with what the commands in front of it take away.
fn again(what: &str, prefix: &[&str]) -> Outcome {
    let program = std::env::current_exe()?;
    let words = [prefix, &["python3", "-c", WITHOUT_MEMFD]].concat();
    let output =
        Command::new(words[0]).args(&words[1..]).arg(program).env(VARIABLE, what).output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {text}", output.status).into());
    }
    Ok(())
}

/// Runs a program to which `memfd_create` does not exist.
const WITHOUT_MEMFD: &str = "
import ctypes, os, platform, struct, sys
number = {'x86_64': 319, 'aarch64': 279}[platform.machine()]
code = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7fff0000)]
words = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *word) for word in code))
class Program(ctypes.Structure):
    _fields_ = [('len', ctypes.c_ushort), ('filter', ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
arguments = [ctypes.c_ulong(0)] * 3
if libc.prctl(38, ctypes.c_ulong(1), *arguments):
    sys.exit(os.strerror(ctypes.get_errno()))
program = Program(len(code), ctypes.addressof(words))
if libc.prctl(22, ctypes.c_ulong(2), ctypes.byref(program), *arguments[:2]):
    sys.exit(os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
";

/// What may mount something for itself, where anything may.
fn own_mounts() -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] =
        [&["unshare", "--mount"], &["unshare", "--user", "--map-root-user", "--mount"]];
    let works = |way: &&&[&str]| {
        Command::new(way[0]).args(&way[1..]).arg("true").output().is_ok_and(|o| o.status.success())
    };
    ways.iter().find(works).copied()
}

/// The words of a shell that mounts a /dev/shm with an option, and goes on.
fn mounting(option: &str) -> Option<Vec<String>> {
    let script = format!("mount -t tmpfs -o {option} none /dev/shm && exec \"$@\"");
    let words = own_mounts()?.iter().copied().chain(["sh", "-c", &script, "sh"]);
    Some(words.map(str::to_string).collect())
}

fn with_dev_shm(option: &str, what: &str) -> Outcome {
    let Some(words) = mounting(option) else {
        eprintln!("not tried: nobody may mount a /dev/shm here");
        return Ok(());
    };
    again(what, &words.iter().map(|word| &word[..]).collect::<Vec<_>>())
}

fn small_dev_shm() -> Outcome {
    with_dev_shm("size=64m", "everything")
}

fn no_dev_shm() -> Outcome {
    with_dev_shm("ro", "nothing")
}

fn no_memory_at_all() -> Anything {
    assert!(Queue::<u8>::new().is_err());
    assert!(Queue::<u8>::bounded(1).is_err());
    assert!(JoinableQueue::<u8>::new().is_err());
    assert!(SimpleQueue::<u8>::new().is_err());
    assert!(matches!(Pool::new(1), Err(PoolError::Start(_) | PoolError::Io(_))));
    assert!(ProcessPoolExecutor::new(1).is_err());
    Ok(())
}

/// How many bytes the memory has that this process holds by descriptors.
fn shared_bytes() -> u64 {
    let entries = fs::read_dir("/proc/self/fd").expect("/proc");
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let is_memory = |path: &PathBuf| {
        fs::read_link(path).is_ok_and(|target| target.to_string_lossy().starts_with("/memfd:"))
    };
    let metadata = paths.filter(is_memory).filter_map(|path| fs::metadata(path).ok());
    metadata.map(|metadata| metadata.blocks() * 512).sum()
}

fn ten_million((): ()) {
    const ITEMS: u32 = 10_000_000;
    let queue = Queue::new().expect("a queue");
    let before = shared_bytes();
    for number in 0..ITEMS {
        queue.put(number).expect("room");
    }
    assert_eq!(queue.len(), ITEMS as usize);
    let full = shared_bytes();
    assert!(full - before >= 40_000_000, "{full}");
    for number in 0..ITEMS {
        assert_eq!(queue.get().expect("an item"), number);
    }
    assert!(queue.is_empty());
    let after = shared_bytes();
    assert!(after - before <= 4 << 20, "{after} of {full} bytes are left");
}

fn large_items() -> Outcome {
    let queue = Queue::new()?;
    let back = Queue::new()?;
    let child = Process::new(
        |(queue, back): (Queue<Vec<u8>>, Queue<(usize, u8)>)| {
            for _ in 0..2 {
                let item = queue.get().expect("an item");
                back.put((item.len(), item[item.len() - 1])).expect("an answer");
            }
        },
        (queue.clone(), back.clone()),
    )
    .start()?;
    for last in [5, 6] {
        let mut item = vec![0; 300 * MIB];
        item[300 * MIB - 1] = last;
        queue.put(item)?;
    }
    for last in [5, 6] {
        assert_eq!(back.get()?, (300 * MIB, last));
    }
    child.join()?;
    Ok(())
}

fn large_tasks() -> Outcome {
    let pool = Pool::new(2)?;
    let bytes = pool.apply(|bytes: Vec<u8>| bytes, vec![3; 200 * MIB])?;
    assert!(bytes.len() == 200 * MIB && bytes[200 * MIB - 1] == 3);
    // Not bytes: through the codec.
    let words =
        pool.apply(|words: Vec<String>| words, vec!["twelve bytes".to_string(); 5_000_000])?;
    assert_eq!((words.len(), &words[4_999_999][..]), (5_000_000, "twelve bytes"));
    Ok(())
}

fn many_tasks((): ()) {
    const TASKS: u64 = 100_000;
    limit(Resource::RLIMIT_NOFILE, 1024);
    let pool = Pool::new(2).expect("a pool");
    let gate = Event::new().expect("an event");
    let held = Pool::builder().workers(1).initializer(|gate: Event| gate.wait(), gate.clone());
    let held = held.build().expect("a pool");
    let before = fs::read_dir("/proc/self/fd").expect("/proc").count();
    let results: Vec<_> =
        (0..TASKS).map(|x| held.apply_async(|x: u64| x + 1, x).expect("room")).collect();
    assert_eq!(held.waiting(), TASKS as usize);
    assert_eq!(fs::read_dir("/proc/self/fd").expect("/proc").count(), before);
    gate.set();
    let sum: u64 = results.into_iter().map(|result| result.get().expect("a result")).sum();
    assert_eq!(sum, TASKS * (TASKS + 1) / 2);
    let results: Vec<_> =
        (0..TASKS).map(|x| pool.apply_async(|x: u64| x + 1, x).expect("room")).collect();
    let sum: u64 = results.into_iter().map(|result| result.get().expect("a result")).sum();
    assert_eq!(sum, TASKS * (TASKS + 1) / 2);
}

/// The processor time of a process and of all its threads, in ticks of 10 ms.
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let rest = stat.rsplit(") ").next().expect("its fields");
    rest.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().expect("a number")).sum()
}

/// A pool without work, a reader without items, a writer without room, and one that joins: less than a
/// hundredth of a processor each.
fn idle() -> Outcome {
    let pool = Pool::new(2)?;
    pool.map(|x: u8| x, 0..10)?;
    let empty = Queue::<u8>::new()?;
    let full = Queue::bounded(1)?;
    full.put(1)?;
    let joinable = JoinableQueue::new()?;
    joinable.put(1)?;
    let reader = Process::new(|queue: Queue<u8>| drop(queue.get()), empty.clone()).start()?;
    let writer = Process::new(|queue: Queue<u8>| drop(queue.put(2)), full.clone()).start()?;
    let joiner =
        Process::new(|queue: JoinableQueue<u8>| drop(queue.join()), joinable.clone()).start()?;
    let mut pids = pool.pids();
    pids.extend([reader.pid(), writer.pid(), joiner.pid()]);
    std::thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    let before: Vec<_> = pids.iter().map(|&pid| ticks(pid)).collect();
    std::thread::sleep(Duration::from_secs(4));
    // A tick may be charged for an instant that fell on it.
    let allowed = began.elapsed().as_millis() as u64 / 1000 + 1;
    for (&pid, before) in pids.iter().zip(before) {
        let used = ticks(pid) - before;
        assert!(used <= allowed, "process {pid} used {used} ticks");
    }
    for child in [reader, writer, joiner] {
        child.kill()?;
        child.join()?;
    }
    Ok(())
}
