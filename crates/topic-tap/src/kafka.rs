//! The Kafka side: a consumer, and the offsets that are safe.

use std::{
    collections::HashMap,
    ops::ControlFlow,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use jiff::Timestamp;
use tapline_kafka::{
    Address, AddressError, Consumer, ConsumerOptions, Event, Incoming, Position, Start,
    console_sink,
};
use tapline_pipe::console::Console;

use crate::{
    args::Args,
    line::{Arrived, Unframed},
    pending::Mark,
    registry::Frames,
    source::{Found, TURN, Take},
};

/// Offsets are committed at most this often, but for the last ones.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// After so long a blocked stdout the partitions are paused and the group is polled on: librdkafka counts a
/// consumer that doesn't poll for `max.poll.interval.ms` (5 minutes) as dead. Not earlier, because what was
/// fetched ahead is fetched again afterwards.
const PAUSE_AFTER: Duration = Duration::from_secs(30);

/// Topics on a Kafka cluster.
pub struct Source {
    consumer: Consumer,
    frames: Option<Frames>,
    console: Console,
    grouped: bool,
    /// Topics that were seen; a mark names one by its index.
    topics: Vec<String>,
    /// Next offset of each topic and partition of which all before is safe and not committed.
    safe: HashMap<(u32, i32), i64>,
    last_commit: Instant,
}

impl Source {
    /// Connects.
    ///
    /// # Errors
    ///
    /// The address has no topic, a property is wrong, no broker answers, or the topic isn't there.
    pub fn open(address: &Address, args: &Args, console: &Console) -> Result<Self> {
        let topic = address
            .topic
            .as_ref()
            .ok_or_else(|| AddressError::NoTopic {
                brokers: address.bootstrap_servers(),
            })?;
        let start = match (&args.from, args.until_end) {
            (Some(text), _) => Start::parse(text, Timestamp::now())
                .map_err(|error| anyhow::anyhow!("--from: {error}"))?,
            (None, true) => Start::Beginning,
            (None, false) => Start::End,
        };
        let options = ConsumerOptions {
            start,
            until_end: args.until_end,
            group: args.group.clone(),
            partitions: Vec::new(),
        };
        let registry = args
            .registry
            .open(|variable| std::env::var(variable).ok())?;
        let settings = args.kafka.settings(address, console_sink(console))?;
        let consumer =
            Consumer::connect(&settings, topic, &options).with_context(|| address.to_string())?;
        console.verbose(format_args!("{address}: tapping"));
        Ok(Self {
            consumer,
            frames: registry.map(|registry| Frames::new(registry, console.clone())),
            console: console.clone(),
            grouped: args.group.is_some(),
            topics: Vec::new(),
            safe: HashMap::new(),
            last_commit: Instant::now(),
        })
    }

    /// See [`crate::source::Source::poll`].
    pub fn poll(&mut self, wait: Duration, take: &mut Take<'_>) -> Result<Found> {
        let mut wait = wait;
        for _ in 0..TURN {
            match self.consumer.poll(wait)? {
                Event::Record(record) => {
                    let unframed = match &mut self.frames {
                        Some(frames) => frames.take_off(&record)?,
                        None => Unframed {
                            value: record.payload(),
                            schema_id: None,
                            binary: false,
                        },
                    };
                    let mark = self.grouped.then(|| mark(&mut self.topics, &record));
                    if take(Arrived::Kafka(&record, unframed), mark) == ControlFlow::Break(()) {
                        return Ok(Found::Records);
                    }
                }
                Event::Idle if wait.is_zero() => return Ok(Found::Nothing),
                Event::Idle => {}
                Event::Rebalanced { assigned, revoked } => {
                    self.console.verbose(format_args!(
                        "group: {} partitions assigned, {} revoked",
                        assigned.len(),
                        revoked.len()
                    ));
                }
                Event::End => return Ok(Found::End),
            }
            wait = Duration::ZERO;
        }
        Ok(Found::Records)
    }

    /// All of the partition up to this record is safe.
    pub fn acknowledge(&mut self, topic: u32, partition: i32, offset: i64) {
        self.safe.insert((topic, partition), offset + 1);
    }

    /// Commits what is safe: with `last` at once and waiting for the answer, else not too often.
    pub fn commit(&mut self, last: bool) -> Result<()> {
        if self.safe.is_empty() || (!last && self.last_commit.elapsed() < COMMIT_EVERY) {
            return Ok(());
        }
        self.last_commit = Instant::now();
        let topics = &self.topics;
        let positions: Vec<_> = self
            .safe
            .drain()
            .map(|((topic, partition), offset)| Position {
                topic: topics[topic as usize].clone(),
                partition,
                offset,
            })
            .collect();
        Ok(self.consumer.commit(&positions, last)?)
    }

    /// See [`crate::source::Source::keep_alive`].
    pub fn keep_alive(&mut self, blocked: Duration) -> Result<()> {
        if blocked < PAUSE_AFTER {
            return Ok(());
        }
        self.consumer.pause()?;
        // A record can't come while all is paused; a rebalance can.
        let _ = self.consumer.poll(Duration::ZERO)?;
        Ok(())
    }

    /// Goes on after [`keep_alive`](Self::keep_alive).
    pub fn resume(&mut self) -> Result<()> {
        Ok(self.consumer.resume()?)
    }
}

fn mark(topics: &mut Vec<String>, record: &Incoming<'_>) -> Mark {
    let known = topics.iter().position(|topic| topic == record.topic());
    let index = known.unwrap_or_else(|| {
        topics.push(record.topic().to_owned());
        topics.len() - 1
    });
    let index = u32::try_from(index).expect("fewer than four thousand million topics");
    Mark::Kafka(index, record.partition(), record.offset())
}
