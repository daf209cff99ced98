//! The envelope: a JSON object on one line that carries a value together with where it came from or goes
//! to, the same for both protocols, readable and writable.

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::json::{self, MAX_DEPTH};

/// A record with everything that is known of it. What is `None` is absent from the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Number of the record in the tap's output, from 1.
    pub seq: Option<u64>,
    /// The protocol that it came by: `mqtt` or `kafka`.
    pub source: Option<Cow<'a, str>>,
    /// Topic that it came from or goes to.
    pub topic: Option<Cow<'a, str>>,
    /// Milliseconds since the Unix epoch; RFC 3339 in UTC on the line.
    pub timestamp: Option<i64>,
    /// Kafka's key; `key_base64` on the line where it isn't UTF-8.
    pub key: Option<Cow<'a, [u8]>>,
    /// Kafka's headers or MQTT's user properties, in order, duplicates kept. On the line each is
    /// `[name, "text"]`, `[name, null]`, or `[name, {"base64": "…"}]` for a value that isn't UTF-8.
    pub headers: Vec<Header<'a>>,
    /// The value itself.
    pub value: Value<'a>,
    /// Kafka: where the record lies.
    pub partition: Option<i32>,
    /// Kafka: where the record lies.
    pub offset: Option<i64>,
    /// Kafka: id of the schema that framed the value in the registry.
    pub schema_id: Option<u32>,
    /// The language of that schema, as the registry calls it (`AVRO`, `PROTOBUF`), where the value is left in its
    /// frame.
    pub schema_type: Option<Cow<'a, str>>,
    /// MQTT: quality of service, 0 to 2.
    pub qos: Option<u8>,
    /// MQTT: a retained message.
    pub retain: Option<bool>,
    /// MQTT: sent again by the other side [MQTT-3.3.1-1].
    pub dup: Option<bool>,
    /// MQTT 5 properties.
    pub properties: Properties<'a>,
}

/// Name and value of a header; Kafka knows headers without a value.
pub type Header<'a> = (Cow<'a, str>, Option<Cow<'a, [u8]>>);

/// The MQTT 5 properties of a PUBLISH (section 3.3.2.3) that travel with a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties<'a> {
    /// 0: bytes, 1: UTF-8 text.
    pub payload_format: Option<u8>,
    /// Seconds that the message has left.
    pub message_expiry: Option<u32>,
    /// MIME type, by custom.
    pub content_type: Option<Cow<'a, str>>,
    /// Topic for a response.
    pub response_topic: Option<Cow<'a, str>>,
    /// Bytes that tie a response to its request; base64 on the line.
    pub correlation_data: Option<Cow<'a, [u8]>>,
}

/// The value of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// `value`: the payload's own JSON text, not serialised again.
    Json(&'a [u8]),
    /// `value_text`: text that isn't JSON, or not JSON on one line.
    Text(Cow<'a, str>),
    /// `value_base64`: bytes that aren't UTF-8.
    Binary(Cow<'a, [u8]>),
    /// `tombstone: true`: Kafka's null, not JSON's.
    Tombstone,
}

impl<'a> Value<'a> {
    /// The form in which a payload comes back byte for byte: JSON only where a JSON reader would not
    /// trim or break anything, that is without line ends and without space around it, and not so deep
    /// that the envelope around it would be too deep.
    #[must_use]
    pub fn of_payload(payload: &'a [u8]) -> Self {
        let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_whitespace);
        let plain = !edge(payload.first())
            && !edge(payload.last())
            && memchr::memchr2(b'\n', b'\r', payload).is_none();
        if plain && json::check_depth(payload, MAX_DEPTH - 1).is_ok() {
            return Self::Json(payload);
        }
        match std::str::from_utf8(payload) {
            Ok(text) => Self::Text(Cow::Borrowed(text)),
            Err(_) => Self::Binary(Cow::Borrowed(payload)),
        }
    }

    /// The payload's bytes; `None` for a tombstone.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Json(bytes) => Some(bytes),
            Self::Text(text) => Some(text.as_bytes()),
            Self::Binary(bytes) => Some(bytes),
            Self::Tombstone => None,
        }
    }
}

/// Why a line is no envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not JSON, not an object, or a member of the wrong type.
    #[error("{0}")]
    Json(String),
    /// None or several of the four forms of a value.
    #[error(
        "an envelope has exactly one of value, value_text, value_base64 and tombstone; this has {0}"
    )]
    Values(usize),
    /// Two forms of the key.
    #[error("an envelope has key or key_base64, not both")]
    Keys,
    /// `tombstone` is not `true`.
    #[error("tombstone can only be true")]
    Tombstone,
    /// A member that should hold base64 doesn't.
    #[error("{0} is not base64")]
    Base64(&'static str),
    /// The timestamp isn't RFC 3339.
    #[error("timestamp '{0}' is not a time as RFC 3339 has it")]
    Timestamp(String),
}

/// A string that borrows from the line unless it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
#[serde(untagged)]
enum HeaderValue<'a> {
    Null(()),
    #[serde(borrow)]
    Text(Text<'a>),
    Base64 {
        #[serde(borrow)]
        base64: Text<'a>,
    },
}

