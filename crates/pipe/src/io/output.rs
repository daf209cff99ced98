//! Standard output as a stage of a pipe needs it: whole lines, block-buffered, but never held back for long; and
//! what became of them, byte by byte.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{FileType, fstat},
    io::ioctl_fionread,
};

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
    /// Anything else, such as a full disk. The cause is not a source: the text has it already.
    #[error("{0}: {1}")]
    Io(String, io::Error),
}

/// Lines to a writer. To a terminal each is written at once; to anything else in blocks, at the latest
/// [`FLUSH_AFTER`] the first of them if the caller asks [`flush_in`](Self::flush_in) how long it may wait.
///
/// The loop of a caller: [`push`](Self::push) a line; if [`is_full`](Self::is_full), or
/// [`is_due`](Self::is_due) while nothing else is to be done, [`flush_unless`](Self::flush_unless), which never
/// blocks for longer than [`FLUSH_AFTER`] without asking the caller what to do: look for a signal or a deadline,
/// keep a connection alive, wait on or give up.
///
/// What becomes of a line is known by positions in the stream: [`position`](Self::position) is the end of the line
/// that was pushed last. When [`written`](Self::written) has reached it, the system has taken the whole line; when
/// [`taken`](Self::taken) has, a file has it or the reader took it out of the pipe, and only then may it be
/// acknowledged. Both are exact, whatever went wrong: a full disk, a reader that left, a wait that was given up.
///
/// An output that failed stays failed: every later call gives the same error, and writes nothing.
#[derive(Debug)]
pub struct Output<W> {
    name: String,
    writer: W,
    /// What was pushed and is not written.
    buffer: Vec<u8>,
    terminal: bool,
    /// When the oldest line in the buffer was put there.
    since: Option<Instant>,
    pushed: u64,
    written: u64,
    taken: u64,
    kind: Option<Kind>,
    failed: Option<Failure>,
}

/// What is behind the descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A regular file: a write to it waits for nobody.
    File,
    Pipe,
    /// A terminal, a device, a socket.
    Other,
}

/// The first error, to be told again.
#[derive(Debug, Clone)]
enum Failure {
    ReaderGone,
    System(i32),
    Other(io::ErrorKind, String),
}

impl<W> Output<W> {
    /// Lines to `writer`, which messages call `name`. `terminal`: write each line at once.
    pub fn new(name: impl Into<String>, writer: W, terminal: bool) -> Self {
        Self {
            name: name.into(),
            writer,
            buffer: Vec::with_capacity(2 * BLOCK),
            terminal,
            since: None,
            pushed: 0,
            written: 0,
            taken: 0,
            kind: None,
            failed: None,
        }
    }

    /// Adds a line that `compose` appends to the vector (and changes nothing that stands there), and its
    /// terminator. Writes nothing, however full the buffer is.
    pub fn push(&mut self, compose: impl FnOnce(&mut Vec<u8>)) {
        self.push_bare(|buffer| {
            compose(buffer);
            buffer.push(b'\n');
        });
    }

