//! The way to a session, and all that can be in the way.

use std::io::Read;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::client::{Client, asking, connected, options};
use tapline_mqtt::{Event, Qos, SessionOptions, Subscription, Tls, TlsFiles, Version};
use tapline_testkit::LIMIT;
use tapline_testkit::scripted::Scripted;

#[test]
fn nobody_listens() {
    // A port that was free a moment ago, and that the system does not give out again so soon.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut options = options(&Scripted::start());
    options.broker.port = port;
    let failure = Client::open(options).failure();
    assert_eq!(failure, "connection refused");
}

#[test]
fn the_host_is_unknown() {
    let mut options = options(&Scripted::start());
    options.broker.host = "no-such-host.invalid".to_owned();
    let failure = Client::open(options).failure();
    assert!(failure.starts_with("the host is not known: "), "{failure}");
}

#[test]
fn the_peer_is_silent() {
    let broker = Scripted::start();
    let mut options = options(&broker);
    options.connect_timeout = Duration::from_millis(300);
    let started = Instant::now();
    let client = Client::open(options);
    let _peer = broker.accept();
    let failure = client.failure();
    assert_eq!(failure, "no CONNACK (is it an MQTT broker?) within 300ms");
    assert!(started.elapsed() < LIMIT);
}

#[test]
fn the_peer_speaks_http() {
    let (_broker, client, mut peer) = asking();
    peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    assert_eq!(
        client.failure(),
        "not an MQTT broker: it answered \"HTTP/1.1 400 Bad Request\""
    );
}

#[test]
fn the_peer_hangs_up() {
    let (_broker, client, peer) = asking();
    drop(peer);
    assert!(client.failure().contains("without a CONNACK"));
}

#[test]
fn a_broker_of_3_1_1_alone_is_named_as_such() {
    let (_broker, client, mut peer) = asking();
    peer.send(&[0x20, 2, 0, 1]);
    assert!(client.failure().contains("does not speak MQTT 5"));
}

#[test]
fn return_codes_of_3_1_1_are_named() {
    let broker = Scripted::start();
    let mut options = options(&broker);
    options.version = Version::V311;
    let client = Client::open(options);
    let mut peer = broker.accept();
    let connect = peer.expect(0x10);
    assert_eq!(connect[..8], [0, 4, b'M', b'Q', b'T', b'T', 4, 2]);
    peer.send(&[0x20, 2, 0, 4]);
    assert_eq!(
        client.failure(),
        "the broker refused the connection: Bad User Name or Password (0x86)"
    );
}

/// Of a session over TLS that offers these protocols.
fn secured(broker: &Scripted, protocols: &[&str]) -> SessionOptions {
    let authority = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(authority.path(), include_str!("ca.pem")).unwrap();
    let files = TlsFiles {
        ca: Some(authority.path().to_owned()),
        ..TlsFiles::default()
    };
    let protocols: Vec<_> = protocols.iter().map(ToString::to_string).collect();
    let mut options = options(broker);
    options.broker.scheme = tapline_mqtt::Scheme::Mqtts;
    options.tls = Some(Tls::load(&files, &protocols).unwrap());
    options
}

#[test]
fn the_client_hello_offers_the_protocols_that_were_asked_for_in_their_order() {
    // The extension (RFC 7301, section 3.1): its type 16, its length, that of the list, and each name behind its length.
    for (protocols, extension) in [
        (
            &["mqtt", "x-amzn-mqtt-ca"][..],
            &b"\0\x10\0\x16\0\x14\x04mqtt\x0ex-amzn-mqtt-ca"[..],
        ),
        (&["mqtt"], b"\0\x10\0\x07\0\x05\x04mqtt"),
    ] {
        let broker = Scripted::start();
        let _client = Client::open(secured(&broker, protocols));
        let mut peer = broker.accept();
        // A handshake, version 3.1 and length in front.
        let mut header = [0; 5];
        peer.stream.read_exact(&mut header).unwrap();
        assert_eq!(header[0], 0x16);
        let mut hello = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
        peer.stream.read_exact(&mut hello).unwrap();
        let mut parts = hello.windows(extension.len());
        assert!(
            parts.any(|part| part == extension),
            "{protocols:?}: {hello:?}"
        );
    }
}

#[test]
fn tls_to_a_peer_without_it_is_told() {
    let broker = Scripted::start();
    let client = Client::open(secured(&broker, &[]));
    let mut peer = broker.accept();
    peer.send(b"220 mail ready\r\n");
    assert_eq!(client.failure(), "TLS: the peer does not speak TLS");
}

#[test]
fn files_for_tls_that_are_none_are_named() {
    let empty = tempfile::NamedTempFile::new().unwrap();
    let files = |ca: &std::path::Path| TlsFiles {
        ca: Some(ca.to_owned()),
        ..TlsFiles::default()
    };
    let error = Tls::load(&files(empty.path()), &[])
        .err()
        .unwrap()
        .to_string();
    assert!(error.ends_with("no certificate in PEM form"), "{error}");
    let error = Tls::load(&files("/no/such".as_ref()), &[])
        .err()
        .unwrap()
        .to_string();
    assert!(error.starts_with("/no/such: "), "{error}");
}

