//! What the programs print, joined by metric, and the table of it.
//!
//! A ratio says how many times better: over 1 is better than what it is taken of.

use comfy_table::{CellAlignment, Table, presets};
use serde::Deserialize;

/// Peers whose names begin so are not counted among the Rust libraries between processes.
const ASIDE: [&str; 6] = ["cpython", "loky", "joblib", "limit", "threads", "common"];

/// What the columns of ratios are taken of.
const COLUMNS: [&str; 3] = ["cpython", "rust", "limit"];

/// A line as a program prints it; it has more fields, for other readers.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Line {
    peer: String,
    metric: String,
    unit: Unit,
    values: Vec<f64>,
    noisy: usize,
}

/// What a value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Unit {
    #[serde(rename = "ns")]
    Nanoseconds,
    #[serde(rename = "us")]
    Microseconds,
    #[serde(rename = "ms")]
    Milliseconds,
    #[serde(rename = "GiB/s")]
    Throughput,
}

impl Unit {
    pub(super) fn text(self) -> &'static str {
        match self {
            Unit::Nanoseconds => "ns",
            Unit::Microseconds => "us",
            Unit::Milliseconds => "ms",
            Unit::Throughput => "GiB/s",
        }
    }

    /// How many times better one value is than another.
    fn ratio(self, value: f64, base: f64) -> Option<f64> {
        let ratio = match self {
            Unit::Throughput => value / base,
            _ => base / value,
        };
        (value > 0.0 && base > 0.0).then_some(ratio)
    }

    /// The better of two values.
    fn better(self, one: f64, other: f64) -> f64 {
        match self {
            Unit::Throughput => one.max(other),
            _ => one.min(other),
        }
    }
}

/// All values that one peer has for one metric.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    peer: String,
    unit: Unit,
    /// From the least to the greatest, at least one.
    values: Vec<f64>,
    /// How many of them were taken while the machine was busy with something else.
    noisy: usize,
}

impl Figure {
    pub(super) fn median(&self) -> f64 {
        self.values[self.values.len() / 2]
    }

    /// How many times better this is than a value.
    pub(super) fn ratio(&self, base: f64) -> Option<f64> {
        self.unit.ratio(self.median(), base)
    }

    fn spread(&self) -> String {
        let (least, greatest) = (self.values[0], self.values[self.values.len() - 1]);
        let noisy = match self.noisy {
            0 => String::new(),
            count => format!(" ({count} noisy)"),
        };
        format!("{}-{}{noisy}", number(least), number(greatest))
    }
}

/// All figures, by metric, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Figures(Vec<(String, Vec<Figure>)>);

impl Figures {
    /// Puts together what belongs together: the rounds of a peer are one figure.
    pub(super) fn join(lines: impl Iterator<Item = Line>) -> Self {
        let mut figures = Self::default();
        for line in lines.filter(|line| !line.values.is_empty()) {
            figures.add(line);
        }
        figures
    }

    fn add(&mut self, line: Line) {
        let Line { peer, metric, unit, mut values, noisy } = line;
        let at = self.0.iter().position(|(known, _)| *known == metric).unwrap_or_else(|| {
            self.0.push((metric, Vec::new()));
            self.0.len() - 1
        });
        let group = &mut self.0[at].1;
        match group.iter_mut().find(|figure| figure.peer == peer && figure.unit == unit) {
            Some(figure) => {
                figure.values.append(&mut values);
                figure.values.sort_by(f64::total_cmp);
                figure.noisy += noisy;
            }
            None => {
                values.sort_by(f64::total_cmp);
                group.push(Figure { peer, unit, values, noisy });
            }
        }
    }

    /// What a peer has for a metric.
    pub(super) fn of(&self, peer: &str, metric: &str) -> Option<&Figure> {
        self.group(metric).iter().find(|figure| figure.peer == peer)
    }

    /// The best median of a metric among the peers whose names begin with `peers`; `rust` stands for
    /// the Rust libraries between processes.
    pub(super) fn best(&self, peers: &str, metric: &str) -> Option<f64> {
        let group = self.group(metric);
        let unit = self.unit(metric)?;
        let is_meant = |figure: &&Figure| match peers {
            "rust" => !ASIDE.iter().any(|aside| figure.peer.starts_with(aside)),
            _ => figure.peer.starts_with(peers),
        };
        let meant = group.iter().filter(is_meant).filter(|figure| figure.unit == unit);
        meant.map(Figure::median).reduce(|one, other| unit.better(one, other))
    }

    /// In what a metric is measured.
    pub(super) fn unit(&self, metric: &str) -> Option<Unit> {
        self.group(metric).first().map(|figure| figure.unit)
    }

    fn group(&self, metric: &str) -> &[Figure] {
        self.0.iter().find(|(known, _)| known == metric).map_or(&[], |(_, group)| group)
    }

