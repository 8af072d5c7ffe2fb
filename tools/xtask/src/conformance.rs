//! Which of `CPython`'s behaviours hold, counted from the trials that show them.
//!
//! `rows.toml` has one row for each behaviour. Nobody writes down which are tested: the conformance
//! tests list their trials, and a trial is named after its row and its start method, such as
//! `c011_terminate_gives_minus_15::spawn`. So a row counts as tested when it has a trial, or, where it
//! concerns the start methods, one under each of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use crate::steps;

const ROWS: &str = "common/tests/conformance/rows.toml";

/// Lists the trials: every test program of `common` whose name begins so.
const LIST: &[&str] = &[
    "test",
    "--quiet",
    "--package=common",
    "--all-features",
    "--test=conformance*",
    "--",
    "--list",
];

/// What is printed.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    /// The count of each area, and what differs.
    Table,
    /// The rows that are open.
    Open,
    /// All of it.
    Json,
}

/// Compares rows and trials, and prints what came of it. An error names what does not fit together.
pub(crate) fn print(root: &Path, form: Form) -> Result<(), String> {
    let rows = fs::read_to_string(root.join(ROWS)).map_err(|error| format!("{ROWS}: {error}"))?;
    let report = Report::new(&rows, &steps::cargo_output(root, LIST)?)?;
    let text = report.print(form);
    io::stdout().write_all(text.as_bytes()).map_err(|error| format!("standard output: {error}"))
}

/// A row as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    test: String,
    is: Relevance,
    says: String,
    why: Option<String>,
    different: Option<String>,
    methods: Option<Methods>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Relevance {
    Port,
    Adapt,
    Na,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "`methods` is \"all\" or a list of start methods")]
enum Methods {
    All(All),
    These(Vec<Method>),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum All {
    All,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Method {
    Spawn,
    ForkServer,
    Fork,
}

impl Method {
    const ALL: [Method; 3] = [Method::Spawn, Method::ForkServer, Method::Fork];

    /// As a trial's name ends.
    fn name(self) -> &'static str {
        match self {
            Method::Spawn => "spawn",
            Method::ForkServer => "forkserver",
            Method::Fork => "fork",
        }
    }
}

impl Row {
    /// The start methods that it concerns; none where they do not matter.
    fn methods(&self) -> &[Method] {
        match &self.methods {
            None => &[],
            Some(Methods::All(_)) => &Method::ALL,
            Some(Methods::These(methods)) => methods,
        }
    }
}

/// Where a row stands.
#[derive(PartialEq)]
enum Standing {
    Tested,
    Different,
    NotApplicable,
    /// With the start methods that lack a trial, if it has trials at all.
    Open(Vec<Method>),
}

/// A trial's name, taken apart.
struct Trial<'a> {
    row: u32,
    method: Option<&'a str>,
}

impl Trial<'_> {
    /// Of a line of the list; `None` for a test that is not named after a row.
    fn parse(line: &str) -> Option<Trial<'_>> {
        let name = line.strip_suffix(": test")?;
        let (title, method) = match name.split_once("::") {
            Some((title, method)) => (title, Some(method)),
            None => (name, None),
        };
        let row = title.strip_prefix('c')?.split('_').next()?.parse().ok()?;
        Some(Trial { row, method })
    }
}

/// The rows of one area, by number.
type Area = BTreeMap<u32, (Row, Standing)>;

/// All rows, and where they stand.
struct Report {
    /// In the order of their numbers.
    areas: Vec<(String, Area)>,
}

impl Report {
    /// From the text of the rows and the list of the trials; an error has a line for each problem.
    fn new(rows: &str, list: &str) -> Result<Report, String> {
        let areas: BTreeMap<String, BTreeMap<u32, Row>> =
            toml::from_str(rows).map_err(|error| format!("{ROWS}: {error}"))?;
        let mut problems = Vec::new();
        let mut trials: BTreeMap<u32, Vec<Option<&str>>> = BTreeMap::new();
        for trial in list.lines().filter_map(Trial::parse) {
            trials.entry(trial.row).or_default().push(trial.method);
        }
        let mut numbers = BTreeMap::new();
        for (area, rows) in &areas {
            for (&number, row) in rows {
                if let Some(other) = numbers.insert(number, area) {
                    problems.push(format!("row {number} stands in {other:?} and in {area:?}"));
                }
                problems.extend(row.problems(number, trials.get(&number)));
            }
        }
        let unknown = trials.keys().filter(|number| !numbers.contains_key(number));
        problems.extend(unknown.map(|number| format!("a trial of row {number}, which is not one")));
        if !problems.is_empty() {
            return Err(format!("{ROWS} and the trials: {}", problems.join("\n")));
        }
        let standing = |(number, row): (u32, Row)| {
            let standing = row.standing(trials.get(&number).map_or(&[], Vec::as_slice));
            (number, (row, standing))
        };
        let mut areas: Vec<(String, Area)> = areas
            .into_iter()
            .map(|(area, rows)| (area, rows.into_iter().map(standing).collect()))
            .collect();
        areas.sort_by_key(|(_, rows)| rows.keys().next().copied());
        Ok(Report { areas })
    }

