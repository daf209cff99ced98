//! The Kafka cluster: librdkafka's mock, which speaks the real protocol and keeps all in memory.
//!
//! What it is not, by librdkafka 2.12's own source:
//! - It keeps the newest 5 MB of each partition (as sent, so compressed), and no more than 100,000
//!   batches: a consumer that is further behind misses the oldest. No setting changes that; more
//!   partitions do.
//! - Its ports are its own choice. There is no TLS and no authentication.
//! - Topics come with `--topic`, or by being named: when a client that allows it asks for a topic
//!   (`allow.auto.create.topics`, on for librdkafka's producers), it is there, with 4 partitions.
//!   The admin requests (create topic, describe, delete …) don't exist: a client that tries them is
//!   told that the broker doesn't support them.
//! - A group's first assignment takes 3 seconds.
//! - Transactions are accepted, but what was aborted stays readable, and time can't be searched.
//! - Nothing is on disk, and nothing is replicated.

use std::{mem::ManuallyDrop, time::Duration};

use anyhow::{Context, ensure};
use rdkafka::{
    ClientConfig,
    mocking::MockCluster,
    producer::{BaseProducer, DefaultProducerContext, Producer},
};

use crate::args::Topic;

/// A running cluster. It ends with the process and not before: librdkafka's own end of a mock cluster
/// now and then waits for ever, or fails an assertion on a mutex that is gone.
pub(crate) struct Cluster(ManuallyDrop<MockCluster<'static, DefaultProducerContext>>);

impl Cluster {
    /// Starts `brokers` brokers and creates `topics`.
    pub(crate) fn start(brokers: u16, topics: &[Topic]) -> anyhow::Result<Self> {
        let cluster = MockCluster::new(i32::from(brokers)).context("kafka: no cluster")?;
        let cluster = ManuallyDrop::new(cluster);
        let replication = i32::from(brokers.min(3));
        for topic in topics {
            cluster
                .create_topic(&topic.name, i32::from(topic.partitions), replication)
                .with_context(|| format!("kafka: topic {}", topic.name))?;
        }
        Ok(Self(cluster))
    }

    /// The brokers' addresses: `host:port`, separated by commas.
    pub(crate) fn addresses(&self) -> String {
        self.0.bootstrap_servers()
    }

    /// Waits until the cluster answers with its brokers.
    pub(crate) fn wait_until_ready(&self, brokers: u16, limit: Duration) -> anyhow::Result<()> {
        let client: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", self.addresses())
            .create()
            .context("kafka: no client")?;
        let metadata = client
            .client()
            .fetch_metadata(None, limit)
            .with_context(|| format!("kafka: no answer from {}", self.addresses()))?;
        let count = metadata.brokers().len();
        ensure!(
            count == usize::from(brokers),
            "kafka: {count} of {brokers} brokers answered"
        );
        Ok(())
    }
}
