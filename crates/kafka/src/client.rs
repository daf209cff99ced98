//! What every client has: brokers, properties, a time limit for the first connection, and a place for its messages.

use std::time::{Duration, Instant};

use rdkafka::client::Client;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use thiserror::Error;

use crate::address::Address;
use crate::context::{Context, Sink};
use crate::failure::Failure;
use crate::properties::Properties;

/// Callbacks that are run between two looks for a connection: more than a try of a few brokers causes.
const EVENTS: usize = 64;

/// An error of the client or the cluster that ends the work.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No broker could be reached in time, or none ever will with these settings.
    #[error("cannot connect to {servers}{}: {}", within(*.after), list(.failures))]
    Unreachable {
        /// The brokers that were asked.
        servers: String,
        /// How long it was tried; `None` when there was no use in waiting.
        after: Option<Duration>,
        /// Why, for each broker.
        failures: Vec<Failure>,
    },
    /// A topic that isn't there.
    #[error("topic '{topic}' does not exist on {servers}")]
    UnknownTopic {
        /// Its name or pattern.
        topic: String,
        /// The brokers that were asked.
        servers: String,
    },
    /// The cluster refuses something about a topic.
    #[error("topic '{topic}': {what}: {reason}")]
    Topic {
        /// Its name.
        topic: String,
        /// What was tried.
        what: &'static str,
        /// The broker's word.
        reason: String,
    },
    /// The client can't be set up with these properties.
    #[error("{0}")]
    Configuration(String),
    /// librdkafka says that the client can't go on.
    #[error("{what}: {reason}")]
    Fatal {
        /// What was tried.
        what: &'static str,
        /// librdkafka's or the broker's word.
        reason: String,
    },
}

fn within(after: Option<Duration>) -> String {
    after.map_or_else(String::new, |after| format!(" within {after:?}"))
}

fn list(failures: &[Failure]) -> String {
    if failures.is_empty() {
        return "no answer".to_owned();
    }
    // Several brokers of a cluster often fail for one reason: it is told once.
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for failure in failures {
        match reasons.iter_mut().find(|(why, _)| *why == failure.why) {
            Some((_, brokers)) => brokers.push(&failure.broker),
            None => reasons.push((&failure.why, vec![&failure.broker])),
        }
    }
    let told: Vec<String> = reasons
        .iter()
        .map(|(why, brokers)| format!("{}: {why}", brokers.join(", ")))
        .collect();
    told.join("; ")
}

/// The words for an error code, as librdkafka or the broker puts them, without librdkafka's `Broker: ` in front.
pub(crate) fn describe(code: RDKafkaErrorCode) -> String {
    let text = code.to_string();
    // RDKafkaErrorCode shows itself as `Name (Broker: words)`.
    let words = text
        .split_once(" (")
        .and_then(|(_, words)| words.strip_suffix(')'))
        .unwrap_or(&text);
    words
        .strip_prefix("Broker: ")
        .or_else(|| words.strip_prefix("Local: "))
        .unwrap_or(words)
        .to_owned()
}

/// The words for an error, as [`describe`] gives them where it has a code.
pub(crate) fn describe_error(error: &KafkaError) -> String {
    match error {
        KafkaError::AdminOp(code) => describe(*code),
        KafkaError::ClientConfig(_, reason, ..)
        | KafkaError::ClientCreation(reason)
        | KafkaError::AdminOpCreation(reason)
        | KafkaError::Subscription(reason)
        | KafkaError::Seek(reason)
        | KafkaError::PauseResume(reason) => reason.clone(),
        other => other
            .rdkafka_error_code()
            .map_or_else(|| other.to_string(), describe),
    }
}

/// Brokers, properties and limits from which producers and consumers are made.
#[derive(Clone)]
pub struct Settings {
    servers: String,
    broker_count: usize,
    properties: Properties,
    connect_timeout: Duration,
    sink: Sink,
}

impl Settings {
    /// Settings for the brokers of `address`. `connect_timeout` limits the wait for the first answer of a broker.
    #[must_use]
    pub fn new(
        address: &Address,
        properties: Properties,
        connect_timeout: Duration,
        sink: Sink,
    ) -> Self {
        Self {
            servers: address.bootstrap_servers(),
            broker_count: address.brokers.len(),
            properties,
            connect_timeout,
            sink,
        }
    }

