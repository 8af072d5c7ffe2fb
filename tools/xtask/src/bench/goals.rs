//! The goals of `goals.json`, and which of them are met.
//!
//! A goal names a metric, the peer that must reach it (`common`, unless it says otherwise), and how many
//! times better it must be than others that are measured in the same run. `cpython` and `limit` stand
//! for the best of these, `rust` for the best other Rust library, any other word for the peers whose
//! names begin with it; `/METRIC` behind it takes their figure of another metric.

use serde::Deserialize;

use super::figures::{Figures, Unit, new_table, number};

/// What a peer shall reach in a metric.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Goal {
    pub(super) metric: String,
    #[serde(default = "common")]
    peer: String,
    /// Whom it is compared with, and how many times better it must be, at least.
    times: Vec<(String, f64)>,
}

fn common() -> String {
    "common".to_owned()
}

impl Goal {
    /// The metrics of which figures are needed.
    pub(super) fn metrics(&self) -> impl Iterator<Item = &str> {
        self.times.iter().map(|(base, _)| self.base(base).1)
    }

    /// Peers and metric of a comparison.
    fn base<'a>(&'a self, base: &'a str) -> (&'a str, &'a str) {
        base.split_once('/').unwrap_or((base, &self.metric))
    }
}

/// What came of one comparison of a goal.
#[derive(Debug)]
pub(super) struct Verdict {
    metric: String,
    peer: String,
    base: String,
    least: f64,
    outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    /// So many times better, and that is enough.
    Met(f64),
    /// So many times better, and that is not.
    Missed(f64),
    /// There is no figure to compare, of the one or of the other; the text says which.
    Absent(String),
}

/// Reads the goals.
pub(super) fn read(text: &str) -> serde_json::Result<Vec<Goal>> {
    serde_json::from_str(text)
}

/// Holds the figures against the goals.
pub(super) fn judge(goals: &[Goal], figures: &Figures) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for goal in goals {
        for (base, least) in &goal.times {
            let (peers, other) = goal.base(base);
            let own = figures.of(&goal.peer, &goal.metric);
            let outcome = match (own, figures.best(peers, other)) {
                (_, None) => Outcome::Absent(format!("no figure of {base}")),
                (None, Some(value)) => {
                    let unit = figures.unit(other).map_or("", Unit::text);
                    Outcome::Absent(format!("no figure; {base} has {} {unit}", number(value)))
                }
                (Some(own), Some(value)) => match own.ratio(value) {
                    Some(ratio) if ratio >= *least => Outcome::Met(ratio),
                    Some(ratio) => Outcome::Missed(ratio),
                    None => Outcome::Absent("a figure is 0".to_owned()),
                },
            };
            verdicts.push(Verdict {
                metric: goal.metric.clone(),
                peer: goal.peer.clone(),
                base: base.clone(),
                least: *least,
                outcome,
            });
        }
    }
    verdicts
}

/// 1 where a goal is missed, 2 where none is but one has no figure.
pub(super) fn exit_code(verdicts: &[Verdict]) -> u8 {
    let is = |wanted: fn(&Outcome) -> bool| verdicts.iter().any(|v| wanted(&v.outcome));
    if is(|outcome| matches!(outcome, Outcome::Missed(_))) {
        1
    } else if is(|outcome| matches!(outcome, Outcome::Absent(_))) {
        2
    } else {
        0
    }
}

/// One row a goal, with one line a comparison, and how many there are of each kind.
pub(super) fn table(verdicts: &[Verdict]) -> String {
    if verdicts.is_empty() {
        return "no goal is about these metrics\n".to_owned();
    }
    let mut table = new_table(&["goal", "peer", "wanted", "", "is"]);
    let (mut met, mut missed, mut absent) = (0, 0, 0);
    for goal in verdicts.chunk_by(|one, next| one.metric == next.metric && one.peer == next.peer) {
        let mut columns = [const { Vec::new() }; 3];
        for verdict in goal {
            let (count, word, is) = match &verdict.outcome {
                Outcome::Met(ratio) => (&mut met, "met", number(*ratio)),
                Outcome::Missed(ratio) => (&mut missed, "MISSED", number(*ratio)),
                Outcome::Absent(reason) => (&mut absent, "absent", reason.clone()),
            };
            *count += 1;
            columns[0].push(format!("{} x {}", verdict.least, verdict.base));
            columns[1].push(word.to_owned());
            columns[2].push(is);
        }
        let [wanted, word, is] = columns.map(|column| column.join("\n"));
        table.add_row([&goal[0].metric, &goal[0].peer, &wanted, &word, &is]);
    }
    format!("{table}\ngoals: {met} met, {missed} MISSED, {absent} absent\n")
}

