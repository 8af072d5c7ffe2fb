//! The attacks as they lie in `autograder/attacks`: one folder each, described by its `attack.toml`.

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use autograder::sandbox::Tier;
use autograder::verdict::Verdict;
use serde::Deserialize;

/// In the environment where the attacks lie elsewhere.
pub(crate) const CORPUS: &str = "AUTOGRADER_ATTACKS_CORPUS";

/// One folder.
pub(crate) struct Attack {
    /// The name of the folder, such as `053-child-keeps-stdout`.
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) manifest: Manifest,
}

/// `attack.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// With which the folder's name begins.
    pub(crate) number: u32,
    /// What is tried, in a sentence.
    pub(crate) title: String,
    /// What is attacked.
    pub(crate) stage: Stage,
    /// Any of these is right.
    pub(crate) verdict: Vec<Verdict>,
    /// Why it is refused, in the grader's word.
    pub(crate) reason: Option<String>,
    /// What the result must say.
    #[serde(default)]
    pub(crate) says: Vec<String>,
    /// What must stand nowhere.
    #[serde(default)]
    pub(crate) hides: Vec<String>,
    /// More would be a success of the attack.
    #[serde(default)]
    pub(crate) points_at_most: u64,
    /// The lowest tier that promises this.
    pub(crate) tier: Tier,
    /// What is tried, and what stops it.
    pub(crate) why: String,
    /// What it makes must be gone for the next run, so it is graded twice in the short form too.
    #[serde(default)]
    pub(crate) twice: bool,
    /// It takes minutes, so only the long form has it.
    #[serde(default)]
    pub(crate) long: bool,
    /// What is handed in, where it is not simply the files that lie here.
    #[serde(default, rename = "archive")]
    pub(crate) archives: Vec<Archive>,
}

/// What is attacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stage {
    Intake,
    Build,
    Score,
    Resources,
    Escape,
    Cheat,
}

/// An archive or a folder that is made when it is needed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Archive {
    pub(crate) form: Form,
    #[serde(rename = "member")]
    pub(crate) members: Vec<Member>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    Zip,
    Tar,
    Tgz,
    Folder,
}

/// One member of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Member {
    /// Its name, as it stands in the archive.
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) kind: Kind,
    /// What stands in a file.
    #[serde(default)]
    pub(crate) text: String,
    /// The honest solution stands in it.
    #[serde(default)]
    pub(crate) honest: bool,
    /// So many MiB of zeros stand in it.
    #[serde(default)]
    pub(crate) zeros_mib: usize,
    /// Where a link leads.
    #[serde(default)]
    pub(crate) target: String,
    /// Its mode.
    pub(crate) mode: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    #[default]
    File,
    Symlink,
    Hardlink,
    Fifo,
    Device,
}

/// Where the attacks lie.
pub(crate) fn folder() -> PathBuf {
    env::var_os(CORPUS)
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("attacks"), PathBuf::from)
}

/// All attacks, in the order of their names.
pub(crate) fn read() -> Vec<Attack> {
    let entries = fs::read_dir(folder()).expect("the folder of the attacks");
    let mut attacks: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| {
            let name = entry.file_name().into_string().expect("a plain name");
            let file = entry.path().join("attack.toml");
            let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{name}: {e}"));
            let manifest = toml::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
            Attack { name, folder: entry.path(), manifest }
        })
        .collect();
    attacks.sort_by(|one, other| one.name.cmp(&other.name));
    attacks
}

impl Attack {
    /// The files that lie beside `attack.toml`, by their path from here.
    pub(crate) fn files(&self) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder").flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else if entry.file_name() != "attack.toml" {
                    let path = entry.path();
                    found.insert(path.strip_prefix(&self.folder).expect("below").to_path_buf());
                }
            }
        }
        found
    }
}

/// The numbers that there must be.
const MINIMUM: [u32; 46] = [
    1, 2, 3, 4, 6, 10, 13, 14, 15, 16, 17, 19, 20, 21, 24, 25, 26, 27, 30, 34, 35, 36, 39, 40, 41,
    43, 44, 45, 50, 52, 53, 55, 56, 58, 59, 60, 61, 63, 64, 68, 69, 70, 71, 73, 75, 78,
];

/// Every folder is what its name says, none is missing, and the README lists them all.
pub(crate) fn is_in_order(attacks: &[Attack]) {
    for attack in attacks {
        let Attack { name, manifest, .. } = attack;
        assert!(name.starts_with(&format!("{:03}", manifest.number)), "{name}: another number");
        assert!(!manifest.verdict.is_empty(), "{name}: no verdict is right");
        assert!(!manifest.why.trim().is_empty(), "{name}: why?");
        let refused = manifest.verdict.contains(&Verdict::Rej);
        assert_eq!(refused, manifest.reason.is_some(), "{name}: REJ and its reason go together");
        assert!(
            manifest.archives.is_empty() != attack.files().is_empty(),
            "{name}: it needs files or archives, and not both"
        );
    }
    for number in MINIMUM {
        assert!(
            attacks.iter().any(|attack| attack.manifest.number == number),
            "attack {number} is missing"
        );
    }
    let readme = fs::read_to_string(folder().join("README.md")).expect("a README");
    let table = table(attacks);
    assert!(readme.contains(&table), "the table in attacks/README.md has to be:\n{table}");
}

/// The table of the README.
fn table(attacks: &[Attack]) -> String {
    let mut table = String::from("| attack | what it tries | outcome | from tier |\n");
    table.push_str("| --- | --- | --- | --- |\n");
    for Attack { name, manifest, .. } in attacks {
        let verdicts: Vec<_> = manifest.verdict.iter().map(|verdict| verdict.code()).collect();
        let reason = manifest.reason.as_ref().map(|reason| format!(" ({reason})"));
        let outcome = verdicts.join(", ") + &reason.unwrap_or_default();
        let Manifest { title, tier, .. } = manifest;
        let _ = writeln!(table, "| `{name}` | {title} | {outcome} | {tier} |");
    }
    table
}
