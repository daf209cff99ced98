//! Clients that fail, against a broker that follows a script.

use std::io;

use bytes::Bytes;
use clap::Parser;
use tapline_mqtt::Qos;
use tapline_pipe::console::{Console, Level};
use tapline_testkit::scripted::{Peer, Scripted};
use tapline_testkit::{LIMIT, wait_until};

use super::*;
use crate::args::Args;

/// A fleet with a client for each value of `g`.
fn fleet(broker: &Scripted, arguments: &[&str]) -> Clients {
    let url = format!("{}/t", broker.url());
    let fixed = ["mqtt-pub", &url, "--client-per", "g"];
    let args = Args::parse_from([&fixed, arguments].concat());
    let console = Console::new("mqtt-pub", Level::Quiet, io::sink(), false);
    crate::run::clients(&args, &url.parse().unwrap(), &console).unwrap()
}

fn record(device: &str) -> String {
    format!("{{\"g\":\"{device}\"}}")
}

/// Opens the client of a device that the broker answers with `code`.
fn open(clients: &mut Clients, broker: &Scripted, device: &str, code: u8) -> (usize, Peer) {
    let place = clients
        .place(&Variables::plain(record(device).as_bytes()))
        .unwrap();
    let mut peer = broker.accept();
    peer.expect_connect();
    peer.connack(false, code, &[]);
    let first = clients.wait_first(LIMIT).unwrap();
    assert!(first.is_some());
    (place, peer)
}

fn wait_for_end(clients: &Clients, place: usize) -> Arc<SessionError> {
    let session = &clients.all[place].session;
    wait_until(LIMIT, "the session has failed", || {
        session.failure().is_some()
    });
    session.failure().unwrap()
}

/// Why the client at this place takes no message.
fn rejection(clients: &mut Clients, place: usize) -> Rejection {
    let message = Message {
        topic: "t".into(),
        payload: Bytes::new(),
        qos: Qos::AtLeastOnce,
        retain: false,
        properties: None,
    };
    match clients.publish(place, 0, message) {
        Err(Unsent::Other(SendError::Reject(rejection))) => rejection,
        other => panic!("it was not rejected: {other:?}"),
    }
}

#[test]
fn a_client_that_was_let_in_before_is_not_said_to_be_refused_for_good() {
    let broker = Scripted::start();
    let mut clients = fleet(&broker, &[]);
    let (a, mut peer) = open(&mut clients, &broker, "a", 0);
    // Not authorized: it is not tried again at once.
    peer.send(&[0xe0, 1, 0x87]);
    wait_for_end(&clients, a);
    assert_eq!(rejection(&mut clients, a).reason, Reason::NotDelivered);
    clients.all[a].failure.as_mut().unwrap().until = Some(Instant::now());
    let (again, _peer) = open(&mut clients, &broker, "a", 0x87);
    assert_eq!(again, a);
    let error = wait_for_end(&clients, a);
    assert!(matches!(*error, SessionError::Reconnect(_)), "{error:?}");
    assert_eq!(rejection(&mut clients, a).reason, Reason::NotDelivered);
}

#[test]
fn a_client_that_was_never_let_in_is_refused() {
    let broker = Scripted::start();
    let mut clients = fleet(&broker, &[]);
    let (_, _a) = open(&mut clients, &broker, "a", 0);
    for _ in 0..2 {
        let (b, _peer) = open(&mut clients, &broker, "b", 0x87);
        wait_for_end(&clients, b);
        assert_eq!(rejection(&mut clients, b).reason, Reason::Refused);
        clients.all[b].failure.as_mut().unwrap().until = Some(Instant::now());
    }
}

#[test]
fn clients_that_were_never_let_in_give_their_places_up_to_others() {
    let broker = Scripted::start();
    let mut clients = fleet(&broker, &["--max-clients", "2"]);
    let (a, _a) = open(&mut clients, &broker, "a", 0);
    for made_up in ["x", "y", "z"] {
        let (place, _peer) = open(&mut clients, &broker, made_up, 0x87);
        wait_for_end(&clients, place);
        clients.notice_failures();
        assert_eq!(place, 1);
    }
    let (b, mut peer) = open(&mut clients, &broker, "b", 0);
    assert_ne!(a, b);
    assert_eq!(clients.places.len(), 2, "of the others nothing is kept");
    let assert_full = |clients: &mut Clients| {
        let why = clients
            .place(&Variables::plain(record("c").as_bytes()))
            .unwrap_err()
            .detail;
        assert!(why.contains("2 clients are the most"), "{why}");
    };
    assert_full(&mut clients);
    // Taken over: it has failed for good, and is one of the broker's devices.
    peer.send(&[0xe0, 1, 0x8e]);
    wait_for_end(&clients, b);
    clients.notice_failures();
    assert_full(&mut clients);
}
