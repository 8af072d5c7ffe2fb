//! Checks of the lessons: names, headers, and the indexes of them in the READMEs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use toml::Value;
use transcript::{Header, Lesson, lessons};

use crate::book::{self, PAGES, Reading};
use crate::workspace::{Member, Workspace, entry};

/// Where an index of lessons begins.
pub(crate) const BEGIN: &str = "<!-- lessons:begin -->";
/// Where it ends.
pub(crate) const END: &str = "<!-- lessons:end -->";

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

/// The manifest of a lesson crate has a program for each file, in the order of the files.
pub(super) fn programs_are_the_files(workspace: &Workspace) -> Vec<String> {
    let finding = |(path, _): (String, String)| {
        format!("{path}: its programs are not those of `src`; `cargo xtask tidy --fix`")
    };
    old_manifests(workspace).into_iter().map(finding).collect()
}

/// The manifests whose programs are not those of their files, and what their text should be.
pub(super) fn old_manifests(workspace: &Workspace) -> Vec<(String, String)> {
    let current = |member: &Member| {
        let path = format!("{}/Cargo.toml", member.folder);
        let text = workspace.text(&path)?;
        let current = with_programs(text, &programs(workspace, &member.folder));
        (current != text).then_some((path, current))
    };
    workspace.lesson_crates().filter_map(current).collect()
}

/// An entry for each file of a crate: `src/5_1_processes/02_process_basic.rs` is `process_basic`.
fn programs(workspace: &Workspace, folder: &str) -> String {
    let mut text = String::new();
    for (path, source) in &workspace.files {
        let Some(path) = path.strip_prefix(folder).and_then(|path| path.strip_prefix('/')) else {
            continue;
        };
        if !path.starts_with("src/") || !path.ends_with(".rs") {
            continue;
        }
        let stem = Path::new(path).file_stem().unwrap_or_default().to_string_lossy();
        let name = stem.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches('_');
        let _ = write!(text, "[[bin]]\nname = \"{name}\"\npath = \"{path}\"\ntest = false\n");
        let header = Header::parse(source).ok();
        let block = header.as_ref().and_then(|header| header.blocks.first());
        let features = block.map(|block| &block.command.features[..]).unwrap_or_default();
        if !features.is_empty() {
            let _ = writeln!(text, "required-features = {features:?}");
        }
        text.push('\n');
    }
    text
}

/// A manifest without its programs.
pub(crate) fn without_programs(manifest: &str) -> String {
    with_programs(manifest, "")
}

