//! What a reader of the sources should know before trusting the eyes.
//!
//! Characters that turn the direction of writing make a line look other than it is: what seems a
//! comment may be code. `rustc` denies them in literals and comments unless the source allows them;
//! here they are named in any case, with file and line, and nothing is refused for them.

use super::Source;

/// How many lines are named.
const MAX_NOTES: usize = 10;

/// One note per line with such a character, the first few of them.
pub(super) fn notes(files: &[Source]) -> Vec<String> {
    let mut found = files.iter().flat_map(|file| {
        let lines = file.bytes.split(|&byte| byte == b'\n').enumerate();
        lines.filter_map(move |(index, line)| {
            let mut characters = line.utf8_chunks().flat_map(|chunk| chunk.valid().chars());
            let character = characters.find(|&c| turns_direction(c))?;
            Some(format!(
                "{}, line {}: U+{:04X} turns the direction of writing; the line may not be what it \
                 looks like",
                file.path,
                index + 1,
                u32::from(character),
            ))
        })
    });
    let mut notes: Vec<String> = found.by_ref().take(MAX_NOTES).collect();
    match found.count() {
        0 => {}
        more => notes.push(format!("{more} more lines with such characters")),
    }
    notes
}

/// The characters that Unicode calls `Bidi_Control`.
fn turns_direction(c: char) -> bool {
    matches!(c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &[u8]) -> Vec<Source> {
        vec![Source { path: "src/main.rs".to_string(), bytes: text.to_vec() }]
    }

    #[test]
    fn a_line_that_turns_the_direction_of_writing_is_named() {
        let text = "fn main() {}\n/* \u{202e} } \u{2066}if admin */\n// Zürich 東京\n\\\u{200f}";
        let notes = notes(&source(text.as_bytes()));
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes[0].starts_with("src/main.rs, line 2: U+202E turns"), "{notes:?}");
        assert!(notes[1].starts_with("src/main.rs, line 4: U+200F turns"), "{notes:?}");
        assert!(notes.iter().all(|note| note.is_ascii()), "{notes:?}");
    }

    #[test]
    fn it_is_found_beside_bytes_that_are_no_text() {
        assert_eq!(notes(&source(b"\xff\xfe\xe2\x80\xae\x00")).len(), 1);
        assert!(notes(&source(b"\xff\x00")).is_empty());
    }

    #[test]
    fn a_thousand_of_them_are_not_a_thousand_notes() {
        let notes = notes(&source("\u{202e}\n".repeat(1000).as_bytes()));
        assert_eq!(notes.len(), MAX_NOTES + 1);
        assert_eq!(notes[MAX_NOTES], "990 more lines with such characters");
    }
}
