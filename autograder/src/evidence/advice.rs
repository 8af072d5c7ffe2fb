//! What a student reads when the processes did not do what a test asks: what was seen, and what to do.

use predicates::reflection::{Case, PredicateReflection};

use super::{Evidence, Exit, ProcessRecord, Source};

/// What was asked, as far as the advice depends on it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Question {
    Created,
    Alive,
    Together { count: usize },
    ByChildren,
    Each { count: usize },
    Exits,
    Other,
}

/// Whoever did this part of the work did nearly all of it.
const NEARLY_ALL: f64 = 0.7;

/// What is shorter is not told.
const MOMENT: f64 = 0.0005;

/// How many processes are named in one sentence.
const NAMED: usize = 8;

/// The whole text of a failed assertion.
pub(super) fn failure(
    question: &dyn PredicateReflection,
    case: &Case<'_>,
    evidence: &Evidence,
) -> String {
    let mut text = "the processes did not do what is asked\n".to_string();
    text.push_str(&format!("asked:    {question}\n"));
    for found in products(case, "found") {
        text.push_str(&format!("found:    {found}\n"));
    }
    for (number, line) in seen(evidence).lines().enumerate() {
        text.push_str(if number == 0 { "seen:     " } else { "          " });
        text.push_str(&format!("{line}\n"));
    }
    for advice in products(case, "advice") {
        text.push_str(&format!("advice:   {advice}\n"));
    }
    text.push_str(&format!("observed: by {}", evidence.source));
    if let Some(reason) = &evidence.reason {
        text.push_str(&format!(" ({reason})"));
    }
    text
}

/// Every product of that name in a case, those within `and` and `or` included, each once.
fn products(case: &Case<'_>, name: &str) -> Vec<String> {
    let own = case.products().filter(|product| product.name() == name);
    let mut all: Vec<String> = own.map(|product| product.value().to_string()).collect();
    for child in case.children() {
        for product in products(child, name) {
            if !all.contains(&product) {
                all.push(product);
            }
        }
    }
    all
}

/// The evidence in three or four lines.
pub(super) fn seen(evidence: &Evidence) -> String {
    let Some(first) = evidence.first() else { return "the program never began".to_string() };
    let created = evidence.created;
    let mut lines = vec![format!(
        "{}; {}{}; with the first one, at most {} lived at one time",
        runnable(evidence),
        match created.processes {
            0 => "none was created".to_string(),
            1 => "1 was created".to_string(),
            count => format!("{count} were created"),
        },
        match created.threads {
            0 => String::new(),
            1 => ", and 1 thread".to_string(),
            threads => format!(", and {threads} threads"),
        },
        evidence.alive_at_most.processes,
    )];
    let together = evidence.processes.seconds.iter().enumerate().skip(1);
    let together: Vec<String> = together
        .filter(|&(_, &seconds)| seconds >= MOMENT)
        .map(|(count, &seconds)| format!("{count} for {}", time(seconds)))
        .collect();
    if !together.is_empty() {
        lines.push(format!("processes runnable together: {}", shortened(&together, "numbers")));
    }
    let mut children: Vec<f64> = evidence.children().map(|child| evidence.share(child)).collect();
    children.sort_by(|a, b| b.total_cmp(a));
    let children: Vec<String> = children.into_iter().map(percent).collect();
    let mut work = format!("work: {}, of which the first process did {}", time(evidence.work()), {
        percent(evidence.share(first))
    });
    if !children.is_empty() {
        work.push_str(&format!(" and the others {}", shortened(&children, "processes")));
    }
    lines.push(work);
    if !evidence.is_whole() {
        lines.push(format!(
            "not everything: {} records are missing, and nothing is known about {}",
            evidence.lost.records,
            time(evidence.lost.seconds)
        ));
    } else if evidence.source == Source::Sampling && evidence.created.processes == 0 {
        lines.push("what lived for less than a few milliseconds may be missing".to_string());
    }
    lines.join("\n")
}

/// How many could run at the same time, in one clause.
fn runnable(evidence: &Evidence) -> String {
    let (steadily, most) = (evidence.processes.steadily(), evidence.processes.most());
    let steady = processes_were(steadily);
    if most > steadily {
        format!("at most {steady} runnable at any time, but for moments")
    } else {
        format!("at most {steady} runnable at any time")
    }
}

