//! Builds programs, runs them in the sandbox, and looks whether anything is left.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use autograder::runner::{self, Limits, Outcome, Plan};
use autograder::sandbox::{self, Accounting, Detection, Sandbox, Tier};
use tempfile::TempDir;

/// Far more than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// The grader's own program.
pub(crate) const GRADER: &str = env!("CARGO_BIN_EXE_autograder");

/// In the environment of everything that a test starts.
const MARK: &str = "SANDBOX_TEST";

static DETECTED: LazyLock<Detection> = LazyLock::new(|| sandbox::detect(Path::new(GRADER)));

/// What this machine gives.
pub(crate) fn detected() -> &'static Detection {
    &DETECTED
}

/// One test at a time, with a place for its programs.
pub(crate) struct Bench {
    folder: TempDir,
    mark: String,
    mounts: String,
    _turn: MutexGuard<'static, ()>,
}

impl Bench {
    /// None, and a line that says so, where the machine does not give the full tier.
    pub(crate) fn full() -> Option<Bench> {
        if detected().tier == Tier::Full {
            return Some(Bench::new());
        }
        println!("did not run: no full sandbox here; {}", detected().shortfalls[0]);
        None
    }

    pub(crate) fn new() -> Bench {
        static TURN: Mutex<()> = Mutex::new(());
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // Before the turn: it starts a launcher too, and who waits for it must not have it killed.
        detected();
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Bench {
            folder: tempfile::tempdir().unwrap(),
            mark: format!("{}-{count}", std::process::id()),
            mounts: fs::read_to_string("/proc/self/mountinfo").unwrap(),
            _turn: turn,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What stands in the environment of everything that this test starts.
    pub(crate) fn mark(&self) -> &str {
        &self.mark
    }

    /// A name that nothing else on this machine has.
    pub(crate) fn unique(&self) -> String {
        format!("sandbox-test-{}", self.mark)
    }

    /// A program from what stands in its `main`, in C.
    pub(crate) fn c(&self, body: &str) -> PathBuf {
        let program = self.folder().join("attack");
        let source = self.folder().join("attack.c");
        fs::write(
            &source,
            format!("{HEADER}\nint main(int argc, char **argv) {{\n{body}\nreturn 0; }}"),
        )
        .unwrap();
        let built = Command::new("gcc")
            .args(["-w", "-O1", "-pthread", "-o"])
            .args([&program, &source])
            .args(["-lrt"])
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        program
    }

    /// A run of a program in the full tier, with limits that a test may tighten.
    pub(crate) fn plan(&self, program: &Path) -> Plan {
        Plan {
            program: program.to_path_buf(),
            args: vec![],
            env: vec![
                ("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into()),
                (MARK.into(), self.mark.clone().into()),
            ],
            folder: self.folder().to_path_buf(),
            input: None,
            limits: Limits { wall: LONG, ..Limits::default() },
            sandbox: Sandbox::new(Tier::Full, GRADER),
        }
    }

    /// Runs it, and looks whether anything is left.
    pub(crate) fn run(&self, plan: &Plan) -> Outcome {
        let outcome = runner::run(plan, None).unwrap();
        self.nothing_is_left();
        outcome
    }

    /// What a C program says, which must end well.
    pub(crate) fn says(&self, body: &str) -> String {
        let outcome = self.run(&self.plan(&self.c(body)));
        let said = said(&outcome);
        assert!(outcome.status.success() && outcome.stopped.is_none(), "{outcome:?}\n{said}");
        said
    }

    /// The same limits with control groups, where there are any, and without.
    pub(crate) fn accountings(&self, plan: &Plan) -> Vec<Plan> {
        let mut plans = vec![plan.clone()];
        plans[0].sandbox.use_groups = false;
        if detected().accounting == Some(Accounting::ControlGroup) {
            plans.push(plan.clone());
        }
        plans
    }

    /// The launchers whose grader had this test's folder for its temporary files.
    pub(crate) fn launchers(&self) -> Vec<i32> {
        running_with("TMPDIR", self.folder().to_str().unwrap())
    }

    /// The processes of this test that there still are.
    pub(crate) fn processes(&self) -> Vec<i32> {
        running_with(MARK, &self.mark)
    }

    /// Nothing on this machine remembers the run.
    pub(crate) fn nothing_is_left(&self) {
        assert_eq!(self.processes(), Vec::<i32>::new(), "processes");
        let shared = Path::new("/dev/shm").join(self.unique());
        assert!(!shared.exists(), "{}", shared.display());
        assert_eq!(groups(std::process::id()), Vec::<PathBuf>::new(), "control groups");
        assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), self.mounts, "mounts");
        let name = format!("autograder-{}-", std::process::id());
        for entry in fs::read_dir(std::env::temp_dir()).unwrap().flatten() {
            assert!(!entry.file_name().as_bytes().starts_with(name.as_bytes()), "{entry:?}");
        }
    }
}

/// The processes in whose environment this stands.
fn running_with(name: &str, value: &str) -> Vec<i32> {
    let wanted = format!("{name}={value}");
    let mut found = vec![];
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment.split(|&byte| byte == 0).any(|pair| pair == wanted.as_bytes()) {
            found.push(pid);
        }
    }
    found
}

/// What it printed.
pub(crate) fn said(outcome: &Outcome) -> String {
    let stderr = String::from_utf8_lossy(&outcome.stderr);
    format!("{}{stderr}", String::from_utf8_lossy(&outcome.stdout))
}

/// The control groups that sandboxes of a process have.
pub(crate) fn groups(owner: u32) -> Vec<PathBuf> {
    let prefix = format!("autograder-{owner}-");
    let mut found = vec![];
    let mut folders = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.file_name().as_bytes().starts_with(prefix.as_bytes()) {
                    found.push(entry.path());
                }
                folders.push(entry.path());
            }
        }
    }
    found
}

/// Waits for something that is going to happen.
pub(crate) fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let began = Instant::now();
    while !happened() {
        assert!(began.elapsed() < LONG, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// What every attack may use. `TRY(call)` prints the call and how it ended.
const HEADER: &str = r#"
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_alg.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/vm_sockets.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#define TRY(call) do { errno = 0; long r_ = (long)(call); \
    printf("%s: %s\n", #call, r_ == -1 ? strerrorname_np(errno) : "done"); fflush(stdout); } while (0)
"#;