    /// One row a metric, with one line a peer, the best first.
    pub(super) fn table(&self) -> String {
        let heads = ["metric", "peer", "median", "spread", "x CPython", "x best Rust", "of limit"];
        let mut table = new_table(&heads);
        for (metric, group) in &self.0 {
            let bases = COLUMNS.map(|peers| self.best(peers, metric));
            let mut group: Vec<&Figure> = group.iter().collect();
            group.sort_by(|one, other| match one.unit {
                Unit::Throughput => other.median().total_cmp(&one.median()),
                _ => one.median().total_cmp(&other.median()),
            });
            let column = |cell: &dyn Fn(&Figure) -> String| {
                let cells: Vec<String> = group.iter().map(|figure| cell(figure)).collect();
                cells.join("\n")
            };
            let mut cells = vec![
                metric.clone(),
                column(&|figure| figure.peer.clone()),
                column(&|figure| format!("{} {}", number(figure.median()), figure.unit.text())),
                column(&Figure::spread),
            ];
            cells.extend(bases.map(|base| {
                column(&|figure| {
                    base.and_then(|base| figure.ratio(base)).map(number).unwrap_or_default()
                })
            }));
            table.add_row(cells);
        }
        for column in table.column_iter_mut().filter(|column| column.index >= 2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        format!("{table}\n")
    }
}

/// Three digits, or all that stand before the point.
pub(super) fn number(value: f64) -> String {
    let digits = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

/// A table as wide as its content.
pub(super) fn new_table(heads: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(heads.to_vec());
    table
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A line of a peer, in microseconds.
    pub(in crate::bench) fn line(peer: &str, metric: &str, values: &[f64]) -> Line {
        let (peer, metric) = (peer.to_owned(), metric.to_owned());
        Line { peer, metric, unit: Unit::Microseconds, values: values.to_vec(), noisy: 0 }
    }

    #[test]
    fn a_line_of_a_program_is_read() {
        let text = r#"{"peer":"limit:pipe","metric":"m","unit":"GiB/s","median":2.5,"min":2.0,
                       "max":3.0,"reps":3,"noisy":1,"values":[2.0,2.5,3.0]}"#;
        let line: Line = serde_json::from_str(text).expect("a line");
        let figures = Figures::join([line].into_iter());
        let figure = figures.of("limit:pipe", "m").expect("a figure");
        assert_eq!((figure.median(), figure.unit, figure.noisy), (2.5, Unit::Throughput, 1));
    }

    #[test]
    fn the_rounds_of_a_peer_are_one_figure() {
        let rounds = [line("a", "m", &[9.0, 1.0]), line("b", "m", &[5.0]), line("a", "m", &[2.0])];
        let figures = Figures::join(rounds.into_iter());
        let figure = figures.of("a", "m").expect("a figure");
        assert_eq!((figure.median(), figure.spread()), (2.0, "1.00-9.00".to_owned()));
        assert_eq!(figures.group("m").len(), 2);
        assert!(figures.of("a", "other").is_none());
    }

    #[test]
    fn the_best_is_the_least_time() {
        let lines = [
            line("cpython:Pipe", "m", &[8.0]),
            line("cpython:Queue", "m", &[6.0]),
            line("limit:pipe", "m", &[1.0]),
            line("threads:std", "m", &[0.5]),
            line("zygote", "m", &[3.0]),
            line("common", "m", &[2.0]),
        ];
        let figures = Figures::join(lines.into_iter());
        assert_eq!(figures.best("cpython", "m"), Some(6.0));
        assert_eq!(figures.best("cpython:Pipe", "m"), Some(8.0));
        assert_eq!(figures.best("rust", "m"), Some(3.0));
        assert_eq!(figures.best("limit", "m"), Some(1.0));
        assert_eq!(figures.best("iceoryx2", "m"), None);
        assert_eq!(figures.best("limit", "other"), None);
        let common = figures.of("common", "m").expect("a figure");
        assert_eq!(common.ratio(6.0), Some(3.0));
        assert_eq!(common.ratio(0.0), None);
    }

    #[test]
    fn the_best_is_the_most_throughput() {
        let of = |peer, value| Line { unit: Unit::Throughput, ..line(peer, "m", &[value]) };
        let figures =
            Figures::join([of("limit:a", 2.0), of("limit:b", 4.0), of("common", 3.0)].into_iter());
        assert_eq!(figures.best("limit", "m"), Some(4.0));
        assert_eq!(figures.of("common", "m").and_then(|figure| figure.ratio(4.0)), Some(0.75));
    }

    #[test]
    fn the_table_has_the_best_first_and_its_ratios() {
        let lines = [line("cpython", "m", &[8.0]), line("common", "m", &[2.0])];
        let table = Figures::join(lines.into_iter()).table();
        let rows: Vec<Vec<&str>> =
            table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[3], ["m", "common", "2.00", "us", "2.00-2.00", "4.00"]);
        assert_eq!(rows[4], ["cpython", "8.00", "us", "8.00-8.00", "1.00"]);
    }

    #[test]
    fn a_number_has_three_digits() {
        let numbers = [0.1234, 1.234, 12.34, 123.4, 12345.6].map(number);
        assert_eq!(numbers, ["0.123", "1.23", "12.3", "123", "12346"]);
    }
}
