//! What is to hold of the pages. A finding is a line that begins with the file it is about.

use std::collections::BTreeSet;

use clap::Parser as _;

use super::include::{Include, join};
use super::page::{Code, Fence, Page};
use super::{Book, CONCEPTS, PAGES, SOURCES, SUMMARY};
use crate::Arguments;

type Check = fn(&Book<'_>) -> Vec<String>;

const CHECKS: &[Check] = &[
    every_page_is_in_the_summary,
    titles_agree,
    code_comes_by_include,
    commands_exist,
    links_hold,
    tags_are_few_and_closed,
    every_lesson_is_read,
    every_answer_is_shown,
    every_source_is_explained,
    every_concept_has_a_page,
];

/// Tags that a page may have; the rest is a `<` that was meant as one.
const TAGS: [&str; 7] = ["details", "/details", "summary", "/summary", "code", "/code", "br"];

/// What stands in the place of a program where a concept has none.
const READING: &str = "reading";

/// All findings.
pub(super) fn all(book: &Book<'_>) -> Vec<String> {
    CHECKS.iter().flat_map(|check| check(book)).collect()
}

fn every_page_is_in_the_summary(book: &Book<'_>) -> Vec<String> {
    let mut findings = Vec::new();
    let listed: Vec<String> =
        book.summary.links.iter().map(|link| format!("{PAGES}/{}", link.to)).collect();
    for (link, path) in book.summary.links.iter().zip(&listed) {
        if book.page(path).is_none() {
            findings.push(format!("{SUMMARY}:{}: there is no page {}", link.line, link.to));
        }
    }
    for page in &book.pages {
        if listed.iter().filter(|path| **path == page.path).count() != 1 {
            findings.push(format!("{}: is not listed once in {SUMMARY}", page.path));
        }
    }
    findings
}

fn titles_agree(book: &Book<'_>) -> Vec<String> {
    let mut findings = Vec::new();
    for link in &book.summary.links {
        let Some(page) = book.page(&format!("{PAGES}/{}", link.to)) else { continue };
        if page.title() != Some(&link.text) {
            let title = page.title().unwrap_or("nothing");
            findings.push(format!(
                "{}: is called `{title}`, and `{}` in {SUMMARY}",
                page.path, link.text
            ));
        }
    }
    findings
}

/// Programs and their output are included from files that tests run; commands stand alone.
fn code_comes_by_include(book: &Book<'_>) -> Vec<String> {
    let mut findings = Vec::new();
    for page in &book.pages {
        for fence in &page.fences {
            if let Some(problem) = problem_of(fence, page, book) {
                findings.push(format!("{}:{}: {problem}", page.path, fence.line));
            }
        }
        let includes = page.text.lines().filter(|line| line.contains("{{#")).count();
        let fenced = page.fences.iter().filter(|fence| fence.text.contains("{{#")).count();
        if includes != fenced {
            findings.push(format!("{}: an include stands alone, in a fence", page.path));
        }
    }
    findings
}

fn problem_of(fence: &Fence, page: &Page, book: &Book<'_>) -> Option<String> {
    if let Some(include) = Include::parse(&fence.text, page.folder()) {
        let is_lesson = include.path.starts_with("lesson") && include.path.ends_with(".rs");
        return match include.text(book.workspace) {
            Err(problem) => Some(problem),
            Ok(_) if is_lesson && include.anchor.is_some() => {
                Some(format!("{} is a lesson, and included whole", include.path))
            }
            Ok(_) => None,
        };
    }
    let is_command = |line: &str| line.is_empty() || line.starts_with("$ ");
    match fence.language.as_str() {
        "text" => None,
        "console" if fence.text.lines().all(is_command) => None,
        "console" => Some("a console has commands alone, `$ cargo ...`; output is included".into()),
        _ => Some("code comes by `{{#include ...}}`, from a file that is tested".into()),
    }
}

/// Commands in fences and in backticks can be run.
fn commands_exist(book: &Book<'_>) -> Vec<String> {
    let mut findings = Vec::new();
    for page in &book.pages {
        let fences = page.fences.iter().filter(|fence| fence.language == "console");
        let lines = fences.flat_map(|fence| {
            let lines = fence.text.lines().enumerate();
            lines.filter_map(|(at, line)| Some((fence.line + 1 + at, line.strip_prefix("$ ")?)))
        });
        let codes = page.codes.iter().map(|Code { line, text }| (*line, text.as_str()));
        for (line, command) in lines.chain(codes.filter(|(_, text)| text.starts_with("cargo "))) {
            let command = command.split(" #").next().unwrap_or(command).trim();
            if let Some(problem) = problem_of_command(command, book) {
                findings.push(format!("{}:{line}: `{command}`: {problem}", page.path));
            }
        }
    }
    findings
}

fn problem_of_command(command: &str, book: &Book<'_>) -> Option<String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let after = |flag: &str| {
        let mut rest = words.iter().skip_while(|word| **word != flag);
        rest.nth(1).copied()
    };
    let is_member = |name: &str| book.workspace.members.iter().any(|member| member.name == name);
    match &words[..] {
        ["cargo", "xtask", ..] => {
            Arguments::try_parse_from(["cargo xtask"].iter().chain(&words[2..]))
                .err()
                .map(|_| "is no chore".into())
        }
        ["cargo", "run" | "test" | "build", ..] => {
            let package = after("-p");
            if let Some(package) = package.filter(|package| !is_member(package)) {
                return Some(format!("there is no crate {package}"));
            }
            let bin = after("--bin")?;
            let is_there = |(name, lesson): &(&str, _)| {
                let lesson: &transcript::Lesson = lesson;
                lesson.bin == bin && package.is_none_or(|package| *name == package)
            };
            let is_there = book.lessons.iter().any(is_there);
            (!is_there).then(|| format!("there is no program {bin} in that crate"))
        }
        // What cargo itself and its other parts offer.
        ["cargo", ..] => None,
        ["git" | "rustup" | "mdbook" | "ipcs" | "ipcrm" | "ps" | "python3", ..] => None,
        _ => Some("a page has commands of cargo".into()),
    }
}

