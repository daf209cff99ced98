//! The arguments of mqtt-pub; the doc comments are its manual.

#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "doc comments here are the text of --help"
)]

pub(crate) mod applies;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser};
use tapline_mqtt::args::ConnectArgs;
use tapline_mqtt::{Properties, Qos};
use tapline_pipe::args::{MessageArgs, PublishArgs, RecordArgs, RejectArgs, SummaryArgs};
use tapline_pipe::template::{Template, parse_named};
use tapline_pipe::units::parse_duration;

use crate::notice::Notice;

/// Publish lines of stdin to an MQTT broker
///
/// Each line is a message, byte for byte. It counts as delivered when the broker has acknowledged it (at
/// QoS 0: when it is written), and the exit code tells the truth: 0 all delivered; 1 some were not; 2 it could
/// not run; 130, 143 stopped by SIGINT, SIGTERM after the drain. A connection that breaks is replaced, and what
/// was not acknowledged is sent again; meanwhile stdin is not read further than the queue is long. A message at
/// which the broker hangs up five times in a row, while it answers otherwise, is rejected; one that the broker can't
/// take now (reason code 0x97, Quota exceeded) is sent again for up to a minute, before all behind it, and rejected then.
///
/// Example, one topic for each generator:
///
///   mqtt-pub mqtt://localhost/emergency_generator/{generatorID} < readings.ndjson
///
/// Example, from one broker to another, below a level of its own:
///
///   topic-tap 'mqtt://edge/#' -- mqtt-pub 'mqtt://core/site7/{+$topic}'
#[derive(Debug, Parser)]
#[command(version, name = "mqtt-pub", max_term_width = 100)]
pub(crate) struct Args {
    /// Where to: mqtt://host[:1883]/topic, mqtts://host[:8883]/topic, ws://host[:80]/topic, wss://host[:443]/topic
    ///
    /// In the topic {field} is the text of a field of the record: a top-level name ({generatorID}) or a JSON
    /// Pointer ({/site/id}); {{ is a brace. A record whose field is missing, is not a scalar or holds / + # or
    /// NUL is rejected; {+field} lets a topic with its levels through. With --envelope the topic may be left out: then
    /// it is that of each envelope; and {$topic}, {$topic/1} (a level, from 0), {$key}, {$header:NAME}, {$timestamp},
    /// {$partition}, {$offset} and {$qos} are members of the envelope, as in every option with {fields}: where the
    /// value came from, which need not be JSON for them (docs/templates.md).
    /// Credentials are no part of an address: see --username.
    #[arg(value_name = "ADDRESS")]
    pub(crate) address: String,

    /// Quality of service: 0, 1 or 2 [default: 1; with --envelope that of the record, where it has one]
    ///
    /// At 2 a run begins with an empty session also where --session-expiry has had an older one kept: what that has
    /// under way at the broker could be taken for messages of this run.
    #[arg(long, value_name = "QOS", help_heading = "Messages to the broker")]
    pub(crate) qos: Option<Qos>,

    /// Have the broker keep the last message of each topic for later subscribers; with --envelope also where
    /// the record says so
    #[arg(long, help_heading = "Messages to the broker")]
    pub(crate) retain: bool,

    /// Add a user property, from a text with {fields}; can be repeated; needs MQTT 5
    #[arg(short = 'H', long = "header", value_name = "NAME=TEMPLATE", value_parser = parse_named, help_heading = "Messages to the broker")]
    pub(crate) headers: Vec<(String, Template)>,

    /// Content type of the messages, such as application/json; needs MQTT 5
    #[arg(long, value_name = "TYPE", help_heading = "Messages to the broker")]
    pub(crate) content_type: Option<String>,

    /// How long the broker keeps a message for a subscriber that is away, in whole seconds; needs MQTT 5
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Messages to the broker")]
    pub(crate) message_expiry: Option<Duration>,

    /// Where an answer to the message is wanted, a topic with {fields}; needs MQTT 5
    #[arg(long, value_name = "TEMPLATE", help_heading = "Messages to the broker")]
    pub(crate) response_topic: Option<Template>,

    /// What tells whoever wants an answer which message it is for, a text with {fields}; needs MQTT 5
    #[arg(long, value_name = "TEMPLATE", help_heading = "Messages to the broker")]
    pub(crate) correlation_data: Option<Template>,

    /// Check each record against this JSON Schema first; one that doesn't conform is rejected
    #[arg(short, long, value_name = "FILE", help_heading = "Records")]
    pub(crate) schema: Option<PathBuf>,

    /// Messages of QoS 1 and 2 that may be unacknowledged at a time; the broker may ask for fewer [default: 4000;
    /// with --qos 2: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Delivery")]
    pub(crate) inflight: Option<u16>,

