//! One promised line: text with placeholders for what changes from run to run.
//!
//! | placeholder | stands for |
//! | --- | --- |
//! | `[PID]` | a process id |
//! | `[TIME]` | a time of day, `12:13:39` |
//! | `[SECONDS]` | seconds with eight decimals, `0.73812000` |
//! | `[N]` | a whole number, possibly negative |
//! | `[..]` | any text, also none |
//!
//! All but the last may carry a name, `[PID main]`. A number is always taken whole: `[N]` never
//! matches the `1` of `12`. Any other bracket is plain text, so `[0, 1, 4]` needs no escape. Blanks at
//! the end of a line do not count.

use std::collections::BTreeMap;
use std::fmt;

/// How many different readings of one line are followed, at most.
const READINGS: usize = 64;

/// What a placeholder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `[PID]`: a positive number without leading zeros.
    Pid,
    /// `[TIME]`: hours, minutes and seconds.
    Time,
    /// `[SECONDS]`: a number with exactly eight decimals.
    Seconds,
    /// `[N]`: a whole number.
    Number,
    /// `[..]`: any text.
    Any,
}

/// The name of a placeholder: `[PID main]` is `main` among the process ids.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// What the placeholder stands for.
    pub kind: Kind,
    /// The word after it.
    pub word: String,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} {}]", self.kind.word(), self.word)
    }
}

/// Which text each named placeholder stands for.
pub(crate) type Binding = BTreeMap<Name, String>;

/// One way to read a line as a pattern: the text of each named placeholder, from left to right.
pub type Reading = Vec<(Name, String)>;

/// One promised line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    source: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Placeholder(Kind, Option<Name>),
}

impl Pattern {
    /// Reads a promised line. Every text is one: an unknown bracket is plain text.
    pub fn new(line: &str) -> Pattern {
        let source = line.trim_end().to_owned();
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = source.as_str();
        while let Some(first) = rest.chars().next() {
            if let Some((piece, length)) = placeholder(rest) {
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                }
                pieces.push(piece);
                rest = &rest[length..];
            } else {
                text.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Pattern { source, pieces }
    }

    /// The line as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The process ids of `line` for which the pattern has no name; none if it does not match.
    pub(crate) fn nameless_pids(&self, line: &str) -> Vec<String> {
        let mut pieces = self.pieces.clone();
        for (place, piece) in pieces.iter_mut().enumerate() {
            if *piece == Piece::Placeholder(Kind::Pid, None) {
                // No name that can be written begins like this.
                let name = Name { kind: Kind::Pid, word: format!("#{place}") };
                *piece = Piece::Placeholder(Kind::Pid, Some(name));
            }
        }
        let mut found = Vec::new();
        read(&pieces, line.trim_end(), &mut Reading::new(), &mut found);
        let first = found.into_iter().next().unwrap_or_default();
        first
            .into_iter()
            .filter(|(name, _)| name.word.starts_with('#'))
            .map(|(_, pid)| pid)
            .collect()
    }

    /// All ways to read `line` as this pattern; none if it does not match. Whether a name keeps its text
    /// is not asked here.
    pub fn readings(&self, line: &str) -> Vec<Reading> {
        let mut found = Vec::new();
        read(&self.pieces, line.trim_end(), &mut Reading::new(), &mut found);
        found
    }
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Pid => "PID",
            Kind::Time => "TIME",
            Kind::Seconds => "SECONDS",
            Kind::Number => "N",
            Kind::Any => "..",
        }
    }

    /// How many bytes at the start of `text` it takes; `Any` has no answer of its own.
    fn length(self, text: &str) -> Option<usize> {
        let bytes = text.as_bytes();
        let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        match self {
            Kind::Pid => Some(digits(0)).filter(|&n| n > 0 && bytes[0] != b'0'),
            Kind::Number => {
                let sign = usize::from(bytes.first() == Some(&b'-'));
                Some(sign + digits(sign)).filter(|&n| n > sign)
            }
            Kind::Seconds => {
                let whole = digits(0);
                let point = whole > 0 && bytes.get(whole) == Some(&b'.');
                (point && digits(whole + 1) == 8).then_some(whole + 9)
            }
            Kind::Time => {
                let form = bytes.get(..8)?.iter().enumerate().all(|(at, b)| match at {
                    2 | 5 => *b == b':',
                    _ => b.is_ascii_digit(),
                });
                let below = |at: usize, limit: &[u8]| &bytes[at..at + 2] < limit;
                let range = form && below(0, b"24") && below(3, b"60") && below(6, b"60");
                (range && digits(8) == 0).then_some(8)
            }
            Kind::Any => None,
        }
    }
}

impl Name {
    /// Adds `self = text` to `binding`, or says what speaks against it.
    ///
    /// The same name stands for the same text everywhere; two names of one kind for different texts.
    ///
    /// # Errors
    ///
    /// A sentence that names the two sides of the conflict.
    pub(crate) fn bind(&self, text: &str, binding: &mut Binding) -> Result<(), String> {
        match binding.get(self) {
            Some(known) if known == text => return Ok(()),
            Some(known) => {
                return Err(format!(
                    "{self} must be the same text everywhere, but was `{known}` and then `{text}`"
                ));
            }
            None => {}
        }
        let twin = binding.iter().find(|(name, known)| name.kind == self.kind && *known == text);
        if let Some((twin, _)) = twin {
            return Err(format!("{twin} and {self} must be different, but both were `{text}`"));
        }
        binding.insert(self.clone(), text.to_owned());
        Ok(())
    }
}

