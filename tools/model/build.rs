//! Builds the mutants: the algorithms once more for each, with one snippet replaced.
//!
//! The snippet is taken from the real file and must stand there exactly once, so a mutant cannot drift
//! from the code that it is a mutant of: where the code changes, the build says which mutant to look at.

#[expect(dead_code, reason = "how a mutant fails is not the build's to know")]
#[path = "src/mutants/table.rs"]
mod table;

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use table::{ALGORITHMS, file_of, mutants};

fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where to"));
    let models = here.join("src/models");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/mutants");
    for algorithm in ALGORITHMS {
        println!("cargo::rerun-if-changed={}", here.join(file_of(algorithm)).display());
    }

    let mut families = String::new();
    let mut list = String::from("pub(crate) static BUILT: &[Entry] = &[\n");
    for mutant in mutants() {
        let real = here.join(file_of(mutant.algorithm));
        let text =
            fs::read_to_string(&real).unwrap_or_else(|error| panic!("{}: {error}", real.display()));
        let count = text.matches(mutant.snippet).count();
        assert!(
            count == 1,
            "mutant {}: its snippet stands {count} times in {}, and must stand there once; \
             mend it in src/mutants",
            mutant.name,
            real.display()
        );
        let changed = out.join(format!("{}.rs", mutant.name));
        fs::write(&changed, text.replace(mutant.snippet, mutant.replacement))
            .unwrap_or_else(|error| panic!("{}: {error}", changed.display()));

        let name = mutant.name;
        let _ = writeln!(
            families,
            "pub(crate) mod {name} {{\nuse crate::word;\nmod algorithm {{\nuse crate::word;"
        );
        for algorithm in ALGORITHMS {
            let file = match *algorithm == mutant.algorithm {
                true => changed.clone(),
                false => here.join(file_of(algorithm)),
            };
            let _ = writeln!(families, "#[path = {file:?}]\npub(crate) mod {algorithm};");
        }
        let _ = writeln!(families, "}}\nmod models {{");
        let (file, model) = mutant.model.split_once("::").unwrap_or_else(|| {
            panic!("mutant {name}: its model is called FILE::NAME, as in lock::takes_turns")
        });
        for needed in with_what_it_needs(&models, file) {
            let path = models.join(format!("{needed}.rs"));
            let _ = writeln!(families, "#[path = {path:?}]\npub(crate) mod {needed};");
        }
        // Of the file's models only this one is compiled to its end.
        let _ =
            writeln!(families, "}}\npub(crate) use models::{file}::each::{model} as MODEL;\n}}");
        let _ = writeln!(list, "{name}::MODEL,");
    }
    list.push_str("];\n");
    let path = out.join("mutants.rs");
    fs::write(&path, families + &list)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// A file of models, and those whose words it uses.
fn with_what_it_needs(models: &Path, file: &str) -> Vec<String> {
    let mut needed = vec![file.to_owned()];
    let mut seen = 0;
    while let Some(file) = needed.get(seen) {
        let path = models.join(format!("{file}.rs"));
        println!("cargo::rerun-if-changed={}", path.display());
        let text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let others =
            text.lines().filter_map(|line| line.strip_prefix("use super::")?.split_once("::"));
        for (other, _) in others {
            if other != "super" && !needed.iter().any(|needed| needed == other) {
                needed.push(other.to_owned());
            }
        }
        seen += 1;
    }
    needed
}
