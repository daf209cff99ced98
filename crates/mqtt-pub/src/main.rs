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

use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;

use tapline_pipe::acks::ACKS_VARIABLE;
use tapline_pipe::console::Console;
use tapline_pipe::outcome::conclude;
use tapline_pipe::terminal::Terminal;

use args::Args;

fn main() -> ExitCode {
    let mut args = Args::get();
    // What runs under topic-tap reads envelopes.
    args.publish
        .heed(std::env::var_os(ACKS_VARIABLE).as_deref());
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let terminal = Terminal::of(
        io::stderr(),
        Some(stdin.as_fd()),
        args.publish.tee.then_some(stdout.as_fd()),
    );
    let console = Console::on("mqtt-pub", args.messages.level(), io::stderr(), terminal);
    conclude(&console, |stop| run::run(&args, stop, &console))
}
