//! The schemas in `schemas/`: each loads, takes what it should and refuses what it should not.

use std::path::Path;

use tapline_contract::schema::Schema;

/// Checks the good and the bad examples of a schema.
fn check(name: &str, title: &str, good: &[&str], bad: &[(&str, &str)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../schemas")
        .join(format!("{name}.schema.json"));
    let schema = Schema::from_file(&path, &[]).unwrap();
    assert_eq!(schema.title(), Some(title));
    let document = schema.document();
    assert!(document["description"].is_string(), "{name}");
    let id = document["$id"].as_str().unwrap();
    assert!(id.ends_with(&format!("/{name}.schema.json")), "{id}");
    for (property, schema) in document["properties"].as_object().unwrap() {
        assert!(schema["description"].is_string(), "{name}: {property}");
    }
    let mut validator = schema.validator();
    for record in good {
        assert_eq!(validator.check(record.as_bytes()), Ok(()), "{record}");
    }
    for (record, pointer) in bad {
        let invalid = validator.check(record.as_bytes()).expect_err(record);
        assert_eq!(invalid.pointer(), Some(*pointer), "{record}: {invalid}");
    }
}

const READING: &str = r#"{"generatorID":"generator4","lat":40.65995,"lon":-111.99633,"temperature":74,"pressure":198,"fuel":901}"#;

#[test]
fn a_reading_has_six_fields_within_bounds() {
    let with = |from: &str, to: &str| READING.replace(from, to);
    let lowest = with("74", "-60").replace("198", "0").replace("901", "0");
    check(
        "generator",
        "Generator",
        &[
            READING,
            &lowest,
            &with("40.65995", "-90"),
            &with("74", "74.0"),
        ],
        &[
            ("{}", ""),
            ("[]", ""),
            (&with("\"lat\":40.65995,", ""), ""),
            (&with("901", "901,\"x\":1"), ""),
            (&with("generator4", ""), "/generatorID"),
            (&with("generator4", "a/b"), "/generatorID"),
            (&with("generator4", "a+"), "/generatorID"),
            (&with("generator4", "\\u0000"), "/generatorID"),
            (&with("\"generator4\"", "4"), "/generatorID"),
            (&with("40.65995", "90.1"), "/lat"),
            (&with("-111.99633", "\"-111.99633\""), "/lon"),
            (&with("74", "74.5"), "/temperature"),
            (&with("74", "900"), "/temperature"),
            (&with("198", "-1"), "/pressure"),
            (&with("901", "null"), "/fuel"),
        ],
    );
}

#[test]
fn a_recorded_temperature_is_a_time_and_a_value() {
    check(
        "machine-temperature",
        "MachineTemperature",
        &[
            r#"{"timestamp":"2013-12-02 21:15:00","value":73.96732207}"#,
            r#"{"timestamp":"2013-12-02T21:15:00.5","value":-1}"#,
        ],
        &[
            (r#"{"timestamp":"2013-12-02 21:15:00"}"#, ""),
            (r#"{"timestamp":"2013-12-02","value":1}"#, "/timestamp"),
            (
                r#"{"timestamp":"2013-12-02 21:15:00","value":"hot"}"#,
                "/value",
            ),
            (
                r#"{"timestamp":"2013-12-02 21:15:00","value":9999}"#,
                "/value",
            ),
        ],
    );
}

#[test]
fn an_envelope_has_one_form_of_a_value() {
    check(
        "envelope",
        "Envelope",
        &[
            r#"{"value":null}"#,
            r#"{"value":{"a":1.10}}"#,
            r#"{"value_text":""}"#,
            r#"{"value_base64":"/w=="}"#,
            r#"{"tombstone":true,"key_base64":"AP8="}"#,
            r#"{"seq":1,"source":"kafka","topic":"t","timestamp":"2026-11-21T19:42:12.000Z","key":"","headers":[["a","b"],["a",null],["c",{"base64":"/w=="}]],"value":1,"partition":0,"offset":0,"schema_id":7}"#,
            r#"{"seq":2,"source":"mqtt","topic":"a/b","timestamp":"2026-11-21T19:42:12.123Z","headers":[],"value":"x","qos":2,"retain":false,"dup":true,"payload_format":1,"message_expiry":0,"content_type":"application/json","response_topic":"r","correlation_data":"AAE="}"#,
        ],
        &[
            ("{}", ""),
            (r#"{"value":1,"tombstone":true}"#, ""),
            (r#"{"value":1,"value_text":"1"}"#, ""),
            (r#"{"value":1,"key":"a","key_base64":"YQ=="}"#, ""),
            (r#"{"value":1,"offfset":1}"#, ""),
            (r#"{"tombstone":false}"#, "/tombstone"),
            (r#"{"value_base64":"/w"}"#, "/value_base64"),
            (r#"{"value":1,"seq":0}"#, "/seq"),
            (r#"{"value":1,"source":"amqp"}"#, "/source"),
            (
                r#"{"value":1,"timestamp":"2026-11-21 19:42:12"}"#,
                "/timestamp",
            ),
            (
                r#"{"value":1,"timestamp":"2026-11-21T19:42:12Z"}"#,
                "/timestamp",
            ),
            (r#"{"value":1,"qos":3}"#, "/qos"),
            (r#"{"value":1,"headers":{"a":"b"}}"#, "/headers"),
            (r#"{"value":1,"headers":[["a"]]}"#, "/headers/0"),
            (r#"{"value":1,"headers":[["a",1]]}"#, "/headers/0/1"),
            (r#"{"value":1,"headers":[["a",{}]]}"#, "/headers/0/1"),
        ],
    );
}

#[test]
fn a_reject_has_its_record_unless_that_was_too_long() {
    check(
        "reject",
        "Reject",
        &[
            r#"{"tool":"mqtt-pub","line":3,"reason":"missing-field","detail":"has no field 'a'","path":"/a","record":"{}"}"#,
            r#"{"tool":"schema-check","file":"f","line":4,"reason":"not-json","detail":"x","record_base64":"/w=="}"#,
            r#"{"tool":"kafka-produce","line":5,"reason":"too-long","detail":"y"}"#,
        ],
        &[
            (
                r#"{"tool":"mqtt-pub","line":3,"reason":"invalid","detail":"x"}"#,
                "",
            ),
            (
                r#"{"tool":"mqtt-pub","line":3,"reason":"too-long","detail":"x","record":"y"}"#,
                "",
            ),
            (
                r#"{"tool":"mqtt-pub","line":3,"reason":"invalid","detail":"x","record":"","record_base64":""}"#,
                "",
            ),
            (
                r#"{"tool":"jq","line":3,"reason":"invalid","detail":"x","record":""}"#,
                "/tool",
            ),
            (
                r#"{"tool":"mqtt-pub","line":0,"reason":"invalid","detail":"x","record":""}"#,
                "/line",
            ),
            (
                r#"{"tool":"mqtt-pub","line":1,"reason":"odd","detail":"x","record":""}"#,
                "/reason",
            ),
            (
                r#"{"tool":"mqtt-pub","line":1,"reason":"invalid","detail":"x","path":"a","record":""}"#,
                "/path",
            ),
        ],
    );
}

#[test]
fn a_summary_has_all_its_numbers() {
    let good = r#"{"tool":"gen-sim","read":1000,"delivered":998,"rejected":2,"blank":0,"bytes":104000,"seconds":0.5}"#;
    check(
        "summary",
        "Summary",
        &[good],
        &[
            (&good.replace(",\"blank\":0", ""), ""),
            (&good.replace("1000", "-1"), "/read"),
            (&good.replace("998", "99.8"), "/delivered"),
            (&good.replace("0.5", "\"0.5\""), "/seconds"),
        ],
    );
}
