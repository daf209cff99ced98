//! The Kafka cluster, spoken to with librdkafka.

use std::time::Duration;

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseProducer, BaseRecord, Producer},
};
use tapline_testkit::LIMIT;

use super::start;

#[test]
fn a_topic_that_was_asked_for_is_there() {
    let instance = start(&["--topic", "readings:12", "--topic", "plain"]);
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &instance.kafka)
        .create()
        .unwrap();
    let metadata = client.fetch_metadata(None, LIMIT).unwrap();
    assert_eq!(metadata.brokers().len(), 3);
    let mut topics: Vec<_> = metadata
        .topics()
        .iter()
        .map(|topic| (topic.name(), topic.partitions().len()))
        .collect();
    topics.sort_unstable();
    assert_eq!(topics, [("plain", 4), ("readings", 12)]);
}

#[test]
fn records_of_an_idempotent_producer_come_back_as_they_were() {
    let instance = start(&["--topic", "readings:1"]);
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &instance.kafka);
    let producer: BaseProducer = config
        .clone()
        .set("enable.idempotence", "true")
        .create()
        .unwrap();
    for number in 0..1000 {
        let value = format!("{{\"number\":{number}}}");
        producer
            .send(BaseRecord::to("readings").key("key").payload(&value))
            .unwrap();
    }
    producer.flush(LIMIT).unwrap();

    let consumer: BaseConsumer = config.set("group.id", "unused").create().unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions
        .add_partition_offset("readings", 0, Offset::Beginning)
        .unwrap();
    consumer.assign(&partitions).unwrap();
    for number in 0..1000 {
        let record = consumer
            .poll(Duration::from_secs(30))
            .expect("a record")
            .unwrap();
        let value = String::from_utf8(record.payload().unwrap().to_vec()).unwrap();
        assert_eq!(value, format!("{{\"number\":{number}}}"));
        assert_eq!(record.key(), Some(&b"key"[..]));
    }
}
