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
use std::path::PathBuf;
use table::{ALGORITHMS, FOLDER, MUTANTS};

fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where to"));
    let algorithms = here.join(FOLDER);
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/mutants/table.rs");
    for algorithm in ALGORITHMS {
        let file = algorithms.join(format!("{algorithm}.rs"));
        println!("cargo::rerun-if-changed={}", file.display());
    }

    let mut families = String::new();
    let mut list = String::from("pub(crate) static BUILT: &[(&str, &[Entry])] = &[\n");
    for mutant in MUTANTS {
        let real = algorithms.join(format!("{}.rs", mutant.algorithm));
        let text =
            fs::read_to_string(&real).unwrap_or_else(|error| panic!("{}: {error}", real.display()));
        let count = text.matches(mutant.snippet).count();
        assert!(
            count == 1,
            "mutant {}: its snippet stands {count} times in {}, and must stand there once; \
             mend it in src/mutants/table.rs",
            mutant.name,
            real.display()
        );
        let changed = out.join(format!("{}.rs", mutant.name));
        fs::write(&changed, text.replace(mutant.snippet, mutant.replacement))
            .unwrap_or_else(|error| panic!("{}: {error}", changed.display()));

        let name = mutant.name;
        let _ = writeln!(families, "pub(crate) mod {name} {{\nuse crate::word;\nmod algorithm {{");
        for algorithm in ALGORITHMS {
            let file = match *algorithm == mutant.algorithm {
                true => changed.clone(),
                false => algorithms.join(format!("{algorithm}.rs")),
            };
            let _ = writeln!(families, "#[path = {file:?}]\npub(crate) mod {algorithm};");
        }
        let models = here.join("src/models/mod.rs");
        let _ = writeln!(families, "}}\n#[path = {models:?}]\npub(crate) mod models;\n}}");
        let (models, _) = mutant.model.split_once("::").unwrap_or_else(|| {
            panic!("mutant {name}: its model is called FILE::NAME, as in lock::takes_turns")
        });
        let _ = writeln!(list, "({name:?}, {name}::models::{models}::MODELS),");
    }
    list.push_str("];\n");
    let path = out.join("mutants.rs");
    fs::write(&path, families + &list)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
