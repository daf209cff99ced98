//! `schema-check` checks JSON, NDJSON and CSV against a JSON Schema: a report of every error, or a
//! filter that passes what is valid.

mod args;
mod cells;
mod document;
mod judge;
mod lines;
mod run;
mod source;
mod table;

use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;

use tapline_pipe::console::Console;
use tapline_pipe::outcome::conclude;
use tapline_pipe::terminal::Terminal;

use crate::args::Args;

fn main() -> ExitCode {
    let args = Args::get();
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let terminal = Terminal::of(
        io::stderr(),
        args.reads_stdin().then_some(stdin.as_fd()),
        Some(stdout.as_fd()),
    );
    let console = Console::on(
        "schema-check",
        args.messages.level(),
        io::stderr(),
        terminal,
    );
    conclude(&console, |stop| run::run(&args, stop, &console))
}
