//! A run: the session is opened, stdin is published, the session is closed.

use std::collections::HashSet;
use std::env;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tapline_contract::schema::Schema;
use tapline_mqtt::{
    Address, Capacity, Event, Limits, Message, OnEvent, Qos, Reactor, Session, SessionOptions,
    Version, Will, topic,
};
use tapline_pipe::acks::ACKS_VARIABLE;
use tapline_pipe::console::Console;
use tapline_pipe::input::{Input, Source};
use tapline_pipe::outcome::COULD_NOT_RUN;
use tapline_pipe::output::unbuffered;
use tapline_pipe::publish::{self, Plan};
use tapline_pipe::stop::Stop;
use tapline_pipe::template::Template;

use crate::args::Args;
use crate::compose::{Composer, check_template};
use crate::publisher::Publisher;

/// How often the wait for the first connection looks for a signal.
const LOOK: Duration = Duration::from_millis(50);

/// How long the broker may take for an orderly end.
const FAREWELL: Duration = Duration::from_secs(5);

/// Does what the arguments say; the exit code.
pub(crate) fn run(args: &Args, console: &Console) -> anyhow::Result<u8> {
    let stop = Stop::install().context("signals")?;
    let address: Address = args.address.parse()?;
    let composer = composer(args, &address, console)?;
    let options = session_options(args, &address, console)?;
    let stdout = io::stdout();
    let plan = Plan::open(
        &args.publish,
        &args.rejects,
        env::var_os(ACKS_VARIABLE),
        unbuffered(&stdout).context("stdout")?,
        stdout.is_terminal(),
        console,
    )
    .map_err(|error| anyhow!(error))?;

    let broker = address.broker.to_string();
    let reactor = Reactor::start(Capacity::default()).context("a thread for the connection")?;
    let session = reactor.open(options);
    if let Some(code) = wait_connected(&session, &stop).with_context(|| broker.clone())? {
        return Ok(code);
    }
    if let Some(limits) = session.limits() {
        check_limits(args, &limits).with_context(|| broker.clone())?;
    }
    let reporting = args.publish.report.is_some();
    let mut publisher = Publisher::new(reactor, session, composer, reporting);
    let mut input = Input::new(Source::stdin(), args.record.max_record, stop);
    let (summary, ending) = publish::run(&mut publisher, &mut input, plan, console);
    let is_over = publisher.session.failure().is_some();
    if !is_over && !publisher.session.close(FAREWELL) {
        console.warn(format_args!(
            "{broker}: the end of the session was not orderly"
        ));
    }
    let ended = publisher.ended.take();
    let code = match ending {
        // The last records were rejected for it: no record could be delivered any more.
        Ok(_) if let Some(error) = ended => {
            console.error(format_args!("{broker}: {error}"));
            COULD_NOT_RUN
        }
        Ok(ending) => ending.exit_code(summary.rejected),
        Err(error) => {
            if is_over {
                console.error(format_args!("{broker}: {error}"));
            } else {
                console.error(error);
            }
            COULD_NOT_RUN
        }
    };
    summary.tell(console, args.summary.summary);
    Ok(code)
}

/// What the arguments say of every message; warns of topics that are seldom meant.
fn composer(args: &Args, address: &Address, console: &Console) -> anyhow::Result<Composer> {
    if address.topic.is_none() && !args.publish.envelope {
        address.require_topic()?;
    }
    let topic: Option<Template> = address.topic.as_deref().map(str::parse).transpose()?;
    if let Some(template) = &topic {
        check_template(template).context("the topic of the address")?;
    }
    for oddity in address
        .topic
        .as_deref()
        .map(topic::oddities)
        .unwrap_or_default()
    {
        console.warn(format_args!(
            "the topic of the address: {}",
            oddity.describe()
        ));
    }
    if args.connect.mqtt_version == Version::V311 {
        let wants = [
            (!args.headers.is_empty(), "--header"),
            (args.content_type.is_some(), "--content-type"),
            (args.message_expiry.is_some(), "--message-expiry"),
            (args.will_delay.is_some(), "--will-delay"),
        ];
        if let Some((_, option)) = wants.into_iter().find(|(wanted, _)| *wanted) {
            bail!("{option} needs MQTT 5, and --mqtt-version is 3.1.1");
        }
        if args.publish.envelope {
            console.warn("MQTT 3.1.1 has no properties: those of the envelopes are not sent");
        }
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
        content_type: args.content_type.clone(),
        message_expiry: args.message_expiry.map(seconds),
        validator,
        known_topics: HashSet::new(),
        text: String::new(),
    })
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

