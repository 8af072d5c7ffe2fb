//! How the course grows: a new lesson, a new example, and the proof that both are found by everything else.

use std::fs;
use std::path::Path;

use clap::Parser as _;

use crate::book;
use crate::steps;
use crate::tidy;
use crate::workspace::{self, Workspace};
use crate::{Arguments, Chore};

/// What a lesson crate has besides its programs and its README; as lesson 7 has it.
const MODEL: &str = "lesson07-communication";

/// Makes the crate of a new lesson, its first program, its README and its reading.
pub(crate) fn new_lesson(root: &Path, number: &str, name: &str) -> Result<(), String> {
    let is_number = number.len() == 2 && number.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return Err(format!("`{number}` is not a number of two digits, such as 08"));
    }
    is_name(name)?;
    let workspace = Workspace::read(root)?;
    let start = format!("lesson{number}");
    if let Some(member) = workspace.lesson_crates().find(|member| member.folder.starts_with(&start))
    {
        return Err(format!("there is a lesson {number} already: {}", member.folder));
    }

    let lesson = Lesson { number, name };
    let files = [
        (format!("{}/Cargo.toml", lesson.folder()), lesson.manifest(&workspace)?),
        (format!("{}/tests/transcripts.rs", lesson.folder()), lesson.transcripts(&workspace)?),
        (format!("{}/README.md", lesson.folder()), lesson.readme()),
        (format!("{}/{}", lesson.folder(), lesson.program()), lesson.first()),
        (format!("{}/{}", book::PAGES, lesson.page()), lesson.reading()),
        (book::SUMMARY.to_owned(), lesson.summary(&workspace)?),
    ];
    for (path, text) in &files {
        write(root, path, text)?;
    }
    finish(root)?;
    println!(
        "lesson {number} is there; run it with\n    cargo run -p {} --bin {}\n\
         then write its README, its first program and its reading in {}/{}",
        lesson.folder(),
        lesson.bin(),
        book::PAGES,
        lesson.page()
    );
    Ok(())
}

/// Makes a program in the lesson of this number, as the last of a section; the last section where none is named.
pub(crate) fn new_example(
    root: &Path,
    number: &str,
    name: &str,
    section: Option<&str>,
) -> Result<(), String> {
    is_name(name)?;
    let workspace = Workspace::read(root)?;
    let start = format!("lesson{number}-");
    let member = workspace.lesson_crates().find(|member| member.folder.starts_with(&start));
    let member = member.ok_or_else(|| format!("there is no lesson {number}"))?;
    let taken = format!("_{name}.rs");
    if let Some((path, _)) = workspace.files.iter().find(|(path, _)| path.ends_with(&taken)) {
        return Err(format!("there is a program `{name}` already: {path}"));
    }

    // The answers to the exercises come after the sections.
    let sources = format!("{}/src/", member.folder);
    let sections = workspace.files.iter().filter_map(|(path, _)| {
        let (section, file) = path.strip_prefix(&sources)?.split_once('/')?;
        Some((section, file))
    });
    let sections: Vec<(&str, &str)> = sections.collect();
    let last = sections.iter().map(|(section, _)| *section).filter(|section| *section != "answers");
    let section = section.or(last.max());
    let section = section.ok_or_else(|| format!("{} has no section", member.folder))?;
    let files = sections.iter().filter(|(known, _)| *known == section).map(|(_, file)| *file);
    let number_of =
        |file: &str| file.split('_').next().and_then(|number| number.parse::<u32>().ok());
    let next = files.filter_map(number_of).max().unwrap_or(0) + 1;

    let file = format!("{sources}{section}/{next:02}_{name}.rs");
    write(root, &file, &program(&member.name, &title_of(section, name), name))?;
    finish(root)?;
    println!(
        "{file} is there; run it with\n    cargo run -p {} --bin {name}\n\
         then write it, and name it on the page of its section in {}",
        member.name,
        book::PAGES
    );
    Ok(())
}

