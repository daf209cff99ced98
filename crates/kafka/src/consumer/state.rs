//! What a consumer knows of its reading beside its connection: what is assigned, what has ended, what went wrong.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::client::{ClientError, Context, describe, fatal};

use super::ends::Ends;
use super::event::Event;
use super::rebalance::{Change, Watch};

/// So long after a pause the statistics may still be of before: librdkafka's threads, which all turn round within a second,
/// take over what was fetched until then only later.
const STALE: Duration = Duration::from_millis(1500);

/// So long a member that was given nothing waits for the next rebalance before it takes that for the end. Where
/// partitions move one by one (cooperative assignors, KIP-848), it is given nothing until others have let go of some.
const SETTLE: Duration = Duration::from_secs(10);

/// What a consumer knows beside its connection: apart from it, because records are borrowed from that.
pub(crate) struct State {
    pub(crate) context: Context,
    pub(crate) grouped: bool,
    pub(crate) paused: bool,
    /// When it was paused or resumed last.
    pub(crate) turned: Option<Instant>,
    /// Where to stop, if there is such a place, once there is an assignment.
    pub(crate) ends: Option<Ends>,
    /// Since when there is nothing to read, if the group may be about to give something.
    pub(crate) settling: Option<Instant>,
    /// In a group: from where each partition is read that is here now.
    pub(crate) begun: HashMap<(String, i32), i64>,
}

impl State {
    /// Whether all was read up to where it was to stop, and no more is to be expected.
    pub(crate) fn is_done(&self) -> bool {
        let settled = |since: Instant| since.elapsed() >= SETTLE;
        self.ends.as_ref().is_some_and(Ends::reached) && self.settling.is_none_or(settled)
    }

    /// Tells of a rebalance, if there was one.
    pub(crate) fn changed(
        &mut self,
        inner: &BaseConsumer<Watch>,
    ) -> Result<Event<'static>, ClientError> {
        let changes = inner.context().take_changes();
        if changes.is_empty() {
            let done = self.is_done();
            return Ok(if done { Event::End } else { Event::Idle });
        }
        let (mut assigned, mut revoked) = (Vec::new(), Vec::new());
        for change in changes {
            match change {
                Change::Assigned {
                    partitions,
                    begun,
                    slices,
                } => {
                    if let Some(slices) = slices {
                        self.ends
                            .get_or_insert_with(|| Ends::new(Vec::new()))
                            .add(slices);
                    }
                    for position in begun {
                        let place = (position.topic, position.partition);
                        self.begun.insert(place, position.offset);
                    }
                    assigned.extend(partitions);
                }
                Change::Revoked(partitions) => {
                    if let Some(ends) = &mut self.ends {
                        ends.remove(&partitions);
                        // Not the end: what this member reads now, the next assignment tells.
                        if ends.reached() {
                            self.ends = None;
                        }
                    }
                    for place in &partitions {
                        self.begun.remove(place);
                    }
                    revoked.extend(partitions);
                }
                Change::Failed(error) => return Err(error),
            }
        }
        let protocol = inner.rebalance_protocol();
        let piecemeal = matches!(protocol, RebalanceProtocol::Cooperative);
        let nothing = self.ends.as_ref().is_some_and(Ends::reached);
        self.settling = (piecemeal && nothing).then(Instant::now);
        if self.paused {
            pause_all(inner)?;
        }
        Ok(Event::Rebalanced { assigned, revoked })
    }

    /// What to do about an error that librdkafka gives in a record's place. Those of connections were told already.
    pub(crate) fn judge(
        &mut self,
        inner: &BaseConsumer<Watch>,
        error: &KafkaError,
    ) -> Result<Event<'static>, ClientError> {
        use RDKafkaErrorCode as Code;
        let what = "cannot read on";
        match error {
            KafkaError::MessageConsumptionFatal(code) => {
                let reason = match inner.client().fatal_error() {
                    Some((Code::FencedInstanceId, _)) => {
                        "another member of the group came with the same group.instance.id"
                            .to_owned()
                    }
                    Some((_, reason)) => reason,
                    None => describe(*code),
                };
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

    /// Looks which partitions have been read to where they are to stop though no record says so: behind the last one
    /// there are markers of transactions, or what was compacted away.
    ///
    /// That a partition has no more for now is no sign of it. A replica that is behind (KIP-392), or a leader that was
    /// elected just now, ends before the place that the leader had told.
    pub(crate) fn notice_drained(&mut self, inner: &BaseConsumer<Watch>) {
        let Some(ends) = &mut self.ends else { return };
        let drained = inner.context().take_drained();
        if self.paused || self.turned.is_some_and(|turned| turned.elapsed() < STALE) {
            return;
        }
        for place in drained {
            ends.pass(&place.topic, place.partition, place.offset);
        }
    }
}

/// Stops fetching all that is assigned.
pub(crate) fn pause_all(inner: &BaseConsumer<Watch>) -> Result<(), ClientError> {
    let list = inner.assignment();
    list.and_then(|list| inner.pause(&list))
        .map_err(|error| fatal("cannot pause", &error))
}
