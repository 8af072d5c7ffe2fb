//! The promised output of one run, and the search for the lines that keep it.
//!
//! In exact order the promise is read from top to bottom; a line `...` stands for any number of lines,
//! and one with the mark `<- sometimes` may be missing.
//!
//! In any order every line that came must be one of the promised ones, each once. Marks at the end of a
//! promised line say what must have come before it; lines are numbered from 1:
//!
//! | mark | the line comes after |
//! | --- | --- |
//! | `<- after 2` | line 2 |
//! | `<- after 1, 3` | lines 1 and 3 |
//! | `<- after above` | the line right above |
//! | `<- after all above` | every line above, and every line that a `...` above stands for |
//!
//! # How the search works
//!
//! The lines that came are taken one by one. Each may take the place of a promised line that is still
//! open, that it matches with the names bound so far, and whose marked lines are all taken: so an order
//! that was promised needs no check of its own. A wrong choice is undone (identical lines and names
//! make one possible), and a situation that failed once is not tried again. The number of steps is
//! bounded; a promise that cannot be decided within them counts as broken.
//!
//! If the search fails, it is done again with one rule less (no order, no names, neither), which tells
//! the rule that was broken.

use std::collections::{BTreeSet, HashSet};
use std::fmt::{self, Write as _};

use crate::pattern::{Binding, Pattern, Reading};

/// How many steps a search may take before it gives up.
const STEPS: usize = 50_000;

/// How many lines may come; the search goes one call deeper with each.
const LINES: usize = 1_000;

/// How many lines of a long output a report shows.
const SHOWN: usize = 60;

/// The mark of a line that may be missing.
const SOMETIMES: &str = "  <- sometimes";

/// In which order the promised lines must come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As they are written.
    Exact,
    /// In any order that the marks allow.
    Any,
}

/// The promised output of one run.
#[derive(Clone, Debug)]
pub struct Promise {
    order: Order,
    lines: Vec<Line>,
}

/// What was promised, what came, and the rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The rule that was broken, in a sentence or a few lines.
    pub rule: String,
    promised: String,
    came: String,
}

#[derive(Clone, Debug)]
struct Line {
    /// As written, with its mark.
    source: String,
    /// `None` for a line `...`.
    pattern: Option<Pattern>,
    /// The lines that must come before this one, counted from 0.
    after: Vec<usize>,
    /// The lines that a `...` stands for must come before this one as well.
    after_others: bool,
    /// It may be missing.
    optional: bool,
}

/// Which line that came took the place of each promised one.
type Places = Vec<Option<usize>>;

enum Found {
    Yes(Places),
    No,
    Undecided,
}

#[derive(Clone, Copy)]
struct Rules {
    names: bool,
    order: bool,
}

impl Promise {
    /// Reads the output lines of a block.
    ///
    /// # Errors
    ///
    /// The number of the line, counted from 0, and what is wrong with its mark.
    pub fn new(order: Order, lines: &[&str]) -> Result<Promise, (usize, String)> {
        let mut promise = Promise { order, lines: Vec::new() };
        for (number, line) in lines.iter().enumerate() {
            let line = promise.line(number, line).map_err(|error| (number, error))?;
            promise.lines.push(line);
        }
        for (number, line) in promise.lines.iter().enumerate() {
            for &before in &line.after {
                match promise.lines.get(before) {
                    Some(line) if line.pattern.is_some() => {}
                    Some(_) => return Err((number, "a line `...` has no place of its own".into())),
                    None => return Err((number, format!("there is no line {}", before + 1))),
                }
            }
        }
        match promise.circle() {
            Some(number) => Err((number, "the marks go in a circle".into())),
            None => Ok(promise),
        }
    }

    /// Compares what a program printed with what was promised.
    ///
    /// # Errors
    ///
    /// A report that shows both and names the rule that was broken.
    pub fn check(&self, output: &str) -> Result<(), Mismatch> {
        let came: Vec<&str> = output.lines().collect();
        match self.broken_rule(&came) {
            None => Ok(()),
            Some(rule) => Err(Mismatch {
                rule,
                promised: numbered(self.lines.iter().map(|line| line.source.as_str())),
                came: numbered(came.iter().copied()),
            }),
        }
    }