    /// How long the first connection may take, until the broker has answered
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "10s", help_heading = "MQTT")]
    pub(crate) connect_timeout: Duration,

    #[command(flatten)]
    pub(crate) connect: ConnectArgs,

    /// Open a connection for each value of FIELD, as so many devices would, each with a client identifier and a
    /// last will of its own
    ///
    /// FIELD may also be a template with {fields}. The client identifier is --client-id [here: mqtt-pub-] and
    /// the value behind it. A connection is opened by the first record that needs it, is kept alive while its
    /// device is idle, and is replaced when it breaks; the order of each device's records is kept. If the
    /// first connection of all can't be made, mqtt-pub ends with 2. Later a client that the broker doesn't let
    /// in, or that it hangs up on for good, takes no other with it: its records are rejected, and after
    /// --client-retry it is tried again (not after another client took its identifier over). With --checkpoint or acks
    /// the run ends with 2 at the first record that is given up because its client is stuck or was lost:
    /// nothing behind it can be vouched for.
    #[arg(long, value_name = "FIELD", value_parser = Template::field_or_template, help_heading = "Fleet")]
    pub(crate) client_per: Option<Template>,

    /// Most connections; records that would need another are rejected
    ///
    /// A device that has failed keeps its place, unless the broker has never let it in. Each takes an open file:
    /// the soft limit (ulimit -n) is raised as far as the hard one allows.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = parse_clients, requires = "client_per", help_heading = "Fleet")]
    pub(crate) max_clients: usize,

    /// How long a client may get no acknowledgement while others get on; then it is hung up and its records are
    /// rejected
    ///
    /// Records are settled in the order of the input, and those behind a record that is not acknowledged
    /// wait for it in memory, up to 65,536 of them or 32 MiB; of all clients together at most 20,000 messages
    /// or 16 MiB are unacknowledged. Then nothing more is read, so that one device that is stuck holds up all,
    /// but not for longer than this. Only time counts in which others get acknowledgements, or are done: while
    /// all are stuck nobody is given up. It is at least twice --keep-alive, or twice what the broker wants
    /// instead.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "2m", requires = "client_per", help_heading = "Fleet")]
    pub(crate) client_timeout: Duration,

    /// How long the records of a client that has failed are rejected before the next one opens it again
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "1m", requires = "client_per", help_heading = "Fleet")]
    pub(crate) client_retry: Duration,

    #[command(flatten)]
    pub(crate) will: WillArgs,

    /// How long the broker waits for a new connection before it publishes the will; needs MQTT 5
    #[arg(long, value_name = "TIME", value_parser = parse_duration, requires = "will_topic", help_heading = "Last will")]
    pub(crate) will_delay: Option<Duration>,

    /// Add a user property to the last will, from a text with {fields}; can be repeated; needs MQTT 5
    #[arg(long, value_name = "NAME=TEMPLATE", value_parser = parse_named, requires = "will_topic", help_heading = "Last will")]
    pub(crate) will_header: Vec<(String, Template)>,

    /// Content type of the last will; needs MQTT 5
    #[arg(
        long,
        value_name = "TYPE",
        requires = "will_topic",
        help_heading = "Last will"
    )]
    pub(crate) will_content_type: Option<String>,

    /// How long the broker keeps the last will for a subscriber that is away, in whole seconds; needs MQTT 5
    #[arg(long, value_name = "TIME", value_parser = parse_duration, requires = "will_topic", help_heading = "Last will")]
    pub(crate) will_expiry: Option<Duration>,

    #[command(flatten)]
    pub(crate) birth: BirthArgs,

    #[command(flatten)]
    pub(crate) record: RecordArgs,

    #[command(flatten)]
    pub(crate) publish: PublishArgs,

    #[command(flatten)]
    pub(crate) rejects: RejectArgs,

    #[command(flatten)]
    pub(crate) summary: SummaryArgs,

    #[command(flatten)]
    pub(crate) messages: MessageArgs,

    /// Which of the options were typed.
    #[arg(skip)]
    pub(crate) typed: tapline_pipe::applies::Typed,
}

/// The options of a message of a client about itself, whose names begin with a prefix.
macro_rules! notice_args {
    ($name:ident, $prefix:literal, $heading:literal, $what:literal, $(#[$topic:meta])+) => {
        #[derive(ClapArgs, Debug)]
        pub(crate) struct $name {
            $(#[$topic])+
            #[arg(id = concat!($prefix, "_topic"), long = concat!($prefix, "-topic"), value_name = "TOPIC", help_heading = $heading)]
            pub(crate) topic: Option<Template>,

            #[arg(id = concat!($prefix, "_payload"), long = concat!($prefix, "-payload"), value_name = "TEMPLATE", requires = concat!($prefix, "_topic"), help_heading = $heading, help = concat!("Payload of the ", $what, " [default: empty]"))]
            payload: Option<Template>,

            #[arg(id = concat!($prefix, "_qos"), long = concat!($prefix, "-qos"), value_name = "QOS", default_value_t = Qos::AtMostOnce, requires = concat!($prefix, "_topic"), help_heading = $heading, help = concat!("Quality of service of the ", $what, ": 0, 1 or 2"))]
            pub(crate) qos: Qos,

            #[arg(id = concat!($prefix, "_retain"), long = concat!($prefix, "-retain"), requires = concat!($prefix, "_topic"), help_heading = $heading, help = concat!("Have the broker keep the ", $what, " for later subscribers"))]
            retain: bool,
        }

        impl $name {
            /// What these options say, if there is to be such a message.
            pub(crate) fn notice(&self) -> Option<Notice> {
                Some(Notice {
                    topic: self.topic.clone()?,
                    payload: self.payload.clone(),
                    qos: self.qos,
                    retain: self.retain,
                    headers: Vec::new(),
                    properties: Properties::default(),
                })
            }
        }
    };
}

notice_args!(
    WillArgs,
    "will",
    "Last will",
    "last will",
    /// Topic of the last will: the broker publishes it if this process or its link dies, and not after an
    /// orderly end
    ///
    /// With --client-per it may hold {fields}, and so may the payload: those of the record that the client was
    /// opened for. {{ is a brace.
);

notice_args!(
    BirthArgs,
    "birth",
    "Birth message",
    "birth message",
    /// Topic of a birth message: it is published first on each connection, those that replace one included, so
    /// that it undoes what a last will has said
    ///
    /// It is no record: it isn't counted. With --client-per it may hold {fields}, and so may the payload.
);

fn parse_clients(text: &str) -> Result<usize, &'static str> {
    let number = text.parse().ok().filter(|&number| number > 0);
    number.ok_or("a number from 1 up")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_groups_fit_together() {
        Args::command().debug_assert();
    }
}
