//! A file that lines are appended to and that can be made durable: rejects and reports.
//!
//! Nothing that it holds is ever lost by opening it. Whole lines are written at once, so that two tools may append to
//! one file. After a failed write or sync it stays failed: what the system has dropped once can't be vouched for by a
//! later call that succeeds.

use std::{
    fmt,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::{
        fd::AsFd,
        unix::fs::{FileTypeExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Access, OFlags},
};
use serde::Serialize;

/// A line waits at most so long until it is written out or, where something rests on it, durable.
pub const SYNC_AFTER: Duration = Duration::from_millis(50);

/// A full buffer is written out at once.
const BLOCK: usize = 64 * 1024;

/// So long the reader of a pipe is waited for that takes nothing: nobody can be told meanwhile, so it must end.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a journal writes to.
pub trait Medium: fmt::Debug + Send {
    /// Appends whole lines.
    ///
    /// # Errors
    ///
    /// What the system says; some of the bytes may have been written.
    fn append(&mut self, lines: &[u8]) -> io::Result<()>;

    /// Returns when all that was appended has reached the disk.
    ///
    /// # Errors
    ///
    /// What the system says; it may have dropped what was appended.
    fn sync(&mut self) -> io::Result<()>;
}

/// Lines on their way into a file.
#[derive(Debug)]
pub struct Journal {
    name: String,
    medium: Box<dyn Medium>,
    buffer: Vec<u8>,
    /// Lines in the buffer.
    waiting: u64,
    /// When the oldest line in the buffer was put there.
    buffered: Option<Instant>,
    /// When the oldest line came that may not be durable.
    dirty: Option<Instant>,
    failed: Option<(io::ErrorKind, String)>,
    lost: u64,
}

impl Journal {
    /// Opens the file at `path`, or creates it. Waits for nobody: a FIFO that nobody reads from is an error.
    ///
    /// # Errors
    ///
    /// When it can't be opened, or is a directory, a socket or a disk.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self::over(
            path.display().to_string(),
            AppendedFile::open(path)?,
        ))
    }

    /// Lines to a medium that messages call `name`.
    pub fn over(name: impl Into<String>, medium: impl Medium + 'static) -> Self {
        Self {
            name: name.into(),
            medium: Box::new(medium),
            buffer: Vec::new(),
            waiting: 0,
            buffered: None,
            dirty: None,
            failed: None,
            lost: 0,
        }
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds a line that `compose` appends to the vector; the terminator is put behind it.
    ///
    /// # Errors
    ///
    /// When it has failed, with its name.
    pub fn line(&mut self, compose: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        if self.failed.is_some() {
            self.lost += 1;
            return self.state();
        }
        compose(&mut self.buffer);
        self.buffer.push(b'\n');
        self.waiting += 1;
        if self.buffered.is_none() {
            let now = Instant::now();
            self.buffered = Some(now);
            self.dirty.get_or_insert(now);
        }
        if self.buffer.len() >= BLOCK {
            return self.flush();
        }
        Ok(())
    }

    /// Adds a line that is the entry's JSON.
    ///
    /// # Errors
    ///
    /// When it has failed, with its name.
    ///
    /// # Panics
    ///
    /// When the entry is more than texts and numbers, which always serialise.
    pub fn json(&mut self, entry: &impl Serialize) -> io::Result<()> {
        self.line(|out| {
            serde_json::to_writer(out, entry).expect("texts and numbers always serialise");
        })
    }

    /// Writes out what is buffered, so that a reader of the file sees it.
    ///
    /// # Errors
    ///
    /// When it has failed, with its name.
    pub fn flush(&mut self) -> io::Result<()> {
        self.state()?;
        if self.buffered.take().is_some() {
            let written = self.medium.append(&self.buffer);
            let lines = std::mem::take(&mut self.waiting);
            self.buffer.clear();
            self.buffer.shrink_to(2 * BLOCK);
            if written.is_err() {
                self.lost += lines;
            }
            self.note(written)?;
        }
        Ok(())
    }

    /// Makes all lines durable, if there is one that may not be.
    ///
    /// # Errors
    ///
    /// When it has failed, with its name.
    pub fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        if self.dirty.take().is_some() {
            let synced = self.medium.sync();
            self.note(synced)?;
        }
        Ok(())
    }

    /// How long until what is buffered is to be written out; `None` if nothing is.
    #[must_use]
    pub fn flush_in(&self) -> Option<Duration> {
        left(self.buffered)
    }

    /// How long until it is to be synced where something waits for that; `None` if all is durable.
    #[must_use]
    pub fn sync_in(&self) -> Option<Duration> {
        left(self.dirty)
    }

    /// Whether a write or a sync has failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Lines that are not in the file, or only in part, because it failed.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// The first failure is the last word.
    fn note(&mut self, result: io::Result<()>) -> io::Result<()> {
        if let Err(error) = result {
            self.failed = Some((error.kind(), format!("{}: {error}", self.name)));
            (self.buffered, self.dirty) = (None, None);
        }
        self.state()
    }

    fn state(&self) -> io::Result<()> {
        match &self.failed {
            Some((kind, message)) => Err(io::Error::new(*kind, message.clone())),
            None => Ok(()),
        }
    }
}

