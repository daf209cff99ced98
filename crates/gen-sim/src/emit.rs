//! Lines at their due times: pace, limits and the output of a run.

use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tapline_pipe::console::Console;
use tapline_pipe::io::output::{Blocked, Output, OutputError};
use tapline_pipe::io::stop::{Deadline, Stop};
use tapline_pipe::outcome::{Ending, per_second};
use tapline_pipe::pace::Pace;
use tapline_pipe::progress::{self, Progress};
use tapline_pipe::units::grouped;

use crate::args::Speed;

/// Lines that are due within this time of each other are written together.
const TOGETHER: Duration = Duration::from_millis(1);

/// How long a reader that has stopped reading is waited for after a signal.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// What says when a line is due.
#[derive(Debug)]
pub(crate) enum Tempo {
    /// Nothing: as fast as it goes.
    Max,
    /// The simulated or recorded time, which runs so many times as fast as real time.
    Clock(f64),
    /// A rate.
    Rate(Pace),
}

impl Tempo {
    /// The tempo that the arguments ask for, from `now`.
    pub(crate) fn new(speed: Speed, rate: Option<f64>, now: Instant) -> Self {
        match (rate, speed) {
            (Some(rate), _) => Self::Rate(Pace::new(rate, now)),
            (None, Speed::Times(times)) => Self::Clock(times),
            (None, Speed::Max) => Self::Max,
        }
    }
}

/// What ends a run early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Halt {
    /// In order.
    #[error("ended: {0:?}")]
    Ended(Ending),
    /// Stdout can't be written.
    #[error(transparent)]
    Output(OutputError),
    /// The recording can't be read, or its rejects not be written.
    #[error(transparent)]
    Recording(anyhow::Error),
    /// Something else of the system.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// After so many lines.
    pub(crate) count: u64,
    /// Before this much simulated or recorded time, in nanoseconds.
    pub(crate) duration: u128,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    lines: u64,
    /// With the lines' ends.
    bytes: u64,
    /// Where the header ends, if there is one.
    header: u64,
}

impl Written {
    /// Lines that are no header, and their bytes without the ends.
    pub(crate) fn records(self) -> (u64, u64) {
        let lines = self.lines.saturating_sub(u64::from(self.header > 0));
        (lines, self.bytes.saturating_sub(self.header + lines))
    }
}

/// Writes lines when they are due.
#[derive(Debug)]
pub(crate) struct Emitter {
    output: Output<File>,
    stop: Stop,
    deadline: Deadline,
    tempo: Tempo,
    limits: Limits,
    made: u64,
    /// Where the lines end that may not be written whole, in bytes from the beginning.
    ends: Vec<u64>,
    written: Written,
    started: Instant,
    progress: Progress,
    console: Console,
}

impl Emitter {
    /// Lines to `output` until `limits` or `stop`; progress goes to the console.
    pub(crate) fn new(
        output: Output<File>,
        stop: Stop,
        tempo: Tempo,
        limits: Limits,
        console: Console,
    ) -> Self {
        let started = Instant::now();
        Self {
            output,
            deadline: Deadline::new(stop.clone(), GRACE),
            stop,
            tempo,
            limits,
            made: 0,
            ends: Vec::new(),
            written: Written::default(),
            started,
            progress: Progress::new(started),
            console,
        }
    }

    /// Whether the limits allow one more line that is due at `due` (nanoseconds since the run's beginning, by the
    /// simulated or recorded clock).
    pub(crate) fn wants(&self, due: u128) -> bool {
        self.wants_more() && due < self.limits.duration
    }

    /// Whether fewer lines were written than were asked for.
    pub(crate) fn wants_more(&self) -> bool {
        self.made < self.limits.count
    }

