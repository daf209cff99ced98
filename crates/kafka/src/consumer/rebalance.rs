//! Which partitions a member of a group reads, and from where: following the group's rebalances.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{
    BaseConsumer, CommitMode, Consumer as _, ConsumerContext, RebalanceProtocol,
};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};
use rdkafka::types::RDKafkaRespErr;

use crate::client::{ClientError, Context, Severity, describe_error, fatal, utf8};
use crate::offset::{Bounds, Position, Slice, locate, positions};

/// The limit for questions about offsets while the group waits for this member.
const LOOK_UP: Duration = Duration::from_secs(10);

/// What a rebalance changed.
pub(crate) enum Change {
    Assigned {
        partitions: Vec<(String, i32)>,
        /// From where each is read, where that is known.
        begun: Vec<Position>,
        /// Where each ends, if there is an end.
        slices: Option<Vec<Slice>>,
    },
    Revoked(Vec<(String, i32)>),
    Failed(ClientError),
}

/// The context of a consumer.
pub(crate) struct Watch {
    context: Context,
    grouped: bool,
    bounds: Bounds,
    changed: AtomicBool,
    changes: Mutex<Vec<Change>>,
    drained: Mutex<Vec<Position>>,
}

impl Watch {
    pub(crate) fn new(context: Context, grouped: bool, bounds: Bounds) -> Self {
        Self {
            context,
            grouped,
            bounds,
            changed: AtomicBool::new(false),
            changes: Mutex::default(),
            drained: Mutex::default(),
        }
    }

    /// Where partitions stand that have nothing more for now, as of the last statistics: all records before these places
    /// were handed out. Asks once.
    pub(crate) fn take_drained(&self) -> Vec<Position> {
        std::mem::take(&mut *self.drained.lock().unwrap_or_else(PoisonError::into_inner))
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

    fn assigned(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &TopicPartitionList,
        partitions: Vec<(String, i32)>,
    ) {
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
            Ok(()) => self.note(Change::Assigned {
                partitions,
                begun: positions(&list),
                slices,
            }),
            Err(error) => self.note(Change::Failed(fatal("cannot take over partitions", &error))),
        }
    }

    /// Where to begin in partitions that the group gave: at the committed offset, and where there is none, at the
    /// start that was asked for.
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
            return Ok((list, self.bounds.until.map(|_| Vec::new())));
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
        let mut slices = if all_known && self.bounds.until.is_none() {
            Vec::new()
        } else {
            locate(consumer, partitions, self.bounds, LOOK_UP)?
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
        Ok((list, self.bounds.until.map(|_| slices)))
    }

    fn revoked(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &TopicPartitionList,
        partitions: Vec<(String, i32)>,
    ) {
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
        self.note(Change::Revoked(partitions));
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

    /// The only place where librdkafka tells the offset at which it found the end of a partition, and of which topic.
    fn stats(&self, statistics: Statistics) {
        let drained = statistics.topics.into_values().flat_map(|topic| {
            let name = topic.topic;
            let partitions = topic.partitions.into_values();
            // What was fetched may still wait to be handed out.
            let empty = partitions.filter(|partition| partition.fetchq_cnt == 0);
            empty.map(move |partition| Position {
                topic: name.clone(),
                partition: partition.partition,
                offset: partition.eof_offset,
            })
        });
        *self.drained.lock().unwrap_or_else(PoisonError::into_inner) = drained.collect();
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
        let Some(partitions) = names(list) else {
            let reason = "the group gives a topic whose name is not UTF-8 text".to_owned();
            let what = "cannot read on";
            return self.note(Change::Failed(ClientError::Fatal { what, reason }));
        };
        match kind {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                self.assigned(consumer, list, partitions);
            }
            _ => self.revoked(consumer, list, partitions),
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        match result {
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
            Err(error) => self.tell_commit(&error),
        }
    }
}

/// Topics and partitions of a list; `None` if the name of one is not text.
fn names(list: &TopicPartitionList) -> Option<Vec<(String, i32)>> {
    let elements = list.elements();
    let place =
        |element: &TopicPartitionListElem<'_>| (element.topic().to_owned(), element.partition());
    utf8(|| elements.iter().map(place).collect())
}