#[derive(Deserialize)]
struct Line<'a> {
    seq: Option<u64>,
    #[serde(borrow)]
    source: Option<Text<'a>>,
    topic: Option<Text<'a>>,
    timestamp: Option<Text<'a>>,
    key: Option<Text<'a>>,
    key_base64: Option<Text<'a>>,
    #[serde(default)]
    headers: Vec<(Text<'a>, HeaderValue<'a>)>,
    #[serde(default, deserialize_with = "raw")]
    value: Option<&'a RawValue>,
    value_text: Option<Text<'a>>,
    value_base64: Option<Text<'a>>,
    tombstone: Option<bool>,
    partition: Option<i32>,
    offset: Option<i64>,
    schema_id: Option<u32>,
    schema_type: Option<Text<'a>>,
    qos: Option<u8>,
    retain: Option<bool>,
    dup: Option<bool>,
    payload_format: Option<u8>,
    message_expiry: Option<u32>,
    content_type: Option<Text<'a>>,
    response_topic: Option<Text<'a>>,
    correlation_data: Option<Text<'a>>,
}

/// The `seq` of an envelope that holds nothing else: what a filter leaves of a record that it drops, so that it is
/// acknowledged in its turn. It is settled, and sent nowhere.
#[must_use]
pub fn seq_alone(line: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Alone {
        seq: u64,
    }
    if line.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice::<Alone>(line)
        .ok()
        .map(|alone| alone.seq)
}

/// `"value": null` is the JSON value null, not a missing one.
fn raw<'de, D: Deserializer<'de>>(json: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(json).map(Some)
}

fn from_base64(member: &'static str, text: &str) -> Result<Cow<'static, [u8]>, EnvelopeError> {
    let bytes = BASE64_STANDARD
        .decode(text)
        .map_err(|_| EnvelopeError::Base64(member))?;
    Ok(Cow::Owned(bytes))
}

fn bytes_of(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

impl<'a> Envelope<'a> {
    /// An envelope that has nothing but a value.
    #[must_use]
    pub fn new(value: Value<'a>) -> Self {
        Self {
            seq: None,
            source: None,
            topic: None,
            timestamp: None,
            key: None,
            headers: Vec::new(),
            value,
            partition: None,
            offset: None,
            schema_id: None,
            schema_type: None,
            qos: None,
            retain: None,
            dup: None,
            properties: Properties::default(),
        }
    }

    /// Reads a line. Members that an envelope doesn't know are passed over.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError`] with what is wrong with the line.
    pub fn read(line: &'a [u8]) -> Result<Self, EnvelopeError> {
        let line = json::check(line).map_err(|error| EnvelopeError::Json(error.to_string()))?;
        // serde would take an array of the members' values for the object.
        if line.trim_ascii_start().starts_with('[') {
            return Err(EnvelopeError::Json("an array, not an envelope".to_owned()));
        }
        let line: Line<'a> =
            serde_json::from_str(line).map_err(|error| EnvelopeError::Json(mistyped(&error)))?;
        let text = |text: Option<Text<'a>>| text.map(|text| text.0);
        let timestamp = match &line.timestamp {
            None => None,
            Some(Text(time)) => {
                Some(parse_time(time).ok_or_else(|| EnvelopeError::Timestamp(time.to_string()))?)
            }
        };
        let key = match (line.key, line.key_base64) {
            (Some(_), Some(_)) => return Err(EnvelopeError::Keys),
            (Some(key), None) => Some(bytes_of(key.0)),
            (None, Some(key)) => Some(from_base64("key_base64", &key.0)?),
            (None, None) => None,
        };
        let correlation_data = line
            .correlation_data
            .map(|data| from_base64("correlation_data", &data.0))
            .transpose()?;
        let headers = line
            .headers
            .into_iter()
            .map(read_header)
            .collect::<Result<_, _>>()?;
        let value = read_value(
            line.value,
            line.value_text,
            line.value_base64,
            line.tombstone,
        )?;
        Ok(Self {
            seq: line.seq,
            source: text(line.source),
            topic: text(line.topic),
            timestamp,
            key,
            headers,
            value,
            partition: line.partition,
            offset: line.offset,
            schema_id: line.schema_id,
            schema_type: line.schema_type.map(|text| text.0),
            qos: line.qos,
            retain: line.retain,
            dup: line.dup,
            properties: Properties {
                payload_format: line.payload_format,
                message_expiry: line.message_expiry,
                content_type: text(line.content_type),
                response_topic: text(line.response_topic),
                correlation_data,
            },
        })
    }

    /// Appends the line, without a terminator.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        number(out, "seq", self.seq);
        text(out, "source", self.source.as_deref());
        text(out, "topic", self.topic.as_deref());
        if let Some(time) = self.timestamp.and_then(format_time) {
            text(out, "timestamp", Some(&time));
        }
        match self
            .key
            .as_deref()
            .map(|key| (key, std::str::from_utf8(key)))
        {
            None => {}
            Some((_, Ok(key))) => text(out, "key", Some(key)),
            Some((key, Err(_))) => base64(out, "key_base64", key),
        }
        self.write_headers(out);
        match &self.value {
            Value::Json(json) => {
                name(out, "value");
                out.extend_from_slice(json);
            }
            Value::Text(value) => text(out, "value_text", Some(value)),
            Value::Binary(bytes) => base64(out, "value_base64", bytes),
            Value::Tombstone => flag(out, "tombstone", Some(true)),
        }
        number(out, "partition", self.partition);
        number(out, "offset", self.offset);
        number(out, "schema_id", self.schema_id);
        text(out, "schema_type", self.schema_type.as_deref());
        number(out, "qos", self.qos);
        flag(out, "retain", self.retain);
        flag(out, "dup", self.dup);
        number(out, "payload_format", self.properties.payload_format);
        number(out, "message_expiry", self.properties.message_expiry);
        text(out, "content_type", self.properties.content_type.as_deref());
        text(
            out,
            "response_topic",
            self.properties.response_topic.as_deref(),
        );
        if let Some(data) = &self.properties.correlation_data {
            base64(out, "correlation_data", data);
        }
        out.push(b'}');
    }

    fn write_headers(&self, out: &mut Vec<u8>) {
        if self.headers.is_empty() {
            return;
        }
        name(out, "headers");
        out.push(b'[');
        for (at, (header, value)) in self.headers.iter().enumerate() {
            out.extend_from_slice(if at == 0 { b"[" } else { b",[" });
            string(out, header);
            out.push(b',');
            match value
                .as_deref()
                .map(|value| (value, std::str::from_utf8(value)))
            {
                None => out.extend_from_slice(b"null"),
                Some((_, Ok(value))) => string(out, value),
                Some((value, Err(_))) => {
                    out.push(b'{');
                    base64(out, "base64", value);
                    out.push(b'}');
                }
            }
            out.push(b']');
        }
        out.push(b']');
    }
}

/// What `serde_json` says of a member of the wrong type; a line has only columns.
fn mistyped(error: &serde_json::Error) -> String {
    error
        .to_string()
        .replace(" at line 1 column ", " at column ")
}

fn read_header<'a>(
    (header, value): (Text<'a>, HeaderValue<'a>),
) -> Result<Header<'a>, EnvelopeError> {
    let value = match value {
        HeaderValue::Null(()) => None,
        HeaderValue::Text(text) => Some(bytes_of(text.0)),
        HeaderValue::Base64 { base64 } => Some(from_base64("a header's value", &base64.0)?),
    };
    Ok((header.0, value))
}