    /// How many different process ids stand at the `[PID]` of output that keeps the promise.
    pub fn count_pids(&self, output: &str) -> usize {
        let patterns = || self.lines.iter().filter_map(|line| line.pattern.as_ref());
        let pids = output.lines().flat_map(|line| {
            let found = patterns().map(|pattern| pattern.nameless_pids(line));
            found.into_iter().find(|pids| !pids.is_empty()).unwrap_or_default()
        });
        pids.collect::<BTreeSet<String>>().len()
    }

    fn line(&self, number: usize, source: &str) -> Result<Line, String> {
        let source = source.trim_end();
        let mut line = Line {
            source: source.to_owned(),
            pattern: None,
            after: Vec::new(),
            after_others: false,
            optional: false,
        };
        let (text, mark) = match self.order {
            Order::Exact if source.contains("  <- after ") => {
                return Err("a mark `<- after` needs the fence word any-order".into());
            }
            Order::Any if source.ends_with(SOMETIMES) => {
                return Err(
                    "a mark `<- sometimes` does not go with the fence word any-order".into()
                );
            }
            Order::Exact => match source.strip_suffix(SOMETIMES) {
                Some(text) => {
                    line.optional = true;
                    (text.trim_end(), None)
                }
                None => (source, None),
            },
            Order::Any => match source.rsplit_once("  <- after ") {
                Some((text, mark)) => (text.trim_end(), Some(mark)),
                None => (source, None),
            },
        };
        if text != "..." {
            line.pattern = Some(Pattern::new(text));
        } else if mark.is_some() || line.optional {
            return Err("a line `...` cannot have a mark".into());
        }
        for word in mark.into_iter().flat_map(|mark| mark.split(',')).map(str::trim) {
            match word {
                "above" | "all above" if number == 0 => {
                    return Err(format!("`after {word}`: there is no line above"));
                }
                "above" => line.after.push(number - 1),
                "all above" => {
                    let lines = self.lines.iter().enumerate();
                    line.after.extend(lines.filter_map(|(n, l)| l.pattern.as_ref().map(|_| n)));
                    line.after_others = self.lines.iter().any(|l| l.pattern.is_none());
                }
                word => match word.parse::<usize>() {
                    Ok(before) if before > 0 => line.after.push(before - 1),
                    _ => {
                        return Err(format!(
                            "`after {word}`: write line numbers from 1, `above` or `all above`"
                        ));
                    }
                },
            }
        }
        Ok(line)
    }

    /// A line that must come after itself, by way of others.
    fn circle(&self) -> Option<usize> {
        let mut placed = vec![false; self.lines.len()];
        loop {
            let free = |n: &usize| !placed[*n] && self.lines[*n].after.iter().all(|&b| placed[b]);
            match (0..self.lines.len()).find(free) {
                Some(number) => placed[number] = true,
                None => return placed.iter().position(|&placed| !placed),
            }
        }
    }

    fn broken_rule(&self, came: &[&str]) -> Option<String> {
        if came.len() > LINES {
            return Some(TOO_LONG.into());
        }
        let search = Search::new(self, came);
        match search.run(Rules { names: true, order: true }) {
            Found::Yes(_) => None,
            Found::Undecided => Some(UNDECIDED.into()),
            Found::No => Some(match self.order {
                Order::Exact => search.why_not_exact(),
                Order::Any => search.why_not_any(),
            }),
        }
    }

    /// Whether lines may come that no promised line stands for.
    fn is_open(&self) -> bool {
        self.lines.iter().any(|line| line.pattern.is_none())
    }

    /// For each line the one before it that reads the same and has the same place in the order. Two such
    /// lines may change places, so only the first of them that is open needs to be tried.
    fn twins(&self) -> Vec<Option<usize>> {
        let before = |n: usize| self.lines[n].after.iter().copied().collect::<BTreeSet<_>>();
        let later = |n: usize| {
            let lines = self.lines.iter().enumerate();
            lines.filter(|(_, l)| l.after.contains(&n)).map(|(l, _)| l).collect::<BTreeSet<_>>()
        };
        let same = |a: usize, b: usize| {
            self.lines[a].pattern == self.lines[b].pattern
                && self.lines[a].after_others == self.lines[b].after_others
                && before(a) == before(b)
                && later(a) == later(b)
        };
        (0..self.lines.len()).map(|n| (0..n).rev().find(|&twin| same(twin, n))).collect()
    }
}

