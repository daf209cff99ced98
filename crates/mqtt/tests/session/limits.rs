//! What the broker says of itself in CONNACK (section 3.2.2.3), and that it is heeded.

use std::time::Duration;

use bytes::Bytes;
use tapline_mqtt::{Event, Message, Qos, Subscription};
use tapline_testkit::scripted::{Peer, Scripted};

use crate::client::{Client, connected, options};

/// Nothing is sent but the answers to two messages: whatever else was due would have gone with the first.
#[track_caller]
fn assert_silent(client: &Client, peer: &mut Peer) {
    for id in [1, 2] {
        peer.publish(id, 1, false, b"x");
        client.session.acknowledge(client.receive().token);
        assert_eq!(peer.expect(0x40), id.to_be_bytes());
    }
}

#[test]
fn the_window_is_the_smaller_of_inflight_and_receive_maximum() {
    for (inflight, receive_maximum) in [(2, 5), (5, 2)] {
        let broker = Scripted::start();
        let mut options = options(&broker);
        options.inflight = inflight;
        options.subscriptions = vec![Subscription::new("t", Qos::AtLeastOnce)];
        let client = Client::open(options);
        let mut peer = broker.welcome(false, &[0x21, 0, receive_maximum]);
        peer.subscribed(&[1]);
        for ticket in 0..4 {
            client.publish(ticket, Qos::AtLeastOnce);
        }
        peer.expect_publish();
        let second = peer.expect_publish().id;
        assert_silent(&client, &mut peer);
        peer.answer(0x40, second, 0);
        assert_eq!(peer.expect_publish().text(), "2");
        assert_silent(&client, &mut peer);
    }
}

#[test]
fn a_message_of_qos_2_keeps_its_place_in_the_window_until_pubcomp() {
    let broker = Scripted::start();
    let mut options = options(&broker);
    options.subscriptions = vec![Subscription::new("t", Qos::AtLeastOnce)];
    let client = Client::open(options);
    // Receive Maximum 1.
    let mut peer = broker.welcome(false, &[0x21, 0, 1]);
    peer.subscribed(&[1]);
    for ticket in 0..2 {
        client.publish(ticket, Qos::ExactlyOnce);
    }
    let first = peer.expect_publish().id;
    peer.answer(0x50, first, 0);
    assert_eq!(peer.expect(0x62), first.to_be_bytes());
    assert_silent(&client, &mut peer);
    peer.answer(0x70, first, 0);
    assert_eq!(peer.expect_publish().text(), "1");
}

#[test]
fn what_the_broker_does_not_take_is_refused_here_and_its_neighbours_are_not() {
    let plain = Message {
        topic: "t".into(),
        payload: Bytes::from_static(&[b'x'; 30]),
        qos: Qos::ExactlyOnce,
        retain: true,
        properties: None,
    };
    let fits = Message {
        payload: Bytes::from_static(b"fits"),
        qos: Qos::AtMostOnce,
        retain: false,
        ..plain.clone()
    };
    // Maximum QoS 1, Retain Available 0, Maximum Packet Size 20.
    for (property, why) in [
        (&[0x24, 1][..], "the broker takes no QoS above 1"),
        (&[0x25, 0], "the broker does not take retained messages"),
        (
            &[0x27, 0, 0, 0, 20],
            "a packet of 38 bytes is larger than the 20 that the broker takes",
        ),
    ] {
        let (_broker, client, mut peer) = connected(property);
        client.session.publish(0, plain.clone()).unwrap();
        client.session.publish(1, fits.clone()).unwrap();
        client.session.flush();
        let refused = client.settled();
        assert_eq!(refused.ticket, 0);
        assert_eq!(refused.outcome.unwrap_err().to_string(), why);
        assert_eq!(peer.expect_publish().text(), "fits");
    }
}

#[test]
fn aliases_begin_anew_on_each_connection_also_for_what_is_sent_again() {
    // Topic Alias Maximum 1.
    let (broker, client, mut peer) = connected(&[0x22, 0, 1]);
    for ticket in 0..2 {
        client.publish_to("fleet/a", ticket, Qos::AtLeastOnce);
    }
    let alias = vec![0x23, 0, 1];
    for topic in ["fleet/a", ""] {
        let sent = peer.expect_publish();
        assert_eq!((&*sent.topic, &sent.properties), (topic, &alias));
    }
    drop(peer);
    let mut peer = broker.welcome(true, &[0x22, 0, 1]);
    for topic in ["fleet/a", ""] {
        let sent = peer.expect_publish();
        assert!(sent.dup);
        assert_eq!((&*sent.topic, &sent.properties), (topic, &alias));
    }
    drop(peer);
    // No alias at all.
    let mut peer = broker.welcome(true, &[]);
    for _ in 0..2 {
        let sent = peer.expect_publish();
        assert_eq!((&*sent.topic, &sent.properties), ("fleet/a", &Vec::new()));
        peer.answer(0x40, sent.id, 0);
    }
}

#[test]
fn the_keep_alive_of_the_broker_goes_before_the_own() {
    let broker = Scripted::start();
    let mut options = options(&broker);
    options.keep_alive = Duration::from_hours(1);
    let client = Client::open(options);
    // Server Keep Alive 1 s.
    let mut peer = broker.welcome(false, &[0x13, 0, 1]);
    for _ in 0..2 {
        peer.expect(0xc0);
        peer.send(&[0xd0, 0]);
    }
    assert!(client.session.limits().is_some());
}

#[test]
fn a_session_that_is_to_end_sooner_than_asked_for_is_told() {
    let broker = Scripted::start();
    let mut options = options(&broker);
    options.session_expiry = Some(Duration::from_hours(1));
    options.clean_start = false;
    let client = Client::open(options);
    // Session Expiry Interval 60 s.
    let _peer = broker.welcome(false, &[0x11, 0, 0, 0, 60]);
    let (asked, granted) = client.event(|event| match event {
        Event::ExpiresSooner { asked, granted } => Some((asked, granted)),
        _ => None,
    });
    assert_eq!((asked.as_secs(), granted.as_secs()), (3_600, 60));
}
