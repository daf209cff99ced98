//! One Kafka client: address, properties, producer, consumer, topic admin.
//!
//! Over librdkafka. Nothing here prints: what a client has to say goes to the [`Sink`] that it is given.

mod address;
mod admin;
mod args;
mod client;
mod config;
mod consumer;
mod offset;
mod producer;

pub use address::{
    Address, AddressError, Broker, DEFAULT_PORT, Topic, check_topic_name, is_topic_character,
};
pub use admin::lookup::{NewTopics, TopicAnswer, TopicLookup};
pub use admin::topics::{self, PartitionInfo, TopicInfo};
pub use admin::{BrokerInfo, Cluster, Extent, GroupInfo, MemberInfo};
pub use args::ConnectArgs;
pub use client::{ClientError, Failure, Settings, Severity, Sink, console_sink};
pub use config::{Properties, PropertyError};
pub use consumer::{Consumer, ConsumerOptions, Event, HeaderNotText, Incoming, TimestampKind};
pub use offset::{Position, Start};
pub use producer::{
    Delivered, FailureKind, Header, Outgoing, Producer, ProducerOptions, SendError, Settled,
    TransactionError, Undelivered,
};