/// Links lead to pages of the book and their headings, or out of it by https.
fn links_hold(book: &Book<'_>) -> Vec<String> {
    let mut findings = Vec::new();
    for page in &book.pages {
        for link in &page.links {
            if let Some(problem) = problem_of_link(&link.to, page, book) {
                findings.push(format!("{}:{}: {problem}", page.path, link.line));
            }
        }
    }
    // Beside the book, pages lead to files of the workspace.
    for (path, text) in &book.workspace.files {
        if !path.ends_with(".md") || path.starts_with(PAGES) {
            continue;
        }
        let page = Page::read(path, text);
        for link in &page.links {
            let (to, id) = link.to.split_once('#').unwrap_or((&link.to, ""));
            let target = join(page.folder(), to);
            let is_file = target.as_ref().is_some_and(|to| book.workspace.root.join(to).exists());
            let text = target.as_deref().and_then(|target| book.workspace.text(target));
            let is_heading =
                id.is_empty() || text.is_none_or(|text| Page::read("", text).has_id(id));
            let holds = to.starts_with("https://") || (is_file && is_heading);
            if !holds {
                findings.push(format!("{path}:{}: leads nowhere: {}", link.line, link.to));
            }
        }
    }
    findings
}

fn problem_of_link(to: &str, page: &Page, book: &Book<'_>) -> Option<String> {
    if to.starts_with("https://") {
        return None;
    }
    if to.contains("://") {
        return Some(format!("{to} is not https"));
    }
    let (path, id) = to.split_once('#').unwrap_or((to, ""));
    let target = match path {
        "" => Some(page),
        path => join(page.folder(), path).and_then(|path| book.page(&path)),
    };
    match target {
        None => Some(format!("there is no page {path}")),
        Some(target) if !id.is_empty() && !target.has_id(id) => {
            Some(format!("{} has no heading #{id}", target.path))
        }
        Some(_) => None,
    }
}

fn tags_are_few_and_closed(book: &Book<'_>) -> Vec<String> {
    let mut findings = Vec::new();
    for page in &book.pages {
        for (line, tag) in page.tags.iter().filter(|(_, tag)| !TAGS.contains(&tag.as_str())) {
            findings.push(format!(
                "{}:{line}: <{tag}> would not be seen; write it in backticks",
                page.path
            ));
        }
        for line in &page.ticks {
            findings.push(format!(
                "{}:{line}: a backtick inside HTML is seen as one; write <code>",
                page.path
            ));
        }
        let count = |name: &str| page.tags.iter().filter(|(_, tag)| tag == name).count();
        let counts = ["details", "/details", "summary", "/summary"].map(count);
        if counts.iter().any(|count| *count != counts[0]) {
            findings.push(format!(
                "{}: {counts:?} of <details>, </details>, <summary>, </summary>",
                page.path
            ));
        }
    }
    findings
}

