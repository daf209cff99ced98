//! Emits NDJSON readings of a fleet of emergency generators, or replays a recording.

mod args;
mod calendar;
mod dice;
mod emit;
mod fleet;
mod generator;
mod machine;
mod moment;
mod replay;
mod run;
mod towns;
mod weather;

use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;

use tapline_pipe::console::Console;
use tapline_pipe::outcome::conclude;
use tapline_pipe::terminal::Terminal;

use args::Args;

fn main() -> ExitCode {
    let args = Args::get();
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let terminal = Terminal::of(
        io::stderr(),
        args.reads_stdin().then_some(stdin.as_fd()),
        Some(stdout.as_fd()),
    );
    let console = Console::on("gen-sim", args.messages.level(), io::stderr(), terminal);
    conclude(&console, |stop| run::run(&args, stop, &console))
}
