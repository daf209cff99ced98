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

use tapline_pipe::console::Console;
use tapline_pipe::outcome::conclude;

use crate::args::Args;

fn main() -> ExitCode {
    let args = Args::get();
    let terminal = io::stderr().is_terminal();
    let level = args.messages.level();
    let console = Console::new("schema-check", level, io::stderr(), terminal);
    conclude(&console, |stop| run::run(&args, stop, &console))
}
