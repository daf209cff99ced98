//! `schema-check` checks JSON, NDJSON and CSV against a JSON Schema: a report of every error, or a
//! filter that passes what is valid.

mod args;
mod document;
mod judge;
mod lines;
mod run;
mod source;
mod table;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Parser;
use tapline_pipe::console::Console;
use tapline_pipe::outcome::COULD_NOT_RUN;

use crate::args::Args;

fn main() -> ExitCode {
    let args = Args::parse();
    let terminal = io::stderr().is_terminal();
    let level = args.messages.level();
    let console = Console::new("schema-check", level, io::stderr(), terminal);
    let code = run::run(&args, &console).unwrap_or_else(|error| {
        console.error(format_args!("{error:#}"));
        COULD_NOT_RUN
    });
    ExitCode::from(code)
}
