//! Where the brokers are, as environment variables and as shell assignments.

use std::fmt::{self, Display, Formatter};

/// The addresses of the three brokers.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    /// `host:port`
    pub(crate) mqtt: String,
    /// `host:port`, separated by commas
    pub(crate) kafka: String,
    /// `host:port`
    pub(crate) registry: String,
}

impl Addresses {
    /// The variables that a command finds in its environment.
    pub(crate) fn variables(&self) -> [(&'static str, String); 3] {
        [
            ("MQTT_URL", format!("mqtt://{}", self.mqtt)),
            ("KAFKA_URL", format!("kafka://{}", self.kafka)),
            ("SCHEMA_REGISTRY_URL", format!("http://{}", self.registry)),
        ]
    }
}

impl Display for Addresses {
    /// One assignment a line. Addresses hold no quote, so single quotes make them safe to read.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (name, value) in self.variables() {
            writeln!(f, "{name}='{value}'")?;
        }
        Ok(())
    }
}
