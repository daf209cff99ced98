//! The command line of dev-brokers.

use std::ffi::OsString;

use clap::{Parser, value_parser};
use tapline_pipe::{args::MessageArgs, units::parse_size};

/// An MQTT broker, a Kafka cluster and a schema registry in one process, for a laptop
///
/// Without a command it prints their addresses as shell assignments, one a line, and runs until
/// SIGINT or SIGTERM. With a command it waits until they are ready, runs the command with the
/// addresses in its environment, and ends with it, with its exit code:
///
///     MQTT_URL='mqtt://127.0.0.1:40001'
///     KAFKA_URL='kafka://127.0.0.1:40002,127.0.0.1:40003,127.0.0.1:40004'
///     SCHEMA_REGISTRY_URL='http://127.0.0.1:40005'
///
/// All of it is on loopback and in memory, without users and TLS, and gone at the end. It is for a
/// demonstration, quick tests and getting to know the tools; it is no place for data.
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment)]
pub(crate) struct Args {
    /// The MQTT broker's port [default: a free one]
    ///
    /// One port for MQTT 3.1.1 and 5.
    #[arg(long, value_name = "PORT", value_parser = value_parser!(u16).range(1..))]
    pub(crate) mqtt_port: Option<u16>,

    /// How many bytes of messages the MQTT broker keeps for each subscribed filter
    ///
    /// A subscriber that falls further behind loses the oldest messages, and a line on stderr says
    /// so. Small messages take up to four times their size in memory.
    #[arg(long, value_name = "SIZE", default_value = "128MiB", value_parser = parse_size)]
    pub(crate) mqtt_buffer: usize,

    /// The schema registry's port [default: a free one]
    #[arg(long, value_name = "PORT", value_parser = value_parser!(u16).range(1..))]
    pub(crate) registry_port: Option<u16>,

    /// How many Kafka brokers there are
    ///
    /// Each chooses a free port; that can't be changed.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u16).range(1..=16))]
    pub(crate) kafka_brokers: u16,

    /// A Kafka topic to create, with 4 partitions or as many as it says (repeatable)
    ///
    /// A topic that isn't created so appears, with 4 partitions, when a producer names it. The
    /// cluster keeps the newest 5 MB of each partition: for more records, take more partitions, or
    /// consume while you produce.
    #[arg(long = "topic", value_name = "NAME[:PARTITIONS]", value_parser = parse_topic)]
    pub(crate) topics: Vec<Topic>,

    #[command(flatten)]
    pub(crate) messages: MessageArgs,

    /// The command to run, after `--`
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// A Kafka topic to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) partitions: u16,
}

fn parse_topic(text: &str) -> Result<Topic, String> {
    let (name, partitions) = match text.split_once(':') {
        None => (text, 4),
        Some((name, count)) => {
            let count = count
                .parse()
                .ok()
                .filter(|count| (1..=1000).contains(count));
            (name, count.ok_or("the number of partitions is 1 to 1000")?)
        }
    };
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() || name.len() > 249 || matches!(name, "." | "..") || !name.bytes().all(legal)
    {
        return Err("a topic's name is 1 to 249 letters, digits, '.', '_' and '-'".into());
    }
    Ok(Topic {
        name: name.into(),
        partitions,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use tapline_pipe::applies;

    /// Each option applies to each run.
    const TABLE: &[(&str, &[&str])] = &[(
        "always",
        &[
            "mqtt_port",
            "mqtt_buffer",
            "registry_port",
            "kafka_brokers",
            "topics",
            "quiet",
            "verbose",
            "command",
        ],
    )];

    #[test]
    fn each_option_says_when_it_applies() {
        assert_eq!(
            applies::faults(&Args::command(), TABLE),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_topic_is_a_name_and_a_number_of_partitions() {
        let topic = |name: &str, partitions| {
            Ok(Topic {
                name: name.into(),
                partitions,
            })
        };
        assert_eq!(
            parse_topic("emergency_generator"),
            topic("emergency_generator", 4)
        );
        assert_eq!(parse_topic("a.b-c:12"), topic("a.b-c", 12));
        for bad in [
            "", ":3", "a:", "a:0", "a:1001", "a:x", "a b", "ü", ".", "..", "a/b", "a:1:2",
        ] {
            assert!(parse_topic(bad).is_err(), "{bad}");
        }
        assert!(parse_topic(&"a".repeat(250)).is_err());
    }
}