/// The placeholder that `text` starts with, and its length.
fn placeholder(text: &str) -> Option<(Piece, usize)> {
    let inside = text.strip_prefix('[')?;
    let inside = &inside[..inside.find(']')?];
    let (word, name) = match inside.split_once(' ') {
        Some((word, name)) => (word, Some(name)),
        None => (inside, None),
    };
    let kinds = [Kind::Pid, Kind::Time, Kind::Seconds, Kind::Number, Kind::Any];
    let kind = kinds.into_iter().find(|kind| kind.word() == word)?;
    let named = |name: &str| {
        let plain = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
        (kind != Kind::Any && !name.is_empty() && name.chars().all(plain))
            .then(|| Name { kind, word: name.to_owned() })
    };
    let name = match name {
        Some(name) => Some(named(name)?),
        None => None,
    };
    Some((Piece::Placeholder(kind, name), inside.len() + 2))
}

/// Follows every way to read `line` as `pieces`, and notes those that differ in a name.
fn read(pieces: &[Piece], line: &str, reading: &mut Reading, found: &mut Vec<Reading>) {
    if found.len() == READINGS {
        return;
    }
    let Some((piece, later)) = pieces.split_first() else {
        if line.is_empty() && !found.contains(reading) {
            found.push(reading.clone());
        }
        return;
    };
    match piece {
        Piece::Text(text) => {
            if let Some(rest) = line.strip_prefix(text.as_str()) {
                read(later, rest, reading, found);
            }
        }
        Piece::Placeholder(Kind::Any, _) if later.is_empty() => read(later, "", reading, found),
        Piece::Placeholder(Kind::Any, _) => {
            let nameless = later.iter().all(|p| !matches!(p, Piece::Placeholder(_, Some(_))));
            let number = matches!(later[0], Piece::Placeholder(..));
            let digit = |at: usize| line.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
            for at in (0..=line.len()).filter(|&at| line.is_char_boundary(at)) {
                // A number is taken whole: it does not begin in the middle of another.
                if number && at > 0 && digit(at - 1) && digit(at) {
                    continue;
                }
                let before = found.len();
                read(later, &line[at..], reading, found);
                if nameless && found.len() > before {
                    return;
                }
            }
        }
        Piece::Placeholder(kind, name) => {
            let Some(length) = kind.length(line) else { return };
            let (text, rest) = line.split_at(length);
            match name {
                None => read(later, rest, reading, found),
                Some(name) => {
                    reading.push((name.clone(), text.to_owned()));
                    read(later, rest, reading, found);
                    reading.pop();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, line: &str) -> bool {
        !Pattern::new(pattern).readings(line).is_empty()
    }

    #[test]
    fn plain_text_matches_itself_only() {
        assert!(matches("Hello [World]", "Hello [World]"));
        assert!(matches("[0, 1, 4]", "[0, 1, 4]"));
        assert!(!matches("Hello", "Hello!"));
        assert!(!matches("Hello!", "Hello"));
        assert!(matches("blanks at the end", "blanks at the end  "));
        assert!(!matches(" blanks before", "blanks before"));
    }

    #[test]
    fn placeholders_match_their_own_kind() {
        assert!(matches("[TIME]| Finished:  = [SECONDS]", "12:13:39| Finished:  = 0.73812000"));
        assert!(!matches("[TIME]", "25:13:39"));
        assert!(!matches("[TIME]", "12:13:390"));
        assert!(!matches("[SECONDS]", "0.7381200"));
        assert!(!matches("[SECONDS]", "0.738120001"));
        assert!(!matches("[SECONDS]", ".73812000"));
        assert!(matches("[PID]", "17"));
        assert!(!matches("[PID]", "017"));
        assert!(!matches("[PID]", "-17"));
        assert!(!matches("[PID]", ""));
        assert!(matches("a = [N],", "a = -17,"));
        assert!(!matches("a = [N]", "a = -"));
        assert!(matches("[..]: [N] of [N]", "any: text: 3 of 4"));
        assert!(matches("a[..]", "a"));
        assert!(!matches("a[..]b", "a"));
    }

    #[test]
    fn unknown_brackets_are_plain_text() {
        for text in ["[PIDS]", "[PID ]", "[PID a b]", "[.. x]", "[pid]", "[", "[N", "[]"] {
            assert!(matches(text, text), "{text}");
            assert!(!matches(text, "17"), "{text}");
        }
    }

    #[test]
    fn a_number_is_taken_whole() {
        assert!(!matches("[N]2", "12"));
        assert_eq!(Pattern::new("[..][N a]").readings("x123").len(), 1);
    }

    #[test]
    fn any_text_may_hold_letters_of_several_bytes() {
        assert!(matches("[..]é[PID]", "café é9"), "cut at letters, not at bytes");
        assert!(!matches("[..]é[PID]", "café é"));
    }

    #[test]
    fn every_reading_is_found() {
        assert_eq!(Pattern::new("[..][N a][..]").readings("1 2 3").len(), 3);
    }
}
