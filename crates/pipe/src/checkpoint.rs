//! How far the input is dealt with, kept in a file, so that a restart on the same input goes on from there.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

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

/// A place that is kept in a file. The file is only ever replaced by a whole one (rename(2)).
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    start: Place,
    kept: Place,
    reached: Place,
    kept_at: Instant,
}

impl Checkpoint {
    /// Reads the file, or begins at the beginning if there is none.
    ///
    /// # Errors
    ///
    /// The file can't be read, or holds something else.
    pub fn open(path: &Path) -> io::Result<Self> {
        let start = match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                let why = format!("not a checkpoint: {error}");
                io::Error::new(io::ErrorKind::InvalidData, why)
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Place::default(),
            Err(error) => return Err(error),
        };
        Ok(Self {
            path: path.to_owned(),
            start,
            kept: start,
            reached: start,
            kept_at: Instant::now(),
        })
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
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let new = PathBuf::from(name);
        let replaced = write_whole(&new, self.reached).and_then(|()| fs::rename(&new, &self.path));
        replaced.map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
        })?;
        self.kept = self.reached;
        self.kept_at = Instant::now();
        Ok(())
    }
}

fn write_whole(path: &Path, place: Place) -> io::Result<()> {
    let mut file = File::create(path)?;
    serde_json::to_writer(&mut file, &place)?;
    file.write_all(b"\n")?;
    // The rename must not reach the disk before the content.
    file.sync_data()
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

    #[test]
    fn a_file_that_holds_something_else_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint");
        fs::write(&path, "a,b\n").unwrap();
        let error = Checkpoint::open(&path).unwrap_err().to_string();
        assert!(error.starts_with("not a checkpoint: "), "{error}");
    }
}
