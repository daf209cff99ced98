//! A run: every input judged, and how it ended.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use anyhow::{Context, Result, anyhow, bail};
use tapline_contract::schema::Schema;
use tapline_pipe::args::SummaryFormat;
use tapline_pipe::console::Console;
use tapline_pipe::csv::rows::Rows;
use tapline_pipe::io::files::Files;
use tapline_pipe::io::input::Input;
use tapline_pipe::io::output::{Output, OutputError};
use tapline_pipe::io::stop::Stop;
use tapline_pipe::outcome::{COULD_NOT_RUN, Ending};
use tapline_pipe::reject::Rejects;

use crate::args::{Args, Form, applies};
use crate::judge::{Duty, GRACE, Halt, Judge, Place};
use crate::source::Asked;
use crate::table::Tables;
use crate::{document, lines};

/// Does what the arguments say; the exit code.
pub(crate) fn run(args: &Args, stop: &Stop, console: &Console) -> Result<u8> {
    let asked = Asked::all(&args.files, args.format);
    let forms: Vec<_> = asked.iter().map(|asked| asked.form).collect();
    applies::check(args, &forms)?;
    let schema = Schema::from_file(&args.schema, &[]).context("--schema")?;
    let stdout = io::stdout();
    check_files(args, &stdout)?;
    let rejects = match (&args.rejects.rejects, args.pass) {
        (None, false) => None,
        (path, _) => Some(
            Rejects::open(console.clone(), path.as_deref()).with_context(|| {
                let path = path.as_deref().unwrap_or("rejects".as_ref());
                format!("--rejects {}", path.display())
            })?,
        ),
    };
    let duty = match (rejects, args.pass) {
        (Some(rejects), true) => Duty::Pass(rejects),
        (rejects, _) => Duty::Report(rejects),
    };
    // Not through `Stdout`, which writes line by line.
    let file = File::from(stdout.as_fd().try_clone_to_owned().context("stdout")?);
    let output = Output::new("stdout", file, stdout.is_terminal());
    let strict = args.rejects.strict;
    let mut judge = Judge::new(
        schema.validator(),
        output,
        duty,
        strict,
        stop.clone(),
        console.clone(),
    );
    let mut work = Work {
        args,
        console,
        stop: stop.clone(),
        tables: Tables::new(&args.csv.text),
        failed: false,
    };
    stop.defer(GRACE).context("a thread for the deadline")?;
    let checked = work.check_all(&mut judge);
    let ending = conclude(checked, &mut judge);
    let summary = &judge.summary;
    let code = match &ending {
        Ok(Ending::Complete | Ending::Strict) if work.failed => COULD_NOT_RUN,
        Ok(ending) => ending.exit_code(summary.rejected),
        Err(error) => {
            console.error(format_args!("{error:#}"));
            COULD_NOT_RUN
        }
    };
    match args.summary.summary {
        SummaryFormat::Json => console.line(summary.json()),
        // A reader that went away wants to hear no more.
        SummaryFormat::Text if matches!(ending, Ok(Ending::ReaderGone)) => {}
        SummaryFormat::Text => console.info(summary.text()),
    }
    Ok(code)
}

/// Whether what is written is none of the files that are read.
fn check_files(args: &Args, stdout: &io::Stdout) -> Result<()> {
    let mut files = Files::default();
    files.reads("--schema", &args.schema);
    for asked in Asked::all(&args.files, args.format) {
        asked.add_to(&mut files);
    }
    if args.pass {
        files.writes_to("stdout", stdout);
    }
    args.rejects
        .check(&mut files)
        .map_err(|error| anyhow!(error))?;
    Ok(files.check()?)
}

struct Work<'a> {
    args: &'a Args,
    console: &'a Console,
    stop: Stop,
    tables: Tables<'a>,
    /// An input could not be read.
    failed: bool,
}

impl Work<'_> {
    fn check_all(&mut self, judge: &mut Judge) -> Result<Ending> {
        for asked in Asked::all(&self.args.files, self.args.format) {
            match self.check(&asked, judge) {
                Ok(Ending::Complete) => {}
                Ok(ending) => return Ok(ending),
                Err(error) if error.is::<Halt>() => return Err(error),
                // The other files are checked all the same.
                Err(error) => {
                    self.console
                        .error(format_args!("{}: {error:#}", asked.name));
                    self.failed = true;
                }
            }
        }
        Ok(Ending::Complete)
    }

    fn check(&mut self, asked: &Asked, judge: &mut Judge) -> Result<Ending> {
        let source = asked.open()?;
        let name = asked.name.as_str();
        let place = Place {
            file: (!self.args.files.is_empty()).then_some(name),
            name,
            line: 1,
        };
        let max_record = self.args.record.max_record;
        if self.args.envelope && asked.form != Form::Ndjson {
            bail!("envelopes are lines, and this is a document or CSV: leave out --envelope");
        }
        match asked.form {
            Form::Ndjson => {
                let mut input = Input::new(source, max_record, self.stop.clone());
                lines::check(&mut input, self.args.envelope, place, judge)
            }
            Form::Json => {
                let limit = self.args.max_document;
                document::check(source, limit, &self.stop, place, judge)
            }
            Form::Csv => {
                let mut rows = Rows::new(source, max_record, self.stop.clone());
                self.tables.check(&mut rows, place, judge)
            }
        }
    }
}

/// Writes out what is left, and says how the run ended.
fn conclude(checked: Result<Ending>, judge: &mut Judge) -> Result<Ending> {
    let checked = checked.or_else(halted);
    let finished = judge.finish().map_err(anyhow::Error::from);
    match (checked, finished) {
        (Ok(ending), Ok(())) => Ok(ending),
        (Ok(ending), Err(error)) => match halted(error)? {
            // A signal is the reason that a shell looks for.
            Ending::ReaderGone if matches!(ending, Ending::Signal(_)) => Ok(ending),
            other => Ok(other),
        },
        (Err(error), _) => Err(error),
    }
}

/// What halted the judge, if that is an ending and no error.
fn halted(error: anyhow::Error) -> Result<Ending> {
    match error.downcast::<Halt>()? {
        Halt::Ending(ending) => Ok(ending),
        Halt::Output(OutputError::ReaderGone) => Ok(Ending::ReaderGone),
        other => Err(other.into()),
    }
}
