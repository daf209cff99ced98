//! Why a connection, a session or a single message failed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::message::Message;
use crate::protocol::{Qos, Version};
use crate::reason::Reason;
use crate::text::show;
use crate::topic::TopicError;

/// Why there is no connection to the broker. The address is not part of the text.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The host has no address.
    #[error("the host is not known: {0}")]
    Resolve(io::Error),
    /// No TCP connection.
    #[error("{}", describe_io(.0))]
    Tcp(io::Error),
    /// No TLS session.
    #[error("TLS: {0}")]
    Tls(String),
    /// No WebSocket.
    #[error("WebSocket: {0}")]
    WebSocket(String),
    /// Nothing came in time.
    #[error("no {stage} within {after:?}")]
    TimedOut {
        /// What was waited for.
        stage: &'static str,
        /// How long.
        after: Duration,
    },
    /// The peer hung up instead of an answer.
    #[error("it closed the connection without a CONNACK: not an MQTT broker, or a TLS port")]
    NoAnswer,
    /// The answer is not MQTT.
    #[error("not an MQTT broker: it answered {0}")]
    NotMqtt(String),
    /// The connection broke in the handshake.
    #[error("connection lost before the CONNACK: {0}")]
    Broken(io::Error),
    /// The connection broke after the SUBSCRIBE, the first of the session.
    #[error(
        "connection lost after the SUBSCRIBE, before the SUBACK: {0}; does the broker allow the topic filter?"
    )]
    LostAtSubscribe(String),
    /// SUBACK has not a reason code for each subscription [MQTT-3.9.3-1].
    #[error("the broker answered {asked} subscriptions with {answered} reason codes")]
    BadSubAck {
        /// Subscriptions in SUBSCRIBE.
        asked: usize,
        /// Reason codes in SUBACK.
        answered: usize,
    },
    /// The broker goes on with a session where an empty one was asked for [MQTT-3.2.2-2].
    #[error("the broker resumed an old session, and an empty one was asked for")]
    UnexpectedSession,
    /// CONNACK says no.
    #[error("the broker refused the connection: {reason}{}", describe_text(.text.as_deref()))]
    Refused {
        /// The reason.
        reason: Reason,
        /// The broker's own words.
        text: Option<String>,
    },
    /// CONNACK says that the version is wrong.
    #[error("the broker does not speak MQTT {0}: try the other --mqtt-version")]
    WrongVersion(Version),
    /// SUBACK says no.
    #[error("the broker refused the subscription to {filter}: {reason}")]
    SubscriptionRefused {
        /// The topic filter.
        filter: String,
        /// The reason.
        reason: Reason,
    },
}

impl ConnectError {
    /// Whether another attempt would meet the same answer.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Refused { reason, .. } => reason.forbids_reconnect(),
            Self::WrongVersion(_)
            | Self::SubscriptionRefused { .. }
            | Self::BadSubAck { .. }
            | Self::UnexpectedSession => true,
            _ => false,
        }
    }

    /// Whether the broker said that it is busy.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self, Self::Refused { reason, .. } if reason.is_transient())
    }
}

/// An error of the operating system in its words, without "(os error 111)".
fn describe_io(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}

pub(crate) fn describe_text(text: Option<&str>) -> String {
    text.map_or_else(String::new, |text| format!(": {}", text.escape_debug()))
}

/// Why a session is over.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// It never began.
    #[error(transparent)]
    Connect(ConnectError),
    /// The connection was lost, and there is no other.
    #[error(transparent)]
    Reconnect(ConnectError),
    /// Another client connected with the same identifier (0x8e).
    #[error(
        "another client took over the session of client identifier {client_id}: give each client \
         an identifier of its own"
    )]
    TakenOver {
        /// The client identifier.
        client_id: String,
    },
    /// The broker hung up, and would again.
    #[error("the broker ended the session: {reason}{}", describe_text(.text.as_deref()))]
    Disconnected {
        /// The reason.
        reason: Reason,
        /// The broker's own words.
        text: Option<String>,
    },
    /// The session was closed by its owner.
    #[error("the session is closed")]
    Closed,
}

/// Why a message was not delivered.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// The broker said no.
    #[error("the broker refused the message: {reason}{}", describe_text(.text.as_deref()))]
    Broker {
        /// The reason code of PUBACK, PUBREC or PUBCOMP.
        reason: Reason,
        /// The broker's own words.
        text: Option<String>,
    },
    /// It is larger than the broker's Maximum Packet Size.
    #[error("a packet of {size} bytes is larger than the {limit} that the broker takes")]
    TooLarge {
        /// The size of the packet.
        size: usize,
        /// The broker's limit.
        limit: u32,
    },
    /// The topic has more than 65,535 bytes, or a property has.
    #[error("a topic or property of more than 65535 bytes cannot be sent")]
    FieldTooLong,
    /// A text holds NUL [MQTT-1.5.4-2], another control character or a non-character (section 1.5.4).
    #[error("a text of MQTT cannot hold {}, a control character or non-character", show(*.0))]
    Character(char),
    /// The response topic is no topic name [MQTT-3.3.2-14].
    #[error("response topic: {0}")]
    ResponseTopic(TopicError),
    /// Neither 0 nor 1 (section 3.3.2.3.2).
    #[error("the payload format is 0 (bytes) or 1 (UTF-8)")]
    PayloadFormat,
    /// The broker takes only lower levels.
    #[error("the broker takes no QoS above {limit}")]
    QosNotSupported {
        /// The highest level that it takes.
        limit: Qos,
    },
    /// The broker keeps no retained messages.
    #[error("the broker does not take retained messages")]
    RetainNotSupported,
    /// The broker hung up whenever it had got it, as one of MQTT 3.1.1 says no [MQTT-3.3.5-2].
    #[error(
        "the broker hung up {times} times in a row when it had this message ({why}): is it too large, or its \
         topic not allowed?"
    )]
    HungUp {
        /// On how many connections.
        times: u32,
        /// How the last of them ended.
        why: String,
    },
    /// The application gave up waiting.
    #[error("not acknowledged when the time was up")]
    Abandoned,
    /// The session ended first.
    #[error("not delivered: {0}")]
    SessionEnded(Arc<SessionError>),
}

impl Refusal {
    /// Whether it is no matter of the message, but of the session as a whole.
    pub(crate) fn is_of_session(&self) -> bool {
        matches!(self, Self::Abandoned | Self::SessionEnded(_))
    }
}

/// Why a message was not taken for publishing.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// So much is under way that the bound is reached: wait for settled messages, then try again.
    #[error("too many messages are under way")]
    Full(Box<Message>),
    /// The session is over.
    #[error("{0}")]
    Ended(Arc<SessionError>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_connection_is_said_without_numbers_of_the_system() {
        let error = ConnectError::Tcp(io::Error::from_raw_os_error(111));
        assert_eq!(error.to_string(), "connection refused");
    }

    #[test]
    fn the_words_of_the_broker_follow_the_reason_and_cannot_break_the_line() {
        let refusal = Refusal::Broker {
            reason: Reason::NOT_AUTHORIZED,
            text: Some("no\nway".to_owned()),
        };
        assert_eq!(
            refusal.to_string(),
            "the broker refused the message: Not authorized (0x87): no\\nway"
        );
    }
}
