//! Memory that the other side would like to decide: floods of what costs it little.

use std::fs::File;
use std::io::{ErrorKind, Write, pipe};
use std::os::fd::OwnedFd;
use std::time::Duration;

use tapline_testkit::scripted::{Peer, Scripted};
use tapline_testkit::{Run, Running, Signal};

/// The most that a tool may hold; each flood is several times as much.
const MEMORY: u64 = 64_000_000;

/// How much a flood is, if it is read.
const FLOOD: usize = 96 << 20;

/// A tap of `t` at QoS 2, whose output nobody reads.
fn blocked_tap(address: &str) -> (Running, std::io::PipeReader) {
    let (reader, writer) = pipe().expect("a pipe");
    let running = Run::tool("topic-tap")
        .args([address, "--qos", "2"])
        .stdout_to(File::from(OwnedFd::from(writer)))
        .start();
    (running, reader)
}

/// Writes pieces again and again until all is written, or nobody reads on.
fn flood(peer: &mut Peer, piece: &[u8]) {
    let piece = piece.repeat((1 << 16) / piece.len() + 1);
    peer.stream
        .set_write_timeout(Some(Duration::from_secs(1)))
        .expect("a socket");
    for _ in 0..FLOOD / piece.len() {
        match peer.stream.write_all(&piece) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return;
            }
            Err(error) => panic!("the tap hung up: {error}"),
        }
    }
}

/// A tap that is flooded over MQTT holds what is stated and no more.
#[track_caller]
fn assert_bounded(piece: &[u8]) {
    let broker = Scripted::start();
    let (running, _reader) = blocked_tap(&format!("{}/t", broker.url()));
    let mut peer = broker.welcome(false, &[]);
    peer.subscribed(&[2]);
    flood(&mut peer, piece);
    assert_peak(running);
}

#[track_caller]
fn assert_peak(mut running: Running) {
    let peak = running.peak_memory().expect("Linux says it");
    assert!(peak < MEMORY, "{peak} bytes");
    for _ in 0..2 {
        running.signal(Signal::TERM);
    }
    drop(running);
}

#[test]
fn messages_made_of_user_properties_do_not_fill_a_blocked_tap() {
    // 2,048 user properties without name and value, 5 bytes each here.
    let mut packet = vec![0x30, 0x85, 0x50, 0, 1, b't', 0x80, 0x50];
    packet.extend([0x26, 0, 0, 0, 0].repeat(2048));
    assert_bounded(&packet);
}

#[test]
fn small_messages_between_large_packets_do_not_keep_those_in_a_blocked_tap() {
    // A message of QoS 2 that came before, with a large payload, then a message of a byte.
    let mut packets = vec![0x3c, 0x85, 0x80, 0x01, 0, 1, b't', 0, 7, 0];
    packets.resize(4 + 16_389, b'x');
    packets.extend([0x30, 5, 0, 1, b't', 0, b'!']);
    assert_bounded(&packets);
}

#[test]
fn a_broker_that_reads_no_answers_does_not_fill_a_tap_with_them() {
    // PUBREL and PUBREC of flows that nobody knows, and one message of QoS 2, again and again.
    assert_bounded(&[0x62, 2, 0, 1]);
    assert_bounded(&[0x50, 2, 0, 1]);
    assert_bounded(&[0x3c, 6, 0, 1, b't', 0, 7, 0]);
}

#[test]
fn a_websocket_of_pings_does_not_fill_a_tap_with_pongs() {
    let broker = Scripted::start();
    let address = broker.url().replace("mqtt://", "ws://");
    let (running, _reader) = blocked_tap(&format!("{address}/t"));
    let mut peer = broker.accept_websocket();
    peer.read_frame();
    peer.send_frame(0x82, &[0x20, 3, 0, 0, 0]);
    let subscribe = peer.read_frame();
    peer.send_frame(0x82, &[0x90, 4, subscribe[2], subscribe[3], 0, 2]);
    flood(&mut peer, &[&[0x89, 125][..], &[0; 125]].concat());
    assert_peak(running);
}
