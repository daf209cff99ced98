//! The tools on the real brokers: a three-broker Apache Kafka, a schema registry, and the peers that others use.
//!
//! `scripts/test` runs them, `cargo test` alone doesn't: the brokers take a while to start. They share one process,
//! so that the tests that kill a broker can wait for the others, and the others for them.

mod kafka_ends;
mod kafka_faults;
mod kafka_groups;
mod kafka_interop;
mod kafka_partitions;
mod kafka_records;
mod kafka_security;
mod kafka_tapping;
mod kafka_transactions;
mod registry;
