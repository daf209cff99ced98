//! The session: how it begins, what happens when the broker goes away, and how it ends.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::thread;

use tapline_testkit::scripted::{Peer, Scripted};
use tapline_testkit::{Running, Signal};

use super::{address, payloads, serve, tool, wait_published};

/// The tool at work: a first record is delivered.
fn start(arguments: &[&str]) -> (Scripted, Running, Peer) {
    let broker = Scripted::start();
    let address = address(&broker, "t");
    let running = tool(&[&[address.as_str(), "--tee"], arguments].concat()).start();
    let (running, peer) = wait_published(running, &broker);
    (broker, running, peer)
}

#[test]
fn credentials_and_the_will_reach_the_broker() {
    let broker = Scripted::start();
    let address = address(&broker, "t");
    let serving = thread::spawn(move || {
        let mut peer = broker.accept();
        let connect = peer.expect(0x10);
        peer.connack(false, 0, &[]);
        peer.expect_disconnect();
        connect
    });
    let arguments = [
        &address,
        "--username",
        "me",
        "--will-topic",
        "gone",
        "--will-payload",
        "bye",
        "--will-qos",
        "1",
        "--will-retain",
        "--client-id",
        "pump-7",
        "--keep-alive",
        "30s",
    ];
    let finished = tool(&arguments).env("MQTT_PASSWORD", "hunter2").finish();
    finished.assert_code(0);
    let connect = serving.join().unwrap();
    // User name, password, will retain, will QoS 1, will, clean start.
    assert_eq!(connect[7], 0b1110_1110);
    assert_eq!(connect[8..10], [0, 30]);
    let text = String::from_utf8_lossy(&connect);
    for part in ["pump-7", "gone", "bye", "me", "hunter2"] {
        assert!(text.contains(part), "{part} is not in the CONNECT");
    }
}

#[test]
fn one_reading_at_a_time_is_sent_at_once_and_teed_when_it_is_acknowledged() {
    let (_broker, mut running, mut peer) = start(&[]);
    running.write("2\n");
    serve(&mut peer, 1, |_| 0);
    running.wait_for_lines(2);
    running.close_stdin();
    peer.expect_disconnect();
    running.wait().assert_code(0);
}

#[test]
fn sigterm_delivers_what_was_read_and_says_disconnect() {
    let (_broker, mut running, mut peer) = start(&[]);
    running.write("2\n");
    let last = peer.expect_publish();
    running.signal(Signal::TERM);
    running.wait_for_stderr("1 in flight");
    peer.answer(0x40, last.id, 0);
    peer.expect_disconnect();
    running
        .wait()
        .assert_code(143)
        .assert_stderr("2 read, 2 delivered, 0 rejected");
}

#[test]
fn a_drain_that_takes_too_long_says_what_is_left() {
    let (_broker, mut running, mut peer) = start(&["--drain-timeout", "100ms"]);
    running.write("2\n");
    peer.expect_publish();
    running.signal(Signal::INT);
    peer.expect_disconnect();
    running
        .wait()
        .assert_code(130)
        .assert_stderr("2 read, 1 delivered, 1 rejected");
}

#[test]
fn sigkill_says_nothing_so_that_the_will_is_published() {
    let (_broker, mut running, mut peer) = start(&["--will-topic", "gone"]);
    running.signal(Signal::KILL);
    assert_eq!(peer.read(), None);
    assert_eq!(running.wait().signal, Some(9));
}

#[test]
fn a_broker_that_goes_away_is_waited_for_and_nothing_is_lost() {
    let (broker, mut running, mut peer) = start(&[]);
    running.write("2\n3\n");
    peer.expect_publish();
    drop(peer);
    running.wait_for_stderr("trying again");
    running.write("4\n");
    running.close_stdin();
    let mut peer = broker.welcome(false, &[]);
    let messages = serve(&mut peer, 3, |_| 0);
    assert_eq!(payloads(&messages), [b"2", b"3", b"4"]);
    peer.expect_disconnect();
    running
        .wait()
        .assert_code(0)
        .assert_stderr("connected again")
        .assert_stderr("4 read, 4 delivered, 0 rejected");
}

#[test]
fn a_takeover_ends_with_2_and_what_was_in_flight_is_rejected() {
    let (_broker, mut running, mut peer) = start(&["--client-id", "me"]);
    running.write("2\n");
    peer.expect_publish();
    peer.send(&[0xe0, 1, 0x8e]);
    running
        .wait()
        .assert_code(2)
        .assert_stderr("another client took over the session of client identifier me")
        .assert_stderr("2 read, 1 delivered, 1 rejected");
}

