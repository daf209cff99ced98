//! A run: the database is reached, stdin is written to it.

use std::env;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::time::SystemTime;

use anyhow::{Context, anyhow};
use tapline_influx::args::TOKEN_VARIABLE;
use tapline_influx::writer::Limits;
use tapline_influx::{Address, Client, Settings};
use tapline_pipe::acks::ACKS_VARIABLE;
use tapline_pipe::console::Console;
use tapline_pipe::io::files::Files;
use tapline_pipe::io::input::{Input, Source};
use tapline_pipe::io::output::unbuffered;
use tapline_pipe::io::stop::Stop;
use tapline_pipe::outcome::COULD_NOT_RUN;
use tapline_pipe::publish::{self, Plan};
use tapline_pipe::units::grouped;

use crate::args::{Args, Codec, applies};
use crate::compose::Composer;
use crate::publisher::Publisher;
use crate::timing::Timing;

/// Does what the arguments say; the exit code.
pub(crate) fn run(args: &Args, stop: &Stop, console: &Console) -> anyhow::Result<u8> {
    let address: Address = args.address.parse()?;
    applies::check(args, address.is_tls)?;
    let composer = Composer::new(args, console).map_err(|error| anyhow!(error))?;
    let timing = Timing::new(args, &composer, console).map_err(|error| anyhow!(error))?;
    let acks = args.publish.acks_path(env::var_os(ACKS_VARIABLE));
    let acks = acks.map_err(|error| anyhow!(error))?;
    let stdout = io::stdout();
    let (publish, rejects) = (&args.publish, &args.rejects);
    Plan::<File>::check(publish, rejects, acks.as_deref(), &stdout, files(args))
        .map_err(|error| anyhow!(error))?;
    let client = connect(args, address, console)?;

    // Only now: a run that can't begin leaves no trace in files.
    let plan = Plan::open(
        publish,
        rejects,
        acks.as_deref(),
        unbuffered(&stdout).context("stdout")?,
        stdout.is_terminal(),
        SystemTime::now(),
        console,
    )
    .map_err(|error| anyhow!(error))?;
    stop.defer(publish.drain_timeout)
        .context("a thread for the deadline")?;
    if timing.is_of_field_alone() {
        console
            .info("records of one series and one time become one point, as --timestamp-field says");
    }
    let mut publisher = Publisher::new(
        &client,
        limits(args),
        composer,
        timing,
        args.max_series,
        publish.report.is_some(),
        console,
    )
    .context("a thread for each connection")?;
    let mut input = Input::new(Source::stdin(), args.record.max_record, stop.clone());
    let (summary, ending) = publish::run(&mut publisher, &mut input, plan, console);
    let code = match ending {
        Ok(ending) => ending.exit_code(summary.rejected),
        Err(error) => {
            console.error(error);
            COULD_NOT_RUN
        }
    };
    let repeated = publisher.repeated.map_or(0, |repeated| repeated.count());
    if repeated > 0 {
        console.info(format_args!(
            "{} records at least had series and time of one before: the database keeps the later",
            grouped(repeated)
        ));
    }
    summary.tell(console, args.summary.summary);
    Ok(code)
}

fn limits(args: &Args) -> Limits {
    Limits {
        points: usize::try_from(args.batch_size).unwrap_or(usize::MAX),
        bytes: args.batch_bytes.max(1),
        linger: args.linger,
        in_flight: usize::from(args.inflight),
    }
}

/// The files that the run reads.
fn files(args: &Args) -> Files {
    let mut files = Files::default();
    files.reads_from("stdin", io::stdin());
    if let Some(path) = &args.connect.token_file {
        files.reads("--token-file", path);
    }
    files
}

/// A client for the bucket, which has answered.
fn connect(args: &Args, address: Address, console: &Console) -> anyhow::Result<Client> {
    let token = args.connect.token(env::var(TOKEN_VARIABLE).ok())?;
    if token.is_some() && !address.is_tls && !address.is_loopback() {
        console.warn(format_args!(
            "{address}: the token goes over plain HTTP, where others can read it; influxs:// is TLS"
        ));
    }
    let client = Client::new(&Settings {
        org: args.connect.org.clone(),
        token,
        precision: args.precision,
        gzip: args.compression == Codec::Gzip,
        tls: args.connect.tls(),
        address,
    })?;
    client.connect(args.connect.connect_timeout)?;
    console.verbose(format_args!("{}: connected", client.address()));
    Ok(client)
}
