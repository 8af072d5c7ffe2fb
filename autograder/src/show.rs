//! The report as a person reads it.

use std::fmt::Write;

use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table, presets};

use crate::report::{Refused, Report, State, TestReport};
use crate::text;
use crate::verdict::Verdict;
use crate::verify::Row;

/// The width of a table that goes to no terminal.
const PLAIN_WIDTH: u16 = 100;

/// How many names are printed of what was not taken in.
const IGNORED_SHOWN: usize = 8;

/// How tables are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Whether they go to a terminal, whose width counts.
    pub terminal: bool,
    /// Whether they may use colours.
    pub colours: bool,
}

/// The whole report: a table of tests, the points, and what to think about.
pub fn report(report: &Report, look: Look) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}: {} ({})", report.assignment, report.title, report.submission);
    out.push_str(&taken_in(report));
    match report.verdict {
        Verdict::Rej => {
            if let Some(Refused { message, .. }) = &report.refused {
                let _ = writeln!(out, "refused (REJ): {}: {message}", report.submission);
            }
            return out;
        }
        Verdict::Ce => {
            let _ =
                writeln!(out, "does not compile (CE):\n{}", text::quote(&report.build_messages));
            let _ = writeln!(out, "points: 0 of {}", report.out_of);
            return out;
        }
        _ => {}
    }
    if !report.build_messages.is_empty() {
        let _ = writeln!(out, "the compiler remarks:\n{}", text::quote(&report.build_messages));
    }

    let mut table = new_table(look, ["test", "verdict", "points"]);
    for test in &report.tests {
        let points = match test.state {
            State::Graded => format!("{} of {}", test.points, test.out_of),
            _ => format!("of {}", test.out_of),
        };
        table.add_row([
            Cell::new(&test.title),
            verdict_cell(test),
            Cell::new(points).set_alignment(CellAlignment::Right),
        ]);
    }
    let _ = writeln!(out, "{table}");
    let _ = write!(out, "points: {} of {}", report.points, report.out_of);
    let _ = match report.to_come {
        0 => writeln!(out),
        more => writeln!(out, "; {more} more are graded after submission"),
    };

    for test in &report.tests {
        let Some(verdict) = test.verdict.filter(|&verdict| verdict != Verdict::Ok) else {
            continue;
        };
        let _ = writeln!(out, "\n{}: {} ({verdict})", test.title, verdict.words());
        out.push_str(&text::quote(test.message.as_deref().unwrap_or_default()));
        if let Some(hint) = &test.hint {
            let _ = writeln!(out, "  hint: {hint}");
        }
    }
    out
}

/// What was left out of the submission, and what was noticed in it: a line each, if there is any.
fn taken_in(report: &Report) -> String {
    let mut out = String::new();
    let shown = report.ignored.len().min(IGNORED_SHOWN);
    let more = report.ignored.len() - shown + report.ignored_more;
    if shown > 0 {
        let names = report.ignored[..shown].join(", ");
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let _ = writeln!(out, "not taken in, only sources are: {names}{more}");
    }
    for note in &report.notes {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

/// The table of a proof.
pub fn proof(rows: &[Row], look: Look) -> String {
    let mut table = new_table(look, ["assignment", "program", "must get", "got", ""]);
    for row in rows {
        let (word, colour) =
            if row.holds { ("holds", Color::Green) } else { ("FAILS", Color::Red) };
        table.add_row([
            Cell::new(&row.assignment),
            Cell::new(&row.program),
            Cell::new(&row.wanted),
            Cell::new(&row.got),
            Cell::new(word).fg(colour),
        ]);
    }
    format!("{table}\n")
}

/// A table with these heads.
pub fn new_table<const N: usize>(look: Look, heads: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_header(heads);
    let width = table.width().filter(|_| look.terminal).unwrap_or(PLAIN_WIDTH);
    table.set_width(width);
    if look.colours {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table
}

fn verdict_cell(test: &TestReport) -> Cell {
    match (test.state, test.verdict) {
        (State::Graded, Some(verdict)) => {
            let colour = if verdict == Verdict::Ok { Color::Green } else { Color::Red };
            Cell::new(format!("{} ({verdict})", verdict.words())).fg(colour)
        }
        (State::Quarantined, Some(verdict)) => {
            Cell::new(format!("{} ({verdict}), counts for nothing", verdict.words()))
        }
        (State::AfterSubmission, _) => Cell::new("graded after submission"),
        (State::Graded | State::Quarantined | State::NotRun, _) => Cell::new("not run"),
    }
}
