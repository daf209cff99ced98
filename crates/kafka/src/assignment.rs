//! Which partitions a consumer reads and from where: resolving start positions, and following the group's rebalances.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{
    BaseConsumer, CommitMode, Consumer as _, ConsumerContext, RebalanceProtocol,
};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;

use crate::client::{ClientError, describe_error};
use crate::consumer::fatal;
use crate::context::{Context, Severity};
use crate::ends::Slice;
use crate::start::Start;

/// The limit for questions about offsets while the group waits for this member.
const LOOK_UP: Duration = Duration::from_secs(10);

/// The name by which a consumer without a group is known to librdkafka: nothing is joined, nothing committed.
pub(crate) const NO_GROUP: &str = "tapline";
/// How long to look whether a partition has ended, when its end can't be told otherwise.
const PROBE: Duration = Duration::from_secs(5);

/// What a rebalance changed.
pub(crate) enum Change {
    Assigned {
        partitions: Vec<(String, i32)>,
        /// With `until_end`: where they end.
        slices: Option<Vec<Slice>>,
    },
    Revoked(Vec<(String, i32)>),
    Failed(ClientError),
}

/// The context of a consumer.
pub(crate) struct Watch {
    context: Context,
    grouped: bool,
    start: Start,
    until_end: bool,
    changed: AtomicBool,
    changes: Mutex<Vec<Change>>,
}

impl Watch {
    pub(crate) fn new(context: Context, grouped: bool, start: Start, until_end: bool) -> Self {
        Self {
            context,
            grouped,
            start,
            until_end,
            changed: AtomicBool::new(false),
            changes: Mutex::default(),
        }
    }

    /// What rebalances changed since this was asked last.
    pub(crate) fn take_changes(&self) -> Vec<Change> {
        if !self.changed.swap(false, Ordering::Relaxed) {
            return Vec::new();
        }
        std::mem::take(&mut *self.changes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, change: Change) {
        self.changes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(change);
        self.changed.store(true, Ordering::Relaxed);
    }

    fn assigned(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let partitions = names(list);
        let cooperative = matches!(
            consumer.rebalance_protocol(),
            RebalanceProtocol::Cooperative
        );
        let located = self.locate_in_group(consumer, &partitions);
        let (list, slices) = match located {
            Ok((offsets, slices)) => (offsets, slices),
            Err(error) => {
                self.note(Change::Failed(error));
                (list.clone(), None)
            }
        };
        let done = if cooperative {
            consumer.incremental_assign(&list)
        } else {
            consumer.assign(&list)
        };
        match done {
            Ok(()) => self.note(Change::Assigned { partitions, slices }),
            Err(error) => self.note(Change::Failed(fatal("cannot take over partitions", &error))),
        }
    }

    /// Where to begin in partitions that the group gave: at the committed offset, and at `start` where there is none.
    fn locate_in_group(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: &[(String, i32)],
    ) -> Result<(TopicPartitionList, Option<Vec<Slice>>), ClientError> {
        let failed = |error: &KafkaError| fatal("cannot learn the group's offsets", error);
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for (topic, partition) in partitions {
            list.add_partition(topic, *partition);
        }
        if partitions.is_empty() {
            return Ok((list, self.until_end.then(Vec::new)));
        }
        let committed = consumer
            .committed_offsets(list, LOOK_UP)
            .map_err(|error| failed(&error))?;
        let offset =
            |topic: &str, partition| match committed.find_partition(topic, partition)?.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            };
        let all_known = partitions
            .iter()
            .all(|(topic, partition)| offset(topic, *partition).is_some());
        // The ends are asked for only when they matter.
        let mut slices = if all_known && !self.until_end {
            Vec::new()
        } else {
            locate(consumer, partitions, self.start, LOOK_UP)?
        };
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for (topic, partition) in partitions {
            let slice = slices
                .iter_mut()
                .find(|slice| slice.topic == *topic && slice.partition == *partition);
            let start = match (offset(topic, *partition), slice) {
                (Some(committed), Some(slice)) => {
                    slice.start = committed;
                    committed
                }
                (Some(committed), None) => committed,
                (None, Some(slice)) => slice.start,
                (None, None) => continue,
            };
            list.add_partition_offset(topic, *partition, Offset::Offset(start))
                .map_err(|error| failed(&error))?;
        }
        Ok((list, self.until_end.then_some(slices)))
    }

