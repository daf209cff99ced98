//! What this side publishes: messages that wait, packets in flight, and what a broken connection
//! makes due again.
//!
//! Packet identifiers are taken from a list of free ones and go back only when the flow is over,
//! so that two packets in flight can never share one [MQTT-2.2.1-3]. A message is kept until its
//! flow is over, at QoS 2 until PUBCOMP: a broker that lost the session between PUBREC and PUBREL
//! has it no longer.

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use tokio::time::Instant;

use super::flight::{Flight, Slot, Stage};
use crate::message::Message;
use crate::protocol::Qos;
use crate::reason::Reason;

/// The next packet to write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Transmit<'a> {
    /// A PUBLISH of QoS 1 or 2.
    Publish {
        id: u16,
        dup: bool,
        message: &'a Message,
    },
    /// A PUBLISH of QoS 0, which leaves the ledger with this.
    Fire { ticket: u64, message: Message },
    /// A PUBREL.
    PubRel { id: u16 },
}

/// What an acknowledgement meant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Acked {
    /// The message is settled: the flow is over, well if the reason is a success.
    Settled {
        ticket: u64,
        size: usize,
        reason: Reason,
    },
    /// The flow goes on with a PUBREL.
    Released,
    /// There is no such packet in flight: an answer that came twice.
    Unknown,
}

/// The ticket of birth messages, which no application has.
pub(crate) const BIRTH: u64 = u64::MAX;

/// The ledger of outgoing messages.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// Index = packet identifier - 1. Grows as far as identifiers were ever needed at once.
    slots: Vec<Slot>,
    free: VecDeque<u16>,
    /// The own bound on packets in flight.
    inflight: u16,
    /// The bound in force: the own one or the broker's Receive Maximum.
    window: u16,
    /// Packets that were sent on this connection and are not over: the quota that is used up
    /// (MQTT 5, section 4.9).
    sent: usize,
    /// Identifiers of what a reconnect made due again, in order.
    again: VecDeque<u16>,
    /// Identifiers whose PUBREL is due.
    releases: VecDeque<u16>,
    /// The birth message, until it is sent on this connection.
    birth: Option<Message>,
    /// What the broker couldn't take when it was sent, in the order of first sending.
    postponed: VecDeque<Flight>,
    /// Whether no PUBLISH is sent for now, but those of a birth.
    paused: bool,
    waiting: VecDeque<(u64, Message)>,
    next_order: u64,
    in_flight: usize,
}

impl Outgoing {
    /// An empty ledger that allows at most `inflight` packets of QoS 1 and 2 in flight.
    pub(crate) fn new(inflight: u16) -> Self {
        let inflight = inflight.max(1);
        Self {
            slots: Vec::new(),
            free: VecDeque::new(),
            inflight,
            window: inflight,
            sent: 0,
            again: VecDeque::new(),
            releases: VecDeque::new(),
            birth: None,
            postponed: VecDeque::new(),
            paused: false,
            waiting: VecDeque::new(),
            next_order: 0,
            in_flight: 0,
        }
    }

    /// Adds a message behind those that wait.
    pub(crate) fn queue(&mut self, ticket: u64, message: Message) {
        self.waiting.push_back((ticket, message));
    }

    /// The birth message of a new connection, which goes before all else under the ticket [`BIRTH`]: what is
    /// sent again would come, for others, from a client that its last will has declared dead.
    pub(crate) fn be_born(&mut self, birth: Option<Message>) {
        self.birth = birth;
    }

    /// The connection is gone. Puts messages of QoS 0 that did not get out in front of those that wait;
    /// `unsent` is in the order of sending.
    pub(crate) fn disconnected(&mut self, unsent: impl DoubleEndedIterator<Item = (u64, Message)>) {
        self.birth = None;
        for entry in unsent.rev() {
            self.wait_first(entry);
        }
    }

    /// Puts a message in front of those that wait, but not a birth message: each connection has one of its own.
    fn wait_first(&mut self, entry: (u64, Message)) {
        if entry.0 != BIRTH {
            self.waiting.push_front(entry);
        }
    }

