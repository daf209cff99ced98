//! What an application publishes and what it receives, the same in MQTT 5 and 3.1.1.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::Refusal;
use crate::topic::check_name;

/// Quality of service (section 4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Qos {
    /// 0: sent once, without an answer.
    #[default]
    AtMostOnce = 0,
    /// 1: sent until the other side acknowledges.
    AtLeastOnce = 1,
    /// 2: acknowledged in two steps, delivered once.
    ExactlyOnce = 2,
}

impl Qos {
    /// The level with this number, if there is one.
    #[must_use]
    pub fn from_level(level: u8) -> Option<Self> {
        match level {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }

    /// The number of the level: 0, 1 or 2.
    #[must_use]
    pub fn level(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Qos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.level().fmt(f)
    }
}

/// The text is not `0`, `1` or `2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the quality of service is 0, 1 or 2")]
pub struct NotAQos;

impl FromStr for Qos {
    type Err = NotAQos;

    fn from_str(text: &str) -> Result<Self, NotAQos> {
        match text {
            "0" => Ok(Self::AtMostOnce),
            "1" => Ok(Self::AtLeastOnce),
            "2" => Ok(Self::ExactlyOnce),
            _ => Err(NotAQos),
        }
    }
}

/// The MQTT 5 properties of a message that belong to the application (section 3.3.2.3); in MQTT
/// 3.1.1 they are not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// Payload Format Indicator: 0 bytes, 1 UTF-8.
    pub payload_format: Option<u8>,
    /// Message Expiry Interval, in seconds.
    pub message_expiry: Option<u32>,
    /// Content Type.
    pub content_type: Option<String>,
    /// Response Topic.
    pub response_topic: Option<String>,
    /// Correlation Data.
    pub correlation_data: Option<Bytes>,
    /// User Properties, in order, with their duplicates.
    pub user: Vec<(String, String)>,
    /// Subscription Identifiers; only a broker sends them, they are ignored in what is published.
    pub subscription_ids: Vec<u32>,
}

impl Properties {
    /// Whether a broker can take them: it may well end the connection over one that it cannot, and the message
    /// would be the first on the next.
    ///
    /// # Errors
    ///
    /// A text that holds NUL [MQTT-1.5.4-2] or is too long (section 1.5.4), a response topic that is no topic
    /// name [MQTT-3.3.2-14], or a payload format that is neither 0 nor 1 (section 3.3.2.3.2).
    pub fn check(&self) -> Result<(), Refusal> {
        if self.payload_format.is_some_and(|format| format > 1) {
            return Err(Refusal::PayloadFormat);
        }
        if let Some(topic) = &self.response_topic {
            check_name(topic).map_err(Refusal::ResponseTopic)?;
        }
        if self
            .correlation_data
            .as_ref()
            .is_some_and(|data| data.len() > LONGEST_FIELD)
        {
            return Err(Refusal::FieldTooLong);
        }
        let user = self.user.iter().flat_map(|(name, value)| [name, value]);
        user.chain(&self.content_type).try_for_each(|text| {
            if text.len() > LONGEST_FIELD {
                Err(Refusal::FieldTooLong)
            } else if text.contains('\0') {
                Err(Refusal::Nul)
            } else {
                Ok(())
            }
        })
    }
}

/// The bytes of a text or of binary data (sections 1.5.4 and 1.5.6).
const LONGEST_FIELD: usize = u16::MAX as usize;

/// A message to publish. Cloning shares topic and payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The topic name: UTF-8 of 1 to 65,535 bytes, without wildcards and NUL.
    pub topic: Arc<str>,
    /// The payload, up to 268,435,455 bytes with its header.
    pub payload: Bytes,
    /// The quality of service.
    pub qos: Qos,
    /// Whether the broker keeps the message for later subscribers.
    pub retain: bool,
    /// The MQTT 5 properties, if there are any.
    pub properties: Option<Box<Properties>>,
}

impl Message {
    /// The bytes that the message holds in memory, about.
    #[must_use]
    pub fn size(&self) -> usize {
        self.topic.len() + self.payload.len()
    }
}

/// The place of a received message in the order of receipt of its session, counted from 1.
///
/// Acknowledging a token acknowledges all before it, see [`crate::Session::acknowledge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// A message that the broker sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The topic that it was published to.
    pub topic: Arc<str>,
    /// The payload.
    pub payload: Bytes,
    /// The quality of service of this delivery.
    pub qos: Qos,
    /// Whether it was kept by the broker from before the subscription.
    pub retain: bool,
    /// Whether the broker may have sent it before.
    pub dup: bool,
    /// The MQTT 5 properties that are set.
    pub properties: Option<Box<Properties>>,
    /// What to acknowledge it with; every message has one, QoS 0 too.
    pub token: Token,
}
