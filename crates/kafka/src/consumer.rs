//! A consumer of topics: from a start to the end or on and on, alone or in a group, committing only what it is told.

use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::address::Topic;
use crate::assignment::{Change, NO_GROUP, Watch, has_ended, locate};
use crate::client::{ClientError, Settings, describe, describe_error, not_made};
use crate::context::{Context, Severity};
use crate::ends::Ends;
use crate::incoming::Incoming;
use crate::start::Start;
use crate::topics::{self, TopicInfo};

/// So long nothing comes before it is looked whether there is anything left.
const QUIET: Duration = Duration::from_millis(500);

/// What to read, beside [`Settings`].
#[derive(Clone, Debug, Default)]
pub struct ConsumerOptions {
    /// Where to begin; in a group only where it has committed nothing yet.
    pub start: Start,
    /// Stop where each partition ended when the reading began.
    pub until_end: bool,
    /// The group to share the partitions with; `None` to read all of them alone.
    pub group: Option<String>,
    /// Only these partitions; empty for all. Not in a group.
    pub partitions: Vec<i32>,
}

/// Up to where a partition is done: the offset of the next record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset of the next record, one more than that of the last that is done.
    pub offset: i64,
}

/// What a look for records gave.
pub enum Event<'a> {
    /// A record.
    Record(Incoming<'a>),
    /// Nothing within the time.
    Idle,
    /// The group gave these partitions to this consumer, or took them from it; records of the latter that are not
    /// committed yet will be read by another member.
    Rebalanced {
        /// Newly here.
        assigned: Vec<(String, i32)>,
        /// No longer here.
        revoked: Vec<(String, i32)>,
    },
    /// With `until_end`: each partition was read up to where it ended.
    End,
}

/// A consumer. It must be polled at least every `max.poll.interval.ms` (5 minutes), records wanted or not: see
/// [`Consumer::pause`].
pub struct Consumer {
    inner: BaseConsumer<Watch>,
    state: State,
}

/// What a consumer knows beside its connection: apart from it, because records are borrowed from that.
struct State {
    context: Context,
    config: ClientConfig,
    grouped: bool,
    paused: bool,
    /// Since when nothing came.
    quiet: Option<Instant>,
    /// With `until_end`, once there is an assignment.
    ends: Option<Ends>,
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
        let reset = if matches!(options.start, Start::End) {
            "latest"
        } else {
            "earliest"
        };
        let config = settings.config(&[
            (
                "group.id",
                options.group.clone().unwrap_or_else(|| NO_GROUP.to_owned()),
            ),
            ("auto.offset.reset", reset.to_owned()),
            ("isolation.level", "read_committed".to_owned()),
            ("enable.auto.commit", "false".to_owned()),
            ("enable.auto.offset.store", "false".to_owned()),
            ("enable.partition.eof", options.until_end.to_string()),
            // Memory is bounded by what is fetched ahead, which weighs four times its bytes where records are small,
            // and one answer of each broker. More of it made nothing faster.
            ("queued.max.messages.kbytes", "8192".to_owned()),
            ("queued.min.messages", "30000".to_owned()),
            ("fetch.max.bytes", (2 << 20).to_string()),
            // Until the last answer, which is empty, has come, the end isn't known.
            (
                "fetch.wait.max.ms",
                if options.until_end { "100" } else { "500" }.to_owned(),
            ),
            // The default of a second stalls a fast reader each time the queue was full.
            ("fetch.queue.backoff.ms", "10".to_owned()),
        ]);
        let mut config = config;
        if let Some(group) = &options.group {
            config.set("group.id", group);
        }
        let context = settings.context();
        let watch = Watch::new(
            context.clone(),
            options.group.is_some(),
            options.start,
            options.until_end,
        );
        let inner: BaseConsumer<Watch> = config
            .create_with_context(watch)
            .map_err(|error| not_made(&error))?;
        let topics = topics::look_up(settings, inner.client(), &context, topic, || {
            drop(inner.poll(Duration::ZERO));
        })?;
        let grouped = options.group.is_some();
        let state = State {
            context,
            config,
            grouped,
            paused: false,
            quiet: None,
            ends: None,
        };
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
        let slices = locate(
            &self.inner,
            &wanted,
            options.start,
            settings.connect_timeout(),
        )?;
        let mut list = TopicPartitionList::with_capacity(slices.len());
        for slice in &slices {
            list.add_partition_offset(&slice.topic, slice.partition, Offset::Offset(slice.start))
                .map_err(|error| fatal("cannot begin to read", &error))?;
        }
        self.inner
            .assign(&list)
            .map_err(|error| fatal("cannot begin to read", &error))?;
        if options.until_end {
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
        if state.ends.as_ref().is_some_and(Ends::reached) {
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
                state.quiet = None;
                state.context.working();
                Ok(Event::Record(Incoming(message)))
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                state.notice_end(partition);
                state.changed(inner)
            }
            Some(Err(error)) => state.judge(inner, &error),
            None => {
                state.notice_quiet(inner);
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
            let list = self
                .inner
                .assignment()
                .map_err(|error| fatal("cannot pause", &error))?;
            self.inner
                .pause(&list)
                .map_err(|error| fatal("cannot pause", &error))?;
            self.state.paused = true;
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
        }
        Ok(())
    }