fn left(since: Option<Instant>) -> Option<Duration> {
    since.map(|since| SYNC_AFTER.saturating_sub(since.elapsed()))
}

/// Looks whether the file at `path` could be opened for appending, and changes nothing.
///
/// # Errors
///
/// Why it can't be.
pub fn probe(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) => {
            check(&found)?;
            // To open and close a FIFO would be an end of file for its reader.
            if found.is_file() {
                OpenOptions::new().append(true).open(path)?;
            }
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = folder_of(path);
            if !fs::metadata(&folder)?.is_dir() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            Ok(rustix::fs::access(
                &folder,
                Access::WRITE_OK | Access::EXEC_OK,
            )?)
        }
        Err(error) => Err(error),
    }
}

/// The folder that a file lies in.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// What can be appended to without harm.
fn check(found: &Metadata) -> io::Result<()> {
    let kind = found.file_type();
    if kind.is_dir() {
        Err(io::ErrorKind::IsADirectory.into())
    } else if kind.is_file() || kind.is_char_device() || kind.is_fifo() {
        Ok(())
    } else {
        let why = "not a file that can be appended to";
        Err(io::Error::new(io::ErrorKind::InvalidInput, why))
    }
}

/// A file of the system.
#[derive(Debug)]
struct AppendedFile {
    file: File,
    is_regular: bool,
    /// The last line has no end: whoever wrote it was interrupted.
    is_torn: bool,
    /// The folder whose entry for the file may not be durable.
    folder: Option<PathBuf>,
}

impl AppendedFile {
    fn open(path: &Path) -> io::Result<Self> {
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        let mut options = OpenOptions::new();
        options.append(true).create(true).custom_flags(flags);
        let file = options.open(path).map_err(|error| explain(path, error))?;
        let found = file.metadata()?;
        check(&found)?;
        let is_regular = found.is_file();
        let folder = is_regular.then(|| fs::canonicalize(path).map(|path| folder_of(&path)));
        Ok(Self {
            is_torn: is_regular && found.len() > 0 && is_torn(path),
            file,
            is_regular,
            folder: folder.transpose()?,
        })
    }

    fn write(&mut self, mut rest: &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait()?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until a pipe has room.
    fn wait(&self) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).ok();
            let fd = self.file.as_fd();
            match poll(&mut [PollFd::new(&fd, PollFlags::OUT)], timeout.as_ref()) {
                Ok(0) => {
                    let why = format!("its reader took nothing for {PATIENCE:?}");
                    return Err(io::Error::new(io::ErrorKind::TimedOut, why));
                }
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Whether a file that is not empty ends within a line. One that may not be read might.
fn is_torn(path: &Path) -> bool {
    let last = || {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        io::Result::Ok(last)
    };
    last().map_or(true, |last| last != *b"\n")
}

fn explain(path: &Path, error: io::Error) -> io::Error {
    let is_fifo = || fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo());
    if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) && is_fifo() {
        io::Error::new(error.kind(), "a FIFO that nobody reads from")
    } else {
        error
    }
}

