//! What this machine gives for grading, and how to get more of it.

use std::fmt::Write;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::unistd::Pid;
use serde::Serialize;

use crate::evidence::{Observer, Source};
use crate::sandbox::{self, Accounting, Detection, Shortfall, Tier};

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Checkup {
    /// The highest tier of the sandbox that can be had.
    pub tier: Tier,
    /// Who counts what a run takes; nobody without a sandbox.
    pub accounting: Option<Accounting>,
    /// How processes can be observed; not at all where `/proc` is closed.
    pub evidence: Option<Source>,
    /// What could not be had, why, and what to do.
    pub shortfalls: Vec<Shortfall>,
}

impl Checkup {
    /// Tries everything. `launcher` is the program `autograder`.
    pub fn new(launcher: &Path) -> Checkup {
        let Detection { tier, accounting, mut shortfalls } = sandbox::detect(launcher);
        let evidence = match observe_by(Source::Switches, launcher) {
            Ok(()) => Some(Source::Switches),
            Err(error) => {
                shortfalls.push(Shortfall {
                    what: "evidence by switches",
                    why: format!("the kernel does not tell of them: {error}"),
                    remedy:
                        "as root: sysctl -w kernel.perf_event_paranoid=2; in a container, allow \
                             it the call perf_event_open"
                            .to_string(),
                });
                match observe_by(Source::Sampling, launcher) {
                    Ok(()) => Some(Source::Sampling),
                    Err(error) => {
                        shortfalls.push(Shortfall {
                            what: "evidence by sampling",
                            why: format!("processes cannot be looked at: {error}"),
                            remedy: "/proc must show the processes of the same user, and their \
                                     lists of children"
                                .to_string(),
                        });
                        None
                    }
                }
            }
        };
        Checkup { tier, accounting, evidence, shortfalls }
    }

    /// The same for people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "sandbox   {}: {}", self.tier, self.tier.meaning());
        let counted = match self.accounting {
            Some(Accounting::ControlGroup) => {
                "bounded and counted by the kernel, in a control group"
            }
            Some(Accounting::Samples) => {
                "divided among processes beforehand, and looked at every 20 ms"
            }
            None => "not bounded",
        };
        let _ = writeln!(out, "memory    {counted}");
        let seen = match self.evidence {
            Some(Source::Switches) => "every start, end and switch, as the kernel writes it down",
            Some(Source::Sampling) => {
                "what lasts for a few milliseconds: they are looked at all the time"
            }
            None => "nothing is known",
        };
        let _ = writeln!(out, "processes {seen}");
        if self.shortfalls.is_empty() {
            let _ = writeln!(out, "\nThere is no more to be had.");
        }
        for Shortfall { what, why, remedy } in &self.shortfalls {
            let _ = writeln!(out, "\nnot there: {what}\n  why: {why}\n  to get it: {remedy}");
        }
        out
    }
}

/// Whether a process can be observed in this way; one that does nothing is.
fn observe_by(source: Source, launcher: &Path) -> io::Result<()> {
    let held = Held::start(launcher)?;
    Observer::attach_by(source, held.0.id()).map(|observer| drop(observer.finish()))
}

/// A process that waits to become a program, and never does.
struct Held(Child);

impl Held {
    fn start(launcher: &Path) -> io::Result<Held> {
        let mut command = Command::new(launcher);
        command.args([sandbox::HOLD, "/bin/true"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let held = Held(command.spawn()?);
        sandbox::await_stop(Pid::from_raw(held.0.id() as i32));
        Ok(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // It can only have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_program_there_is_nothing_and_a_remedy_for_all() {
        let checkup = Checkup::new(Path::new("/nowhere/autograder"));
        assert_eq!((checkup.tier, checkup.evidence), (Tier::None, None));
        let text = checkup.text();
        assert_eq!(text.matches("to get it: ").count(), 4, "{text}");
        assert!(text.contains("sandbox   none: no sandbox"), "{text}");
    }
}
