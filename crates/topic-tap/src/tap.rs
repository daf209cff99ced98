//! The loop of the tap: take what arrives, write it, and only then say that it is safe.

use std::{
    cmp::min,
    ops::ControlFlow,
    process::ExitStatus,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tapline_pipe::{
    args::SummaryFormat,
    console::Console,
    io::output::{Blocked, OutputError},
    io::stop::{Deadline, Stop},
    outcome::{Summary, Words, per_second},
    progress::Progress,
    reject::{Rejection, Rejects},
    units::grouped,
};

use crate::{
    ending::{Left, Report},
    line::Arrived,
    pending::Pending,
    sink::{Last, Sink},
    source::{Found, Source},
};

/// The longest wait while nothing arrives: as long as a signal may go unnoticed.
const WAIT: Duration = Duration::from_millis(100);

/// The longest wait while acks are due or several sources are looked at in turn.
const SHORT_WAIT: Duration = Duration::from_millis(10);

/// The shortest: a reader that is fast takes a block within this time, and a broker whose window is full waits for it.
const GLANCE: Duration = Duration::from_micros(50);

/// A broker that sends nothing more, while so many records wait for an ack for so long, has a full window, maybe.
const WINDOW: usize = 20;
const STALLED: Duration = Duration::from_secs(10);

/// How long a broker may take for the orderly end of a connection.
const CLOSE: Duration = Duration::from_secs(5);

/// What to do with the records.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Stop after so many.
    pub count: Option<u64>,
    /// Stop after so long.
    pub duration: Option<Duration>,
    /// After a signal: how long to wait for stdout and acks.
    pub drain_timeout: Duration,
    /// The form of the closing line.
    pub summary: SummaryFormat,
}

/// A tap at work.
pub struct Tap {
    sources: Vec<Source>,
    /// Which of the sources have ended. They stay open: what they gave may not be acknowledged yet.
    ended: Vec<bool>,
    sink: Sink,
    plan: Plan,
    stop: Stop,
    console: Console,
    pending: Pending,
    summary: Summary,
    started: Instant,
    /// The end of the drain, once a signal came.
    deadline: Deadline,
    progress: Progress,
    /// When something was acknowledged or arrived last.
    moved: Instant,
    stall_told: bool,
}

/// What can go wrong with the output, as `flush_unless` wants it.
enum FlushError {
    Output(OutputError),
    Source(anyhow::Error),
}

impl From<OutputError> for FlushError {
    fn from(error: OutputError) -> Self {
        Self::Output(error)
    }
}

impl Tap {
    /// A tap of `sources` that writes to `sink`.
    pub fn new(sources: Vec<Source>, sink: Sink, plan: Plan, stop: Stop, console: Console) -> Self {
        let now = Instant::now();
        let words = if sink.has_acks() {
            Words::Acknowledged
        } else {
            Words::Written
        };
        Self {
            deadline: Deadline::new(stop.clone(), plan.drain_timeout),
            ended: vec![false; sources.len()],
            sources,
            sink,
            plan,
            stop,
            pending: Pending::default(),
            summary: Summary::new(console.tool(), words),
            console,
            started: now,
            progress: Progress::new(now),
            moved: now,
            stall_told: false,
        }
    }

    /// Taps until there is nothing more to do; gives the exit code.
    ///
    /// # Errors
    ///
    /// A source or the output can't go on. What was taken before is acknowledged all the same.
    pub fn run(mut self) -> Result<u8> {
        let sink = &mut self.sink;
        sink.format.begin(&mut sink.output);
        let left = self.tap();
        let flushed = match &left {
            Ok(Left::ReaderGone | Left::GivenUp) => Ok(None),
            _ => self.flush(),
        };
        // Also of a source that failed the last stage may settle what it got.
        let whole = matches!(flushed, Ok(None));
        let mut left = match (left, flushed) {
            (Ok(Left::Done | Left::Signal), Ok(Some(instead))) => Ok(instead),
            (Ok(_), Err(error)) => Err(error),
            (left, _) => left,
        };
        let whole = whole && !matches!(left, Ok(Left::ReaderGone | Left::GivenUp));
        let status = self.settle(&mut left, whole);
        let closed = self.close();
        self.console.wipe_progress();
        let kept = self.sink.rejects.finish().context("--rejects");
        self.summary.read = self.pending.count_written();
        let safe = self.pending.count_acknowledged();
        self.summary.delivered = safe.saturating_sub(self.sink.rejects.count());
        self.summary.rejected = self.summary.read - self.summary.delivered;
        self.summary.seconds = self.started.elapsed();
        self.summary.tell(&self.console, self.plan.summary);
        let (left, status) = (left?, status?);
        closed.and(kept)?;
        let report = Report {
            left,
            status,
            rejected: self.summary.rejected,
            unfit: self.sink.rejects.count(),
            command: self.sink.command_name(),
            has_acks: self.sink.has_acks(),
            signal: self.stop.requested(),
        };
        Ok(report.tell(&self.console))
    }

