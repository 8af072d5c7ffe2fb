//! Checks of the lessons: names, headers, and the README's index of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use toml::Value;
use transcript::{Lesson, lessons};

use super::workspace::{Member, Workspace, entry};

const BEGIN: &str = "<!-- lessons:begin -->";
const END: &str = "<!-- lessons:end -->";

/// No two programs of the workspace have one name, so that `--bin` alone would do.
pub(super) fn bins_have_one_name(workspace: &Workspace) -> Vec<String> {
    let mut owners: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for member in &workspace.members {
        for (name, _) in bins(workspace, member) {
            owners.entry(name).or_default().push(&member.folder);
        }
    }
    owners.retain(|_, folders| folders.len() > 1);
    let finding = |(name, folders): (String, Vec<&str>)| {
        format!(
            "{}/Cargo.toml: `{name}` is also a program of {}",
            folders[0],
            folders[1..].join(", ")
        )
    };
    owners.into_iter().map(finding).collect()
}

/// A lesson is called like its file without the number; every file of a lesson crate is a lesson.
pub(super) fn bins_are_named_like_their_files(workspace: &Workspace) -> Vec<String> {
    let mut findings = Vec::new();
    for member in workspace.lesson_crates() {
        let bins = bins(workspace, member);
        for (name, path) in &bins {
            let stem = Path::new(path).file_stem().unwrap_or_default().to_string_lossy();
            if stem.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches('_') != name
            {
                findings.push(format!(
                    "{}/{path}: is the program `{name}`; one of the names is wrong",
                    member.folder
                ));
            }
        }
        let sources = format!("{}/src/", member.folder);
        for (path, _) in workspace.files.iter().filter(|(path, _)| path.starts_with(&sources)) {
            let inside = &path[member.folder.len() + 1..];
            if path.ends_with(".rs") && bins.iter().all(|(_, path)| path != inside) {
                findings.push(format!("{path}: belongs to no program; add a `[[bin]]` for it"));
            }
        }
    }
    findings
}

/// Every lesson opens with a header of the form, and its code keeps the rules.
pub(super) fn headers_keep_the_form(workspace: &Workspace) -> Vec<String> {
    let mut findings = Vec::new();
    for member in workspace.lesson_crates() {
        match lessons(&workspace.root.join(&member.folder)) {
            Err(error) => {
                let root = format!("{}/", workspace.root.display());
                findings.push(error.to_string().replace(&root, ""));
            }
            Ok(lessons) => {
                for lesson in lessons {
                    let problems = lesson.problems(&member.name);
                    let file = format!("{}/{}", member.folder, lesson.file());
                    findings.extend(problems.iter().map(|problem| format!("{file}: {problem}")));
                }
            }
        }
    }
    findings
}

/// The README's index of lessons is the one that the headers make.
pub(super) fn index_is_current(workspace: &Workspace) -> Vec<String> {
    match readme_with_index(workspace) {
        Err(error) => vec![error],
        Ok(None) => Vec::new(),
        Ok(Some(_)) => {
            vec!["README.md: the index of lessons is not current; `cargo xtask tidy --fix`".into()]
        }
    }
}

/// The README as it should be; nothing if it is.
pub(super) fn readme_with_index(workspace: &Workspace) -> Result<Option<String>, String> {
    let readme = workspace.text("README.md").ok_or("README.md: is missing")?;
    let marks = || {
        let (before, rest) = readme.split_once(BEGIN)?;
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    };
    let (before, after) = marks()
        .ok_or_else(|| format!("README.md: has no index of lessons; write {BEGIN} and {END}"))?;
    let current = format!("{before}{BEGIN}\n{}{END}{after}", index(workspace));
    Ok(Some(current).filter(|current| current != readme))
}

/// A table for each lesson crate. What cannot be read is left out; another check reports it.
fn index(workspace: &Workspace) -> String {
    let mut text = String::new();
    for member in workspace.lesson_crates() {
        if !text.is_empty() {
            text.push('\n');
        }
        let _ = write!(
            text,
            "### {}\n\n| Program | Lesson | Idea | Command |\n| --- | --- | --- | --- |\n",
            member.name
        );
        let lessons = lessons(&workspace.root.join(&member.folder)).unwrap_or_default();
        text.extend(lessons.iter().filter_map(row));
    }
    text
}

fn row(lesson: &Lesson) -> Option<String> {
    let header = lesson.header.as_ref().ok()?;
    let command = &header.blocks.first()?.command.text;
    let cell = |text: &str| text.replace('|', "\\|");
    let (title, idea) = (cell(&header.title), cell(header.summary()));
    Some(format!("| `{}` | {title} | {idea} | `{}` |\n", lesson.bin, cell(command)))
}

