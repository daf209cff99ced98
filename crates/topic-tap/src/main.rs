//! `topic-tap` taps MQTT and Kafka topics: what arrives there, line by line, on stdout.

mod args;
mod csv;
mod ending;
mod exec;
mod format;
mod line;
mod listing;
mod pending;
mod registry;
mod sink;
mod source;
mod table;
mod tap;
mod tokens;

use std::{io, os::fd::AsFd, process::ExitCode};

use anyhow::{Context, Result};
use tapline_pipe::{
    console::Console, io::files::Files, io::journal::probe, io::stop::Stop, outcome::conclude,
    terminal::Terminal,
};

use crate::{
    args::Args,
    sink::Sink,
    tap::{Plan, Tap},
};

fn main() -> ExitCode {
    let args = Args::get();
    let level = args.messages.level();
    let console = if args.exec.is_some() || !args.command.is_empty() {
        // The command may write to the terminal.
        Console::new("topic-tap", level, io::stderr(), false)
    } else {
        let terminal = Terminal::of(io::stderr(), None, Some(io::stdout().as_fd()));
        Console::on("topic-tap", level, io::stderr(), terminal)
    };
    conclude(&console, |stop| run(&args, stop, &console))
}

fn run(args: &Args, stop: &Stop, console: &Console) -> Result<u8> {
    if args.listing.list || args.listing.groups {
        return listing::run(args, console);
    }
    check_files(args)?;
    let sources = source::open::open(args, stop, console)?;
    let sink = Sink::open(args, stop, console)?;
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
    if args.exec.is_none() && args.command.is_empty() {
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
