//! What every client has: brokers, properties, a time limit for the first connection, and a place for its messages.

mod context;
mod error;
mod failure;
mod farewell;
mod guard;

use std::time::{Duration, Instant};

use rdkafka::client::Client;
use rdkafka::config::ClientConfig;
use rdkafka::metadata::Metadata;

use crate::address::Address;
use crate::config::Properties;

pub use context::{Severity, Sink, console_sink};
pub use error::ClientError;
pub use failure::Failure;

pub(crate) use context::Context;
pub(crate) use error::{describe, describe_error, fatal, not_made};
pub(crate) use farewell::Farewell;
pub(crate) use guard::{shown, utf8};

/// The name by which a consumer without a group is known to librdkafka: nothing is joined, nothing committed.
pub(crate) const NO_GROUP: &str = "tapline";

/// The longest that the end of a client is waited for, where nothing is lost by leaving it.
pub(crate) const FAREWELL: Duration = Duration::from_secs(1);

/// Callbacks that are run between two looks for a connection: more than a try of a few brokers causes.
const EVENTS: usize = 64;

/// The property for how long the making of one connection may take.
pub(crate) const SETUP_TIMEOUT: &str = "socket.connection.setup.timeout.ms";

/// Its value, in ms, where the first answer of a broker may take so long: short enough that its failure is known, as the
/// reason, when the wait for a connection ends; librdkafka looks for what has timed out once a second.
pub(crate) fn setup_timeout(connect: Duration) -> u128 {
    (connect.as_millis() * 6 / 10).clamp(1000, 30_000)
}

/// Brokers, properties and limits from which producers and consumers are made.
#[derive(Clone)]
pub struct Settings {
    servers: String,
    broker_count: usize,
    properties: Properties,
    connect_timeout: Duration,
    sink: Sink,
}

impl Settings {
    /// Settings for the brokers of `address`. `connect_timeout` limits the wait for the first answer of a broker.
    #[must_use]
    pub fn new(
        address: &Address,
        properties: Properties,
        connect_timeout: Duration,
        sink: Sink,
    ) -> Self {
        Self {
            servers: address.bootstrap_servers(),
            broker_count: address.brokers.len(),
            properties,
            connect_timeout,
            sink,
        }
    }

    /// The brokers in the form of `bootstrap.servers`.
    #[must_use]
    pub fn servers(&self) -> &str {
        &self.servers
    }

    /// The limit for the first answer of a broker.
    #[must_use]
    pub fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// The properties that the user set.
    #[must_use]
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// A context of its own for a client.
    pub(crate) fn context(&self) -> Context {
        Context::new(self.sink.clone())
    }

    /// The configuration of a client: librdkafka's defaults, these tools', the caller's, then the user's properties. What
    /// an option of the tool says goes over all of them: the caller sets it in the result.
    pub(crate) fn config(&self, defaults: &[(&str, String)]) -> ClientConfig {
        let setup = setup_timeout(self.connect_timeout);
        let mut all = vec![
            ("client.id", "tapline".to_owned()),
            // Topics are made by CreateTopics when that is asked for, not by a typing error.
            ("allow.auto.create.topics", "false".to_owned()),
            ("socket.nagle.disable", "true".to_owned()),
            ("socket.keepalive.enable", "true".to_owned()),
            (SETUP_TIMEOUT, setup.to_string()),
            (
                "api.version.request.timeout.ms",
                setup.min(10_000).to_string(),
            ),
        ];
        all.extend(defaults.iter().map(|(name, value)| (*name, value.clone())));
        let mut config = self.properties.over(&all);
        config.set("metadata.broker.list", &self.servers);
        // librdkafka's default; the log crate is not in use. `debug` needs the lowest level to be heard.
        let level = if config.get("debug").is_some_and(|debug| !debug.is_empty()) {
            rdkafka::config::RDKafkaLogLevel::Debug
        } else {
            rdkafka::config::RDKafkaLogLevel::Info
        };
        config.set_log_level(level);
        config
    }

    /// Waits for the first metadata of a client; `serve` lets the client run one callback.
    ///
    /// # Errors
    ///
    /// [`ClientError::Unreachable`] with the reason for each broker.
    pub(crate) fn connect<C: rdkafka::ClientContext>(
        &self,
        client: &Client<C>,
        context: &Context,
        topic: Option<&str>,
        serve: impl Fn(),
    ) -> Result<Metadata, ClientError> {
        let start = Instant::now();
        // Short waits first, so that a hopeless failure is told at once; they grow for distant brokers.
        let mut wait = Duration::from_millis(250);
        loop {
            let left = self.connect_timeout.saturating_sub(start.elapsed());
            let result = client.fetch_metadata(topic, wait.min(left).max(Duration::from_millis(1)));
            for _ in 0..EVENTS {
                serve();
            }
            if let Ok(metadata) = result {
                context.connected();
                return Ok(metadata);
            }
            let failures = context.failures();
            let hopeless = failures.len() >= self.broker_count
                && failures.iter().all(|failure| failure.hopeless);
            let over = start.elapsed() >= self.connect_timeout;
            if hopeless || over {
                return Err(ClientError::Unreachable {
                    servers: self.servers.clone(),
                    after: (!hopeless).then_some(self.connect_timeout),
                    failures,
                });
            }
            wait *= 2;
        }
    }
}
