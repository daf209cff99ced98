//! `topic-tap` taps MQTT and Kafka topics: what arrives there, line by line, on stdout.

mod args;
mod exec;
mod kafka;
mod line;
mod mqtt;
mod pending;
mod registry;
mod source;
mod tap;

use std::{
    fs::File,
    io::{self, IsTerminal},
    os::fd::AsFd,
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use clap::Parser;
use tapline_pipe::{
    acks::AckReader, console::Console, outcome::COULD_NOT_RUN, output::Output, stop::Stop,
};

use crate::{
    args::Args,
    exec::Command,
    line::Format,
    source::Source,
    tap::{Plan, Tap},
};

fn main() -> ExitCode {
    let args = Args::parse();
    let terminal = io::stderr().is_terminal();
    let console = Console::new("topic-tap", args.messages.level(), io::stderr(), terminal);
    let code = run(&args, &console).unwrap_or_else(|error| {
        console.error(format_args!("{error:#}"));
        COULD_NOT_RUN
    });
    ExitCode::from(code)
}

fn run(args: &Args, console: &Console) -> Result<u8> {
    let stop = Stop::install().context("signals")?;
    let sources = source::open(args, console, &stop)?;
    if args.until_end && sources.iter().any(Source::is_endless) {
        bail!("--until-end: an MQTT topic has no end; use --count or --duration");
    }
    let (command, output, acks) = match &args.exec {
        Some(text) => {
            let (command, input, acks) = Command::start(text).context("--exec")?;
            (
                Some(command),
                Output::new("--exec", input, false),
                Some(acks),
            )
        }
        None => {
            let stdout = io::stdout();
            let acks = args.acks_from.as_deref().map(|path| {
                AckReader::open(path).with_context(|| format!("--acks-from {}", path.display()))
            });
            // Not through `Stdout`, which writes line by line.
            let file = File::from(stdout.as_fd().try_clone_to_owned().context("stdout")?);
            (
                None,
                Output::new("stdout", file, stdout.is_terminal()),
                acks.transpose()?,
            )
        }
    };
    let plan = Plan {
        format: if args.envelope || command.is_some() {
            Format::Envelope
        } else {
            Format::Plain
        },
        count: args.count,
        duration: args.duration,
        drain_timeout: args.drain_timeout,
        summary: args.summary.summary,
    };
    Tap::new(sources, output, acks, command, plan, stop, console.clone()).run()
}
