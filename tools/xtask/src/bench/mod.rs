//! `cargo xtask bench`: `common` beside its peers and the bare machine, and whether it reaches its goals.
//!
//! The programs and the goals lie in `tools/bench`, whose README.md says what the metrics mean. All
//! peers are measured interleaved: for each metric every program runs once, then all of them again, in
//! up to three rounds. So a change of the machine's mood hits all alike.
//!
//! | exit code | meaning |
//! | --- | --- |
//! | 0 | every goal that was asked for is met |
//! | 1 | one is missed, or nothing could be measured |
//! | 2 | none is missed, but one has no figure |

mod figures;
mod goals;
mod peers;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use clap::builder::{PossibleValuesParser, RangedU64ValueParser};

use figures::{Figures, Line};
use goals::Goal;
use peers::{PEERS, Program};

/// The folder of the programs and the goals, from the root.
const FOLDER: &str = "tools/bench";

/// How often each program runs for one metric, at most.
const ROUNDS: usize = 3;

/// What the command line asks.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Only metrics whose names hold this, such as `pipe_rtt`
    #[arg(default_value = "", hide_default_value = true)]
    metric: String,
    /// Repetitions of each figure, in up to three rounds
    #[arg(long, default_value_t = 9, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    reps: usize,
    /// Only these programs, with commas between them
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(PEERS))]
    peers: Vec<String>,
    /// Print the lines of the programs, one for each figure and round, and nothing else
    #[arg(long)]
    json: bool,
}

/// Measures, prints the table and the goals.
pub(crate) fn run(root: &Path, arguments: &Arguments) -> Result<ExitCode, String> {
    let path = root.join(FOLDER).join("goals.json");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let goals = goals::read(&text).map_err(|error| format!("{FOLDER}/goals.json: {error}"))?;
    let goals: Vec<Goal> =
        goals.into_iter().filter(|goal| goal.metric.contains(&arguments.metric)).collect();

    let wanted = |name: &&&str| {
        arguments.peers.is_empty() || arguments.peers.iter().any(|peer| peer == **name)
    };
    let mut notes = Vec::new();
    let programs = peers::build(root, PEERS.iter().filter(wanted).copied(), &mut notes);
    let plan = plan(&programs, &arguments.metric, &goals)?;
    let lines = measure(&plan, arguments.reps, &mut notes);
    if arguments.json {
        let text: String = lines.iter().flat_map(|(text, _)| [text, "\n"]).collect();
        print(&text)?;
    }
    let figures = Figures::join(lines.into_iter().map(|(_, line)| line));
    let verdicts = goals::judge(&goals, &figures);
    if !arguments.json {
        let mut text = figures.table();
        text.push_str(&goals::table(&verdicts));
        for note in &notes {
            text.push_str(note);
            text.push('\n');
        }
        print(&text)?;
    }
    Ok(ExitCode::from(goals::exit_code(&verdicts)))
}

/// A metric, and the programs that have it.
type Step<'a> = (String, Vec<&'a Program>);

/// What is to be measured: what was asked for, and what goals compare it with.
fn plan<'a>(
    programs: &'a [Program],
    metric: &str,
    goals: &[Goal],
) -> Result<Vec<Step<'a>>, String> {
    let compared: BTreeSet<&str> = goals.iter().flat_map(Goal::metrics).collect();
    let mut steps: Vec<Step<'a>> = Vec::new();
    let mut others = BTreeSet::new();
    for program in programs {
        for name in &program.metrics {
            if !name.contains(metric) && !compared.contains(name.as_str()) {
                others.insert(name.as_str());
            } else if let Some((_, of)) = steps.iter_mut().find(|(known, _)| known == name) {
                of.push(program);
            } else {
                steps.push((name.clone(), vec![program]));
            }
        }
    }
    if steps.is_empty() {
        let names: Vec<&str> = others.into_iter().collect();
        return Err(format!("no metric holds {metric:?}; there are: {}", names.join(" ")));
    }
    Ok(steps)
}

/// Runs every step, and gives the lines that the programs print. What fails is noted.
fn measure(plan: &[Step<'_>], repetitions: usize, notes: &mut Vec<String>) -> Vec<(String, Line)> {
    let mut lines = Vec::new();
    for (number, (metric, programs)) in plan.iter().enumerate() {
        let names: Vec<&str> = programs.iter().map(|program| program.name).collect();
        progress(&format!("[{}/{}] {metric}: {}", number + 1, plan.len(), names.join(" ")));
        let rounds = rounds(repetitions);
        let patience = peers::patience() / rounds.len() as f64;
        for repetitions in rounds {
            for program in programs {
                match program.measure(metric, repetitions, patience) {
                    Ok(found) => lines.extend(found),
                    Err(problem) => note(notes, problem),
                }
            }
        }
    }
    lines
}

/// How many repetitions each round has.
fn rounds(repetitions: usize) -> Vec<usize> {
    let count = repetitions.min(ROUNDS);
    (0..count).map(|round| repetitions / count + usize::from(round < repetitions % count)).collect()
}

/// Says on standard error what is being done.
fn progress(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Says at once what does not run, and again below the table.
fn note(notes: &mut Vec<String>, text: String) {
    progress(&text);
    if !notes.contains(&text) {
        notes.push(text);
    }
}

fn print(text: &str) -> Result<(), String> {
    io::stdout().write_all(text.as_bytes()).map_err(|error| format!("the table: {error}"))
}
