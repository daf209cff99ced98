//! `kafka-produce` produces lines of stdin to a Kafka topic.

mod args;
mod compose;
mod destinations;
mod publisher;
mod run;
mod stamp;
mod transaction;

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
    let console = Console::on(
        "kafka-produce",
        args.messages.level(),
        io::stderr(),
        terminal,
    );
    conclude(&console, |stop| run::run(&args, stop, &console))
}
