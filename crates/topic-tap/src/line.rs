//! What arrived: its parts, whatever the protocol, and its envelope.

use std::{
    borrow::Cow,
    time::{SystemTime, UNIX_EPOCH},
};

use tapline_kafka::{HeaderNotText, Incoming};
use tapline_mqtt::Delivery;
use tapline_pipe::envelope::{Envelope, Properties, Value};

/// A value out of Kafka after the registry was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unframed<'a> {
    /// The value without its frame; `None` for a tombstone.
    pub value: Option<&'a [u8]>,
    /// The id that stood in the frame.
    pub schema_id: Option<u32>,
    /// The language of that schema in the registry's word, where the value is left in its frame.
    pub schema_type: Option<&'static str>,
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
    /// The value; `None` for a tombstone.
    pub fn value(&self) -> Option<&[u8]> {
        match self {
            Self::Kafka(_, unframed) => unframed.value,
            Self::Mqtt(delivery) => Some(&delivery.payload),
        }
    }

    /// The key, which MQTT doesn't have.
    pub fn key(&self) -> Option<&[u8]> {
        match self {
            Self::Kafka(record, _) => record.key(),
            Self::Mqtt(_) => None,
        }
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        match self {
            Self::Kafka(record, _) => record.topic(),
            Self::Mqtt(delivery) => &delivery.topic,
        }
    }

    /// Partition and offset, which MQTT doesn't have.
    pub fn place(&self) -> Option<(i32, i64)> {
        match self {
            Self::Kafka(record, _) => Some((record.partition(), record.offset())),
            Self::Mqtt(_) => None,
        }
    }

    /// In ms since 1970, UTC. MQTT messages carry no time: it is that of the arrival here.
    pub fn timestamp(&self) -> Option<i64> {
        match self {
            Self::Kafka(record, _) => record.timestamp().map(|(ms, _)| ms),
            Self::Mqtt(_) => now_ms(),
        }
    }

    /// Shows Kafka's headers or MQTT's user properties, in their order.
    ///
    /// # Errors
    ///
    /// The name of one is not text; none was shown.
    pub fn each_header(
        &self,
        mut see: impl FnMut(&str, Option<&[u8]>),
    ) -> Result<(), HeaderNotText> {
        match self {
            Self::Kafka(record, _) => {
                for header in record.headers()? {
                    see(header.name, header.value);
                }
            }
            Self::Mqtt(delivery) => {
                let properties = delivery.properties.iter();
                properties
                    .flat_map(|properties| &properties.user)
                    .for_each(|(name, value)| see(name, Some(value.as_bytes())));
            }
        }
        Ok(())
    }

    /// The record with all that is known of it.
    ///
    /// # Errors
    ///
    /// The name of a header is not text, so no JSON can hold it.
    pub fn envelope(&self, seq: u64) -> Result<Envelope<'_>, HeaderNotText> {
        match self {
            Self::Kafka(record, unframed) => kafka_envelope(record, *unframed, seq),
            Self::Mqtt(delivery) => Ok(mqtt_envelope(delivery, seq)),
        }
    }
}

fn kafka_envelope<'a>(
    record: &'a Incoming<'a>,
    unframed: Unframed<'a>,
    seq: u64,
) -> Result<Envelope<'a>, HeaderNotText> {
    let value = match unframed.value {
        None => Value::Tombstone,
        Some(bytes) if unframed.binary => Value::Binary(Cow::Borrowed(bytes)),
        Some(bytes) => Value::of_payload(bytes),
    };
    let header = |header: tapline_kafka::Header<'a>| {
        (Cow::Borrowed(header.name), header.value.map(Cow::Borrowed))
    };
    Ok(Envelope {
        seq: Some(seq),
        source: Some(Cow::Borrowed("kafka")),
        topic: Some(Cow::Borrowed(record.topic())),
        timestamp: record.timestamp().map(|(ms, _)| ms),
        key: record.key().map(Cow::Borrowed),
        headers: record.headers()?.into_iter().map(header).collect(),
        partition: Some(record.partition()),
        offset: Some(record.offset()),
        schema_id: unframed.schema_id,
        schema_type: unframed.schema_type.map(Cow::Borrowed),
        ..Envelope::new(value)
    })
}

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
pub mod tests {
    use super::*;
    use std::sync::Arc;
    use tapline_mqtt::{Qos, Token};

    /// A message with two user properties of one name.
    pub fn delivery(payload: &'static [u8]) -> Delivery {
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
        let delivery = delivery(b"{\"n\":1.10}");
        let arrived = Arrived::Mqtt(&delivery);
        arrived.envelope(7).unwrap().write(&mut line);
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
}
