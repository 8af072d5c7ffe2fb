//! The header of a lesson: five parts, in this order.
//!
//! ````text
//! //! # 5.1 Process Example 1 (Python Processes)        title, and the document it comes from, by its title
//! //!
//! //! Two children run beside their parent.         the idea
//! //!
//! //! ```console,any-order,elapsed:2..              one or more blocks: a command and its output
//! //! $ cargo run -p CRATE --bin NAME
//! //! ...
//! //! ```
//! //!
//! //! Observe: what to look at.
//! //! Try: what to change.
//! ````

use crate::promise::{Order, Promise};

/// The header of a lesson.
#[derive(Clone, Debug)]
pub struct Header {
    /// Section and title, without the source.
    pub title: String,
    /// The document that the lesson comes from, by its title; several are parted by semicolons.
    pub source: String,
    /// What the lesson shows.
    pub idea: String,
    /// The runs it promises; at least one.
    pub blocks: Vec<Block>,
    /// What to look at.
    pub observe: String,
    /// What to change, and what to ask.
    pub try_it: String,
}

/// One run that a header promises.
#[derive(Clone, Debug)]
pub struct Block {
    /// What the reader types.
    pub command: Command,
    /// The exit status; 0 unless the fence says `exit:`.
    pub exit: i32,
    /// Whether something may come on standard error, as the fence word `stderr` allows.
    pub stderr: bool,
    /// The seconds that it may take, as `elapsed:` says.
    pub elapsed: Option<(f64, Option<f64>)>,
    /// How many different process ids stand at its `[PID]`, as `pids:` says.
    pub pids: Option<usize>,
    /// What comes on standard output.
    pub output: Promise,
}

/// `cargo run -p CRATE --bin NAME`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The command as written, without the `$`.
    pub text: String,
    /// The value of `-p`.
    pub package: String,
    /// The values of `--features`.
    pub features: Vec<String>,
    /// The value of `--bin`.
    pub bin: String,
    /// What follows `--`.
    pub args: Vec<String>,
}

/// What is wrong with a header, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct HeaderError {
    /// The line in the file, from 1.
    pub line: usize,
    /// What is wrong, and the way out.
    pub problem: String,
}

impl Header {
    /// Reads the header at the start of a lesson.
    ///
    /// # Errors
    ///
    /// The first part that is missing, misplaced or not readable.
    pub fn parse(source: &str) -> Result<Header, HeaderError> {
        let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
        let lines = lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
        Parser { lines, at: 0 }.header()
    }

    /// The first sentence of the idea, in one line.
    pub fn summary(&self) -> &str {
        match self.idea.find(". ") {
            Some(end) => &self.idea[..=end],
            None => &self.idea,
        }
    }
}

impl Command {
    fn parse(line: &str) -> Result<Command, String> {
        let form = || format!("write `{FORM}`");
        let text = line.strip_prefix("$ ").ok_or_else(form)?.trim_end();
        if let Some(sign) = text.chars().find(|c| "'\"|&;<>$`\\*?".contains(*c)) {
            return Err(format!("`{sign}` means something to a shell; {}", form()));
        }
        let mut words = text.split_whitespace();
        if (words.next(), words.next()) != (Some("cargo"), Some("run")) {
            return Err(form());
        }
        let (mut package, mut bin, mut features) = (None, None, Vec::new());
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("`{word}` lacks its value"));
            match word {
                "-p" => package = Some(value()?.to_owned()),
                "--bin" => bin = Some(value()?.to_owned()),
                "--features" => features.extend(value()?.split(',').map(str::to_owned)),
                "--" => break,
                _ => return Err(format!("`{word}` is not expected; {}", form())),
            }
        }
        let package = package.ok_or_else(|| format!("`-p` is missing; {}", form()))?;
        let bin = bin.ok_or_else(|| format!("`--bin` is missing; {}", form()))?;
        let args = words.map(str::to_owned).collect();
        Ok(Command { text: text.to_owned(), package, features, bin, args })
    }
}

const FORM: &str = "$ cargo run -p CRATE [--features NAME] --bin NAME [-- ARGUMENTS]";

/// The header's lines, without `//!`, and the first that is not read yet.
struct Parser<'a> {
    lines: Vec<&'a str>,
    at: usize,
}