fn read_value<'a>(
    value: Option<&'a RawValue>,
    text: Option<Text<'a>>,
    base64: Option<Text<'a>>,
    tombstone: Option<bool>,
) -> Result<Value<'a>, EnvelopeError> {
    match (value, text, base64, tombstone) {
        (Some(raw), None, None, None) => Ok(Value::Json(raw.get().as_bytes())),
        (None, Some(text), None, None) => Ok(Value::Text(text.0)),
        (None, None, Some(text), None) => from_base64("value_base64", &text.0).map(Value::Binary),
        (None, None, None, Some(true)) => Ok(Value::Tombstone),
        (None, None, None, Some(false)) => Err(EnvelopeError::Tombstone),
        (a, b, c, d) => {
            let count = [a.is_some(), b.is_some(), c.is_some(), d.is_some()];
            Err(EnvelopeError::Values(
                count.into_iter().filter(|is| *is).count(),
            ))
        }
    }
}

/// Milliseconds since the epoch of an RFC 3339 time; a finer fraction is cut.
fn parse_time(text: &str) -> Option<i64> {
    text.parse::<Timestamp>()
        .ok()
        .map(Timestamp::as_millisecond)
}

/// A time in ms since 1970 as RFC 3339 has it, `2026-11-21T19:42:12.000Z`; `None` beyond the year 9999.
#[must_use]
pub fn format_time(ms: i64) -> Option<String> {
    Timestamp::from_millisecond(ms)
        .ok()
        .map(|time| format!("{time:.3}"))
}

fn name(out: &mut Vec<u8>, name: &str) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn number(out: &mut Vec<u8>, member: &str, value: Option<impl itoa::Integer>) {
    if let Some(value) = value {
        name(out, member);
        out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }
}

fn flag(out: &mut Vec<u8>, member: &str, value: Option<bool>) {
    if let Some(value) = value {
        name(out, member);
        out.extend_from_slice(if value { b"true" } else { b"false" });
    }
}

fn text(out: &mut Vec<u8>, member: &str, value: Option<&str>) {
    if let Some(value) = value {
        name(out, member);
        string(out, value);
    }
}

fn base64(out: &mut Vec<u8>, member: &str, value: &[u8]) {
    name(out, member);
    out.push(b'"');
    out.extend_from_slice(BASE64_STANDARD.encode(value).as_bytes());
    out.push(b'"');
}

fn string(out: &mut Vec<u8>, value: &str) {
    serde_json::to_writer(out, value).expect("a string always serialises, and a vector takes it");
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
