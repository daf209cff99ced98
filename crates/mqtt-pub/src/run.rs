//! A run: stdin is published over one session or many, which are closed at the end.

use std::collections::HashSet;
use std::env;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow, bail};
use tapline_contract::schema::Schema;
use tapline_mqtt::{Address, Capacity, Qos, Reactor, Version, check_field, topic};
use tapline_pipe::acks::ACKS_VARIABLE;
use tapline_pipe::console::Console;
use tapline_pipe::io::files::Files;
use tapline_pipe::io::input::{Input, Source};
use tapline_pipe::io::output::unbuffered;
use tapline_pipe::io::stop::Stop;
use tapline_pipe::outcome::COULD_NOT_RUN;
use tapline_pipe::publish::{self, Plan};
use tapline_pipe::template::{Template, Variables};

use crate::args::{Args, applies};
use crate::clients::{Bounds, Clients};
use crate::compose::{Composer, check_headers, check_template, seconds};
use crate::descriptors;
use crate::identity::Identity;
use crate::publisher::{Asks, Publisher};
use crate::teller::Teller;

/// How long one look for the first connection takes.
const LOOK: Duration = Duration::from_millis(50);

/// Of the packets of a handshake, four for each message, brokers look for one among all that are under way: with 4000 of
/// them Mosquitto took 15,000 messages a second, with 100 it took 22,000, with 20 35,000. Fewer wait longer where the
/// broker is far away.
const INFLIGHT_AT_QOS_2: u16 = 100;

/// How long the broker may take for an orderly end of all sessions.
const FAREWELL: Duration = Duration::from_secs(10);

