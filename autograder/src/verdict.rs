//! The verdicts, in the letters that contest judges use.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What became of a test, or of a whole submission.
///
/// Ordered by gravity: the verdict of a submission is the gravest one among its tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// Passed.
    Ok,
    /// Wrong answer: it ran to its end and did not do what was asked.
    Wa,
    /// Run-time error: the test failed, and the last program that it ran was ended by a signal, by a
    /// panic (exit code 101) or by an error that `main` returned (exit code 1).
    Re,
    /// Time limit exceeded: time on the clock, or processor time.
    Tle,
    /// Memory limit exceeded, by all processes together.
    Mle,
    /// Output limit exceeded.
    Ole,
    /// Process limit exceeded: too many processes and threads at the same time.
    Ple,
    /// Policy: the program ended, and processes or named objects that it had made were still there.
    Pol,
    /// Compile error.
    Ce,
    /// Rejected: the submission was not taken in.
    Rej,
}

impl Verdict {
    /// The verdict in words.
    pub fn words(self) -> &'static str {
        match self {
            Verdict::Ok => "passed",
            Verdict::Wa => "wrong answer",
            Verdict::Re => "run-time error",
            Verdict::Tle => "too slow, or never ends",
            Verdict::Mle => "took too much memory",
            Verdict::Ole => "printed too much",
            Verdict::Ple => "had too many processes",
            Verdict::Pol => "left something behind",
            Verdict::Ce => "does not compile",
            Verdict::Rej => "refused",
        }
    }

    /// The verdict's letters.
    pub fn code(self) -> &'static str {
        match self {
            Verdict::Ok => "OK",
            Verdict::Wa => "WA",
            Verdict::Re => "RE",
            Verdict::Tle => "TLE",
            Verdict::Mle => "MLE",
            Verdict::Ole => "OLE",
            Verdict::Ple => "PLE",
            Verdict::Pol => "POL",
            Verdict::Ce => "CE",
            Verdict::Rej => "REJ",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_letters_in_json_are_the_ones_it_prints() {
        for verdict in [
            Verdict::Ok,
            Verdict::Wa,
            Verdict::Re,
            Verdict::Tle,
            Verdict::Mle,
            Verdict::Ole,
            Verdict::Ple,
            Verdict::Pol,
            Verdict::Ce,
            Verdict::Rej,
        ] {
            assert_eq!(serde_json::to_string(&verdict).unwrap(), format!("\"{verdict}\""));
        }
    }
}
