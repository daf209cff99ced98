//! Receiving: what is answered, when, in which order, and what happens while nobody takes anything.

use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};

use crate::client::{Client, options};
use tapline_mqtt::{Event, Qos, Session, SessionOptions, Subscription, Token};
use tapline_testkit::LIMIT;
use tapline_testkit::scripted::{Peer, Scripted};

fn subscribing(broker: &Scripted) -> SessionOptions {
    let mut options = options(broker);
    options.subscriptions = vec![Subscription::new("t", Qos::ExactlyOnce)];
    options
}

fn subscribed(broker: &Scripted) -> Peer {
    let mut peer = broker.welcome(false, &[]);
    peer.subscribed(&[2]);
    peer
}

/// A client that has subscribed.
fn tapping() -> (Scripted, Client, Peer) {
    let broker = Scripted::start();
    let client = Client::open(subscribing(&broker));
    let peer = subscribed(&broker);
    (broker, client, peer)
}

#[test]
fn answers_go_out_only_when_the_application_is_done_and_in_the_order_of_receipt() {
    let (_broker, client, mut peer) = tapping();
    peer.publish(11, 1, false, b"a");
    peer.publish(5, 2, false, b"b");
    peer.publish(0, 0, false, b"c");
    peer.publish(8, 1, false, b"d");
    let tokens: Vec<Token> = (0..4).map(|_| client.receive().token).collect();
    client.session.acknowledge(tokens[2]);
    assert_eq!(peer.expect(0x40), [0, 11]);
    assert_eq!(peer.expect(0x50), [0, 5]);
    peer.answer(0x62, 5, 0);
    assert_eq!(peer.expect(0x70), [0, 5]);
    client.session.acknowledge(tokens[3]);
    assert_eq!(peer.expect(0x40), [0, 8]);
}

#[test]
fn an_answer_never_crosses_to_another_connection() {
    let (broker, client, mut peer) = tapping();
    peer.publish(1, 1, false, b"old");
    let old = client.receive().token;
    drop(peer);
    let mut peer = subscribed(&broker);
    client.session.acknowledge(old);
    // The same identifier means another message now.
    peer.publish(1, 1, false, b"new");
    let new = client.receive();
    assert_eq!(&new.payload[..], b"new");
    peer.publish(2, 1, false, b"next");
    let next = client.receive().token;
    client.session.acknowledge(next);
    assert_eq!(peer.expect(0x40), [0, 1]);
    assert_eq!(peer.expect(0x40), [0, 2]);
}

#[test]
fn qos_2_in_a_kept_session_is_delivered_once() {
    let (broker, client, mut peer) = tapping();
    peer.publish(9, 2, false, b"once");
    let token = client.receive().token;
    drop(peer);
    // The broker has kept the session: no second SUBSCRIBE.
    let mut peer = broker.welcome(true, &[]);
    peer.publish(9, 2, true, b"once");
    peer.publish(10, 2, false, b"then");
    assert_eq!(&client.receive().payload[..], b"then");
    client.session.acknowledge(token);
    assert_eq!(peer.expect(0x50), [0, 9]);
}

#[test]
fn a_lost_session_is_subscribed_again() {
    let broker = Scripted::start();
    let client = Client::open(subscribing(&broker));
    drop(subscribed(&broker));
    let mut peer = subscribed(&broker);
    peer.publish(1, 1, false, b"x");
    assert_eq!(&client.receive().payload[..], b"x");
}

#[test]
fn messages_of_a_kept_session_are_taken_and_acknowledged_before_the_suback() {
    let broker = Scripted::start();
    let mut options = subscribing(&broker);
    options.clean_start = false;
    options.session_expiry = Some(LIMIT);
    let client = Client::open(options);
    let mut peer = broker.welcome(true, &[]);
    let subscribe = peer.expect(0x82);
    // A broker whose window is full of unacknowledged messages may keep the SUBACK back.
    peer.publish(1, 1, true, b"kept");
    assert!(matches!(client.session.wait_connected(LIMIT), Some(Ok(()))));
    let kept = client.receive();
    assert_eq!(&kept.payload[..], b"kept");
    client.session.acknowledge(kept.token);
    assert_eq!(peer.expect(0x40), [0, 1]);
    peer.send(&[0x90, 4, subscribe[0], subscribe[1], 0, 2]);
    peer.publish(2, 1, false, b"new");
    assert_eq!(&client.receive().payload[..], b"new");
}

#[test]
fn what_comes_in_one_piece_with_the_connack_is_not_lost() {
    let broker = Scripted::start();
    let mut options = subscribing(&broker);
    options.clean_start = false;
    let client = Client::open(options);
    let mut peer = broker.accept();
    peer.expect(0x10);
    // CONNACK with session present, and a message of the kept session behind it.
    peer.send(&[0x20, 3, 1, 0, 0, 0x30, 5, 0, 1, b't', 0, b'!']);
    assert_eq!(&client.receive().payload[..], b"!");
}

