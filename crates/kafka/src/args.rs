//! The options by which every tool of Kafka reaches its brokers.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tapline_pipe::units::parse_duration;

use crate::address::Address;
use crate::client::{Settings, Sink};
use crate::config::{Properties, PropertyError};

/// `-X`, `--config`, `--connect-timeout`.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Kafka")]
pub struct ConnectArgs {
    /// Sets a property of librdkafka, such as `linger.ms=20`; can be given several times, wins over --config.
    /// Not for secrets: arguments can be seen by others
    #[arg(short = 'X', value_name = "PROPERTY=VALUE")]
    pub property: Vec<String>,

    /// Reads properties from a file, a line each; files of kcat and of the Java client work where the names agree.
    /// This is the place for `sasl.password` and other secrets. The file's `bootstrap.servers` is not used
    #[arg(long = "config", value_name = "FILE", env = "KAFKA_CONFIG")]
    pub config: Option<PathBuf>,

    /// How long to wait for the first answer of a broker before giving up
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration, help_heading = "Connection")]
    pub connect_timeout: Duration,
}

impl ConnectArgs {
    /// The properties: those of the file, then those of the arguments over them.
    ///
    /// # Errors
    ///
    /// The file can't be read, or a property is unknown, refused, or a secret on the command line.
    pub fn properties(&self) -> Result<Properties, PropertyError> {
        let mut properties = Properties::new();
        if let Some(file) = &self.config {
            properties.add_file(file)?;
        }
        for argument in &self.property {
            properties.add_argument(argument)?;
        }
        Ok(properties)
    }

    /// The settings for the clients of `address`, whose messages go to `sink`.
    ///
    /// # Errors
    ///
    /// As for [`ConnectArgs::properties`].
    pub fn settings(&self, address: &Address, sink: Sink) -> Result<Settings, PropertyError> {
        Ok(Settings::new(
            address,
            self.properties()?,
            self.connect_timeout,
            sink,
        ))
    }
}
