//! Sources: the addresses that are tapped, whatever their protocol.

use std::{ops::ControlFlow, time::Duration};

use anyhow::{Context, Result, bail};
use tapline_pipe::{console::Console, stop::Stop};

use crate::{args::Args, kafka, line::Arrived, mqtt, pending::Mark};

/// So many records are taken from a source before another has its turn.
pub const TURN: usize = 512;

/// An address that is tapped.
pub enum Source {
    /// Topics on Kafka.
    Kafka(Box<kafka::Source>),
    /// Filters on an MQTT broker.
    Mqtt(mqtt::Source),
}

/// What a look at a source gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Records, and there may be more.
    Records,
    /// Nothing within the time.
    Nothing,
    /// Nothing, now and for ever.
    End,
}

/// Takes a record with what acknowledges it, and says whether it wants more.
pub type Take<'a> = dyn FnMut(Arrived<'_>, Option<Mark>) -> ControlFlow<()> + 'a;

/// Connects to all addresses of the arguments.
///
/// # Errors
///
/// An address that is none, or a broker that can't be reached.
pub fn open(args: &Args, console: &Console, stop: &Stop) -> Result<Vec<Source>> {
    // All addresses are looked at before the first connection is made.
    enum Address {
        Kafka(tapline_kafka::Address),
        /// Filters of one broker: they share a session, as they share the client identifier.
        Mqtt(Vec<tapline_mqtt::Address>),
    }
    let mut addresses = Vec::new();
    for text in &args.addresses {
        if is_kafka(text) {
            addresses.push(Address::Kafka(text.parse()?));
            continue;
        }
        let address: tapline_mqtt::Address = text
            .parse()
            .context("neither kafka:// nor an MQTT address")?;
        let known = addresses.iter_mut().find_map(|other| match other {
            Address::Mqtt(filters) if filters[0].broker == address.broker => Some(filters),
            _ => None,
        });
        match known {
            Some(filters) => filters.push(address),
            None => addresses.push(Address::Mqtt(vec![address])),
        }
    }
    let is_mqtt = |address: &Address| matches!(address, Address::Mqtt(_));
    if let Some(option) = args.range.end_option()
        && addresses.iter().any(is_mqtt)
    {
        bail!("{option}: an MQTT topic has no end; use --count or --duration");
    }
    if let Some(option) = args.kafka_option()
        && addresses.iter().all(is_mqtt)
    {
        bail!("{option} is for Kafka, and no address is Kafka's");
    }
    if let Some(option) = args.mqtt_option()
        && !addresses.iter().any(is_mqtt)
    {
        bail!("{option} is for MQTT, and no address is MQTT's");
    }
    let is_tls = |address: &Address| match address {
        Address::Mqtt(filters) => filters[0].broker.scheme.is_tls(),
        Address::Kafka(_) => false,
    };
    if let Some(option) = args.mqtt.tls_option()
        && !addresses.iter().any(is_tls)
    {
        bail!("{option} is for mqtts and wss, and no address is one of them");
    }
    let range = kafka::Range::of(&args.range)?;
    let mut sources = Vec::new();
    for address in &addresses {
        sources.push(match address {
            Address::Kafka(address) => Source::Kafka(Box::new(kafka::Source::open(
                address, args, range, console,
            )?)),
            Address::Mqtt(filters) => {
                Source::Mqtt(mqtt::Source::open(filters, args, console, stop)?)
            }
        });
    }
    Ok(sources)
}

/// Whether an address is one of Kafka, right or wrong.
pub fn is_kafka(address: &str) -> bool {
    let scheme = address.get(..6);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("kafka:"))
}

impl Source {
    /// Gives what has arrived to `take`, for one turn; waits at most `wait` for the first record.
    ///
    /// # Errors
    ///
    /// The source can't go on.
    pub fn poll(&mut self, wait: Duration, take: &mut Take<'_>) -> Result<Found> {
        match self {
            Self::Kafka(source) => source.poll(wait, take),
            Self::Mqtt(source) => source.poll(wait, take),
        }
    }

    /// Notes that a record is safe, and all of this source before it.
    pub fn acknowledge(&mut self, mark: Mark) {
        match (self, mark) {
            (Self::Kafka(source), Mark::Kafka(topic, partition, offset)) => {
                source.acknowledge(topic, partition, offset);
            }
            (Self::Mqtt(source), Mark::Mqtt(place)) => source.acknowledge(place),
            _ => unreachable!("marks come back to the source that made them"),
        }
    }

    /// Passes on to the broker what was noted, now or, where that is dear, after a while.
    ///
    /// # Errors
    ///
    /// The broker doesn't take it.
    pub fn pass_on(&mut self) -> Result<()> {
        match self {
            Self::Kafka(source) => source.pass_on(),
            Self::Mqtt(source) => {
                source.pass_on();
                Ok(())
            }
        }
    }

    /// Keeps the connection while nothing can be taken: stdout is blocked for so long now.
    ///
    /// # Errors
    ///
    /// The source can't go on.
    pub fn keep_alive(&mut self, blocked: Duration) -> Result<()> {
        match self {
            Self::Kafka(source) => source.keep_alive(blocked),
            // Its session has a thread of its own.
            Self::Mqtt(_) => Ok(()),
        }
    }

    /// Takes records again after [`keep_alive`](Self::keep_alive).
    ///
    /// # Errors
    ///
    /// The source can't go on.
    pub fn go_on(&mut self) -> Result<()> {
        match self {
            Self::Kafka(source) => source.resume(),
            Self::Mqtt(_) => Ok(()),
        }
    }

    /// Ends the connection in order, after passing on what was noted.
    ///
    /// # Errors
    ///
    /// The broker doesn't take what was noted.
    pub fn close(self, wait: Duration) -> Result<()> {
        match self {
            Self::Kafka(source) => source.close(),
            Self::Mqtt(source) => source.close(wait),
        }
    }
}
