//! One Kafka client: address, properties, producer, consumer, topic admin.
//!
//! Over librdkafka. Nothing here prints: what a client has to say goes to the [`Sink`] that it is given.

mod address;
mod args;
mod assignment;
mod client;
mod cluster;
mod consumer;
mod context;
mod ends;
mod failure;
mod groups;
mod incoming;
mod java;
mod limits;
mod offsets;
mod producer;
mod properties;
mod reading;
mod start;
pub mod topics;
mod transaction;

pub use address::{Address, AddressError, Broker, DEFAULT_PORT, Topic};
pub use args::ConnectArgs;
pub use client::{ClientError, Settings};
pub use cluster::{BrokerInfo, Cluster, Extent};
pub use consumer::{Consumer, ConsumerOptions, Event, Position};
pub use context::{Severity, Sink, console_sink};
pub use failure::Failure;
pub use groups::{GroupInfo, MemberInfo};
pub use incoming::{Incoming, TimestampKind};
pub use producer::{
    Delivered, FailureKind, Header, Outgoing, Producer, ProducerOptions, SendError, Settled,
    Undelivered,
};
pub use properties::{Properties, PropertyError};
pub use start::Start;
pub use topics::{PartitionInfo, TopicInfo};
pub use transaction::TransactionError;
