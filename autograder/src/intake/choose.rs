//! Which members are the sources.
//!
//! | in it | taken |
//! | --- | --- |
//! | `src/main.rs` | `src/**/*.rs` |
//! | `main.rs`, and no `src/main.rs` | `main.rs` alone, as `src/main.rs` |
//! | neither, and one folder at the top that has one of them | the same below that folder |
//! | both, or several such folders, or none | refused |
//!
//! Everything else is ignored: manifests, build scripts, tests, configuration, whatever is hidden.
//! So is what is no regular file, as long as no source could lie there. Below `src/` a link is
//! refused, since without it the program would not be the one that was written.

use std::collections::{BTreeMap, BTreeSet};

use super::name::{self, Kind, Member};
use super::refusal::Refusal;
use super::{MAX_DEPTH, MAX_SOURCES};

/// How many names are shown of a submission without a `main.rs`.
const SHOWN: usize = 3;

/// What is taken of a list of members.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    /// The sources: the place in the list, and the path under which it is taken in.
    pub(super) picks: BTreeMap<usize, String>,
    /// The others, safe to print.
    pub(super) ignored: BTreeSet<String>,
    /// What their author should know, safe to print.
    pub(super) notes: Vec<String>,
}

/// Chooses the sources.
pub(super) fn choose(members: &[Member]) -> Result<Choice, Refusal> {
    let root = Root::find(members)?;
    let mut choice = Choice::default();
    let mut left_beside = false;
    for (index, member) in members.iter().enumerate() {
        let Some(rest) = root.strip(&member.parts) else {
            choice.ignored.extend(collapsed(&member.parts, 1, member.kind));
            continue;
        };
        match root.layout.place(rest, member)? {
            Place::Source(path) if rest.len() > MAX_DEPTH => {
                return Err(Refusal::Deep(name::shown(path.as_bytes())));
            }
            Place::Source(path) => {
                choice.picks.insert(index, path);
                if choice.picks.len() > MAX_SOURCES {
                    return Err(Refusal::ManySources);
                }
            }
            Place::Ignored(depth) => {
                left_beside |= is_rust(rest) && (rest.len() == 1 || rest[0] == b"src");
                choice.ignored.extend(collapsed(rest, depth, member.kind));
            }
            Place::Nothing => {}
        }
    }
    refuse_doubles(choice.picks.values())?;
    if root.layout == Layout::Alone && left_beside {
        choice.notes.push(
            "main.rs lies beside src/, so it was taken alone; for its modules to be taken too, put \
             all of them into src/"
                .to_string(),
        );
    }
    Ok(choice)
}

/// Whether a `main.rs` lies at the top of it.
pub(super) fn has_main(members: &[Member]) -> bool {
    members.iter().any(|member| Layout::shown_by(&member.parts, member.kind).is_some())
}

/// How the sources lie in their folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// In `src/`.
    Src,
    /// `main.rs`, and nothing else.
    Alone,
}

/// Where the sources lie.
struct Root<'a> {
    folder: Option<&'a [u8]>,
    layout: Layout,
}

/// What becomes of a member.
enum Place {
    /// It is taken in under this path.
    Source(String),
    /// It is ignored, and named by that many parts of its name.
    Ignored(usize),
    /// It is a folder on the way to sources.
    Nothing,
}