#[test]
fn a_refused_subscription_ends_the_session() {
    let broker = Scripted::start();
    let mut options = options(&broker);
    options.subscriptions = vec![
        Subscription::new("a", Qos::AtLeastOnce),
        Subscription::new("b/#", Qos::AtLeastOnce),
    ];
    let client = Client::open(options);
    broker.welcome(false, &[]).subscribed(&[1, 0x87]);
    assert_eq!(
        client.failure(),
        "the broker refused the subscription to b/#: Not authorized (0x87)"
    );
}

#[test]
fn a_lower_qos_than_asked_for_is_told() {
    let broker = Scripted::start();
    let mut options = options(&broker);
    options.subscriptions = vec![Subscription::new("a", Qos::ExactlyOnce)];
    let client = Client::open(options);
    broker.welcome(false, &[]).subscribed(&[1]);
    let (filter, granted) = client.event(|event| match event {
        Event::Downgraded {
            filter, granted, ..
        } => Some((filter, granted)),
        _ => None,
    });
    assert_eq!((filter.as_str(), granted), ("a", Qos::AtLeastOnce));
    assert!(client.session.wait_connected(LIMIT).unwrap().is_ok());
}

#[test]
fn closing_says_disconnect_and_leaves_no_session_behind() {
    let (_broker, client, mut peer) = connected(&[]);
    assert!(client.session.wait_connected(LIMIT).unwrap().is_ok());
    client.session.start_close();
    // Session Expiry Interval 0.
    assert_eq!(peer.expect_disconnect(), [0, 5, 0x11, 0, 0, 0, 0]);
    drop(peer);
    assert!(client.session.close(LIMIT));
}

#[test]
fn dropping_a_session_says_nothing_so_that_the_will_is_published() {
    let (_broker, client, mut peer) = connected(&[]);
    assert!(client.session.wait_connected(LIMIT).unwrap().is_ok());
    drop(client);
    assert_eq!(peer.read(), None);
}

#[test]
fn a_takeover_is_seen_also_while_the_connection_is_full() {
    let (_broker, client, mut peer) = connected(&[]);
    let message = tapline_mqtt::Message {
        topic: "t".into(),
        payload: vec![0; 8 << 20].into(),
        qos: Qos::AtLeastOnce,
        retain: false,
        properties: None,
    };
    client.session.publish(0, message).unwrap();
    client.session.flush();
    let mut byte = [0];
    std::io::Read::read_exact(&mut peer.stream, &mut byte).unwrap();
    peer.send(&[0xe0, 1, 0x8e]);
    // With unread input: a reset, which the client may meet in writing first.
    drop(peer);
    assert!(client.failure().starts_with("another client took over"));
}

#[test]
fn connections_that_end_soon_each_time_make_one_think_of_another_client() {
    let broker = Scripted::start();
    let client = Client::open(options(&broker));
    let lost = || {
        drop(broker.welcome(false, &[]));
        client.event(|event| match event {
            Event::Lost { why, repeated, .. } => Some((why, repeated)),
            _ => None,
        })
    };
    assert_eq!(
        lost(),
        ("the broker closed the connection".to_owned(), false)
    );
    lost();
    // On a machine that is slow enough the third did not end soon.
    let hint = "times in a row soon after it began: is another client using client ID 'test'?";
    while !matches!(lost(), (why, true) if why.ends_with(hint)) {}
}

#[test]
fn two_that_take_the_session_from_each_other_wait_longer_each_time() {
    let broker = Scripted::start();
    let mut options = options(&broker);
    options.version = Version::V311;
    options.subscriptions = vec![Subscription::new("a", Qos::AtLeastOnce)];
    let client = Client::open(options);
    for step in [200, 400, 800, 1600] {
        let mut peer = broker.accept();
        peer.expect(0x10);
        peer.send(&[0x20, 2, 0, 0]);
        let body = peer.expect(0x82);
        peer.send(&[0x90, 3, body[0], body[1], 1]);
        client.event(|event| matches!(event, Event::Connected { .. }).then_some(()));
        drop(peer);
        let step = Duration::from_millis(step);
        let wait = client.event(|event| match event {
            Event::Lost { retry_in, .. } => Some(retry_in),
            _ => None,
        });
        assert!(wait >= step / 2 && wait <= step, "{wait:?} of {step:?}");
    }
}

#[test]
fn a_suback_without_a_code_for_each_subscription_is_an_error() {
    for codes in [&[][..], &[1], &[1, 1, 1]] {
        let broker = Scripted::start();
        let mut options = options(&broker);
        options.subscriptions = ["a", "b"]
            .map(|filter| Subscription::new(filter, Qos::AtLeastOnce))
            .to_vec();
        let client = Client::open(options);
        broker.welcome(false, &[]).subscribed(codes);
        let failure = client.failure();
        let answered = codes.len();
        assert_eq!(
            failure,
            format!("the broker answered 2 subscriptions with {answered} reason codes")
        );
    }
}

