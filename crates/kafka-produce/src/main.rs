//! `kafka-produce` produces lines of stdin to a Kafka topic.

mod args;
mod compose;
mod publisher;
mod run;
mod stamp;
mod time;
mod transaction;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use tapline_pipe::acks::ACKS_VARIABLE;
use tapline_pipe::console::Console;
use tapline_pipe::outcome::conclude;

use args::Args;

fn main() -> ExitCode {
    let mut args = Args::get();
    // What runs under topic-tap reads envelopes.
    args.publish
        .heed(std::env::var_os(ACKS_VARIABLE).as_deref());
    let terminal = io::stderr().is_terminal();
    let console = Console::new(
        "kafka-produce",
        args.messages.level(),
        io::stderr(),
        terminal,
    );
    conclude(&console, |stop| run::run(&args, stop, &console))
}
