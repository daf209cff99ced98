//! Sources: the addresses that are tapped, whatever their protocol.

pub mod kafka;
pub mod mqtt;
pub mod open;
pub mod turn;

use std::time::Duration;

use anyhow::Result;

use crate::pending::Mark;

pub use turn::{Found, Take};

/// An address that is tapped.
pub enum Source {
    /// Topics on Kafka.
    Kafka(Box<kafka::Source>),
    /// Filters on an MQTT broker.
    Mqtt(mqtt::Source),
}

impl Source {
    /// Gives what has arrived to `take`, for one turn; waits at most `wait` for the first record.
    ///
    /// # Errors
    ///
    /// The source can't go on.
    pub fn poll(&mut self, wait: Duration, take: &mut Take<'_>) -> Result<Found> {
        match self {
            Self::Kafka(source) => source.poll(wait, take),
            Self::Mqtt(source) => source.poll(wait, take),
        }
    }

    /// Notes that a record is safe, and all of this source before it.
    pub fn acknowledge(&mut self, mark: Mark) {
        match (self, mark) {
            (Self::Kafka(source), Mark::Kafka(topic, partition, offset)) => {
                source.acknowledge(topic, partition, offset);
            }
            (Self::Mqtt(source), Mark::Mqtt(place, _)) => source.acknowledge(place),
            _ => unreachable!("marks come back to the source that made them"),
        }
    }

    /// Passes on to the broker what was noted, now or, where that is dear, after a while.
    ///
    /// # Errors
    ///
    /// The broker doesn't take it.
    pub fn pass_on(&mut self) -> Result<()> {
        match self {
            Self::Kafka(source) => source.pass_on(),
            Self::Mqtt(source) => {
                source.pass_on();
                Ok(())
            }
        }
    }

    /// Keeps the connection while nothing can be taken: stdout is blocked for so long now.
    ///
    /// # Errors
    ///
    /// The source can't go on.
    pub fn keep_alive(&mut self, blocked: Duration) -> Result<()> {
        match self {
            Self::Kafka(source) => source.keep_alive(blocked),
            // Its session has a thread of its own.
            Self::Mqtt(_) => Ok(()),
        }
    }

    /// Takes records again after [`keep_alive`](Self::keep_alive).
    ///
    /// # Errors
    ///
    /// The source can't go on.
    pub fn go_on(&mut self) -> Result<()> {
        match self {
            Self::Kafka(source) => source.resume(),
            Self::Mqtt(_) => Ok(()),
        }
    }

    /// Ends the connection in order, after passing on what was noted.
    ///
    /// # Errors
    ///
    /// The broker doesn't take what was noted.
    pub fn close(self, wait: Duration) -> Result<()> {
        match self {
            Self::Kafka(source) => source.close(),
            Self::Mqtt(source) => source.close(wait),
        }
    }
}