    fn print(&self, form: Form) -> String {
        match form {
            Form::Table => self.table(),
            Form::Open => self.open(),
            Form::Json => format!("{:#}\n", self.json()),
        }
    }

    fn rows(&self) -> impl Iterator<Item = (&str, u32, &Row, &Standing)> {
        self.areas.iter().flat_map(|(area, rows)| {
            rows.iter().map(|(&number, (row, standing))| (area.as_str(), number, row, standing))
        })
    }

    /// A line for each area, and one for each deliberate difference.
    fn table(&self) -> String {
        let width = self.areas.iter().map(|(area, _)| area.len()).max().unwrap_or(0);
        let mut text = String::new();
        let mut line = |area: &str, cells: [&str; 5]| {
            let [rows, tested, different, na, open] = cells;
            let _ = writeln!(
                text,
                "{area:width$}  {rows:>4}  {tested:>6}  {different:>9}  {na:>14}  {open:>4}"
            );
        };
        line("area", ["rows", "tested", "different", "not applicable", "open"]);
        let mut all = Count::default();
        for (area, rows) in &self.areas {
            let count = Count::of(rows.values().map(|(_, standing)| standing));
            line(area, count.cells().each_ref().map(String::as_str));
            all += count;
        }
        line("all", all.cells().each_ref().map(String::as_str));
        text.push_str("\ndeliberately different:\n");
        for (_, number, row, _) in self.rows() {
            if let Some(reason) = &row.different {
                let _ = writeln!(text, "{number:>3}  {}; here: {reason}", row.says);
            }
        }
        text
    }

    /// A line for each row that is open.
    fn open(&self) -> String {
        let mut text = String::new();
        for (area, number, row, standing) in self.rows() {
            let Standing::Open(missing) = standing else { continue };
            let missing: Vec<_> = missing.iter().map(|method| method.name()).collect();
            let _ = write!(text, "{number:>3}  {area}: {}", row.says);
            if !missing.is_empty() {
                let _ = write!(text, " (not under {})", missing.join(", "));
            }
            let _ = writeln!(text, "  [{}]", row.test);
        }
        text
    }

    fn json(&self) -> serde_json::Value {
        let rows = self.rows().map(|(area, number, row, standing)| {
            let standing = match standing {
                Standing::Tested => "tested",
                Standing::Different => "different",
                Standing::NotApplicable => "not applicable",
                Standing::Open(_) => "open",
            };
            let methods: Vec<_> = row.methods().iter().map(|method| method.name()).collect();
            let reason = row.different.as_ref().or(row.why.as_ref());
            json!({
                "number": number, "area": area, "test": row.test, "says": row.says,
                "methods": methods, "standing": standing, "reason": reason,
            })
        });
        let rows: Vec<_> = rows.collect();
        let areas = self.areas.iter().map(|(area, rows)| {
            let count = Count::of(rows.values().map(|(_, standing)| standing));
            json!({
                "area": area, "rows": count.rows, "tested": count.tested,
                "different": count.different, "not applicable": count.na, "open": count.open,
            })
        });
        json!({ "areas": areas.collect::<Vec<_>>(), "rows": rows })
    }
}

impl Row {
    /// What is wrong with it and its trials.
    fn problems(&self, number: u32, trials: Option<&Vec<Option<&str>>>) -> Vec<String> {
        let mut problems = Vec::new();
        let na = self.is == Relevance::Na;
        if na != self.why.is_some() {
            problems
                .push(format!("row {number}: `why` belongs to rows that are `na`, and to each"));
        }
        if na && self.different.is_some() {
            problems.push(format!("row {number}: what has no meaning here cannot be different"));
        }
        for method in trials.into_iter().flatten() {
            let known = self.methods().iter().any(|known| Some(known.name()) == *method);
            match method {
                Some(method) if !known => problems.push(format!(
                    "row {number}: a trial under {method:?}, which the row does not concern"
                )),
                None if !self.methods().is_empty() => problems
                    .push(format!("row {number}: a trial that does not end with its start method")),
                _ => {}
            }
        }
        problems
    }

    fn standing(&self, trials: &[Option<&str>]) -> Standing {
        if self.is == Relevance::Na {
            return Standing::NotApplicable;
        }
        if self.different.is_some() {
            return Standing::Different;
        }
        if trials.is_empty() {
            return Standing::Open(Vec::new());
        }
        let is_missing = |method: &&Method| !trials.contains(&Some(method.name()));
        let missing: Vec<_> = self.methods().iter().filter(is_missing).copied().collect();
        if missing.is_empty() { Standing::Tested } else { Standing::Open(missing) }
    }
}

