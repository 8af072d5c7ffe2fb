//! Makes what is handed in: files as they lie there, or archives from their description.
//!
//! A few words in them are replaced by paths that an attacker may know or guess:
//!
//! | word | becomes |
//! | --- | --- |
//! | `@course@` | the folder of the course, with its assignments and their hidden tests |
//! | `@grader@` | the grader's own program |
//! | `@libraries@` | the folder of the libraries that programs are linked against |

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tar::{EntryType, Header};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::corpus::{Archive, Attack, Form, Kind, Member};
use crate::course::{HONEST, grader};

/// Mode of a plain file.
const PLAIN: u32 = 0o644;

/// Makes all that an attack hands in, in a new folder of the course; the paths are as one types them there.
pub(crate) fn hand_in(attack: &Attack, course: &Path) -> Vec<PathBuf> {
    let place = Path::new("hand-ins").join(&attack.name);
    let folder = course.join(&place);
    fs::create_dir_all(&folder).expect("a new folder");
    let archives = attack.manifest.archives.iter().enumerate().map(|(index, archive)| {
        let name = match archive.form {
            Form::Zip => format!("{index}.zip"),
            Form::Tar => format!("{index}.tar"),
            Form::Tgz => format!("{index}.tar.gz"),
            Form::Folder => format!("{index}"),
        };
        make(archive, &folder.join(&name), course);
        place.join(name)
    });
    let mut handed_in: Vec<_> = archives.collect();
    let files = attack.files();
    for file in &files {
        let text = fs::read_to_string(attack.folder.join(file)).expect("a source");
        let path = folder.join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a new folder");
        fs::write(path, filled_in(&text, course)).expect("written");
    }
    // Either one program in `src/`, or every file is a program of its own.
    if files.iter().any(|file| file.starts_with("src")) {
        handed_in.push(place);
    } else {
        handed_in.extend(files.into_iter().map(|file| place.join(file)));
    }
    handed_in
}

/// The words replaced.
fn filled_in(text: &str, course: &Path) -> String {
    let grader = grader();
    let libraries = grader.parent().expect("a folder").join("deps");
    [("@course@", course), ("@grader@", &grader), ("@libraries@", &libraries)]
        .iter()
        .fold(text.to_string(), |text, (word, path)| text.replace(word, path.to_str().unwrap()))
}

fn bytes_of(member: &Member, course: &Path) -> Vec<u8> {
    match member {
        Member { honest: true, .. } => HONEST.into(),
        Member { zeros_mib: 0, text, .. } => filled_in(text, course).into_bytes(),
        Member { zeros_mib, .. } => vec![0; zeros_mib << 20],
    }
}

fn make(archive: &Archive, path: &Path, course: &Path) {
    match archive.form {
        Form::Folder => lay_out(&archive.members, path, course),
        Form::Zip => zipped(&archive.members, path, course),
        Form::Tar => {
            let file = File::create(path).expect("a new file");
            tarred(&archive.members, file, course);
        }
        Form::Tgz => {
            let file = File::create(path).expect("a new file");
            let packed =
                tarred(&archive.members, GzEncoder::new(file, Compression::best()), course);
            packed.finish().expect("written");
        }
    }
}

fn lay_out(members: &[Member], folder: &Path, course: &Path) {
    for member in members {
        let path = folder.join(&member.name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a new folder");
        match member.kind {
            Kind::File => {
                fs::write(&path, bytes_of(member, course)).expect("written");
                let mode = fs::Permissions::from_mode(member.mode.unwrap_or(PLAIN));
                fs::set_permissions(&path, mode).expect("one's own file");
            }
            Kind::Symlink => symlink(filled_in(&member.target, course), path).expect("a link"),
            Kind::Hardlink => {
                fs::hard_link(filled_in(&member.target, course), path).expect("a link");
            }
            Kind::Fifo => mkfifo(&path, Mode::S_IRWXU).expect("a FIFO"),
            Kind::Device => panic!("{}: an archive can hold a device, a folder not", member.name),
        }
    }
}

fn zipped(members: &[Member], path: &Path, course: &Path) {
    let mut zip = ZipWriter::new(File::create(path).expect("a new file"));
    for member in members {
        let options = SimpleFileOptions::default().unix_permissions(member.mode.unwrap_or(PLAIN));
        match member.kind {
            Kind::File => {
                zip.start_file(&member.name, options).expect("a member");
                zip.write_all(&bytes_of(member, course)).expect("written");
            }
            Kind::Symlink => {
                let target = filled_in(&member.target, course);
                zip.add_symlink(&member.name, target, options).expect("a member");
            }
            other => panic!("{}: a zip holds no {other:?}", member.name),
        }
    }
    zip.finish().expect("written");
}

fn tarred<W: Write>(members: &[Member], to: W, course: &Path) -> W {
    let mut tar = tar::Builder::new(to);
    for member in members {
        let mut header = Header::new_gnu();
        // As it stands there: the library would refuse names that lead out.
        let name = &mut header.as_gnu_mut().expect("a new header").name;
        name[..member.name.len()].copy_from_slice(member.name.as_bytes());
        header.set_mode(member.mode.unwrap_or(PLAIN));
        let link = match member.kind {
            Kind::File => None,
            Kind::Symlink => Some(EntryType::Symlink),
            Kind::Hardlink => Some(EntryType::Link),
            Kind::Fifo => Some(EntryType::Fifo),
            Kind::Device => Some(EntryType::Block),
        };
        let bytes = match link {
            None => bytes_of(member, course),
            Some(kind) => {
                header.set_entry_type(kind);
                header.set_link_name_literal(filled_in(&member.target, course)).expect("short");
                vec![]
            }
        };
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        tar.append(&header, &*bytes).expect("written");
    }
    tar.into_inner().expect("written")
}
