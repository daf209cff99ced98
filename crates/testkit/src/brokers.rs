//! Brokers for tests: `dev-brokers` as a process of its own, with its addresses.

use crate::{Run, Running};

/// A running `dev-brokers`; it ends when this is dropped.
#[derive(Debug)]
pub struct DevBrokers {
    /// `mqtt://host:port`
    pub mqtt: String,
    /// `kafka://host:port,host:port,…`
    pub kafka: String,
    /// `http://host:port`
    pub registry: String,
    process: Running,
}

impl DevBrokers {
    /// Starts it as it comes.
    ///
    /// # Panics
    ///
    /// When it isn't built or doesn't start.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts it with arguments, such as `--topic NAME:PARTITIONS`.
    ///
    /// # Panics
    ///
    /// When it isn't built or doesn't start.
    #[must_use]
    #[track_caller]
    pub fn start_with(arguments: &[&str]) -> Self {
        let mut process = Run::tool("dev-brokers").args(arguments).start();
        process.wait_for_lines(3);
        let stdout = String::from_utf8_lossy(&process.stdout()).into_owned();
        let variable = |name| assignment(&stdout, name);
        Self {
            mqtt: variable("MQTT_URL"),
            kafka: variable("KAFKA_URL"),
            registry: variable("SCHEMA_REGISTRY_URL"),
            process,
        }
    }

    /// The address of an MQTT topic or filter.
    #[must_use]
    pub fn mqtt_topic(&self, topic: &str) -> String {
        format!("{}/{topic}", self.mqtt)
    }

    /// The address of a Kafka topic.
    #[must_use]
    pub fn kafka_topic(&self, topic: &str) -> String {
        format!("{}/{topic}", self.kafka)
    }

    /// The process, to stop, continue or kill it.
    pub fn process(&mut self) -> &mut Running {
        &mut self.process
    }
}

/// The value of a shell assignment in single quotes, `NAME='value'`.
#[track_caller]
fn assignment(text: &str, name: &str) -> String {
    let value = text.lines().find_map(|line| {
        line.strip_prefix(name)?
            .strip_prefix("='")?
            .strip_suffix('\'')
            .map(str::to_owned)
    });
    let Some(value) = value else {
        panic!("no {name} in: {text}")
    };
    value
}
