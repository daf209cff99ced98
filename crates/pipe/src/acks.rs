//! Acks between the stages of a pipe: a line with the highest `seq` up to which everything is settled.
//!
//! They are cumulative, so filters between the tap and the sink may drop records, and a line that is never
//! read harms nothing.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
};

/// The variable by which `topic-tap --exec` tells its command where acks go.
pub const ACKS_VARIABLE: &str = "PIPE_ACKS";

/// The sink's side.
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
    /// What the system says of the path.
    pub fn open(path: &Path) -> io::Result<Self> {
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map(Self::new)
    }

    /// Opens a FIFO that its reader opened first: if nobody reads from it, the reader is gone, and nobody will.
    ///
    /// # Errors
    ///
    /// What the system says of the path, or that nobody reads from it.
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
        Ok(Self::new(file))
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
}

/// The tap's side: takes what acks have come, without waiting.
#[derive(Debug)]
pub struct AckReader<R = File> {
    from: R,
    /// The beginning of a line whose end has not come.
    partial: Vec<u8>,
    highest: u64,
    writers: Writers,
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
    /// What the system says of the path, or that it is no FIFO.
    pub fn open(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
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

impl<R: Read> AckReader<R> {
    /// Acks from a reader that says `WouldBlock` rather than wait.
    pub fn new(from: R) -> Self {
        Self {
            from,
            partial: Vec::new(),
            highest: 0,
            writers: Writers::Awaited,
        }
    }

    /// Reads what is there and gives the highest `seq` so far, 0 before the first.
    ///
    /// # Errors
    ///
    /// When reading fails, or a line isn't a number.
    pub fn highest(&mut self) -> io::Result<u64> {
        let mut block = [0; 4096];
        loop {
            match self.from.read(&mut block) {
                Ok(0) => {
                    if self.writers == Writers::Present {
                        self.writers = Writers::Gone;
                    }
                    return Ok(self.highest);
                }
                Ok(read) => {
                    self.writers = Writers::Present;
                    self.take(&block[..read])?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.writers = Writers::Present;
                    return Ok(self.highest);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn take(&mut self, block: &[u8]) -> io::Result<()> {
        for part in block.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.partial);
                let text = line.trim_ascii().escape_ascii().to_string();
                let wrong = || format!("'{text}' is not the seq of an ack");
                let seq = text
                    .parse()
                    .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, wrong()))?;
                self.highest = self.highest.max(seq);
            }
        }
        Ok(())
    }

    /// Who held the other end when [`highest`](Self::highest) last looked.
    #[must_use]
    pub fn writers(&self) -> Writers {
        self.writers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_that_is_no_number_is_told() {
        let mut acks = AckReader::new(&b"3\nx\n"[..]);
        assert_eq!(
            acks.highest().unwrap_err().to_string(),
            "'x' is not the seq of an ack"
        );
    }

    #[test]
    fn a_line_counts_when_its_end_has_come() {
        let (reader, mut writer) = io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&reader, true).unwrap();
        let mut acks = AckReader::new(reader);
        assert_eq!(
            (acks.highest().unwrap(), acks.writers()),
            (0, Writers::Present)
        );
        writer.write_all(b"7\n12").unwrap();
        assert_eq!(acks.highest().unwrap(), 7);
        writer.write_all(b"3\n").unwrap();
        assert_eq!(acks.highest().unwrap(), 123);
        drop(writer);
        assert_eq!(
            (acks.highest().unwrap(), acks.writers()),
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
            (acks.highest().unwrap(), acks.writers()),
            (0, Writers::Awaited)
        );
        let mut writer = AckWriter::open(&path).unwrap();
        writer.settled(5).unwrap();
        assert_eq!(acks.highest().unwrap(), 5);
    }

    #[test]
    fn a_writer_that_joins_does_not_wait_for_a_reader_that_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acks");
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, 0o600.into(), 0).unwrap();
        let mut reader = AckReader::open(&path).unwrap();
        AckWriter::join(&path).unwrap().settled(7).unwrap();
        assert_eq!(reader.highest().unwrap(), 7);
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
            prop_assert_eq!(AckReader::new(&bytes[..]).highest().unwrap(), highest);
        }
    }
}