const TOO_LONG: &str = "more than 1,000 lines came; print less, or take the run out of the header";

const UNDECIDED: &str = "there are too many ways to read this output to try them all; \
                         let the promised lines differ more (other words, fewer `[..]`)";

/// One promise beside the lines that came.
struct Search<'a> {
    promise: &'a Promise,
    came: &'a [&'a str],
    /// By promised line and line that came: all ways to read one as the other.
    readings: Vec<Vec<Vec<Reading>>>,
    /// The promised lines but `...`, those first that few lines match.
    by_choice: Vec<usize>,
    twins: Vec<Option<usize>>,
    is_open: bool,
}

/// The promised line that is next (in exact order), the line that came and is next, the promised lines
/// that are taken, and the names.
type Situation = (usize, usize, Vec<bool>, Binding);

/// Where a search stands.
struct State {
    rules: Rules,
    places: Places,
    steps: usize,
    failed: HashSet<Situation>,
    /// How far it came: promised lines kept, lines that came.
    farthest: (usize, usize),
}

impl State {
    fn new(lines: usize, rules: Rules) -> State {
        let places = vec![None; lines];
        State { rules, places, steps: 0, failed: HashSet::new(), farthest: (0, 0) }
    }

    /// Whether to go on from here: not if it is hopeless, nor if the search has taken too long.
    fn enter(&mut self, line: usize, at: usize, binding: &Binding) -> bool {
        self.steps += 1;
        self.steps <= STEPS && !self.failed.contains(&self.situation(line, at, binding))
    }

    fn fail(&mut self, line: usize, at: usize, binding: &Binding) -> bool {
        if self.steps <= STEPS {
            let situation = self.situation(line, at, binding);
            self.failed.insert(situation);
        }
        false
    }

    fn situation(&self, line: usize, at: usize, binding: &Binding) -> Situation {
        (line, at, self.places.iter().map(Option::is_some).collect(), binding.clone())
    }
}

