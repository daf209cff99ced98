//! The Kafka side: a consumer, and the offsets that are safe.

use std::{
    collections::HashMap,
    ops::ControlFlow,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use jiff::Timestamp;
use tapline_kafka::{
    Address, AddressError, Consumer, ConsumerOptions, Event, Incoming, Position, Start,
    console_sink,
};
use tapline_pipe::{console::Console, io::stop::Stop};

use crate::{
    args::{Args, RangeArgs},
    line::{Arrived, Unframed},
    pending::Mark,
    registry::Frames,
    source::turn::{Found, TURN, Take},
};

/// Offsets are committed at most this often, but for the last ones.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// After so long a blocked stdout the partitions are paused and the group is polled on: librdkafka counts a
/// consumer that doesn't poll for `max.poll.interval.ms` (5 minutes) as dead. Not earlier, because what was
/// fetched ahead is fetched again afterwards.
const PAUSE_AFTER: Duration = Duration::from_secs(30);

/// Where to begin and to stop.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    from: Option<Start>,
    until: Option<Start>,
}

impl Range {
    /// Reads `--from` and `--until`; times that are so long ago are reckoned from now.
    ///
    /// # Errors
    ///
    /// One of them is no place of a partition.
    pub fn of(args: &RangeArgs) -> Result<Self> {
        let now = Timestamp::now();
        let read = |option: &str, text: &Option<String>| {
            let start = text.as_deref().map(|text| Start::parse(text, now));
            start
                .transpose()
                .map_err(|error| anyhow!("{option}: {error}"))
        };
        let until = read("--until", &args.until)?.or(args.until_end.then_some(Start::End));
        if until == Some(Start::Beginning) {
            bail!("--until beginning: there is nothing before the beginning");
        }
        let from = read("--from", &args.from)?;
        Ok(Self { from, until })
    }

    /// Where to begin: as the option says, as the property `auto.offset.reset` does, or by whether there is an end.
    fn start(&self, reset: Option<&str>) -> Start {
        let default = match (reset, self.until) {
            (Some("earliest" | "smallest" | "beginning"), _) => Start::Beginning,
            (Some("latest" | "largest" | "end"), _) | (_, None) => Start::End,
            (_, Some(_)) => Start::Beginning,
        };
        self.from.unwrap_or(default)
    }
}

/// Topics on a Kafka cluster.
pub struct Source {
    consumer: Consumer,
    frames: Option<Frames>,
    console: Console,
    /// What is safe is committed.
    commits: bool,
    /// Topics that were seen; a mark names one by its index.
    topics: Vec<String>,
    /// Next offset of each topic and partition of which all before is safe, since it was last passed on.
    safe: HashMap<(u32, i32), i64>,
    last_commit: Instant,
    /// Something was passed on since.
    uncommitted: bool,
}

impl Source {
    /// Connects.
    ///
    /// # Errors
    ///
    /// The address has no topic, a property is wrong, no broker answers, or the topic isn't there.
    pub fn open(
        address: &Address,
        args: &Args,
        range: Range,
        stop: &Stop,
        console: &Console,
    ) -> Result<Self> {
        let topic = address
            .topic
            .as_ref()
            .ok_or_else(|| AddressError::NoTopic {
                brokers: address.bootstrap_servers(),
            })?;
        let group = &args.group;
        let settings = args.kafka.settings(address, console_sink(console))?;
        let options = ConsumerOptions {
            start: range.start(settings.properties().get("auto.offset.reset")),
            start_chosen: range.from.is_some(),
            until: range.until,
            group: group.group.clone(),
            instance: group.group_instance_id.clone(),
            partitions: args.range.partition.clone(),
            ..ConsumerOptions::default()
        };
        let registry = args
            .registry
            .open(|variable| std::env::var(variable).ok(), stop)?;
        let consumer =
            Consumer::connect(&settings, topic, &options).with_context(|| address.to_string())?;
        console.verbose(format_args!("{address}: tapping"));
        Ok(Self {
            consumer,
            frames: registry.map(|registry| Frames::new(registry, console.clone())),
            console: console.clone(),
            commits: group.group.is_some() && !group.no_commit,
            topics: Vec::new(),
            safe: HashMap::new(),
            last_commit: Instant::now(),
            uncommitted: false,
        })
    }

    /// See [`crate::source::Source::poll`].
    pub fn poll(&mut self, wait: Duration, take: &mut Take<'_>) -> Result<Found> {
        let mut wait = wait;
        for _ in 0..TURN {
            match self.consumer.poll(wait)? {
                Event::Record(record) => {
                    let unframed = match &mut self.frames {
                        Some(frames) => match frames.take_off(&record)? {
                            Some(unframed) => unframed,
                            // It is not taken, so nobody acknowledges it.
                            None => return Ok(Found::Nothing),
                        },
                        None => Unframed {
                            value: record.payload(),
                            schema_id: None,
                            schema_type: None,
                            binary: false,
                        },
                    };
                    let mark = self.commits.then(|| mark(&mut self.topics, &record));
                    if take(Arrived::Kafka(&record, unframed), mark) == ControlFlow::Break(()) {
                        return Ok(Found::Records);
                    }
                }
                Event::Idle if wait.is_zero() => return Ok(Found::Nothing),
                Event::Idle => {}
                Event::Rebalanced { assigned, revoked } => {
                    tell_rebalance(&self.console, assigned.len(), revoked.len());
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

    /// See [`crate::source::Source::pass_on`].
    ///
    /// The client is told at once, since a rebalance commits what it knows of; the broker not too often.
    pub fn pass_on(&mut self) -> Result<()> {
        self.note();
        if self.uncommitted && self.last_commit.elapsed() >= COMMIT_EVERY {
            self.last_commit = Instant::now();
            self.uncommitted = false;
            self.consumer.commit(false)?;
        }
        Ok(())
    }

    /// Commits what is safe, and waits for the answer.
    pub fn close(mut self) -> Result<()> {
        self.note();
        if self.commits {
            self.consumer.commit(true)?;
        }
        Ok(())
    }

    fn note(&mut self) {
        if self.safe.is_empty() {
            return;
        }
        let topics = &self.topics;
        let position = |((topic, partition), offset): ((u32, i32), i64)| Position {
            topic: topics[topic as usize].clone(),
            partition,
            offset,
        };
        let positions: Vec<_> = self.safe.drain().map(position).collect();
        self.consumer.done(&positions);
        self.uncommitted = true;
    }

    /// See [`crate::source::Source::keep_alive`].
    pub fn keep_alive(&mut self, blocked: Duration) -> Result<()> {
        if blocked < PAUSE_AFTER {
            return Ok(());
        }
        self.consumer.pause()?;
        // A record can't come while all is paused; a rebalance can.
        if let Event::Rebalanced { assigned, revoked } = self.consumer.poll(Duration::ZERO)? {
            tell_rebalance(&self.console, assigned.len(), revoked.len());
        }
        Ok(())
    }

    /// Goes on after [`keep_alive`](Self::keep_alive).
    pub fn resume(&mut self) -> Result<()> {
        Ok(self.consumer.resume()?)
    }
}

fn tell_rebalance(console: &Console, assigned: usize, revoked: usize) {
    console.verbose(format_args!(
        "group: {assigned} partitions assigned, {revoked} revoked"
    ));
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
