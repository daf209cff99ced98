//! What is said to the broker: answers and messages are gathered until they make a write.

use super::{Answer, Connection, Unwritten};
use crate::ledger::{Reply, Transmit};
use crate::packet::Encoder;
use crate::reason::Reason;

/// Bytes that are gathered before a write; more only if one packet is larger.
const OUTPUT_BYTES: usize = 128 << 10;

impl Connection<'_> {
    /// Appends what is due to the output, answers first, until it holds enough for a write.
    pub(super) fn write_packets(&mut self) {
        self.end_pause();
        while self.wire.output.len() < OUTPUT_BYTES {
            match self.state.incoming.next_reply() {
                Some(Reply::PubAck(id)) => Encoder::pub_ack(&mut self.wire.output, id),
                Some(Reply::PubRec(id)) => Encoder::pub_rec(&mut self.wire.output, id),
                None => break,
            }
        }
        while self.wire.output.len() < OUTPUT_BYTES {
            match self.answers.pop_front() {
                Some(Answer::PubRel { id, found }) => {
                    self.encoder.pub_rel(&mut self.wire.output, id, found);
                }
                Some(Answer::PubComp { id, found }) => {
                    self.encoder.pub_comp(&mut self.wire.output, id, found);
                }
                None => break,
            }
        }
        while self.wire.output.len() < OUTPUT_BYTES && self.may_transmit() && self.transmit() {}
    }

    /// Not while a SUBSCRIBE waits for its answer; and while a message is on trial, one at a time, once the broker has
    /// said something.
    fn may_transmit(&self) -> bool {
        let is_open =
            !self.state.is_trying() || self.seen.answer && self.first_unanswered().is_none();
        is_open && self.subscribing.is_none()
    }

    /// Appends one packet of the outgoing ledger; false if none is due.
    fn transmit(&mut self) -> bool {
        let refused = match self.state.outgoing.next() {
            None => return false,
            Some(Transmit::PubRel { id }) => {
                self.encoder.pub_rel(&mut self.wire.output, id, true);
                None
            }
            Some(Transmit::Publish { id, dup, message }) => self
                .encoder
                .publish(&mut self.wire.output, message, id, dup)
                .err()
                .map(|refusal| (id, refusal)),
            Some(Transmit::Fire { ticket, message }) => {
                match self
                    .encoder
                    .publish(&mut self.wire.output, &message, 0, false)
                {
                    Ok(()) => {
                        let end = self.wire.appended();
                        self.unwritten.push_back(Unwritten {
                            end,
                            ticket,
                            message,
                        });
                    }
                    Err(refusal) => {
                        self.state
                            .settle(ticket, message.size(), Err(Box::new(refusal)));
                    }
                }
                None
            }
        };
        if let Some((id, refusal)) = refused
            && let Some((ticket, size)) = self.state.outgoing.withdraw(id)
        {
            self.state.settle(ticket, size, Err(Box::new(refusal)));
        }
        true
    }

    /// Messages of QoS 0 are delivered, as far as anyone can tell, when the system has them.
    pub(super) fn settle_written(&mut self) {
        while self
            .unwritten
            .front()
            .is_some_and(|entry| entry.end <= self.wire.written)
        {
            if let Some(Unwritten {
                ticket, message, ..
            }) = self.unwritten.pop_front()
            {
                self.seen.fired = true;
                self.state
                    .settle(ticket, message.size(), Ok(Reason::SUCCESS));
            }
        }
    }
}