    /// The same for a record that says itself where it ends: no terminator is put behind it.
    pub fn push_bare(&mut self, compose: impl FnOnce(&mut Vec<u8>)) {
        let before = self.buffer.len();
        compose(&mut self.buffer);
        self.pushed += (self.buffer.len() - before) as u64;
        if self.failed.is_some() {
            self.buffer.clear();
        } else if self.since.is_none() {
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

    /// The end of what was pushed last, in bytes from the beginning, whether it is written or not.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.pushed
    }

    /// The bytes that `write(2)` has taken.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Notes what was written of the buffer.
    fn wrote(&mut self, count: usize) {
        self.written += count as u64;
        self.buffer.drain(..count);
        if self.buffer.is_empty() {
            // One huge record must not be paid for ever after.
            self.buffer.shrink_to(4 * BLOCK);
            self.since = None;
        }
    }

    /// From here on nothing is written.
    fn fail(&mut self, error: &io::Error) -> OutputError {
        let failure = match (error.kind(), error.raw_os_error()) {
            (io::ErrorKind::BrokenPipe, _) => Failure::ReaderGone,
            (_, Some(number)) => Failure::System(number),
            (kind, None) => Failure::Other(kind, error.to_string()),
        };
        let told = self.tell(failure.clone());
        self.failed = Some(failure);
        self.buffer = Vec::new();
        self.since = None;
        told
    }

    fn tell(&self, failure: Failure) -> OutputError {
        let error = match failure {
            Failure::ReaderGone => return OutputError::ReaderGone,
            Failure::System(number) => io::Error::from_raw_os_error(number),
            Failure::Other(kind, text) => io::Error::new(kind, text),
        };
        OutputError::Io(self.name.clone(), error)
    }

    fn check(&self) -> Result<(), OutputError> {
        match &self.failed {
            Some(failure) => Err(self.tell(failure.clone())),
            None => Ok(()),
        }
    }
}

/// How much of `rest` is written at once: not more than `most`, and whole lines if there are any in it, so that a wait
/// that is given up leaves no half line behind.
fn piece(rest: &[u8], most: usize) -> usize {
    match rest.get(..most) {
        Some(piece) => memchr::memrchr(b'\n', piece).map_or(most, |at| at + 1),
        None => rest.len(),
    }
}

/// A write that takes nothing, again and again, is an error.
fn some(count: usize) -> io::Result<usize> {
    match count {
        0 => Err(io::ErrorKind::WriteZero.into()),
        _ => Ok(count),
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
    /// Leave it: what isn't written stays buffered.
    GiveUp,
}

impl<W: Write + AsFd> Output<W> {
    /// Writes out what is buffered, for a caller that has other duties while the reader takes nothing: `blocked`
    /// is called at once and then about every [`FLUSH_AFTER`] until there is room again. If it says to give up, or
    /// fails, what isn't written stays buffered, and the next call goes on with it. `true` if all is written.
    ///
    /// The descriptor may be shared with other processes, so it is never made non-blocking: what is written at once
    /// is what a pipe that poll(2) calls writable takes without blocking.
    ///
    /// # Errors
    ///
    /// [`OutputError`]: the reader went away, or the writer's error under its name, now or before; and what
    /// `blocked` says.
    pub fn flush_unless<E: From<OutputError>>(
        &mut self,
        mut blocked: impl FnMut() -> Result<Blocked, E>,
    ) -> Result<bool, E> {
        self.check()?;
        let most = match self.kind() {
            Kind::File => usize::MAX,
            Kind::Pipe | Kind::Other => PIPE_BUF,
        };
        let mut done = 0;
        let mut wait = Duration::ZERO;
        let mut result = Ok(true);
        while done < self.buffer.len() && matches!(result, Ok(true)) {
            let rest = &self.buffer[done..];
            let written = if most == usize::MAX || is_writable(self.writer.as_fd(), wait) {
                self.writer.write(&rest[..piece(rest, most)])
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            };
            match written.and_then(some) {
                Ok(count) => {
                    done += count;
                    wait = Duration::ZERO;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    result = blocked().map(|what| what == Blocked::Wait);
                    wait = FLUSH_AFTER;
                }
                Err(error) => {
                    self.written += done as u64;
                    return Err(self.fail(&error).into());
                }
            }
        }
        self.wrote(done);
        result
    }

    /// The bytes that nobody can lose any more but their owner: those that a file has, or that the reader took out
    /// of the pipe. Of a terminal, a device and a socket it is what was [written](Self::written).
    ///
    /// One system call; costs nothing where all was taken before. Where other processes write to the same pipe,
    /// theirs count as not taken, too.
    pub fn taken(&mut self) -> u64 {
        if self.taken < self.written {
            let left = match self.kind() {
                // Works at either end of a pipe, also when the reader has gone.
                Kind::Pipe => ioctl_fionread(&self.writer).unwrap_or(u64::MAX),
                Kind::File | Kind::Other => 0,
            };
            self.taken = self.taken.max(self.written.saturating_sub(left));
        }
        self.taken
    }

    /// Whether nobody will read what is written, found out without writing. The next flush says so, too, if it has
    /// something to write.
    pub fn is_reader_gone(&mut self) -> bool {
        if self.kind() == Kind::File {
            return false;
        }
        let fd = self.writer.as_fd();
        let mut fds = [PollFd::new(&fd, PollFlags::empty())];
        let looked = poll(&mut fds, Some(&Timespec::default()));
        let gone = PollFlags::ERR | PollFlags::HUP;
        looked.is_ok() && fds[0].revents().intersects(gone)
    }

    fn kind(&mut self) -> Kind {
        *self.kind.get_or_insert_with(|| {
            let status = fstat(self.writer.as_fd());
            match status.map(|status| FileType::from_raw_mode(status.st_mode)) {
                Ok(FileType::RegularFile) => Kind::File,
                Ok(FileType::Fifo) => Kind::Pipe,
                _ => Kind::Other,
            }
        })
    }
}

/// Whether a write would not block, now or within `wait`. A reader that has gone makes it true, and so does
/// whatever else is wrong: the write will say so.
fn is_writable(fd: BorrowedFd<'_>, wait: Duration) -> bool {
    let mut fds = [PollFd::new(&fd, PollFlags::OUT)];
    let timeout = Timespec::try_from(wait).ok();
    match poll(&mut fds, timeout.as_ref()) {
        Ok(ready) => ready > 0,
        Err(error) => error != rustix::io::Errno::INTR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(
        clippy::unnecessary_wraps,
        reason = "what flush_unless asks for, which may fail"
    )]
    fn wait() -> Result<Blocked, OutputError> {
        Ok(Blocked::Wait)
    }

    #[test]
    fn a_terminal_sees_each_line_and_a_pipe_whole_blocks() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut terminal = Output::new("stdout", writer.try_clone().unwrap(), true);
        assert!(!terminal.is_full());
        terminal.push(|out| out.push(b'a'));
        assert!(terminal.is_full());
        let mut output = Output::new("stdout", writer, false);
        assert_eq!(output.flush_in(), None);
        output.push_bare(|out| out.push(b'b'));
        assert!(!output.is_full() && output.flush_in().unwrap() <= FLUSH_AFTER);
        assert!(terminal.flush_unless(wait).unwrap() && output.flush_unless(wait).unwrap());
        assert_eq!(output.flush_in(), None);
        output.push(|out| out.extend_from_slice(&vec![b'x'; BLOCK]));
        assert!(output.is_full() && output.is_due());
        drop((terminal, output));
        let mut read = String::new();
        io::Read::read_to_string(&mut reader, &mut read).unwrap();
        assert_eq!(read, "a\nb");
    }

    /// Takes so many bytes, at most three at once, then fails like this.
    struct Fails(usize, io::ErrorKind, File);

    impl Write for Fails {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(self.1.into());
            }
            let count = bytes.len().min(self.0).min(3);
            self.0 -= count;
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl AsFd for Fails {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.2.as_fd()
        }
    }

