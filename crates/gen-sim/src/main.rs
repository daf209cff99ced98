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

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use tapline_pipe::console::Console;
use tapline_pipe::outcome::conclude;

use args::Args;

fn main() -> ExitCode {
    let args = Args::get();
    let console = Console::new(
        "gen-sim",
        args.messages.level(),
        io::stderr(),
        io::stderr().is_terminal(),
    );
    conclude(&console, |stop| run::run(&args, stop, &console))
}