/// What a page shows or names.
fn programs_of(page: &Page) -> BTreeSet<String> {
    let includes =
        page.fences.iter().filter_map(|fence| Include::parse(&fence.text, page.folder()));
    let stem = |path: &str| {
        let file = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".rs");
        file.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches('_').to_owned()
    };
    let included = includes.map(|include| stem(&include.path));
    let words = page.fences.iter().filter(|fence| fence.language == "console");
    let words = words.flat_map(|fence| fence.text.split_whitespace());
    let codes = page.codes.iter().flat_map(|code| code.text.split_whitespace());
    included.chain(words.chain(codes).map(str::to_owned)).collect()
}

/// Every lesson is named on a page beside the index of concepts.
fn every_lesson_is_read(book: &Book<'_>) -> Vec<String> {
    let pages = book.pages.iter().filter(|page| page.path != CONCEPTS);
    let named: BTreeSet<String> = pages.flat_map(programs_of).collect();
    let unread = book.lessons.iter().filter(|(_, lesson)| !named.contains(&lesson.bin));
    unread.map(|(name, lesson)| format!("{name}: no page names `{}`", lesson.bin)).collect()
}

/// Answers to exercises are on a page.
fn every_answer_is_shown(book: &Book<'_>) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, lesson) in &book.lessons {
        let path = format!("{name}/{}", lesson.file());
        let shows = |page: &Page| {
            let mut includes =
                page.fences.iter().filter_map(|fence| Include::parse(&fence.text, page.folder()));
            includes.any(|include| include.path == path)
        };
        if path.contains("/answers/") && !book.pages.iter().any(shows) {
            findings.push(format!("{path}: no page has the exercise that it answers"));
        }
    }
    findings
}

/// The titles in the headers of lessons are headings of the page of sources.
fn every_source_is_explained(book: &Book<'_>) -> Vec<String> {
    let headings = book.page(SOURCES).map(|page| &page.headings[..]).unwrap_or_default();
    let titles: Vec<&str> = headings.iter().map(|heading| heading.text.as_str()).collect();
    let mut findings = Vec::new();
    for (name, lesson) in &book.lessons {
        let Ok(header) = &lesson.header else { continue };
        for source in header.source.split("; ").filter(|source| !titles.contains(source)) {
            findings.push(format!("{name}/{}: {SOURCES} has no `{source}`", lesson.file()));
        }
    }
    findings
}

