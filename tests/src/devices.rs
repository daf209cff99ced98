//! Devices that put their identity into the topic and send what isn't always JSON: what they publish, and the bridge
//! that carries it to Kafka.

use serde_json::Value;
use tapline_testkit::{Finished, Run};

use crate::real::PATIENCE;

/// A message of a device, and what a bridge makes of it.
#[derive(Debug, Clone, Copy)]
pub struct Message {
    /// Its MQTT topic.
    pub topic: &'static str,
    /// Its payload, as an envelope's member.
    pub member: &'static str,
    /// The key of the record.
    pub key: &'static str,
    /// The value of the header that tells the messages of a device apart.
    pub kind: &'static str,
}

/// zigbee2mqtt: numbers with their zeros, friendly names with slashes and spaces.
pub const ZIGBEE: [Message; 3] = [
    Message {
        topic: "zigbee2mqtt/kitchen/sensor",
        member: r#""value":{"temperature":21.50,"humidity":4.0e1,"linkquality":120}"#,
        key: "zigbee2mqtt/kitchen/sensor",
        kind: "kitchen",
    },
    Message {
        topic: "zigbee2mqtt/attic/left window/contact",
        member: r#""value":{"contact": true,  "battery":100.0}"#,
        key: "zigbee2mqtt/attic/left window/contact",
        kind: "attic",
    },
    Message {
        topic: "zigbee2mqtt/lamp",
        member: r#""value_text":"offline""#,
        key: "zigbee2mqtt/lamp",
        kind: "lamp",
    },
];

/// Tasmota: the device is the second level, and a state is a word.
pub const TASMOTA: [Message; 3] = [
    Message {
        topic: "tele/DVES_1A2B3C/SENSOR",
        member: r#""value":{"Time":"2026-11-21T19:42:12","AM2301":{"Temperature":21.50}}"#,
        key: "DVES_1A2B3C",
        kind: "SENSOR",
    },
    Message {
        topic: "stat/DVES_1A2B3C/POWER",
        member: r#""value_text":"ON""#,
        key: "DVES_1A2B3C",
        kind: "POWER",
    },
    Message {
        topic: "stat/DVES_1A2B3C/SETPOINT",
        member: r#""value":21.50"#,
        key: "DVES_1A2B3C",
        kind: "SETPOINT",
    },
];

/// Sparkplug: a payload of bytes. A message of a node has no device.
pub const SPARKPLUG: [Message; 3] = [
    Message {
        topic: "spBv1.0/plant/DDATA/node1/pump 7",
        member: r#""value_base64":"CMD9/x8YAA==""#,
        key: "node1/pump 7",
        kind: "DDATA",
    },
    Message {
        topic: "spBv1.0/plant/DBIRTH/node1/pump 7",
        member: r#""value_base64":"AP/+""#,
        key: "node1/pump 7",
        kind: "DBIRTH",
    },
    Message {
        topic: "spBv1.0/plant/NDATA/node1",
        member: r#""value_base64":"CAE=""#,
        key: "",
        kind: "",
    },
];

/// The messages as envelopes, for `mqtt-pub -J`.
#[must_use]
pub fn published(messages: &[Message]) -> String {
    let line = |message: &Message| {
        let Message { topic, member, .. } = message;
        format!("{{\"topic\":\"{topic}\",{member}}}\n")
    };
    messages.iter().map(line).collect::<Vec<_>>().concat()
}

/// Runs a bridge from an MQTT filter to a Kafka address, publishes the messages, and gives how the bridge ended once
/// it had them all.
#[must_use]
#[track_caller]
pub fn bridged(
    mqtt: &str,
    filter: &str,
    kafka: &str,
    options: &[&str],
    messages: &[Message],
) -> Finished {
    let count = messages.len().to_string();
    // The shell finds the command, too.
    let mut bridge = Run::shell("exec topic-tap \"$@\"")
        .args(["sh", &format!("{mqtt}/{filter}"), "-v", "--count", &count])
        .args(["--", "kafka-produce", kafka, "--summary", "json"])
        .args(["--create-topic", "--partitions", "1"])
        .args(options)
        .limit(PATIENCE)
        .start();
    bridge.wait_for_stderr(": tapping");
    Run::tool("mqtt-pub")
        .args([mqtt, "-J"])
        .limit(PATIENCE)
        .finish_with(published(messages))
        .assert_code(0);
    bridge.wait()
}

/// Asserts that a Kafka topic holds these messages in their order, byte for byte, with their key and headers.
///
/// # Panics
///
/// When it doesn't.
#[track_caller]
pub fn assert_holds(kafka: &str, messages: &[Message]) {
    let ran = Run::tool("topic-tap")
        .args([kafka, "-J", "--from", "beginning", "--until-end", "-q"])
        .limit(PATIENCE)
        .finish();
    ran.assert_code(0);
    let lines: Vec<&str> = ran.text().lines().collect();
    assert_eq!(lines.len(), messages.len(), "{lines:?}");
    for (line, message) in lines.iter().zip(messages) {
        // As text: a number must keep its zeros.
        assert!(line.contains(message.member), "{line}");
        let envelope: Value = serde_json::from_str(line).expect("an envelope is JSON");
        assert_eq!(envelope["key"], message.key, "{line}");
        let headers = serde_json::json!([["from", message.topic], ["kind", message.kind]]);
        assert_eq!(envelope["headers"], headers, "{line}");
    }
}

/// The three recipes of `docs/templates.md`, at brokers of one kind: `prefix` is what the names of the Kafka topics
/// begin with.
///
/// # Panics
///
/// When something doesn't arrive as it should.
#[track_caller]
pub fn devices_keep_their_identity(mqtt: &str, kafka: &str, prefix: &str) {
    let at = |topic: &str| format!("{kafka}/{prefix}{topic}");
    let from = "from={$topic}";

    let options = ["--key", "{$topic}", "-H", from, "-H", "kind={$topic/1}"];
    bridged(mqtt, "zigbee2mqtt/#", &at("{$topic/0}"), &options, &ZIGBEE).assert_code(0);
    assert_holds(&at("zigbee2mqtt"), &ZIGBEE);

    let options = ["--key", "{$topic/1}", "-H", from, "-H", "kind={$topic/2}"];
    bridged(mqtt, "+/+/+", &at("{$topic/0}"), &options, &TASMOTA).assert_code(0);
    assert_holds(&at("tele"), &TASMOTA[..1]);
    assert_holds(&at("stat"), &TASMOTA[1..]);

    let key = "{$topic/3}/{$topic/4}";
    let options = ["--key", key, "-H", from, "-H", "kind={$topic/2}"];
    let kafka = at("sparkplug.{$topic/1}");
    let ran = bridged(mqtt, "spBv1.0/#", &kafka, &options, &SPARKPLUG);
    // What no device sent is rejected alone, with what it lacks.
    ran.assert_code(1)
        .assert_stderr("line 3: its topic has no level 4; the last is 3");
    assert_holds(&at("sparkplug.plant"), &SPARKPLUG[..2]);
}