#[test]
fn what_the_broker_lacks_for_every_record_is_told_before_the_first() {
    // Maximum QoS 0, Retain Available 0.
    for (property, why) in [
        ([0x24, 0], "takes no QoS above 0"),
        ([0x25, 0], "does not take retained messages (--retain)"),
    ] {
        let broker = Scripted::start();
        let address = address(&broker, "t");
        let serving = thread::spawn(move || broker.welcome(false, &property));
        let finished = tool(&[&address, "--retain"]).finish_with("1\n");
        finished.assert_code(2).assert_stderr(why);
        serving.join().unwrap();
    }
}

#[test]
fn no_more_than_inflight_are_unacknowledged() {
    let (_broker, mut running, mut peer) = start(&["--inflight", "2", "--keep-alive", "4s"]);
    running.write("2\n3\n4\n");
    running.close_stdin();
    peer.expect_publish();
    let second = peer.expect_publish().id;
    // Nothing else until there is room.
    peer.expect(0xc0);
    peer.send(&[0xd0, 0]);
    peer.answer(0x40, second, 0);
    assert_eq!(peer.expect_publish().text(), "4");
}

#[test]
fn the_connection_is_kept_alive_while_stdin_says_nothing_and_while_stdout_takes_nothing() {
    let broker = Scripted::start();
    let (reader, writer) = io::pipe().unwrap();
    let mut running = tool(&[&address(&broker, "t"), "--tee", "--keep-alive", "1s"])
        .stdout_to(File::from(OwnedFd::from(writer)))
        .start();
    let mut peer = broker.welcome(false, &[]);
    serve_until_idle(&mut peer);
    // More than a pipe holds.
    let line = "x".repeat(50_000);
    running.feed(format!("{line}\n").repeat(10));
    serve_until_idle(&mut peer);
    let teed = thread::spawn(move || BufReader::new(reader).lines().map_while(Result::ok).count());
    serve_until_idle(&mut peer);
    running.wait().assert_code(0);
    assert_eq!(teed.join().unwrap(), 10);
}