    /// Whether nothing waits and nothing is in flight.
    pub(crate) fn is_idle(&self) -> bool {
        let nothing_due = self.waiting.is_empty() && self.postponed.is_empty();
        self.birth.is_none() && nothing_due && self.in_flight == 0
    }

    /// Sends no PUBLISH from now on, or again.
    pub(crate) fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// A new connection is there. If the broker kept the session, all that is in flight is due
    /// again under its identifier [MQTT-4.4.0-1]; if not, it is to be published anew, before what
    /// waits.
    pub(crate) fn connected(&mut self, session_present: bool, receive_maximum: u16) {
        self.window = self.inflight.min(receive_maximum.max(1));
        self.sent = 0;
        self.paused = false;
        // Each connection has a birth message of its own.
        self.postponed.retain(|flight| flight.ticket != BIRTH);
        self.again.clear();
        self.releases.clear();
        let mut ids: Vec<(u64, u16)> = Vec::with_capacity(self.in_flight);
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let id = identifier(index);
            match slot {
                Slot::Free => {}
                // Its SUBACK cannot come any more; the driver subscribes again if it has to.
                Slot::Subscribe => {
                    *slot = Slot::Free;
                    self.free.push_back(id);
                }
                Slot::Flight(flight) => ids.push((flight.order, id)),
            }
        }
        ids.sort_unstable();
        if session_present {
            for &(_, id) in &ids {
                self.make_due_again(id);
            }
        } else {
            for &(_, id) in ids.iter().rev() {
                if let Some(flight) = self.take(id) {
                    self.wait_first((flight.ticket, flight.message));
                }
            }
        }
    }

    fn make_due_again(&mut self, id: u16) {
        if let Some(Slot::Flight(flight)) = self.slots.get_mut(usize::from(id) - 1) {
            flight.stage = match flight.stage {
                // Never got out: the first sending is still to come.
                Stage::Due { dup } => Stage::Due { dup },
                Stage::Published => Stage::Due { dup: true },
                Stage::ReleaseDue | Stage::Released => Stage::ReleaseDue,
            };
            self.again.push_back(id);
        }
    }

    /// An identifier for a SUBSCRIBE, if one is left.
    pub(crate) fn subscribe_id(&mut self) -> Option<u16> {
        let id = self.allocate()?;
        self.slots[usize::from(id) - 1] = Slot::Subscribe;
        Some(id)
    }

    /// Gives an identifier of a SUBSCRIBE back; false if it was none.
    pub(crate) fn subscribed(&mut self, id: u16) -> bool {
        match self.slot_mut(id) {
            Some(slot @ Slot::Subscribe) => {
                *slot = Slot::Free;
                self.free.push_back(id);
                true
            }
            _ => false,
        }
    }

    /// The next packet that may be sent now, marked as sent.
    pub(crate) fn next(&mut self) -> Option<Transmit<'_>> {
        if let Some(birth) = self.birth.take() {
            return self.send_first(BIRTH, birth);
        }
        if let Some(id) = self.releases.pop_front() {
            if let Some(Slot::Flight(flight)) = self.slot_mut(id) {
                flight.stage = Stage::Released;
            }
            return Some(Transmit::PubRel { id });
        }
        if self.paused {
            return None;
        }
        if let Some(&id) = self.again.front() {
            return self.send_again(id);
        }
        if !self.postponed.is_empty() {
            return self.send_postponed();
        }
        let qos = self.waiting.front()?.1.qos;
        if qos > Qos::AtMostOnce && self.sent >= usize::from(self.window) {
            return None;
        }
        let (ticket, message) = self.waiting.pop_front()?;
        self.send_first(ticket, message)
    }

    /// Sends a message for the first time. Where no identifier is free it waits on.
    fn send_first(&mut self, ticket: u64, message: Message) -> Option<Transmit<'_>> {
        if message.qos == Qos::AtMostOnce {
            return Some(Transmit::Fire { ticket, message });
        }
        let Some(id) = self.allocate() else {
            self.wait_first((ticket, message));
            return None;
        };
        let order = self.next_order;
        self.next_order += 1;
        self.launch(
            id,
            Flight {
                order,
                ticket,
                stage: Stage::Published,
                busy_since: None,
                message,
            },
        )
    }

    /// Sends the first of what the broker couldn't take, under a new identifier: for the broker it is a new message.
    fn send_postponed(&mut self) -> Option<Transmit<'_>> {
        if self.sent >= usize::from(self.window) {
            return None;
        }
        let id = self.allocate()?;
        let flight = self.postponed.pop_front()?;
        self.launch(id, flight)
    }

    fn launch(&mut self, id: u16, flight: Flight) -> Option<Transmit<'_>> {
        self.sent += 1;
        self.in_flight += 1;
        let slot = &mut self.slots[usize::from(id) - 1];
        *slot = Slot::Flight(flight);
        let Slot::Flight(Flight { message, .. }) = slot else {
            return None;
        };
        Some(Transmit::Publish {
            id,
            dup: false,
            message,
        })
    }

    /// Sends what a reconnect made due. A PUBREL needs no quota (MQTT 5, section 4.9).
    fn send_again(&mut self, id: u16) -> Option<Transmit<'_>> {
        let quota = self.sent < usize::from(self.window);
        let Some(Slot::Flight(flight)) = self.slots.get_mut(usize::from(id) - 1) else {
            // Only what is in flight is ever due again, and only `next` takes it from the list.
            self.again.pop_front();
            return None;
        };
        match flight.stage {
            Stage::Due { dup } if quota => {
                self.again.pop_front();
                self.sent += 1;
                flight.stage = Stage::Published;
                Some(Transmit::Publish {
                    id,
                    dup,
                    message: &flight.message,
                })
            }
            Stage::Due { .. } => None,
            Stage::ReleaseDue | Stage::Published | Stage::Released => {
                self.again.pop_front();
                self.sent += 1;
                flight.stage = Stage::Released;
                Some(Transmit::PubRel { id })
            }
        }
    }

    /// PUBACK.
    pub(crate) fn pub_ack(&mut self, id: u16, reason: Reason) -> Acked {
        self.settle(id, reason, |flight| {
            flight.stage == Stage::Published && flight.message.qos == Qos::AtLeastOnce
        })
    }

    /// PUBREC: goes on with PUBREL, or ends the flow if it is a refusal (MQTT 5, section 4.3.3).
    pub(crate) fn pub_rec(&mut self, id: u16, reason: Reason) -> Acked {
        if reason.is_failure() {
            return self.settle(id, reason, |flight| {
                flight.stage == Stage::Published && flight.message.qos == Qos::ExactlyOnce
            });
        }
        match self.slot_mut(id) {
            Some(Slot::Flight(flight))
                if flight.stage == Stage::Published && flight.message.qos == Qos::ExactlyOnce =>
            {
                flight.stage = Stage::ReleaseDue;
                self.releases.push_back(id);
                Acked::Released
            }
            _ => Acked::Unknown,
        }
    }

    /// PUBCOMP. "Packet Identifier not found" is the answer of a broker that had finished the
    /// flow before the connection broke, so it ends well.
    pub(crate) fn pub_comp(&mut self, id: u16, reason: Reason) -> Acked {
        let reason = match reason {
            Reason::PACKET_IDENTIFIER_NOT_FOUND => Reason::SUCCESS,
            reason => reason,
        };
        self.settle(id, reason, |flight| flight.stage == Stage::Released)
    }

    /// The broker can't take a message of this quality now: it is due again, before what was sent after it. False if
    /// there is no such packet in flight, or the broker has said so for as long as `patience`; then nothing changes.
    pub(crate) fn postpone(&mut self, id: u16, qos: Qos, now: Instant, patience: Duration) -> bool {
        match self.slot_mut(id) {
            Some(Slot::Flight(flight))
                if flight.stage == Stage::Published && flight.message.qos == qos =>
            {
                let since = *flight.busy_since.get_or_insert(now);
                if now - since >= patience {
                    return false;
                }
            }
            _ => return false,
        }
        let Some(flight) = self.take(id) else {
            return false;
        };
        self.sent = self.sent.saturating_sub(1);
        let place = self
            .postponed
            .partition_point(|other| other.order < flight.order);
        self.postponed.insert(place, flight);
        true
    }

    fn settle(&mut self, id: u16, reason: Reason, fits: impl Fn(&Flight) -> bool) -> Acked {
        match self.slot_mut(id) {
            Some(Slot::Flight(flight)) if fits(flight) => {}
            _ => return Acked::Unknown,
        }
        match self.take(id) {
            Some(flight) => {
                self.sent = self.sent.saturating_sub(1);
                Acked::Settled {
                    ticket: flight.ticket,
                    size: flight.message.size(),
                    reason,
                }
            }
            None => Acked::Unknown,
        }
    }

    /// Takes back a PUBLISH that `next` gave out and that was not sent.
    pub(crate) fn withdraw(&mut self, id: u16) -> Option<(u64, usize)> {
        let flight = self.take(id)?;
        self.sent = self.sent.saturating_sub(1);
        Some((flight.ticket, flight.message.size()))
    }

    /// The ticket of the first message that was sent on this connection and has no answer.
    pub(crate) fn first_unanswered(&self) -> Option<u64> {
        let unanswered = self.slots.iter().filter_map(|slot| match slot {
            Slot::Flight(flight) if flight.stage == Stage::Published => Some(flight),
            _ => None,
        });
        // The birth message went before those that were sent again.
        let first = unanswered.min_by_key(|flight| (flight.ticket != BIRTH, flight.order));
        first.map(|flight| flight.ticket)
    }

    /// Takes out what has this ticket, between two connections; that is one message, but for birth messages. Their
    /// identifiers are not used again: the broker may have kept them.
    pub(crate) fn remove(&mut self, ticket: u64) -> Vec<Message> {
        let mut removed = Vec::new();
        for index in 0..self.slots.len() {
            if matches!(&self.slots[index], Slot::Flight(flight) if flight.ticket == ticket)
                && let Some(flight) = self.take(identifier(index))
            {
                self.free.pop_back();
                removed.push(flight.message);
            }
        }
        if let Some(place) = self.waiting.iter().position(|(of, _)| *of == ticket) {
            removed.extend(self.waiting.remove(place).map(|(_, message)| message));
        }
        removed
    }

    /// Takes everything out, in flight first: what is given up.
    pub(crate) fn abandon(&mut self) -> Vec<(u64, Message)> {
        self.birth = None;
        self.connected(false, u16::MAX);
        let postponed = mem::take(&mut self.postponed).into_iter();
        let postponed = postponed.map(|flight| (flight.ticket, flight.message));
        postponed.chain(mem::take(&mut self.waiting)).collect()
    }

    fn slot_mut(&mut self, id: u16) -> Option<&mut Slot> {
        self.slots.get_mut(usize::from(id).checked_sub(1)?)
    }

    fn take(&mut self, id: u16) -> Option<Flight> {
        let slot = self.slot_mut(id)?;
        match mem::replace(slot, Slot::Free) {
            Slot::Flight(flight) => {
                self.in_flight -= 1;
                self.free.push_back(id);
                Some(flight)
            }
            other => {
                *slot = other;
                None
            }
        }
    }

    /// A free identifier. Those in use first run in a circle, so that one which was just freed is
    /// not the next: an answer that comes twice then meets no new packet.
    fn allocate(&mut self) -> Option<u16> {
        let room = self.slots.len() < usize::from(u16::MAX);
        if room && self.free.len() < REUSE_DISTANCE {
            self.slots.push(Slot::Free);
            return Some(identifier(self.slots.len() - 1));
        }
        self.free.pop_front()
    }
}

/// Identifiers that rest before they are used again.
const REUSE_DISTANCE: usize = 16;

fn identifier(index: usize) -> u16 {
    u16::try_from(index + 1).unwrap_or(u16::MAX)
}

#[cfg(test)]
#[path = "outgoing_tests.rs"]
mod tests;
