//! The ledger against examples, and against a model broker under random faults.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn message(qos: Qos, number: u64) -> Message {
    Message {
        topic: Arc::from("t"),
        payload: Bytes::from(number.to_string()),
        qos,
        retain: false,
        properties: None,
    }
}

fn ledger(inflight: u16, qos: Qos, count: u64) -> Outgoing {
    let mut ledger = Outgoing::new(inflight);
    ledger.connected(false, u16::MAX);
    for ticket in 0..count {
        ledger.queue(ticket, message(qos, ticket));
    }
    ledger
}

/// Takes all that may be sent: (identifier, dup, payload) for each PUBLISH; 0 at QoS 0.
fn send_all(ledger: &mut Outgoing) -> Vec<(u16, bool, String)> {
    let mut sent = Vec::new();
    while let Some(transmit) = ledger.next() {
        let text = |message: &Message| String::from_utf8_lossy(&message.payload).into_owned();
        sent.push(match transmit {
            Transmit::Publish { id, dup, message } => (id, dup, text(message)),
            Transmit::PubRel { id } => (id, false, "release".to_owned()),
            Transmit::Fire { message, .. } => (0, false, text(&message)),
        });
    }
    sent
}

fn settled(ticket: u64, reason: Reason) -> Acked {
    Acked::Settled {
        ticket,
        size: 2,
        reason,
    }
}

#[test]
fn the_window_is_the_smaller_of_both_bounds() {
    let mut ledger = ledger(5, Qos::AtLeastOnce, 9);
    assert_eq!(send_all(&mut ledger).len(), 5);
    let mut ledger = super::tests::ledger(5, Qos::AtLeastOnce, 9);
    ledger.connected(false, 2);
    assert_eq!(send_all(&mut ledger).len(), 2);
}

#[test]
fn answers_in_any_order_free_the_window() {
    let mut ledger = ledger(2, Qos::AtLeastOnce, 4);
    let sent = send_all(&mut ledger);
    assert_eq!(
        ledger.pub_ack(sent[1].0, Reason::SUCCESS),
        settled(1, Reason::SUCCESS)
    );
    assert_eq!(ledger.pub_ack(sent[1].0, Reason::SUCCESS), Acked::Unknown);
    assert_eq!(send_all(&mut ledger).len(), 1);
    assert_eq!(
        ledger.pub_ack(sent[0].0, Reason::SUCCESS),
        settled(0, Reason::SUCCESS)
    );
}

#[test]
fn qos_2_goes_through_both_steps() {
    let mut ledger = ledger(9, Qos::ExactlyOnce, 1);
    let id = send_all(&mut ledger)[0].0;
    assert_eq!(ledger.pub_ack(id, Reason::SUCCESS), Acked::Unknown);
    assert_eq!(ledger.pub_comp(id, Reason::SUCCESS), Acked::Unknown);
    assert_eq!(
        ledger.pub_rec(id, Reason::NO_MATCHING_SUBSCRIBERS),
        Acked::Released
    );
    assert_eq!(ledger.next(), Some(Transmit::PubRel { id }));
    assert_eq!(ledger.pub_rec(id, Reason::SUCCESS), Acked::Unknown);
    assert_eq!(
        ledger.pub_comp(id, Reason::SUCCESS),
        settled(0, Reason::SUCCESS)
    );
    assert!(ledger.is_idle());
}

#[test]
fn a_refusal_settles_at_once() {
    let mut one = ledger(9, Qos::AtLeastOnce, 1);
    let id = send_all(&mut one)[0].0;
    assert_eq!(
        one.pub_ack(id, Reason::NOT_AUTHORIZED),
        settled(0, Reason::NOT_AUTHORIZED)
    );
    let mut two = ledger(9, Qos::ExactlyOnce, 1);
    let id = send_all(&mut two)[0].0;
    assert_eq!(
        two.pub_rec(id, Reason::NOT_AUTHORIZED),
        settled(0, Reason::NOT_AUTHORIZED)
    );
    assert!(one.is_idle() && two.is_idle());
}

#[test]
fn a_kept_session_is_sent_again_in_order_with_dup_under_the_same_ids() {
    let mut ledger = ledger(3, Qos::AtLeastOnce, 5);
    let sent = send_all(&mut ledger);
    ledger.pub_ack(sent[0].0, Reason::SUCCESS);
    assert_eq!(send_all(&mut ledger).len(), 1);
    ledger.connected(true, u16::MAX);
    let again = send_all(&mut ledger);
    let payloads: Vec<_> = again.iter().map(|entry| entry.2.as_str()).collect();
    assert_eq!(payloads, ["1", "2", "3"]);
    assert!(again.iter().all(|entry| entry.1), "all have DUP");
    assert_eq!((again[0].0, again[1].0), (sent[1].0, sent[2].0));
}

