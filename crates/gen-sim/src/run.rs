//! A run: a fleet's readings or a recording's records to stdout, and how it ended.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, anyhow};
use tapline_pipe::args::SummaryFormat;
use tapline_pipe::console::Console;
use tapline_pipe::io::files::Files;
use tapline_pipe::io::input::Source;
use tapline_pipe::io::output::{Output, unbuffered};
use tapline_pipe::io::stop::Stop;
use tapline_pipe::outcome::{COULD_NOT_RUN, Ending, Summary, Words};
use tapline_pipe::reject::Rejects;

use crate::args::{Args, name};
use crate::emit::{Emitter, GRACE, Halt, Limits, Tempo};
use crate::fleet::{CSV_HEADER, Fleet, Form};
use crate::replay::{Replay, Step};

/// Does what the arguments say; the exit code.
pub(crate) fn run(args: &Args, stop: &Stop, console: &Console) -> anyhow::Result<u8> {
    let mut work = match &args.replay {
        Some(file) => Work::Recording(Box::new(open(args, file, stop, console)?)),
        None => Work::Fleet(
            Fleet::new(
                args.seed,
                args.generators,
                args.start.as_nanosecond(),
                args.interval,
            ),
            args.format,
        ),
    };
    let stdout = io::stdout();
    stop.defer(GRACE).context("a thread for the deadline")?;
    let file = unbuffered(&stdout).context("stdout")?;
    let output = Output::new("stdout", file, stdout.is_terminal());
    let started = Instant::now();
    let limits = Limits {
        count: args.count.unwrap_or(u64::MAX),
        duration: args
            .duration
            .map_or(u128::MAX, |duration| duration.as_nanos()),
    };
    let mut emitter = Emitter::new(
        output,
        stop.clone(),
        Tempo::new(args.speed, args.rate, started),
        limits,
        console.clone(),
    );
    let mut ended = work.go(&mut emitter, args.reject.strict);
    if !matches!(ended, Err(Halt::Output(_)) | Ok(Ending::ReaderGone)) {
        // What was due is written, whatever ended the run.
        ended = emitter.flush().map_or_else(settle, |()| ended);
    }
    console.wipe_progress();

    let mut summary = Summary::new(console.tool(), Words::Written);
    let (lines, bytes) = emitter.written().records();
    summary.seconds = started.elapsed();
    summary.delivered = lines;
    match &mut work {
        Work::Fleet(..) => summary.bytes = bytes,
        Work::Recording(replay) => {
            (summary.bytes, summary.blank) = replay.counts();
            summary.rejected = replay.rejects().count();
            let finished = replay.rejects().finish();
            ended = ended.and_then(|ending| {
                finished.map_err(|error| Halt::Recording(error.into()))?;
                Ok(ending)
            });
        }
    }
    // A line that was never written (its reader went away) was not handled, so it isn't counted as read either.
    summary.read = summary.delivered + summary.rejected;
    let was_left = matches!(ended, Ok(Ending::ReaderGone));
    let code = match ended {
        Ok(ending) => ending.exit_code(summary.rejected),
        Err(halt) => {
            console.error(format_args!("{:#}", anyhow::Error::from(halt)));
            COULD_NOT_RUN
        }
    };
    match args.summary.summary {
        SummaryFormat::Json => console.line(summary.json()),
        SummaryFormat::Text if was_left => {}
        SummaryFormat::Text => console.info(summary.text()),
    }
    Ok(code)
}

/// Opens the recording.
fn open(args: &Args, file: &Path, stop: &Stop, console: &Console) -> anyhow::Result<Replay> {
    let is_stdin = file == Path::new("-");
    let mut files = Files::default();
    if is_stdin {
        files.reads_from("stdin", io::stdin());
    } else {
        files.reads(name(file), file);
    }
    files.writes_to("stdout", io::stdout());
    args.reject
        .check(&mut files)
        .map_err(|error| anyhow!(error))?;
    files.check()?;
    let source = if is_stdin {
        Source::stdin()
    } else {
        Source::open(file).with_context(|| name(file))?
    };
    // Only now: a run that can't begin leaves no trace in files.
    let path = args.reject.rejects.as_deref();
    let rejects = Rejects::open(console.clone(), path).with_context(|| {
        path.map(|path| path.display().to_string())
            .unwrap_or_default()
    })?;
    // The arguments were refused without a form.
    let form = args.replay_form().unwrap_or(Form::Ndjson);
    Replay::open((name(file), source), form, args, stop.clone(), rejects)
}

/// Where lines come from.
enum Work {
    Fleet(Fleet, Form),
    Recording(Box<Replay>),
}

impl Work {
    /// Writes all lines; how it ended, unless stdout can't be written.
    fn go(&mut self, emitter: &mut Emitter, strict: bool) -> Result<Ending, Halt> {
        let done = match self {
            Self::Fleet(fleet, form) => simulate(fleet, *form, emitter).map(|()| Ending::Complete),
            Self::Recording(replay) => play(replay, emitter, strict),
        };
        done.or_else(settle)
    }
}

/// An end in order is none that failed.
fn settle(halt: Halt) -> Result<Ending, Halt> {
    match halt {
        Halt::Ended(ending) => Ok(ending),
        other => Err(other),
    }
}

/// Writes the readings of a fleet.
fn simulate(fleet: &mut Fleet, form: Form, emitter: &mut Emitter) -> Result<(), Halt> {
    if form == Form::Csv {
        emitter.write_header(CSV_HEADER)?;
    }
    loop {
        let due = fleet.due();
        if !emitter.wants(due) {
            return Ok(());
        }
        emitter.wait(due)?;
        emitter.write(|line| fleet.write_next(form, line))?;
    }
}

/// Writes the records of a recording.
fn play(replay: &mut Replay, emitter: &mut Emitter, strict: bool) -> Result<Ending, Halt> {
    while emitter.wants_more() {
        if !replay.has_buffered() {
            emitter.show_progress();
        }
        match replay.next(emitter.patience()).map_err(Halt::Recording)? {
            Step::Record => {
                let due = replay.due();
                if !emitter.wants(due) {
                    break;
                }
                emitter.wait(due)?;
                emitter.write(|line| line.extend_from_slice(replay.take()))?;
            }
            Step::Rejected if strict => return Ok(Ending::Strict),
            Step::Rejected => {}
            Step::Idle => emitter.flush()?,
            Step::End => break,
            Step::Stopped(signal) => return Ok(Ending::Signal(signal)),
        }
    }
    Ok(Ending::Complete)
}
