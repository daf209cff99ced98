//! From a line to a record: its topic, key, headers, time and value.

use std::borrow::Cow;

use tapline_kafka::{Header, Outgoing};
use tapline_pipe::field::Field;
use tapline_pipe::publish;
use tapline_pipe::reject::{Reason, Rejection};
use tapline_pipe::template::{Template, Variables};
use tapline_pipe::timestamp::{TimeUnit, read_time};

use crate::args::{Args, Tombstone};
use crate::destinations;
use crate::stamp::Stamp;

/// What the arguments say about every record.
#[derive(Debug)]
pub(crate) struct Composer {
    /// `None`: one topic for all.
    topic: Option<Template>,
    key: Option<Template>,
    /// Whether a tombstone has the key, too: it names no fields.
    key_is_of_members: bool,
    headers: Vec<(String, Template)>,
    time: Option<(Field, TimeUnit)>,
    fixed_key: Option<String>,
    tombstone: Vec<Tombstone>,
    partition: Option<i32>,
    stamp: Stamp,
    /// The key's bytes, kept for their memory.
    key_bytes: Vec<u8>,
    /// The topic's name, kept for its memory.
    topic_text: String,
}

impl Composer {
    pub(crate) fn new(args: &Args, topic: Option<Template>, stamp: Stamp) -> Self {
        Self {
            topic,
            key: args.key.clone(),
            key_is_of_members: args
                .key
                .as_ref()
                .is_some_and(|key| key.fields().next().is_none()),
            headers: args.headers.clone(),
            time: args
                .timestamp_field
                .clone()
                .map(|field| (field, args.timestamp_unit)),
            fixed_key: args.fixed_key.clone(),
            tombstone: args.tombstone.clone(),
            partition: args.partition,
            stamp,
            key_bytes: Vec::new(),
            topic_text: String::new(),
        }
    }

