//! Publishes lines of stdin to an MQTT broker.

mod args;
mod clients;
mod compose;
mod descriptors;
mod identity;
mod notice;
mod publisher;
mod run;
mod standstill;
mod teller;

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
    let console = Console::new(
        "mqtt-pub",
        args.messages.level(),
        io::stderr(),
        io::stderr().is_terminal(),
    );
    conclude(&console, |stop| run::run(&args, stop, &console))
}