    /// The brokers in the form of `bootstrap.servers`.
    #[must_use]
    pub fn servers(&self) -> &str {
        &self.servers
    }

    /// The limit for the first answer of a broker.
    #[must_use]
    pub fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// The properties that the user set.
    #[must_use]
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// A context of its own for a client.
    pub(crate) fn context(&self) -> Context {
        Context::new(self.sink.clone())
    }

    /// The configuration of a client: librdkafka's defaults, these tools', the caller's, then the user's.
    pub(crate) fn config(&self, defaults: &[(&str, String)]) -> ClientConfig {
        // Short enough that its failure is known, as the reason, when the wait for a connection ends; librdkafka looks
        // for what has timed out once a second.
        let setup = (self.connect_timeout.as_millis() * 6 / 10).clamp(1000, 30_000);
        let mut all = vec![
            ("client.id", "tapline".to_owned()),
            // Topics are made by CreateTopics when that is asked for, not by a typing error.
            ("allow.auto.create.topics", "false".to_owned()),
            ("socket.nagle.disable", "true".to_owned()),
            ("socket.keepalive.enable", "true".to_owned()),
            ("socket.connection.setup.timeout.ms", setup.to_string()),
            (
                "api.version.request.timeout.ms",
                setup.min(10_000).to_string(),
            ),
        ];
        all.extend(defaults.iter().map(|(name, value)| (*name, value.clone())));
        let mut config = self.properties.over(&all);
        config.set("metadata.broker.list", &self.servers);
        // librdkafka's default; the log crate is not in use. `debug` needs the lowest level to be heard.
        let level = if config.get("debug").is_some_and(|debug| !debug.is_empty()) {
            rdkafka::config::RDKafkaLogLevel::Debug
        } else {
            rdkafka::config::RDKafkaLogLevel::Info
        };
        config.set_log_level(level);
        config
    }

    /// Waits for the first metadata of a client; `serve` lets the client run one callback.
    ///
    /// # Errors
    ///
    /// [`ClientError::Unreachable`] with the reason for each broker.
    pub(crate) fn connect<C: rdkafka::ClientContext>(
        &self,
        client: &Client<C>,
        context: &Context,
        topic: Option<&str>,
        serve: impl Fn(),
    ) -> Result<Metadata, ClientError> {
        let start = Instant::now();
        // Short waits first, so that a hopeless failure is told at once; they grow for distant brokers.
        let mut wait = Duration::from_millis(250);
        loop {
            let left = self.connect_timeout.saturating_sub(start.elapsed());
            let result = client.fetch_metadata(topic, wait.min(left).max(Duration::from_millis(1)));
            for _ in 0..EVENTS {
                serve();
            }
            if let Ok(metadata) = result {
                context.connected();
                return Ok(metadata);
            }
            let failures = context.failures();
            let hopeless = failures.len() >= self.broker_count
                && failures.iter().all(|failure| failure.hopeless);
            let over = start.elapsed() >= self.connect_timeout;
            if hopeless || over {
                return Err(ClientError::Unreachable {
                    servers: self.servers.clone(),
                    after: (!hopeless).then_some(self.connect_timeout),
                    failures,
                });
            }
            wait *= 2;
        }
    }
}

/// The error of a client that couldn't be made.
pub(crate) fn not_made(error: &KafkaError) -> ClientError {
    ClientError::Configuration(describe_error(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_that_several_brokers_share_is_told_once() {
        let failure = |broker: &str, why: &str| Failure {
            broker: broker.to_owned(),
            why: why.to_owned(),
            hopeless: false,
        };
        let failures = [
            failure("a:1", "no answer"),
            failure("b:1", "refused"),
            failure("c:1", "no answer"),
        ];
        assert_eq!(list(&failures), "a:1, c:1: no answer; b:1: refused");
        assert_eq!(list(&[]), "no answer");
    }

    #[test]
    fn error_codes_are_told_in_the_brokers_words() {
        assert_eq!(
            describe(RDKafkaErrorCode::MessageSizeTooLarge),
            "Message size too large"
        );
        assert_eq!(
            describe(RDKafkaErrorCode::MessageTimedOut),
            "Message timed out"
        );
        assert_eq!(
            describe_error(&KafkaError::MetadataFetch(
                RDKafkaErrorCode::TopicAuthorizationFailed
            )),
            "Topic authorization failed"
        );
    }
}
