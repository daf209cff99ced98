//! A broker that hangs up: at the same message each time, which is given up then, or for other reasons, which isn't.

use std::thread;

use tapline_mqtt::{Event, Message, Qos};
use tapline_testkit::scripted::{Peer, Scripted};

use crate::client::{Client, options};

/// Takes messages over as many connections as it needs until `last` has come, but hangs up whenever `bad` comes: what it
/// has taken, and how often it hung up.
fn serve(
    broker: &Scripted,
    session_present: bool,
    [bad, last]: [&str; 2],
    hang_up: impl Fn(Peer),
) -> (Vec<String>, usize) {
    let (mut taken, mut hang_ups) = (Vec::new(), 0);
    loop {
        let mut peer = broker.welcome(session_present && hang_ups > 0, &[]);
        loop {
            let published = peer.expect_publish();
            if published.text() == bad {
                break;
            }
            peer.answer(0x40, published.id, 0);
            taken.push(published.text().to_owned());
            if published.text() == last {
                return (taken, hang_ups);
            }
        }
        hang_up(peer);
        hang_ups += 1;
    }
}

/// The second of three messages is one at which the broker hangs up.
#[track_caller]
fn assert_second_refused(session_present: bool, hang_up: impl Fn(Peer), why: &str) {
    let broker = Scripted::start();
    let client = Client::open(options(&broker));
    for ticket in 0..3 {
        client.publish(ticket, Qos::AtLeastOnce);
    }
    let (taken, hang_ups) = serve(&broker, session_present, ["1", "2"], hang_up);
    assert_eq!(hang_ups, 5);
    assert_eq!(taken, ["0", "2"]);
    assert!(client.settled().outcome.is_ok());
    let second = client.settled();
    assert_eq!(second.ticket, 1);
    let refusal = second.outcome.unwrap_err().to_string();
    assert_eq!(
        refusal,
        format!(
            "the broker hung up 5 times in a row when it had this message ({why}): is it too large, or its topic not allowed?"
        )
    );
    assert!(client.settled().outcome.is_ok());
}

#[test]
fn a_message_at_which_the_broker_hangs_up_each_time_is_refused_and_its_neighbours_are_not() {
    thread::scope(|scope| {
        scope.spawn(|| assert_second_refused(false, drop, "the broker closed the connection"));
        for (code, why) in [
            (0x80, "the broker disconnected: Unspecified error (0x80)"),
            (0x81, "the broker disconnected: Malformed Packet (0x81)"),
            (0x82, "the broker disconnected: Protocol Error (0x82)"),
            (0x95, "the broker disconnected: Packet too large (0x95)"),
        ] {
            let disconnect = move |mut peer: Peer| peer.send(&[0xe0, 1, code]);
            scope.spawn(move || assert_second_refused(true, disconnect, why));
        }
    });
}

#[test]
fn a_message_of_qos_0_for_which_the_broker_hangs_up_does_not_take_those_behind_it_along() {
    for code in [0x81, 0x90] {
        let broker = Scripted::start();
        let client = Client::open(options(&broker));
        client.publish(0, Qos::AtMostOnce);
        let mut peer = broker.welcome(false, &[]);
        peer.expect_publish();
        assert!(client.settled().outcome.is_ok());
        peer.send(&[0xe0, 1, code]);
        drop(peer);
        client.publish(1, Qos::AtLeastOnce);
        let mut peer = broker.welcome(false, &[]);
        let published = peer.expect_publish();
        peer.answer(0x40, published.id, 0);
        assert!(client.settled().outcome.is_ok());
    }
}

#[test]
fn a_birth_message_at_which_the_broker_hangs_up_is_told_and_left_out() {
    let broker = Scripted::start();
    let mut options = options(&broker);
    options.birth = Some(Message {
        topic: "status".into(),
        payload: "online".into(),
        qos: Qos::AtLeastOnce,
        retain: false,
        properties: None,
    });
    let client = Client::open(options);
    client.publish(0, Qos::AtLeastOnce);
    let (taken, hang_ups) = serve(&broker, false, ["online", "0"], drop);
    assert_eq!((taken, hang_ups), (vec!["0".to_owned()], 5));
    let why = client.event(|event| match event {
        Event::BirthRefused(why) => Some(why.to_string()),
        _ => None,
    });
    assert!(why.starts_with("the broker hung up 5 times"), "{why}");
    assert!(client.settled().outcome.is_ok());
}

#[test]
fn a_broker_that_hangs_up_before_it_has_shown_that_it_listens_proves_nothing() {
    let broker = Scripted::start();
    let client = Client::open(options(&broker));
    client.publish(0, Qos::AtLeastOnce);
    for _ in 0..2 {
        let mut peer = broker.welcome(false, &[]);
        peer.expect_publish();
    }
    // Now it is asked first. As many times as would be enough.
    for _ in 0..3 {
        broker.welcome(false, &[]).expect(0xc0);
    }
    let mut peer = broker.welcome(false, &[]);
    let published = peer.expect_publish();
    peer.answer(0x40, published.id, 0);
    assert!(client.settled().outcome.is_ok());
}