/// How many rows stand where.
#[derive(Default)]
struct Count {
    rows: u32,
    tested: u32,
    different: u32,
    na: u32,
    open: u32,
}

impl Count {
    fn of<'a>(standings: impl Iterator<Item = &'a Standing>) -> Count {
        let mut count = Count::default();
        for standing in standings {
            count.rows += 1;
            *match standing {
                Standing::Tested => &mut count.tested,
                Standing::Different => &mut count.different,
                Standing::NotApplicable => &mut count.na,
                Standing::Open(_) => &mut count.open,
            } += 1;
        }
        count
    }

    fn cells(&self) -> [String; 5] {
        [self.rows, self.tested, self.different, self.na, self.open].map(|n| n.to_string())
    }
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Count) {
        self.rows += other.rows;
        self.tested += other.tested;
        self.different += other.different;
        self.na += other.na;
        self.open += other.open;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        [Process]
        1 = { test = "a", is = "port", says = "one" }
        11 = { test = "b", is = "port", says = "two", methods = "all" }
        24 = { test = "c", is = "adapt", says = "three", methods = ["forkserver"] }
        40 = { test = "d", is = "adapt", says = "four", different = "an error", methods = ["fork"] }
        ["A queue"]
        88 = { test = "e", is = "port", says = "five" }
        92 = { test = "f", is = "na", says = "six", why = "no imports" }
    "#;

    const LIST: &str = "c011_a::spawn: test\nc011_a::fork: test\nc001_a: test\nedge_of: test\n\
                        c024_a::forkserver: test\nc024_b::forkserver: test\nc040_a::fork: test\n";

    fn report(list: &str) -> Report {
        Report::new(TEXT, list).unwrap_or_else(|problem| panic!("{problem}"))
    }

    #[test]
    fn rows_are_counted_by_where_they_stand() {
        let table = report(LIST).print(Form::Table);
        let lines: Vec<Vec<&str>> =
            table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["Process", "4", "2", "1", "0", "1"]);
        assert_eq!(lines[2], ["A", "queue", "2", "0", "0", "1", "1"]);
        assert_eq!(lines[3], ["all", "6", "2", "1", "1", "2"]);
        assert!(table.ends_with("deliberately different:\n 40  four; here: an error\n"), "{table}");
    }

    #[test]
    fn a_row_is_tested_under_all_its_start_methods_or_open() {
        let open = report(LIST).print(Form::Open);
        let expected = " 11  Process: two (not under forkserver)  [b]\n 88  A queue: five  [e]\n";
        assert_eq!(open, expected);
        let open = report(&format!("{LIST}c011_b::forkserver: test\n")).print(Form::Open);
        assert_eq!(open, " 88  A queue: five  [e]\n");
    }

    #[test]
    fn the_rows_of_this_workspace_are_well_formed() {
        let text = include_str!("../../../common/tests/conformance/rows.toml");
        let report = Report::new(text, "").unwrap_or_else(|problem| panic!("{problem}"));
        assert!(report.rows().all(|(.., standing)| *standing != Standing::Tested));
        assert!(report.rows().count() > 300);
    }

    #[test]
    fn json_has_every_row_and_every_count() {
        let json = report(LIST).json();
        assert_eq!(json["rows"].as_array().map(Vec::len), Some(6));
        assert_eq!(json["rows"][5]["reason"], "no imports");
        assert_eq!(json["rows"][0]["standing"], "tested");
        assert_eq!(json["areas"][0]["tested"], 2);
    }

    #[test]
    fn what_does_not_fit_together_is_an_error() {
        for (list, problem) in [
            ("c099_a: test\n", "a trial of row 99, which is not one"),
            ("c011_a: test\n", "row 11: a trial that does not end with its start method"),
            ("c001_a::fork: test\n", "row 1: a trial under \"fork\""),
            ("c024_a::spawn: test\n", "row 24: a trial under \"spawn\""),
        ] {
            let error = Report::new(TEXT, list).err().unwrap_or_default();
            assert!(error.contains(problem), "{error}");
        }
        for (from, to, problem) in [
            ("88 =", "1 =", "row 1 stands in"),
            (", why = \"no imports\"", "", "row 92: `why` belongs"),
            ("why = ", "different = \"x\", why = ", "row 92: what has no meaning"),
            ("says", "say", "unknown field"),
            ("\"all\"", "\"some\"", "\"all\" or a list"),
        ] {
            let text = TEXT.replacen(from, to, 1);
            let error = Report::new(&text, "").err().unwrap_or_default();
            assert!(error.contains(problem), "{error}");
        }
    }
}