/// A lesson that is about to be made.
struct Lesson<'a> {
    /// Two digits.
    number: &'a str,
    name: &'a str,
}

impl Lesson<'_> {
    fn folder(&self) -> String {
        format!("lesson{}-{}", self.number, self.name)
    }

    /// Without the zero before it.
    fn digit(&self) -> &str {
        self.number.trim_start_matches('0')
    }

    fn section(&self) -> String {
        format!("{}_1_{}", self.digit(), self.name)
    }

    fn bin(&self) -> String {
        format!("{}_hello", self.name)
    }

    fn program(&self) -> String {
        format!("src/{}/01_{}.rs", self.section(), self.bin())
    }

    fn page(&self) -> String {
        format!("{}.md", self.section())
    }

    fn title(&self) -> String {
        format!("{}.1 {}", self.digit(), capital(self.name))
    }

    /// The model's manifest under another name, without its programs.
    fn manifest(&self, workspace: &Workspace) -> Result<String, String> {
        let text = model(workspace, "Cargo.toml")?;
        let mut manifest = String::new();
        for line in text.lines() {
            let line = match line.split_once(" = ") {
                Some(("name", name)) if name.trim_matches('"') == MODEL => {
                    format!("name = \"{}\"", self.folder())
                }
                Some(("description", _)) => {
                    format!("description = \"Lesson {}: {}\"", self.digit(), self.name)
                }
                _ => line.to_owned(),
            };
            manifest.push_str(&line);
            manifest.push('\n');
        }
        Ok(tidy::without_programs(&manifest))
    }

    fn transcripts(&self, workspace: &Workspace) -> Result<String, String> {
        model(workspace, "tests/transcripts.rs").map(str::to_owned)
    }

    fn readme(&self) -> String {
        let (digit, name, folder) = (self.digit(), self.name, self.folder());
        format!(
            "# Lesson {digit}: {name}\n\n\
             ```console\n\
             $ cargo run -p {folder} --bin {}      # run one\n\
             $ cargo test -p {folder} --all-features      # run all, and compare with what they promise\n\
             ```\n\n\
             ## Goals\n\n\
             When you have done this lesson, you can\n\n\
             * run its first program.\n\n\
             ## Check yourself\n\n\
             1. Which process prints the greeting? (`{}`)\n\n\
             ## Programs\n\n\
             {}\n{}\n",
            self.bin(),
            self.bin(),
            tidy::BEGIN,
            tidy::END
        )
    }

    fn first(&self) -> String {
        program(&self.folder(), &self.title(), &self.bin())
    }

    fn reading(&self) -> String {
        format!(
            "# {}\n\n*About 5 minutes.*\n\nAfter this you can run the first program of the lesson.\n\n\
             ## A first program\n\n`{}` starts a process that prints a greeting.\n\n\
             ```rust\n{{{{#include ../../{}/{}}}}}\n```\n",
            self.title(),
            self.bin(),
            self.folder(),
            self.program()
        )
    }

    /// The summary with the reading in a part of its own, behind those of the other lessons.
    fn summary(&self, workspace: &Workspace) -> Result<String, String> {
        let summary = workspace.text(book::SUMMARY).ok_or("the book has no summary")?;
        let part = format!(
            "# Lesson {}: {}\n\n- [{}]({})\n\n",
            self.digit(),
            self.name,
            self.title(),
            self.page()
        );
        // The first line of the first part behind those of the lessons.
        let parts = summary.match_indices("\n# ").map(|(at, _)| at + 1);
        let is_lesson = |at: &usize| summary[*at..].starts_with("# Lesson ");
        let lessons = parts.clone().filter(is_lesson).max().unwrap_or(0);
        let at = parts.clone().find(|at| *at > lessons).unwrap_or(summary.len());
        Ok(format!("{}{part}{}", &summary[..at], &summary[at..]))
    }
}

