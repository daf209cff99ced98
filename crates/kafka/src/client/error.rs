//! What ends the work of a client, and the words for it.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use thiserror::Error;

use super::failure::Failure;

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

/// The error of a client that couldn't be made.
pub(crate) fn not_made(error: &KafkaError) -> ClientError {
    ClientError::Configuration(describe_error(error))
}

/// The error of what librdkafka could not do: nothing goes on after it.
pub(crate) fn fatal(what: &'static str, error: &KafkaError) -> ClientError {
    ClientError::Fatal {
        what,
        reason: describe_error(error),
    }
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
