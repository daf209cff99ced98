//! Acks between the stages of a pipe: a line with the highest `seq` up to which everything is settled.
//!
//! They are cumulative, so filters between the tap and the sink may drop records, and a line that is never
//! read harms nothing.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    path::Path,
    time::{Duration, Instant},
};

/// Acks are written at most this often, but for the last.
const EVERY: Duration = Duration::from_millis(20);

/// The sink's side.
#[derive(Debug)]
pub struct AckWriter<W = File> {
    to: W,
    written: u64,
    latest: u64,
    last_write: Instant,
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
}

impl<W: Write> AckWriter<W> {
    /// Acks to a writer.
    pub fn new(to: W) -> Self {
        Self {
            to,
            written: 0,
            latest: 0,
            last_write: Instant::now(),
        }
    }

    /// Everything up to `seq` is settled. Written now if the last write is not too recent, else with a
    /// later call or [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// When acks can't be written.
    pub fn settled(&mut self, seq: u64) -> io::Result<()> {
        self.latest = self.latest.max(seq);
        if self.last_write.elapsed() >= EVERY {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Whether an ack waits to be written.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.latest > self.written
    }

    /// Writes the highest `seq` if it was not written yet.
    ///
    /// # Errors
    ///
    /// When acks can't be written.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.is_behind() {
            self.written = self.latest;
            self.last_write = Instant::now();
            // One write a line: lines of a FIFO's writers stay whole up to PIPE_BUF.
            self.to.write_all(format!("{}\n", self.latest).as_bytes())?;
        }
        Ok(())
    }
}

/// The tap's side: reads acks, one after the other, until the sink has gone.
#[derive(Debug)]
pub struct AckReader<R> {
    from: BufReader<R>,
    line: String,
    highest: u64,
}

impl<R: io::Read> AckReader<R> {
    /// Acks from a reader.
    pub fn new(from: R) -> Self {
        Self {
            from: BufReader::new(from),
            line: String::new(),
            highest: 0,
        }
    }

    /// The next ack that is higher than all before; `None` when the writers have gone. Blocks.
    ///
    /// # Errors
    ///
    /// When reading fails, or a line isn't a number.
    pub fn next_ack(&mut self) -> io::Result<Option<u64>> {
        loop {
            self.line.clear();
            if self.from.read_line(&mut self.line)? == 0 {
                return Ok(None);
            }
            let text = self.line.trim();
            let wrong = || {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("'{text}' is not the seq of an ack"),
                )
            };
            let seq: u64 = text.parse().map_err(|_| wrong())?;
            if seq > self.highest {
                self.highest = seq;
                return Ok(Some(seq));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_that_is_no_number_is_told() {
        let mut acks = AckReader::new(&b"3\nx\n"[..]);
        assert_eq!(acks.next_ack().unwrap(), Some(3));
        assert_eq!(
            acks.next_ack().unwrap_err().to_string(),
            "'x' is not the seq of an ack"
        );
    }

    proptest! {
        #[test]
        fn acks_only_rise_and_the_last_is_the_highest(seqs in proptest::collection::vec(0u64..1000, 0..50)) {
            let mut bytes = Vec::new();
            let mut writer = AckWriter::new(&mut bytes);
            for seq in &seqs {
                writer.settled(*seq).unwrap();
            }
            writer.flush().unwrap();
            let mut reader = AckReader::new(&bytes[..]);
            let mut last = 0;
            while let Some(seq) = reader.next_ack().unwrap() {
                prop_assert!(seq > last);
                last = seq;
            }
            prop_assert_eq!(last, seqs.into_iter().max().unwrap_or(0));
        }
    }
}
