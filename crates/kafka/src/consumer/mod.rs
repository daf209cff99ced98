//! A consumer of topics: from a start to the end or on and on, alone or in a group, committing only what it is told.

mod ends;
mod event;
mod rebalance;
mod record;
mod state;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::address::Topic;
use crate::admin::topics::{self, TopicInfo};
use crate::client::{
    ClientError, FAREWELL, Farewell, NO_GROUP, Settings, Severity, describe_error, fatal, not_made,
};
use crate::offset::{Bounds, Position, Start, locate};

pub use event::Event;
pub use record::{HeaderNotText, Incoming, TimestampKind};

use ends::Ends;
use rebalance::Watch;
use state::{State, pause_all};

/// The most that a broker puts into an answer, but for a single batch that is larger.
const FETCH_BYTES: usize = 128 << 10;

/// The longest that a group is waited for at the end: members that stay get the partitions at once if it is told.
const LEAVE: Duration = Duration::from_secs(5);

/// How often to look where partitions stand, of which the last offsets before their end hold no record.
const STATISTICS: Duration = Duration::from_millis(250);

/// What to read, beside [`Settings`].
#[derive(Clone, Debug, Default)]
pub struct ConsumerOptions {
    /// Where to begin; in a group only where it has committed nothing yet.
    pub start: Start,
    /// It goes over the property `auto.offset.reset`.
    pub start_chosen: bool,
    /// Stop before this place of each partition, at the latest where it ended when the reading began.
    pub until: Option<Start>,
    /// Short for [`Start::End`] in `until`, if that is `None`.
    pub until_end: bool,
    /// The group to share the partitions with; `None` to read all of them alone.
    pub group: Option<String>,
    /// The name of this member, for a group that waits for it to come back (`group.instance.id`, KIP-345).
    pub instance: Option<String>,
    /// Only these partitions; empty for all. Not in a group.
    pub partitions: Vec<i32>,
}

impl ConsumerOptions {
    fn bounds(&self) -> Bounds {
        let end = self.until_end.then_some(Start::End);
        Bounds {
            start: self.start,
            until: self.until.or(end),
        }
    }
}

/// A consumer. It must be polled at least every `max.poll.interval.ms` (5 minutes), records wanted or not: see
/// [`Consumer::pause`].
pub struct Consumer {
    inner: Farewell<BaseConsumer<Watch>>,
    state: State,
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Consumer")
            .field("grouped", &self.state.grouped)
            .finish_non_exhaustive()
    }
}

