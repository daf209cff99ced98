//! A broker that is busy: what it can't take now it gets again, for a time.

use std::collections::VecDeque;
use std::time::Duration;

use tapline_mqtt::{Event, Qos};
use tapline_testkit::scripted::Scripted;

use crate::client::{Client, connected, options};

/// PUBACK or PUBREC, by the quality of service.
fn first_answer(qos: Qos) -> u8 {
    if qos == Qos::AtLeastOnce { 0x40 } else { 0x50 }
}

#[test]
fn what_the_broker_cannot_take_now_is_sent_again_before_what_waits() {
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let broker = Scripted::start();
        let mut options = options(&broker);
        options.inflight = 2;
        let client = Client::open(options);
        let mut peer = broker.welcome(false, &[]);
        for ticket in 0..4 {
            client.publish(ticket, qos);
        }
        // Both that are in flight, the second first: Quota exceeded.
        let ids = [(); 2].map(|()| peer.expect_publish().id);
        for id in [ids[1], ids[0]] {
            peer.answer(first_answer(qos), id, 0x97);
        }
        let mut sent = VecDeque::from([(); 2].map(|()| peer.expect_publish()));
        for text in ["0", "1", "2", "3"] {
            let published = sent.pop_front().unwrap();
            assert_eq!((published.text(), published.dup), (text, false));
            peer.answer(first_answer(qos), published.id, 0);
            if qos == Qos::ExactlyOnce {
                peer.expect(0x62);
                peer.answer(0x70, published.id, 0);
            }
            if text < "2" {
                sent.push_back(peer.expect_publish());
            }
        }
        let mut tickets = [(); 4].map(|()| {
            let settled = client.settled();
            assert!(settled.outcome.is_ok(), "{settled:?}");
            settled.ticket
        });
        tickets.sort_unstable();
        assert_eq!(tickets, [0, 1, 2, 3]);
    }
}

#[test]
fn a_message_is_refused_when_the_broker_is_busy_for_too_long_and_those_behind_it_go_on() {
    let broker = Scripted::start();
    let mut options = options(&broker);
    options.busy_timeout = Duration::from_millis(300);
    options.inflight = 1;
    let client = Client::open(options);
    let mut peer = broker.welcome(false, &[]);
    client.publish(0, Qos::AtLeastOnce);
    client.publish(1, Qos::AtLeastOnce);
    let mut times = 0;
    let next = loop {
        let published = peer.expect_publish();
        if published.text() == "1" {
            break published.id;
        }
        peer.answer(0x40, published.id, 0x97);
        times += 1;
    };
    assert!(times > 1);
    assert_eq!(
        client.settled().outcome.unwrap_err().to_string(),
        "the broker refused the message: Quota exceeded (0x97)"
    );
    peer.answer(0x40, next, 0);
    assert!(client.settled().outcome.is_ok());
}

#[test]
fn what_was_put_off_outlives_the_connection() {
    let (broker, client, mut peer) = connected(&[]);
    client.publish(0, Qos::AtLeastOnce);
    let id = peer.expect_publish().id;
    peer.answer(0x40, id, 0x97);
    drop(peer);
    let mut peer = broker.welcome(true, &[]);
    let published = peer.expect_publish();
    assert_eq!(published.text(), "0");
    peer.answer(0x40, published.id, 0);
    assert!(client.settled().outcome.is_ok());
}

#[test]
fn what_was_put_off_is_settled_when_the_session_is_given_up() {
    let (_broker, client, mut peer) = connected(&[]);
    for ticket in 0..2 {
        client.publish(ticket, Qos::AtLeastOnce);
    }
    for reason in [0x97, 0] {
        let id = peer.expect_publish().id;
        peer.answer(0x40, id, reason);
    }
    let settled = client.settled();
    assert_eq!((settled.ticket, settled.outcome.is_ok()), (1, true));
    client.session.abandon();
    let settled = client.settled();
    assert_eq!((settled.ticket, settled.outcome.is_err()), (0, true));
}

#[test]
fn a_broker_that_is_busy_at_the_first_attempt_is_asked_again() {
    for reason in [0x88, 0x89, 0x97] {
        let broker = Scripted::start();
        let client = Client::open(options(&broker));
        let mut peer = broker.accept();
        peer.expect(0x10);
        peer.connack(false, reason, &[]);
        let _peer = broker.welcome(false, &[]);
        client.event(|event| match event {
            Event::Connected { .. } => Some(()),
            Event::Failed(error) => panic!("{error}"),
            _ => None,
        });
    }
}
