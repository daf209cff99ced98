//! What the broker says: packets are read as far as the inbox has room, and each is handled.

use tokio::time::Instant;

use super::{Connection, End};
use crate::error::{ConnectError, Refusal, SessionError, describe_text};
use crate::event::Event;
use crate::ledger::{Acked, Received};
use crate::message::Delivery;
use crate::packet::{AckKind, Decoded};
use crate::protocol::Qos;
use crate::reason::Reason;

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
            match self.decoder.next(&mut self.wire.input) {
                Ok(Some(packet)) => {
                    let before = self.deliveries.len();
                    self.handle(packet)?;
                    if let Some(delivery) = self.deliveries.get(before) {
                        messages -= 1;
                        bytes = bytes.saturating_sub(delivery.topic.len() + delivery.payload.len());
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
                    self.deliveries.push(Delivery {
                        topic,
                        payload,
                        qos,
                        retain,
                        dup,
                        properties,
                        token,
                    });
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
                self.encoder.pub_comp(&mut self.wire.output, id, found);
            }
            Decoded::SubAck { id, reasons } => self.subscribed(id, &reasons)?,
            Decoded::PingResp => {}
            Decoded::Disconnect { reason, text } => return Err(self.disconnected(reason, text)),
            Decoded::ConnAck { .. } => {
                return Err(End::Lost("the broker sent a second CONNACK".to_owned()));
            }
        }
        self.useful = true;
        Ok(())
    }

    fn acknowledged(&mut self, kind: AckKind, id: u16, reason: Reason, text: Option<String>) {
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
                    Ok(reason)
                };
                self.state.settle(ticket, size, outcome);
            }
            // A PUBREC wants its answer even if nothing is known of it (section 4.3.3).
            Acked::Unknown if kind == AckKind::PubRec && !reason.is_failure() => {
                self.encoder.pub_rel(&mut self.wire.output, id, false);
            }
            Acked::Released | Acked::Unknown => {}
        }
    }

    fn subscribed(&mut self, id: u16, reasons: &[Reason]) -> Result<(), End> {
        if !self.state.outgoing.subscribed(id) {
            return Ok(());
        }
        self.subscribing = None;
        for (subscription, &reason) in self.state.options.subscriptions.iter().zip(reasons) {
            let filter = subscription.filter.clone();
            if reason.is_failure() {
                let refused = ConnectError::SubscriptionRefused { filter, reason };
                return Err(End::Fatal(self.state.refused(refused)));
            }
            let granted = Qos::from_level(reason.0).unwrap_or_default();
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
        if reason.ends_session() {
            return End::Fatal(SessionError::Disconnected { reason, text });
        }
        End::Lost(format!("the broker disconnected: {reason}{words}"))
    }
}
