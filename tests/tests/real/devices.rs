//! What an MQTT topic says of a device reaches Kafka, on Mosquitto and Apache Kafka.

use e2e::devices::devices_keep_their_identity;
use tapline_testkit::{Mosquitto, RealBrokers, unique};

#[test]
fn devices_keep_their_identity_on_the_way_to_kafka_and_their_values_every_byte() {
    let brokers = RealBrokers::shared();
    let mosquitto = Mosquitto::start_with(&[]);
    let mqtt = mosquitto.topic("");
    let mqtt = mqtt.trim_end_matches('/');
    let kafka = brokers.kafka_topic("");
    let prefix = format!("{}.", unique("devices"));
    devices_keep_their_identity(mqtt, kafka.trim_end_matches('/'), &prefix);
}
