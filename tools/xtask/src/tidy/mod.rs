//! What no compiler checks: layout, headers, tables and bans.
//!
//! A check is a function from the workspace, read once, to its findings; a finding is a line that begins
//! with the file it is about.

mod lessons;
mod manifests;
mod sources;

use std::path::Path;

pub(crate) use lessons::{BEGIN, END, without_programs};

use crate::workspace::{self, Workspace};

/// All checks.
const CHECKS: &[fn(&Workspace) -> Vec<String>] = &[
    manifests::members_are_private_and_linted,
    manifests::architecture_is_short,
    manifests::dependencies_are_explained,
    lessons::bins_have_one_name,
    lessons::programs_are_the_files,
    lessons::headers_keep_the_form,
    lessons::indexes_are_current,
    sources::unsafe_stays_in_its_rooms,
    sources::the_kernel_is_called_in_sys,
    sources::no_test_is_ignored,
    sources::nothing_is_left_for_later,
];

/// All findings in the workspace at `root`.
///
/// # Errors
///
/// The workspace cannot be read.
pub(crate) fn check(root: &Path) -> Result<Vec<String>, String> {
    let workspace = Workspace::read(root)?;
    Ok(CHECKS.iter().flat_map(|check| check(&workspace)).collect())
}

/// Writes again what is generated: the programs in the manifests of lessons, and the indexes of them in the
/// READMEs.
///
/// # Errors
///
/// The workspace cannot be read, or a file not written.
pub(crate) fn fix(root: &Path) -> Result<(), String> {
    for (path, text) in lessons::old_manifests(&Workspace::read(root)?) {
        workspace::write(&root.join(path), &text)?;
    }
    // The indexes follow the manifests.
    let workspace = Workspace::read(root)?;
    for (path, text) in lessons::old_indexes(&workspace)? {
        workspace::write(&root.join(path), &text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::tests::Tree;

    #[test]
    fn a_tidy_workspace_has_no_findings() {
        let tree = Tree::tidy();
        assert_eq!(check(tree.root()), Ok(Vec::new()));
    }

    #[test]
    fn fixing_makes_the_index_current() {
        let tree = Tree::tidy();
        tree.replace("lesson05-processes/src/5_1/01_one.rs", "Title One", "Another Title");
        assert_eq!(check(tree.root()).expect("readable").len(), 1);
        fix(tree.root()).expect("writable");
        assert_eq!(check(tree.root()), Ok(Vec::new()));
        assert!(tree.read("lesson05-processes/README.md").contains("Another Title"));
    }

    #[test]
    fn this_workspace_is_read() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let workspace = Workspace::read(&root).expect("readable");
        assert!(workspace.members.iter().any(|member| member.name == "xtask"));
        assert!(workspace.text("tools/xtask/src/tidy/mod.rs").is_some());
    }
}
