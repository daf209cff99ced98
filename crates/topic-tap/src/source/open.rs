//! From addresses to open sources.

use anyhow::{Context, Result, bail};
use tapline_pipe::{console::Console, io::stop::Stop};

use super::{Source, kafka, mqtt};
use crate::args::{
    Args,
    applies::{self, Protocol},
};

/// Connects to all addresses of the arguments.
///
/// # Errors
///
/// An address that is none, or a broker that can't be reached.
pub fn open(args: &Args, stop: &Stop, console: &Console) -> Result<Vec<Source>> {
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
    let protocol = |address: &Address| match address {
        Address::Kafka(_) => Protocol::Kafka,
        Address::Mqtt(filters) => Protocol::Mqtt(filters[0].broker.scheme),
    };
    let protocols: Vec<_> = addresses.iter().map(protocol).collect();
    applies::check(args, &protocols)?;
    let range = kafka::Range::of(&args.range)?;
    let mut sources = Vec::new();
    for address in &addresses {
        sources.push(match address {
            Address::Kafka(address) => Source::Kafka(Box::new(kafka::Source::open(
                address, args, range, stop, console,
            )?)),
            Address::Mqtt(filters) => Source::Mqtt(mqtt::Source::open(filters, args, console)?),
        });
    }
    Ok(sources)
}

/// Whether an address is one of Kafka, right or wrong.
pub fn is_kafka(address: &str) -> bool {
    let scheme = address.get(..6);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("kafka:"))
}
