//! When each option applies: on which transport, in which version of MQTT.

use clap::CommandFactory;
use tapline_mqtt::{Broker, Qos, Version};
use tapline_pipe::applies;

use super::Args;

/// When an option applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// In each run, or where another option says so (clap's `requires`, `conflicts_with`).
    Always,
    /// In MQTT 5.
    Mqtt5,
    /// To `mqtts` and `wss`.
    Tls,
    /// To `ws` and `wss`.
    WebSocket,
    /// Where messages are acknowledged.
    Acknowledged,
}

/// All options.
pub(crate) const TABLE: &[(When, &[&str])] = &[
    (
        When::Always,
        &[
            "address",
            "qos",
            "retain",
            "schema",
            "connect_timeout",
            "mqtt_version",
            "client_id",
            "keep_alive",
            "session_expiry",
            "username",
            "password_file",
            "client_per",
            "max_clients",
            "client_timeout",
            "client_retry",
            "will_topic",
            "will_payload",
            "will_qos",
            "will_retain",
            "birth_topic",
            "birth_payload",
            "birth_qos",
            "birth_retain",
            "max_record",
            "envelope",
            "rate",
            "tee",
            "acks_to",
            "report",
            "checkpoint",
            "drain_timeout",
            "rejects",
            "strict",
            "summary",
            "quiet",
            "verbose",
        ],
    ),
    (
        When::Mqtt5,
        &[
            "headers",
            "content_type",
            "message_expiry",
            "response_topic",
            "correlation_data",
            "will_delay",
            "will_header",
            "will_content_type",
            "will_expiry",
        ],
    ),
    (When::Tls, &["ca_file", "cert_file", "key_file", "alpn"]),
    (When::WebSocket, &["websocket_path"]),
    (When::Acknowledged, &["inflight"]),
];

/// Refuses an option that was typed and can't apply at this broker.
///
/// # Errors
///
/// It is named, with the reason.
pub(crate) fn check(args: &Args, broker: &Broker) -> Result<(), applies::DoesNotApply> {
    let why_not = |when| {
        let scheme = broker.scheme;
        let (applies, why) = match when {
            When::Always => (true, String::new()),
            When::Mqtt5 => (
                args.connect.mqtt_version == Version::V5,
                "it needs MQTT 5, and --mqtt-version is 3.1.1".to_owned(),
            ),
            When::Tls => (
                scheme.is_tls(),
                format!("it is for mqtts and wss, and {broker} is not encrypted"),
            ),
            When::WebSocket => (
                scheme.is_websocket(),
                format!("it is for ws and wss, and {broker} is not a WebSocket"),
            ),
            When::Acknowledged => (
                args.qos != Some(Qos::AtMostOnce),
                "messages of QoS 0 are not acknowledged".to_owned(),
            ),
        };
        (!applies).then_some(why)
    };
    applies::refuse(&args.typed, &Args::command(), TABLE, why_not)
}

impl Args {
    /// The process's arguments; usage errors, help and version end it here.
    pub(crate) fn get() -> Self {
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

    fn checked(line: &[&str]) -> Result<(), String> {
        let line = [&["mqtt-pub"], line].concat();
        let line = line.into_iter().map(OsString::from);
        let (args, typed) = applies::read::<Args>(line).unwrap();
        let address: tapline_mqtt::Address = args.address.parse().unwrap();
        let args = Args { typed, ..args };
        check(&args, &address.broker).map_err(|error| error.to_string())
    }

    #[test]
    fn what_can_not_apply_is_refused_by_its_name() {
        for (line, start) in [
            (
                &["mqtt://a/t", "--ca-file", "f"][..],
                "--ca-file does not apply: it is for mqtts",
            ),
            (&["ws://a/t", "--alpn", "mqtt"], "--alpn does not apply"),
            (
                &["mqtts://a/t", "--websocket-path", "/mqtt"],
                "--websocket-path does not apply",
            ),
            (
                &["mqtt://a/t", "--qos", "0", "--inflight", "5"],
                "--inflight does not apply",
            ),
            (
                &["mqtt://a/t", "--mqtt-version", "3.1.1", "-Ha=b"],
                "--header does not apply: it needs MQTT 5",
            ),
        ] {
            let error = checked(line).unwrap_err();
            assert!(error.starts_with(start), "{line:?}: {error}");
        }
        for line in [
            &["wss://a/t", "--alpn", "mqtt", "--websocket-path", "/x"][..],
            &["mqtt://a/t", "-Ha=b", "--inflight", "5"],
        ] {
            checked(line).unwrap();
        }
    }
}
