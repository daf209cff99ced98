//! The tools on the real brokers: a three-broker Apache Kafka, a schema registry, Mosquitto, and the peers that others
//! use.
//!
//! `scripts/test` runs them, `cargo test` alone doesn't: the brokers take a while to start. They share one process,
//! so that the tests that kill a Kafka broker can wait for the others, and the others for them. Who kills Mosquitto
//! has one of its own.

mod devices;
mod influx_faults;
mod influx_points;
mod influx_settings;
mod kafka_ends;
mod kafka_faults;
mod kafka_groups;
mod kafka_interop;
mod kafka_partitions;
mod kafka_records;
mod kafka_security;
mod kafka_tapping;
mod kafka_transactions;
mod mqtt_acknowledged;
mod mqtt_faults;
mod mqtt_fleets;
mod mqtt_interop;
mod mqtt_refusals;
mod mqtt_security;
mod mqtt_tapping;
mod registry;
