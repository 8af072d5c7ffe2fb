//! Programs that run in parallel, or only seem to, are told apart, on a busy machine too.
//!
//! The programs are in `programs.rs`. Each question is asked of both sources, a few times; with
//! `AUTOGRADER_ROUNDS=100` in the environment a hundred times.

mod run;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::Duration;

use autograder::evidence::{
    Evidence, Exit, Source, at_least, at_most, between, children_succeeded, created, exactly,
    ran_together, share_of_work, threads_ran_together, worked_by_children,
};
use predicates::prelude::*;
use run::{
    both_sources, observe, observe_command, observe_started_by_a_busy_launcher,
    observe_with_small_rings, programs, rounds, switches_are_told,
};

/// What a test of an assignment asks.
fn four_share_the_work(evidence: &Evidence) {
    evidence
        .processes()
        .created(at_least(4))
        .ran_together(4)
        .for_at_least(share_of_work(0.25))
        .worked_by_children(at_least(0.8))
        .each_of(4)
        .worked(at_least(0.1));
}

/// What a student reads who fails it.
fn failure(evidence: &Evidence, test: fn(&Evidence)) -> String {
    let panic = catch_unwind(AssertUnwindSafe(|| test(evidence)))
        .expect_err(&format!("the test passes with {evidence:#?}"));
    panic.downcast_ref::<String>().expect("a text").clone()
}

/// Every source, every round: the program fails, and the student reads this.
fn fails(program: &str, test: fn(&Evidence), texts: &[&str]) {
    for source in both_sources() {
        for _ in 0..rounds() {
            let evidence = observe(source, &[program]);
            let text = failure(&evidence, test);
            for expected in texts {
                assert!(text.contains(expected), "{expected:?} is not in\n{text}\n{evidence:#?}");
            }
        }
    }
}

#[test]
fn four_children_at_the_same_time_pass() {
    for source in both_sources() {
        for _ in 0..rounds() {
            let evidence = observe(source, &["parallel"]);
            four_share_the_work(&evidence);
            evidence
                .processes()
                .ran_together(4)
                .for_at_least(Duration::from_millis(50))
                .alive_together(between(4, 5))
                .created(exactly(4));
        }
    }
}

#[test]
fn the_same_one_after_the_other_fails() {
    fails(
        "sequential",
        |evidence| {
            evidence.processes().ran_together(4).for_at_least(share_of_work(0.25));
        },
        &[
            "at most 1 process was runnable at any time",
            "4 were created",
            "each began after the one before had ended; start all, then join all",
        ],
    );
}

#[test]
fn only_one_child_lives_at_a_time_where_each_is_joined_at_once() {
    if switches_are_told() {
        let evidence = observe(Source::Switches, &["sequential"]);
        evidence.processes().created(exactly(4)).alive_together(exactly(2));
    }
}

#[test]
fn sleeping_children_beside_a_busy_parent_fail() {
    for test in [
        |evidence: &Evidence| {
            evidence.processes().created(at_least(4)).worked_by_children(at_least(0.8));
        },
        |evidence: &Evidence| {
            evidence.processes().ran_together(4).for_at_least(share_of_work(0.25));
        },
    ] {
        fails("decoy", test, &["the first process did 9", "move the work into the function"]);
    }
}

#[test]
fn threads_where_processes_are_asked_for_fail() {
    fails("threads", four_share_the_work, &["threads are not processes", "4 threads"]);
    for source in both_sources() {
        let evidence = observe(source, &["threads"]);
        evidence.processes().threads_ran_together(4).for_at_least(share_of_work(0.25));
        evidence.processes().satisfy(
            created(exactly(0))
                .and(threads_ran_together(2).for_at_least(Duration::from_millis(20))),
        );
    }
}

#[test]
fn one_child_that_does_all_fails() {
    for test in [
        |evidence: &Evidence| {
            evidence.processes().ran_together(4).for_at_least(share_of_work(0.25));
        },
        |evidence: &Evidence| {
            evidence.processes().each_of(4).worked(at_least(0.1));
        },
    ] {
        fails("one-does-all", test, &["one child, process", "divide the work into equal parts"]);
    }
}

#[test]
fn a_program_without_children_fails_and_says_so() {
    fails("alone", four_share_the_work, &["no other process was created"]);
}

#[test]
fn grandchildren_count() {
    for source in both_sources() {
        let evidence = observe(source, &["nested"]);
        evidence
            .processes()
            .created(exactly(6))
            .ran_together(4)
            .for_at_least(share_of_work(0.25))
            .worked_by_children(at_least(0.9));
        let first = evidence.first().unwrap().pid;
        let direct = evidence.children().filter(|child| child.parent == Some(first)).count();
        assert_eq!(direct, 2, "{evidence:#?}");
    }
}

#[test]
fn an_orphan_counts() {
    if !switches_are_told() {
        return;
    }
    let evidence = observe(Source::Switches, &["orphans"]);
    evidence.processes().created(exactly(2)).worked_by_children(at_least(0.8));
}

