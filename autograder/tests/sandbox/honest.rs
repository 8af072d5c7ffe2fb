//! What an honest program may do.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use autograder::build::Built;
use std::os::unix::fs::PermissionsExt;

use crate::bench::{Bench, said};
use crate::compiler;

/// Where the programs with `common` lie, if they are built already.
pub(crate) const PROGRAMS: &str = "SANDBOX_TEST_PROGRAMS";

/// Programs that use what the sandbox makes hard: processes, shared memory, sockets, queues.
const WITH_COMMON: [(&str, &str, &str); 3] = [
    (
        "pool",
        r#"
        fn square(x: u64) -> u64 { x * x }
        fn main() -> common::Result<()> {
            common::init();
            let pool = common::Pool::new(4)?;
            println!("{:?}", pool.map(square, 0..10u64)?);
            Ok(())
        }"#,
        "[0, 1, 4, 9, 16, 25, 36, 49, 64, 81]\n",
    ),
    (
        "manager",
        r#"
        use common::{Manager, Process};
        fn add(list: common::manager::ListProxy<u32>) -> common::Result<()> {
            list.push(&7)?;
            Ok(())
        }
        fn main() -> common::Result<()> {
            common::init();
            let manager = Manager::new()?;
            let list = manager.list([1_u32])?;
            let child = Process::new(add, list.clone()).start()?;
            child.join()?;
            println!("{:?}", list.to_vec()?);
            Ok(())
        }"#,
        "[1, 7]\n",
    ),
    (
        "queue",
        r#"
        use common::{Process, Queue};
        fn count(queue: Queue<Vec<u64>>) {
            for i in 0..100 { queue.put(vec![i; 10_000]).unwrap(); }
        }
        fn main() -> common::Result<()> {
            common::init();
            let queue = Queue::new()?;
            let child = Process::new(count, queue.clone()).start()?;
            let mut sum = 0;
            for _ in 0..100 { sum += queue.get()?.len(); }
            child.join()?;
            println!("{sum}");
            Ok(())
        }"#,
        "1000000\n",
    ),
];

/// Builds all of them into a folder, as submissions are built.
pub(crate) fn build_all(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let (kit, assignment) = compiler::ready();
    for (name, source, _) in WITH_COMMON {
        let work = folder.join(name).with_extension("work");
        fs::create_dir(&work).unwrap();
        let built = compiler::build(&kit, kit.sandbox(), &assignment, source, &work);
        let Built::Program { program, .. } = built else { panic!("{built:?}") };
        // Whoever runs it is another user.
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(program, folder.join(name)).unwrap();
    }
}

#[test]
fn programs_with_common_run_with_control_groups_and_without() {
    let Some(bench) = Bench::full() else { return };
    let folder = env::var_os(PROGRAMS).map_or_else(
        || {
            build_all(bench.folder());
            bench.folder().to_path_buf()
        },
        PathBuf::from,
    );
    for (name, _, expected) in WITH_COMMON {
        for plan in bench.accountings(&bench.plan(&folder.join(name))) {
            let outcome = bench.run(&plan);
            assert_eq!(said(&outcome), expected, "{name}: {outcome:?}");
            assert!(outcome.status.success() && outcome.stopped.is_none(), "{outcome:?}");
        }
    }
}

#[test]
fn a_program_reads_prints_and_ends_with_its_code() {
    let Some(bench) = Bench::full() else { return };
    let program = bench.c(r#"
        char line[100];
        fgets(line, sizeof line, stdin);
        printf("%s %s %s", argv[0], argv[1], line);
        fflush(stdout);
        fprintf(stderr, "and %s\n", getenv("HOME"));
        return 7;"#);
    for mut plan in bench.accountings(&bench.plan(&program)) {
        plan.args = vec!["one".into()];
        plan.input = Some(b"two\n".to_vec());
        let outcome = bench.run(&plan);
        assert_eq!(outcome.status.code(), Some(7), "{outcome:?}");
        assert_eq!(outcome.stopped, None);
        assert_eq!(said(&outcome), "program one two\nand /box\n");
        assert_eq!(outcome.used.unwrap().created, Some(1));
    }
}

#[test]
fn much_input_and_much_output_at_the_same_time_are_served() {
    let Some(bench) = Bench::full() else { return };
    let program = bench.c("int c; while ((c = getchar()) != EOF) putchar(c);");
    let mut plan = bench.plan(&program);
    plan.input = Some(b"0123456789".repeat(50_000));
    assert_eq!(bench.run(&plan).stdout, plan.input.unwrap());
}

#[test]
fn input_that_is_not_read_holds_nobody_up() {
    // 52
    let Some(bench) = Bench::full() else { return };
    for body in ["close(0); close(1); close(2);", "sleep(0);"] {
        let mut plan = bench.plan(&bench.c(body));
        plan.input = Some(vec![b'x'; 10 << 20]);
        let outcome = bench.run(&plan);
        assert!(outcome.status.success() && outcome.stopped.is_none(), "{outcome:?}");
    }
}