    fn tap(&mut self) -> Result<Left> {
        let mut wait = Duration::ZERO;
        loop {
            if self.stop.requested().is_some() {
                return Ok(Left::Signal);
            }
            if self.is_complete() {
                return Ok(Left::Done);
            }
            let found = self.take_turns(wait)?;
            // A broker whose window is full sends nothing more until what it sent is acknowledged, so what is
            // written waits for nothing but more that is there already.
            if (!found || self.sink.output.is_due())
                && let Some(left) = self.flush()?
            {
                return Ok(left);
            }
            self.acknowledge()?;
            wait = if found {
                Duration::ZERO
            } else {
                (wait * 2).clamp(self.shortest_wait(), self.longest_wait())
            };
            // A reader that has gone is found by writing, if there is something to write.
            if !found && self.sink.output.is_reader_gone() {
                return Ok(Left::ReaderGone);
            }
            self.tell_stall(found);
            self.show_progress();
        }
    }

    /// Whether nothing more is wanted, or can come.
    fn is_complete(&self) -> bool {
        let counted = self
            .plan
            .count
            .is_some_and(|count| self.pending.next_seq() > count);
        let timed = self
            .plan
            .duration
            .is_some_and(|duration| self.started.elapsed() >= duration);
        counted || timed || self.ended.iter().all(|ended| *ended)
    }

    /// Whether the reader has yet to take what is written.
    fn is_awaiting_reader(&self) -> bool {
        !self.sink.has_acks() && self.pending.count_waiting() > 0
    }

    fn shortest_wait(&self) -> Duration {
        if self.is_awaiting_reader() {
            GLANCE
        } else {
            Duration::from_millis(1)
        }
    }

    fn longest_wait(&self) -> Duration {
        let several = self.sources.len() > 1;
        let longest = if several || self.sink.has_acks() || self.is_awaiting_reader() {
            SHORT_WAIT
        } else {
            WAIT
        };
        let flush = self.sink.output.flush_in();
        let end = self
            .plan
            .duration
            .map(|duration| duration.saturating_sub(self.started.elapsed()));
        let soonest = flush.into_iter().chain(end).min().unwrap_or(longest);
        min(longest, soonest.max(Duration::from_millis(1)))
    }

