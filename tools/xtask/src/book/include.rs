//! Includes: `{{#include PATH}}`, and `{{#include PATH:ANCHOR}}` for a part.
//!
//! mdBook leaves an empty block where a file or an anchor is missing, and says nothing; so they are resolved
//! here as well.

use crate::workspace::Workspace;

const OPEN: &str = "{{#";
const CLOSE: &str = "}}";

/// What an include asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Include {
    /// From the root of the workspace.
    pub(super) path: String,
    pub(super) anchor: Option<String>,
}

impl Include {
    /// The include that a text consists of, read in a folder; nothing if it is something else.
    pub(super) fn parse(text: &str, folder: &str) -> Option<Include> {
        let inside = text.trim().strip_prefix("{{#include ")?.strip_suffix(CLOSE)?;
        if inside.contains([' ', '\n', '{', '}']) {
            return None;
        }
        let (path, anchor) = match inside.split_once(':') {
            Some((path, anchor)) => (path, Some(anchor.to_owned())),
            None => (inside, None),
        };
        Some(Include { path: join(folder, path)?, anchor })
    }

    /// What it stands for.
    pub(super) fn text(&self, workspace: &Workspace) -> Result<String, String> {
        let text = workspace.text(&self.path).ok_or_else(|| format!("{} is missing", self.path))?;
        match &self.anchor {
            None => Ok(text.to_owned()),
            Some(anchor) => part(text, anchor)
                .ok_or_else(|| format!("{} has no anchor `{anchor}` with an end", self.path)),
        }
    }
}

/// A text with every include replaced; a finding is what is wrong with one.
pub(super) fn resolve(
    workspace: &Workspace,
    text: &str,
    folder: &str,
) -> Result<String, Vec<String>> {
    let (mut resolved, mut findings) = (String::new(), Vec::new());
    for line in text.lines() {
        if !line.contains(OPEN) {
            resolved.push_str(line);
            resolved.push('\n');
            continue;
        }
        match Include::parse(line, folder) {
            None => findings.push(format!("`{}` is not an include alone in its line", line.trim())),
            Some(include) => match include.text(workspace) {
                Ok(text) => resolved.push_str(&format!("{}\n", text.trim_end())),
                Err(problem) => findings.push(problem),
            },
        }
    }
    if findings.is_empty() { Ok(resolved) } else { Err(findings) }
}

/// What lies between `ANCHOR: name` and `ANCHOR_END: name`, without the lines of other anchors.
fn part(text: &str, anchor: &str) -> Option<String> {
    let names = |line: &str, mark: &str| {
        let rest = line.split_once(mark).map(|(_, rest)| rest.trim());
        rest == Some(anchor)
    };
    let mut lines = text.lines().skip_while(|line| !names(line, "ANCHOR: "));
    lines.next()?;
    let mut inside = String::new();
    for line in lines {
        if names(line, "ANCHOR_END: ") {
            return Some(inside);
        }
        if !line.contains("ANCHOR: ") && !line.contains("ANCHOR_END: ") {
            inside.push_str(line);
            inside.push('\n');
        }
    }
    None
}

/// `path`, read in `folder`; nothing where it leaves the root.
pub(super) fn join(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::tests::Tree;

    #[test]
    fn a_path_is_read_in_its_folder() {
        assert_eq!(join("book/src", "../../a/b.rs").as_deref(), Some("a/b.rs"));
        assert_eq!(join("book/src", "./x.md").as_deref(), Some("book/src/x.md"));
        assert_eq!(join("book", "../../x"), None);
    }

    #[test]
    fn an_include_is_alone() {
        let include = Include::parse("{{#include ../a.rs:x}}\n", "book").expect("an include");
        assert_eq!(include, Include { path: "a.rs".into(), anchor: Some("x".into()) });
        for text in ["{{#include a.rs}} x", "x", "{{#playground a.rs}}", "{{#include a.rs b}}"] {
            assert_eq!(Include::parse(text, ""), None, "{text}");
        }
    }

    #[test]
    fn a_part_is_what_lies_between_its_anchors() {
        let text = "a\n// ANCHOR: x\nb\n// ANCHOR: y\nc\n// ANCHOR_END: x\nd\n";
        assert_eq!(part(text, "x").as_deref(), Some("b\nc\n"));
        assert_eq!(part(text, "y"), None);
        assert_eq!(part(text, "z"), None);
    }

    #[test]
    fn includes_are_replaced_and_missing_ones_named() {
        let tree = Tree::tidy();
        let workspace = Workspace::read(tree.root()).expect("readable");
        let text = "a\n{{#include ../common/src/lib.rs}}\nb\n";
        let resolved = resolve(&workspace, text, "book").expect("there");
        assert_eq!(resolved, "a\n//! unsafe stays in its rooms\nmod sys;\nb\n");
        let text = "{{#include ../x.rs}}\n{{#include ../common/src/lib.rs:x}}\n{{#title x}}\n";
        let findings = resolve(&workspace, text, "book").expect_err("missing");
        assert_eq!(findings[0], "x.rs is missing");
        assert_eq!(findings[1], "common/src/lib.rs has no anchor `x` with an end");
        assert!(findings[2].contains("is not an include"), "{findings:?}");
    }
}