fn session_options(
    args: &Args,
    address: &Address,
    console: &Console,
) -> anyhow::Result<SessionOptions> {
    let password = env::var("MQTT_PASSWORD").ok();
    let broker = address.broker.clone();
    let mut options = args
        .connect
        .options(broker, "mqtt-pub", args.connect_timeout, password)?;
    options.inflight = args.inflight;
    options.will = will(args)?;
    options.on_event = teller(console.clone(), address.broker.to_string());
    Ok(options)
}

fn will(args: &Args) -> anyhow::Result<Option<Will>> {
    let Some(name) = &args.will_topic else {
        return Ok(None);
    };
    topic::check_name(name).context("--will-topic")?;
    let payload = args.will_payload.clone().unwrap_or_default();
    if payload.len() > usize::from(u16::MAX) {
        bail!("--will-payload: a will has at most 65535 bytes");
    }
    Ok(Some(Will {
        message: Message {
            topic: Arc::from(name.as_str()),
            payload: payload.into(),
            qos: args.will_qos,
            retain: args.will_retain,
            properties: None,
        },
        delay: args.will_delay.unwrap_or_default(),
    }))
}

/// Tells what happens to the connection: each loss once, however many attempts follow.
fn teller(console: Console, broker: String) -> OnEvent {
    let away = AtomicBool::new(false);
    Arc::new(move |event| match event {
        Event::Connected { again: false, .. } => {
            console.verbose(format_args!("{broker}: connected"));
        }
        Event::Connected {
            session_present, ..
        } => {
            away.store(false, Ordering::Relaxed);
            let session = if session_present {
                "the session was kept"
            } else {
                "a new session"
            };
            console.info(format_args!("{broker}: connected again, {session}"));
        }
        Event::Lost { why, retry_in } => {
            let told = away.swap(true, Ordering::Relaxed);
            let message = format!("{broker}: {why}; trying again");
            if told {
                console.verbose(format_args!("{message} in {retry_in:.1?}"));
            } else {
                console.warn(message);
            }
        }
        Event::Downgraded { .. } | Event::Failed(_) | Event::Closed => {}
    })
}

/// Waits for the first connection; an exit code if a signal came first.
fn wait_connected(session: &Session, stop: &Stop) -> anyhow::Result<Option<u8>> {
    loop {
        if let Some(result) = session.wait_connected(LOOK) {
            return result.map(|()| None).map_err(|error| anyhow!("{error}"));
        }
        if let Some(signal) = stop.requested() {
            return Ok(Some(signal.exit_code()));
        }
    }
}

/// What the broker will refuse for each record is said once, before the first.
fn check_limits(args: &Args, limits: &Limits) -> anyhow::Result<()> {
    // With envelopes the records may ask for less.
    let asked = match args.qos {
        None if args.publish.envelope => Qos::AtMostOnce,
        qos => qos.unwrap_or(Qos::AtLeastOnce),
    };
    if asked > limits.maximum_qos {
        bail!(
            "the broker takes no QoS above {}: use --qos",
            limits.maximum_qos
        );
    }
    if args.retain && !limits.retain_available {
        bail!("the broker does not take retained messages (--retain)");
    }
    Ok(())
}
