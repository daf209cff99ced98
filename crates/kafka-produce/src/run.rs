//! A run: the contract is read, the brokers are reached, stdin is published.

use std::env;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, anyhow, bail};
use tapline_kafka::{
    Address, ClientError, Producer, ProducerOptions, Settings, console_sink, topics,
};
use tapline_pipe::acks::ACKS_VARIABLE;
use tapline_pipe::console::Console;
use tapline_pipe::io::files::Files;
use tapline_pipe::io::input::{Input, Source};
use tapline_pipe::io::output::unbuffered;
use tapline_pipe::io::stop::Stop;
use tapline_pipe::outcome::COULD_NOT_RUN;
use tapline_pipe::publish::{self, Plan};
use tapline_pipe::template::Template;

use crate::args::{Args, Codec, applies};
use crate::compose::Composer;
use crate::destinations::{self, Destinations};
use crate::publisher::{Publisher, Topics};
use crate::stamp::Stamp;
use crate::transaction::Transactions;

/// How long a record waits for others. What brokers have to do goes by batches, and many partitions share a stream: with
/// 20 ms a million readings took a quarter longer on twelve partitions, with 500 ms the queue was full before they left.
const LINGER: Duration = Duration::from_millis(60);

/// The same where acknowledgements go back to a tap: it may have only a few records under way (20 are usual for MQTT), all of
/// them waiting here.
const LINGER_FOR_ACKS: Duration = Duration::from_millis(5);

/// Does what the arguments say; the exit code.
pub(crate) fn run(args: &Args, stop: &Stop, console: &Console) -> anyhow::Result<u8> {
    let (address, template) = Address::with_template(&args.address)?;
    let template = template.map(|text| destinations::parse(&text));
    let template = template.transpose().context("the topic of the address")?;
    let topic = match &template {
        None => Some(address.topic_name()?),
        Some(_) => None,
    };
    applies::check(args, template.is_some())?;
    check_templates(args, template.as_ref())?;
    let settings = args.kafka.settings(&address, console_sink(console))?;
    if let Some(unchecked) = settings.properties().unchecked_tls() {
        console.warn(unchecked);
    }
    let acks = args.publish.acks_path(env::var_os(ACKS_VARIABLE));
    let acks = acks.map_err(|error| anyhow!(error))?;
    let stdout = io::stdout();
    let (publish, rejects) = (&args.publish, &args.rejects);
    Plan::<File>::check(publish, rejects, acks.as_deref(), &stdout, files(args))
        .map_err(|error| anyhow!(error))?;
    let stamp = Stamp::open(
        args,
        topic,
        |variable| env::var(variable).ok(),
        stop,
        console,
    )?;
    let linger = if acks.is_some() {
        LINGER_FOR_ACKS
    } else {
        LINGER
    };
    let producer = connect(args, topic, &settings, linger, console)?;
    let topics = match topic {
        Some(topic) => Topics::One(topic.into()),
        None => Topics::Chosen(
            Destinations::new(args, &settings, console).context("a thread that looks topics up")?,
        ),
    };
    console.verbose(format_args!("{address}: connected"));

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

    stop.defer(args.publish.drain_timeout)
        .context("a thread for the deadline")?;
    let mut publisher = Publisher::new(
        producer,
        topics,
        Composer::new(args, template, stamp),
        args.transaction
            .is_some()
            .then(|| Transactions::of(args.transaction_size)),
    );
    let mut input = Input::new(Source::stdin(), args.record.max_record, stop.clone());
    let (summary, ending) = publish::run(&mut publisher, &mut input, plan, console);
    let code = match ending {
        Ok(ending) => ending.exit_code(summary.rejected),
        Err(error) => {
            console.error(error);
            COULD_NOT_RUN
        }
    };
    summary.tell(console, args.summary.summary);
    Ok(code)
}

/// What the templates name must be there.
fn check_templates(args: &Args, topic: Option<&Template>) -> anyhow::Result<()> {
    let topic = topic.map(|template| ("the topic of the address", template));
    let headers = args
        .headers
        .iter()
        .map(|(_, template)| ("--header", template));
    let key = args.key.iter().map(|template| ("--key", template));
    for (option, template) in topic.into_iter().chain(key).chain(headers) {
        template
            .require_envelope(args.publish.envelope)
            .context(option)?;
    }
    Ok(())
}

/// The files that the run reads.
fn files(args: &Args) -> Files {
    let mut files = Files::default();
    files.reads_from("stdin", io::stdin());
    let named = [("--schema", &args.schema), ("--config", &args.kafka.config)];
    for (option, path) in named {
        if let Some(path) = path {
            files.reads(option, path);
        }
    }
    files
}

/// A producer for a topic that was made just now: the broker that it asks may hear of it a little later than the one that
/// was asked before.
fn connect_to_new(
    topic: &str,
    settings: &Settings,
    options: &ProducerOptions,
) -> Result<Producer, ClientError> {
    let start = Instant::now();
    loop {
        match Producer::connect(settings, topic, options) {
            Err(ClientError::UnknownTopic { .. })
                if start.elapsed() < settings.connect_timeout() =>
            {
                thread::sleep(Duration::from_millis(50));
            }
            other => return other,
        }
    }
}

/// A producer for the topic, which is made if that is asked for, or for all topics.
fn connect(
    args: &Args,
    topic: Option<&str>,
    settings: &Settings,
    linger: Duration,
    console: &Console,
) -> anyhow::Result<Producer> {
    let options = ProducerOptions {
        linger,
        delivery_timeout: args.delivery_timeout,
        compression: args.compression.map(Codec::word).map(str::to_owned),
        max_record: args.record.max_record,
        max_record_chosen: args.typed.has("max_record"),
        transaction: args.transaction.clone(),
        keep_keys: args.publish.report.is_some(),
    };
    let Some(topic) = topic else {
        return Ok(Producer::connect(settings, None, &options)?);
    };
    let producer = match Producer::connect(settings, topic, &options) {
        Err(ClientError::UnknownTopic { .. }) if args.create_topic => {
            let made = topics::create(settings, topic, args.partitions, args.replication_factor)?;
            let count = made.partitions.len();
            match args.partitions {
                Some(asked) if usize::from(asked) != count => console.warn(format_args!(
                    "topic '{topic}' was made with {count} partitions: this cluster does not let a client choose"
                )),
                _ => console.info(format_args!("topic '{topic}' was made with {count} partitions")),
            }
            connect_to_new(topic, settings, &options)?
        }
        Err(error @ ClientError::UnknownTopic { .. }) => bail!("{error} (--create-topic makes it)"),
        other => other?,
    };
    let count = producer.topic().map_or(0, |topic| topic.partitions.len());
    if let Some(partition) = args.partition
        && usize::try_from(partition).is_ok_and(|partition| partition >= count)
    {
        bail!(
            "topic '{topic}' has no partition {partition}, but 0 to {}",
            count.saturating_sub(1)
        );
    }
    Ok(producer)
}