#[test]
fn a_suback_with_a_code_that_grants_nothing_is_a_refusal() {
    let broker = Scripted::start();
    let mut options = options(&broker);
    options.subscriptions = vec![Subscription::new("a", Qos::AtLeastOnce)];
    let client = Client::open(options);
    broker.welcome(false, &[]).subscribed(&[3]);
    let failure = client.failure();
    assert!(
        failure.contains("refused the subscription to a"),
        "{failure}"
    );
}

#[test]
fn a_session_that_is_resumed_where_an_empty_one_was_asked_for_is_an_error() {
    let (_broker, client, mut peer) = asking();
    peer.connack(true, 0, &[]);
    assert_eq!(
        client.failure(),
        "the broker resumed an old session, and an empty one was asked for"
    );
}

#[test]
fn a_connection_that_is_lost_at_the_subscribe_is_told_as_that() {
    let broker = Scripted::start();
    let mut options = options(&broker);
    options.subscriptions = vec![Subscription::new("$SYS/#", Qos::AtLeastOnce)];
    let client = Client::open(options);
    let mut peer = broker.welcome(false, &[]);
    peer.expect(0x82);
    drop(peer);
    let failure = client.failure();
    assert!(
        failure.starts_with("connection lost after the SUBSCRIBE, before the SUBACK: "),
        "{failure}"
    );
}

#[test]
fn silence_is_found_by_keep_alive_and_the_connection_replaced() {
    let broker = Scripted::start();
    let mut options = options(&broker);
    options.keep_alive = Duration::from_secs(1);
    let client = Client::open(options);
    let mut peer = broker.welcome(false, &[]);
    peer.expect(0xc0);
    // No answer to it: half-open for all the client can tell.
    let why = client.event(|event| match event {
        Event::Lost { why, .. } => Some(why),
        _ => None,
    });
    assert_eq!(why, "no answer to PINGREQ within 1s");
    let _second = broker.welcome(false, &[]);
    // The event of the first connection went by in the wait for the loss.
    assert!(client.event(|event| match event {
        Event::Connected { again, .. } => Some(again),
        _ => None,
    }));
}

#[test]
fn attempts_come_at_growing_intervals_and_within_a_second_where_messages_get_through() {
    let (broker, client, peer) = connected(&[]);
    let assert_wait_of = |step| {
        let step = Duration::from_millis(step);
        let wait = client.event(|event| match event {
            Event::Lost { retry_in, .. } => Some(retry_in),
            _ => None,
        });
        assert!(wait >= step / 2 && wait <= step, "{wait:?} of {step:?}");
    };
    drop(peer);
    for step in [200, 400, 800] {
        assert_wait_of(step);
        drop(broker.accept());
    }
    assert_wait_of(1600);
    client.publish(0, Qos::AtLeastOnce);
    let mut peer = broker.welcome(false, &[]);
    let id = peer.expect_publish().id;
    peer.answer(0x40, id, 0);
    assert!(client.settled().outcome.is_ok());
    drop(peer);
    assert_wait_of(1000);
}

#[test]
fn a_patient_session_tries_again_until_the_broker_is_there_or_says_no() {
    let broker = Scripted::start();
    let mut options = options(&broker);
    options.patient = true;
    let client = Client::open(options);
    drop(broker.accept());
    client.event(|event| matches!(event, Event::Lost { .. }).then_some(()));
    let mut peer = broker.accept();
    peer.expect(0x10);
    peer.connack(false, 0x87, &[]);
    assert!(client.failure().ends_with("Not authorized (0x87)"));
}

#[test]
fn hanging_up_gives_up_what_is_under_way_and_says_no_disconnect() {
    let (_broker, client, mut peer) = connected(&[]);
    client.publish(0, Qos::AtLeastOnce);
    peer.expect_publish();
    client.session.hang_up();
    assert_eq!(peer.read(), None);
    assert!(client.settled().outcome.is_err());
    assert!(client.session.close(LIMIT), "it is over already");
}

#[test]
fn a_kept_session_that_is_to_begin_empty_takes_two_connections() {
    for (version, connack) in [
        (Version::V5, &[0x20, 3, 0, 0, 0][..]),
        (Version::V311, &[0x20, 2, 0, 0]),
    ] {
        let broker = Scripted::start();
        let mut options = options(&broker);
        options.version = version;
        options.session_expiry = Some(Duration::from_hours(1));
        let client = Client::open(options);
        // Clean Start, or Clean Session, which also ends the session with the connection, is bit 1 of the flags.
        let mut clearing = broker.accept();
        assert_eq!(clearing.expect(0x10)[7] & 2, 2);
        clearing.send(connack);
        clearing.expect_disconnect();
        drop(clearing);
        for present in [0, 1] {
            let mut peer = broker.accept();
            assert_eq!(peer.expect(0x10)[7] & 2, 0);
            let mut connack = connack.to_vec();
            connack[2] = present;
            peer.send(&connack);
            client.event(|event| matches!(event, Event::Connected { .. }).then_some(()));
        }
    }
}