impl<'a> Parser<'a> {
    fn header(mut self) -> Result<Header, HeaderError> {
        let (title, source) = self.title()?;
        let idea = self.idea()?;
        let mut blocks = Vec::new();
        while let Some(line) = self.peek() {
            if line.starts_with("```console") {
                blocks.push(self.block()?);
            } else if line.starts_with("```") {
                return Err(self.error("a fence in a header is ```console"));
            } else if line.starts_with("Observe:") {
                break;
            } else if line.starts_with("Try:") {
                return Err(self.error("`Try:` comes after `Observe:`"));
            } else {
                self.at += 1;
            }
        }
        if blocks.is_empty() {
            return Err(self.error("the command and its output are missing, in a fence ```console"));
        }
        let observe = self.part("Observe:")?;
        let try_it = self.part("Try:")?;
        match self.peek() {
            None => Ok(Header { title, source, idea, blocks, observe, try_it }),
            Some(_) => Err(self.error("`Try:` is the last part of a header")),
        }
    }

    fn title(&mut self) -> Result<(String, String), HeaderError> {
        const FORM: &str = "the first line is `//! # SECTION AND TITLE (SOURCE)`";
        let line = self.peek().and_then(|line| line.strip_prefix("# "));
        let parts = line.and_then(|line| line.trim_end().strip_suffix(')')?.rsplit_once('('));
        match parts.map(|(title, source)| (title.trim(), source.trim())) {
            Some((title, source)) if !title.is_empty() && !source.is_empty() => {
                self.at += 1;
                Ok((title.to_owned(), source.to_owned()))
            }
            _ => Err(self.error(FORM)),
        }
    }

    /// The lines up to the first fence, as one line.
    fn idea(&mut self) -> Result<String, HeaderError> {
        self.skip_blank();
        let mut idea = Vec::new();
        while let Some(line) = self.peek() {
            if ["```", "Observe:", "Try:"].iter().any(|part| line.starts_with(part)) {
                break;
            }
            if line.starts_with("# ") {
                return Err(self.error("a header has one title"));
            }
            idea.extend(Some(line.trim()).filter(|line| !line.is_empty()));
            self.at += 1;
        }
        match idea.is_empty() {
            true => Err(self.error("the idea is missing, between the title and the first fence")),
            false => Ok(idea.join(" ")),
        }
    }

    fn block(&mut self) -> Result<Block, HeaderError> {
        let fence = self.fence().map_err(|problem| self.error(&problem))?;
        self.at += 1;
        let command = self.peek().unwrap_or_default();
        let command = Command::parse(command).map_err(|problem| self.error(&problem))?;
        self.at += 1;

        let first = self.at;
        let Some(length) = self.lines[first..].iter().position(|line| line.trim_end() == "```")
        else {
            return Err(self.error("the fence is not closed"));
        };
        let output = &self.lines[first..first + length];
        if let Some(at) = output.iter().position(|line| line.starts_with("$ ")) {
            self.at += at;
            return Err(self.error("one command in each fence; open another one"));
        }
        let output = Promise::new(fence.order, output).map_err(|(number, problem)| {
            self.at += number;
            self.error(&problem)
        })?;
        self.at += length + 1;
        Ok(Block {
            command,
            exit: fence.exit,
            stderr: fence.stderr,
            elapsed: fence.elapsed,
            pids: fence.pids,
            output,
        })
    }

