//! What an application publishes and what it receives, the same in MQTT 5 and 3.1.1.

use std::sync::Arc;

use bytes::Bytes;

use crate::protocol::Qos;

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
    /// The bytes that they hold in memory, about.
    #[must_use]
    pub fn size(&self) -> usize {
        let user = self.user.iter().map(|(name, value)| {
            size_of::<(String, String)>() + allocation(name) + allocation(value)
        });
        let texts = [&self.content_type, &self.response_topic].into_iter();
        let texts = texts.flatten().map(allocation);
        let data = self.correlation_data.as_ref().map_or(0, Bytes::len);
        let ids = self.subscription_ids.len() * size_of::<u32>();
        size_of::<Self>() + user.chain(texts).sum::<usize>() + data + ids
    }
}

/// What a text takes from the allocator, whose pieces have a header and a least size.
fn allocation(text: &String) -> usize {
    match text.capacity() {
        0 => 0,
        length => (length + 8).max(32),
    }
}

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
        let properties = self.properties.as_ref();
        self.topic.len() + self.payload.len() + properties.map_or(0, |own| own.size())
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
