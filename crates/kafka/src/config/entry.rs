//! A property: its name, its value, where it was written, and why it can't be used.

use std::path::PathBuf;

use thiserror::Error;

/// Why properties can't be used. The messages name the property and where it stands, never a secret's value.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PropertyError {
    /// The file can't be read.
    #[error("--config {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says. Not a source: the text has it already.
        error: std::io::Error,
    },
    /// A line or an argument isn't `property=value`.
    #[error("{place}: not of the form property=value")]
    Form {
        /// `FILE:LINE`, or `-X`.
        place: String,
    },
    /// A secret on the command line.
    #[error(
        "-X {0}: a secret must not be an argument, where ps shows it: put the line into a file and give it with --config"
    )]
    Secret(String),
    /// A property that is not for the user to set.
    #[error("{place}: {name}: {why}")]
    Reserved {
        /// `FILE:LINE`, or `-X`.
        place: String,
        /// The property.
        name: String,
        /// Who sets it instead.
        why: &'static str,
    },
    /// A property of the Java client that has no equivalent here.
    #[error("{place}: {name}: {why}")]
    Java {
        /// `FILE:LINE`, or `-X`.
        place: String,
        /// The property.
        name: String,
        /// What to write instead.
        why: String,
    },
    /// librdkafka doesn't know the property or refuses its value.
    #[error("{place}: {reason}")]
    Refused {
        /// `FILE:LINE`, or `-X`.
        place: String,
        /// librdkafka's words.
        reason: String,
    },
}

/// A value and where it was written, for messages.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) value: String,
    pub(crate) place: String,
    /// The name as it was written, where that is an alias.
    pub(crate) alias: Option<String>,
}

impl Entry {
    /// The value of the property `name`, as it was written at `place`.
    pub(super) fn new(name: &str, value: impl Into<String>, place: impl Into<String>) -> Self {
        let name = without_prefix(name);
        Self {
            value: value.into(),
            place: place.into(),
            alias: (canonical(name) != name).then(|| name.to_owned()),
        }
    }
}

/// Names that librdkafka takes for another property: kept under one of the two, so that precedence is sure.
const ALIASES: &[(&str, &str)] = &[
    ("acks", "request.required.acks"),
    ("bootstrap.servers", "metadata.broker.list"),
    ("compression.type", "compression.codec"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("linger.ms", "queue.buffering.max.ms"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("max.partition.fetch.bytes", "fetch.message.max.bytes"),
    ("retries", "message.send.max.retries"),
    ("sasl.mechanism", "sasl.mechanisms"),
    (
        "sasl.oauthbearer.client.credentials.client.id",
        "sasl.oauthbearer.client.id",
    ),
    (
        "sasl.oauthbearer.client.credentials.client.secret",
        "sasl.oauthbearer.client.secret",
    ),
];

/// kcat marks properties of topics with a prefix; librdkafka finds them without.
pub(super) fn without_prefix(name: &str) -> &str {
    match name.strip_prefix("topic.") {
        Some(rest) if !rest.starts_with("metadata.") && rest != "blacklist" => rest,
        _ => name,
    }
}

/// The one name under which a property is kept.
pub(super) fn canonical(name: &str) -> &str {
    let name = without_prefix(name);
    ALIASES
        .iter()
        .find(|(alias, _)| *alias == name)
        .map_or(name, |(_, kept)| kept)
}

/// Whether the value of a property is a secret.
pub(super) fn is_secret(name: &str) -> bool {
    name.contains("password")
        || name.contains("secret")
        || name.contains("passphrase")
        || name == "ssl.key.pem"
        || name.ends_with("private.key.pem")
        // Java's names.
        || name == "sasl.jaas.config"
        || name == "ssl.keystore.key"
}

/// Properties that these tools set themselves, and why.
pub(super) fn reserved(name: &str) -> Option<&'static str> {
    match name {
        "enable.auto.commit"
        | "auto.commit.enable"
        | "enable.auto.offset.store"
        | "auto.commit.interval.ms" => Some(
            "offsets are committed only after the records were handed on; this is not for a setting to change",
        ),
        "enable.partition.eof" | "log.queue" => Some("set by the tool"),
        "transactional.id" => Some("it is --transaction that sets it"),
        _ => None,
    }
}