    #[test]
    fn a_reader_that_goes_away_is_told_from_a_full_disk() {
        let flush = |kind| {
            let writer = Fails(0, kind, tempfile::tempfile().unwrap());
            let mut output = Output::new("stdout", writer, true);
            output.push(|out| out.push(b'a'));
            output.flush_unless(wait).unwrap_err()
        };
        let gone = flush(io::ErrorKind::BrokenPipe);
        assert!(matches!(gone, OutputError::ReaderGone));
        let full = flush(io::ErrorKind::StorageFull).to_string();
        assert!(full.starts_with("stdout: "), "{full}");
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
        assert!(!output.is_reader_gone());
        drop(reader);
        assert!(output.is_reader_gone());
        let done: Result<bool, OutputError> = output.flush_unless(|| Ok(Blocked::GiveUp));
        assert!(matches!(done, Err(OutputError::ReaderGone)));
    }

    #[test]
    fn what_was_given_up_goes_on_where_it_stopped() {
        let (reader, writer) = io::pipe().unwrap();
        let mut output = Output::new("stdout", writer, false);
        let lines: Vec<u8> = (0..60_000)
            .flat_map(|n| format!("{n}\n").into_bytes())
            .collect();
        output.push_bare(|out| out.extend_from_slice(&lines));
        let give_up = || Ok::<_, OutputError>(Blocked::GiveUp);
        assert!(!output.flush_unless(give_up).unwrap());
        assert!(output.written() > 0 && output.written() < output.position());
        let reading = std::thread::spawn(move || io::read_to_string(reader).unwrap());
        assert!(output.flush_unless(wait).unwrap());
        assert_eq!(output.written(), lines.len() as u64);
        drop(output);
        assert_eq!(reading.join().unwrap().into_bytes(), lines);
    }

    #[test]
    fn bytes_count_as_taken_when_the_reader_took_them_and_also_after_it_has_gone() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut output = Output::new("stdout", writer, false);
        output.push(|out| out.extend_from_slice(b"one"));
        let one = output.position();
        output.push(|out| out.extend_from_slice(b"two"));
        assert_eq!((output.written(), output.taken()), (0, 0));
        assert!(output.flush_unless(wait).unwrap());
        assert_eq!((output.written(), output.taken()), (8, 0));
        io::Read::read_exact(&mut reader, &mut [0; 5]).unwrap();
        assert_eq!((one, output.taken()), (4, 5));
        drop(reader);
        assert_eq!(output.taken(), 5);
        output.push(|out| out.push(b'x'));
        assert!(matches!(
            output.flush_unless(wait),
            Err(OutputError::ReaderGone)
        ));
        assert_eq!(
            (output.position(), output.written(), output.taken()),
            (10, 8, 5)
        );
    }

    #[test]
    fn an_output_that_failed_stays_failed() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut output = Output::new("stdout", full, false);
        for _ in 0..2 {
            output.push(|out| out.push(b'x'));
            let error = output.flush_unless(wait).unwrap_err().to_string();
            assert!(error.starts_with("stdout: No space left"), "{error}");
        }
        assert_eq!((output.written(), output.taken()), (0, 0));
        assert_eq!(output.flush_in(), None, "nothing is kept that can't go");
    }

    #[test]
    fn of_a_write_that_failed_midway_the_bytes_before_count() {
        let writer = Fails(
            10,
            io::ErrorKind::StorageFull,
            tempfile::tempfile().unwrap(),
        );
        let mut output = Output::new("f", writer, false);
        output.push(|out| out.extend_from_slice(b"0123456"));
        output.push(|out| out.extend_from_slice(b"0123456"));
        let flushed = output.flush_unless(wait);
        assert!(matches!(flushed, Err(OutputError::Io(..))));
        assert_eq!((output.position(), output.written()), (16, 10));
        assert_eq!(output.taken(), 10);
    }
}