/// The programs of a crate: those it names, and those that cargo finds by itself.
fn bins(workspace: &Workspace, member: &Member) -> Vec<(String, String)> {
    let named = entry(&member.manifest, &["bin"]).and_then(Value::as_array).into_iter().flatten();
    let text = |bin: &Value, key| Some(bin.get(key)?.as_str()?.to_owned());
    let mut bins: Vec<(String, String)> = named
        .filter_map(|bin| {
            let name = text(bin, "name")?;
            let path = text(bin, "path").unwrap_or_else(|| format!("src/bin/{name}.rs"));
            Some((name, path))
        })
        .collect();
    let main = "src/main.rs";
    let is_there = workspace.text(&format!("{}/{main}", member.folder)).is_some();
    if is_there && bins.iter().all(|(_, path)| path != main) {
        bins.push((member.name.clone(), main.to_owned()));
    }
    let folder = format!("{}/src/bin/", member.folder);
    for (path, _) in &workspace.files {
        let Some(name) = path.strip_prefix(&folder).and_then(|file| file.strip_suffix(".rs"))
        else {
            continue;
        };
        let inside = format!("src/bin/{name}.rs");
        if !name.contains('/') && bins.iter().all(|(_, path)| *path != inside) {
            bins.push((name.to_owned(), inside));
        }
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::workspace::tests::Tree;

    const LESSON: &str = "lesson05-processes/src/5_1/01_one.rs";
    const MANIFEST: &str = "lesson05-processes/Cargo.toml";

    #[test]
    fn a_name_used_twice_is_found() {
        for (path, text) in [
            ("tools/two/src/bin/one.rs", "fn main() {}"),
            ("tools/two/src/main.rs", "fn main() {}"),
        ] {
            let tree = Tree::tidy();
            let manifest = tree.read("tools/one/Cargo.toml").replace("\"tool\"", "\"one\"");
            tree.write("tools/two/Cargo.toml", &manifest);
            assert_eq!(tree.findings(bins_have_one_name), [""; 0]);
            tree.write(path, text);
            let findings = tree.findings(bins_have_one_name);
            assert_eq!(
                findings,
                ["lesson05-processes/Cargo.toml: `one` is also a program of tools/two"]
            );
        }
    }

    #[test]
    fn a_lesson_that_is_not_called_like_its_file_is_found() {
        let tree = Tree::tidy();
        tree.replace(MANIFEST, "name = \"one\"", "name = \"two\"");
        let findings = tree.findings(bins_are_named_like_their_files);
        assert!(findings[0].contains("01_one.rs: is the program `two`"), "{findings:?}");
    }

    #[test]
    fn a_file_without_a_program_is_found() {
        let tree = Tree::tidy();
        tree.write("lesson05-processes/src/5_1/02_two.rs", "fn main() {}");
        let findings = tree.findings(bins_are_named_like_their_files);
        assert!(
            findings[0].starts_with("lesson05-processes/src/5_1/02_two.rs: belongs"),
            "{findings:?}"
        );
    }

    #[test]
    fn a_header_out_of_form_is_found() {
        for (from, to, finding) in [
            ("//! Observe: a\n", "", "`Try:` comes after"),
            (" (Python Processes)", "", "first line"),
            ("--bin one", "--bin two", "not a command for this lesson"),
            ("fn main", "mod helper;\nfn main", "`mod`"),
        ] {
            let tree = Tree::tidy();
            tree.replace(LESSON, from, to);
            let findings = tree.findings(headers_keep_the_form);
            assert!(findings[0].starts_with(LESSON), "{findings:?}");
            assert!(findings[0].contains(finding), "{findings:?}");
        }
        let tree = Tree::tidy();
        tree.replace(MANIFEST, "[[bin]]", "[other]");
        let findings = tree.findings(headers_keep_the_form);
        assert!(findings[0].starts_with(&format!("{MANIFEST} names no lesson")), "{findings:?}");
    }

    #[test]
    fn an_old_index_is_found() {
        for (path, from, to, finding) in [
            (LESSON, "An idea.", "A new idea.", "not current"),
            ("README.md", "| `one`", "| `won`", "not current"),
            ("README.md", "### lesson05-processes", "### lesson06", "not current"),
            ("README.md", "<!-- lessons:end -->", "", "has no index"),
        ] {
            let tree = Tree::tidy();
            tree.replace(path, from, to);
            let findings = tree.findings(index_is_current);
            assert!(findings.len() == 1 && findings[0].contains(finding), "{to}: {findings:?}");
        }
    }

    #[test]
    fn a_bar_does_not_end_a_cell() {
        let tree = Tree::tidy();
        tree.replace(LESSON, "An idea.", "An a|b idea.");
        let workspace = Workspace::read(tree.root()).expect("readable");
        assert!(index(&workspace).contains("An a\\|b idea."));
    }
}