/// What to do about a question that was answered no.
pub(super) fn advice(evidence: &Evidence, question: Question) -> Option<String> {
    let first = evidence.first()?;
    if let Question::Exits = question {
        return Some(bad_exits(evidence));
    }
    if let Question::Other = question {
        return None;
    }
    if evidence.created.processes == 0 {
        return Some(if evidence.created.threads > 0 {
            "the work is done by threads of one process, and threads are not processes: they share \
             all memory; start children with `Process::new(f, arguments).start()`"
                .to_string()
        } else {
            "no other process was created; start children with \
             `Process::new(f, arguments).start()` and keep what it returns, to join them"
                .to_string()
        });
    }
    if !evidence.is_whole() {
        return Some(
            "the processes begin, end or wait more often than can be written down, so the answer is \
             not certain; let each do more work at a time"
                .to_string(),
        );
    }
    let by_first = evidence.share(first);
    let count = match question {
        Question::Together { count } | Question::Each { count } => count,
        _ => 2,
    };
    if let Question::Created = question {
        return Some(format!(
            "{} created; count how often `start` is called",
            processes_were(evidence.created.processes)
        ));
    }
    // First: the others may have ended too soon to be seen together.
    if !matches!(question, Question::Alive)
        && let Some(busiest) = busiest_child(evidence)
        && evidence.share(busiest) >= NEARLY_ALL
    {
        return Some(format!(
            "one child, process {} ({}), did {} of the work; divide the work into equal parts, one \
             for each child",
            busiest.pid,
            busiest.name,
            percent(evidence.share(busiest))
        ));
    }
    if one_after_the_other(evidence) {
        return Some(
            "each began after the one before had ended; start all, then join all".to_string(),
        );
    }
    if let Question::Alive = question {
        return None;
    }
    if by_first >= NEARLY_ALL {
        return Some(format!(
            "the first process did {} of the work itself, while its children slept, waited or were \
             not there; move the work into the function that the children run",
            percent(by_first)
        ));
    }
    if evidence.alive_at_most.processes < count {
        return Some(format!(
            "at most {} alive at one time; start all children before the first join",
            processes_were(evidence.alive_at_most.processes)
        ));
    }
    match question {
        Question::Together { .. } if evidence.processes.steadily() < count => Some(
            "enough of them lived at the same time, and yet they waited for one another; look for a \
             lock that is held while working, or a queue that is filled too late"
                .to_string(),
        ),
        Question::Together { .. } => Some(
            "they ran together only for a part; start all children before anything else is done, and \
             give each of them as much work as the others"
                .to_string(),
        ),
        Question::Each { .. } => {
            Some("divide the work into equal parts, one for each child".to_string())
        }
        _ => Some("move more of the work into the function that the children run".to_string()),
    }
}

/// Whether a child is known to have ended in another way than with exit code 0.
pub(super) fn ended_badly(evidence: &Evidence) -> bool {
    evidence.children().any(has_ended_badly)
}

fn has_ended_badly(child: &ProcessRecord) -> bool {
    child.exit.is_some_and(|exit| exit != Exit::Code(0))
}

fn bad_exits(evidence: &Evidence) -> String {
    let bad = evidence.children().filter(|child| has_ended_badly(child));
    let bad: Vec<String> = bad
        .filter_map(|child| {
            Some(format!("process {} ({}) with {}", child.pid, child.name, child.exit?))
        })
        .collect();
    format!(
        "ended badly: {}; join each child and look at its exit code",
        shortened(&bad, "processes")
    )
}

fn busiest_child(evidence: &Evidence) -> Option<&ProcessRecord> {
    evidence.children().max_by(|a, b| a.work.total_cmp(&b.work))
}

/// Whether two or more children of one process never lived at the same time.
fn one_after_the_other(evidence: &Evidence) -> bool {
    // Who looks every millisecond sees beginnings and ends late.
    let slack = match evidence.source {
        Source::Switches => 0.0005,
        Source::Sampling => 0.005,
    };
    let mut children: Vec<&ProcessRecord> = evidence.children().collect();
    children.sort_by(|a, b| a.began.total_cmp(&b.began));
    let apart =
        |pair: &[&ProcessRecord]| pair[0].ended.is_some_and(|ended| pair[1].began >= ended - slack);
    children.len() >= 2 && children.windows(2).all(apart)
}

/// At most [`NAMED`] of them, and how many more.
fn shortened(items: &[String], of: &str) -> String {
    match items.len() {
        0..=NAMED => items.join(", "),
        len => format!("{}, and {} more {of}", items[..NAMED].join(", "), len - NAMED),
    }
}

fn processes_were(count: usize) -> String {
    match count {
        1 => "1 process was".to_string(),
        count => format!("{count} processes were"),
    }
}

/// A time for readers.
pub(super) fn time(seconds: f64) -> String {
    if seconds < 10.0 { format!("{:.0} ms", seconds * 1000.0) } else { format!("{seconds:.1} s") }
}

/// A share for readers.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}
