//! What the broker says: packets are read as far as the inbox has room, and each is handled.

use std::time::Duration;

use tokio::time::Instant;

use super::{Answer, Connection, End, MOST_ANSWERS};
use crate::channel::Held;
use crate::error::{ConnectError, Refusal, SessionError, describe_text};
use crate::event::Event;
use crate::ledger::{Acked, Received};
use crate::message::Delivery;
use crate::packet::{AckKind, Decoded};
use crate::protocol::Qos;
use crate::reason::Reason;
use crate::wire::LARGEST_READ;

impl Connection<'_> {
    /// Handles the packets that are there, as far as the inbox has room.
    pub(super) fn read_packets(&mut self) -> Result<(), End> {
        let options = &self.state.options;
        let (mut messages, mut bytes) = self
            .state
            .shared
            .room(options.inbox_messages, options.inbox_bytes);
        let was_reading = self.reading;
        loop {
            if self.has_many_answers() {
                self.reading = false;
                break;
            }
            self.reading = messages > 0 && bytes > 0;
            if !self.reading {
                // So that the application's next `receive` wakes this task.
                let options = &self.state.options;
                self.state.shared.deliver(&mut self.deliveries);
                (messages, bytes) = self
                    .state
                    .shared
                    .room(options.inbox_messages, options.inbox_bytes);
                if messages == 0 || bytes == 0 {
                    break;
                }
                continue;
            }
            let before = self.wire.input.len();
            match self.decoder.next(&mut self.wire.input) {
                Ok(Some(packet)) => {
                    // What was before it in the buffer it keeps in memory, too, but no more than a buffer.
                    self.taken = self.taken.min(LARGEST_READ) + before - self.wire.input.len();
                    let delivered = self.deliveries.len();
                    self.handle(packet)?;
                    if let Some(held) = self.deliveries.get(delivered) {
                        messages -= 1;
                        bytes = bytes.saturating_sub(held.bytes);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    return Err(End::Lost(format!("the broker sent {error}")));
                }
            }
        }
        if self.reading && !was_reading {
            self.heartbeat.resumed(Instant::now());
        }
        Ok(())
    }

    /// Whether so many answers wait that nothing more is to be read.
    fn has_many_answers(&self) -> bool {
        self.answers.len() >= MOST_ANSWERS || self.state.incoming.unanswered() >= MOST_ANSWERS
    }

    fn handle(&mut self, packet: Decoded) -> Result<(), End> {
        match packet {
            // Of a kept session that another one has subscribed: it stays with the broker, unanswered. Nobody
            // would take it out of the inbox.
            Decoded::Publish { .. } if self.state.options.subscriptions.is_empty() => {}
            Decoded::Publish {
                id,
                topic,
                payload,
                qos,
                retain,
                dup,
                properties,
            } => {
                if let Received::Deliver(token) = self.state.incoming.receive(id, qos) {
                    let delivery = Delivery {
                        topic,
                        payload,
                        qos,
                        retain,
                        dup,
                        properties,
                        token,
                    };
                    self.seen.progress = true;
                    let read = std::mem::take(&mut self.taken);
                    self.deliveries.push(Held::new(delivery, read));
                }
            }
            Decoded::Ack {
                kind,
                id,
                reason,
                text,
            } => self.acknowledged(kind, id, reason, text),
            Decoded::PubRel { id } => {
                let found = self.state.incoming.release(id);
                self.answers.push_back(Answer::PubComp { id, found });
            }
            Decoded::SubAck { id, reasons } => self.subscribed(id, &reasons)?,
            Decoded::PingResp => {}
            Decoded::Disconnect { reason, text } => return Err(self.disconnected(reason, text)),
            Decoded::ConnAck { .. } => {
                return Err(End::Lost("the broker sent a second CONNACK".to_owned()));
            }
        }
        self.seen.answer = true;
        Ok(())
    }

    fn acknowledged(&mut self, kind: AckKind, id: u16, reason: Reason, text: Option<String>) {
        if reason.is_transient() && self.postpone(kind, id) {
            return;
        }
        let outgoing = &mut self.state.outgoing;
        let acked = match kind {
            AckKind::PubAck => outgoing.pub_ack(id, reason),
            AckKind::PubRec => outgoing.pub_rec(id, reason),
            AckKind::PubComp => outgoing.pub_comp(id, reason),
        };
        match acked {
            Acked::Settled {
                ticket,
                size,
                reason,
            } => {
                let outcome = if reason.is_failure() {
                    Err(Box::new(Refusal::Broker { reason, text }))
                } else {
                    self.pause = Duration::ZERO;
                    Ok(reason)
                };
                self.seen.progress = true;
                self.state.settle(ticket, size, outcome);
            }
            // A PUBREC wants its answer even if nothing is known of it (section 4.3.3).
            Acked::Unknown if kind == AckKind::PubRec && !reason.is_failure() => {
                let found = false;
                self.answers.push_back(Answer::PubRel { id, found });
            }
            Acked::Released | Acked::Unknown => {}
        }
    }

    /// The broker can't take a message now: it is sent again after a pause. False if it was that for too long.
    fn postpone(&mut self, kind: AckKind, id: u16) -> bool {
        let qos = match kind {
            AckKind::PubAck => Qos::AtLeastOnce,
            AckKind::PubRec => Qos::ExactlyOnce,
            AckKind::PubComp => return false,
        };
        let (now, patience) = (Instant::now(), self.state.options.busy_timeout);
        let postponed = self.state.outgoing.postpone(id, qos, now, patience);
        if postponed {
            self.pause(now);
        }
        postponed
    }

    fn subscribed(&mut self, id: u16, reasons: &[Reason]) -> Result<(), End> {
        if !self.state.outgoing.subscribed(id) {
            return Ok(());
        }
        self.subscribing = None;
        let (asked, answered) = (self.state.options.subscriptions.len(), reasons.len());
        if asked != answered {
            let wrong = ConnectError::BadSubAck { asked, answered };
            return Err(End::Fatal(self.state.refused(wrong)));
        }
        for (subscription, &reason) in self.state.options.subscriptions.iter().zip(reasons) {
            let filter = subscription.filter.clone();
            // A code that is neither a level nor a failure has no meaning: nothing says that it was granted.
            let Some(granted) = Qos::from_level(reason.0) else {
                let refused = ConnectError::SubscriptionRefused { filter, reason };
                return Err(End::Fatal(self.state.refused(refused)));
            };
            if granted < subscription.qos {
                self.state.tell(Event::Downgraded {
                    filter,
                    asked: subscription.qos,
                    granted,
                });
            }
        }
        if !self.session_present {
            self.online();
        }
        Ok(())
    }

    fn disconnected(&self, reason: Reason, text: Option<String>) -> End {
        if reason == Reason::SESSION_TAKEN_OVER {
            let client_id = self.state.options.client_id.clone();
            return End::Fatal(SessionError::TakenOver { client_id });
        }
        let words = describe_text(text.as_deref());
        if reason.blames_message() && self.first_unanswered().is_some() {
            return End::HungUp(format!("the broker disconnected: {reason}{words}"));
        }
        if reason.blames_message() && self.seen.fired {
            // One of QoS 0, which is gone; those behind it are not.
            return End::Lost(format!("the broker disconnected: {reason}{words}"));
        }
        if reason.ends_session() {
            return End::Fatal(SessionError::Disconnected { reason, text });
        }
        End::Lost(format!("the broker disconnected: {reason}{words}"))
    }
}