impl Consumer {
    /// Connects to the brokers, looks the topic up and begins to read.
    ///
    /// The defaults, which the user's properties can change: `isolation.level=read_committed`, and at most 8 MiB
    /// fetched ahead. A pattern without a group stands for the topics that match when the reading begins.
    ///
    /// # Errors
    ///
    /// [`ClientError::Unreachable`], [`ClientError::UnknownTopic`] (for a pattern: nothing matches), or another.
    pub fn connect(
        settings: &Settings,
        topic: &Topic,
        options: &ConsumerOptions,
    ) -> Result<Self, ClientError> {
        let bounds = options.bounds();
        let until = bounds.until.is_some();
        let reset = if matches!(options.start, Start::End) {
            "latest"
        } else {
            "earliest"
        };
        let mut defaults = vec![
            (
                "group.id",
                options.group.clone().unwrap_or_else(|| NO_GROUP.to_owned()),
            ),
            ("auto.offset.reset", reset.to_owned()),
            ("isolation.level", "read_committed".to_owned()),
            ("enable.auto.commit", "false".to_owned()),
            ("enable.auto.offset.store", "false".to_owned()),
            // Without it librdkafka doesn't note where a partition ends.
            ("enable.partition.eof", until.to_string()),
            // Memory is bounded by what is fetched ahead, and one answer of each broker, which is eight times as large
            // when it is unpacked, or more: see docs/memory.md. Larger answers were no faster: a million readings in zstd
            // took 0.75 s and 90 MB with 256 KiB for an answer, 0.7 s and 60 MB with this, and longer with less.
            // A batch that is larger comes all the same (KIP-74).
            ("queued.max.messages.kbytes", "8192".to_owned()),
            ("queued.min.messages", "30000".to_owned()),
            ("fetch.max.bytes", FETCH_BYTES.to_string()),
            // Until the last answer, which is empty, has come, the end isn't known.
            (
                "fetch.wait.max.ms",
                if until { "100" } else { "500" }.to_owned(),
            ),
            // The default of a second stalls a fast reader each time the queue was full.
            ("fetch.queue.backoff.ms", "10".to_owned()),
        ];
        if is_of_users(topic) {
            // The members of a group match the pattern themselves.
            defaults.push(("topic.blacklist", "^__".to_owned()));
        }
        let mut config = settings.config(&defaults);
        // A limit on what is sent, which librdkafka wants below the one above; files are shared with producers.
        config.set("message.max.bytes", "65536");
        if until {
            // The ends are seen in them.
            config.set("statistics.interval.ms", STATISTICS.as_millis().to_string());
        }
        if options.start_chosen {
            config.set("auto.offset.reset", reset);
        }
        if let Some(group) = &options.group {
            config.set("group.id", group);
        }
        if let Some(instance) = &options.instance {
            config.set("group.instance.id", instance);
        }
        let context = settings.context();
        let watch = Watch::new(context.clone(), options.group.is_some(), bounds);
        let inner: BaseConsumer<Watch> = config
            .create_with_context(watch)
            .map_err(|error| not_made(&error))?;
        let serve = || drop(inner.poll(Duration::ZERO));
        let (_, topics) = topics::look_up(settings, inner.client(), &context, Some(topic), serve)?;
        let grouped = options.group.is_some();
        let state = State {
            context,
            grouped,
            paused: false,
            turned: None,
            ends: None,
            settling: None,
            begun: HashMap::new(),
        };
        let inner = Farewell::new(inner, if grouped { LEAVE } else { FAREWELL });
        let mut consumer = Self { inner, state };
        if grouped {
            consumer.subscribe(topic)?;
        } else {
            consumer.assign(&topics, options, settings)?;
        }
        Ok(consumer)
    }

    fn subscribe(&self, topic: &Topic) -> Result<(), ClientError> {
        self.inner
            .subscribe(&[topic.as_str()])
            .map_err(|error| fatal("cannot subscribe", &error))
    }

    fn assign(
        &mut self,
        topics: &[TopicInfo],
        options: &ConsumerOptions,
        settings: &Settings,
    ) -> Result<(), ClientError> {
        let mut wanted = Vec::new();
        for topic in topics {
            for partition in &topic.partitions {
                if options.partitions.is_empty() || options.partitions.contains(&partition.id) {
                    wanted.push((topic.name.clone(), partition.id));
                }
            }
            if let Some(missing) = options
                .partitions
                .iter()
                .find(|id| topic.partitions.iter().all(|p| p.id != **id))
            {
                return Err(ClientError::Topic {
                    topic: topic.name.clone(),
                    what: "cannot be read",
                    reason: format!(
                        "it has no partition {missing}, but 0 to {}",
                        topic.partitions.len() - 1
                    ),
                });
            }
        }
        let bounds = options.bounds();
        let slices = locate(&self.inner, &wanted, bounds, settings.connect_timeout())?;
        let mut list = TopicPartitionList::with_capacity(slices.len());
        for slice in &slices {
            list.add_partition_offset(&slice.topic, slice.partition, Offset::Offset(slice.start))
                .map_err(|error| fatal("cannot begin to read", &error))?;
        }
        self.inner
            .assign(&list)
            .map_err(|error| fatal("cannot begin to read", &error))?;
        if bounds.until.is_some() {
            self.state.ends = Some(Ends::new(slices));
        }
        Ok(())
    }

