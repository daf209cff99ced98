//! What arrived, as a line of the output.

use std::{
    borrow::Cow,
    time::{SystemTime, UNIX_EPOCH},
};

use tapline_kafka::Incoming;
use tapline_mqtt::Delivery;
use tapline_pipe::envelope::{Envelope, Properties, Value};

/// The form of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The value, byte for byte.
    Plain,
    /// The value with all that is known of it.
    Envelope,
}

/// A value out of Kafka after the registry was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unframed<'a> {
    /// The value without its frame; `None` for a tombstone.
    pub value: Option<&'a [u8]>,
    /// The id that stood in the frame.
    pub schema_id: Option<u32>,
    /// The value is in a binary format of the registry's (Avro, Protobuf), whatever it looks like.
    pub binary: bool,
}

/// A record that arrived.
#[derive(Clone, Copy)]
pub enum Arrived<'a> {
    /// From Kafka.
    Kafka(&'a Incoming<'a>, Unframed<'a>),
    /// From MQTT.
    Mqtt(&'a Delivery),
}

impl Arrived<'_> {
    /// Length of the value in bytes.
    pub fn length(&self) -> usize {
        match self {
            Self::Kafka(_, unframed) => unframed.value.map_or(0, <[u8]>::len),
            Self::Mqtt(delivery) => delivery.payload.len(),
        }
    }

    /// Appends the line, without a terminator.
    pub fn write(&self, format: Format, seq: u64, out: &mut Vec<u8>) {
        match (format, self) {
            (Format::Plain, Self::Kafka(_, unframed)) => {
                out.extend_from_slice(unframed.value.unwrap_or_default());
            }
            (Format::Plain, Self::Mqtt(delivery)) => out.extend_from_slice(&delivery.payload),
            (Format::Envelope, Self::Kafka(record, unframed)) => {
                kafka_envelope(record, *unframed, seq).write(out);
            }
            (Format::Envelope, Self::Mqtt(delivery)) => mqtt_envelope(delivery, seq).write(out),
        }
    }
}

fn kafka_envelope<'a>(record: &'a Incoming<'a>, unframed: Unframed<'a>, seq: u64) -> Envelope<'a> {
    let value = match unframed.value {
        None => Value::Tombstone,
        Some(bytes) if unframed.binary => Value::Binary(Cow::Borrowed(bytes)),
        Some(bytes) => Value::of_payload(bytes),
    };
    let header = |header: tapline_kafka::Header<'a>| {
        (Cow::Borrowed(header.name), header.value.map(Cow::Borrowed))
    };
    Envelope {
        seq: Some(seq),
        source: Some(Cow::Borrowed("kafka")),
        topic: Some(Cow::Borrowed(record.topic())),
        timestamp: record.timestamp().map(|(ms, _)| ms),
        key: record.key().map(Cow::Borrowed),
        headers: record.headers().map(header).collect(),
        partition: Some(record.partition()),
        offset: Some(record.offset()),
        schema_id: unframed.schema_id,
        ..Envelope::new(value)
    }
}

/// MQTT messages carry no time: it is that of the arrival here.
fn mqtt_envelope(delivery: &Delivery, seq: u64) -> Envelope<'_> {
    let properties = delivery.properties.as_deref();
    let user = properties
        .map(|properties| properties.user.as_slice())
        .unwrap_or_default();
    let header = |(name, value): &'_ (String, String)| {
        (
            Cow::Owned(name.clone()),
            Some(Cow::Owned(value.clone().into_bytes())),
        )
    };
    Envelope {
        seq: Some(seq),
        source: Some(Cow::Borrowed("mqtt")),
        topic: Some(Cow::Borrowed(&*delivery.topic)),
        timestamp: now_ms(),
        headers: user.iter().map(header).collect(),
        qos: Some(delivery.qos.level()),
        retain: Some(delivery.retain),
        dup: Some(delivery.dup),
        properties: properties.map(envelope_properties).unwrap_or_default(),
        ..Envelope::new(Value::of_payload(&delivery.payload))
    }
}

fn envelope_properties(properties: &tapline_mqtt::Properties) -> Properties<'_> {
    Properties {
        payload_format: properties.payload_format,
        message_expiry: properties.message_expiry,
        content_type: properties.content_type.as_deref().map(Cow::Borrowed),
        response_topic: properties.response_topic.as_deref().map(Cow::Borrowed),
        correlation_data: properties.correlation_data.as_deref().map(Cow::Borrowed),
    }
}

fn now_ms() -> Option<i64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tapline_mqtt::{Qos, Token};

    fn delivery(payload: &'static [u8]) -> Delivery {
        Delivery {
            topic: Arc::from("a/b"),
            payload: payload.into(),
            qos: Qos::AtLeastOnce,
            retain: true,
            dup: false,
            properties: Some(Box::new(tapline_mqtt::Properties {
                content_type: Some("application/json".to_owned()),
                user: vec![
                    ("a".to_owned(), "1".to_owned()),
                    ("a".to_owned(), "2".to_owned()),
                ],
                ..tapline_mqtt::Properties::default()
            })),
            token: Token(1),
        }
    }

    #[test]
    fn a_message_of_mqtt_keeps_its_properties_in_the_envelope() {
        let mut line = Vec::new();
        Arrived::Mqtt(&delivery(b"{\"n\":1.10}")).write(Format::Envelope, 7, &mut line);
        let envelope = Envelope::read(&line).unwrap();
        assert_eq!(
            (envelope.seq, envelope.topic.as_deref()),
            (Some(7), Some("a/b"))
        );
        assert_eq!(
            (envelope.qos, envelope.retain, envelope.dup),
            (Some(1), Some(true), Some(false))
        );
        assert_eq!(envelope.value.bytes(), Some(b"{\"n\":1.10}".as_slice()));
        assert_eq!(envelope.headers.len(), 2);
        assert_eq!(
            envelope.properties.content_type.as_deref(),
            Some("application/json")
        );
        assert!(envelope.timestamp.is_some());
    }

    #[test]
    fn a_plain_line_is_the_value() {
        let mut line = Vec::new();
        Arrived::Mqtt(&delivery(b"\xff 1.10")).write(Format::Plain, 7, &mut line);
        assert_eq!(line, b"\xff 1.10");
    }
}