/// The table of concepts is whole: numbers without a gap, a page with a heading, and programs that exist.
fn every_concept_has_a_page(book: &Book<'_>) -> Vec<String> {
    let Some(page) = book.page(CONCEPTS).filter(|page| !page.rows.is_empty()) else {
        return vec![format!("{CONCEPTS}: has no table of concepts")];
    };
    let mut findings = Vec::new();
    for (row, number) in page.rows.iter().zip(1..) {
        let mut find =
            |problem: String| findings.push(format!("{CONCEPTS}:{}: {problem}", row.line));
        let [at, concept, reading, programs] = &row.cells[..] else {
            find("a concept has a number, a name, a page and programs".into());
            continue;
        };
        if at.text.trim() != number.to_string() {
            find(format!("is number {}, and should be {number}", at.text));
        }
        if concept.text.trim().is_empty() {
            find("has no name".into());
        }
        if reading.links.is_empty() || reading.links.iter().any(|link| !link.contains('#')) {
            find("needs a page with a heading".into());
        }
        for program in programs.codes.iter().filter(|program| !book.has_bin(program)) {
            find(format!("there is no program `{program}`"));
        }
        if programs.codes.is_empty() && programs.text.trim() != READING {
            find(format!("has no program; write `{READING}` where the page is enough"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Workspace;
    use crate::workspace::tests::Tree;

    const PAGE: &str = "book/src/one.md";
    const GOOD: &str = "\
# 5.1 Firsts

See `one` and [the sources](sources.md#python-processes), or [below](#below).

```console
$ cargo run -p lesson05-processes --bin one
$ cargo xtask tidy --fix
```

## Below

```rust
{{#include ../../lesson05-processes/src/5_1/01_one.rs}}
```

<details><summary>Why?</summary>

So.

</details>
";

    /// A workspace with a book in which everything holds.
    fn tree() -> Tree {
        let tree = Tree::tidy();
        tree.write(
            SUMMARY,
            "# Summary\n\n- [5.1 Firsts](one.md)\n  - [More](more.md)\n- [Sources](sources.md)\n- [Concepts](concepts.md)\n",
        );
        tree.write(PAGE, GOOD);
        tree.write("book/src/more.md", "# More\n");
        tree.write(SOURCES, "# Sources\n\n## Python Processes\n");
        tree.write(
            CONCEPTS,
            "# Concepts\n\n| | Concept | Page | Programs |\n| - | - | - | - |\n\
             | 1 | A thing | [One](one.md#below) | `one` |\n| 2 | Another | [One](one.md#below) | reading |\n",
        );
        tree
    }

    fn findings(tree: &Tree) -> Vec<String> {
        let workspace = Workspace::read(tree.root()).expect("readable");
        all(&Book::read(&workspace).expect("a book"))
    }

    #[test]
    fn a_good_book_has_no_findings() {
        assert_eq!(findings(&tree()), [""; 0]);
    }

    #[test]
    fn what_is_wrong_is_found() {
        for (path, from, to, finding) in [
            (SUMMARY, "- [5.1 Firsts](one.md)\n", "", "one.md: is not listed once"),
            (SUMMARY, "(one.md", "(two.md", "there is no page two.md"),
            (SUMMARY, "[5.1 Firsts]", "[Two]", "is called `5.1 Firsts`, and `Two`"),
            (PAGE, "01_one.rs", "02_one.rs", "02_one.rs is missing"),
            (PAGE, "01_one.rs}}", "01_one.rs:a}}", "has no anchor `a`"),
            (PAGE, "{{#include", "{{#rustdoc_include", "code comes by"),
            (PAGE, "See", "{{#include ../../common/src/lib.rs}}\n\nSee", "an include stands alone"),
            (PAGE, "{{#include", "fn main() {}\n{{#include", "code comes by"),
            (PAGE, "$ cargo xtask tidy --fix", "fixed", "a console has commands alone"),
            (PAGE, "tidy --fix", "tidy --mend", "is no chore"),
            (PAGE, "--bin one", "--bin two", "there is no program two"),
            (PAGE, "-p lesson05-processes", "-p lesson06", "there is no crate lesson06"),
            (PAGE, "$ cargo xtask", "$ rm -r", "commands of cargo"),
            (PAGE, "sources.md#python", "source.md#python", "there is no page source.md"),
            (PAGE, "#python-processes", "#python", "has no heading #python"),
            (PAGE, "(#below)", "(#above)", "has no heading #above"),
            (PAGE, "sources.md#python-processes", "http://x.org", "is not https"),
            (PAGE, "See", "See <T>", "<T> would not be seen"),
            (PAGE, "</details>", "", "of <details>"),
            (PAGE, "Why?", "Why `x`?", "a backtick inside HTML"),
            (SOURCES, "Python Processes", "Processes", "has no `Python Processes`"),
            (CONCEPTS, "| 2 |", "| 3 |", "is number 3, and should be 2"),
            (CONCEPTS, "Another", "", "has no name"),
            (CONCEPTS, "one.md#below) | reading", "one.md) | reading", "needs a page with"),
            (CONCEPTS, "| reading", "| ", "has no program"),
            (CONCEPTS, "`one`", "`won`", "there is no program `won`"),
            ("README.md", "# Course", "# Course\n\n[x](no.md)", "leads nowhere: no.md"),
            ("README.md", "#51-firsts", "#51", "leads nowhere: lesson05-processes/README.md#51"),
        ] {
            let tree = tree();
            tree.replace(path, from, to);
            let findings = findings(&tree);
            assert!(findings.iter().any(|found| found.contains(finding)), "{to}: {findings:?}");
        }
    }

    #[test]
    fn a_lesson_that_no_page_names_and_an_answer_without_exercise_are_found() {
        let tree = tree();
        tree.write(PAGE, "# One\n\n## Below\n");
        assert!(findings(&tree).iter().any(|finding| finding.contains("no page names `one`")));
        let path = "lesson05-processes/src/answers/01_one.rs";
        tree.write(path, &tree.read("lesson05-processes/src/5_1/01_one.rs"));
        tree.replace("lesson05-processes/Cargo.toml", "src/5_1", "src/answers");
        let findings = findings(&tree);
        assert!(findings.iter().any(|found| found.starts_with(path)), "{findings:?}");
    }
}
