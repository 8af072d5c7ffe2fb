//! Checks of the source text: bans that no lint knows.

use crate::workspace::Workspace;

/// The only places where `unsafe` may stand.
const ROOMS: [&str; 5] = [
    "common/src/sys",
    "common/src/shared",
    "autograder/src/sandbox",
    // What hostile programs do is theirs.
    "autograder/attacks",
    "tools/bench/src",
];

/// Words that put work off. They are made of halves, because this file is checked as well.
const LATER: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// `unsafe` stands in `ROOMS` only.
pub(super) fn unsafe_stays_in_its_rooms(workspace: &Workspace) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, text) in rust(workspace) {
        let rest = ROOMS.iter().find_map(|room| path.strip_prefix(room));
        if rest.is_some_and(|rest| rest.starts_with('/') || rest == ".rs") {
            continue;
        }
        match transcript::identifiers(text) {
            Err(error) => findings.push(format!("{path}: {error}")),
            Ok(words) if words.iter().any(|word| word == "unsafe") => findings.push(format!(
                "{path}: `unsafe` outside {}; build a safe function there",
                ROOMS.join(", ")
            )),
            Ok(_) => {}
        }
    }
    findings
}

/// What calls the kernel stands in `common/src/sys`; nothing else of the library names the crates for it.
pub(super) fn the_kernel_is_called_in_sys(workspace: &Workspace) -> Vec<String> {
    let is_above =
        |path: &str| path.starts_with("common/src/") && !path.starts_with("common/src/sys/");
    let mut findings = Vec::new();
    for (path, text) in rust(workspace).filter(|(path, _)| is_above(path)) {
        let words = transcript::identifiers(text).unwrap_or_default();
        if let Some(word) = words.iter().find(|word| *word == "nix" || *word == "libc") {
            findings
                .push(format!("{path}: `{word}` outside common/src/sys; call a function there"));
        }
    }
    findings
}

/// No test is switched off.
pub(super) fn no_test_is_ignored(workspace: &Workspace) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, text) in rust(workspace) {
        let words = transcript::identifiers(text).unwrap_or_default();
        if words.iter().any(|word| word == "ignore") {
            findings.push(format!(
                "{path}: a test is ignored; where the machine lacks something, let it pass with a line that says so"
            ));
        }
    }
    findings
}

/// No work is put off. A starter says what is left to the student, and the task speaks of it.
pub(super) fn nothing_is_left_for_later(workspace: &Workspace) -> Vec<String> {
    let is_starter = |path: &str| {
        let files = ["/solution.rs", "/src/main.rs", "/README.md"];
        let starter = files.iter().any(|file| path.ends_with(file));
        // The file that cuts starters shows what stands in them.
        path.starts_with("assignments/") && starter || path == "autograder/src/solution.rs"
    };
    let mut findings = Vec::new();
    for (path, text) in workspace.files.iter().filter(|(path, _)| !is_starter(path)) {
        for (number, line) in text.lines().enumerate() {
            let mut words = line.split(|c: char| !c.is_alphanumeric());
            if let Some(word) = words.find(|word| LATER.contains(word)) {
                findings.push(format!("{path}:{}: {word}; do it, or open an issue", number + 1));
            }
        }
    }
    findings
}

fn rust(workspace: &Workspace) -> impl Iterator<Item = &(String, String)> {
    workspace.files.iter().filter(|(path, _)| path.ends_with(".rs"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::tests::Tree;

    #[test]
    fn a_kernel_call_above_sys_is_found() {
        let tree = Tree::tidy();
        tree.write("common/src/pool.rs", "//! libc\nfn f() { nix::unistd::fork(); }\n");
        let findings = tree.findings(the_kernel_is_called_in_sys);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].starts_with("common/src/pool.rs: `nix` outside"), "{findings:?}");
    }

    #[test]
    fn unsafe_outside_its_rooms_is_found() {
        let tree = Tree::tidy();
        let code = tree.read("common/src/sys/mod.rs");
        tree.write("common/src/shared.rs", &code);
        tree.write("autograder/src/sandbox/launcher.rs", &code);
        tree.write("tools/one/src/main.rs", "// unsafe\nfn main() { f(\"unsafe\") }\n");
        assert_eq!(tree.findings(unsafe_stays_in_its_rooms), [""; 0]);
        for path in ["common/src/system.rs", "common/tests/sys.rs", "tools/one/src/main.rs"] {
            let tree = Tree::tidy();
            tree.write(path, &code);
            let findings = tree.findings(unsafe_stays_in_its_rooms);
            assert!(findings.len() == 1 && findings[0].starts_with(path), "{findings:?}");
        }
    }

    #[test]
    fn a_file_that_is_not_rust_is_found() {
        let tree = Tree::tidy();
        tree.write("tools/one/src/main.rs", "fn main() {\n");
        assert!(tree.findings(unsafe_stays_in_its_rooms)[0].contains("not Rust"));
    }

    #[test]
    fn an_ignored_test_is_found() {
        for attribute in ["#[ignore]", "#[ignore = \"slow\"]", "#[cfg_attr(miri, ignore)]"] {
            let tree = Tree::tidy();
            tree.write("common/tests/slow.rs", &format!("#[test]\n{attribute}\nfn slow() {{}}\n"));
            let findings = tree.findings(no_test_is_ignored);
            assert!(
                findings.len() == 1 && findings[0].starts_with("common/tests/slow.rs"),
                "{findings:?}"
            );
        }
        let tree = Tree::tidy();
        tree.write("common/tests/slow.rs", "// #[ignore]\nfn ignored() {}\n");
        assert_eq!(tree.findings(no_test_is_ignored), [""; 0]);
    }

    #[test]
    fn work_put_off_is_found() {
        for word in LATER {
            let tree = Tree::tidy();
            let text = format!("fn main() {{}}\n// {word}: more\n");
            tree.write("assignments/a05-primes/src/main.rs", &text);
            tree.write("assignments/a05-primes/solution.rs", &text);
            tree.write("assignments/a05-primes/README.md", &text);
            assert_eq!(tree.findings(nothing_is_left_for_later), [""; 0]);
            tree.write("assignments/a05-primes/tests/public.rs", &text);
            tree.write("README.md", &text);
            let findings = tree.findings(nothing_is_left_for_later);
            assert_eq!(findings.len(), 2, "{findings:?}");
            assert!(findings[0].starts_with("README.md:2: "), "{findings:?}");
        }
    }
}
