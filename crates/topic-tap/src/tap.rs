//! The loop of the tap: take what arrives, write it, and only then say that it is safe.

use std::{
    cmp::min,
    fs::File,
    ops::ControlFlow,
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tapline_pipe::{
    acks::{AckReader, Writers},
    args::SummaryFormat,
    console::Console,
    io::output::{Blocked, Output, OutputError},
    io::stop::Stop,
    outcome::{COULD_NOT_RUN, Ending, Summary, Words, per_second},
    reject::{Rejection, Rejects},
    units::grouped,
};

use crate::{
    exec::Command,
    format::Format,
    line::Arrived,
    pending::Pending,
    source::{Found, Source},
};

/// The longest wait while nothing arrives: as long as a signal may go unnoticed.
const WAIT: Duration = Duration::from_millis(100);

/// The longest wait while acks are due or several sources are looked at in turn.
const SHORT_WAIT: Duration = Duration::from_millis(10);

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

/// Where the lines go.
pub struct Sink {
    /// Takes them.
    pub output: Output<File>,
    /// Their form.
    pub format: Format,
    /// Says what is safe; without it, what was written is.
    pub acks: Option<AckReader>,
    /// Reads them, with `--exec`.
    pub command: Option<Command>,
    /// Where records go that do not have the form.
    pub rejects: Rejects,
}

/// A tap at work.
pub struct Tap {
    sources: Vec<Source>,
    /// Which of the sources have ended. They stay open: what they gave may not be acknowledged yet.
    ended: Vec<bool>,
    output: Output<File>,
    format: Format,
    /// Records that do not have the form.
    rejects: Rejects,
    acks: Option<AckReader>,
    command: Option<Command>,
    plan: Plan,
    stop: Stop,
    console: Console,
    pending: Pending,
    summary: Summary,
    started: Instant,
    /// The end of the drain, once a signal came.
    deadline: Option<Instant>,
    shown: Instant,
}

/// Why the loop is left.
enum Left {
    /// Count, time or end of all sources.
    Done,
    Signal,
    ReaderGone,
    /// The drain was over before all was written.
    GivenUp,
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
        let words = match sink.acks {
            Some(_) => Words::Acknowledged,
            None => Words::Written,
        };
        Self {
            ended: vec![false; sources.len()],
            sources,
            output: sink.output,
            format: sink.format,
            rejects: sink.rejects,
            acks: sink.acks,
            command: sink.command,
            plan,
            stop,
            pending: Pending::default(),
            summary: Summary::new(console.tool(), words),
            console,
            started: now,
            deadline: None,
            shown: now,
        }
    }

    /// Taps until there is nothing more to do; gives the exit code.
    ///
    /// # Errors
    ///
    /// A source or the output can't go on. What was written before is acknowledged all the same.
    pub fn run(mut self) -> Result<u8> {
        self.format.begin(&mut self.output);
        let left = self.tap();
        let left = match (left, self.flush()) {
            (Ok(Left::Done | Left::Signal), Ok(Some(instead))) => Ok(instead),
            (Ok(_), Err(error)) => Err(error),
            (left, _) => left,
        };
        let status = self.settle(matches!(left, Ok(Left::Done | Left::Signal)));
        let closed = self.close();
        self.console.wipe_progress();
        let kept = self.rejects.finish().context("--rejects");
        self.summary.read = self.pending.count_flushed();
        self.summary.delivered = match self.acks {
            Some(_) => self.pending.count_acknowledged(),
            None => self.summary.read.saturating_sub(self.rejects.count()),
        };
        self.summary.rejected = self.summary.read - self.summary.delivered;
        self.summary.seconds = self.started.elapsed();
        self.summary.tell(&self.console, self.plan.summary);
        let (left, status) = (left?, status?);
        closed.and(kept)?;
        Ok(self.exit_code(&left, status))
    }

    fn exit_code(&self, left: &Left, status: Option<ExitStatus>) -> u8 {
        let rejected = self.summary.rejected;
        if self.rejects.count() > 0 {
            let count = grouped(self.rejects.count());
            let what = "records do not have the wanted form and were not written";
            self.console.error(format_args!("{count} {what}"));
        } else if rejected > 0 && !matches!(left, Left::ReaderGone) {
            let count = grouped(rejected);
            self.console.error(format_args!(
                "{count} records were written but not acknowledged by the last stage"
            ));
        }
        if let Some(signal) = self.stop.requested() {
            return signal.exit_code();
        }
        match status.map(|status| (status.code(), status.signal())) {
            Some((Some(0), _)) | None if matches!(left, Left::ReaderGone) => 0,
            Some((Some(0), _)) | None => Ending::Complete.exit_code(rejected),
            // The command ran to its end and rejected records: so it says, and so do we.
            Some((Some(1), _)) => 1,
            Some((code, signal)) => {
                let how = code.map(|code| format!("exit code {code}"));
                let how = how.or(signal.map(|signal| format!("signal {signal}")));
                let how = how.unwrap_or_default();
                self.console
                    .error(format_args!("--exec: the command ended with {how}"));
                COULD_NOT_RUN
            }
        }
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
            wait = if found {
                Duration::ZERO
            } else {
                (wait * 2).clamp(Duration::from_millis(1), self.longest_wait())
            };
            // A broker whose window is full sends nothing more until what it sent is acknowledged, so what is
            // written waits for nothing but more that is there already.
            if (!found || self.output.is_due())
                && let Some(left) = self.flush()?
            {
                return Ok(left);
            }
            self.acknowledge()?;
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

    fn longest_wait(&self) -> Duration {
        let several = self.sources.len() > 1;
        let longest = if several || self.acks.is_some() {
            SHORT_WAIT
        } else {
            WAIT
        };
        let flush = self.output.flush_in();
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
            let (output, pending, summary) =
                (&mut self.output, &mut self.pending, &mut self.summary);
            let (format, rejects) = (&mut self.format, &mut self.rejects);
            let (acked, mut failed) = (self.acks.is_some(), None);
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
                pending.wrote(index, mark);
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

    /// Writes out what is buffered. While stdout takes nothing, the sources are kept alive; after a signal
    /// that lasts no longer than the drain may.
    fn flush(&mut self) -> Result<Option<Left>> {
        let since = Instant::now();
        let mut waited = false;
        let (sources, stop, drain) = (&mut self.sources, &self.stop, self.plan.drain_timeout);
        let deadline = &mut self.deadline;
        let flushed = self.output.flush_unless(|| {
            waited = true;
            if is_over(stop, deadline, drain) {
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
            Ok(true) => {
                // Only now, since what is acknowledged is in one of the two.
                self.rejects.sync().context("--rejects")?;
                self.pending.flushed();
            }
            Ok(false) => return Ok(Some(Left::GivenUp)),
            Err(FlushError::Output(OutputError::ReaderGone)) => return Ok(Some(Left::ReaderGone)),
            Err(FlushError::Output(error)) => return Err(error.into()),
            Err(FlushError::Source(error)) => return Err(error),
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
        let through = match &mut self.acks {
            Some(acks) => acks.highest().context("acks")?,
            None => u64::MAX,
        };
        self.acknowledge_through(through)
    }

    fn acknowledge_through(&mut self, seq: u64) -> Result<()> {
        while let Some((source, mark)) = self.pending.take_through(seq) {
            self.sources[source].acknowledge(mark);
        }
        self.sources.iter_mut().try_for_each(Source::pass_on)
    }

    /// Waits for the last acks, if acks there are, and gives how the command of `--exec` ended. `whole`: the
    /// last stage got all that was taken.
    fn settle(&mut self, whole: bool) -> Result<Option<ExitStatus>> {
        if self.acks.is_none() {
            return self.acknowledge().map(|()| None);
        }
        self.close_output()?;
        let since = Instant::now();
        loop {
            // The command is looked at before the acks, so that its last ones are seen.
            let ended = self
                .command
                .as_mut()
                .map(Command::ended)
                .transpose()?
                .flatten();
            self.acknowledge()?;
            if let Some(status) = ended {
                // It has read everything and reports that it handled it: what gave no ack was filtered out.
                if whole && matches!(status.code(), Some(0 | 1)) {
                    self.acknowledge_through(u64::MAX)?;
                }
                return Ok(Some(status));
            }
            let all = self.pending.count_acknowledged() == self.pending.count_flushed();
            let writers = self.acks.as_ref().map(AckReader::writers);
            // A last stage that went away before it ever opened the FIFO will not do so now.
            let gone =
                writers == Some(Writers::Gone) || (!whole && writers == Some(Writers::Awaited));
            let over = is_over(&self.stop, &mut self.deadline, self.plan.drain_timeout);
            if over || (self.command.is_none() && (all || gone)) {
                return Ok(None);
            }
            std::thread::sleep(SHORT_WAIT);
            for source in &mut self.sources {
                source.keep_alive(since.elapsed())?;
            }
        }
    }

    /// Lets the last stage see the end of its input.
    fn close_output(&mut self) -> Result<()> {
        let null = File::options()
            .write(true)
            .open("/dev/null")
            .context("/dev/null")?;
        if self.command.is_none() {
            // Our copy of the descriptor is not the only one.
            rustix::stdio::dup2_stdout(&null).context("stdout")?;
        }
        self.output = Output::new("/dev/null", null, false);
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        let mut result = Ok(());
        for source in self.sources.drain(..) {
            result = result.and(source.close(CLOSE));
        }
        result
    }

    fn show_progress(&mut self) {
        if self.shown.elapsed() < Duration::from_secs(1) {
            return;
        }
        self.shown = Instant::now();
        let count = self.pending.count_flushed();
        let rate = per_second(count, self.started.elapsed());
        self.console.progress(format_args!(
            "{} written ({}/s)",
            grouped(count),
            grouped(rate)
        ));
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

/// Whether a signal came and the drain after it is over.
fn is_over(stop: &Stop, deadline: &mut Option<Instant>, drain: Duration) -> bool {
    if stop.requested().is_none() {
        return false;
    }
    Instant::now() >= *deadline.get_or_insert_with(|| Instant::now() + drain)
}
