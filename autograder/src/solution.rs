//! Starter and solution, cut from one annotated file.
//!
//! `solution.rs` compiles as it stands, and is the solution. Two marks say how the starter differs:
//!
//! ```text
//! fn area(width: u64, height: u64) -> u64 {
//!     // solution {
//!     width * height                            in the solution only
//!     // }
//!     //~ 0 // TODO: multiply                   in the starter only, without the mark
//! }
//! ```
//!
//! The marks themselves are in neither.

/// Both halves of an annotated file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// What the student begins with.
    pub starter: String,
    /// What the course holds to be right.
    pub solution: String,
}

/// Cuts an annotated file in two.
///
/// # Errors
///
/// A sentence with the line, if a mark is not opened, not closed, or opened twice.
pub fn cut(annotated: &str) -> Result<Cut, String> {
    let mut cut = Cut { starter: String::new(), solution: String::new() };
    let mut opened: Option<usize> = None;
    for (index, line) in annotated.lines().enumerate() {
        let number = index + 1;
        let bare = line.trim();
        if bare == "// solution {" {
            if let Some(first) = opened {
                return Err(format!(
                    "line {number}: `// solution {{` inside the one of line {first}"
                ));
            }
            opened = Some(number);
        } else if bare == "// }" {
            if opened.take().is_none() {
                return Err(format!("line {number}: `// }}` without a `// solution {{` before it"));
            }
        } else if bare == "//~" || bare.starts_with("//~ ") {
            if let Some(first) = opened {
                return Err(format!(
                    "line {number}: a line of the starter inside the solution of line {first}"
                ));
            }
            if bare != "//~" {
                cut.starter.push_str(&line.replacen("//~ ", "", 1));
            }
            cut.starter.push('\n');
        } else {
            if opened.is_none() {
                push_line(&mut cut.starter, line);
            }
            push_line(&mut cut.solution, line);
        }
    }
    match opened {
        Some(first) => Err(format!("line {first}: `// solution {{` is never closed by `// }}`")),
        None => Ok(cut),
    }
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNOTATED: &str = "\
fn area(width: u64, height: u64) -> u64 {
    // solution {
    width * height
    // }
    //~ // TODO: multiply
    //~
    //~ 0
}
";

    #[test]
    fn the_solution_has_its_own_lines_and_no_marks() {
        let cut = cut(ANNOTATED).unwrap();
        assert_eq!(
            cut.solution,
            "fn area(width: u64, height: u64) -> u64 {\n    width * height\n}\n"
        );
    }

    #[test]
    fn the_starter_has_its_own_lines_with_their_indentation() {
        let cut = cut(ANNOTATED).unwrap();
        assert_eq!(
            cut.starter,
            "fn area(width: u64, height: u64) -> u64 {\n    // TODO: multiply\n\n    0\n}\n"
        );
    }

    #[test]
    fn marks_that_do_not_match_are_named_by_their_line() {
        for (text, expected) in [
            ("// }\n", "line 1: `// }` without"),
            ("a\n// solution {\n", "line 2: `// solution {` is never closed"),
            ("// solution {\n// solution {\n// }\n", "line 2: `// solution {` inside"),
            ("// solution {\n//~ x\n// }\n", "line 2: a line of the starter inside"),
        ] {
            let error = cut(text).unwrap_err();
            assert!(error.starts_with(expected), "{error:?} for {text:?}");
        }
    }
}
