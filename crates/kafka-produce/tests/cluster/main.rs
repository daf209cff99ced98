//! kafka-produce against librdkafka's mock cluster, which runs in the test's own process.

mod contract;
mod destinations;
mod faults;
mod records;
mod transactions;

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use serde_json::Value;
use tapline_kafka::{Address, Consumer, ConsumerOptions, Event, Properties, Settings, Start};
use tapline_testkit::{Finished, LIMIT, Run};

/// A cluster of one broker.
struct Cluster {
    /// Never dropped: ending librdkafka's mock cluster hangs now and then (2.12.1), and the process ends soon.
    mock: ManuallyDrop<MockCluster<'static, DefaultProducerContext>>,
    servers: String,
}

/// A record as it was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Read {
    partition: i32,
    offset: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
    timestamp: i64,
}

impl Cluster {
    fn with(topic: &str, partitions: i32) -> Self {
        let mock = ManuallyDrop::new(MockCluster::new(1).unwrap());
        mock.create_topic(topic, partitions, 1).unwrap();
        let servers = mock.bootstrap_servers();
        Self { mock, servers }
    }

    fn tool(&self, topic: &str, arguments: &[&str]) -> Run {
        Run::new(env!("CARGO_BIN_EXE_kafka-produce"))
            .arg(format!("kafka://{}/{topic}", self.servers))
            .args(arguments)
    }

    /// All records of a topic, by partition and offset.
    fn read(&self, topic: &str) -> Vec<Read> {
        let address: Address = format!("kafka://{}/{topic}", self.servers).parse().unwrap();
        let settings = Settings::new(&address, Properties::new(), LIMIT, Arc::new(|_, _| {}));
        let options = ConsumerOptions {
            start: Start::Beginning,
            until_end: true,
            ..ConsumerOptions::default()
        };
        let mut consumer =
            Consumer::connect(&settings, address.topic.as_ref().unwrap(), &options).unwrap();
        let (mut records, start) = (Vec::new(), Instant::now());
        loop {
            assert!(start.elapsed() < LIMIT, "no end of {topic}");
            match consumer.poll(Duration::from_millis(100)).unwrap() {
                Event::Record(record) => records.push(Read {
                    partition: record.partition(),
                    offset: record.offset(),
                    key: record.key().map(<[u8]>::to_vec),
                    value: record.payload().map(<[u8]>::to_vec),
                    headers: record
                        .headers()
                        .expect("names that are text")
                        .into_iter()
                        .map(|header| (header.name.to_owned(), header.value.map(<[u8]>::to_vec)))
                        .collect(),
                    timestamp: record.timestamp().unwrap().0,
                }),
                Event::End => break,
                _ => {}
            }
        }
        records.sort_by_key(|record| (record.partition, record.offset));
        records
    }

    /// The values of a topic of one partition, as text.
    fn values(&self, topic: &str) -> Vec<String> {
        let text = |record: Read| String::from_utf8(record.value.unwrap()).unwrap();
        self.read(topic).into_iter().map(text).collect()
    }
}

/// The closing line in its JSON form, and that its counts fit each other.
fn summary(finished: &Finished) -> (u64, u64, u64) {
    let line = finished.stderr.lines().last().unwrap_or_default();
    let summary: Value =
        serde_json::from_str(line).unwrap_or_else(|_| panic!("{}", finished.stderr));
    let number = |name: &str| {
        summary[name]
            .as_u64()
            .unwrap_or_else(|| panic!("{name}: {line}"))
    };
    let (read, delivered, rejected) = (number("read"), number("delivered"), number("rejected"));
    assert_eq!(read, delivered + rejected, "{line}");
    (read, delivered, rejected)
}
