//! The files of a run: none that is written may be another of them, under whatever name.

use std::{
    fs,
    io::{self, IsTerminal},
    os::{fd::AsFd, unix::fs::FileTypeExt, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use crate::io::journal::folder_of;

/// The files that a run reads and writes, as its options and descriptors name them.
#[derive(Debug, Default, Clone)]
pub struct Files {
    list: Vec<Used>,
}

#[derive(Debug, Clone)]
struct Used {
    name: String,
    identity: Identity,
    is_written: bool,
}

/// What two names of one file have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Identity {
    Inode {
        device: u64,
        inode: u64,
    },
    /// There is no such file yet.
    Path(PathBuf),
}

/// A file that would be written is another one of the run, too.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{written} is the same file as {other}; name another one")]
pub struct SameFile {
    written: String,
    other: String,
}

impl Files {
    /// Adds a file that is read; `name` is what messages call it.
    pub fn reads(&mut self, name: impl Into<String>, path: &Path) {
        self.add(name.into(), of_path(path), false);
    }

    /// Adds a descriptor that is read.
    pub fn reads_from(&mut self, name: impl Into<String>, fd: impl AsFd) {
        self.add(name.into(), of_descriptor(fd), false);
    }

    /// Adds a file that is written.
    pub fn writes(&mut self, name: impl Into<String>, path: &Path) {
        self.add(name.into(), of_path(path), true);
    }

    /// Adds a descriptor that is written.
    pub fn writes_to(&mut self, name: impl Into<String>, fd: impl AsFd) {
        self.add(name.into(), of_descriptor(fd), true);
    }

    /// Whether each file that is written is none of the others.
    ///
    /// # Errors
    ///
    /// The first that is.
    pub fn check(&self) -> Result<(), SameFile> {
        for (at, one) in self.list.iter().enumerate() {
            for other in &self.list[..at] {
                if one.identity == other.identity && (one.is_written || other.is_written) {
                    // The one whose content would be lost or mixed up is named first.
                    let (written, other) = if one.is_written {
                        (one, other)
                    } else {
                        (other, one)
                    };
                    return Err(SameFile {
                        written: written.name.clone(),
                        other: other.name.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, name: String, identity: Option<Identity>, is_written: bool) {
        if let Some(identity) = identity {
            self.list.push(Used {
                name,
                identity,
                is_written,
            });
        }
    }
}

/// The file that a path leads to, through links. Devices are nobody's data: `/dev/null` may be all of them.
fn of_path(path: &Path) -> Option<Identity> {
    match fs::metadata(path) {
        Ok(found) => {
            let kind = found.file_type();
            (kind.is_file() || kind.is_fifo()).then(|| Identity::Inode {
                device: found.dev(),
                inode: found.ino(),
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = fs::canonicalize(folder_of(path)).ok()?;
            Some(Identity::Path(folder.join(path.file_name()?)))
        }
        Err(_) => None,
    }
}

fn of_descriptor(fd: impl AsFd) -> Option<Identity> {
    use rustix::fs::{FileType, fstat};
    let fd = fd.as_fd();
    if fd.is_terminal() {
        return None;
    }
    let found = fstat(fd).ok()?;
    let kind = FileType::from_raw_mode(found.st_mode);
    (kind == FileType::RegularFile || kind == FileType::Fifo).then_some(Identity::Inode {
        device: found.st_dev,
        inode: found.st_ino,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn clash(fill: impl FnOnce(&mut Files)) -> Option<String> {
        let mut files = Files::default();
        fill(&mut files);
        files.check().err().map(|error| error.to_string())
    }

    #[test]
    fn a_file_is_known_by_any_of_its_names() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("f"), "x\n").unwrap();
        fs::hard_link(at("f"), at("hard")).unwrap();
        std::os::unix::fs::symlink("f", at("soft")).unwrap();
        let input = File::open(at("f")).unwrap();
        for name in ["f", "hard", "soft", "../f"] {
            let path = match name.strip_prefix("../") {
                Some(name) => folder
                    .path()
                    .join("..")
                    .join(folder.path().file_name().unwrap())
                    .join(name),
                None => at(name),
            };
            let found = clash(|files| {
                files.reads_from("stdin", &input);
                files.writes("--rejects f", &path);
            });
            let want = "--rejects f is the same file as stdin; name another one";
            assert_eq!(found.as_deref(), Some(want), "{name}");
        }
        fs::write(at("g"), "x\n").unwrap();
        let found = clash(|files| {
            files.reads_from("stdin", &input);
            files.writes("--rejects", &at("g"));
        });
        assert_eq!(found, None);
    }

    #[test]
    fn files_that_are_not_there_yet_and_pipes_count_and_devices_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let (new, dotted) = (folder.path().join("new"), folder.path().join("./new"));
        let found = clash(|files| {
            files.writes("--rejects", &new);
            files.writes("--report", &dotted);
        });
        assert!(found.is_some());
        let (_reader, writer) = io::pipe().unwrap();
        let found = clash(|files| {
            files.writes_to("stdout", &writer);
            files.writes_to("--rejects", writer.try_clone().unwrap());
        });
        assert!(found.is_some());
        let null = Path::new("/dev/null");
        let found = clash(|files| {
            files.reads_from("stdin", File::open(null).unwrap());
            files.writes("--rejects", null);
            files.writes("--report", null);
        });
        assert_eq!(found, None);
    }

    #[test]
    fn what_is_only_read_may_be_read_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "x\n").unwrap();
        let found = clash(|files| {
            files.reads("a", &path);
            files.reads("b", &path);
        });
        assert_eq!(found, None);
    }
}
