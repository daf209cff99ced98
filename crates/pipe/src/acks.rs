//! Acks between the stages of a pipe: a line with the highest `seq` up to which everything is settled.
//!
//! They are cumulative, so filters between the tap and the sink may drop records, and a line that is never
//! read harms nothing. A sink that has read its input to the end and settled all of it writes a last line `end`.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::fd::AsFd,
    os::unix::fs::MetadataExt,
    path::Path,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{FlockOperation, flock, major, minor},
};

/// The variable by which topic-tap tells its command where acks go.
pub const ACKS_VARIABLE: &str = "PIPE_ACKS";

/// The line that settles all.
const END: &str = "end";

/// No line of acks is longer: `u64::MAX` has 20 digits.
const LONGEST: usize = 32;

/// The sink's side. While it is open the path is locked: acks of two sinks in one FIFO would vouch for each other's
/// records.
#[derive(Debug)]
pub struct AckWriter<W = File> {
    to: W,
    highest: u64,
}

impl AckWriter {
    /// Opens a path for acks: a FIFO, mostly. Opening one waits until somebody reads from it.
    ///
    /// # Errors
    ///
    /// What the system says of the path, or that another sink has it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Self::locked(file)
    }

    fn locked(file: File) -> io::Result<Self> {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "another sink writes its acks there; only one, the last stage, may",
            )),
            // What can't be locked is no FIFO.
            Ok(()) | Err(_) => Ok(Self::new(file)),
        }
    }

    /// Opens a FIFO that its reader opened first: if nobody reads from it, the reader is gone, and nobody will.
    ///
    /// # Errors
    ///
    /// What the system says of the path, that nobody reads from it, or that another sink has it.
    pub fn join(path: &Path) -> io::Result<Self> {
        use rustix::fs::{OFlags, fcntl_setfl};
        use std::os::unix::fs::OpenOptionsExt;
        let opened = OpenOptions::new()
            .append(true)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(path);
        let file = opened.map_err(|error| match error.raw_os_error() {
            Some(number) if number == rustix::io::Errno::NXIO.raw_os_error() => {
                io::Error::new(io::ErrorKind::BrokenPipe, "whoever read the acks is gone")
            }
            _ => error,
        })?;
        // From here on a full FIFO is waited for.
        fcntl_setfl(&file, OFlags::APPEND)?;
        Self::locked(file)
    }
}

impl<W: Write> AckWriter<W> {
    /// Acks to a writer.
    pub fn new(to: W) -> Self {
        Self { to, highest: 0 }
    }

    /// Everything up to `seq` is settled. Written at once: a broker whose window is full waits for it.
    ///
    /// # Errors
    ///
    /// When acks can't be written.
    pub fn settled(&mut self, seq: u64) -> io::Result<()> {
        if seq > self.highest {
            self.highest = seq;
            // One write a line: lines of a FIFO's writers stay whole up to PIPE_BUF.
            self.to.write_all(format!("{seq}\n").as_bytes())?;
        }
        Ok(())
    }

    /// The input was read to its end, and all of it is settled.
    ///
    /// # Errors
    ///
    /// When acks can't be written.
    pub fn end(&mut self) -> io::Result<()> {
        self.to.write_all(format!("{END}\n").as_bytes())
    }
}

/// The tap's side: takes what acks have come, without waiting.
///
/// Acks that can't be true are an error, and from then on every call gives it: whoever writes them doesn't know what
/// is safe.
#[derive(Debug)]
pub struct AckReader<R = File> {
    from: R,
    /// The beginning of a line whose end has not come.
    partial: Vec<u8>,
    highest: u64,
    ended: bool,
    writers: Writers,
    wrong: Option<String>,
}

/// Who holds the other end of the acks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writers {
    /// Nobody has opened it so far.
    Awaited,
    /// Somebody has it open, or has written.
    Present,
    /// They have gone.
    Gone,
}

impl AckReader {
    /// Opens a FIFO for acks. Does not wait for a writer.
    ///
    /// # Errors
    ///
    /// What the system says of the path, that it is no FIFO, or that a sink of an earlier run still has it.
    pub fn open(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
        // Before it is opened: a sink of this run can't have it as long as nobody reads from it.
        if is_locked(path)? {
            let why = "a sink of an earlier run still has it open, and its acks would count as this run's";
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, why));
        }
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(path)?;
        if !file.metadata()?.file_type().is_fifo() {
            let why = "acks come through a FIFO (mkfifo), and this is none";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        Ok(Self::new(file))
    }
}