impl<'a> Root<'a> {
    fn find(members: &'a [Member]) -> Result<Root<'a>, Refusal> {
        let mut found: BTreeMap<Option<&[u8]>, BTreeSet<bool>> = BTreeMap::new();
        for Member { parts, kind } in members {
            if let Some(layout) = Layout::shown_by(parts, *kind) {
                found.entry(None).or_default().insert(layout == Layout::Src);
            }
            if let [folder, rest @ ..] = &parts[..]
                && !name::is_hidden(folder)
                && let Some(layout) = Layout::shown_by(rest, *kind)
            {
                found.entry(Some(folder)).or_default().insert(layout == Layout::Src);
            }
        }
        // What lies at the top goes before what lies in a folder.
        if found.contains_key(&None) {
            found.retain(|folder, _| folder.is_none());
        }
        let mut found = found.into_iter();
        let Some((folder, layouts)) = found.next() else {
            return Err(Refusal::NoMain(instead(members)));
        };
        if let Some((other, _)) = found.next() {
            let shown = [folder, other].map(|folder| name::shown(folder.unwrap_or_default()));
            return Err(Refusal::ManyMains(format!("{}/ and in {}/", shown[0], shown[1])));
        }
        match layouts.into_iter().collect::<Vec<_>>()[..] {
            [in_src] => {
                let layout = if in_src { Layout::Src } else { Layout::Alone };
                Ok(Root { folder, layout })
            }
            _ => Err(Refusal::TwoMains),
        }
    }

    /// The name from the root on, if it lies there.
    fn strip<'b>(&self, parts: &'b [Vec<u8>]) -> Option<&'b [Vec<u8>]> {
        match (self.folder, parts) {
            (None, _) => Some(parts),
            (Some(folder), [first, rest @ ..]) if first == folder => Some(rest),
            // The folder that holds everything, as `./` in a tar.
            (Some(_), []) => Some(parts),
            _ => None,
        }
    }
}

impl Layout {
    /// The layout that the member is the main file of. A link in its place counts, to be refused.
    fn shown_by(parts: &[Vec<u8>], kind: Kind) -> Option<Layout> {
        match parts {
            [main] if main == b"main.rs" && kind != Kind::Folder => Some(Layout::Alone),
            [src] if src == b"src" && matches!(kind, Kind::Link(_)) => Some(Layout::Src),
            [src, main] if src == b"src" && main == b"main.rs" && kind != Kind::Folder => {
                Some(Layout::Src)
            }
            _ => None,
        }
    }

    fn place(self, parts: &[Vec<u8>], member: &Member) -> Result<Place, Refusal> {
        let in_place = match (self, parts) {
            (_, []) => return Ok(Place::Nothing),
            (Layout::Alone, [only]) => only == b"main.rs",
            (Layout::Alone, _) => false,
            (Layout::Src, [first, ..]) => first == b"src",
        };
        if !in_place {
            return Ok(Place::Ignored(1));
        }
        if let Some(hidden) = parts.iter().position(|part| name::is_hidden(part)) {
            return Ok(Place::Ignored(hidden + 1));
        }
        match member.kind {
            Kind::Folder => Ok(Place::Nothing),
            Kind::Link(kind) => Err(Refusal::link(member.shown(), kind)),
            _ if !is_rust(parts) => Ok(Place::Ignored(parts.len())),
            Kind::Special(kind) => Err(Refusal::special(member.shown(), kind)),
            Kind::File if self == Layout::Alone => Ok(Place::Source("src/main.rs".to_string())),
            Kind::File => name::source_path(parts).map(Place::Source),
        }
    }
}

fn is_rust(parts: &[Vec<u8>]) -> bool {
    parts.last().is_some_and(|last| last.ends_with(b".rs"))
}

/// The first `depth` parts of a name, with `/` at the end if that is a folder.
fn collapsed(parts: &[Vec<u8>], depth: usize, kind: Kind) -> Option<String> {
    if parts.is_empty() {
        return None;
    }
    let whole = depth >= parts.len();
    let shown = name::shown(&parts[..depth.min(parts.len())].join(&b'/'));
    Some(if whole && kind != Kind::Folder { shown } else { shown + "/" })
}

/// Two sources of one name, in capitals or not, and a source that is a folder of sources too.
fn refuse_doubles<'a>(paths: impl Iterator<Item = &'a String>) -> Result<(), Refusal> {
    let mut seen: BTreeMap<String, &String> = BTreeMap::new();
    for path in paths {
        if let Some(first) = seen.insert(path.to_ascii_lowercase(), path) {
            return Err(Refusal::Double(if first == path {
                format!("{path} is in it twice")
            } else {
                format!("{first} and {path} differ in capitals only")
            }));
        }
    }
    for (lower, path) in &seen {
        let folders = lower.match_indices('/').map(|(end, _)| &lower[..end]);
        if let Some(file) = folders.filter_map(|folder| seen.get(folder)).next() {
            return Err(Refusal::Double(format!("{file} is a file, and the folder of {path}")));
        }
    }
    Ok(())
}

