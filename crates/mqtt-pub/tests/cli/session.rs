//! The session: how it begins, what happens when the broker goes away, and how it ends.

use std::thread;

use tapline_testkit::Signal;
use tapline_testkit::scripted::Scripted;

use super::{address, payloads, serve, tool, wait_published};

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
    let broker = Scripted::start();
    let running = tool(&[&address(&broker, "t"), "--tee"]).start();
    let (mut running, mut peer) = wait_published(running, &broker);
    running.write("2\n");
    serve(&mut peer, 1, |_| 0);
    running.wait_for_lines(2);
    running.close_stdin();
    peer.expect_disconnect();
    running.wait().assert_code(0);
}

#[test]
fn sigterm_delivers_what_was_read_and_says_disconnect() {
    let broker = Scripted::start();
    let running = tool(&[&address(&broker, "t"), "--tee"]).start();
    let (mut running, mut peer) = wait_published(running, &broker);
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
    let broker = Scripted::start();
    let running = tool(&[&address(&broker, "t"), "--tee", "--drain-timeout", "100ms"]).start();
    let (mut running, mut peer) = wait_published(running, &broker);
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
    let broker = Scripted::start();
    let running = tool(&[&address(&broker, "t"), "--tee", "--will-topic", "gone"]).start();
    let (mut running, mut peer) = wait_published(running, &broker);
    running.signal(Signal::KILL);
    assert_eq!(peer.read(), None);
    assert_eq!(running.wait().signal, Some(9));
}

#[test]
fn a_broker_that_goes_away_is_waited_for_and_nothing_is_lost() {
    let broker = Scripted::start();
    let running = tool(&[&address(&broker, "t"), "--tee"]).start();
    let (mut running, mut peer) = wait_published(running, &broker);
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
    let broker = Scripted::start();
    let running = tool(&[&address(&broker, "t"), "--tee", "--client-id", "me"]).start();
    let (mut running, mut peer) = wait_published(running, &broker);
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
fn a_quality_that_the_broker_lacks_is_told_before_the_first_record() {
    let broker = Scripted::start();
    let address = address(&broker, "t");
    let serving = thread::spawn(move || broker.welcome(false, &[0x24, 0]));
    let finished = tool(&[&address]).finish_with("1\n");
    finished
        .assert_code(2)
        .assert_stderr("takes no QoS above 0");
    serving.join().unwrap();
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
fn only_at_qos_2_a_kept_session_begins_empty_with_each_run() {
    for (qos, clean) in [("0", false), ("1", false), ("2", true)] {
        let broker = Scripted::start();
        let address = address(&broker, "t");
        let serving = thread::spawn(move || {
            let mut peer = broker.accept();
            let clean_start = peer.expect_connect().flags & 2 != 0;
            peer.connack(false, 0, &[]);
            peer.expect_disconnect();
            clean_start
        });
        let arguments = ["--qos", qos, "--client-id", "me", "--session-expiry", "1h"];
        tool(&[&[&*address], &arguments[..]].concat())
            .finish_with("")
            .assert_code(0);
        assert_eq!(serving.join().unwrap(), clean, "--qos {qos}");
    }
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
        .assert_stderr("NUL")
        .assert_stderr("2 read, 1 delivered, 1 rejected");
    assert_eq!(serving.join().unwrap(), b"{\"a\":1}");
}

#[test]
fn options_for_tls_are_not_ignored_where_nothing_is_encrypted() {
    for option in [["--ca-file", "x"], ["--alpn", "mqtt"]] {
        tool(&[&["mqtt://127.0.0.1:1/t"], &option[..]].concat())
            .finish_with("1\n")
            .assert_code(2)
            .assert_stderr(&format!("{} is for mqtts and wss", option[0]));
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
