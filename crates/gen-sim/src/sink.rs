//! Standard output that a stop request can interrupt, and that knows how many lines went out.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tapline_pipe::io::stop::Stop;

/// A pipe that says it can be written takes this much without blocking, and in one piece (POSIX `PIPE_BUF`).
const PIPE_BUF: usize = 4096;

/// How long a reader that has stopped reading is waited for after a stop request.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// What went out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written(Rc<Cell<(u64, u64)>>);

impl Written {
    /// Lines, and bytes with their terminators.
    pub(crate) fn get(&self) -> (u64, u64) {
        self.0.get()
    }

    fn add(&self, bytes: &[u8]) {
        let (lines, total) = self.0.get();
        let ends = memchr::memchr_iter(b'\n', bytes).count();
        self.0
            .set((lines + ends as u64, total + bytes.len() as u64));
    }
}

/// Writes whole lines to a descriptor, unbuffered.
///
/// `write(2)` to a full pipe would block until the reader reads, however many signals come (they restart it).
/// So this waits for room and for the stop request together, and then writes no more than there is room for.
#[derive(Debug)]
pub(crate) struct Sink {
    file: File,
    stop: Stop,
    written: Written,
    deadline: Option<Instant>,
}

impl Sink {
    /// Writes to `file`, until `stop`.
    pub(crate) fn new(file: File, stop: Stop) -> Self {
        Self {
            file,
            stop,
            written: Written::default(),
            deadline: None,
        }
    }

    /// The counts, which go on while something else owns the sink.
    pub(crate) fn written(&self) -> Written {
        self.written.clone()
    }

    /// Waits until there is room.
    fn wait(&mut self) -> io::Result<()> {
        loop {
            let limit = match (self.deadline, self.stop.requested()) {
                (Some(deadline), _) => Some(deadline.saturating_duration_since(Instant::now())),
                (None, Some(_)) => {
                    self.deadline = Some(Instant::now() + GRACE);
                    Some(GRACE)
                }
                (None, None) => None,
            };
            let timeout = limit.and_then(|limit| Timespec::try_from(limit).ok());
            let room = PollFd::from_borrowed_fd(self.file.as_fd(), PollFlags::OUT);
            let stop = PollFd::from_borrowed_fd(self.stop.as_fd(), PollFlags::IN);
            // Once a stop was requested its descriptor stays readable: only room counts then.
            let mut both = [room, stop];
            let fds = if limit.is_some() {
                &mut both[..1]
            } else {
                &mut both[..]
            };
            match poll(fds, timeout.as_ref()) {
                Ok(_) if !fds[0].revents().is_empty() => return Ok(()),
                Ok(0) if limit.is_some() => {
                    let message = "its reader reads nothing: what was left is not written";
                    return Err(io::Error::new(io::ErrorKind::TimedOut, message));
                }
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wait()?;
        let piece = &bytes[..bytes.len().min(PIPE_BUF)];
        // Ending with a line, a piece that is the last one leaves no half line behind.
        let end = memchr::memrchr(b'\n', piece).map_or(piece.len(), |at| at + 1);
        let count = self.file.write(&piece[..end])?;
        self.written.add(&piece[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{PipeReader, Read};
    use std::os::fd::OwnedFd;
    use tapline_pipe::io::stop::Signal;

    fn sink() -> (PipeReader, Sink, Stop) {
        let (reader, writer) = io::pipe().unwrap();
        let stop = Stop::manual().unwrap();
        let sink = Sink::new(File::from(OwnedFd::from(writer)), stop.clone());
        (reader, sink, stop)
    }

    #[test]
    fn a_stop_request_ends_the_wait_for_a_reader_that_reads_nothing() {
        let (mut reader, mut sink, stop) = sink();
        let lines = b"0123456\n".repeat(200_000);
        stop.request(Signal::Terminate);
        let error = sink.write_all(&lines).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let (count, bytes) = sink.written().get();
        assert_eq!(bytes, count * 8, "whole lines");
        drop(sink);
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert_eq!(read.len() as u64, bytes);
    }

    #[test]
    fn all_lines_arrive_when_they_are_read() {
        let (mut reader, mut sink, _) = sink();
        let lines = b"0123456\n".repeat(200_000);
        let reading = std::thread::spawn(move || {
            let mut read = Vec::new();
            reader.read_to_end(&mut read).map(|_| read)
        });
        sink.write_all(&lines).unwrap();
        assert_eq!(sink.written().get(), (200_000, 1_600_000));
        drop(sink);
        assert_eq!(reading.join().unwrap().unwrap(), lines);
    }
}
