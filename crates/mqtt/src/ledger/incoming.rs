//! What the broker publishes to this side: which messages the application has not acknowledged
//! yet, and which answers are due, in the order of receipt [MQTT-4.6.0-2].
//!
//! An answer belongs to the connection that its PUBLISH came on. After a reconnect the broker sends
//! again what was not answered, and only that is answered; a message of QoS 2 that the application
//! has already been given is answered without giving it a second time.

use std::collections::{HashMap, VecDeque};

use crate::message::Token;
use crate::protocol::Qos;

/// What to do with a PUBLISH.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// Give it to the application.
    Deliver(Token),
    /// The application has it (QoS 2, sent again).
    Known,
}

/// An answer that is due.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    PubAck(u16),
    PubRec(u16),
}

#[derive(Debug)]
struct Pending {
    token: Token,
    id: u16,
    qos: Qos,
}

/// The ledger of incoming messages.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    last: u64,
    /// All up to this token are acknowledged by the application.
    acknowledged: u64,
    /// Received on this connection and not answered, in the order of receipt.
    pending: VecDeque<Pending>,
    /// Identifiers of QoS 2 whose PUBREL has not come, and the token that each was delivered as.
    exactly_once: HashMap<u16, Token>,
}

impl Incoming {
    /// A new connection is there: what was not answered on the old one never is.
    pub(crate) fn connected(&mut self, session_present: bool) {
        self.pending.clear();
        if !session_present {
            self.exactly_once.clear();
        }
    }

    /// A PUBLISH came; `id` is 0 at QoS 0.
    pub(crate) fn receive(&mut self, id: u16, qos: Qos) -> Received {
        if qos == Qos::ExactlyOnce
            && let Some(&token) = self.exactly_once.get(&id)
        {
            self.pending.push_back(Pending { token, id, qos });
            return Received::Known;
        }
        self.last += 1;
        let token = Token(self.last);
        match qos {
            Qos::AtMostOnce => {}
            Qos::AtLeastOnce => self.pending.push_back(Pending { token, id, qos }),
            Qos::ExactlyOnce => {
                self.exactly_once.insert(id, token);
                self.pending.push_back(Pending { token, id, qos });
            }
        }
        Received::Deliver(token)
    }

    /// Messages of this connection that are not answered.
    pub(crate) fn unanswered(&self) -> usize {
        self.pending.len()
    }

    /// The application is done with all messages up to `token`.
    pub(crate) fn acknowledge(&mut self, token: u64) {
        // A token from the future would answer for messages nobody has seen.
        self.acknowledged = self.acknowledged.max(token.min(self.last));
    }

    /// The next answer that is due.
    pub(crate) fn next_reply(&mut self) -> Option<Reply> {
        if self.pending.front()?.token.0 > self.acknowledged {
            return None;
        }
        let Pending { id, qos, .. } = self.pending.pop_front()?;
        Some(if qos == Qos::ExactlyOnce {
            Reply::PubRec(id)
        } else {
            Reply::PubAck(id)
        })
    }

    /// A PUBREL came, PUBCOMP is the answer; false if the identifier is not known.
    pub(crate) fn release(&mut self, id: u16) -> bool {
        self.exactly_once.remove(&id).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deliver(ledger: &mut Incoming, id: u16, qos: Qos) -> u64 {
        match ledger.receive(id, qos) {
            Received::Deliver(token) => token.0,
            Received::Known => panic!("packet {id} was taken for one that came before"),
        }
    }

    #[test]
    fn answers_wait_for_the_application_and_keep_the_order_of_receipt() {
        let mut ledger = Incoming::default();
        let first = deliver(&mut ledger, 7, Qos::AtLeastOnce);
        let second = deliver(&mut ledger, 3, Qos::ExactlyOnce);
        let third = deliver(&mut ledger, 9, Qos::AtLeastOnce);
        assert_eq!(ledger.next_reply(), None);
        ledger.acknowledge(second);
        assert_eq!(ledger.next_reply(), Some(Reply::PubAck(7)));
        assert_eq!(ledger.next_reply(), Some(Reply::PubRec(3)));
        assert_eq!(ledger.next_reply(), None);
        ledger.acknowledge(first);
        assert_eq!(ledger.next_reply(), None);
        ledger.acknowledge(third);
        assert_eq!(ledger.next_reply(), Some(Reply::PubAck(9)));
    }

    #[test]
    fn qos_0_has_a_token_and_no_answer() {
        let mut ledger = Incoming::default();
        let token = deliver(&mut ledger, 0, Qos::AtMostOnce);
        ledger.acknowledge(token);
        assert_eq!(ledger.next_reply(), None);
    }

    #[test]
    fn no_answer_of_an_old_connection_reaches_a_new_one() {
        for session_present in [true, false] {
            let mut ledger = Incoming::default();
            let token = deliver(&mut ledger, 1, Qos::AtLeastOnce);
            ledger.connected(session_present);
            ledger.acknowledge(token);
            assert_eq!(ledger.next_reply(), None);
        }
    }

    #[test]
    fn qos_2_sent_again_is_answered_and_not_delivered_twice() {
        let mut ledger = Incoming::default();
        let token = deliver(&mut ledger, 5, Qos::ExactlyOnce);
        ledger.connected(true);
        assert_eq!(ledger.receive(5, Qos::ExactlyOnce), Received::Known);
        assert_eq!(ledger.next_reply(), None);
        ledger.acknowledge(token);
        assert_eq!(ledger.next_reply(), Some(Reply::PubRec(5)));
        // The PUBREC was lost with the second connection.
        ledger.connected(true);
        assert_eq!(ledger.receive(5, Qos::ExactlyOnce), Received::Known);
        assert_eq!(ledger.next_reply(), Some(Reply::PubRec(5)));
        assert!(ledger.release(5));
        assert!(!ledger.release(5));
        deliver(&mut ledger, 5, Qos::ExactlyOnce);
    }

    #[test]
    fn a_lost_session_forgets_the_identifiers_of_qos_2() {
        let mut ledger = Incoming::default();
        deliver(&mut ledger, 5, Qos::ExactlyOnce);
        ledger.connected(false);
        deliver(&mut ledger, 5, Qos::ExactlyOnce);
    }

    #[test]
    fn a_token_from_the_future_acknowledges_nothing_ahead() {
        let mut ledger = Incoming::default();
        deliver(&mut ledger, 1, Qos::AtLeastOnce);
        ledger.acknowledge(1_000);
        assert_eq!(ledger.next_reply(), Some(Reply::PubAck(1)));
        deliver(&mut ledger, 2, Qos::AtLeastOnce);
        assert_eq!(ledger.next_reply(), None);
    }
}