/// Does what the arguments say; the exit code.
pub(crate) fn run(args: &Args, stop: &Stop, console: &Console) -> anyhow::Result<u8> {
    let address: Address = args.address.parse()?;
    applies::check(args, &address.broker)?;
    let composer = composer(args, &address, console)?;
    let acks = args.publish.acks_path(env::var_os(ACKS_VARIABLE));
    let acks = acks.map_err(|error| anyhow!(error))?;
    let stdout = io::stdout();
    let (options, rejects) = (&args.publish, &args.rejects);
    Plan::<File>::check(options, rejects, acks.as_deref(), &stdout, files(args))
        .map_err(|error| anyhow!(error))?;

    let broker = address.broker.to_string();
    let clients = clients(args, &address, console)?;
    let fleet = clients.is_fleet();
    let reporting = args.publish.report.is_some();
    let mut publisher = Publisher::new(clients, composer, broker.clone(), asks(args), reporting);
    if !fleet {
        connect(&mut publisher)?;
    }
    // Only now: a run that can't begin leaves no trace in files.
    let plan = Plan::open(
        options,
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
    let mut input = Input::new(Source::stdin(), args.record.max_record, stop.clone());
    let (summary, ending) = publish::run(&mut publisher, &mut input, plan, console);
    let unorderly = publisher.clients.close(FAREWELL);
    if unorderly > 0 {
        console.warn(if fleet {
            format!("{broker}: the end of {unorderly} sessions was not orderly")
        } else {
            format!("{broker}: the end of the session was not orderly")
        });
    }
    let code = match ending {
        // The last records were rejected for it: no record could be delivered any more.
        Ok(_) if !fleet && let Some(error) = &publisher.ended => {
            console.error(format_args!("{broker}: {error}"));
            COULD_NOT_RUN
        }
        Ok(ending) => ending.exit_code(summary.rejected),
        Err(error) => {
            console.error(error);
            COULD_NOT_RUN
        }
    };
    summary.tell(console, args.summary.summary);
    Ok(code)
}

/// The files that the run reads.
fn files(args: &Args) -> Files {
    let mut files = Files::default();
    files.reads_from("stdin", io::stdin());
    if let Some(path) = &args.schema {
        files.reads("--schema", path);
    }
    files
}

/// What the arguments say of every message; warns of topics, also those of will and birth, that are seldom meant.
fn composer(args: &Args, address: &Address, console: &Console) -> anyhow::Result<Composer> {
    if address.topic.is_none() && !args.publish.envelope {
        address.require_topic()?;
    }
    let topic: Option<Template> = address.topic.as_deref().map(str::parse).transpose()?;
    let topics = [
        (&topic, "the topic of the address"),
        (&args.response_topic, "--response-topic"),
        (&args.will.topic, "--will-topic"),
        (&args.birth.topic, "--birth-topic"),
    ];
    for (template, name) in topics {
        let Some(template) = template else { continue };
        check_template(template).context(name)?;
        template
            .require_envelope(args.publish.envelope)
            .context(name)?;
        for oddity in topic::oddities(&template.filled("field")) {
            console.warn(format_args!("{name}: {}", oddity.describe()));
        }
    }
    check_headers(&args.headers).context("--header")?;
    let headers = args.headers.iter();
    let headers = headers.map(|(_, template)| ("--header", template));
    let data = args.correlation_data.iter();
    for (name, template) in headers.chain(data.map(|data| ("--correlation-data", data))) {
        template
            .require_envelope(args.publish.envelope)
            .context(name)?;
    }
    check_field(args.content_type.as_deref().unwrap_or_default()).context("--content-type")?;
    if args.connect.mqtt_version == Version::V311 && args.publish.envelope {
        console.warn("MQTT 3.1.1 has no properties: those of the envelopes are not sent");
    }
    let validator = match &args.schema {
        Some(path) => Some(Schema::from_file(path, &[])?.validator()),
        None => None,
    };
    Ok(Composer {
        topic,
        qos: args.qos,
        retain: args.retain,
        headers: args.headers.clone(),
        response_topic: args.response_topic.clone(),
        correlation_data: args.correlation_data.clone(),
        content_type: args.content_type.clone(),
        message_expiry: args.message_expiry.map(seconds),
        validator,
        known_topics: HashSet::new(),
        text: String::new(),
    })
}

/// Whether messages may go at QoS 2: with envelopes each has its own.
fn may_be_exactly_once(args: &Args) -> bool {
    let records = match args.qos {
        Some(qos) => qos == Qos::ExactlyOnce,
        None => args.publish.envelope,
    };
    records || args.birth.qos == Qos::ExactlyOnce
}

/// No client yet, and what they will be.
pub(crate) fn clients(
    args: &Args,
    address: &Address,
    console: &Console,
) -> anyhow::Result<Clients> {
    let identity = Identity::new(args)?;
    if let (Some(delay), Some(expiry)) = (args.will_delay, args.connect.session_expiry)
        && expiry < delay
    {
        console.warn(
            "--will-delay: the will is published when the session ends, after --session-expiry",
        );
    }
    let password = env::var("MQTT_PASSWORD").ok();
    let broker = address.broker.clone();
    let mut options = args
        .connect
        .options(broker, "mqtt-pub", args.connect_timeout, password)?;
    if let Some(inflight) = args.inflight {
        options.inflight = inflight;
    } else if args.qos == Some(Qos::ExactlyOnce) {
        options.inflight = INFLIGHT_AT_QOS_2;
    }
    // A session that the broker has kept from an earlier run may have identifiers of this run's first messages in
    // use: it would take those for the old ones, acknowledge them and pass on nothing [MQTT-4.3.3-10].
    options.clean_start |= may_be_exactly_once(args);
    let reactor = Reactor::start(Capacity::default()).context("a thread for the connections")?;
    let teller = Teller::new(console.clone(), address.broker.to_string());
    let bounds = bounds(args);
    Ok(Clients::new(reactor, options, identity, bounds, teller))
}

fn bounds(args: &Args) -> Bounds {
    let (mut clients, mut because) = (1, "there are");
    if args.client_per.is_some() {
        clients = descriptors::make_room(args.max_clients);
        because = if clients < args.max_clients {
            "the limit of open files allows (ulimit -n)"
        } else {
            "--max-clients allows"
        };
    }
    // A lost broker is to be noticed first.
    let standstill = args.client_timeout.max(args.connect.keep_alive * 2);
    Bounds {
        clients,
        because,
        standstill,
        retry: args.client_retry,
    }
}

fn asks(args: &Args) -> Asks {
    Asks {
        qos: match args.qos {
            // With envelopes the records may ask for less.
            None if args.publish.envelope => Qos::AtMostOnce,
            qos => qos.unwrap_or(Qos::AtLeastOnce),
        },
        retain: args.retain,
    }
}

/// Makes the only connection before any record is read.
fn connect(publisher: &mut Publisher) -> anyhow::Result<()> {
    // Without `--client-per` there is nothing of a record in it.
    let nothing = Variables {
        value: None,
        envelope: None,
    };
    if let Err(why) = publisher.clients.place(&nothing) {
        bail!("{}", why.detail);
    }
    while !publisher.prove(LOOK).map_err(|error| anyhow!(error))? {}
    Ok(())
}
