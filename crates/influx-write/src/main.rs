//! `influx-write` writes lines of stdin to InfluxDB, each record one point.

mod args;
mod compose;
mod publisher;
mod run;
mod series;
mod timing;

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
        "influx-write",
        args.messages.level(),
        io::stderr(),
        terminal,
    );
    conclude(&console, |stop| run::run(&args, stop, &console))
}
