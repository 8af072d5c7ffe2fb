//! The workspace as the checks see it: members with their manifests, and every text file.

use std::fs;
use std::path::{Path, PathBuf};

use toml::Table;

/// Folders that are made, not written.
const MADE: [&str; 3] = ["target", ".git", "logs"];

/// All that is checked.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) manifest: Table,
    pub(crate) members: Vec<Member>,
    /// Path from the root, and text; sorted.
    pub(crate) files: Vec<(String, String)>,
}

/// A crate of the workspace.
pub(crate) struct Member {
    /// From the root.
    pub(crate) folder: String,
    pub(crate) name: String,
    pub(crate) manifest: Table,
}

impl Workspace {
    pub(crate) fn read(root: &Path) -> Result<Workspace, String> {
        let mut files = Vec::new();
        collect(root, "", &mut files)?;
        files.sort();
        let mut workspace =
            Workspace { root: root.to_owned(), manifest: Table::new(), members: Vec::new(), files };
        workspace.manifest = workspace.table("Cargo.toml")?;

        let texts = |key| {
            let list = entry(&workspace.manifest, &["workspace", key]);
            let list = list.and_then(toml::Value::as_array).into_iter().flatten();
            list.filter_map(toml::Value::as_str).collect::<Vec<_>>()
        };
        let (patterns, excluded) = (texts("members"), texts("exclude"));
        let folders =
            workspace.files.iter().filter_map(|(path, _)| path.strip_suffix("/Cargo.toml"));
        let folders = folders.filter(|folder| patterns.iter().any(|p| is_match(p, folder)));
        let folders = folders.filter(|folder| !excluded.contains(folder));
        let folders: Vec<String> = folders.map(str::to_owned).collect();
        for folder in folders {
            let manifest = workspace.table(&format!("{folder}/Cargo.toml"))?;
            let name = entry(&manifest, &["package", "name"]).and_then(toml::Value::as_str);
            let name =
                name.ok_or_else(|| format!("{folder}/Cargo.toml: no package.name"))?.to_owned();
            workspace.members.push(Member { folder, name, manifest });
        }
        Ok(workspace)
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        let at = self.files.binary_search_by(|(known, _)| known.as_str().cmp(path)).ok()?;
        Some(&self.files[at].1)
    }

    /// The crates whose folders are called `lesson...`.
    pub(crate) fn lesson_crates(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.folder.starts_with("lesson"))
    }

    fn table(&self, path: &str) -> Result<Table, String> {
        let text = self.text(path).ok_or_else(|| format!("{path}: cannot be read"))?;
        text.parse().map_err(|error| format!("{path}: {error}"))
    }
}

/// The value at a path of keys.
pub(crate) fn entry<'a>(table: &'a Table, keys: &[&str]) -> Option<&'a toml::Value> {
    let (first, rest) = keys.split_first()?;
    rest.iter().try_fold(table.get(*first)?, |value, key| value.get(key))
}

/// Writes a file whole.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Whether `path` is one of those that a member pattern stands for; `*` is any text in one part.
fn is_match(pattern: &str, path: &str) -> bool {
    let part = |(pattern, part): (&str, &str)| match pattern.split_once('*') {
        None => pattern == part,
        Some((start, end)) => {
            part.len() >= start.len() + end.len() && part.starts_with(start) && part.ends_with(end)
        }
    };
    pattern.split('/').count() == path.split('/').count()
        && pattern.split('/').zip(path.split('/')).all(part)
}