/// Acknowledges what comes, until nothing but three PINGREQs came in a row, or the end.
fn serve_until_idle(peer: &mut Peer) {
    let mut pings = 0;
    while pings < 3 {
        match peer.read() {
            Some((0xc0, _)) => {
                pings += 1;
                peer.send(&[0xd0, 0]);
            }
            Some((0x32, body)) => {
                pings = 0;
                peer.answer(0x40, u16::from_be_bytes([body[3], body[4]]), 0);
            }
            Some((0xe0, _)) | None => return,
            Some(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_session_that_was_kept_goes_on_but_at_qos_2_it_begins_empty_with_each_run() {
    let session = ["--client-id", "me", "--session-expiry", "1h"];
    for (options, empty) in [
        (&[][..], false),
        (&["--qos", "2"], true),
        (&["-J"], true),
        (&["-J", "--qos", "1"], false),
        (&["--birth-topic", "b", "--birth-qos", "2"], true),
    ] {
        let broker = Scripted::start();
        let address = address(&broker, "t");
        let running = tool(&[&[address.as_str()], &session[..], options].concat()).start();
        let mut peer = broker.accept();
        assert_eq!(peer.expect_connect().flags & 2 != 0, empty, "{options:?}");
        peer.connack(!empty, 0, &[]);
        if empty {
            // Session Expiry Interval 0. The next one is for good: Clean Start would not be kept by every broker.
            assert_eq!(peer.expect_disconnect(), [0, 5, 0x11, 0, 0, 0, 0]);
            drop(peer);
            peer = broker.accept();
            assert_eq!(peer.expect_connect().flags & 2, 0);
            peer.connack(false, 0, &[]);
        }
        drop((running, peer));
    }
}

#[test]
fn the_will_has_its_properties_and_the_birth_message_goes_before_the_records() {
    let broker = Scripted::start();
    let address = address(&broker, "t");
    let serving = thread::spawn(move || {
        let mut peer = broker.accept();
        let connect = peer.expect_connect();
        peer.connack(false, 0, &[]);
        let messages = serve(&mut peer, 2, |_| 0);
        peer.expect_disconnect();
        (connect, messages)
    });
    let arguments = [
        &address,
        "--will-topic",
        "status",
        "--will-payload",
        "off",
        "--will-delay",
        "5s",
        "--will-header",
        "site={{x}}",
        "--will-content-type",
        "text/plain",
        "--will-expiry",
        "1m",
        "--birth-topic",
        "status",
        "--birth-payload",
        "on",
        "--birth-qos",
        "1",
        "--birth-retain",
    ];
    tool(&arguments)
        .finish_with("1\n")
        .assert_code(0)
        .assert_stderr("1 read, 1 delivered");
    let (connect, messages) = serving.join().unwrap();
    let (topic, payload, properties) = connect.will.unwrap();
    assert_eq!((&*topic, &*payload), ("status", "off"));
    for part in [
        // Will Delay Interval, Message Expiry Interval, Content Type, User Property.
        &b"\x18\0\0\0\x05"[..],
        b"\x02\0\0\0\x3c",
        b"\x03\0\x0atext/plain",
        b"\x26\0\x04site\0\x03{x}",
    ] {
        let found = properties.windows(part.len()).any(|window| window == part);
        assert!(found, "{part:?} is not in {properties:?}");
    }
    assert_eq!(payloads(&messages), [b"on", &b"1"[..]]);
    assert!(messages[0].retain && messages[0].qos == 1);
    assert_eq!(messages[0].topic, "status");
}

#[test]
fn a_session_that_ends_sooner_than_asked_for_is_told() {
    let broker = Scripted::start();
    let address = address(&broker, "t");
    let serving = thread::spawn(move || {
        let mut peer = broker.accept();
        // Session Expiry Interval 3600 s.
        let properties = peer.expect_connect().properties;
        assert!(properties.starts_with(&[0x11, 0, 0, 0x0e, 0x10]));
        peer.connack(false, 0, &[0x11, 0, 0, 0, 60]);
        // It stays: no Session Expiry Interval of 0.
        assert!(peer.expect_disconnect().is_empty());
    });
    tool(&[&address, "--client-id", "me", "--session-expiry", "1h"])
        .finish()
        .assert_code(0)
        .assert_stderr("keeps sessions for 60s, not for the 3600s of --session-expiry");
    serving.join().unwrap();
}

#[test]
fn a_text_that_no_broker_takes_costs_its_own_record_only() {
    let broker = Scripted::start();
    let address = address(&broker, "t");
    let serving = thread::spawn(move || {
        let mut peer = broker.welcome(false, &[]);
        let messages = serve(&mut peer, 1, |_| 0);
        peer.expect_disconnect();
        payloads(&messages).concat()
    });
    let finished = tool(&[&address, "-H", "a={a}"]).finish_with("{\"a\":\"\\u0000\"}\n{\"a\":1}\n");
    finished
        .assert_code(1)
        .assert_stderr("U+0000")
        .assert_stderr("2 read, 1 delivered, 1 rejected");
    assert_eq!(serving.join().unwrap(), b"{\"a\":1}");
}

#[test]
fn options_for_tls_are_not_ignored_where_nothing_is_encrypted() {
    for option in [["--ca-file", "x"], ["--alpn", "mqtt"]] {
        tool(&[&["mqtt://127.0.0.1:1/t"], &option[..]].concat())
            .finish_with("1\n")
            .assert_code(2)
            .assert_stderr(&format!(
                "{} does not apply: it is for mqtts and wss",
                option[0]
            ));
    }
}

#[test]
fn a_will_that_is_delayed_for_longer_than_its_session_lasts_is_warned_of() {
    let broker = Scripted::start();
    let address = address(&broker, "t");
    let serving = thread::spawn(move || broker.welcome(false, &[]).expect_disconnect());
    let will = ["--will-topic", "gone", "--will-delay", "2m"];
    let session = ["--client-id", "me", "--session-expiry", "1m"];
    tool(&[&[&*address], &will[..], &session[..]].concat())
        .finish_with("")
        .assert_code(0)
        .assert_stderr("--will-delay: the will is published when the session ends");
    serving.join().unwrap();
}

#[test]
fn a_takeover_under_load_names_the_broker() {
    let broker = Scripted::start();
    let (url, address) = (broker.url(), address(&broker, "t"));
    let serving = thread::spawn(move || {
        let mut peer = broker.welcome(false, &[]);
        peer.expect_publish();
        peer.send(&[0xe0, 1, 0x8e]);
        // Its end is a reset where something is left unread.
        let _ = std::io::copy(&mut peer.stream, &mut std::io::sink());
    });
    // More than is under way at a time: there is always another record to hand over.
    tool(&[&address])
        .finish_with("1\n".repeat(50_000))
        .assert_code(2)
        .assert_stderr(&format!("{url}: another client took over"));
    serving.join().unwrap();
}
