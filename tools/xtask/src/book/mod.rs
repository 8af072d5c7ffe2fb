//! The readings: every include, link, anchor and command on them holds, and each concept has its page.
//!
//! | file | what is there |
//! | --- | --- |
//! | [`page`] | a page of Markdown, taken apart |
//! | [`mod@include`] | what an include stands for |
//! | [`checks`] | what is to hold of the pages; a check is a function from the book to its findings |

mod checks;
mod include;
mod page;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

pub(crate) use page::id_of;

use page::Page;
use transcript::{Lesson, lessons};

use crate::workspace::{self, Workspace};

/// Where the pages lie.
pub(crate) const PAGES: &str = "book/src";
/// The list of them, in the order of reading.
pub(crate) const SUMMARY: &str = "book/src/SUMMARY.md";
/// The table of concepts.
const CONCEPTS: &str = "book/src/concepts.md";
/// Which documents there are.
const SOURCES: &str = "book/src/sources.md";
/// Where mdBook puts the pages for a browser.
const HTML: &str = "target/book";

/// All that is checked: the pages, and the lessons they speak of.
struct Book<'a> {
    workspace: &'a Workspace,
    /// Every page but the summary.
    pages: Vec<Page>,
    summary: Page,
    /// Each lesson with the name of its crate.
    lessons: Vec<(&'a str, Lesson)>,
}

impl<'a> Book<'a> {
    fn read(workspace: &'a Workspace) -> Result<Book<'a>, String> {
        let folder = format!("{PAGES}/");
        let is_page = |path: &str| path.starts_with(&folder) && path.ends_with(".md");
        let pages = workspace.files.iter().filter(|(path, _)| is_page(path) && path != SUMMARY);
        let pages = pages.map(|(path, text)| Page::read(path, text)).collect();
        let summary = workspace.text(SUMMARY).ok_or_else(|| format!("{SUMMARY}: is missing"))?;
        let mut all = Vec::new();
        for member in workspace.lesson_crates() {
            let lessons = lessons(&workspace.root.join(&member.folder));
            let lessons = lessons.map_err(|error| error.to_string())?;
            all.extend(lessons.into_iter().map(|lesson| (member.name.as_str(), lesson)));
        }
        let summary = Page::read(SUMMARY, summary);
        Ok(Book { workspace, pages, summary, lessons: all })
    }

    fn page(&self, path: &str) -> Option<&Page> {
        self.pages.iter().find(|page| page.path == path)
    }

    fn has_bin(&self, name: &str) -> bool {
        self.lessons.iter().any(|(_, lesson)| lesson.bin == name)
    }
}

/// A reading, as the summary lists it.
pub(crate) struct Reading {
    /// Its title there.
    pub(crate) title: String,
    /// From the folder of the pages.
    pub(crate) path: String,
    /// In how many lists it stands.
    pub(crate) depth: usize,
}

/// The readings in the order of the summary; none where there is no book.
pub(crate) fn readings(workspace: &Workspace) -> Vec<Reading> {
    let summary = workspace.text(SUMMARY).map(|text| Page::read(SUMMARY, text));
    let links = summary.into_iter().flat_map(|summary| summary.links);
    links.map(|link| Reading { title: link.text, path: link.to, depth: link.depth }).collect()
}

/// Checks all pages, prints which page and program shows each concept, and has mdBook draw the pages where it
/// is installed.
pub(crate) fn book(root: &Path) -> Result<(), String> {
    check(root)?;
    let workspace = Workspace::read(root)?;
    let book = Book::read(&workspace)?;
    print_concepts(&book)?;
    println!("book: {} pages hold", book.pages.len());
    html(root)
}

/// Checks all pages.
pub(crate) fn check(root: &Path) -> Result<(), String> {
    let workspace = Workspace::read(root)?;
    let findings = checks::all(&Book::read(&workspace)?);
    match findings.len() {
        0 => Ok(()),
        n => Err(format!("{}\nbook: findings: {n}", findings.join("\n"))),
    }
}

/// Writes the pages into a folder, with every include in its place, for readers who have no mdBook.
pub(crate) fn resolve(root: &Path, to: &Path) -> Result<(), String> {
    let workspace = Workspace::read(root)?;
    let book = Book::read(&workspace)?;
    for page in book.pages.iter().chain([&book.summary]) {
        let name = page.path.strip_prefix(PAGES).unwrap_or(&page.path).trim_start_matches('/');
        let text = include::resolve(&workspace, &page.text, page.folder());
        let text = text.map_err(|findings| format!("{}: {}", page.path, findings.join("; ")))?;
        let file = to.join(name);
        let folder = file.parent().unwrap_or(to);
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        workspace::write(&file, &text)?;
    }
    println!("book: {} pages are in {}", book.pages.len() + 1, to.display());
    Ok(())
}

/// A line for each concept: page and section, and the programs that show it.
fn print_concepts(book: &Book<'_>) -> Result<(), String> {
    let mut lines = String::new();
    for row in book.page(CONCEPTS).into_iter().flat_map(|page| &page.rows) {
        let [number, concept, page, programs] = &row.cells[..] else { continue };
        let link = page.links.first().map_or("", |link| link.as_str());
        lines.push_str(&format!(
            "{:>3}  {}: {link}: {}\n",
            number.text, concept.text, programs.text
        ));
    }
    // A reader that has seen enough, such as `head`, is no failure.
    match std::io::stdout().lock().write_all(lines.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// Has mdBook write the pages for a browser.
fn html(root: &Path) -> Result<(), String> {
    let mdbook = |arguments: &[&str]| {
        let mut command = Command::new("mdbook");
        command.args(arguments).current_dir(root);
        command
    };
    let version = mdbook(&["--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !version.is_ok_and(|status| status.success()) {
        println!("book: no HTML, because mdBook is not installed; `cargo install mdbook --locked`");
        return Ok(());
    }
    let target = root.join(HTML);
    let status = mdbook(&["build", "book", "--dest-dir"]).arg(&target).status();
    match status {
        Ok(status) if status.success() => {
            println!("book: open {}/index.html", target.display());
            Ok(())
        }
        Ok(status) => Err(format!("`mdbook build book` failed ({status})")),
        Err(error) => Err(format!("`mdbook build book` could not be started: {error}")),
    }
}