/// Far more than the bounds and the buffers of both systems.
const MOST: usize = 64 << 20;

/// Writes messages until the client reads no more: the buffers of both systems are full.
fn flood(peer: &mut Peer) -> usize {
    let mut packet = vec![0x30, 0x84, 0x80, 0x01, 0, 1, b't', 0];
    packet.resize(4 + 16_388, b'x');
    flood_with(peer, &packet)
}

/// Writes a packet again and again until the client reads no more.
fn flood_with(peer: &mut Peer, packet: &[u8]) -> usize {
    peer.stream
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let mut written = 0;
    loop {
        match peer.stream.write(&packet[written % packet.len()..]) {
            Ok(count) => written += count,
            Err(error) => {
                assert!(matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut
                ));
                return written;
            }
        }
        assert!(written < MOST, "nothing bounds what the client takes");
    }
}

#[test]
fn a_blocked_application_stops_the_reading_and_not_the_keep_alive() {
    let broker = Scripted::start();
    let mut options = subscribing(&broker);
    options.keep_alive = Duration::from_secs(1);
    options.inbox_bytes = 1 << 20;
    let client = Client::open(options);
    let mut peer = subscribed(&broker);
    let written = flood(&mut peer);
    // Blocked for several keep alives, in which PINGREQs come and no answer can be seen.
    for _ in 0..4 {
        peer.expect(0xc0);
    }
    let mut taken = 0;
    let mut deliveries = Vec::new();
    let whole = written / 16_392;
    let deadline = Instant::now() + LIMIT;
    while taken < whole {
        assert!(Instant::now() < deadline, "{taken} of {whole} came");
        deliveries.clear();
        taken += client
            .session
            .receive(Duration::from_secs(1), 100, &mut deliveries)
            .unwrap();
        assert!(
            deliveries
                .iter()
                .all(|delivery| delivery.payload.len() == 16_384)
        );
    }
    // The same connection, all the time.
    assert!(client.session.limits().is_some());
    let again = client.event(|event| match event {
        Event::Connected { again, .. } => Some(again),
        event => panic!("{event:?}"),
    });
    assert!(!again);
}

#[test]
fn properties_reach_the_application() {
    let (_broker, client, mut peer) = tapping();
    // Content Type "j", then the user properties k=1 and k=2.
    let properties = [
        0x03, 0, 1, b'j', 0x26, 0, 1, b'k', 0, 1, b'1', 0x26, 0, 1, b'k', 0, 1, b'2',
    ];
    let mut packet = vec![0x31, 5 + 18, 0, 1, b't', 18];
    packet.extend_from_slice(&properties);
    packet.push(b'v');
    peer.send(&packet);
    let delivery = client.receive();
    assert!(delivery.retain && !delivery.dup);
    let properties = delivery.properties.unwrap();
    assert_eq!(properties.content_type.as_deref(), Some("j"));
    let user: Vec<_> = properties
        .user
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(user, [("k", "1"), ("k", "2")]);
}

#[test]
fn closing_answers_what_was_acknowledged_first() {
    let (_broker, client, mut peer) = tapping();
    peer.publish(1, 1, false, b"x");
    let session: &Session = &client.session;
    session.acknowledge(client.receive().token);
    session.start_close();
    assert_eq!(peer.expect(0x40), [0, 1]);
    peer.expect_disconnect();
}

#[test]
fn user_properties_count_for_what_the_inbox_holds() {
    let (_broker, _client, mut peer) = tapping();
    // Topic t, 2,048 user properties without name and value, no payload: 5 bytes each here, a hundred in memory.
    let mut packet = vec![0x30, 0x85, 0x50, 0, 1, b't', 0x80, 0x50];
    packet.extend([0x26, 0, 0, 0, 0].repeat(2048));
    // 10,000 of them would be a gigabyte.
    let written = flood_with(&mut peer, &packet);
    let messages = written / packet.len();
    assert!(messages < 2_000, "{messages} messages");
}

#[test]
fn a_peer_that_never_reads_its_answers_is_read_no_further() {
    let publish = &[0x3c, 6, 0, 1, b't', 0, 7, 0];
    for packet in [
        // PUBREL and PUBREC of flows that nobody knows.
        &[0x62, 2, 0, 1][..],
        &[0x50, 2, 0, 1],
        // A message of QoS 2, again and again.
        publish,
    ] {
        let (_broker, client, mut peer) = tapping();
        if packet == publish {
            peer.send(publish);
            client.session.acknowledge(client.receive().token);
        }
        flood_with(&mut peer, packet);
    }
}
