//! A value leaves as it came, byte for byte, through both brokers.

use e2e::{consumed, counts, tapping};
use tapline_testkit::{DevBrokers, Run};

/// Lines that a tool that reads and writes JSON, or text, would change.
const LINES: [&[u8]; 14] = [
    br#"{"n":1.10}"#,
    br#"{"big":12345678901234567890123}"#,
    br#"{"e":1E400,"z":-0,"f":0.1e-7}"#,
    br#"{"t":"\u00e9\/\ud83d\ude00 \n"}"#,
    br#"  { "a" : 1 , "a" : 2 }  "#,
    br#"{"b":1,"a":2}"#,
    b"not JSON at all",
    b"\ttabs\tand spaces ",
    "gr\u{fc}n \u{1f600}".as_bytes(),
    b"\xff\xfe invalid UTF-8",
    b"NUL \x00 inside",
    b"null",
    b"\"\"",
    b"a carriage return \r in the middle",
];

fn input() -> Vec<u8> {
    LINES.join(&b'\n')
}

fn assert_same(got: &[u8]) {
    let want = [input(), b"\n".to_vec()].concat();
    assert_eq!(
        got.escape_ascii().to_string(),
        want.escape_ascii().to_string()
    );
}

#[test]
fn kafka_keeps_every_byte() {
    let brokers = DevBrokers::start_with(&["--topic", "bytes:1"]);
    let ran = Run::tool("kafka-produce")
        .args([&brokers.kafka_topic("bytes"), "--summary", "json"])
        .finish_with(input());
    ran.assert_code(0);
    assert_eq!(counts(&ran).delivered, LINES.len() as u64);
    assert_same(&consumed(&brokers, "bytes", &[]));
}

#[test]
fn mqtt_keeps_every_byte_at_every_quality_of_service_and_version() {
    let brokers = DevBrokers::start();
    for version in ["5", "3.1.1"] {
        for qos in ["0", "1", "2"] {
            let topic = brokers.mqtt_topic(&format!("bytes/{version}/{qos}"));
            let arguments = ["--qos", qos, "--mqtt-version", version];
            let mut tap = tapping(&topic, &arguments);
            let ran = Run::tool("mqtt-pub")
                .arg(&topic)
                .args(arguments)
                .args(["--summary", "json"])
                .finish_with(input());
            ran.assert_code(0);
            assert_eq!(counts(&ran).delivered, LINES.len() as u64);
            tap.wait_for_lines(LINES.len());
            assert_same(&tap.stdout());
        }
    }
}

#[test]
fn an_envelope_keeps_every_byte() {
    let brokers = DevBrokers::start_with(&["--topic", "bytes:1", "--topic", "copy:1"]);
    let produce = |topic: &str, flags: &[&str], input: Vec<u8>| {
        let ran = Run::tool("kafka-produce")
            .arg(brokers.kafka_topic(topic))
            .args(flags)
            .finish_with(input);
        ran.assert_code(0);
    };
    produce("bytes", &[], input());
    produce("copy", &["-J"], consumed(&brokers, "bytes", &["-J"]));
    assert_same(&consumed(&brokers, "copy", &[]));

    let topic = brokers.mqtt_topic("copy");
    let mut tap = tapping(&topic, &[]);
    let ran = Run::tool("mqtt-pub")
        .args([&topic, "-J"])
        .finish_with(consumed(&brokers, "copy", &["-J"]));
    ran.assert_code(0);
    tap.wait_for_lines(LINES.len());
    assert_same(&tap.stdout());
}

#[test]
fn a_tee_writes_the_lines_as_they_came() {
    let brokers = DevBrokers::start_with(&["--topic", "bytes:1"]);
    for (tool, address) in [
        ("kafka-produce", brokers.kafka_topic("bytes")),
        ("mqtt-pub", brokers.mqtt_topic("bytes")),
    ] {
        let ran = Run::tool(tool)
            .args([&address, "--tee"])
            .finish_with(input());
        ran.assert_code(0);
        assert_same(&ran.stdout);
    }
}