    /// Commits for the group that all before these positions is done. Positions of partitions that were taken from
    /// this consumer are passed over. Without a group nothing is committed.
    ///
    /// # Errors
    ///
    /// With `wait`: the broker did not take it. Without: only if it could not be sent; failures later are warned of.
    pub fn commit(&self, positions: &[Position], wait: bool) -> Result<(), ClientError> {
        if !self.state.grouped || positions.is_empty() {
            return Ok(());
        }
        let failed = |error: &KafkaError| fatal("cannot commit offsets", error);
        let mine = self.inner.assignment().map_err(|error| failed(&error))?;
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for position in positions {
            if mine
                .find_partition(&position.topic, position.partition)
                .is_some()
            {
                list.add_partition_offset(
                    &position.topic,
                    position.partition,
                    Offset::Offset(position.offset),
                )
                .map_err(|error| failed(&error))?;
            }
        }
        if list.count() == 0 {
            return Ok(());
        }
        // Also kept by librdkafka: a rebalance commits once more before it gives the partitions away.
        if let Err(error) = self.inner.store_offsets(&list) {
            self.state.context.tell(
                Severity::Info,
                &format!("offsets not stored: {}", describe_error(&error)),
            );
        }
        let mode = if wait {
            CommitMode::Sync
        } else {
            CommitMode::Async
        };
        match self.inner.commit(&list, mode) {
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }
}

impl State {
    /// Tells of a rebalance, if there was one.
    fn changed(&mut self, inner: &BaseConsumer<Watch>) -> Result<Event<'static>, ClientError> {
        let changes = inner.context().take_changes();
        if changes.is_empty() {
            let end = self.ends.as_ref().is_some_and(Ends::reached);
            return Ok(if end { Event::End } else { Event::Idle });
        }
        let (mut assigned, mut revoked) = (Vec::new(), Vec::new());
        for change in changes {
            match change {
                Change::Assigned { partitions, slices } => {
                    if let Some(slices) = slices {
                        self.ends
                            .get_or_insert_with(|| Ends::new(Vec::new()))
                            .add(slices);
                    }
                    assigned.extend(partitions);
                }
                Change::Revoked(partitions) => {
                    if let Some(ends) = &mut self.ends {
                        ends.remove(&partitions);
                    }
                    revoked.extend(partitions);
                }
                Change::Failed(error) => return Err(error),
            }
        }
        self.paused = false;
        Ok(Event::Rebalanced { assigned, revoked })
    }

    /// What to do about an error that librdkafka gives in a record's place. Those of connections were told already.
    fn judge(
        &mut self,
        inner: &BaseConsumer<Watch>,
        error: &KafkaError,
    ) -> Result<Event<'static>, ClientError> {
        use RDKafkaErrorCode as Code;
        let what = "cannot read on";
        match error {
            KafkaError::MessageConsumptionFatal(code) => {
                let reason = inner
                    .client()
                    .fatal_error()
                    .map_or_else(|| describe(*code), |(_, reason)| reason);
                Err(ClientError::Fatal { what, reason })
            }
            KafkaError::MessageConsumption(Code::GroupAuthorizationFailed) if !self.grouped => {
                self.changed(inner)
            }
            KafkaError::MessageConsumption(
                code @ (Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::InvalidGroupId
                | Code::InconsistentGroupProtocol
                | Code::FencedInstanceId
                | Code::UnknownTopicOrPartition
                | Code::UnknownTopic
                | Code::UnknownPartition),
            ) => Err(ClientError::Fatal {
                what,
                reason: describe(*code),
            }),
            _ => self.changed(inner),
        }
    }

    /// Some partition of this number has no more records for now; librdkafka does not say of which topic.
    fn notice_end(&mut self, partition: i32) {
        if let Some(ends) = &mut self.ends
            && !ends.of_several_topics()
        {
            ends.finish_number(partition);
        }
    }

    /// Nothing came. With several topics this is when to look whether the last offsets of some partition hold no
    /// record at all: transaction markers, or what was compacted away.
    fn notice_quiet(&mut self, inner: &BaseConsumer<Watch>) {
        let Some(ends) = &mut self.ends else { return };
        if !ends.of_several_topics() || self.paused {
            return;
        }
        if self.quiet.get_or_insert_with(Instant::now).elapsed() < QUIET {
            return;
        }
        self.quiet = None;
        let positions = inner.position().ok();
        for slice in ends.open().to_vec() {
            let position = positions
                .as_ref()
                .and_then(|list| {
                    list.find_partition(&slice.topic, slice.partition)?
                        .offset()
                        .to_raw()
                })
                .map_or(slice.start, |offset| offset.max(slice.start));
            // Past transaction markers the position moves on; past compacted records it does not.
            if position >= slice.stop || has_ended(&self.config, &slice, position) {
                ends.finish(&slice.topic, slice.partition);
            }
        }
    }
}

/// Stops fetching a partition that was read to its end: what comes after isn't wanted, and would slow the others down.
fn leave_off(inner: &BaseConsumer<Watch>, message: &BorrowedMessage<'_>) {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition(message.topic(), message.partition());
    // If it can't be stopped, its records are passed over one by one.
    let _ = inner.pause(&list);
}

pub(crate) fn fatal(what: &'static str, error: &KafkaError) -> ClientError {
    ClientError::Fatal {
        what,
        reason: describe_error(error),
    }
}
