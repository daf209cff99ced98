//! Standard output as a stage of a pipe needs it: whole lines, block-buffered, but never held back for long.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// A line waits at most so long for others before it is written out.
pub const FLUSH_AFTER: Duration = Duration::from_millis(50);

/// A full buffer is written out at once.
const BLOCK: usize = 64 * 1024;

/// What a writable pipe takes without blocking: POSIX demands 512, Linux has 4,096.
const PIPE_BUF: usize = 4096;

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
        self.push(compose);
        if self.is_full() {
            return self.flush();
        }
        Ok(())
    }

    /// Adds a line and writes nothing, however full the buffer is: for a caller that looks whether a flush
    /// [is due](Self::is_due) and flushes with [`flush_unless`](Self::flush_unless).
    pub fn push(&mut self, compose: impl FnOnce(&mut Vec<u8>)) {
        self.push_bare(|buffer| {
            compose(buffer);
            buffer.push(b'\n');
        });
    }

    /// The same for a record that says itself where it ends: no terminator is put behind it.
    pub fn push_bare(&mut self, compose: impl FnOnce(&mut Vec<u8>)) {
        compose(&mut self.buffer);
        if self.since.is_none() {
            self.since = Some(Instant::now());
        }
    }

    /// Whether what is buffered should be written now: it fills a block or goes to a terminal.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.buffer.len() >= BLOCK || (self.terminal && !self.buffer.is_empty())
    }

    /// Whether it should be written for either reason: it [is full](Self::is_full) or has waited long enough.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.is_full() || self.flush_in() == Some(Duration::ZERO)
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
        self.forget();
        written.map_err(|error| self.judge(error))
    }

    fn forget(&mut self) {
        self.buffer.clear();
        // One huge record must not be paid for ever after.
        self.buffer.shrink_to(4 * BLOCK);
        self.since = None;
    }

    fn judge(&self, error: io::Error) -> OutputError {
        match error.kind() {
            io::ErrorKind::BrokenPipe => OutputError::ReaderGone,
            _ => OutputError::Io(self.name.clone(), error),
        }
    }
}

/// A descriptor as a writer without a buffer of its own: `Stdout` has one, which would hold lines back that
/// an [`Output`] has flushed, or write them one by one.
///
/// # Errors
///
/// The process has no descriptors left.
pub fn unbuffered(fd: impl AsFd) -> io::Result<File> {
    Ok(File::from(fd.as_fd().try_clone_to_owned()?))
}

/// What to do while the reader takes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocked {
    /// Look again soon.
    Wait,
    /// Drop what isn't written.
    GiveUp,
}

impl<W: Write + AsFd> Output<W> {
    /// As [`flush`](Output::flush), for a caller that has other duties while the reader takes nothing:
    /// `blocked` is called about every [`FLUSH_AFTER`] until there is room again. If it says to give up, what
    /// is left of the buffer is dropped, and the answer is `false`.
    ///
    /// # Errors
    ///
    /// As [`flush`](Output::flush), and what `blocked` says.
    pub fn flush_unless<E: From<OutputError>>(
        &mut self,
        mut blocked: impl FnMut() -> Result<Blocked, E>,
    ) -> Result<bool, E> {
        let buffer = std::mem::take(&mut self.buffer);
        let mut rest = buffer.as_slice();
        let mut result = Ok(true);
        while !rest.is_empty() && matches!(result, Ok(true)) {
            if is_writable(self.writer.as_fd()) {
                // A pipe that poll(2) calls writable takes PIPE_BUF bytes without blocking (pipe(7)).
                let (chunk, after) = rest.split_at(rest.len().min(PIPE_BUF));
                let written = self
                    .writer
                    .write_all(chunk)
                    .and_then(|()| self.writer.flush());
                result = written
                    .map(|()| true)
                    .map_err(|error| E::from(self.judge(error)));
                rest = after;
            } else {
                result = blocked().map(|what| what == Blocked::Wait);
            }
        }
        self.buffer = buffer;
        self.forget();
        result
    }
}

/// Whether a write would not block, now or within [`FLUSH_AFTER`]. A reader that has gone makes it true, and
/// so does whatever else is wrong: the write will say so.
fn is_writable(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(&fd, PollFlags::OUT)];
    let timeout = Timespec::try_from(FLUSH_AFTER).ok();
    match poll(&mut fds, timeout.as_ref()) {
        Ok(ready) => ready > 0,
        Err(error) => error != rustix::io::Errno::INTR,
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
        output.push_bare(|out| out.push(b'a'));
        output.push_bare(|out| out.push(b'b'));
        output.flush().unwrap();
        assert_eq!(captured.text(), "ab");

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

    #[test]
    fn a_blocked_reader_leaves_time_for_other_duties_and_can_be_given_up() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut output = Output::new("stdout", writer, false);
        let line = vec![b'x'; 300_000];
        output.push(|out| out.extend_from_slice(&line));
        let mut calls = 0;
        let done: Result<bool, OutputError> = output.flush_unless(|| {
            calls += 1;
            // Make room, as a reader that comes back does.
            let mut taken = vec![0; 70_000];
            let read = io::Read::read(&mut reader, &mut taken).unwrap();
            assert!(read > 0);
            Ok(Blocked::Wait)
        });
        assert!(done.unwrap() && calls >= 2, "{calls}");
        output.push(|out| out.extend_from_slice(&line));
        let done: Result<bool, OutputError> = output.flush_unless(|| Ok(Blocked::GiveUp));
        assert!(!done.unwrap());
        drop(reader);
        output.push(|out| out.push(b'y'));
        let done: Result<bool, OutputError> = output.flush_unless(|| Ok(Blocked::GiveUp));
        assert!(matches!(done, Err(OutputError::ReaderGone)));
    }
}