    fn revoked(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        // What was committed without waiting may still be on its way, or have failed.
        if !consumer.assignment_lost() {
            match consumer.commit_consumer_state(CommitMode::Sync) {
                Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
                Err(error) => self.tell_commit(&error),
            }
        }
        let cooperative = matches!(
            consumer.rebalance_protocol(),
            RebalanceProtocol::Cooperative
        );
        let done = if cooperative {
            consumer.incremental_unassign(list)
        } else {
            consumer.unassign()
        };
        if let Err(error) = done {
            self.note(Change::Failed(fatal("cannot give partitions back", &error)));
        }
        self.note(Change::Revoked(names(list)));
    }

    fn tell_commit(&self, error: &KafkaError) {
        let text = format!(
            "offsets were not committed: {}; their records will be read again",
            describe_error(error)
        );
        self.context.tell(Severity::Warning, &text);
    }
}

impl ClientContext for Watch {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.context.log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let refused =
            error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed);
        // Without a group nothing is asked of it: that its name is not allowed doesn't matter.
        if self.grouped || !refused {
            self.context.error(error, reason);
        }
    }
}

impl ConsumerContext for Watch {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        kind: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        match kind {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assigned(consumer, list),
            _ => self.revoked(consumer, list),
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        match result {
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
            Err(error) => self.tell_commit(&error),
        }
    }
}

fn names(list: &TopicPartitionList) -> Vec<(String, i32)> {
    list.elements()
        .iter()
        .map(|element| (element.topic().to_owned(), element.partition()))
        .collect()
}

/// Asks the brokers where partitions begin and end, and where in them `start` is. KIP-32, KIP-79.
pub(crate) fn locate(
    consumer: &BaseConsumer<Watch>,
    partitions: &[(String, i32)],
    start: Start,
    timeout: Duration,
) -> Result<Vec<Slice>, ClientError> {
    let low = list_offsets(consumer, partitions, Offset::Beginning, timeout)?;
    let high = list_offsets(consumer, partitions, Offset::End, timeout)?;
    let from_time = match start {
        Start::Time(ms) => Some(list_offsets(
            consumer,
            partitions,
            Offset::Offset(ms.max(0)),
            timeout,
        )?),
        _ => None,
    };
    let slices = partitions
        .iter()
        .enumerate()
        .map(|(at, (topic, partition))| {
            let (low, high) = (low[at].unwrap_or(0), high[at].unwrap_or(0));
            let start = match start {
                Start::Beginning => low,
                Start::End => high,
                Start::Offset(offset) => offset.clamp(low, high.max(low)),
                Start::Last(count) => high.saturating_sub(count).max(low),
                // No record of that time or later: with what comes.
                Start::Time(_) => from_time
                    .as_ref()
                    .and_then(|offsets| offsets[at])
                    .unwrap_or(high),
            };
            Slice {
                topic: topic.clone(),
                partition: *partition,
                start,
                stop: high,
            }
        });
    Ok(slices.collect())
}

/// The offset that stands for `point` in each partition; `None` where there is none.
fn list_offsets(
    consumer: &BaseConsumer<Watch>,
    partitions: &[(String, i32)],
    point: Offset,
    timeout: Duration,
) -> Result<Vec<Option<i64>>, ClientError> {
    let failed =
        |error: &KafkaError| fatal("cannot learn where the partitions begin and end", error);
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition) in partitions {
        list.add_partition_offset(topic, *partition, point)
            .map_err(|error| failed(&error))?;
    }
    let list = consumer
        .offsets_for_times(list, timeout)
        .map_err(|error| failed(&error))?;
    let offset = |(topic, partition): &(String, i32)| {
        let element = list.find_partition(topic, *partition);
        let Some(element) = element else {
            return Ok(None);
        };
        element.error().map_err(|error| failed(&error))?;
        Ok(match element.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        })
    };
    partitions.iter().map(offset).collect()
}

/// Whether there is no record from `position` on, as a consumer of this partition alone finds.
pub(crate) fn has_ended(config: &ClientConfig, slice: &Slice, position: i64) -> bool {
    let mut config = config.clone();
    config.set("group.id", NO_GROUP).remove("group.instance.id");
    let silent = Context::new(Arc::new(|_, _| {}));
    let watch = Watch::new(silent, false, Start::Beginning, true);
    let Ok(probe) = config.create_with_context::<_, BaseConsumer<Watch>>(watch) else {
        return false;
    };
    let mut list = TopicPartitionList::with_capacity(1);
    let added = list.add_partition_offset(&slice.topic, slice.partition, Offset::Offset(position));
    if added.is_err() || probe.assign(&list).is_err() {
        return false;
    }
    let start = std::time::Instant::now();
    while start.elapsed() < PROBE {
        match probe.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => return message.offset() >= slice.stop,
            Some(Err(KafkaError::PartitionEOF(_))) => return true,
            _ => {}
        }
    }
    false
}
