//! Tests of the envelope: what is written comes back, and what is wrong is told apart.

use super::*;
use proptest::{collection::vec, option, prelude::*};

fn read(line: &str) -> Result<Envelope<'_>, String> {
    Envelope::read(line.as_bytes()).map_err(|error| error.to_string())
}

fn written(envelope: &Envelope<'_>) -> String {
    let mut out = Vec::new();
    envelope.write(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_kafka_record_reads_as_one_would_expect() {
    let envelope = Envelope {
        seq: Some(1),
        source: Some("kafka".into()),
        topic: Some("t".into()),
        timestamp: Some(1_763_754_132_007),
        key: Some(b"g4".as_slice().into()),
        headers: vec![
            ("a".into(), Some(b"1".as_slice().into())),
            ("a".into(), None),
            ("b".into(), Some(b"\xff".as_slice().into())),
        ],
        partition: Some(2),
        offset: Some(77),
        ..Envelope::new(Value::Json(br#"{"n":1.10, "big":12345678901234567890}"#))
    };
    assert_eq!(
        written(&envelope),
        r#"{"seq":1,"source":"kafka","topic":"t","timestamp":"2025-11-21T19:42:12.007Z","key":"g4","headers":[["a","1"],["a",null],["b",{"base64":"/w=="}]],"value":{"n":1.10, "big":12345678901234567890},"partition":2,"offset":77}"#
    );
}

#[test]
fn a_payload_takes_the_form_in_which_it_comes_back() {
    let json = [r#"{"a":1}"#, "1.10", "\"x\"", "null", "[]"];
    for payload in json {
        assert_eq!(
            Value::of_payload(payload.as_bytes()),
            Value::Json(payload.as_bytes()),
            "{payload}"
        );
    }
    for payload in ["", "text", " 1", "1 ", "{\n}", "{} {}", "NaN", "\u{feff}{}"] {
        assert_eq!(
            Value::of_payload(payload.as_bytes()),
            Value::Text(payload.into()),
            "{payload:?}"
        );
    }
    assert!(matches!(Value::of_payload(b"\"\xff\""), Value::Binary(_)));
}

#[test]
fn null_is_a_value_and_a_tombstone_is_not() {
    assert_eq!(
        read(r#"{"value":null}"#).unwrap().value.bytes(),
        Some(b"null".as_slice())
    );
    assert_eq!(
        read(r#"{"value_text":""}"#).unwrap().value.bytes(),
        Some(b"".as_slice())
    );
    assert_eq!(
        read(r#"{"tombstone":true,"key":"k"}"#)
            .unwrap()
            .value
            .bytes(),
        None
    );
}

#[test]
fn what_is_wrong_is_told() {
    for (line, want) in [
        ("x", "expected a value at column 1"),
        ("[1]", "an array"),
        (r#"{"topic":"t"}"#, "this has 0"),
        (r#"{"value":1,"value_text":"a"}"#, "this has 2"),
        (r#"{"value":1,"tombstone":true}"#, "this has 2"),
        (r#"{"tombstone":false}"#, "only be true"),
        (r#"{"value":1,"key":"a","key_base64":"YQ=="}"#, "not both"),
        (r#"{"value_base64":"*"}"#, "value_base64 is not base64"),
        (
            r#"{"value":1,"timestamp":"yesterday"}"#,
            "'yesterday' is not a time",
        ),
        (r#"{"value":1,"seq":-1}"#, "invalid value"),
        (r#"{"value":1,"topic":5}"#, "invalid type"),
    ] {
        let error = read(line).expect_err(line);
        assert!(error.contains(want), "{line}: {error}");
    }
}

#[test]
fn unknown_members_are_passed_over() {
    assert_eq!(
        read(r#"{"note":{"by":"jq"},"value":1}"#).unwrap(),
        Envelope::new(Value::Json(b"1"))
    );
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..40),
        ".{0,20}".prop_map(String::into_bytes),
        ".{0,20}".prop_map(
            |text| serde_json::json!({ "a b": text, "n": [1, null, true] })
                .to_string()
                .into_bytes()
        ),
        "[ \n\r]?-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?(e[+-]?[0-9]{1,3})?[ \n]?"
            .prop_map(String::into_bytes),
    ]
}

prop_compose! {
    fn properties()(
        payload_format in option::of(0u8..2),
        message_expiry in option::of(any::<u32>()),
        content_type in option::of(".*"),
        response_topic in option::of(".*"),
        correlation_data in option::of(vec(any::<u8>(), 0..9)),
    ) -> Properties<'static> {
        Properties {
            payload_format,
            message_expiry,
            content_type: content_type.map(Cow::Owned),
            response_topic: response_topic.map(Cow::Owned),
            correlation_data: correlation_data.map(Cow::Owned),
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_comes_back(
        payload in option::of(payload()),
        key in option::of(payload()),
        headers in vec((".*", option::of(payload())), 0..4),
        topic in option::of(".*"),
        numbers in (option::of(any::<u64>()), option::of(any::<i32>()), option::of(any::<i64>()), option::of(any::<u32>())),
        ms in option::of(-62_000_000_000_000i64..253_000_000_000_000),
        flags in (option::of(0u8..3), option::of(any::<bool>()), option::of(any::<bool>())),
        properties in properties(),
    ) {
        let value = payload.as_deref().map_or(Value::Tombstone, Value::of_payload);
        let envelope = Envelope {
            seq: numbers.0,
            source: Some("mqtt".into()),
            topic: topic.map(Cow::Owned),
            timestamp: ms,
            key: key.map(Cow::Owned),
            headers: headers.into_iter().map(|(name, value)| (Cow::Owned(name), value.map(Cow::Owned))).collect(),
            value,
            partition: numbers.1,
            offset: numbers.2,
            schema_id: numbers.3,
            schema_type: numbers.3.map(|_| "AVRO".into()),
            qos: flags.0,
            retain: flags.1,
            dup: flags.2,
            properties,
        };
        let line = written(&envelope);
        prop_assert!(!line.contains(['\n', '\r']));
        let back = read(&line).unwrap();
        prop_assert_eq!(back.value.bytes(), payload.as_deref());
        prop_assert_eq!(back, envelope);
    }
}

#[test]
fn a_seq_alone_is_what_is_left_of_a_dropped_record() {
    assert_eq!(seq_alone(br#" {"seq": 7} "#), Some(7));
    for other in [
        r#"{"seq":7,"value":1}"#,
        r#"{"seq":7,"x":1}"#,
        r#"{"seq":null}"#,
        r#"{"seq":-1}"#,
        "{}",
        "[7]",
        "7",
    ] {
        assert_eq!(seq_alone(other.as_bytes()), None, "{other}");
    }
}