    /// Takes a turn at each source; only the first waits, so that none waits for another for long.
    fn take_turns(&mut self, wait: Duration) -> Result<bool> {
        let mut found = false;
        let mut wait = wait;
        for (index, source) in self.sources.iter_mut().enumerate() {
            if self.ended[index] {
                continue;
            }
            let (acked, mut failed) = (self.sink.has_acks(), None);
            let Sink {
                output,
                format,
                rejects,
                ..
            } = &mut self.sink;
            let (pending, summary) = (&mut self.pending, &mut self.summary);
            let plan = self.plan;
            let result = source.poll(wait, &mut |arrived, mark| {
                let seq = pending.next_seq();
                if let Err(rejection) = format.put(&arrived, seq, output) {
                    if let Err(error) = reject(rejects, &arrived, seq, rejection) {
                        failed = Some(error);
                        return ControlFlow::Break(());
                    }
                    if acked {
                        // Settled and sent nowhere: without it the last stage could not acknowledge so far.
                        output.push(|out| {
                            out.extend_from_slice(format!("{{\"seq\":{seq}}}").as_bytes());
                        });
                    }
                }
                pending.put(index, mark, output.position());
                summary.bytes += arrived.value().map_or(0, <[u8]>::len) as u64;
                if output.is_full() || plan.count == Some(seq) {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            let found_here = result?;
            if let Some(error) = failed {
                return Err(error).context("--rejects");
            }
            match found_here {
                Found::Records => found = true,
                Found::Nothing => {}
                Found::End => self.ended[index] = true,
            }
            if plan
                .count
                .is_some_and(|count| self.pending.next_seq() > count)
            {
                break;
            }
            wait = Duration::ZERO;
        }
        Ok(found)
    }

    /// Writes out what is buffered. While stdout takes nothing, the sources are kept alive, and what its reader has
    /// taken is acknowledged; after a signal that lasts no longer than the drain may.
    fn flush(&mut self) -> Result<Option<Left>> {
        let since = Instant::now();
        let mut waited = false;
        loop {
            let mut is_second = false;
            let (sources, deadline) = (&mut self.sources, &mut self.deadline);
            let flushed = self.sink.output.flush_unless(|| {
                waited = true;
                if deadline.passed().is_some() || std::mem::replace(&mut is_second, true) {
                    return Ok(Blocked::GiveUp);
                }
                for source in &mut *sources {
                    source
                        .keep_alive(since.elapsed())
                        .map_err(FlushError::Source)?;
                }
                Ok(Blocked::Wait)
            });
            match flushed {
                Ok(true) => break,
                Ok(false) if self.is_over() => return Ok(Some(Left::GivenUp)),
                // A pipe is writable again only when a page of it is free: what was taken of a page is seen only by
                // looking.
                Ok(false) => self.acknowledge()?,
                Err(FlushError::Output(OutputError::ReaderGone)) => {
                    return Ok(Some(Left::ReaderGone));
                }
                Err(FlushError::Output(error)) => return Err(error.into()),
                Err(FlushError::Source(error)) => return Err(error),
            }
        }
        if waited {
            for source in &mut self.sources {
                source.go_on()?;
            }
        }
        Ok(None)
    }

    /// Acknowledges what is safe.
    fn acknowledge(&mut self) -> Result<()> {
        // First, since what is acknowledged is in one of the two.
        self.sink.rejects.sync().context("--rejects")?;
        let through = self.sink.look(&mut self.pending)?;
        self.acknowledge_through(through)
    }

    fn acknowledge_through(&mut self, seq: u64) -> Result<()> {
        let waiting = self.pending.count_waiting();
        while let Some((source, mark)) = self.pending.take_through(seq) {
            self.sources[source].acknowledge(mark);
        }
        if self.pending.count_waiting() < waiting {
            self.moved = Instant::now();
        }
        self.sources.iter_mut().try_for_each(Source::pass_on)
    }

    /// The end of the output: waits until what was written is taken, and with acks for the last of them; gives how the
    /// command ended. `left`: why the output ends.
    fn settle(&mut self, left: &mut Result<Left>, whole: bool) -> Result<Option<ExitStatus>> {
        let since = Instant::now();
        let whole = whole && self.wait_until_taken(since, left)?;
        // The command is looked at before the last acks, so that none is missed.
        self.acknowledge()?;
        if !self.sink.has_acks() {
            return Ok(None);
        }
        self.sink.close(whole)?;
        loop {
            let status = self.sink.ended()?;
            self.acknowledge()?;
            if let Last::Ended { status, all } = self.sink.judge(status) {
                if all {
                    self.acknowledge_through(u64::MAX)?;
                }
                return Ok(status);
            }
            let all = self.pending.count_acknowledged() == self.pending.count_written();
            if self.is_over() || (self.sink.command_name().is_none() && all) {
                return Ok(None);
            }
            self.rest(since)?;
        }
    }

    /// Waits until a file or the reader has everything, as long as the drain may last; a command or a last stage with
    /// acks has all the time it wants, but for a signal. `false` if it will not be taken.
    fn wait_until_taken(&mut self, since: Instant, left: &mut Result<Left>) -> Result<bool> {
        let drain = self.plan.drain_timeout;
        loop {
            self.acknowledge()?;
            let awaited = self.sink.has_acks() || self.is_awaiting_reader();
            if !awaited || self.sink.is_all_taken() {
                return Ok(true);
            }
            // In this order: what it took before it went is taken.
            let deserted = self.sink.is_deserted()?;
            if self.sink.is_all_taken() {
                return Ok(true);
            }
            if deserted {
                *left = std::mem::replace(left, Ok(Left::Done)).map(|_| Left::ReaderGone);
                return Ok(false);
            }
            let late = !self.sink.has_acks() && since.elapsed() >= drain;
            if late || self.is_over() {
                return Ok(false);
            }
            self.rest(since)?;
        }
    }

    fn close(&mut self) -> Result<()> {
        let mut result = Ok(());
        for source in self.sources.drain(..) {
            result = result.and(source.close(CLOSE));
        }
        result
    }

    /// Whether a signal came and the drain after it is over.
    fn is_over(&mut self) -> bool {
        self.deadline.passed().is_some()
    }

    /// A moment's rest in a wait that has lasted since `since`.
    fn rest(&mut self, since: Instant) -> Result<()> {
        let waited = since.elapsed();
        std::thread::sleep((waited / 8).clamp(GLANCE, SHORT_WAIT));
        for source in &mut self.sources {
            source.keep_alive(waited)?;
        }
        Ok(())
    }

    /// Tells, once, that a broker may send nothing more because no acks come.
    fn tell_stall(&mut self, found: bool) {
        if found {
            self.moved = Instant::now();
        }
        let waiting = self.pending.count_waiting();
        let stalled = self.sink.has_acks() && waiting >= WINDOW && self.moved.elapsed() >= STALLED;
        if stalled && !self.stall_told {
            self.stall_told = true;
            let count = grouped(waiting as u64);
            self.console.warn(format_args!(
                "{count} records wait for an ack, and for {STALLED:?} none has come; an MQTT broker whose window is \
                 full of them sends nothing more. A filter that drops records must pass on their seq: {{\"seq\":N}}"
            ));
        }
    }

    fn show_progress(&mut self) {
        let count = self.pending.count_written();
        self.progress.show(&self.console, |elapsed| {
            let rate = grouped(per_second(count, elapsed));
            format!("{} written ({rate}/s)", grouped(count))
        });
    }
}

/// Rejects a record that does not have the form, under its `seq`, with its place in front of the reason.
fn reject(
    rejects: &mut Rejects,
    arrived: &Arrived<'_>,
    seq: u64,
    mut rejection: Rejection,
) -> std::io::Result<()> {
    let topic = arrived.topic();
    let place = arrived
        .place()
        .map_or_else(String::new, |(partition, offset)| {
            format!(" [{partition}] at offset {offset}")
        });
    rejection.detail = format!("{topic}{place}: {}", rejection.detail);
    let value = arrived.value().unwrap_or_default();
    rejects.reject(None, seq, &rejection, Some(value))
}