    /// Waits until the line that the clock has at `due` is due, with nothing held back meanwhile.
    pub(crate) fn wait(&mut self, due: u128) -> Result<(), Halt> {
        loop {
            if let Some(signal) = self.stop.requested() {
                return Err(Halt::Ended(Ending::Signal(signal)));
            }
            let left = match &self.tempo {
                Tempo::Max => Duration::ZERO,
                Tempo::Clock(times) => {
                    let due = real_time(due, *times);
                    // A line that was due when the last one was is due now.
                    due.saturating_sub(self.started.elapsed())
                }
                Tempo::Rate(pace) => pace.wait(Instant::now()),
            };
            if left.is_zero() {
                break;
            }
            self.flush()?;
            self.sleep(left.max(TOGETHER))?;
        }
        if let Tempo::Rate(pace) = &mut self.tempo {
            pace.passed(Instant::now());
        }
        Ok(())
    }

    /// Writes a line that `compose` appends, without its end.
    pub(crate) fn write(&mut self, compose: impl FnOnce(&mut Vec<u8>)) -> Result<(), Halt> {
        self.made += 1;
        if self.made.is_multiple_of(4096) {
            self.show_progress();
        }
        self.push(compose)
    }

    /// Writes a line that is not counted.
    pub(crate) fn write_header(&mut self, line: &[u8]) -> Result<(), Halt> {
        self.push(|out| out.extend_from_slice(line))?;
        self.written.header = self.output.position();
        Ok(())
    }

    fn push(&mut self, compose: impl FnOnce(&mut Vec<u8>)) -> Result<(), Halt> {
        self.output.push(compose);
        self.ends.push(self.output.position());
        if self.output.is_full() {
            return self.flush();
        }
        Ok(())
    }

    /// Writes out what is held back. A reader that takes nothing is waited for, after a signal no longer than [`GRACE`].
    pub(crate) fn flush(&mut self) -> Result<(), Halt> {
        let deadline = &mut self.deadline;
        let mut ended_by = None;
        let flushed: Result<bool, OutputError> = self.output.flush_unless(|| {
            ended_by = deadline.passed();
            Ok(match ended_by {
                Some(_) => Blocked::GiveUp,
                None => Blocked::Wait,
            })
        });
        let whole = self
            .ends
            .partition_point(|end| *end <= self.output.written());
        self.written.lines += whole as u64;
        self.written.bytes = self
            .ends
            .drain(..whole)
            .next_back()
            .unwrap_or(self.written.bytes);
        match (flushed, ended_by) {
            (Ok(_), None) => Ok(()),
            (Ok(_), Some(signal)) => Err(Halt::Ended(Ending::Signal(signal))),
            (Err(OutputError::ReaderGone), _) => Err(Halt::Ended(Ending::ReaderGone)),
            (Err(error), _) => Err(Halt::Output(error)),
        }
    }

    /// What was written so far, in whole lines.
    pub(crate) fn written(&self) -> Written {
        self.written
    }

    /// How long an input may be waited for before [`flush`](Self::flush) is due.
    pub(crate) fn patience(&self) -> Duration {
        self.output.flush_in().unwrap_or(progress::EVERY)
    }

    /// Shows how far the run is, if that is due.
    pub(crate) fn show_progress(&mut self) {
        let made = self.made;
        self.progress.show(&self.console, |elapsed| {
            let rate = grouped(per_second(made, elapsed));
            format!("{} lines ({rate}/s)", grouped(made))
        });
    }

