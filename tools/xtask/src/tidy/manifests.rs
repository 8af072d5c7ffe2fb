//! Checks of the manifests, and of ARCHITECTURE.md beside them.

use std::collections::BTreeSet;

use toml::Value;

use crate::workspace::{Workspace, entry};

/// How long ARCHITECTURE.md may be.
const ARCHITECTURE_LINES: usize = 150;

/// Every member says that it is not published, and takes the lints of the workspace.
pub(super) fn members_are_private_and_linted(workspace: &Workspace) -> Vec<String> {
    let off = |value: Option<&Value>| value.and_then(Value::as_bool) == Some(false);
    let on = |value: Option<&Value>| value.and_then(Value::as_bool) == Some(true);
    let shared = off(entry(&workspace.manifest, &["workspace", "package", "publish"]));
    let mut findings = Vec::new();
    for member in &workspace.members {
        let inherited = on(entry(&member.manifest, &["package", "publish", "workspace"]));
        if !(inherited && shared || off(entry(&member.manifest, &["package", "publish"]))) {
            findings.push(format!(
                "{}/Cargo.toml: can be published; write `publish.workspace = true`",
                member.folder
            ));
        }
        if !on(entry(&member.manifest, &["lints", "workspace"])) {
            findings.push(format!(
                "{}/Cargo.toml: has lints of its own; write `[lints]` with `workspace = true`",
                member.folder
            ));
        }
    }
    findings
}

/// ARCHITECTURE.md can be read in one go.
pub(super) fn architecture_is_short(workspace: &Workspace) -> Vec<String> {
    let Some(text) = workspace.text("ARCHITECTURE.md") else {
        return vec!["ARCHITECTURE.md: is missing".into()];
    };
    match text.lines().count() {
        0..=ARCHITECTURE_LINES => Vec::new(),
        lines => {
            vec![format!("ARCHITECTURE.md: {lines} lines; {ARCHITECTURE_LINES} are the limit")]
        }
    }
}

/// The table of dependencies in ARCHITECTURE.md has a row for each that is not ours, and no other.
pub(super) fn dependencies_are_explained(workspace: &Workspace) -> Vec<String> {
    let dependencies = entry(&workspace.manifest, &["workspace", "dependencies"]);
    let dependencies = dependencies.and_then(Value::as_table).into_iter().flatten();
    let foreign = dependencies.filter(|(_, value)| value.get("path").is_none());
    let used: BTreeSet<&str> = foreign.map(|(name, _)| name.as_str()).collect();
    let rows = dependency_rows(workspace.text("ARCHITECTURE.md").unwrap_or_default());

    let mut findings = Vec::new();
    for name in &used {
        if !rows.contains(name) {
            findings.push(format!(
                "ARCHITECTURE.md: no row for `{name}` in the table of dependencies; \
                 say what it does for us and what we would write without it"
            ));
        }
    }
    for name in rows.iter().filter(|name| !used.contains(*name)) {
        findings.push(format!(
            "ARCHITECTURE.md: a row for `{name}`, which is not in [workspace.dependencies]"
        ));
    }
    findings
}

/// The names in the first column of the tables under a heading about dependencies: those in backticks, or
/// the whole cell if there are none.
fn dependency_rows(text: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    let (mut here, mut row) = (false, 0);
    for line in text.lines() {
        if line.starts_with('#') {
            here = line.contains("ependenc");
        }
        row = if line.starts_with('|') { row + 1 } else { 0 };
        // The first two rows of a table are its head and the rule below it.
        if here && row > 2 {
            let cell = line.split('|').nth(1).unwrap_or_default().trim();
            match cell.contains('`') {
                true => names.extend(cell.split('`').skip(1).step_by(2)),
                false => names.extend(Some(cell).filter(|cell| !cell.is_empty())),
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::tests::Tree;

    #[test]
    fn a_member_that_can_be_published_is_found() {
        let tree = Tree::tidy();
        tree.replace("common/Cargo.toml", "publish.workspace = true", "publish = false");
        assert_eq!(tree.findings(members_are_private_and_linted), [""; 0]);
        tree.replace("common/Cargo.toml", "publish = false", "publish = true");
        tree.replace("tools/one/Cargo.toml", "publish.workspace = true\n", "");
        let findings = tree.findings(members_are_private_and_linted);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].starts_with("common/Cargo.toml: can be published"), "{findings:?}");
        let tree = Tree::tidy();
        tree.replace("Cargo.toml", "publish = false", "");
        assert_eq!(tree.findings(members_are_private_and_linted).len(), 3);
    }

    #[test]
    fn a_member_with_lints_of_its_own_is_found() {
        let tree = Tree::tidy();
        tree.replace("common/Cargo.toml", "[lints]\nworkspace = true\n", "");
        tree.replace("tools/one/Cargo.toml", "[lints]\nworkspace = true", "[lints.rust]");
        let findings = tree.findings(members_are_private_and_linted);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[1].starts_with("tools/one/Cargo.toml: has lints"), "{findings:?}");
    }

    #[test]
    fn a_long_or_missing_architecture_is_found() {
        let tree = Tree::tidy();
        tree.write("ARCHITECTURE.md", &"x\n".repeat(ARCHITECTURE_LINES));
        assert_eq!(tree.findings(architecture_is_short), [""; 0]);
        tree.write("ARCHITECTURE.md", &"x\n".repeat(ARCHITECTURE_LINES + 1));
        assert!(tree.findings(architecture_is_short)[0].contains("151 lines"));
        std::fs::remove_file(tree.root().join("ARCHITECTURE.md")).expect("removed");
        assert!(tree.findings(architecture_is_short)[0].contains("is missing"));
    }

    #[test]
    fn dependencies_without_a_row_and_rows_without_one_are_found() {
        let tree = Tree::tidy();
        tree.replace("ARCHITECTURE.md", "`toml`", "`tomb`");
        let findings = tree.findings(dependencies_are_explained);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].contains("no row for `toml`"), "{findings:?}");
        assert!(findings[1].contains("a row for `tomb`"), "{findings:?}");
        let tree = Tree::tidy();
        tree.replace("Cargo.toml", "serde = \"1\"", "serde = \"1\"\nrand = \"1\"");
        assert!(tree.findings(dependencies_are_explained)[0].contains("`rand`"));
    }

    #[test]
    fn only_the_table_of_dependencies_counts() {
        let text = "## Map\n| a | b |\n|-|-|\n| `x` | y |\n## Dependencies\n\n| crate | why |\n|-|-|\n\
                    | `hmac` + `sha2` | y |\n| **loom** | |\n\ntext\n\n## Next\n| a |\n|-|\n| z |\n";
        let names: Vec<_> = dependency_rows(text).into_iter().collect();
        assert_eq!(names, ["**loom**", "hmac", "sha2"]);
    }
}