impl Medium for AppendedFile {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if std::mem::take(&mut self.is_torn) {
            self.write(b"\n")?;
        }
        self.write(lines)
    }

    fn sync(&mut self) -> io::Result<()> {
        if !self.is_regular {
            return Ok(());
        }
        self.file.sync_data()?;
        match self.folder.take() {
            Some(folder) => sync_folder(&folder),
            None => Ok(()),
        }
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    // A folder that may be written to but not listed can't be opened; its files are synced all the same.
    match File::open(folder) {
        Ok(folder) => folder.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    fn append(path: &Path, lines: &[&str]) {
        let mut journal = Journal::open(path).unwrap();
        for line in lines {
            journal
                .line(|out| out.extend_from_slice(line.as_bytes()))
                .unwrap();
        }
        journal.sync().unwrap();
    }

    #[test]
    fn what_a_file_holds_stays_and_a_torn_line_is_ended_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        append(&path, &["a", "b"]);
        append(&path, &["c"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "a\nb\nc\n");
        fs::write(&path, "a\nhal").unwrap();
        append(&path, &[]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "a\nhal");
        append(&path, &["d"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "a\nhal\nd\n");
    }

    #[test]
    fn two_that_append_to_one_file_keep_their_lines_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (one, two) = ("1".repeat(3000), "2".repeat(3000));
        let (mut first, mut second) =
            (Journal::open(&path).unwrap(), Journal::open(&path).unwrap());
        for _ in 0..100 {
            first
                .line(|out| out.extend_from_slice(one.as_bytes()))
                .unwrap();
            second
                .line(|out| out.extend_from_slice(two.as_bytes()))
                .unwrap();
        }
        first.flush().unwrap();
        second.flush().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 200);
        assert!(text.lines().all(|line| line == one || line == two));
    }

    #[test]
    fn a_fifo_without_a_reader_a_directory_and_a_socket_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, 0o600.into(), 0).unwrap();
        let error = Journal::open(&path).unwrap_err().to_string();
        assert_eq!(error, "a FIFO that nobody reads from");
        assert!(Journal::open(folder.path()).is_err());
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(Journal::open(&socket).is_err());
        assert!(probe(&socket).is_err() && probe(folder.path()).is_err());
    }

    #[test]
    fn a_look_at_a_file_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        probe(&path).unwrap();
        assert!(!path.exists());
        fs::write(&path, "a\nhal").unwrap();
        probe(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "a\nhal");
        assert!(probe(&folder.path().join("none/journal")).is_err());
        assert!(probe(&path.join("below-a-file")).is_err());
    }

    /// Fails as told, and counts its syncs.
    #[derive(Debug)]
    struct Fragile {
        write_fails: bool,
        sync_fails: bool,
        syncs: Arc<AtomicUsize>,
    }

    impl Medium for Fragile {
        fn append(&mut self, _: &[u8]) -> io::Result<()> {
            if std::mem::take(&mut self.write_fails) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(())
        }
        fn sync(&mut self) -> io::Result<()> {
            self.syncs.fetch_add(1, Ordering::Relaxed);
            if std::mem::take(&mut self.sync_fails) {
                return Err(io::Error::other("the disk is gone"));
            }
            Ok(())
        }
    }

    #[test]
    fn it_is_synced_only_if_something_was_written() {
        let syncs = Arc::new(AtomicUsize::new(0));
        let fragile = Fragile {
            write_fails: false,
            sync_fails: false,
            syncs: Arc::clone(&syncs),
        };
        let mut journal = Journal::over("j", fragile);
        assert_eq!(journal.sync_in(), None);
        journal.sync().unwrap();
        assert_eq!(syncs.load(Ordering::Relaxed), 0);
        journal.line(|out| out.push(b'a')).unwrap();
        journal.flush().unwrap();
        assert!(journal.flush_in().is_none() && journal.sync_in().unwrap() <= SYNC_AFTER);
        journal.sync().unwrap();
        journal.sync().unwrap();
        assert_eq!(syncs.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn one_that_has_failed_stays_failed() {
        for (write_fails, lost) in [(true, 3), (false, 1)] {
            let fragile = Fragile {
                write_fails,
                sync_fails: true,
                syncs: Arc::default(),
            };
            let mut journal = Journal::over("j", fragile);
            journal.line(|out| out.push(b'a')).unwrap();
            journal.line(|out| out.push(b'b')).unwrap();
            let first = journal.sync().unwrap_err().to_string();
            assert!(first.starts_with("j: "), "{first}");
            // What is written to would succeed now.
            assert_eq!(journal.sync().unwrap_err().to_string(), first);
            assert_eq!(journal.flush().unwrap_err().to_string(), first);
            assert!(journal.line(|out| out.push(b'c')).is_err());
            assert_eq!((journal.lost(), journal.has_failed()), (lost, true));
        }
    }
}
