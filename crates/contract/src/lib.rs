//! JSON Schema contracts: load and validate; schema-registry client; wire format.
//!
//! - [`schema`] loads a JSON Schema and says precisely why it can't be one; [`validator`] checks
//!   records, byte for byte as they came, against it.
//! - [`registry`] speaks the Confluent Schema Registry's HTTP API, [`wire`] is how a record on
//!   Kafka names its schema, [`subject`] how a schema is named in the registry.
//! - [`args`] holds the command-line options that every tool with a registry shares.

pub mod args;
mod budget;
mod compiled;
mod excerpt;
pub mod mistyped;
pub mod registry;
pub mod schema;
pub mod subject;
mod tape;
pub mod validator;
pub mod wire;