/// Adds the text files below `folder`; links are not followed.
fn collect(root: &Path, folder: &str, files: &mut Vec<(String, String)>) -> Result<(), String> {
    let at = root.join(folder);
    let problem = |error: std::io::Error| format!("{}: {error}", at.display());
    for found in fs::read_dir(&at).map_err(problem)? {
        let found = found.map_err(problem)?;
        let kind = found.file_type().map_err(problem)?;
        let name = found.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        if kind.is_dir() && !MADE.contains(&name.as_str()) {
            collect(root, &path, files)?;
        } else if kind.is_file() {
            // What is not text has nothing to check; a file that has just gone neither.
            files.extend(fs::read_to_string(found.path()).ok().map(|text| (path, text)));
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A small workspace on disk, to be spoilt by a test.
    pub(crate) struct Tree(tempfile::TempDir);

    const LESSON: &str = "\
//! # 5.1 Title One (Python Processes)
//!
//! An idea. More of it.
//!
//! ```console
//! $ cargo run -p lesson05-processes --bin one
//! ```
//!
//! Observe: a
//! Try: b

fn main() {}
";

    const README: &str = "\
# Course

<!-- lessons:begin -->
| Section | Programs |
| --- | --- |
| [5.1 Firsts](lesson05-processes/README.md#51-firsts) | `one` |
<!-- lessons:end -->
";

    const LESSON_README: &str = "\
# Lesson 5

<!-- lessons:begin -->
### 5.1 Firsts

To read: [5.1 Firsts](../book/src/one.md), [More](../book/src/more.md)

| Program | Lesson | Idea |
| --- | --- | --- |
| `one` | Title One | An idea. |

<!-- lessons:end -->
";

    const SUMMARY: &str = "# Summary\n\n- [5.1 Firsts](one.md)\n  - [More](more.md)\n";

    impl Tree {
        /// One in which everything is as it should be.
        pub(crate) fn tidy() -> Tree {
            let tree = Tree(tempfile::tempdir().expect("a folder"));
            let member = |name: &str| {
                format!(
                    "[package]\nname = \"{name}\"\npublish.workspace = true\n\n[lints]\nworkspace = true\n"
                )
            };
            tree.write(
                "Cargo.toml",
                "[workspace]\nmembers = [\"common\", \"lesson*\", \"tools/*\"]\n\n\
                 [workspace.package]\npublish = false\n\n\
                 [workspace.dependencies]\ncommon = { path = \"common\" }\nserde = \"1\"\n\
                 toml = { version = \"1\" }\n",
            );
            tree.write("common/Cargo.toml", &member("common"));
            tree.write("common/src/lib.rs", "//! unsafe stays in its rooms\nmod sys;\n");
            tree.write("common/src/sys/mod.rs", "fn f() { unsafe { g() } }\n");
            tree.write("tools/one/Cargo.toml", &member("tool"));
            tree.write("tools/one/src/main.rs", "fn main() {}\n");
            let bin = "\n[[bin]]\nname = \"one\"\npath = \"src/5_1/01_one.rs\"\ntest = false\n";
            let test = "\n[[test]]\nname = \"transcripts\"\n";
            let lesson = format!("{}{bin}{test}", member("lesson05-processes"));
            tree.write("lesson05-processes/Cargo.toml", &lesson);
            tree.write("lesson05-processes/src/5_1/01_one.rs", LESSON);
            tree.write("README.md", README);
            tree.write("lesson05-processes/README.md", LESSON_README);
            tree.write("book/src/SUMMARY.md", SUMMARY);
            tree.write(
                "ARCHITECTURE.md",
                "# Architecture\n\n## Dependencies\n\n| crate | why |\n| --- | --- |\n\
                 | `serde` | messages |\n| `toml` | manifests |\n",
            );
            tree
        }

        pub(crate) fn root(&self) -> &Path {
            self.0.path()
        }

        pub(crate) fn read(&self, path: &str) -> String {
            fs::read_to_string(self.root().join(path)).expect("a file of the tree")
        }

        pub(crate) fn write(&self, path: &str, text: &str) {
            let path = self.root().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("written");
        }

        /// Changes a file of the tree; the text to change must be there.
        pub(crate) fn replace(&self, path: &str, from: &str, to: &str) {
            let text = self.read(path);
            assert!(text.contains(from), "{path} holds {from}");
            self.write(path, &text.replace(from, to));
        }

        /// What a check finds in it.
        pub(crate) fn findings(&self, check: fn(&Workspace) -> Vec<String>) -> Vec<String> {
            check(&Workspace::read(self.root()).expect("readable"))
        }
    }

    #[test]
    fn members_are_found_by_their_patterns() {
        assert!(is_match("lesson*", "lesson05-processes"));
        assert!(is_match("tools/*", "tools/xtask"));
        assert!(!is_match("tools/*", "tools"));
        assert!(!is_match("tools/*", "tools/xtask/tests"));
        assert!(!is_match("common", "commons"));
        let tree = Tree::tidy();
        tree.write("other/Cargo.toml", "[package]\nname = \"other\"\n");
        let workspace = Workspace::read(tree.root()).expect("readable");
        let names: Vec<_> = workspace.members.iter().map(|member| member.name.as_str()).collect();
        assert_eq!(names, ["common", "lesson05-processes", "tool"]);
        tree.replace("Cargo.toml", "[workspace]\n", "[workspace]\nexclude = [\"tools/one\"]\n");
        let workspace = Workspace::read(tree.root()).expect("readable");
        assert_eq!(workspace.members.len(), 2);
    }

    #[test]
    fn a_broken_manifest_is_named() {
        let tree = Tree::tidy();
        tree.write("common/Cargo.toml", "[package\n");
        let error = Workspace::read(tree.root()).err().expect("not readable");
        assert!(error.starts_with("common/Cargo.toml: "), "{error}");
    }
}
