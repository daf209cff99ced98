//! When each option applies: for which protocol, and whether anything is tapped.

use anyhow::Result;
use clap::CommandFactory;
use tapline_mqtt::{Scheme, Version};
use tapline_pipe::applies;

use super::Args;

/// When an option applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// In each run, or where another option says so (clap's `requires`, `conflicts_with`).
    Always,
    /// Where records are tapped, of either protocol.
    Tapping,
    /// With an address of Kafka.
    Kafka,
    /// With an address of Kafka, and a registry of https.
    RegistryTls,
    /// With an address of MQTT.
    Mqtt,
    /// With an address of MQTT, in its version 5.
    Mqtt5,
    /// With an address of `mqtts` or `wss`.
    Tls,
    /// With an address of `ws` or `wss`.
    WebSocket,
}

/// All options.
pub const TABLE: &[(When, &[&str])] = &[
    (
        When::Always,
        &[
            "addresses",
            "envelope",
            "list",
            "groups",
            "connect_timeout",
            "quiet",
            "verbose",
        ],
    ),
    (
        When::Tapping,
        &[
            "format",
            "csv",
            "until",
            "until_end",
            "count",
            "duration",
            "exec",
            "command",
            "acks_from",
            "rejects",
            "drain_timeout",
            "summary",
        ],
    ),
    (
        When::Kafka,
        &[
            "key_only",
            "from",
            "partition",
            "group",
            "group_instance_id",
            "no_commit",
            "registry",
            "registry_auth_file",
            "registry_token_file",
            "property",
            "config",
        ],
    ),
    (
        When::Mqtt,
        &[
            "qos",
            "retained",
            "mqtt_version",
            "client_id",
            "keep_alive",
            "session_expiry",
            "username",
            "password_file",
        ],
    ),
    (
        When::RegistryTls,
        &[
            "registry_ca_file",
            "registry_cert_file",
            "registry_key_file",
        ],
    ),
    (When::Mqtt5, &["no_local"]),
    (When::Tls, &["ca_file", "cert_file", "key_file", "alpn"]),
    (When::WebSocket, &["websocket_path"]),
];

/// The protocol of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Kafka's.
    Kafka,
    /// MQTT's, and how it is carried.
    Mqtt(Scheme),
}

/// Refuses an option that was typed and can't apply to these addresses.
///
/// # Errors
///
/// It is named, with the reason.
pub fn check(args: &Args, protocols: &[Protocol]) -> Result<()> {
    let why_not = |when| why_not(when, protocols, args);
    Ok(applies::refuse(
        &args.typed,
        &Args::command(),
        TABLE,
        |when| why_not(when).map(str::to_owned),
    )?)
}

fn why_not(when: When, protocols: &[Protocol], args: &Args) -> Option<&'static str> {
    let listing = args.listing.list || args.listing.groups;
    let kafka = protocols.contains(&Protocol::Kafka);
    let mqtt = |fits: fn(Scheme) -> bool| {
        let fits =
            |protocol: &Protocol| matches!(protocol, Protocol::Mqtt(scheme) if fits(*scheme));
        protocols.iter().any(fits)
    };
    let any_mqtt = mqtt(|_| true);
    let (applies, why) = match when {
        When::Always => (true, ""),
        When::Tapping => (!listing, "nothing is tapped with --list and --groups"),
        When::RegistryTls if kafka => (args.registry.is_tls(), "no --registry is of https"),
        When::Kafka | When::RegistryTls => (kafka, "no address is of Kafka"),
        When::Mqtt5 if any_mqtt => (
            args.mqtt.mqtt_version == Version::V5,
            "it needs MQTT 5, and --mqtt-version is 3.1.1",
        ),
        When::Mqtt | When::Mqtt5 => (any_mqtt, "no address is of MQTT"),
        When::Tls => (mqtt(Scheme::is_tls), "no address is of mqtts or wss"),
        When::WebSocket => (mqtt(Scheme::is_websocket), "no address is of ws or wss"),
    };
    (!applies).then_some(why)
}

impl Args {
    /// The process's arguments; usage errors, help and version end it here.
    pub fn get() -> Self {
        let read = applies::read::<Self>(std::env::args_os());
        let (args, typed) = read.unwrap_or_else(|error| error.exit());
        Self { typed, ..args }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    #[test]
    fn each_option_says_when_it_applies() {
        assert_eq!(
            applies::faults(&Args::command(), TABLE),
            Vec::<String>::new()
        );
    }

    fn args(line: &[&str]) -> Args {
        let line = [&["topic-tap", "mqtt://a/t"], line].concat();
        let line = line.into_iter().map(OsString::from);
        let (args, typed) = applies::read::<Args>(line).unwrap();
        Args { typed, ..args }
    }

    const KAFKA: &[Protocol] = &[Protocol::Kafka];
    const MQTT: &[Protocol] = &[Protocol::Mqtt(Scheme::Mqtt)];

    #[test]
    fn options_of_the_other_protocol_are_refused_even_with_their_defaults() {
        for (protocols, line) in [
            (MQTT, &["--registry", "http://a"][..]),
            (MQTT, &["-X", "linger.ms=1"]),
            (MQTT, &["--config", "f"]),
            (MQTT, &["--from", "end"]),
            (MQTT, &["--group", "g"]),
            (MQTT, &["--key-only"]),
            (MQTT, &["--ca-file", "f"]),
            (MQTT, &["--websocket-path", "/mqtt"]),
            (
                MQTT,
                &["--no-local", "--client-id", "c", "--mqtt-version", "3.1.1"],
            ),
            (
                KAFKA,
                &["--registry", "http://a", "--registry-ca-file", "f"],
            ),
            (KAFKA, &["--username", "u"]),
            (KAFKA, &["--qos", "1"]),
            (KAFKA, &["--keep-alive", "60s"]),
            (KAFKA, &["--mqtt-version", "5"]),
            (KAFKA, &["--retained", "show"]),
            (KAFKA, &["--alpn", "mqtt"]),
            (KAFKA, &["--list", "--summary", "text"]),
            (KAFKA, &["--groups", "--drain-timeout", "30s"]),
        ] {
            let error = check(&args(line), protocols).unwrap_err().to_string();
            let named = line.iter().any(|word| {
                word.starts_with('-') && error.starts_with(&format!("{word} does not apply"))
            });
            assert!(named, "{line:?}: {error}");
        }
    }

    #[test]
    fn what_applies_to_one_of_the_addresses_is_taken() {
        let both: &[Protocol] = &[KAFKA, MQTT].concat();
        let secured: &[Protocol] = &[Protocol::Mqtt(Scheme::Wss)];
        for (protocols, line) in [
            (
                both,
                &["--qos", "1", "--from", "end", "-X", "linger.ms=1"][..],
            ),
            (MQTT, &["--no-local", "--client-id", "c"]),
            (secured, &["--alpn", "mqtt", "--websocket-path", "/x"]),
            (KAFKA, &["--list", "--connect-timeout", "1s"]),
            (KAFKA, &["--groups", "--group", "g"]),
        ] {
            check(&args(line), protocols).unwrap();
        }
    }
}