impl<'a> Search<'a> {
    fn new(promise: &'a Promise, came: &'a [&'a str]) -> Search<'a> {
        let reading = |line: &Line| match &line.pattern {
            Some(pattern) => came.iter().map(|text| pattern.readings(text)).collect(),
            None => vec![Vec::new(); came.len()],
        };
        let readings: Vec<Vec<Vec<Reading>>> = promise.lines.iter().map(reading).collect();
        let mut by_choice: Vec<usize> =
            (0..promise.lines.len()).filter(|&n| promise.lines[n].pattern.is_some()).collect();
        by_choice.sort_by_key(|&n| readings[n].iter().filter(|r| !r.is_empty()).count());
        let twins = promise.twins();
        Search { promise, came, readings, by_choice, twins, is_open: promise.is_open() }
    }

    fn run(&self, rules: Rules) -> Found {
        let mut state = State::new(self.promise.lines.len(), rules);
        let found = match self.promise.order {
            Order::Exact => self.exact(0, 0, &Binding::new(), &mut state),
            Order::Any => self.any(0, &Binding::new(), &mut state),
        };
        match found {
            true => Found::Yes(state.places),
            false if state.steps > STEPS => Found::Undecided,
            false => Found::No,
        }
    }

    /// Whether the promised lines from `line` on are the lines from `at` on.
    fn exact(&self, line: usize, at: usize, binding: &Binding, state: &mut State) -> bool {
        state.farthest = state.farthest.max((line, at));
        let Some(promised) = self.promise.lines.get(line) else {
            return at == self.came.len();
        };
        if !state.enter(line, at, binding) {
            return false;
        }
        if promised.pattern.is_none() {
            state.places[line] = Some(at);
            if self.exact(line + 1, at, binding, state) {
                return true;
            }
            state.places[line] = None;
            if at < self.came.len() && self.exact(line, at + 1, binding, state) {
                return true;
            }
        } else if at < self.came.len() {
            for bound in self.bindings(line, at, binding, state.rules) {
                state.places[line] = Some(at);
                if self.exact(line + 1, at + 1, &bound, state) {
                    return true;
                }
                state.places[line] = None;
            }
        }
        if promised.optional && self.exact(line + 1, at, binding, state) {
            return true;
        }
        state.fail(line, at, binding)
    }

    /// Whether the lines from `at` on can take the places that are open.
    fn any(&self, at: usize, binding: &Binding, state: &mut State) -> bool {
        let open = self.by_choice.iter().filter(|&&n| state.places[n].is_none()).count();
        let rest = self.came.len() - at;
        if rest == 0 {
            return open == 0;
        }
        if rest < open || (rest > open && !self.is_open) || !state.enter(0, at, binding) {
            return false;
        }
        let in_order = |state: &State, line: usize| {
            self.promise.lines[line].after.iter().all(|&before| state.places[before].is_some())
        };
        let mut lines: Vec<usize> = self.by_choice.clone();
        lines.retain(|&n| {
            let twin = self.twins[n].is_none_or(|twin| state.places[twin].is_some());
            let order = !state.rules.order || in_order(state, n);
            state.places[n].is_none() && twin && order && !self.readings[n][at].is_empty()
        });
        // Without the rule of order, still prefer what keeps it: the report is about what is left.
        lines.sort_by_key(|&n| !in_order(state, n));
        for line in lines {
            for bound in self.bindings(line, at, binding, state.rules) {
                state.places[line] = Some(at);
                if self.any(at + 1, &bound, state) {
                    return true;
                }
                state.places[line] = None;
            }
        }
        let is_last = |&n: &usize| self.promise.lines[n].after_others && state.places[n].is_some();
        let closed = state.rules.order && self.by_choice.iter().any(is_last);
        if self.is_open && !closed && self.any(at + 1, binding, state) {
            return true;
        }
        state.fail(0, at, binding)
    }

    /// What the names stand for once the line at `at` takes the place of `line`: one for each way to read
    /// it, none if the names forbid it.
    fn bindings(&self, line: usize, at: usize, binding: &Binding, rules: Rules) -> Vec<Binding> {
        let readings = &self.readings[line][at];
        if !rules.names {
            return readings.first().map(|_| Binding::new()).into_iter().collect();
        }
        let join = |reading: &Reading| {
            let mut bound = binding.clone();
            reading.iter().all(|(name, text)| name.bind(text, &mut bound).is_ok()).then_some(bound)
        };
        readings.iter().filter_map(join).collect()
    }

    /// The rule that an output in exact order broke.
    fn why_not_exact(&self) -> String {
        let mut state = State::new(self.promise.lines.len(), Rules { names: false, order: true });
        if self.exact(0, 0, &Binding::new(), &mut state) {
            return self.broken_name(&state.places);
        }
        let (line, at) = state.farthest;
        let came = self.came.get(at);
        match (self.promise.lines.get(line), came) {
            (Some(promised), Some(came)) => format!(
                "line {} must be `{}`, but line {} came as `{}`",
                line + 1,
                promised.source,
                at + 1,
                short(came)
            ),
            (Some(promised), None) => {
                format!("line {} is missing: `{}`", line + 1, promised.source)
            }
            (None, Some(came)) => format!("line {} was not promised: `{}`", at + 1, short(came)),
            (None, None) => UNDECIDED.into(),
        }
    }

    /// The rule that an output in any order broke.
    fn why_not_any(&self) -> String {
        let (places, lines) = self.matching();
        let wrong = self.wrong_lines(&places, &lines);
        if !wrong.is_empty() {
            return wrong.join("\n");
        }
        match self.run(Rules { names: true, order: false }) {
            Found::Yes(places) => self.broken_order(&places),
            Found::No => self.broken_name(&places),
            Found::Undecided => UNDECIDED.into(),
        }
    }

    /// As many promised lines as can be kept if neither names nor order count; and the same from the side
    /// of the lines that came.
    fn matching(&self) -> (Places, Places) {
        fn place(
            search: &Search<'_>,
            line: usize,
            tried: &mut [bool],
            places: &mut Places,
            lines: &mut Places,
        ) -> bool {
            for at in 0..search.came.len() {
                if tried[at] || search.readings[line][at].is_empty() {
                    continue;
                }
                tried[at] = true;
                let free = match lines[at] {
                    None => true,
                    Some(other) => place(search, other, tried, places, lines),
                };
                if free {
                    places[line] = Some(at);
                    lines[at] = Some(line);
                    return true;
                }
            }
            false
        }

        let mut places = vec![None; self.promise.lines.len()];
        let mut lines = vec![None; self.came.len()];
        let mut by_choice = self.by_choice.clone();
        by_choice.sort_by_key(|&n| (self.readings[n].iter().filter(|r| !r.is_empty()).count(), n));
        for line in by_choice {
            place(self, line, &mut vec![false; self.came.len()], &mut places, &mut lines);
        }
        (places, lines)
    }

    /// A sentence for each promised line that is missing and each line that came beyond the promise.
    fn wrong_lines(&self, places: &Places, lines: &Places) -> Vec<String> {
        let missing = self.promise.lines.iter().zip(places).enumerate();
        let missing =
            missing.filter(|(_, (line, place))| line.pattern.is_some() && place.is_none());
        let mut wrong: Vec<String> = missing
            .map(|(number, (line, _))| {
                let same = self.promise.lines.iter().filter(|l| l.pattern == line.pattern).count();
                let often =
                    if same > 1 { format!(" (promised {same} times)") } else { String::new() };
                format!("line {} is missing: `{}`{often}", number + 1, line.source)
            })
            .collect();
        if !self.is_open {
            let left = lines.iter().enumerate().filter(|(_, line)| line.is_none());
            wrong.extend(left.map(|(at, _)| {
                let known = self.by_choice.iter().any(|&n| !self.readings[n][at].is_empty());
                let why = if known { "came more often than promised" } else { "was not promised" };
                format!("line {} {why}: `{}`", at + 1, short(self.came[at]))
            }));
        }
        wrong
    }

    /// What is wrong with the names if the lines stand in these places.
    fn broken_name(&self, places: &Places) -> String {
        let mut binding = Binding::new();
        for (line, place) in places.iter().enumerate() {
            let readings = place.and_then(|at| self.readings[line].get(at));
            for (name, text) in readings.and_then(|r| r.first()).into_iter().flatten() {
                if let Err(conflict) = name.bind(text, &mut binding) {
                    return format!("{conflict} (line {})", line + 1);
                }
            }
        }
        "no text can be given to each name so that all lines fit".into()
    }

    /// The first mark that does not hold if the lines stand in these places.
    fn broken_order(&self, places: &Places) -> String {
        for (number, line) in self.promise.lines.iter().enumerate() {
            for &before in &line.after {
                if let (Some(here), Some(there)) = (places[number], places[before])
                    && here < there
                {
                    return format!(
                        "line {} must come after line {}: `{}` came as line {}, `{}` only as line {}",
                        number + 1,
                        before + 1,
                        short(self.came[here]),
                        here + 1,
                        short(self.came[there]),
                        there + 1
                    );
                }
            }
            if line.after_others
                && let Some(here) = places[number]
                && let Some(there) = (here..self.came.len()).find(|at| !places.contains(&Some(*at)))
            {
                return format!(
                    "line {} must come after all others, but `{}` came as line {}",
                    number + 1,
                    short(self.came[there]),
                    there + 1
                );
            }
        }
        "the lines do not come in an order that the marks and the names allow together".into()
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "promised:\n{}came:\n{}rule broken: ", self.promised, self.came)?;
        f.write_str(&self.rule.replace('\n', "\n             "))
    }
}

impl std::error::Error for Mismatch {}

/// The lines with their numbers, the middle of a long text left out.
fn numbered<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::new();
    let mut left_out = 0;
    for (number, line) in lines.enumerate() {
        if number < SHOWN {
            let _ = writeln!(text, "{:5}  {}", number + 1, short(line));
        } else {
            left_out += 1;
        }
    }
    match (text.is_empty(), left_out) {
        (true, _) => "       (nothing)\n".into(),
        (false, 0) => text,
        (false, _) => format!("{text}       (and {left_out} more lines)\n"),
    }
}

