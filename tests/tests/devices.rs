//! What an MQTT topic says of a device reaches Kafka, on the embedded brokers.

use e2e::devices::{ZIGBEE, devices_keep_their_identity, published};
use e2e::{counts, tapping};
use tapline_testkit::{DevBrokers, Run, Signal};

#[test]
fn devices_keep_their_identity_on_the_way_to_kafka_and_their_values_every_byte() {
    let brokers = DevBrokers::start();
    devices_keep_their_identity(&brokers.mqtt, &brokers.kafka, "home.");
}

#[test]
fn a_topic_goes_over_to_another_broker_with_its_levels() {
    let (here, there) = (DevBrokers::start(), DevBrokers::start());
    let mut copy = tapping(&there.mqtt_topic("#"), &["-J"]);
    let target = there.mqtt_topic("site7/{+$topic}");
    let filter = here.mqtt_topic("zigbee2mqtt/#");
    let mut bridge = Run::shell("exec topic-tap \"$@\"")
        .args(["sh", &filter, "-v", "--", "mqtt-pub", &target])
        .args(["-H", "level={$topic/1}", "--summary", "json"])
        .start();
    bridge.wait_for_stderr(": tapping");
    Run::tool("mqtt-pub")
        .args([&here.mqtt, "-J"])
        .finish_with(published(&ZIGBEE))
        .assert_code(0);
    copy.wait_for_lines(ZIGBEE.len());
    bridge.signal(Signal::TERM);
    let bridge = bridge.wait();
    bridge.assert_code(143);
    assert_eq!(counts(&bridge).delivered, 3);
    copy.signal(Signal::TERM);
    let copy = copy.wait();
    let text = copy.text();
    for (line, message) in text.lines().zip(&ZIGBEE) {
        let topic = format!("\"topic\":\"site7/{}\"", message.topic);
        assert!(line.contains(&topic), "{line}");
        assert!(line.contains(message.member), "{line}");
        let level = format!("[\"level\",\"{}\"]", message.kind);
        assert!(line.contains(&level), "{line}");
    }
}
