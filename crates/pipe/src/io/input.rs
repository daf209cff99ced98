//! The input of a tool: lines as they come, a stop signal, or nothing for a while.

use std::{
    fs::File,
    io::{self, Read},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::OpenOptionsExt,
    },
    path::Path,
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, OFlags, SeekFrom, fcntl_setfl, fstat, seek, tell};

use crate::{
    checkpoint::Place,
    io::line::{Line, LineReader},
    io::stop::{Signal, Stop},
};

/// How much of what is to be skipped one read takes.
const SKIP_BLOCK: usize = 64 * 1024;

/// What [`Input::next`] gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A line.
    Line(Line),
    /// Nothing came within the time.
    Idle,
    /// The input has ended.
    End,
    /// A signal asks to stop. Lines that had been read were given before.
    Stopped(Signal),
}

/// Lines of a descriptor that can be waited for together with a stop request.
#[derive(Debug)]
pub struct Input<R> {
    lines: LineReader<R>,
    stop: Stop,
}

/// Where the lines of a tool come from: a named file, or standard input.
#[derive(Debug)]
pub enum Source {
    /// The process's standard input.
    Stdin(io::Stdin),
    /// A file.
    File(File),
}

impl Source {
    /// Opens a file for reading; a directory is refused here rather than at the first read. A FIFO that nobody writes
    /// to yet is open at once: it is waited for at the first read, where a stop request ends the wait.
    ///
    /// # Errors
    ///
    /// What the system says of the path.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        // poll(2) does not report the end of a FIFO before a writer has come and gone, so reads may block.
        fcntl_setfl(&file, OFlags::empty())?;
        Ok(Self::File(file))
    }

    /// Standard input.
    #[must_use]
    pub fn stdin() -> Self {
        Self::Stdin(io::stdin())
    }
}

impl Read for Source {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            // Not through `Stdin`: its buffer would keep lines that poll(2) can't see.
            Self::Stdin(stdin) => Ok(rustix::io::read(stdin.as_fd(), into)?),
            Self::File(file) => file.read(into),
        }
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Stdin(stdin) => stdin.as_fd(),
            Self::File(file) => file.as_fd(),
        }
    }
}

impl<R: Read + AsFd> Input<R> {
    /// Lines of `reader` of at most `max_record` bytes, until `stop`.
    pub fn new(reader: R, max_record: usize, stop: Stop) -> Self {
        Self {
            lines: LineReader::new(reader, max_record),
            stop,
        }
    }