/// What there is where a `main.rs` was looked for: the end of a sentence.
fn instead(members: &[Member]) -> String {
    let is_main = |member: &&Member| {
        member.kind == Kind::File && member.parts.last().is_some_and(|last| last == b"main.rs")
    };
    if let Some(deep) = members.iter().find(is_main) {
        return format!(" where it is looked for, but {}", deep.shown());
    }
    let top: BTreeSet<String> =
        members.iter().filter_map(|member| collapsed(&member.parts, 1, member.kind)).collect();
    let mut names: Vec<String> = top.iter().take(SHOWN).cloned().collect();
    if top.len() > SHOWN {
        names.push(format!("{} more", top.len() - SHOWN));
    }
    match &names[..] {
        [] => " in it, nor anything else".to_string(),
        [only] => format!(" in it, only {only}"),
        [first @ .., last] => format!(" in it, only {} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(names: &[&str]) -> Vec<Member> {
        let member = |name: &&str| {
            let kind = if name.ends_with('/') { Kind::Folder } else { Kind::File };
            Member { parts: name::parts(name.as_bytes()).unwrap(), kind }
        };
        names.iter().map(member).collect()
    }

    fn taken(names: &[&str]) -> (Vec<String>, Vec<String>) {
        let choice = choose(&members(names)).unwrap();
        (choice.picks.into_values().collect(), choice.ignored.into_iter().collect())
    }

    fn reason(names: &[&str]) -> &'static str {
        choose(&members(names)).unwrap_err().reason()
    }

    #[test]
    fn sources_are_taken_from_src_and_the_rest_is_ignored() {
        let (taken, ignored) = taken(&[
            "src/",
            "src/main.rs",
            "src/grid/mod.rs",
            "src/grid/notes.txt",
            "src/.main.rs.swp",
            "src/.old/a.rs",
            "tests/public.rs",
            "build.rs",
            "Cargo.toml",
            ".git/hooks/pre-commit",
            ".cargo/config.toml",
            "results.json",
            "target/",
        ]);
        assert_eq!(taken, ["src/main.rs", "src/grid/mod.rs"]);
        assert_eq!(
            ignored,
            [
                ".cargo/",
                ".git/",
                "Cargo.toml",
                "build.rs",
                "results.json",
                "src/.main.rs.swp",
                "src/.old/",
                "src/grid/notes.txt",
                "target/",
                "tests/",
            ]
        );
    }

    #[test]
    fn one_folder_around_everything_is_looked_through() {
        let names = ["hello-main/", "hello-main/src/main.rs", "hello-main/README.md"];
        let (paths, ignored) = taken(&names);
        assert_eq!(
            (&paths[..], &ignored[..]),
            (&["src/main.rs".into()][..], &["README.md".into()][..])
        );

        // What macOS puts beside it.
        let names = ["ada/main.rs", "ada/._main.rs", "__MACOSX/ada/._main.rs", ".DS_Store", "./"];
        let (paths, ignored) = taken(&names);
        assert_eq!(paths, ["src/main.rs"]);
        assert_eq!(ignored, [".DS_Store", "._main.rs", "__MACOSX/"]);
    }

    #[test]
    fn what_lies_at_the_top_goes_before_what_lies_in_folders() {
        let (paths, ignored) = taken(&["src/main.rs", "old/src/main.rs", "old/main.rs"]);
        assert_eq!((&paths[..], &ignored[..]), (&["src/main.rs".into()][..], &["old/".into()][..]));
        assert_eq!(taken(&["src/src/main.rs"]).0, ["src/main.rs"]);
    }

    #[test]
    fn main_alone_is_taken_alone_and_says_so() {
        let choice = choose(&members(&["main.rs", "worker.rs", "src/lib.rs"])).unwrap();
        assert_eq!(choice.picks.into_values().collect::<Vec<_>>(), ["src/main.rs"]);
        assert_eq!(choice.ignored.into_iter().collect::<Vec<_>>(), ["src/", "worker.rs"]);
        assert_eq!(choice.notes.len(), 1);
        assert!(choose(&members(&["main.rs", "README.md"])).unwrap().notes.is_empty());
    }

    #[test]
    fn without_one_main_there_is_nothing_to_grade() {
        assert_eq!(reason(&[]), "main");
        assert_eq!(reason(&["main.rs", "src/main.rs"]), "main");
        assert_eq!(reason(&["a/main.rs", "a/src/main.rs"]), "main");
        assert_eq!(reason(&["a/main.rs", "b/src/main.rs"]), "main");
        assert_eq!(reason(&["a/b/main.rs"]), "main");
        assert_eq!(reason(&["src/main.rs/"]), "main");
        assert_eq!(reason(&[".a/main.rs"]), "main");
        for (names, text) in [
            (
                &["a/b/src/main.rs", "c"][..],
                "no main.rs where it is looked for, but a/b/src/main.rs;",
            ),
            (&["a/b", "c", "d", "e", "f"], "no main.rs in it, only a/, c, d and 2 more;"),
            (&["hello.rs"], "no main.rs in it, only hello.rs;"),
            (&[], "no main.rs in it, nor anything else;"),
        ] {
            let refusal = choose(&members(names)).unwrap_err().to_string();
            assert!(refusal.contains(text), "{refusal}");
        }
    }

    #[test]
    fn a_name_stands_for_one_source() {
        assert_eq!(reason(&["src/main.rs", "src/main.rs"]), "double");
        assert_eq!(reason(&["src/main.rs", "src/Worker.rs", "src/worker.rs"]), "double");
        assert_eq!(reason(&["src/main.rs", "src/a.rs", "src/A.rs/b.rs"]), "double");
        assert_eq!(taken(&["src/main.rs", "src/a.rs", "src/a/b.rs"]).0.len(), 3);
    }

    #[test]
    fn there_is_an_end_to_sources_and_folders() {
        let many: Vec<String> = (0..MAX_SOURCES).map(|n| format!("src/m{n}.rs")).collect();
        let mut names: Vec<&str> = many.iter().map(String::as_str).collect();
        names[0] = "src/main.rs";
        assert_eq!(taken(&names).0.len(), MAX_SOURCES);
        names.push("src/one_more.rs");
        assert_eq!(reason(&names), "count");

        let deep = format!("src/{}x.rs", "a/".repeat(MAX_DEPTH - 2));
        assert_eq!(taken(&["src/main.rs", &deep]).0.len(), 2);
        assert_eq!(reason(&["src/main.rs", &deep.replace("x.rs", "a/x.rs")]), "count");
    }

    #[test]
    fn a_link_is_refused_where_sources_lie_and_ignored_elsewhere() {
        let with = |name: &str, kind| {
            let mut members = members(&["src/main.rs"]);
            members.push(Member { parts: name::parts(name.as_bytes()).unwrap(), kind });
            choose(&members).map(|choice| choice.ignored.into_iter().collect::<Vec<_>>())
        };
        for name in ["src/a.rs", "src/more", "src"] {
            assert_eq!(with(name, Kind::Link("symbolic")).unwrap_err().reason(), "link", "{name}");
        }
        assert_eq!(with("target", Kind::Link("symbolic")).unwrap(), ["target"]);
        // What Emacs leaves beside a file that is being edited.
        assert_eq!(with("src/.#main.rs", Kind::Link("symbolic")).unwrap(), ["src/.#main.rs"]);
        assert_eq!(with("src/a.rs", Kind::Special("a FIFO")).unwrap_err().reason(), "type");
        assert_eq!(with("src/control", Kind::Special("a FIFO")).unwrap(), ["src/control"]);
    }
}