/// A line as a report shows it.
fn short(line: &str) -> String {
    match line.char_indices().nth(160) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promise(order: Order, text: &str) -> Promise {
        Promise::new(order, &text.lines().collect::<Vec<_>>()).expect("the promise is well formed")
    }

    fn keeps(order: Order, text: &str, output: &str) {
        if let Err(mismatch) = promise(order, text).check(output) {
            panic!("kept, but reported:\n{mismatch}");
        }
    }

    /// The rule that `output` breaks.
    fn breaks(order: Order, text: &str, output: &str) -> String {
        promise(order, text).check(output).expect_err("the promise is broken").rule
    }

    const BASIC: &str = "\
Main process (PID: [PID main]) starting
Worker process (PID: [PID 1]) starting, name: Process 1  <- after 1
Worker process (PID: [PID 2]) starting, name: Process 2  <- after 1
Worker process (PID: [PID 1]) finishing, name: Process 1  <- after 2, 3
Worker process (PID: [PID 2]) finishing, name: Process 2  <- after 2, 3
Main process finishing  <- after all above";

    const BASIC_CAME: [&str; 6] = [
        "Main process (PID: 100) starting",
        "Worker process (PID: 102) starting, name: Process 2",
        "Worker process (PID: 101) starting, name: Process 1",
        "Worker process (PID: 102) finishing, name: Process 2",
        "Worker process (PID: 101) finishing, name: Process 1",
        "Main process finishing",
    ];

    #[test]
    fn exact_order_is_exact() {
        let text = "Received: Hello\nReceived: World";
        keeps(Order::Exact, text, "Received: Hello\nReceived: World\n");
        let swapped = breaks(Order::Exact, text, "Received: World\nReceived: Hello\n");
        assert!(swapped.contains("line 1 must be `Received: Hello`"), "{swapped}");
        let missing = breaks(Order::Exact, text, "Received: Hello\n");
        assert_eq!(missing, "line 2 is missing: `Received: World`");
        let twice =
            breaks(Order::Exact, text, "Received: Hello\nReceived: World\nReceived: World\n");
        assert_eq!(twice, "line 3 was not promised: `Received: World`");
        keeps(Order::Exact, "", "");
        assert_eq!(breaks(Order::Exact, "", "x\n"), "line 1 was not promised: `x`");
        assert_eq!(breaks(Order::Exact, "x", ""), "line 1 is missing: `x`");
    }

    #[test]
    fn three_points_stand_for_any_number_of_lines() {
        let text = "first\n...\nlast [PID a]\n...\n[PID a]";
        keeps(Order::Exact, text, "first\nlast 1\n1\n");
        keeps(Order::Exact, text, "first\nlast 1\nlast 2\n2\n3\n2\n");
        assert_eq!(breaks(Order::Exact, text, "first\nx\n"), "line 3 is missing: `last [PID a]`");
        let names = breaks(Order::Exact, text, "first\nlast 1\n2\n");
        assert!(names.contains("[PID a] must be the same"), "{names}");
    }

    #[test]
    fn a_line_that_comes_sometimes_may_be_missing() {
        let text = "Running...\nRunning...\nRunning...  <- sometimes";
        keeps(Order::Exact, text, "Running...\nRunning...\n");
        keeps(Order::Exact, text, "Running...\nRunning...\nRunning...\n");
        let fewer = breaks(Order::Exact, text, "Running...\n");
        assert_eq!(fewer, "line 2 is missing: `Running...`");
        let more = breaks(Order::Exact, text, &"Running...\n".repeat(4));
        assert_eq!(more, "line 4 was not promised: `Running...`");

        let text = "a [N 1]  <- sometimes\na [N 2]  <- sometimes\n...\nb [N 2]  <- sometimes\nc";
        for output in ["c", "a 1\nc", "a 1\na 2\nb 2\nc", "a 2\nx\nb 2\nc", "b 7\nc"] {
            keeps(Order::Exact, text, output);
        }
        assert!(breaks(Order::Exact, text, "c\nd").contains("`d`"));
    }

    #[test]
    fn names_hold_in_exact_order() {
        let text = "main [PID main]\nchild [PID child] of [PID main]";
        keeps(Order::Exact, text, "main 7\nchild 8 of 7\n");
        let other = breaks(Order::Exact, text, "main 7\nchild 8 of 9\n");
        assert_eq!(
            other,
            "[PID main] must be the same text everywhere, but was `7` and then `9` (line 2)"
        );
        let same = breaks(Order::Exact, text, "main 7\nchild 7 of 7\n");
        assert_eq!(
            same,
            "[PID main] and [PID child] must be different, but both were `7` (line 2)"
        );
    }

    #[test]
    fn names_hold_within_a_line() {
        keeps(Order::Exact, "[PID a] [PID a] [PID b]", "7 7 8\n");
        assert!(breaks(Order::Exact, "[PID a] [PID a]", "7 8\n").contains("must be the same"));
        assert!(breaks(Order::Exact, "[PID a] [PID b]", "7 7\n").contains("must be different"));
        keeps(Order::Exact, "[PID a] [N a]", "7 7\n");
        keeps(Order::Exact, "[..][N a][..]\n[N a]", "1 2 3\n2\n");
    }

    #[test]
    fn any_order_is_a_multiset() {
        let text = "a\nb\nb";
        keeps(Order::Any, text, "b\na\nb\n");
        assert_eq!(
            breaks(Order::Any, text, "a\na\nb\n"),
            "line 3 is missing: `b` (promised 2 times)\nline 2 came more often than promised: `a`"
        );
        assert_eq!(breaks(Order::Any, text, "b\na\n"), "line 3 is missing: `b` (promised 2 times)");
        let other = breaks(Order::Any, text, "b\na\nb\nc\n");
        assert_eq!(other, "line 4 was not promised: `c`");
    }

    #[test]
    fn three_points_in_any_order_let_other_lines_come() {
        keeps(Order::Any, "a\n...\nb", "x\nb\ny\na\n");
        assert_eq!(breaks(Order::Any, "a\n...\nb", "x\nb\n"), "line 1 is missing: `a`");
        let text = "a\n...\nb  <- after all above";
        keeps(Order::Any, text, "x\na\ny\nb\n");
        let late = breaks(Order::Any, text, "x\na\nb\ny\n");
        assert_eq!(late, "line 3 must come after all others, but `y` came as line 4");
    }

    #[test]
    fn two_workers_beside_their_parent() {
        let came = BASIC_CAME;
        keeps(Order::Any, BASIC, &came.join("\n"));

        let mut early = came;
        early.swap(2, 3);
        let rule = breaks(Order::Any, BASIC, &early.join("\n"));
        assert!(rule.starts_with("line 5 must come after line 2"), "{rule}");

        let mut last = came;
        last.swap(4, 5);
        let rule = breaks(Order::Any, BASIC, &last.join("\n"));
        assert!(rule.starts_with("line 6 must come after line 4"), "{rule}");

        let mut other = came;
        other[4] = "Worker process (PID: 103) finishing, name: Process 1";
        let rule = breaks(Order::Any, BASIC, &other.join("\n"));
        assert!(rule.contains("[PID 1] must be the same"), "{rule}");

        let one = came.join("\n").replace("102", "101");
        let rule = breaks(Order::Any, BASIC, &one);
        assert!(rule.contains("[PID 1] and [PID 2] must be different"), "{rule}");

        let rule = breaks(Order::Any, BASIC, &came[..5].join("\n"));
        assert!(rule.starts_with("line 6 is missing: `Main process finishing"), "{rule}");
    }

    #[test]
    fn names_need_not_follow_the_order_of_the_lines() {
        let text = "start [PID 1]\nstart [PID 2]\nend [PID 1] first\nend [PID 2] second";
        keeps(Order::Any, text, "start 8\nstart 7\nend 7 first\nend 8 second\n");
        let rule = breaks(Order::Any, text, "start 8\nstart 7\nend 7 first\nend 9 second\n");
        assert!(rule.contains("[PID"), "{rule}");
    }

    #[test]
    fn parent_and_child_at_the_ends_of_a_pipe() {
        let mut lines = Vec::new();
        for (number, message) in ["one", "1", "two", "2", "None"].iter().enumerate() {
            let mark = if number == 0 { "" } else { "  <- after above" };
            lines.push(format!("Parent: Sending '{message}' to child{mark}"));
        }
        lines.push("Parent Finished Sending  <- after above".into());
        for (number, message) in ["one", "1", "two", "2"].iter().enumerate() {
            let above = if number == 0 { "" } else { ", above" };
            lines.push(format!(
                "Child: Received '{message}' from parent  <- after {}{above}",
                number + 1
            ));
        }
        lines.push("Child Exiting  <- after 5, above".into());
        lines.push("Both Parent and Child Exited  <- after all above".into());
        let text = lines.join("\n");
        let plain = |n: usize| lines[n].split("  <- ").next().unwrap_or_default();
        let output = |order: [usize; 12]| order.map(plain).join("\n");

        keeps(Order::Any, &text, &output([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]));
        keeps(Order::Any, &text, &output([0, 6, 1, 7, 2, 3, 8, 4, 9, 10, 5, 11]));
        for (early, order) in [
            ("a message received before it was sent", [6, 0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11]),
            ("sendings change places", [1, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
            ("the child exits too early", [0, 1, 2, 3, 6, 7, 8, 9, 10, 4, 5, 11]),
            ("not the last", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 10]),
        ] {
            let rule = breaks(Order::Any, &text, &output(order));
            assert!(rule.contains("must come after"), "{early}: {rule}");
        }
    }

    #[test]
    fn workers_at_one_queue() {
        let mut lines = Vec::new();
        for item in 0..13 {
            let text = match item {
                0..10 => format!("Worker: Processing {item}"),
                _ => "Worker: Exiting".into(),
            };
            let mark = if item < 3 { String::new() } else { format!("  <- after {}", item - 2) };
            lines.push(format!("{text}{mark}"));
        }
        lines.push("All tasks completed  <- after all above".into());
        let text = lines.join("\n");
        let plain = |n: usize| lines[n].split("  <- ").next().unwrap_or_default();
        let output = |order: [usize; 14]| order.map(plain).join("\n");

        keeps(Order::Any, &text, &output([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]));
        keeps(Order::Any, &text, &output([1, 0, 2, 4, 3, 5, 7, 6, 8, 10, 11, 9, 12, 13]));
        for order in [
            [3, 0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13],
            [0, 1, 2, 3, 4, 5, 6, 10, 7, 8, 9, 11, 12, 13],
            [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 9, 13],
        ] {
            let rule = breaks(Order::Any, &text, &output(order));
            assert!(rule.contains("must come after"), "{rule}");
        }
    }

    #[test]
    fn thirty_lines_are_decided_quickly() {
        let names = 1..=15;
        let mut lines: Vec<String> = names.clone().map(|n| format!("start [PID {n}]")).collect();
        lines.extend(names.map(|n| format!("end [PID {n}]  <- after {n}")));
        let starts = (1..=15).map(|n| format!("start {}", 100 + n));
        let ends = (1..=15).rev().map(|n| format!("end {}", 100 + n));
        let came: Vec<String> = starts.chain(ends).collect();
        keeps(Order::Any, &lines.join("\n"), &came.join("\n"));

        let mut foreign = came.clone();
        foreign[20] = "end 999".into();
        let rule = breaks(Order::Any, &lines.join("\n"), &foreign.join("\n"));
        assert!(rule.contains("[PID") || rule == UNDECIDED, "{rule}");
        let rule = breaks(Order::Any, &lines.join("\n"), &came[..29].join("\n"));
        assert!(rule.contains("missing"), "{rule}");
    }

    #[test]
    fn a_flood_is_cut_off() {
        assert_eq!(breaks(Order::Exact, "...", &"x\n".repeat(LINES + 1)), TOO_LONG);
        keeps(Order::Exact, "...", &"x\n".repeat(LINES));
        keeps(Order::Any, "...", &"x\n".repeat(LINES));
    }

    #[test]
    fn bad_marks_are_refused() {
        let error = |text: &str| {
            let lines: Vec<&str> = text.lines().collect();
            Promise::new(Order::Any, &lines).expect_err("the marks are wrong")
        };
        assert_eq!(error("a  <- after 2").1, "there is no line 2");
        assert_eq!(error("a\nb  <- after 3").0, 1);
        assert!(error("a  <- after above").1.contains("no line above"));
        assert!(error("a  <- after next").1.contains("`after next`"));
        assert!(error("a  <- after 0").1.contains("from 1"));
        assert!(error("...\na  <- after above").1.contains("no place"));
        assert!(error("a\n...  <- after 1").1.contains("cannot have a mark"));
        assert_eq!(error("a  <- after 2\nb  <- after 1").1, "the marks go in a circle");
        assert!(error("a  <- after 1").1.contains("circle"));
        let exact = Promise::new(Order::Exact, &["a", "b  <- after 1"]).expect_err("no marks here");
        assert!(exact.1.contains("any-order"));
        assert!(error("a  <- sometimes").1.contains("any-order"));
        let error = Promise::new(Order::Exact, &["...  <- sometimes"]).expect_err("no line");
        assert!(error.1.contains("cannot have a mark"));
    }

    #[test]
    fn a_report_shows_both_sides_and_the_rule() {
        let error = promise(Order::Exact, "a").check("b\n").expect_err("differs").to_string();
        assert_eq!(
            error,
            "promised:\n    1  a\ncame:\n    1  b\nrule broken: line 1 must be `a`, but line 1 came as `b`"
        );
    }
}