/// A manifest with these entries in the place of those that it has.
fn with_programs(manifest: &str, programs: &str) -> String {
    let (mut before, mut after) = (String::new(), String::new());
    let (mut is_behind, mut is_inside) = (false, false);
    for line in manifest.lines() {
        if line.starts_with('[') {
            is_inside = line == "[[bin]]";
            is_behind |= is_inside || line == "[[test]]";
        }
        let part = if is_behind { &mut after } else { &mut before };
        if !is_inside {
            part.push_str(line);
            part.push('\n');
        }
    }
    format!("{before}{programs}{after}")
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

/// The indexes of lessons are those that the headers make.
pub(super) fn indexes_are_current(workspace: &Workspace) -> Vec<String> {
    let finding = |path: String| {
        format!("{path}: the index of lessons is not current; `cargo xtask tidy --fix`")
    };
    match old_indexes(workspace) {
        Err(error) => vec![error],
        Ok(files) => files.into_iter().map(|(path, _)| finding(path)).collect(),
    }
}

/// The files whose index is not as it should be, and what their text should be: the README, and one in each
/// lesson crate.
pub(super) fn old_indexes(workspace: &Workspace) -> Result<Vec<(String, String)>, String> {
    let members: Vec<(&Member, Vec<Section>)> =
        workspace.lesson_crates().map(|member| (member, sections(workspace, member))).collect();
    let mut files = vec![("README.md".to_owned(), overview(&members))];
    for (member, sections) in &members {
        files.push((format!("{}/README.md", member.folder), index(sections)));
    }
    let mut old = Vec::new();
    for (path, index) in files {
        let text = workspace.text(&path).ok_or_else(|| format!("{path}: is missing"))?;
        let marks = || {
            let (before, rest) = text.split_once(BEGIN)?;
            let (_, after) = rest.split_once(END)?;
            Some((before, after))
        };
        let (before, after) = marks()
            .ok_or_else(|| format!("{path}: has no index of lessons; write {BEGIN} and {END}"))?;
        let current = format!("{before}{BEGIN}\n{index}{END}{after}");
        if current != text {
            old.push((path, current));
        }
    }
    Ok(old)
}

/// The lessons of one folder.
struct Section {
    title: String,
    /// What to read about it: titles, and paths from the folder of the pages.
    readings: Vec<(String, String)>,
    lessons: Vec<Lesson>,
}

/// The sections of a crate in the order of its manifest. What cannot be read is left out; another check reports it.
fn sections(workspace: &Workspace, member: &Member) -> Vec<Section> {
    let readings = book::readings(workspace);
    let mut sections: Vec<(String, Section)> = Vec::new();
    for lesson in lessons(&workspace.root.join(&member.folder)).unwrap_or_default() {
        let folder = lesson.relative.parent().and_then(Path::file_name);
        let folder = folder.unwrap_or_default().to_string_lossy().into_owned();
        if sections.last().is_none_or(|(last, _)| *last != folder) {
            let section = section(&folder, &readings);
            sections.push((folder, section));
        }
        if let Some((_, section)) = sections.last_mut() {
            section.lessons.push(lesson);
        }
    }
    sections.into_iter().map(|(_, section)| section).collect()
}

/// A section without its lessons: `5_1_processes` is called like the reading whose title begins with `5.1`, and
/// has that and the readings below it.
fn section(folder: &str, readings: &[Reading]) -> Section {
    let mut parts = folder.split('_').peekable();
    let mut number = Vec::new();
    while let Some(part) = parts.next_if(|part| part.bytes().all(|byte| byte.is_ascii_digit())) {
        number.push(part);
    }
    let (number, words) = (number.join("."), parts.collect::<Vec<_>>().join(" "));
    let own = |reading: &Reading| reading.title.split(' ').next() == Some(number.as_str());
    let Some(at) = readings.iter().position(own) else {
        let title = format!("{number} {words}");
        return Section { title: capital(title.trim()), readings: Vec::new(), lessons: Vec::new() };
    };
    let below = readings[at + 1..].iter().take_while(|next| next.depth > readings[at].depth);
    let all = readings[at..=at].iter().chain(below);
    let readings_of = all.map(|reading| (reading.title.clone(), reading.path.clone())).collect();
    Section { title: readings[at].title.clone(), readings: readings_of, lessons: Vec::new() }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// A row for each section, with the names of its programs.
fn overview(members: &[(&Member, Vec<Section>)]) -> String {
    let mut text = String::from("| Section | Programs |\n| --- | --- |\n");
    for (member, sections) in members {
        for section in sections {
            let names: Vec<_> =
                section.lessons.iter().map(|lesson| format!("`{}`", lesson.bin)).collect();
            let (title, id) = (&section.title, book::id_of(&section.title));
            let link = format!("{}/README.md#{id}", member.folder);
            let _ = writeln!(text, "| [{title}]({link}) | {} |", names.join(", "));
        }
    }
    text
}

/// A table for each section, with what to read.
fn index(sections: &[Section]) -> String {
    let mut text = String::new();
    for section in sections {
        let _ = write!(text, "### {}\n\n", section.title);
        let link = |(title, path): &(String, String)| format!("[{title}](../{PAGES}/{path})");
        let links: Vec<_> = section.readings.iter().map(link).collect();
        if !links.is_empty() {
            let _ = write!(text, "To read: {}\n\n", links.join(", "));
        }
        text.push_str("| Program | Lesson | Idea |\n| --- | --- | --- |\n");
        text.extend(section.lessons.iter().filter_map(row));
        text.push('\n');
    }
    text
}

fn row(lesson: &Lesson) -> Option<String> {
    let header = lesson.header.as_ref().ok()?;
    let cell = |text: &str| text.replace('|', "\\|");
    let features = &header.blocks.first()?.command.features;
    let features = match features.is_empty() {
        true => String::new(),
        false => format!(" with `--features {}`", features.join(",")),
    };
    let title = header.title.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').trim();
    let (title, idea) = (cell(title), cell(header.summary()));
    Some(format!("| `{}`{features} | {title} | {idea} |\n", lesson.bin))
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
    use crate::workspace::tests::Tree;

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
    fn programs_that_are_not_the_files_are_found() {
        for (path, from, to) in [
            (MANIFEST, "name = \"one\"", "name = \"two\""),
            (MANIFEST, "[[bin]]", "[other]"),
            (LESSON, "--bin one", "--features plot --bin one"),
        ] {
            let tree = Tree::tidy();
            tree.replace(path, from, to);
            let findings = tree.findings(programs_are_the_files);
            assert!(findings[0].starts_with(&format!("{MANIFEST}: its programs")), "{findings:?}");
        }
        let tree = Tree::tidy();
        tree.write("lesson05-processes/src/5_1/02_two.rs", &tree.read(LESSON));
        let workspace = Workspace::read(tree.root()).expect("readable");
        let [(path, text)] = &old_manifests(&workspace)[..] else { panic!("one manifest") };
        assert_eq!(path, MANIFEST);
        assert!(text.contains("[[bin]]\nname = \"two\"\npath = \"src/5_1/02_two.rs\"\n"), "{text}");
        assert!(text.ends_with("test = false\n\n[[test]]\nname = \"transcripts\"\n"), "{text}");
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
        const OWN: &str = "lesson05-processes/README.md";
        for (path, from, to, finding) in [
            (LESSON, "An idea.", "A new idea.", "lesson05-processes/README.md: the index"),
            ("README.md", "`one`", "`won`", "README.md: the index"),
            (OWN, "| `one`", "| `won`", "lesson05-processes/README.md: the index"),
            (OWN, "../book/src/one.md", "one.md", "lesson05-processes/README.md: the index"),
            ("README.md", END, "", "README.md: has no index"),
            (OWN, BEGIN, "", "lesson05-processes/README.md: has no index"),
        ] {
            let tree = Tree::tidy();
            tree.replace(path, from, to);
            let findings = tree.findings(indexes_are_current);
            assert!(findings.len() == 1 && findings[0].starts_with(finding), "{to}: {findings:?}");
        }
    }

    #[test]
    fn a_section_without_a_reading_is_called_like_its_folder() {
        assert_eq!(section("5_7_more_of_it", &[]).title, "5.7 more of it");
        assert_eq!(section("answers", &[]).title, "Answers");
    }

    #[test]
    fn a_bar_does_not_end_a_cell() {
        let tree = Tree::tidy();
        tree.replace(LESSON, "An idea.", "An a|b idea.");
        let workspace = Workspace::read(tree.root()).expect("readable");
        let files = old_indexes(&workspace).expect("there are indexes");
        assert!(files[0].1.contains("An a\\|b idea."), "{files:?}");
    }
}