#[test]
fn a_lost_session_is_published_anew_before_what_waits_and_without_dup() {
    let mut ledger = ledger(3, Qos::ExactlyOnce, 5);
    let sent = send_all(&mut ledger);
    ledger.pub_rec(sent[0].0, Reason::SUCCESS);
    ledger.next();
    ledger.connected(false, u16::MAX);
    let again = send_all(&mut ledger);
    let payloads: Vec<_> = again.iter().map(|entry| entry.2.as_str()).collect();
    assert_eq!(payloads, ["0", "1", "2"]);
    assert!(again.iter().all(|entry| !entry.1), "none has DUP");
}

#[test]
fn a_release_that_was_under_way_is_sent_again_and_may_be_unknown_to_the_broker() {
    let mut ledger = ledger(3, Qos::ExactlyOnce, 1);
    let id = send_all(&mut ledger)[0].0;
    ledger.pub_rec(id, Reason::SUCCESS);
    ledger.next();
    ledger.connected(true, u16::MAX);
    assert_eq!(ledger.next(), Some(Transmit::PubRel { id }));
    assert_eq!(
        ledger.pub_comp(id, Reason::PACKET_IDENTIFIER_NOT_FOUND),
        settled(0, Reason::SUCCESS)
    );
}

#[test]
fn a_smaller_receive_maximum_holds_for_what_is_sent_again() {
    let mut ledger = ledger(4, Qos::AtLeastOnce, 4);
    send_all(&mut ledger);
    ledger.connected(true, 2);
    let again = send_all(&mut ledger);
    assert_eq!(again.len(), 2);
    ledger.pub_ack(again[0].0, Reason::SUCCESS);
    let next = send_all(&mut ledger);
    assert_eq!((next.len(), next[0].1), (1, true));
}

#[test]
fn qos_0_passes_a_full_window_only_in_its_turn() {
    let mut ledger = ledger(1, Qos::AtLeastOnce, 2);
    ledger.queue(2, message(Qos::AtMostOnce, 2));
    let sent = send_all(&mut ledger);
    assert_eq!(sent.len(), 1);
    ledger.pub_ack(sent[0].0, Reason::SUCCESS);
    assert_eq!(send_all(&mut ledger).len(), 2);
}

#[test]
fn all_65535_identifiers_can_be_in_flight_and_none_is_zero() {
    let mut ledger = ledger(u16::MAX, Qos::AtLeastOnce, 70_000);
    let sent = send_all(&mut ledger);
    let ids: HashSet<u16> = sent.iter().map(|entry| entry.0).collect();
    assert_eq!((sent.len(), ids.len()), (65_535, 65_535));
    assert!(!ids.contains(&0));
    assert_eq!(ledger.subscribe_id(), None);
}

#[test]
fn subscribe_shares_the_identifiers() {
    let mut ledger = ledger(9, Qos::AtLeastOnce, 3);
    let subscribe = ledger.subscribe_id().unwrap();
    assert!(
        send_all(&mut ledger)
            .iter()
            .all(|entry| entry.0 != subscribe)
    );
    assert!(ledger.subscribed(subscribe));
    assert!(!ledger.subscribed(subscribe));
}

#[test]
fn giving_up_returns_every_message_in_order() {
    let mut ledger = ledger(2, Qos::AtLeastOnce, 5);
    send_all(&mut ledger);
    let tickets: Vec<_> = ledger.abandon().into_iter().map(|entry| entry.0).collect();
    assert_eq!(tickets, [0, 1, 2, 3, 4]);
    assert!(ledger.is_idle());
}

#[test]
fn what_is_taken_out_leaves_its_identifier_unused() {
    let mut ledger = ledger(2, Qos::AtLeastOnce, 4);
    let sent = send_all(&mut ledger);
    assert_eq!(ledger.first_unanswered(), Some(0));
    ledger.pub_ack(sent[0].0, Reason::SUCCESS);
    assert_eq!(ledger.first_unanswered(), Some(1));
    assert_eq!(ledger.remove(1).len(), 1, "in flight");
    assert_eq!(ledger.remove(3).len(), 1, "waiting");
    assert!(ledger.remove(1).is_empty());
    ledger.connected(true, u16::MAX);
    for ticket in 4..100 {
        ledger.queue(ticket, message(Qos::AtLeastOnce, ticket));
        for (id, _, text) in send_all(&mut ledger) {
            assert!(id != sent[1].0 && text != "1" && text != "3");
            ledger.pub_ack(id, Reason::SUCCESS);
        }
    }
    assert!(ledger.is_idle());
}