    /// The words of the fence at this line.
    fn fence(&self) -> Result<Fence, String> {
        let line = self.peek().unwrap_or_default().trim_end();
        let mut fence =
            Fence { order: Order::Exact, exit: 0, stderr: false, elapsed: None, pids: None };
        let mut words = line.split(',');
        if words.next() != Some("```console") {
            return Err("a fence in a header is ```console".into());
        }
        for word in words {
            let unknown = || {
                format!(
                    "`{word}`: a fence knows any-order, elapsed:LOW..HIGH, exit:STATUS, pids:COUNT and \
                     stderr"
                )
            };
            match word.split_once(':') {
                None if word == "any-order" => fence.order = Order::Any,
                None if word == "stderr" => fence.stderr = true,
                Some(("exit", status)) => fence.exit = status.parse().map_err(|_| unknown())?,
                Some(("pids", count)) => {
                    fence.pids = Some(count.parse().map_err(|_| unknown())?);
                }
                Some(("elapsed", range)) => {
                    let (low, high) = range.split_once("..").ok_or_else(unknown)?;
                    let seconds = |text: &str| {
                        text.parse().ok().filter(|s: &f64| s.is_finite()).ok_or_else(unknown)
                    };
                    let low = seconds(low)?;
                    let high =
                        Some(high).filter(|high| !high.is_empty()).map(seconds).transpose()?;
                    if high.is_some_and(|high| high <= low) {
                        return Err(format!("`{word}`: LOW is less than HIGH"));
                    }
                    fence.elapsed = Some((low, high));
                }
                _ => return Err(unknown()),
            }
        }
        Ok(fence)
    }

    /// The text of `Observe:` or `Try:`, as one line.
    fn part(&mut self, word: &str) -> Result<String, HeaderError> {
        self.skip_blank();
        let Some(text) = self.peek().and_then(|line| line.strip_prefix(word)) else {
            return Err(self.error(&format!("`{word}` is missing")));
        };
        let mut part = vec![text.trim()];
        self.at += 1;
        while let Some(line) = self.peek() {
            if line.starts_with("Try:") || line.starts_with("```") {
                break;
            }
            part.push(line.trim());
            self.at += 1;
        }
        let part = part.join(" ").trim().to_owned();
        match part.is_empty() {
            true => Err(self.error(&format!("`{word}` says nothing"))),
            false => Ok(part),
        }
    }

    fn peek(&self) -> Option<&'a str> {
        self.lines.get(self.at).copied()
    }

    fn skip_blank(&mut self) {
        while self.peek().is_some_and(|line| line.trim().is_empty()) {
            self.at += 1;
        }
    }

    fn error(&self, problem: &str) -> HeaderError {
        HeaderError { line: self.at + 1, problem: problem.to_owned() }
    }
}

struct Fence {
    order: Order,
    exit: i32,
    stderr: bool,
    elapsed: Option<(f64, Option<f64>)>,
    pids: Option<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
//! # 5.1 Process Example 1 (again)               (Python Processes)
//!
//! Two children run beside their parent; `join` waits
//! for both. A second sentence.
//!
//! ```console,any-order,elapsed:2..10,stderr
//! $ cargo run -p lesson05-processes --bin process_basic
//! Main starting
//!
//! [..]  <- after 1
//! ```
//!
//! With an argument:
//!
//! ```console,exit:101
//! $ cargo run -p lesson05-processes --features plot --bin process_basic -- 3 --fast
//! ```
//!
//! Observe: three PIDs,
//! and more.
//! Try: join each child
//! right away.

fn main() {}
";

    fn error(from: &str, to: &str) -> HeaderError {
        assert!(GOOD.contains(from), "the test changes something");
        Header::parse(&GOOD.replacen(from, to, 1)).expect_err("the header is wrong")
    }

    #[test]
    fn five_parts_are_read() {
        let header = Header::parse(GOOD).expect("the header is right");
        assert_eq!(header.title, "5.1 Process Example 1 (again)");
        assert_eq!(header.source, "Python Processes");
        assert_eq!(
            header.summary(),
            "Two children run beside their parent; `join` waits for both."
        );
        assert!(header.idea.ends_with("A second sentence."));
        assert_eq!(header.observe, "three PIDs, and more.");
        assert_eq!(header.try_it, "join each child right away.");

        let [first, second] = &header.blocks[..] else { panic!("two blocks") };
        assert_eq!(first.command.bin, "process_basic");
        assert_eq!(first.command.package, "lesson05-processes");
        assert!(first.command.args.is_empty());
        assert_eq!((first.exit, first.stderr), (0, true));
        assert_eq!(first.elapsed, Some((2.0, Some(10.0))));
        assert!(first.output.check("Main starting\n\nx\n").is_ok());
        assert!(first.output.check("x\n\nMain starting\n").is_err());

        assert_eq!(second.command.features, ["plot"]);
        assert_eq!(second.command.args, ["3", "--fast"]);
        assert_eq!((second.exit, second.stderr, second.elapsed), (101, false, None));
        assert!(second.output.check("").is_ok());
    }

