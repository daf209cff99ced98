//! Standard output as a stage of a pipe needs it: whole lines, block-buffered, but never held back for long.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

/// A line waits at most so long for others before it is written out.
pub const FLUSH_AFTER: Duration = Duration::from_millis(50);

/// A full buffer is written out at once.
const BLOCK: usize = 64 * 1024;

/// Why nothing more can be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The reader went away (EPIPE), as `head` does. Not an error of ours: the tool ends quietly.
    #[error("the reader of stdout went away")]
    ReaderGone,
    /// Anything else, such as a full disk.
    #[error("{0}: {1}")]
    Io(String, #[source] io::Error),
}

/// Lines to a writer. To a terminal each is written at once; to anything else in blocks, at the latest
/// [`FLUSH_AFTER`] the first of them if the caller asks [`flush_in`](Self::flush_in) how long it may wait.
#[derive(Debug)]
pub struct Output<W> {
    name: String,
    writer: W,
    buffer: Vec<u8>,
    terminal: bool,
    /// When the oldest line in the buffer was put there.
    since: Option<Instant>,
}

impl<W: Write> Output<W> {
    /// Lines to `writer`, which messages call `name`. `terminal`: write each line at once.
    pub fn new(name: impl Into<String>, writer: W, terminal: bool) -> Self {
        Self {
            name: name.into(),
            writer,
            buffer: Vec::with_capacity(2 * BLOCK),
            terminal,
            since: None,
        }
    }

    /// Adds a line; the terminator is put behind it.
    ///
    /// # Errors
    ///
    /// [`OutputError`], if the line made a write due.
    pub fn line(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.compose(|line| line.extend_from_slice(bytes))
    }

    /// Adds a line that `compose` appends to the vector (and changes nothing that stands there).
    ///
    /// # Errors
    ///
    /// [`OutputError`], if the line made a write due.
    pub fn compose(&mut self, compose: impl FnOnce(&mut Vec<u8>)) -> Result<(), OutputError> {
        compose(&mut self.buffer);
        self.buffer.push(b'\n');
        if self.terminal || self.buffer.len() >= BLOCK {
            return self.flush();
        }
        if self.since.is_none() {
            self.since = Some(Instant::now());
        }
        Ok(())
    }

    /// How long the caller may wait before it must flush; `None` if nothing is buffered.
    #[must_use]
    pub fn flush_in(&self) -> Option<Duration> {
        self.since
            .map(|since| FLUSH_AFTER.saturating_sub(since.elapsed()))
    }

    /// Flushes if the oldest line has waited long enough. `true` if nothing is buffered now.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    pub fn flush_if_due(&mut self) -> Result<bool, OutputError> {
        if self.flush_in() == Some(Duration::ZERO) {
            self.flush()?;
        }
        Ok(self.since.is_none())
    }

    /// Writes out what is buffered. After an error the buffer is dropped: what was in it was not written.
    ///
    /// # Errors
    ///
    /// [`OutputError`]: the reader went away, or the writer's error under its name.
    pub fn flush(&mut self) -> Result<(), OutputError> {
        let written = self
            .writer
            .write_all(&self.buffer)
            .and_then(|()| self.writer.flush());
        self.buffer.clear();
        // One huge record must not be paid for ever after.
        self.buffer.shrink_to(4 * BLOCK);
        self.since = None;
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => OutputError::ReaderGone,
            _ => OutputError::Io(self.name.clone(), error),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Captured;

    #[test]
    fn a_terminal_sees_each_line_and_a_pipe_whole_blocks() {
        let captured = Captured::default();
        Output::new("stdout", captured.clone(), true)
            .line(b"a")
            .unwrap();
        assert_eq!(captured.text(), "a\n");

        let captured = Captured::default();
        let mut output = Output::new("stdout", captured.clone(), false);
        assert_eq!(output.flush_in(), None);
        output.line(b"a").unwrap();
        assert_eq!(captured.text(), "");
        assert!(output.flush_in().unwrap() <= FLUSH_AFTER);
        output.line(&vec![b'x'; BLOCK]).unwrap();
        assert_eq!(captured.text().len(), 2 + BLOCK + 1);
        assert!(output.flush_if_due().unwrap());
    }

    #[test]
    fn a_reader_that_goes_away_is_told_from_a_full_disk() {
        struct Fails(io::ErrorKind);
        impl Write for Fails {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(self.0.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let gone = Output::new("stdout", Fails(io::ErrorKind::BrokenPipe), true).line(b"a");
        assert!(matches!(gone, Err(OutputError::ReaderGone)));
        let full = Output::new("stdout", Fails(io::ErrorKind::StorageFull), true)
            .line(b"a")
            .unwrap_err();
        assert!(full.to_string().starts_with("stdout: "), "{full}");
    }
}