/// Whether somebody has locked the file. Opening it to find out would let in who waits for a reader.
fn is_locked(path: &Path) -> io::Result<bool> {
    let status = std::fs::metadata(path)?;
    let (device, inode) = (status.dev(), status.ino());
    let wanted = format!("{:02x}:{:02x}:{inode}", major(device), minor(device));
    // Where the system has no such list, nothing is known of locks.
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    Ok(locks.lines().any(|line| {
        let mut words = line.split_ascii_whitespace();
        words.nth(1) == Some("FLOCK") && words.any(|word| word == wanted)
    }))
}

impl<R: Read + AsFd> AckReader<R> {
    /// Acks from a reader that says `WouldBlock` rather than wait.
    pub fn new(from: R) -> Self {
        Self {
            from,
            partial: Vec::new(),
            highest: 0,
            ended: false,
            writers: Writers::Awaited,
            wrong: None,
        }
    }

    /// Reads what is there and gives the highest `seq` so far, 0 before the first. `written` is the highest that a
    /// sink can have seen.
    ///
    /// # Errors
    ///
    /// When reading fails, a line is no ack, or a `seq` was not written yet.
    pub fn highest(&mut self, written: u64) -> io::Result<u64> {
        if self.wrong.is_none()
            && let Err(error) = self.read(written)
        {
            self.wrong = Some(error.to_string());
        }
        match &self.wrong {
            Some(wrong) => Err(io::Error::new(io::ErrorKind::InvalidData, wrong.clone())),
            None => Ok(self.highest),
        }
    }

    fn read(&mut self, written: u64) -> io::Result<()> {
        let mut block = [0; 4096];
        loop {
            match self.from.read(&mut block) {
                Ok(0) => {
                    // Linux tells of a writer that has gone, and not of one that never came.
                    if self.writers == Writers::Present || has_hung_up(&self.from) {
                        self.writers = Writers::Gone;
                    }
                    return Ok(());
                }
                Ok(read) => {
                    self.writers = Writers::Present;
                    self.take(&block[..read], written)?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.writers = Writers::Present;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn take(&mut self, block: &[u8], written: u64) -> io::Result<()> {
        let wrong = |line: &[u8], why: &str| {
            let text = line.trim_ascii().escape_ascii();
            let why = format!("'{text}' {why}");
            Err(io::Error::new(io::ErrorKind::InvalidData, why))
        };
        for part in block.split_inclusive(|byte| *byte == b'\n') {
            self.partial
                .extend_from_slice(&part[..part.len().min(LONGEST + 1)]);
            if self.partial.len() > LONGEST {
                return wrong(
                    &self.partial[..LONGEST],
                    "begins a line that is too long for an ack",
                );
            }
            if !part.ends_with(b"\n") {
                continue;
            }
            let line = std::mem::take(&mut self.partial);
            let text = std::str::from_utf8(&line).unwrap_or_default().trim_ascii();
            if text == END {
                self.ended = true;
                continue;
            }
            match text.parse::<u64>() {
                Ok(seq) if seq <= written => self.highest = self.highest.max(seq),
                Ok(_) => {
                    let why = format!("was acknowledged, but {written} is the last seq so far");
                    return wrong(&line, &why);
                }
                Err(_) => return wrong(&line, "is not the seq of an ack"),
            }
        }
        Ok(())
    }

    /// Whether the sink has said that it has read its input to the end and settled all of it.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Who held the other end when [`highest`](Self::highest) last looked.
    #[must_use]
    pub fn writers(&self) -> Writers {
        self.writers
    }
}

fn has_hung_up(fd: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&fd, PollFlags::empty())];
    let looked = poll(&mut fds, Some(&Timespec::default()));
    looked.is_ok() && fds[0].revents().contains(PollFlags::HUP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Seek;

    /// Acks that have come already, and their end.
    fn acks(bytes: &[u8]) -> AckReader {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        AckReader::new(file)
    }

    #[test]
    fn acks_that_cannot_be_true_are_told_and_believed_never_again() {
        let long = "1".repeat(33);
        for (text, why) in [
            ("3\nx\n", "'x' is not the seq of an ack"),
            ("3\n\n", "'' is not the seq of an ack"),
            ("3\n-1\n", "'-1' is not the seq of an ack"),
            (
                "3\n6\n",
                "'6' was acknowledged, but 5 is the last seq so far",
            ),
            (
                &long,
                "'11111111111111111111111111111111' begins a line that is too long for an ack",
            ),
        ] {
            let mut acks = acks(text.as_bytes());
            for _ in 0..2 {
                assert_eq!(acks.highest(5).unwrap_err().to_string(), why);
            }
        }
    }

    #[test]
    fn the_end_is_told() {
        let mut bytes = Vec::new();
        let mut writer = AckWriter::new(&mut bytes);
        writer.settled(3).unwrap();
        writer.end().unwrap();
        let mut acks = acks(&bytes);
        assert_eq!((acks.highest(5).unwrap(), acks.is_ended()), (3, true));
    }

    #[test]
    fn a_sink_has_its_acks_for_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acks");
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, 0o600.into(), 0).unwrap();
        let reader = AckReader::open(&path).unwrap();
        let first = AckWriter::join(&path).unwrap();
        let second = AckWriter::join(&path).unwrap_err().to_string();
        assert!(second.starts_with("another sink writes"), "{second}");
        drop(reader);
        let error = AckReader::open(&path).unwrap_err().to_string();
        assert!(error.starts_with("a sink of an earlier run"), "{error}");
        drop(first);
        let mut reader = AckReader::open(&path).unwrap();
        assert_eq!(
            (reader.highest(0).unwrap(), reader.writers()),
            (0, Writers::Awaited)
        );
        drop(AckWriter::join(&path).unwrap());
        // One that came and went without a word has been there all the same.
        assert_eq!(
            (reader.highest(0).unwrap(), reader.writers()),
            (0, Writers::Gone)
        );
    }

    #[test]
    fn a_line_counts_when_its_end_has_come() {
        let (reader, mut writer) = io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&reader, true).unwrap();
        let mut acks = AckReader::new(reader);
        assert_eq!(
            (acks.highest(u64::MAX).unwrap(), acks.writers()),
            (0, Writers::Present)
        );
        writer.write_all(b"7\n12").unwrap();
        assert_eq!(acks.highest(u64::MAX).unwrap(), 7);
        writer.write_all(b"3\n").unwrap();
        assert_eq!(acks.highest(u64::MAX).unwrap(), 123);
        drop(writer);
        assert_eq!(
            (acks.highest(u64::MAX).unwrap(), acks.writers()),
            (123, Writers::Gone)
        );
    }