#[test]
fn namespaces_hide_nothing() {
    let unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"];
    let works = Command::new(unshare[0]).args(&unshare[1..]).arg("true").status();
    if !works.is_ok_and(|status| status.success()) {
        println!("did not run: this machine gives no user namespaces");
        return;
    }
    for source in both_sources() {
        let program = programs().to_str().unwrap();
        let evidence = observe_command(source, &[&unshare[..], &[program, "parallel"]].concat());
        // The first is unshare, which goes on to wait for the program.
        evidence.processes().created(exactly(5)).ran_together(4).for_at_least(share_of_work(0.25));
        assert_eq!(evidence.first().unwrap().name, "unshare");
    }
}

#[test]
fn what_a_launcher_does_itself_is_not_seen() {
    for source in both_sources() {
        let evidence = observe_started_by_a_busy_launcher(source, &["parallel"]);
        evidence.processes().created(exactly(4)).alive_together(between(4, 5));
        assert_eq!(evidence.children().filter(|child| child.is_first).count(), 0);
        assert!(evidence.first().unwrap().name.starts_with("evidence"), "{evidence:#?}");
    }
}

#[test]
fn no_child_is_too_short_lived_for_the_exact_source() {
    if !switches_are_told() {
        return;
    }
    let evidence = observe(Source::Switches, &["short-lived"]);
    evidence.processes().created(exactly(50)).alive_together(exactly(2));
    assert!(evidence.is_whole(), "{:?}", evidence.lost);
    assert!(evidence.children().all(|child| child.work > 0.0 && child.ended.is_some()));
}

#[test]
fn work_is_what_the_kernel_says_it_is() {
    for source in both_sources() {
        let evidence = observe(source, &["parallel"]);
        // Four times 60 ms, and what starting takes.
        let work = evidence.work();
        assert!((0.23..0.60).contains(&work), "{source}: {work}");
        let by_count = evidence.processes.work_with(0);
        assert!((by_count - work).abs() < 0.01, "{source}: {by_count} is not {work}");
        let each: Vec<f64> = evidence.children().map(|child| child.work).collect();
        assert!(each.iter().all(|&work| work > 0.05), "{source}: {each:?}");
    }
}

#[test]
fn ends_are_known_where_the_kernel_tells() {
    for source in both_sources() {
        let evidence = observe(source, &["exits"]);
        if evidence.children().all(|child| child.exit.is_none()) {
            println!("did not run: the kernel tells nobody but the parent how a process ended");
            return;
        }
        let ends: Vec<_> = evidence.children().filter_map(|child| child.exit).collect();
        assert!(ends.contains(&Exit::Code(7)), "{source}: {ends:?}");
        assert!(ends.contains(&Exit::Signal(6)), "{source}: {ends:?}");
        assert!(ends.contains(&Exit::Code(0)), "{source}: {ends:?}");
        let text = failure(&evidence, |evidence| {
            evidence.processes().satisfy(children_succeeded());
        });
        assert!(text.contains("with exit code 7") && text.contains("with SIGABRT"), "{text}");
    }
}

#[test]
fn what_is_lost_is_said_and_nothing_is_gained_by_it() {
    if !switches_are_told() {
        return;
    }
    let evidence = observe_with_small_rings(&["ping-pong", "60000"]);
    if evidence.is_whole() {
        println!("did not run: the observer was too quick for the program");
        return;
    }
    assert!(evidence.lost.records > 0 && evidence.lost.seconds > 0.0, "{:?}", evidence.lost);
    let text = failure(&evidence, |evidence| {
        evidence.processes().ran_together(2).for_at_least(share_of_work(0.9));
    });
    assert!(text.contains("records are missing"), "{text}");
    let cannot_be_excluded = created(at_most(1)).eval(&evidence);
    assert!(!cannot_be_excluded, "{evidence:#?}");
    assert!(created(at_least(1)).eval(&evidence), "{evidence:#?}");
}

#[test]
fn evidence_survives_the_way_to_another_process() {
    for source in both_sources() {
        let evidence = observe(source, &["parallel"]);
        let text = serde_json::to_string(&evidence).unwrap();
        let evidence: Evidence = serde_json::from_str(&text).unwrap();
        assert_eq!(evidence.source, source);
        four_share_the_work(&evidence);
    }
}

#[test]
fn questions_read_like_sentences() {
    let questions: [(String, &str); 4] = [
        (created(at_least(4)).to_string(), "the program creates at least 4 processes"),
        (
            ran_together(4).for_at_least(share_of_work(0.25)).to_string(),
            "4 processes run together for at least 25 % of the work",
        ),
        (
            ran_together(2).for_at_most(Duration::from_millis(20)).to_string(),
            "2 processes run together for at most 20 ms of the time",
        ),
        (
            worked_by_children(at_least(0.8)).to_string(),
            "the children do a share of at least 0.8 of the work",
        ),
    ];
    for (question, sentence) in questions {
        assert_eq!(question, sentence);
    }
}
