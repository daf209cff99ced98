//! `topic-tap` taps MQTT and Kafka topics: what arrives there, line by line, on stdout.

mod args;
mod csv;
mod exec;
mod format;
mod line;
mod listing;
mod pending;
mod registry;
mod source;
mod table;
mod tap;
mod tokens;

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use tapline_pipe::{
    acks::AckReader,
    console::Console,
    io::files::Files,
    io::journal::probe,
    io::output::{Output, unbuffered},
    io::stop::Stop,
    outcome::conclude,
    reject::Rejects,
};

use crate::{
    args::Args,
    exec::Command,
    format::Format,
    tap::{Plan, Sink, Tap},
};

fn main() -> ExitCode {
    let args = Args::get();
    let terminal = io::stderr().is_terminal();
    let console = Console::new("topic-tap", args.messages.level(), io::stderr(), terminal);
    conclude(&console, |stop| run(&args, stop, &console))
}

fn run(args: &Args, stop: &Stop, console: &Console) -> Result<u8> {
    if args.listing.list || args.listing.groups {
        return listing::run(args, console);
    }
    check_files(args)?;
    let sources = source::open::open(args, console)?;
    let sink = open_sink(args, stop, console)?;
    let plan = Plan {
        count: args.range.count,
        duration: args.range.duration,
        drain_timeout: args.drain_timeout,
        summary: args.summary.summary,
    };
    Tap::new(sources, sink, plan, stop.clone(), console.clone()).run()
}

/// Whether the file of rejects is none of the others, and could be opened; nothing is changed before the run can begin.
fn check_files(args: &Args) -> Result<()> {
    let mut files = Files::default();
    if args.exec.is_none() {
        files.writes_to("stdout", io::stdout());
    }
    if let Some(config) = &args.kafka.config {
        files.reads("--config", config);
    }
    if let Some(path) = &args.rejects {
        let name = format!("--rejects {}", path.display());
        probe(path).with_context(|| name.clone())?;
        files.writes(name, path);
    }
    Ok(files.check()?)
}

/// Where the lines go: to the command of `--exec`, or to stdout.
fn open_sink(args: &Args, stop: &Stop, console: &Console) -> Result<Sink> {
    let rejects = Rejects::open(console.clone(), args.rejects.as_deref()).with_context(|| {
        let path = args.rejects.as_deref().map(Path::display);
        path.map_or_else(String::new, |path| format!("--rejects {path}"))
    })?;
    // Before the command starts, since its end must be seen to.
    stop.defer(args.drain_timeout)
        .context("a thread for the deadline")?;
    if let Some(text) = &args.exec {
        let (command, input, acks) = Command::start(text).context("--exec")?;
        return Ok(Sink {
            output: Output::new("--exec", input, false),
            format: Format::Envelope,
            acks: Some(acks),
            command: Some(command),
            rejects,
        });
    }
    let open_acks = |path: &PathBuf| {
        AckReader::open(path).with_context(|| format!("--acks-from {}", path.display()))
    };
    let stdout = io::stdout();
    let format = Format::of(&args.output);
    let unbuffered = unbuffered(&stdout).context("stdout")?;
    Ok(Sink {
        output: Output::new("stdout", unbuffered, stdout.is_terminal()),
        format,
        acks: args.acks_from.as_ref().map(open_acks).transpose()?,
        command: None,
        rejects,
    })
}
