//! The tiers, and which one can be had.

use std::fmt;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::plan::{Fault, Step};
use super::session;
use super::{Accounting, Sandbox};

/// How much of a sandbox a program runs in, from the least up.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// None.
    #[default]
    None,
    /// Landlock, seccomp and limits, without namespaces.
    Reduced,
    /// Everything.
    Full,
}

impl Tier {
    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Tier::None => "none",
            Tier::Reduced => "reduced",
            Tier::Full => "full",
        }
    }

    /// What it means for a score.
    pub fn meaning(self) -> &'static str {
        match self {
            Tier::None => "no sandbox: local feedback only",
            Tier::Reduced => {
                "files and system calls are confined, the rest of the machine is shared"
            }
            Tier::Full => "apart from everything else on the machine",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

/// What this machine gives.
#[derive(Clone, Debug)]
pub struct Detection {
    /// The highest tier that can be had.
    pub tier: Tier,
    /// How memory is bounded in it; none without a sandbox.
    pub accounting: Option<Accounting>,
    /// What could not be had.
    pub shortfalls: Vec<Shortfall>,
}

/// Something that could not be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shortfall {
    /// What.
    pub what: &'static str,
    /// What the kernel said.
    pub why: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Shortfall {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}; {}", self.what, self.why, self.remedy)
    }
}

/// Finds the highest tier that can be had, by building a sandbox of it, with nothing to run inside.
/// `launcher` is the program `autograder`.
pub fn detect(launcher: &Path) -> Detection {
    let mut shortfalls = vec![];
    for tier in [Tier::Full, Tier::Reduced] {
        let sandbox = Sandbox::new(tier, launcher);
        match session::attempt(&sandbox) {
            Ok(attempt) => {
                if attempt.accounting == Accounting::Samples {
                    shortfalls.push(Shortfall {
                        what: "control groups",
                        why: "no group for memory and processes can be made below or beside the \
                              grader's own"
                            .to_string(),
                        remedy: "run the grader as root, or in a scope of its own: systemd-run \
                                 --user --scope -p Delegate=yes"
                            .to_string(),
                    });
                }
                if !attempt.landlock {
                    shortfalls.push(Shortfall {
                        what: "Landlock",
                        why: "this kernel has none".to_string(),
                        remedy:
                            "it came with Linux 5.13; where it is built in, the boot parameter \
                                 lsm= has to name it"
                                .to_string(),
                    });
                }
                return Detection { tier, accounting: Some(attempt.accounting), shortfalls };
            }
            Err(fault) => shortfalls.push(shortfall(tier, &fault)),
        }
    }
    Detection { tier: Tier::None, accounting: None, shortfalls }
}

fn shortfall(tier: Tier, fault: &Fault) -> Shortfall {
    let what = match tier {
        Tier::Full => "tier full",
        Tier::Reduced | Tier::None => "tier reduced",
    };
    let remedy = match fault.step {
        Step::Namespaces | Step::Users | Step::Mounts => namespaces_remedy(),
        Step::Confinement => {
            "Landlock came with Linux 5.13; where it is built in, the boot parameter lsm= has to \
             name it"
                .to_string()
        }
        Step::Launcher => "check that the grader's own program can be started".to_string(),
        Step::Program | Step::Limits | Step::Start => {
            "this is not expected; please report it with `uname -a`".to_string()
        }
    };
    Shortfall { what, why: fault.to_string(), remedy }
}

/// What keeps a process from making namespaces, as far as the kernel's settings tell.
fn namespaces_remedy() -> String {
    let settings = [
        ("kernel/unprivileged_userns_clone", "0", "1"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
        ("user/max_user_namespaces", "0", "10000"),
    ];
    for (name, bad, good) in settings {
        let value = fs::read_to_string(Path::new("/proc/sys").join(name)).unwrap_or_default();
        if value.trim() == bad {
            return format!("as root: sysctl -w {}={good}", name.replace('/', "."));
        }
    }
    "in a container, allow it to make namespaces and to mount /proc: docker run --privileged, or \
     --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt \
     systempaths=unconfined"
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_name_in_json_is_the_one_it_prints() {
        for tier in [Tier::None, Tier::Reduced, Tier::Full] {
            assert_eq!(serde_json::to_string(&tier).unwrap(), format!("\"{tier}\""));
        }
    }

    #[test]
    fn a_shortfall_says_what_to_do() {
        let fault = Fault { step: Step::Namespaces, message: "EPERM".to_string() };
        let shortfall = shortfall(Tier::Full, &fault);
        assert_eq!(shortfall.why, "cannot make namespaces: EPERM");
        assert!(!shortfall.remedy.is_empty());
    }

    #[test]
    fn without_a_launcher_there_is_no_tier() {
        let detection = detect(Path::new("/nowhere/autograder"));
        assert_eq!(detection.tier, Tier::None);
        assert_eq!(detection.shortfalls.len(), 2);
        assert!(detection.shortfalls[0].to_string().contains("cannot use the launcher"));
    }
}
