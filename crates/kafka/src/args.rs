//! The options by which every tool of Kafka reaches its brokers.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tapline_pipe::units::parse_duration;

use crate::address::Address;
use crate::client::{SETUP_TIMEOUT, Settings, Sink, setup_timeout};
use crate::config::{Properties, PropertyError};

/// `-X`, `--config`, `--connect-timeout`.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Kafka")]
pub struct ConnectArgs {
    /// Sets a property of librdkafka, such as `linger.ms=20`; can be given several times, overrides --config.
    /// An option of the tool's own for the same thing overrides both. Not for secrets: arguments can be seen by
    /// others
    #[arg(short = 'X', value_name = "PROPERTY=VALUE")]
    pub property: Vec<String>,

    /// Reads properties from a file, a line each; files of kcat and of the Java client work where the names agree.
    /// This is the place for `sasl.password` and other secrets. The file's `bootstrap.servers` is not used
    #[arg(
        long = "config",
        value_name = "FILE",
        env = "KAFKA_CONFIG",
        hide_env_values = true
    )]
    pub config: Option<PathBuf>,

    /// How long to wait for the first answer of a broker before giving up [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Connection")]
    connect_timeout: Option<Duration>,
}

/// The limit for the first answer where none is given.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl ConnectArgs {
    /// How long to wait for the first answer of a broker.
    #[must_use]
    pub fn connect_timeout(&self) -> Duration {
        self.connect_timeout.unwrap_or(CONNECT_TIMEOUT)
    }

    /// The properties: those of the file, those of `-X` over them, then what the options here stand for.
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
        if let Some(limit) = self.connect_timeout {
            properties.set(
                "--connect-timeout",
                SETUP_TIMEOUT,
                setup_timeout(limit).to_string(),
            )?;
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
            self.connect_timeout(),
            sink,
        ))
    }
}