    /// Looks for a record or another event, for at most `wait`.
    ///
    /// # Errors
    ///
    /// The consumer can't go on.
    pub fn poll(&mut self, wait: Duration) -> Result<Event<'_>, ClientError> {
        let Self { inner, state } = self;
        if state.is_done() {
            return Ok(Event::End);
        }
        match inner.poll(wait) {
            Some(Ok(message)) => {
                if let Some(ends) = &mut state.ends {
                    let taken = ends.take(message.topic(), message.partition(), message.offset());
                    if taken.ended {
                        leave_off(inner, &message);
                    }
                    if !taken.wanted {
                        return Ok(Event::Idle);
                    }
                }
                state.context.working();
                Ok(Event::Record(Incoming(message)))
            }
            Some(Err(error)) => state.judge(inner, &error),
            None => {
                state.notice_drained(inner);
                state.changed(inner)
            }
        }
    }

    /// Stops fetching, for a caller that can't take records now: go on polling, so that the membership in the group
    /// goes on; no records come until [`Consumer::resume`]. What was fetched ahead will be fetched again.
    ///
    /// # Errors
    ///
    /// librdkafka refuses.
    pub fn pause(&mut self) -> Result<(), ClientError> {
        if !self.state.paused {
            pause_all(&self.inner)?;
            self.state.paused = true;
            self.state.turned = Some(Instant::now());
        }
        Ok(())
    }

    /// Fetches again after [`Consumer::pause`].
    ///
    /// # Errors
    ///
    /// librdkafka refuses.
    pub fn resume(&mut self) -> Result<(), ClientError> {
        if self.state.paused {
            let all = self
                .inner
                .assignment()
                .map_err(|error| fatal("cannot resume", &error))?;
            let mut list = TopicPartitionList::with_capacity(all.count());
            for element in all.elements() {
                let open = |ends: &Ends| ends.is_open(element.topic(), element.partition());
                if self.state.ends.as_ref().is_none_or(open) {
                    list.add_partition(element.topic(), element.partition());
                }
            }
            self.inner
                .resume(&list)
                .map_err(|error| fatal("cannot resume", &error))?;
            self.state.paused = false;
            self.state.turned = Some(Instant::now());
        }
        Ok(())
    }

    /// Notes that all before these positions is done: what the next [`Consumer::commit`] tells the group, or the
    /// rebalance that takes a partition away. Positions in partitions that are not here any more, or that were read
    /// before a partition came back from another member, are passed over. Without a group nothing is noted.
    pub fn done(&mut self, positions: &[Position]) {
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for position in positions {
            let place = (position.topic.clone(), position.partition);
            let begun = self.state.begun.get(&place);
            if begun.is_some_and(|begun| position.offset > *begun) {
                let offset = Offset::Offset(position.offset);
                // An offset from a record is one that can be added.
                let _ = list.add_partition_offset(&position.topic, position.partition, offset);
            }
        }
        if list.count() > 0
            && let Err(error) = self.inner.store_offsets(&list)
        {
            let text = format!("offsets not noted: {}", describe_error(&error));
            self.state.context.tell(Severity::Info, &text);
        }
    }

    /// Commits for the group what is [`done`](Consumer::done). Without a group nothing is committed.
    ///
    /// # Errors
    ///
    /// With `wait`: the broker did not take it. Without: only if it could not be sent; failures later are warned of.
    pub fn commit(&self, wait: bool) -> Result<(), ClientError> {
        if !self.state.grouped {
            return Ok(());
        }
        let mode = if wait {
            CommitMode::Sync
        } else {
            CommitMode::Async
        };
        match self.inner.commit_consumer_state(mode) {
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => Ok(()),
            Err(error) => Err(fatal("cannot commit offsets", &error)),
        }
    }
}

/// Whether a pattern stands for the topics of users only, not for those of Kafka itself (`__…`).
fn is_of_users(topic: &Topic) -> bool {
    matches!(topic, Topic::Pattern(_)) && !topics::names_internal(topic)
}

/// Stops fetching a partition that was read to its end: what comes after isn't wanted, and would slow the others down.
fn leave_off(inner: &BaseConsumer<Watch>, message: &BorrowedMessage<'_>) {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition(message.topic(), message.partition());
    // If it can't be stopped, its records are passed over one by one.
    let _ = inner.pause(&list);
}