    #[test]
    fn a_fifo_is_opened_without_a_writer_and_a_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acks");
        std::fs::write(&path, "").unwrap();
        assert!(
            AckReader::open(&path)
                .unwrap_err()
                .to_string()
                .contains("FIFO")
        );
        std::fs::remove_file(&path).unwrap();
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, 0o600.into(), 0).unwrap();
        let mut acks = AckReader::open(&path).unwrap();
        assert_eq!(
            (acks.highest(u64::MAX).unwrap(), acks.writers()),
            (0, Writers::Awaited)
        );
        let mut writer = AckWriter::open(&path).unwrap();
        writer.settled(5).unwrap();
        assert_eq!(acks.highest(u64::MAX).unwrap(), 5);
    }

    #[test]
    fn a_writer_that_joins_does_not_wait_for_a_reader_that_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acks");
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, 0o600.into(), 0).unwrap();
        let mut reader = AckReader::open(&path).unwrap();
        AckWriter::join(&path).unwrap().settled(7).unwrap();
        assert_eq!(reader.highest(u64::MAX).unwrap(), 7);
        drop(reader);
        let error = AckWriter::join(&path).unwrap_err().to_string();
        assert_eq!(error, "whoever read the acks is gone");
    }

    proptest! {
        #[test]
        fn acks_only_rise_and_the_last_is_the_highest(seqs in proptest::collection::vec(0u64..1000, 0..50)) {
            let mut bytes = Vec::new();
            let mut writer = AckWriter::new(&mut bytes);
            for seq in &seqs {
                writer.settled(*seq).unwrap();
            }
            let written = String::from_utf8(bytes.clone()).unwrap();
            let lines: Vec<u64> = written.lines().map(|line| line.parse().unwrap()).collect();
            prop_assert!(lines.is_sorted_by(|a, b| a < b));
            let highest = seqs.into_iter().max().unwrap_or(0);
            prop_assert_eq!(acks(&bytes).highest(u64::MAX).unwrap(), highest);
        }
    }
}