/// A program to begin with: it holds, and shows the form.
fn program(package: &str, title: &str, bin: &str) -> String {
    format!(
        "//! # {title} (This course)\n\
         //!\n\
         //! A process of its own prints a greeting.\n\
         //!\n\
         //! ```console\n\
         //! $ cargo run -p {package} --bin {bin}\n\
         //! Hello from {bin}, process [PID child]\n\
         //! Its number was [PID child]\n\
         //! ```\n\
         //!\n\
         //! Observe: both lines show one number; the first was printed by the process itself.\n\
         //! Try: print the number of the parent in its line as well.\n\
         \n\
         use common::Process;\n\
         use std::process;\n\
         \n\
         fn greet(name: String) {{\n    println!(\"Hello from {{name}}, process {{}}\", process::id());\n}}\n\
         \n\
         fn main() -> common::Result<()> {{\n    common::init();\n    \
         let child = Process::new(greet, \"{bin}\".to_string()).start()?;\n    \
         child.join()?;\n    println!(\"Its number was {{}}\", child.pid());\n    Ok(())\n}}\n"
    )
}

/// `7_2_pipes` and `pipe_peek` are `7.2 Pipe peek`.
fn title_of(section: &str, name: &str) -> String {
    let digits = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
    let number: Vec<&str> = section.split('_').take_while(digits).collect();
    format!("{} {}", number.join("."), capital(&name.replace('_', " "))).trim().to_owned()
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// Whether a program or a lesson can be called so.
fn is_name(name: &str) -> Result<(), String> {
    let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    match name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(is_good) {
        true => Ok(()),
        false => Err(format!("`{name}` is no name; write small letters, digits and _")),
    }
}

fn model<'a>(workspace: &'a Workspace, file: &str) -> Result<&'a str, String> {
    let path = format!("{MODEL}/{file}");
    workspace.text(&path).ok_or_else(|| format!("{path} is missing, of which a copy is made"))
}

/// Writes a file that is new, or the summary.
fn write(root: &Path, path: &str, text: &str) -> Result<(), String> {
    let file = root.join(path);
    let folder = file.parent().unwrap_or(root);
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    workspace::write(&file, text)
}

/// Everything that follows from the files: manifests, indexes, the lock file.
fn finish(root: &Path) -> Result<(), String> {
    tidy::fix(root)?;
    // Nothing comes over the network: a new crate has the dependencies of others.
    steps::cargo(root, &["update", "--workspace", "--offline", "--quiet"])
}

/// Does what the guides in CONTRIBUTING.md say in a copy of the workspace, command by command, and removes the copy.
pub(crate) fn grow(root: &Path) -> Result<(), String> {
    let target = root.join("target/grow");
    let copy = target.join("workspace");
    remove(&copy)?;
    let workspace = Workspace::read(root)?;
    for (path, text) in &workspace.files {
        write(&copy, path, text)?;
    }
    let guides = workspace.text("CONTRIBUTING.md").unwrap_or_default();
    let result = grown(&copy, &target.join("target"), &commands(guides));
    remove(&copy)?;
    result
}

/// The guides whose commands are tried.
const GUIDES: [&str; 2] = ["## Add a lesson in ", "## Add an example in "];

/// The commands of the guides, in their order.
fn commands(text: &str) -> Vec<&str> {
    let mut is_guide = false;
    let mut commands = Vec::new();
    for line in text.lines() {
        if line.starts_with("## ") {
            is_guide = GUIDES.iter().any(|guide| line.starts_with(guide));
        }
        if let Some(command) = line.trim_start().strip_prefix("$ ").filter(|_| is_guide) {
            commands.push(command.split(" #").next().unwrap_or(command).trim());
        }
    }
    commands
}