/// A broker as the standard has it, as far as publishing to it goes.
#[derive(Default)]
struct Model {
    /// Deliveries of each message.
    got: BTreeMap<String, u32>,
    /// Identifiers of QoS 2 between PUBLISH and PUBREL.
    held: HashSet<u16>,
    /// Answers that are due: (answer, identifier).
    answers: Vec<(u8, u16)>,
    /// Identifiers in flight, for collisions.
    open: HashMap<u16, String>,
}

impl Model {
    fn publish(&mut self, id: u16, dup: bool, qos: Qos, text: String) {
        if let Some(other) = self.open.insert(id, text.clone()) {
            assert!(
                dup && other == text,
                "identifier {id} is in use for {other}"
            );
        }
        if qos == Qos::AtLeastOnce {
            *self.got.entry(text).or_default() += 1;
            self.answers.push((4, id));
        } else {
            if self.held.insert(id) {
                *self.got.entry(text).or_default() += 1;
            }
            self.answers.push((5, id));
        }
    }

    fn lose_connection(&mut self, keep_session: bool) {
        self.answers.clear();
        if !keep_session {
            self.held.clear();
            self.open.clear();
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Send(u8),
    /// The broker's answer at this place (modulo their number) arrives.
    Answer(usize),
    Break {
        session_present: bool,
        receive_maximum: u16,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..6u8).prop_map(Step::Send),
        6 => any::<usize>().prop_map(Step::Answer),
        1 => (any::<bool>(), 1..9u16).prop_map(|(session_present, receive_maximum)| {
            Step::Break { session_present, receive_maximum }
        }),
    ]
}

fn run(ledger: &mut Outgoing, model: &mut Model, step: &Step) -> Vec<u64> {
    match *step {
        Step::Send(count) => {
            for _ in 0..count {
                match ledger.next() {
                    None => break,
                    Some(Transmit::Publish { id, dup, message }) => {
                        let text = String::from_utf8_lossy(&message.payload).into_owned();
                        model.publish(id, dup, message.qos, text);
                    }
                    Some(Transmit::PubRel { id }) => {
                        model.held.remove(&id);
                        model.answers.push((7, id));
                    }
                    Some(Transmit::Fire { .. }) => panic!("QoS 0 was never queued"),
                }
            }
        }
        Step::Answer(place) => {
            if model.answers.is_empty() {
                return Vec::new();
            }
            let (kind, id) = model.answers.remove(place % model.answers.len());
            let acked = match kind {
                4 => ledger.pub_ack(id, Reason::SUCCESS),
                5 => ledger.pub_rec(id, Reason::SUCCESS),
                _ => ledger.pub_comp(id, Reason::SUCCESS),
            };
            if kind != 5 {
                model.open.remove(&id);
            }
            if let Acked::Settled { ticket, .. } = acked {
                return vec![ticket];
            }
            assert_eq!(acked, Acked::Released, "answer {kind} for {id}");
        }
        Step::Break {
            session_present,
            receive_maximum,
        } => {
            model.lose_connection(session_present);
            ledger.connected(session_present, receive_maximum);
        }
    }
    Vec::new()
}

proptest! {
    #[test]
    fn nothing_is_lost_or_settled_twice_whatever_breaks(
        steps in proptest::collection::vec(step(), 1..200),
        count in 1..40u64,
        inflight in 1..9u16,
        twice: bool,
    ) {
        let qos = if twice { Qos::ExactlyOnce } else { Qos::AtLeastOnce };
        let mut ledger = ledger(inflight, qos, count);
        let mut model = Model::default();
        let mut done = BTreeSet::new();
        let mut sessions_lost = 0;
        // After the random part the link holds, so that everything must come to its end.
        let calm = (0..count * 8).flat_map(|_| [Step::Send(5), Step::Answer(0)]);
        for step in steps.into_iter().chain(calm) {
            if let Step::Break { session_present: false, .. } = step {
                sessions_lost += 1;
            }
            for ticket in run(&mut ledger, &mut model, &step) {
                prop_assert!(done.insert(ticket), "{ticket} was settled twice");
            }
            prop_assert!(model.open.len() <= usize::from(inflight));
        }
        prop_assert!(ledger.is_idle());
        prop_assert_eq!(done.len() as u64, count);
        for (text, got) in &model.got {
            // Exactly once as long as the session lives.
            prop_assert!(!twice || *got <= 1 + sessions_lost, "{text} came {got} times");
        }
        prop_assert_eq!(model.got.len() as u64, count);
    }
}