    /// Composes the record of a line and hands it to `send`.
    ///
    /// # Errors
    ///
    /// Why the line can't be a record, or what `send` says.
    pub(crate) fn compose<E: From<Rejection>>(
        &mut self,
        ticket: usize,
        line: &publish::Outgoing<'_>,
        send: impl FnOnce(&Outgoing<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let envelope = line.envelope.as_ref();
        let value = line.value().filter(|value| !self.is_tombstone(value));
        let from = Variables { value, envelope };
        let timestamp = self.timestamp(line, value)?;
        let key = match (&self.key, value) {
            _ if self.fixed_key.is_some() => self.fixed_key.as_ref().map(String::as_bytes),
            (Some(template), _) if value.is_some() || self.key_is_of_members => {
                self.key_bytes.clear();
                template
                    .render_bytes(&from, &mut self.key_bytes)
                    .map_err(Rejection::from)?;
                Some(self.key_bytes.as_slice())
            }
            (wanted, _) => {
                let key = envelope.and_then(|envelope| envelope.key.as_deref());
                if wanted.is_some() && key.is_none() {
                    let why = "a tombstone has no fields for --key, and its envelope no key";
                    return Err(Rejection::new(Reason::MissingField, why).into());
                }
                key
            }
        };
        let topic = match &self.topic {
            None => None,
            Some(template) => {
                destinations::render(template, &from, &mut self.topic_text)?;
                Some(self.topic_text.as_str())
            }
        };
        let texts = self.header_texts(&from)?;
        let mut headers: Vec<Header<'_>> = Vec::new();
        for (name, value) in envelope.iter().flat_map(|envelope| &envelope.headers) {
            headers.push(Header {
                name,
                value: value.as_deref(),
            });
        }
        for ((name, _), text) in self.headers.iter().zip(&texts) {
            headers.push(Header {
                name,
                value: Some(text),
            });
        }
        let payload = match value {
            Some(value) => Some(self.stamp.apply(value).map_err(Rejection::from)?),
            None => None,
        };
        send(&Outgoing {
            ticket,
            topic,
            key,
            payload,
            headers: &headers,
            timestamp,
            partition: self.partition,
        })
    }

    /// Whether the options make this value Kafka's null.
    fn is_tombstone(&self, value: &[u8]) -> bool {
        self.tombstone.iter().any(|kind| match kind {
            Tombstone::Null => value.trim_ascii() == b"null",
            Tombstone::Empty => value.is_empty(),
        })
    }

    fn timestamp(
        &self,
        line: &publish::Outgoing<'_>,
        value: Option<&[u8]>,
    ) -> Result<Option<i64>, Rejection> {
        let envelope = line
            .envelope
            .as_ref()
            .and_then(|envelope| envelope.timestamp);
        match (&self.time, value) {
            (Some((field, unit)), Some(value)) => {
                let text: Cow<'_, str> = field.scalar(value)?;
                let time = read_time(&text, *unit)
                    .and_then(milliseconds)
                    .ok_or_else(|| {
                        let detail =
                            format!("'{}' is not a time that a record can have", excerpt(&text));
                        Rejection::new(Reason::BadField, detail).at(field.pointer())
                    })?;
                Ok(Some(time))
            }
            _ if envelope.is_some_and(|time| !is_sendable(time)) => {
                let why = "its time is not after 1970-01-01T00:00:00Z, so no record can have it";
                Err(Rejection::new(Reason::BadField, why).at("/timestamp"))
            }
            _ => Ok(envelope),
        }
    }

    /// The values of the headers of the arguments.
    fn header_texts(&self, from: &Variables<'_>) -> Result<Vec<Vec<u8>>, Rejection> {
        let render = |(_, template): &(String, Template)| {
            let mut bytes = Vec::new();
            template.render_bytes(from, &mut bytes)?;
            Ok(bytes)
        };
        self.headers.iter().map(render).collect()
    }
}

/// Whole milliseconds, if a record can have them as its time.
fn milliseconds(ns: i128) -> Option<i64> {
    let ms = i64::try_from(ns.div_euclid(1_000_000)).ok();
    ms.filter(|ms| is_sendable(*ms))
}

/// Whether a record can have this time: librdkafka takes 0 for now, and brokers refuse what is before.
fn is_sendable(ms: i64) -> bool {
    ms > 0
}

/// Enough of a text for a message.
fn excerpt(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(40) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use clap::Parser;
    use tapline_pipe::envelope::Envelope;

    /// Key, headers, time and payload of what would be sent.
    type Sent = (
        Option<Vec<u8>>,
        Vec<(String, Option<Vec<u8>>)>,
        Option<i64>,
        Option<Vec<u8>>,
    );

    fn compose(options: &[&str], line: &str) -> Result<Sent, Rejection> {
        let args = Args::parse_from([&["kafka-produce", "kafka://a/t"], options].concat());
        let mut composer = Composer::new(&args, None, Stamp::default());
        let bytes = Bytes::copy_from_slice(line.as_bytes());
        let envelope = args
            .publish
            .envelope
            .then(|| Envelope::read(&bytes).unwrap());
        let line = publish::Outgoing {
            line: 1,
            bytes: &bytes,
            envelope,
        };
        let mut sent = None;
        composer.compose::<Rejection>(7, &line, |record| {
            assert_eq!(record.ticket, 7);
            let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
            let headers = record
                .headers
                .iter()
                .map(|header| (header.name.to_owned(), owned(header.value)));
            sent = Some((
                owned(record.key),
                headers.collect(),
                record.timestamp,
                owned(record.payload),
            ));
            Ok(())
        })?;
        Ok(sent.unwrap())
    }

    #[test]
    fn a_line_is_the_value_byte_for_byte_and_without_a_key_the_key_is_null() {
        let line = r#" {"a": 1.10, "n":12345678901234567890 } "#;
        assert_eq!(
            compose(&[], line).unwrap(),
            (None, vec![], None, Some(line.into()))
        );
        assert_eq!(compose(&[], "not JSON").unwrap().3, Some("not JSON".into()));
    }

    #[test]
    fn keys_come_from_fields_and_templates() {
        let line = r#"{"id":"g\u00e4","n":1.10,"site":{"id":7},"empty":""}"#;
        for (option, key) in [
            ("id", "gä"),
            ("/site/id", "7"),
            ("{id}-{n}", "gä-1.10"),
            ("empty", ""),
        ] {
            assert_eq!(
                compose(&["-k", option], line).unwrap().0,
                Some(key.into()),
                "{option}"
            );
        }
        for (option, line, reason) in [
            ("none", line, Reason::MissingField),
            ("site", line, Reason::NotScalar),
            ("id", "no JSON", Reason::NotJson),
        ] {
            assert_eq!(
                compose(&["-k", option], line).unwrap_err().reason,
                reason,
                "{option}"
            );
        }
    }

    #[test]
    fn an_envelope_is_copied() {
        let line = r#"{"seq":3,"timestamp":"1970-01-01T00:00:01Z","key":"k","partition":9,
            "headers":[["a","1"],["b",null],["a",{"base64":"/w=="}]],"value":{"x": 1.10}}"#;
        let some = |bytes: &[u8]| Some(bytes.to_vec());
        let headers = vec![
            ("a".to_owned(), some(b"1")),
            ("b".to_owned(), None),
            ("a".to_owned(), some(b"\xff")),
        ];
        let (key, got, time, payload) = compose(&["-J"], line).unwrap();
        assert_eq!(
            (key, got, time, payload),
            (some(b"k"), headers, Some(1000), some(br#"{"x": 1.10}"#))
        );
        let (key, got, ..) = compose(&["-J", "-k", "x", "-H", "h=<{x}>"], line).unwrap();
        assert_eq!(
            (key, got.last().unwrap()),
            (some(b"1.10"), &("h".to_owned(), some(b"<1.10>")))
        );
    }

    #[test]
    fn a_tombstone_has_no_value_and_no_fields() {
        let dead = r#"{"key_base64":"/w==","tombstone":true}"#;
        let (key, _, _, payload) = compose(&["-J", "-k", "id"], dead).unwrap();
        assert_eq!((key, payload), (Some(vec![0xff]), None));
        let keyless = r#"{"tombstone":true}"#;
        assert_eq!(
            compose(&["-J"], keyless).unwrap(),
            (None, vec![], None, None)
        );
        for options in [["-J", "-kid"], ["-J", "-Ha={id}"]] {
            let rejection = compose(&options, keyless).unwrap_err();
            assert_eq!(rejection.reason, Reason::MissingField, "{options:?}");
        }
        assert_eq!(
            compose(&["-J", "-Ha=b"], dead).unwrap().1[0].1,
            Some(b"b".to_vec())
        );
    }

    #[test]
    fn key_and_headers_can_say_where_the_value_came_from_whatever_it_is() {
        let options = [
            "-J",
            "-k{$topic/1}",
            "-Hfrom={$topic}",
            "-Hk={$key}",
            "-Hn=b",
        ];
        let some = |text: &str| Some(text.as_bytes().to_vec());
        for (value, payload) in [
            (r#""value_text":"ON""#, Some("ON")),
            (r#""value":21.50"#, Some("21.50")),
            (r#""tombstone":true"#, None),
        ] {
            let line = format!(r#"{{"topic":"stat/tasmota/POWER","key_base64":"/w==",{value}}}"#);
            let (key, headers, _, got) = compose(&options, &line).unwrap();
            assert_eq!(key, some("tasmota"));
            let header = |name: &str, value| (name.to_owned(), value);
            let want = [
                header("from", some("stat/tasmota/POWER")),
                header("k", Some(vec![0xff])),
                header("n", some("b")),
            ];
            assert_eq!(headers, want);
            assert_eq!(got, payload.map(|payload| payload.as_bytes().to_vec()));
        }
        let shallow = r#"{"topic":"stat","key":"k","value_text":"ON"}"#;
        let rejection = compose(&options, shallow).unwrap_err();
        assert_eq!(rejection.reason, Reason::MissingMember);
        assert_eq!(rejection.path.as_deref(), Some("/topic"));
    }

    #[test]
    fn a_key_that_is_not_text_is_copied() {
        let line = r#"{"key_base64":"/w==","value":1}"#;
        let (key, ..) = compose(&["-J", "-k<{$key}>"], line).unwrap();
        assert_eq!(key.as_deref(), Some(&b"<\xff>"[..]));
    }

    #[test]
    fn a_fixed_key_needs_no_fields() {
        let options = ["--fixed-key", "k{x}"];
        assert_eq!(
            compose(&options, "no JSON").unwrap().0,
            Some(b"k{x}".to_vec())
        );
        let envelope = r#"{"key":"its own","tombstone":true}"#;
        let options = ["-J", "--fixed-key", "k"];
        assert_eq!(compose(&options, envelope).unwrap().0, Some(b"k".to_vec()));
    }

    #[test]
    fn null_and_empty_values_are_tombstones_if_that_is_asked_for() {
        let value = |options: &[&str], line: &str| compose(options, line).unwrap().3;
        let null = ["--tombstone", "null", "--fixed-key", "k"];
        assert_eq!(value(&null, " null "), None);
        assert_eq!(value(&null, "0"), Some(b"0".to_vec()));
        assert_eq!(value(&[], "null"), Some(b"null".to_vec()));
        let empty = r#"{"key":"k","value_text":""}"#;
        assert_eq!(value(&["-J"], empty), Some(Vec::new()));
        assert_eq!(value(&["-J", "--tombstone", "null,empty"], empty), None);
        let envelope = r#"{"key":"k","value":null}"#;
        assert_eq!(value(&["-J", "--tombstone", "null"], envelope), None);
    }

    #[test]
    fn times_come_from_a_field_or_the_envelope() {
        let options = ["--timestamp-field", "t", "--timestamp-unit", "s"];
        assert_eq!(compose(&options, r#"{"t":1.5}"#).unwrap().2, Some(1500));
        for never in ["\"soon\"", "0", "-5", "0.0009", "9999999999999999999"] {
            let rejection = compose(&options, &format!(r#"{{"t":{never}}}"#)).unwrap_err();
            let found = (rejection.reason, rejection.path.as_deref());
            assert_eq!(found, (Reason::BadField, Some("/t")), "{never}");
        }
        let old = r#"{"timestamp":"1969-12-31T00:00:00Z","value":1}"#;
        assert_eq!(compose(&["-J"], old).unwrap_err().reason, Reason::BadField);
    }
}
