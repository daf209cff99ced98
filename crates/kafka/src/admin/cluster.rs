//! What a cluster holds: its brokers, its topics, and where their partitions begin and end.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::metadata::MetadataBroker;

use crate::address::Topic;
use crate::client::{ClientError, Context, NO_GROUP, Settings, not_made, shown};
use crate::offset;

use super::topics::{self, TopicInfo};

/// A broker as the cluster describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerInfo {
    /// Its number, by which partitions name it.
    pub id: i32,
    /// The host of the listener that was asked; U+FFFD where it is not text.
    pub host: String,
    /// 1 to 65535.
    pub port: i32,
}

/// Where a partition begins and ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The oldest offset that is kept.
    pub low: i64,
    /// The offset that the next record gets: the high watermark.
    pub high: i64,
}

/// A cluster as it was when it was asked, and a client to ask on. It reads nothing and changes nothing.
pub struct Cluster {
    pub(crate) settings: Settings,
    pub(crate) inner: BaseConsumer<Context>,
    /// The name that the cluster gave itself, if it has one.
    pub id: Option<String>,
    /// Its brokers, by their ids.
    pub brokers: Vec<BrokerInfo>,
    /// The topics that were asked for, by name.
    pub topics: Vec<TopicInfo>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Cluster")
            .field("id", &self.id)
            .field("brokers", &self.brokers)
            .field("topics", &self.topics)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// Connects and asks for `topic`, by default for all but Kafka's own (`__…`).
    ///
    /// # Errors
    ///
    /// [`ClientError::Unreachable`], [`ClientError::UnknownTopic`] (for a pattern: nothing matches), or another.
    pub fn connect(settings: &Settings, topic: Option<&Topic>) -> Result<Self, ClientError> {
        let context = settings.context();
        let config = settings.config(&[
            ("group.id", NO_GROUP.to_owned()),
            ("isolation.level", "read_uncommitted".to_owned()),
        ]);
        let inner: BaseConsumer<Context> = config
            .create_with_context(context.clone())
            .map_err(|error| not_made(&error))?;
        let serve = || drop(inner.poll(Duration::ZERO));
        let (metadata, topics) = topics::look_up(settings, inner.client(), &context, topic, serve)?;
        let broker = |broker: &MetadataBroker| BrokerInfo {
            id: broker.id(),
            host: shown(|| broker.host()).to_owned(),
            port: broker.port(),
        };
        let mut brokers: Vec<_> = metadata.brokers().iter().map(broker).collect();
        brokers.sort_by_key(|broker| broker.id);
        let id = inner.client().fetch_cluster_id(settings.connect_timeout());
        Ok(Self {
            settings: settings.clone(),
            inner,
            id: id.filter(|id| !id.is_empty()),
            brokers,
            topics,
        })
    }

    /// The topics' partitions, in order.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = (String, i32)> {
        let of_topic = |topic: &TopicInfo| {
            let name = topic.name.clone();
            let ids: Vec<i32> = topic
                .partitions
                .iter()
                .map(|partition| partition.id)
                .collect();
            ids.into_iter().map(move |id| (name.clone(), id))
        };
        self.topics.iter().flat_map(of_topic)
    }

    /// Asks where the topics' partitions begin and end. A partition without a leader is left out: nobody knows.
    ///
    /// # Errors
    ///
    /// A broker doesn't answer in time, or refuses.
    pub fn extents(&self) -> Result<Vec<Extent>, ClientError> {
        let headless: BTreeSet<(&str, i32)> = self
            .topics
            .iter()
            .flat_map(|topic| {
                let headless = topic.partitions.iter().filter(|p| p.leader.is_none());
                headless.map(|partition| (topic.name.as_str(), partition.id))
            })
            .collect();
        let led = |(topic, id): &(String, i32)| !headless.contains(&(topic.as_str(), *id));
        let partitions: Vec<_> = self.partitions().filter(led).collect();
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let timeout = self.settings.connect_timeout();
        let extents = offset::extents(&self.inner, &partitions, timeout)?;
        let ranges = extents.low.into_iter().zip(extents.high);
        let extent = |((topic, partition), (low, high))| Extent {
            topic,
            partition,
            low,
            high,
        };
        Ok(partitions.into_iter().zip(ranges).map(extent).collect())
    }
}
