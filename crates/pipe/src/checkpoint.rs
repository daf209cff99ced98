//! How far the input is dealt with, kept in a file, so that a restart on the same input goes on from there.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::io::journal::{folder_of, sync_folder};

/// The file is replaced at most this often, but for the last time. What was delivered since is delivered
/// again after a crash.
const EVERY: Duration = Duration::from_secs(1);

/// A place in an input, behind a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Bytes from the beginning of the input.
    pub position: u64,
    /// Lines up to there.
    pub line: u64,
}

/// A place that is kept in a file. The file is only ever replaced by a whole one, which has reached the disk before.
#[derive(Debug)]
pub struct Checkpoint {
    /// The file itself, where links lead to it.
    path: PathBuf,
    folder: PathBuf,
    start: Place,
    kept: Place,
    reached: Place,
    kept_at: Instant,
}

impl Checkpoint {
    /// Reads the file, or begins at the beginning if there is none, and tries whether it can be replaced.
    ///
    /// # Errors
    ///
    /// The file can't be read or replaced, or holds something else.
    pub fn open(path: &Path) -> io::Result<Self> {
        let found = read(path)?;
        let path = match found {
            Some(_) => fs::canonicalize(path)?,
            None => path.to_owned(),
        };
        let start = found.unwrap_or_default();
        let checkpoint = Self {
            folder: folder_of(&path),
            path,
            start,
            kept: start,
            reached: start,
            kept_at: Instant::now(),
        };
        let new = checkpoint.write_new(start)?;
        // A name that is not taken yet can be taken; one that is may not be ours to replace.
        if found.is_some() {
            new.persist(&checkpoint.path)?;
        }
        Ok(checkpoint)
    }

    /// The place that the file at `path` holds, or the beginning if there is none. Changes nothing.
    ///
    /// # Errors
    ///
    /// The file can't be read, or holds something else.
    pub fn read(path: &Path) -> io::Result<Place> {
        read(path).map(Option::unwrap_or_default)
    }

    /// Where this run begins.
    #[must_use]
    pub fn start(&self) -> Place {
        self.start
    }

    /// All up to this place is dealt with.
    ///
    /// # Errors
    ///
    /// The file can't be replaced.
    pub fn reached(&mut self, place: Place) -> io::Result<()> {
        self.reached = place;
        if self.kept_at.elapsed() >= EVERY {
            self.keep()?;
        }
        Ok(())
    }

    /// Replaces the file, if there is news.
    ///
    /// # Errors
    ///
    /// The file can't be replaced; its name is in the message.
    pub fn keep(&mut self) -> io::Result<()> {
        if self.reached == self.kept {
            return Ok(());
        }
        self.replace().map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
        })?;
        self.kept = self.reached;
        self.kept_at = Instant::now();
        Ok(())
    }

    fn replace(&self) -> io::Result<()> {
        self.write_new(self.reached)?.persist(&self.path)?;
        sync_folder(&self.folder)
    }

    /// A file of its own with the place in it, on the disk: the new name must not reach it before the content.
    fn write_new(&self, place: Place) -> io::Result<NamedTempFile> {
        let mut prefix = OsString::from(".");
        prefix.push(self.path.file_name().unwrap_or_default());
        prefix.push(".");
        // As a file has it that the user makes, or as it has been given.
        let kept = fs::metadata(&self.path).map(|found| found.permissions().mode() & 0o7777);
        let mut file = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(".new")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(&self.folder)
            .map_err(without_path)?;
        if let Ok(mode) = kept {
            file.as_file()
                .set_permissions(Permissions::from_mode(mode))?;
        }
        serde_json::to_writer(&mut file, &place)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        Ok(file)
    }
}

/// What the file at `path` holds, if there is one.
fn read(path: &Path) -> io::Result<Option<Place>> {
    // Not to wait for whoever might write to a FIFO.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let mut file: File = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if fs::symlink_metadata(path).is_ok() {
                let why = "a symbolic link that leads nowhere";
                return Err(io::Error::new(io::ErrorKind::NotFound, why));
            }
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let found = file.metadata()?;
    if !found.is_file() {
        let why = "a checkpoint is kept in a regular file, and this is none";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let mut bytes = Vec::new();
    // What is longer is none; it might be anything that was named by mistake.
    Read::by_ref(&mut file).take(4096).read_to_end(&mut bytes)?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        let why = format!("not a checkpoint: {error}");
        io::Error::new(io::ErrorKind::InvalidData, why)
    })
}

/// Without the path of the temporary file, which nobody asked for: `tempfile` appends it.
fn without_path(error: io::Error) -> io::Error {
    match error.to_string().split_once(" at path ") {
        Some((why, _)) => io::Error::new(error.kind(), why),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_where_the_next_run_begins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint");
        let mut checkpoint = Checkpoint::open(&path).unwrap();
        assert_eq!(checkpoint.start(), Place::default());
        checkpoint.keep().unwrap();
        assert!(!path.exists(), "nothing was reached");
        let place = Place {
            position: 12,
            line: 3,
        };
        checkpoint.reached(place).unwrap();
        checkpoint.keep().unwrap();
        assert_eq!(Checkpoint::open(&path).unwrap().start(), place);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    fn reach(path: &Path, line: u64) {
        let mut checkpoint = Checkpoint::open(path).unwrap();
        let place = Place { position: 9, line };
        checkpoint.reached(place).unwrap();
        checkpoint.keep().unwrap();
        assert_eq!(Checkpoint::read(path).unwrap(), place);
    }

    #[test]
    fn what_others_put_beside_it_is_neither_followed_nor_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("precious"), "data\n").unwrap();
        std::os::unix::fs::symlink("precious", at("checkpoint.new")).unwrap();
        reach(&at("checkpoint"), 3);
        assert_eq!(fs::read_to_string(at("precious")).unwrap(), "data\n");
        assert!(at("checkpoint.new").is_symlink());
    }

    #[test]
    fn a_link_leads_to_the_file_that_is_replaced_and_its_mode_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("elsewhere")).unwrap();
        reach(&at("elsewhere/real"), 3);
        fs::set_permissions(at("elsewhere/real"), Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("elsewhere/real", at("link")).unwrap();
        reach(&at("link"), 4);
        assert!(at("link").is_symlink());
        assert_eq!(Checkpoint::read(&at("elsewhere/real")).unwrap().line, 4);
        let mode = fs::metadata(at("elsewhere/real"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o640);
        std::os::unix::fs::symlink("nowhere", at("dangling")).unwrap();
        assert!(Checkpoint::open(&at("dangling")).is_err());
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, 0o600.into(), 0).unwrap();
        for path in [path.as_path(), Path::new("/dev/null"), folder.path()] {
            let error = Checkpoint::open(path).unwrap_err().to_string();
            assert!(error.contains("regular file"), "{error}");
        }
    }

    #[test]
    fn one_that_cannot_be_written_is_told_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("none/checkpoint");
        assert!(Checkpoint::open(&missing).is_err());
        // Nobody, root included, makes files there.
        assert!(Checkpoint::open(Path::new("/proc/checkpoint")).is_err());
    }

    #[test]
    fn a_file_that_holds_something_else_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint");
        fs::write(&path, "a,b\n").unwrap();
        let error = Checkpoint::open(&path).unwrap_err().to_string();
        assert!(error.starts_with("not a checkpoint: "), "{error}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_told_once() {
        let error = Checkpoint::open(Path::new("/nonexistent/checkpoint")).unwrap_err();
        assert_eq!(error.to_string(), "No such file or directory (os error 2)");
    }
}
