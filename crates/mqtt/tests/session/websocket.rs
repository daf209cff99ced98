//! MQTT over a WebSocket whose other side sends frames as no sane broker does.

use tapline_mqtt::{Event, Qos, Scheme, SessionOptions, Subscription};
use tapline_testkit::scripted::{Peer, Scripted};

use crate::client::{Client, options};

fn subscribing(broker: &Scripted) -> SessionOptions {
    let mut options = options(broker);
    options.broker.scheme = Scheme::Ws;
    options.subscriptions = vec![Subscription::new("t", Qos::ExactlyOnce)];
    options
}

/// A client that has subscribed.
fn tapping() -> (Scripted, Client, Peer) {
    let broker = Scripted::start();
    let client = Client::open(subscribing(&broker));
    let mut peer = broker.accept_websocket();
    peer.read_frame();
    // CONNACK.
    peer.send_frame(BINARY, &[0x20, 3, 0, 0, 0]);
    let subscribe = peer.read_frame();
    assert_eq!(subscribe[0], 0x82);
    // SUBACK.
    peer.send_frame(BINARY, &[0x90, 4, subscribe[2], subscribe[3], 0, 2]);
    client.event(|event| matches!(event, Event::Connected { .. }).then_some(()));
    (broker, client, peer)
}

/// First bytes of a frame (RFC 6455, section 5.2), the last of its message or not.
const BINARY: u8 = 0x82;
const TEXT: u8 = 0x81;
const PING: u8 = 0x89;
const FIRST: u8 = 0x02;
const NEXT: u8 = 0x00;
const LAST: u8 = 0x80;

/// A PUBLISH of QoS 0 to `t`, with `!`.
const PUBLISH: [u8; 7] = [0x30, 5, 0, 1, b't', 0, b'!'];

#[track_caller]
fn assert_goes_on(client: &Client, peer: &mut Peer) {
    peer.send_frame(BINARY, &PUBLISH);
    assert_eq!(&client.receive().payload[..], b"!");
}

#[test]
fn any_number_of_frames_that_bring_nothing_is_passed_over() {
    let (_broker, client, mut peer) = tapping();
    for frame in [[BINARY, 0], [PING, 0], [0x8a, 0]] {
        peer.send(&frame.repeat(100_000));
        assert_goes_on(&client, &mut peer);
    }
    peer.send_frame(FIRST, &[]);
    peer.send(&[NEXT, 0].repeat(100_000));
    peer.send_frame(LAST, &PUBLISH);
    assert_eq!(&client.receive().payload[..], b"!");
}

#[test]
fn a_packet_may_come_in_messages_and_fragments_of_a_byte() {
    let (_broker, client, mut peer) = tapping();
    for byte in PUBLISH {
        peer.send_frame(BINARY, &[byte]);
    }
    assert_eq!(&client.receive().payload[..], b"!");
    peer.send_frame(FIRST, &PUBLISH[..1]);
    for byte in &PUBLISH[1..] {
        peer.send_frame(NEXT, &[*byte]);
    }
    peer.send_frame(LAST, &PUBLISH);
    for _ in 0..2 {
        assert_eq!(&client.receive().payload[..], b"!");
    }
}

#[test]
fn a_message_may_hold_many_packets_and_more_than_is_read_at_a_time() {
    let (_broker, client, mut peer) = tapping();
    // 35,000 bytes.
    peer.send(&[&[BINARY, 126, 0x88, 0xb8][..], &PUBLISH.repeat(5_000)].concat());
    for _ in 0..5_000 {
        assert_eq!(&client.receive().payload[..], b"!");
    }
}

#[test]
fn a_frame_that_says_it_is_huge_and_one_of_text_end_the_connection() {
    for (frame, why) in [
        // 2^40 bytes.
        (&[BINARY, 127, 0, 0, 1, 0, 0, 0, 0, 0][..], "WebSocket: "),
        (
            &[TEXT, 1, b'x'],
            "the broker sent a WebSocket message of text",
        ),
    ] {
        let (_broker, client, mut peer) = tapping();
        peer.send(frame);
        let lost = client.event(|event| match event {
            Event::Lost { why, .. } => Some(why),
            _ => None,
        });
        assert!(lost.starts_with(why), "{lost}");
    }
}

#[test]
fn a_peer_that_never_reads_its_pongs_keeps_what_is_published() {
    let (_broker, client, mut peer) = tapping();
    // Their pongs fill the buffers of both systems, and what is left of them waits.
    let ping = [&[PING, 125][..], &[0; 125]].concat();
    peer.send(&ping.repeat(100_000));
    client.publish(0, Qos::AtLeastOnce);
    assert_goes_on(&client, &mut peer);
    loop {
        let frame = peer.read_frame();
        if frame.first() == Some(&0x32) {
            let id = &frame[5..7];
            peer.send_frame(BINARY, &[0x40, 2, id[0], id[1]]);
            break;
        }
    }
    assert!(client.settled().outcome.is_ok());
}
