//! The clients against librdkafka's mock cluster, in this process: real protocol over real sockets.

mod connecting;
mod consuming;
mod listing;
mod producing;

use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use tapline_kafka::{
    Address, Outgoing, Producer, ProducerOptions, Properties, Settings, Settled, Severity,
};

/// No test waits longer for anything.
const LIMIT: Duration = Duration::from_mins(1);

type Lines = Arc<Mutex<Vec<(Severity, String)>>>;
/// Never dropped: ending librdkafka's mock cluster hangs now and then (2.12.1), and the process ends soon.
type Cluster = ManuallyDrop<MockCluster<'static, DefaultProducerContext>>;

fn settings_for(servers: &str, timeout: Duration) -> (Settings, Lines) {
    let address: Address = format!("kafka://{servers}").parse().unwrap();
    let lines = Lines::default();
    let kept = Arc::clone(&lines);
    let sink = Arc::new(move |severity, text: &str| {
        kept.lock().unwrap().push((severity, text.to_owned()));
    });
    (
        Settings::new(&address, Properties::new(), timeout, sink),
        lines,
    )
}

fn cluster(topics: &[(&str, i32)]) -> (Cluster, Settings) {
    let cluster = ManuallyDrop::new(MockCluster::new(1).unwrap());
    for (topic, partitions) in topics {
        cluster.create_topic(topic, *partitions, 1).unwrap();
    }
    let (settings, _) = settings_for(&cluster.bootstrap_servers(), LIMIT);
    (cluster, settings)
}

fn options() -> ProducerOptions {
    ProducerOptions {
        max_record: 1 << 20,
        ..ProducerOptions::default()
    }
}

fn settle(producer: &Producer, count: usize) -> Vec<Settled> {
    let (mut settled, start) = (Vec::new(), Instant::now());
    while settled.len() < count {
        assert!(
            start.elapsed() < LIMIT,
            "{} of {count} settled",
            settled.len()
        );
        producer
            .poll(Duration::from_millis(100), &mut settled)
            .unwrap();
    }
    settled
}

fn send_all(producer: &Producer, records: &[Outgoing<'_>]) -> Vec<Settled> {
    for record in records {
        producer.send(record).unwrap();
    }
    settle(producer, records.len())
}

fn keyed<'a>(ticket: usize, key: &'a str, payload: &'a str) -> Outgoing<'a> {
    Outgoing {
        ticket,
        key: Some(key.as_bytes()),
        payload: Some(payload.as_bytes()),
        ..Outgoing::default()
    }
}
