//! Why a submission is not taken in.

/// A submission that was not taken in, and why.
///
/// Whatever names a member holds was made safe to print.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is nothing at that path.
    #[error(
        "there is no such file; give the path of your main.rs, of the folder that has src/ in it, \
         or of an archive of that folder"
    )]
    NotThere,
    /// The operating system would not let us read it.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// Between looking and opening, it became something else.
    #[error("{0} was changed while it was read; hand it in again")]
    Changed(String),

    /// A link: in an archive anywhere, in a folder where sources lie.
    #[error("{member} is a {kind} link; hand in the file itself")]
    Link {
        /// What it is called; `it` for what was handed in.
        member: String,
        /// `symbolic` or `hard`.
        kind: &'static str,
    },
    /// A device, a FIFO, a socket: in an archive anywhere, in a folder where sources lie.
    #[error("{member} is {kind}, not a regular file; leave it out")]
    Special {
        /// What it is called; `it` for what was handed in.
        member: String,
        /// What it is.
        kind: &'static str,
    },
    /// A member of an archive whose name leads elsewhere.
    #[error("the member {member} {fault}; pack the folder that has src/ in it, with its own names")]
    Path {
        /// What it is called.
        member: String,
        /// What is wrong with that.
        fault: &'static str,
    },
    /// A source whose name is no plain name.
    #[error(
        "the source {0} has a name that rustc cannot find a module by; use letters, digits and `_`"
    )]
    Name(String),
    /// A name that stands for two things.
    #[error("{0}; every source needs a name of its own")]
    Double(String),

    /// A source larger than [`MAX_FILE`](super::MAX_FILE).
    #[error("{0} is larger than 1 MiB; hand in source code only")]
    LargeFile(String),
    /// Sources that come to more than [`MAX_TOTAL`](super::MAX_TOTAL).
    #[error("its sources come to more than 4 MiB; hand in source code only")]
    LargeTotal,
    /// An archive larger than [`MAX_ARCHIVE`](super::MAX_ARCHIVE).
    #[error("it is an archive of more than 16 MiB; pack src/ alone, without target/")]
    LargeArchive,
    /// An archive that unpacks to too much.
    #[error("{0}; pack src/ alone, without target/")]
    Bomb(String),
    /// More members than [`MAX_MEMBERS`](super::MAX_MEMBERS).
    #[error("it has more than 10000 members; hand in src/ alone, without target/")]
    ManyMembers,
    /// More sources than [`MAX_SOURCES`](super::MAX_SOURCES).
    #[error("it has more than 200 sources; hand in your own alone")]
    ManySources,
    /// Folders inside each other, more than [`MAX_DEPTH`](super::MAX_DEPTH).
    #[error("{0} lies more than 16 folders deep; put your sources closer to src/")]
    Deep(String),

    /// A file that is neither a source nor an archive.
    #[error(
        "it is no archive, and its name does not end in .rs; give one .rs file, a folder, a .zip, \
         a .tar or a .tar.gz"
    )]
    NotRust,
    /// An archive of another kind.
    #[error("it is {0}, which is not taken; make a .zip or a .tar.gz")]
    ForeignArchive(&'static str),
    /// An archive that contradicts itself, or breaks off.
    #[error("the archive is damaged: {0}; make it anew")]
    Damaged(String),
    /// A source that needs a password.
    #[error("{0} is encrypted; make an archive without a password")]
    Encrypted(String),
    /// A member in a form that only special tools write.
    #[error("{member} {fault}; make the archive with the usual settings of your tool")]
    Unsupported {
        /// What it is called; `the archive` for all of it.
        member: String,
        /// What is unusual.
        fault: &'static str,
    },

    /// No `main.rs` where it is looked for.
    #[error("there is no main.rs{0}; hand in src/ with main.rs in it, or main.rs alone")]
    NoMain(String),
    /// Both `main.rs` and `src/main.rs`.
    #[error("there are both main.rs and src/main.rs; hand in one of them")]
    TwoMains,
    /// More than one folder with a `main.rs`.
    #[error("there is a main.rs in {0}; hand in one program")]
    ManyMains(String),
}

impl Refusal {
    /// The reason in one word that does not change: what a program that reads results goes by.
    pub fn reason(&self) -> &'static str {
        match self {
            Refusal::NotThere => "missing",
            Refusal::Unreadable(_) => "unreadable",
            Refusal::Changed(_) => "changed",
            Refusal::Link { .. } => "link",
            Refusal::Special { .. } => "type",
            Refusal::Path { .. } => "path",
            Refusal::Name(_) => "name",
            Refusal::Double(_) => "double",
            Refusal::LargeFile(_)
            | Refusal::LargeTotal
            | Refusal::LargeArchive
            | Refusal::Bomb(_) => "size",
            Refusal::ManyMembers | Refusal::ManySources | Refusal::Deep(_) => "count",
            Refusal::NotRust
            | Refusal::ForeignArchive(_)
            | Refusal::Damaged(_)
            | Refusal::Encrypted(_)
            | Refusal::Unsupported { .. } => "format",
            Refusal::NoMain(_) | Refusal::TwoMains | Refusal::ManyMains(_) => "main",
        }
    }

    pub(super) fn link(member: impl Into<String>, kind: &'static str) -> Refusal {
        Refusal::Link { member: member.into(), kind }
    }

    pub(super) fn special(member: impl Into<String>, kind: &'static str) -> Refusal {
        Refusal::Special { member: member.into(), kind }
    }

    pub(super) fn unsupported(member: impl Into<String>, fault: &'static str) -> Refusal {
        Refusal::Unsupported { member: member.into(), fault }
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::Refusal;

    #[test]
    fn the_limits_in_the_texts_are_the_limits() {
        for (refusal, limit) in [
            (Refusal::LargeFile(String::new()), format!("{} MiB", MAX_FILE >> 20)),
            (Refusal::LargeTotal, format!("{} MiB", MAX_TOTAL >> 20)),
            (Refusal::LargeArchive, format!("{} MiB", MAX_ARCHIVE >> 20)),
            (Refusal::ManyMembers, format!("{MAX_MEMBERS} members")),
            (Refusal::ManySources, format!("{MAX_SOURCES} sources")),
            (Refusal::Deep(String::new()), format!("{MAX_DEPTH} folders")),
        ] {
            assert!(refusal.to_string().contains(&limit), "{refusal}");
        }
    }
}