fn grown(copy: &Path, target: &Path, commands: &[&str]) -> Result<(), String> {
    if commands.len() < 4 {
        return Err("CONTRIBUTING.md: the guides have lost their commands".into());
    }
    for command in commands {
        println!("grow: {command}");
        match &command.split(' ').collect::<Vec<_>>()[..] {
            ["cargo", "xtask", words @ ..] => {
                let words = ["cargo xtask"].iter().chain(words);
                let arguments = Arguments::try_parse_from(words).map_err(|e| e.to_string())?;
                let chore = arguments.chore.ok_or("no chore")?;
                crate::run(&chore, copy)?;
                if let Chore::NewExample { name, section: Some(section), .. } = &chore {
                    name_on_page(copy, section, name)?;
                }
            }
            ["cargo", words @ ..] => {
                let mut command = steps::command(copy, words);
                command.env("CARGO_TARGET_DIR", target);
                steps::finish(command)?;
            }
            _ => return Err(format!("CONTRIBUTING.md: `{command}` is no command of cargo")),
        }
    }
    let readings = copy.join("readings");
    book::resolve(copy, &readings)?;
    let reading = fs::read_to_string(readings.join("8_1_networking.md")).unwrap_or_default();
    match reading.contains("--bin networking_hello") {
        true => Ok(()),
        false => Err("the reading of lesson 08 does not hold its program".into()),
    }
}

/// What the author of an example does by hand.
fn name_on_page(copy: &Path, section: &str, name: &str) -> Result<(), String> {
    let page = copy.join(book::PAGES).join(format!("{section}.md"));
    let text = fs::read_to_string(&page).map_err(|e| format!("{}: {e}", page.display()))?;
    workspace::write(&page, &format!("{text}\n`{name}` is a new example.\n"))
}

fn remove(folder: &Path) -> Result<(), String> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{}: {error}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::tests::Tree;

    #[test]
    fn names_and_numbers_are_looked_at() {
        let tree = Tree::tidy();
        for (number, name, problem) in [
            ("8", "networking", "two digits"),
            ("08", "Net", "is no name"),
            ("08", "", "is no name"),
            ("05", "networking", "there is a lesson 05 already"),
            ("08", "networking", "lesson07-communication/Cargo.toml is missing"),
        ] {
            let error = new_lesson(tree.root(), number, name).expect_err("refused");
            assert!(error.contains(problem), "{error}");
        }
        for (number, name, problem) in [
            ("06", "two", "there is no lesson 06"),
            ("05", "one", "there is a program `one` already"),
            ("05", "t/o", "is no name"),
        ] {
            let error = new_example(tree.root(), number, name, None).expect_err("refused");
            assert!(error.contains(problem), "{error}");
        }
        assert_eq!(tidy::check(tree.root()), Ok(Vec::new()));
    }

    #[test]
    fn a_new_lesson_comes_behind_the_others() {
        let tree = Tree::tidy();
        tree.write(
            book::SUMMARY,
            "# Summary\n\n[W](w.md)\n\n# Lesson 5: x\n\n- [a](a.md)\n\n# Days\n\n- [b](b.md)\n",
        );
        let workspace = Workspace::read(tree.root()).expect("readable");
        let summary = Lesson { number: "08", name: "nets" }.summary(&workspace).expect("a summary");
        let expected = "- [a](a.md)\n\n# Lesson 8: nets\n\n- [8.1 Nets](8_1_nets.md)\n\n# Days\n";
        assert!(summary.contains(expected), "{summary}");
    }

    #[test]
    fn the_guides_are_the_commands_in_them() {
        let text =
            "## Other\n$ no\n## Add a lesson in 2 steps\n   $ cargo a b  # why\n## Then\n$ no\n";
        assert_eq!(commands(text), ["cargo a b"]);
    }

    #[test]
    fn titles_have_the_number_of_their_section() {
        assert_eq!(title_of("7_2_pipes", "pipe_peek"), "7.2 Pipe peek");
        assert_eq!(title_of("answers", "more"), "More");
    }

    #[test]
    fn the_program_to_begin_with_keeps_the_form() {
        let text = program("lesson05-processes", "5.1 One", "one");
        let header = transcript::Header::parse(&text).expect("a header");
        assert_eq!(header.source, "This course");
        let output = "Hello from one, process 7\nIts number was 7\n";
        assert_eq!(header.blocks[0].output.check(output), Ok(()));
    }
}