    /// Sleeps, at most until a stop is requested.
    fn sleep(&mut self, time: Duration) -> io::Result<()> {
        self.show_progress();
        let time = time.min(progress::EVERY);
        let timeout = Timespec::try_from(time).ok();
        match poll(
            &mut [PollFd::new(&self.stop, PollFlags::IN)],
            timeout.as_ref(),
        ) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Nanoseconds of a clock that runs `times` as fast as real time, in real time.
#[expect(
    clippy::cast_precision_loss,
    reason = "a fraction of a microsecond in a month: less than a sleep's"
)]
fn real_time(nanoseconds: u128, times: f64) -> Duration {
    // A time that is out of range will not come.
    Duration::try_from_secs_f64(nanoseconds as f64 / 1e9 / times).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_pipe::console::Level;
    use tapline_pipe::io::stop::Signal;

    fn emitter(tempo: Tempo, limits: Limits) -> (std::io::PipeReader, Emitter, Stop) {
        let (reader, writer) = io::pipe().unwrap();
        let stop = Stop::manual().unwrap();
        let writer = File::from(std::os::fd::OwnedFd::from(writer));
        let output = Output::new("stdout", writer, false);
        let console = Console::new("t", Level::Quiet, io::sink(), false);
        (
            reader,
            Emitter::new(output, stop.clone(), tempo, limits, console),
            stop,
        )
    }

    const FOREVER: Limits = Limits {
        count: u64::MAX,
        duration: u128::MAX,
    };

    #[test]
    fn a_clock_that_runs_twice_as_fast_halves_the_wait() {
        assert_eq!(real_time(1_000_000_000, 2.0), Duration::from_millis(500));
        assert_eq!(real_time(1_000_000_000, 0.5), Duration::from_secs(2));
        assert_eq!(real_time(u128::MAX, 1e-300), Duration::MAX);
    }

    #[test]
    fn a_line_is_not_written_before_it_is_due() {
        let (_reader, mut emitter, _) = emitter(Tempo::Clock(10.0), FOREVER);
        let before = emitter.started;
        emitter.wait(1_000_000_000).unwrap();
        assert!(before.elapsed() >= Duration::from_millis(100));
    }

    #[test]
    fn what_was_written_is_out_before_a_wait() {
        use std::io::Read;
        let (mut reader, mut emitter, stop) = emitter(Tempo::Clock(1.0), FOREVER);
        emitter.write(|line| line.extend_from_slice(b"a")).unwrap();
        let waiting = std::thread::spawn(move || {
            let mut read = [0; 2];
            reader.read_exact(&mut read).unwrap();
            stop.request(Signal::Interrupt);
            read
        });
        // An hour: only the stop request ends it, and that comes only after the line did.
        let halt = emitter.wait(3600 * 1_000_000_000).unwrap_err();
        assert!(matches!(
            halt,
            Halt::Ended(Ending::Signal(Signal::Interrupt))
        ));
        assert_eq!(&waiting.join().unwrap(), b"a\n");
    }

    #[test]
    fn limits_are_kept() {
        let (_reader, mut emitter, _) = emitter(
            Tempo::Max,
            Limits {
                count: 2,
                duration: 10,
            },
        );
        assert!(emitter.wants(9));
        assert!(!emitter.wants(10));
        emitter.write(|_| {}).unwrap();
        emitter.write(|_| {}).unwrap();
        assert!(!emitter.wants(0));
    }

    #[test]
    fn a_stop_ends_the_wait_for_a_reader_that_reads_nothing_and_whole_lines_are_counted() {
        use std::io::Read;
        let (mut reader, mut emitter, stop) = emitter(Tempo::Max, FOREVER);
        emitter.write_header(b"0123456").unwrap();
        stop.request(Signal::Terminate);
        let halt = loop {
            if let Err(halt) = emitter.write(|line| line.extend_from_slice(b"0123456")) {
                break halt;
            }
        };
        assert!(matches!(
            halt,
            Halt::Ended(Ending::Signal(Signal::Terminate))
        ));
        let (lines, bytes) = emitter.written().records();
        assert_eq!(bytes, lines * 7);
        drop(emitter);
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert_eq!(read.len() as u64, (lines + 1) * 8, "whole lines");
    }

    #[test]
    fn all_lines_arrive_when_they_are_read() {
        use std::io::Read;
        let (mut reader, mut emitter, _) = emitter(Tempo::Max, FOREVER);
        let reading = std::thread::spawn(move || {
            let mut read = Vec::new();
            reader.read_to_end(&mut read).map(|_| read)
        });
        for _ in 0..200_000 {
            emitter
                .write(|line| line.extend_from_slice(b"0123456"))
                .unwrap();
        }
        emitter.flush().unwrap();
        assert_eq!(emitter.written().records(), (200_000, 1_400_000));
        drop(emitter);
        assert_eq!(
            reading.join().unwrap().unwrap(),
            b"0123456\n".repeat(200_000)
        );
    }
}