#[cfg(test)]
mod tests {
    use super::super::figures::tests::line;
    use super::*;

    /// The outcomes of goals, where these peers have these figures of metrics.
    fn outcomes(goals: &str, figures: &[(&str, &str, f64)]) -> (Vec<Outcome>, u8) {
        let lines = figures.iter().map(|(peer, metric, value)| line(peer, metric, &[*value]));
        let verdicts = judge(&read(goals).expect("goals"), &Figures::join(lines));
        let code = exit_code(&verdicts);
        (verdicts.into_iter().map(|verdict| verdict.outcome).collect(), code)
    }

    #[test]
    fn a_goal_is_met_from_its_ratio_on() {
        let goals = r#"[{"metric": "m", "times": [["cpython", 4]]}]"#;
        let peers =
            |value| [("cpython:a", "m", 8.0), ("cpython:b", "m", 9.0), ("common", "m", value)];
        assert_eq!(outcomes(goals, &peers(2.0)), (vec![Outcome::Met(4.0)], 0));
        assert_eq!(outcomes(goals, &peers(4.0)), (vec![Outcome::Missed(2.0)], 1));
    }

    #[test]
    fn a_goal_without_a_figure_is_absent() {
        let goals = r#"[{"metric": "m", "times": [["rust", 1]]}]"#;
        for figures in [[("common", "m", 1.0)], [("zygote", "m", 1.0)], [("limit", "m", 1.0)]] {
            let (found, code) = outcomes(goals, &figures);
            assert!(matches!(found[..], [Outcome::Absent(_)]), "{found:?}");
            assert_eq!(code, 2);
        }
    }

    #[test]
    fn a_missed_goal_counts_more_than_an_absent_one() {
        let goals = r#"[{"metric": "m", "times": [["cpython", 1], ["limit", 1]]}]"#;
        let (found, code) = outcomes(goals, &[("common", "m", 2.0), ("limit", "m", 1.0)]);
        assert!(matches!(found[..], [Outcome::Absent(_), Outcome::Missed(_)]), "{found:?}");
        assert_eq!(code, 1);
    }

    #[test]
    fn another_metric_and_another_peer_can_be_named() {
        let goals = r#"[{"metric": "m", "peer": "common:loan", "times": [["limit:a/n", 0.5]]}]"#;
        let figures = [
            ("common", "m", 9.0),
            ("common:loan", "m", 4.0),
            ("limit:a", "m", 100.0),
            ("limit:a", "n", 3.0),
            ("limit:b", "n", 1.0),
        ];
        assert_eq!(outcomes(goals, &figures), (vec![Outcome::Met(0.75)], 0));
        let goals = read(goals).expect("goals");
        assert_eq!(goals[0].metrics().collect::<Vec<_>>(), ["n"]);
    }

    #[test]
    fn the_table_counts() {
        let goals = read(r#"[{"metric": "m", "times": [["cpython", 1], ["limit", 1]]}]"#);
        let figures = [line("common", "m", &[1.0]), line("limit", "m", &[1.0])];
        let verdicts = judge(&goals.expect("goals"), &Figures::join(figures.into_iter()));
        let table = table(&verdicts);
        assert!(table.ends_with("goals: 1 met, 0 MISSED, 1 absent\n"), "{table}");
        assert!(table.contains("no figure of cpython"), "{table}");
    }

    #[test]
    fn the_goals_of_the_project_are_well_formed() {
        let goals = read(include_str!("../../../bench/goals.json")).expect("goals");
        let mut seen = std::collections::BTreeSet::new();
        for goal in &goals {
            for (base, least) in &goal.times {
                assert!(*least > 0.0, "{goal:?}");
                let comparison = (&goal.metric, &goal.peer, base, least.to_bits());
                assert!(seen.insert(comparison), "said twice: {goal:?}");
            }
        }
        assert!(seen.len() > 50, "{} comparisons; this test has lost its text", seen.len());
    }
}