    /// Goes on where an earlier run on the same input ended. A file is placed there; of a pipe so much is read
    /// and thrown away, unless a stop is requested first, which [`next`](Self::next) then gives.
    ///
    /// # Errors
    ///
    /// The input is shorter than that, or can't be read.
    pub fn go_on_from(&mut self, place: Place) -> io::Result<()> {
        let Place { position, line } = place;
        let fd = self.lines.get_ref().as_fd();
        let is_file = FileType::from_raw_mode(fstat(fd)?.st_mode) == FileType::RegularFile;
        let reached = if is_file {
            let wanted = tell(fd)? + position;
            let size = u64::try_from(fstat(fd)?.st_size).unwrap_or(0);
            seek(fd, SeekFrom::Start(wanted))?;
            wanted <= size
        } else {
            match self.skip(position)? {
                Some(skipped) => skipped == position,
                None => return Ok(()),
            }
        };
        if !reached {
            let why =
                format!("the checkpoint is at byte {position}, where this input has ended before");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        self.lines.resume_at(line, position);
        Ok(())
    }

    /// Reads `count` bytes and throws them away: how many there were, or `None` if a stop was requested.
    fn skip(&mut self, count: u64) -> io::Result<Option<u64>> {
        let reader = self.lines.get_mut();
        let mut block = vec![0; SKIP_BLOCK];
        let mut left = count;
        while left > 0 {
            if self.stop.requested().is_some() {
                return Ok(None);
            }
            if !wait_readable(reader.as_fd(), &self.stop, Duration::MAX)? {
                continue;
            }
            let piece = usize::try_from(left).unwrap_or(SKIP_BLOCK).min(SKIP_BLOCK);
            match reader.read(&mut block[..piece]) {
                Ok(0) => break,
                Ok(read) => left -= read as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(count - left))
    }

    /// The next line; waits for it at most `timeout`.
    ///
    /// # Errors
    ///
    /// Whatever reading says.
    pub fn next(&mut self, timeout: Duration) -> io::Result<Next> {
        loop {
            if let Some(line) = self.lines.buffered() {
                return Ok(Next::Line(line));
            }
            if let Some(signal) = self.stop.requested() {
                return Ok(Next::Stopped(signal));
            }
            if !wait_readable(self.lines.get_ref().as_fd(), &self.stop, timeout)? {
                return Ok(match self.stop.requested() {
                    Some(signal) => Next::Stopped(signal),
                    None => Next::Idle,
                });
            }
            if !self.lines.fill()? {
                return Ok(self.lines.buffered().map_or(Next::End, Next::Line));
            }
        }
    }

    /// Whether the next line is in memory already, so that asking for it costs no system call.
    #[must_use]
    pub fn has_buffered(&self) -> bool {
        self.lines.has_buffered()
    }

    /// The lines beneath, for their counts.
    #[must_use]
    pub fn lines(&self) -> &LineReader<R> {
        &self.lines
    }

    /// The request that ends this input early.
    #[must_use]
    pub fn stop(&self) -> &Stop {
        &self.stop
    }
}

/// Waits until `fd` can be read (or has ended) or a stop is requested, at most `timeout`. `true` when
/// it is `fd` and no stop was requested.
///
/// # Errors
///
/// What poll(2) says, but an interrupted call counts as a wait that is over.
pub fn wait_readable(fd: BorrowedFd<'_>, stop: &Stop, timeout: Duration) -> io::Result<bool> {
    let mut fds = [
        PollFd::new(&fd, PollFlags::IN),
        PollFd::new(stop, PollFlags::IN),
    ];
    let timeout = Timespec::try_from(timeout).ok();
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) => Ok(!fds[0].revents().is_empty() && fds[1].revents().is_empty()),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const LONG: Duration = Duration::from_mins(1);

    fn input() -> (Input<io::PipeReader>, io::PipeWriter, Stop) {
        let (reader, writer) = io::pipe().unwrap();
        let stop = Stop::manual().unwrap();
        (Input::new(reader, 100, stop.clone()), writer, stop)
    }

    #[test]
    fn an_open_pipe_without_a_line_is_idle_and_a_closed_one_has_ended() {
        let (mut input, mut writer, _) = input();
        assert_eq!(input.next(Duration::ZERO).unwrap(), Next::Idle);
        writer.write_all(b"a\nb").unwrap();
        assert!(matches!(input.next(LONG).unwrap(), Next::Line(_)));
        assert_eq!(input.next(Duration::ZERO).unwrap(), Next::Idle);
        drop(writer);
        assert!(matches!(input.next(LONG).unwrap(), Next::Line(_)));
        assert_eq!(input.next(LONG).unwrap(), Next::End);
    }

    #[test]
    fn a_stop_ends_the_wait_after_the_lines_that_were_read() {
        let (mut input, mut writer, stop) = input();
        writer.write_all(b"a\nb\n").unwrap();
        assert!(matches!(input.next(LONG).unwrap(), Next::Line(_)));
        stop.request(Signal::Interrupt);
        assert!(matches!(input.next(LONG).unwrap(), Next::Line(_)));
        assert_eq!(input.next(LONG).unwrap(), Next::Stopped(Signal::Interrupt));
    }

    #[test]
    fn a_fifo_that_nobody_writes_to_is_waited_for_until_a_stop() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, 0o600.into(), 0).unwrap();
        let stop = Stop::manual().unwrap();
        let mut input = Input::new(Source::open(&path).unwrap(), 100, stop.clone());
        assert_eq!(input.next(Duration::ZERO).unwrap(), Next::Idle);
        let mut writer = File::options().write(true).open(&path).unwrap();
        assert_eq!(input.next(Duration::ZERO).unwrap(), Next::Idle);
        writer.write_all(b"a\n").unwrap();
        assert!(matches!(input.next(LONG).unwrap(), Next::Line(_)));
        stop.request(Signal::Terminate);
        assert_eq!(input.next(LONG).unwrap(), Next::Stopped(Signal::Terminate));
        drop(writer);
    }

    #[test]
    fn a_stop_ends_the_wait_for_the_place_where_an_input_goes_on() {
        let (mut input, mut writer, stop) = input();
        writer.write_all(b"a\n").unwrap();
        let place = Place {
            position: 4,
            line: 2,
        };
        let requests = std::thread::spawn(move || stop.request(Signal::Interrupt));
        input.go_on_from(place).unwrap();
        requests.join().unwrap();
        assert_eq!(input.next(LONG).unwrap(), Next::Stopped(Signal::Interrupt));
    }

    #[test]
    fn an_input_goes_on_behind_a_place_whether_it_is_a_file_or_a_pipe() {
        let place = Place {
            position: 4,
            line: 2,
        };
        let stop = Stop::manual().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"a\nb\nc\n").unwrap();
        seek(&file, SeekFrom::Start(0)).unwrap();
        let mut from_file = Input::new(file, 100, stop.clone());
        from_file.go_on_from(place).unwrap();
        let (mut from_pipe, mut writer, _) = input();
        writer.write_all(b"a\nb\nc\n").unwrap();
        from_pipe.go_on_from(place).unwrap();
        for next in [from_file.next(LONG).unwrap(), from_pipe.next(LONG).unwrap()] {
            let Next::Line(Line::Record(record)) = next else {
                panic!("a record")
            };
            assert_eq!(
                (record.line, record.end, &record.bytes[..]),
                (3, 6, &b"c"[..])
            );
        }
        let far = Place {
            position: 7,
            line: 9,
        };
        let mut short = tempfile::tempfile().unwrap();
        short.write_all(b"a\n").unwrap();
        seek(&short, SeekFrom::Start(0)).unwrap();
        let error = Input::new(short, 100, stop).go_on_from(far).unwrap_err();
        assert!(error.to_string().contains("byte 7"), "{error}");
    }
}