    #[test]
    fn the_example_in_contributing_is_well_formed() {
        let text = include_str!("../../../CONTRIBUTING.md");
        let example = text.split("````rust\n").nth(1).expect("an example in four backticks");
        let header = Header::parse(example).expect("the header is right");
        assert_eq!(header.source, "Python Processes");
        assert_eq!(header.blocks[0].elapsed, Some((2.0, None)));
        let output = "Main process (PID: 7) starting\n\
            Worker process (PID: 9) starting, name: Process 2\n\
            Worker process (PID: 8) starting, name: Process 1\n\
            Worker process (PID: 8) finishing, name: Process 1\n\
            Worker process (PID: 9) finishing, name: Process 2\n\
            Main process finishing\n";
        assert_eq!(header.blocks[0].output.check(output), Ok(()));
    }

    #[test]
    fn a_missing_or_misplaced_part_is_named() {
        for (from, to, line, problem) in [
            (
                "# 5.1 Process Example 1 (again)               (Python Processes)",
                "5.1 (x)",
                1,
                "first line",
            ),
            ("# 5.1 Process Example 1 (again) ", "#", 1, "first line"),
            ("Observe: three", "three", 21, "`Try:` comes after `Observe:`"),
            ("Try: join", "join", 23, "`Try:` is missing"),
            ("Observe: three", "Try: x\n//! Observe: three", 19, "comes after"),
            ("Observe: three PIDs,\n//! and more.", "Observe:", 20, "says nothing"),
            ("right away.", "right away.\n//! ```console\n", 23, "last part"),
            ("//! With an", "//! ```rust\n//! With an", 13, "is ```console"),
            ("$ cargo run", "cargo run", 7, "write `$ cargo run"),
        ] {
            let error = error(from, to);
            assert!(error.problem.contains(problem), "{to}: {error}");
            assert_eq!(error.line, line, "{to}: {error}");
        }
        let no_idea = "//! # T (d)\n//!\n//! ```console\n";
        let error = Header::parse(no_idea).expect_err("no idea");
        assert!(error.problem.contains("idea is missing"), "{error}");
        let no_block = "//! # T (d)\n//!\n//! Idea.\n//!\n//! Observe: a\n//! Try: b\n";
        let error = Header::parse(no_block).expect_err("no block");
        assert!(error.problem.contains("command and its output"), "{error}");
        let open = "//! # T (d)\n//!\n//! Idea.\n//! ```console\n//! $ cargo run -p a --bin b\n";
        assert_eq!(Header::parse(open).expect_err("open").problem, "the fence is not closed");
        assert_eq!(Header::parse("fn main() {}").expect_err("nothing").line, 1);
    }

    #[test]
    fn a_bad_fence_is_refused() {
        for word in [
            "any_order",
            "elapsed:2",
            "elapsed:5..2",
            "elapsed:..3",
            "exit:x",
            "exit",
            "pids:two",
            " stderr",
        ] {
            let error = error("any-order,elapsed:2..10,stderr", word);
            assert!(error.problem.contains(word), "{word}: {error}");
            assert_eq!(error.line, 6);
        }
        assert!(error("```console,any", "```consoles,any").problem.contains("```console"));
        assert_eq!(error("[..]  <- after 1", "[..]  <- after 9").line, 10);
    }

    #[test]
    fn an_open_end_of_elapsed_is_read() {
        let header = Header::parse(&GOOD.replace("2..10", "0.5..")).expect("right");
        assert_eq!(header.blocks[0].elapsed, Some((0.5, None)));
    }

    #[test]
    fn a_command_is_of_one_form() {
        for (command, problem) in [
            ("$ cargo test -p a --bin b", "write `$ cargo run"),
            ("$ cargo run --bin b", "`-p` is missing"),
            ("$ cargo run -p a", "`--bin` is missing"),
            ("$ cargo run -p a --bin", "`--bin` lacks its value"),
            ("$ cargo run -p a --bin b x", "`x` is not expected"),
            ("$ cargo run -p a --bin b | sort", "`|` means something"),
        ] {
            let error = Command::parse(command).expect_err(command);
            assert!(error.contains(problem), "{command}: {error}");
        }
    }
}
