//! Foreign bytes made harmless.
//!
//! Whatever a submission or the compiler printed passes through here before anyone sees it: what
//! moves a cursor, changes a colour or turns the direction of writing is shown as its number, and
//! what is too long is cut in the middle, so that its beginning and its end both stay.

/// The bytes as text of at most about `limit` bytes, with line breaks kept and everything that a
/// terminal could act upon escaped.
pub fn clean(bytes: &[u8], limit: usize) -> String {
    if bytes.len() <= limit {
        return escape(bytes);
    }
    let head = &bytes[..limit / 2];
    let tail = &bytes[bytes.len() - limit / 2..];
    let left_out = bytes.len() - head.len() - tail.len();
    format!("{}\n[... {left_out} bytes left out ...]\n{}", escape(head), escape(tail))
}

/// The same on one line: line breaks and tabs are escaped as well.
pub fn clean_line(bytes: &[u8], limit: usize) -> String {
    let cut = bytes.len() > limit;
    let text = escape(&bytes[..bytes.len().min(limit)]).replace('\n', "\\n").replace('\t', "\\t");
    if cut { format!("{text}...") } else { text }
}

/// The text without colours, such as the ones in which predicates shows a difference.
pub fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut pieces = text.split("\u{1b}[");
    plain.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let after = piece.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        match after.strip_prefix('m') {
            Some(rest) => plain.push_str(rest),
            None => plain.extend(["\u{1b}[", piece]),
        }
    }
    plain
}

/// Every line behind a mark, so that foreign text cannot pass for a line of the grader.
pub fn quote(text: &str) -> String {
    text.trim_end().lines().map(|line| format!("  | {line}\n")).collect()
}

fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' | '\t' => text.push(c),
                '\r' => text.push_str("\\r"),
                c if c.is_control() || misleads(c) => text.extend(c.escape_unicode()),
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// Characters that show nothing themselves and change how others are shown.
fn misleads(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_as_it_is() {
        assert_eq!(
            clean("primes: 25\n\tZürich 東京\n".as_bytes(), 1000),
            "primes: 25\n\tZürich 東京\n"
        );
    }

    #[test]
    fn colours_and_cursor_moves_are_shown_as_numbers() {
        assert_eq!(clean(b"\x1b[32mOK\x1b[0m\rgone", 1000), "\\u{1b}[32mOK\\u{1b}[0m\\rgone");
    }

    #[test]
    fn colours_can_be_taken_out_and_nothing_else() {
        assert_eq!(without_colours("a\u{1b}[1;32mb\u{1b}[0m\u{1b}[2Jc"), "ab\u{1b}[2Jc");
        assert_eq!(without_colours("plain\u{1b}["), "plain\u{1b}[");
    }

    #[test]
    fn the_direction_of_writing_cannot_be_turned() {
        assert_eq!(
            clean("a\u{202e}b\u{2066}c\u{200f}".as_bytes(), 99),
            "a\\u{202e}b\\u{2066}c\\u{200f}"
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_as_numbers() {
        assert_eq!(clean(b"a\xff\xfeb", 1000), "a\\xff\\xfeb");
    }

    #[test]
    fn long_text_keeps_its_beginning_and_its_end() {
        let long = [b"first".as_slice(), &[b'.'; 100_000], b"last".as_slice()].concat();
        let short = clean(&long, 100);
        assert!(short.starts_with("first") && short.ends_with("last"), "{short}");
        assert!(short.contains("bytes left out"), "{short}");
        assert!(short.len() < 200, "{short}");
    }

    #[test]
    fn one_line_stays_one_line() {
        assert_eq!(clean_line(b"a\nb\tc", 100), "a\\nb\\tc");
        assert_eq!(clean_line(b"abcdef", 3), "abc...");
    }

    #[test]
    fn quoted_lines_all_carry_the_mark() {
        assert_eq!(quote("one\ntwo\n"), "  | one\n  | two\n");
    }
}
