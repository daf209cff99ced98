//! `topic-tap` as a user meets it: arguments, help, exit codes, brokers that aren't there.

use std::{net::TcpListener, time::Duration};

use tapline_testkit::{Finished, Peer, Run, Signal, scripted::Scripted, tool};

fn tap(arguments: &[&str]) -> Finished {
    Run::new(env!("CARGO_BIN_EXE_topic-tap"))
        .args(arguments)
        .finish()
}

/// A port of the loopback on which nobody listens.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn the_help_tells_the_forms_of_an_address_and_the_exit_codes() {
    let help = tap(&["--help"]);
    help.assert_code(0);
    for text in [
        "mqtt://HOST",
        "kafka://HOST",
        "--until-end",
        "--exec",
        "%K",
        "--groups",
        "Exit codes",
    ] {
        assert!(help.text().contains(text), "{text}");
    }
}

#[test]
fn what_makes_no_sense_is_a_usage_error() {
    for (arguments, why) in [
        (&[][..], "ADDRESS"),
        (&["nothing"], "address"),
        (&["http://localhost/t"], "address"),
        (&["mqtt://localhost"], "topic"),
        (&["kafka://localhost"], "topic"),
        (&["mqtt://localhost/a/#/b"], "#"),
        (&["mqtt://localhost/t", "--until-end"], "no end"),
        (&["mqtt://localhost/t", "--until", "5"], "no end"),
        (
            &["mqtt://localhost/t", "--from", "5"],
            "--from does not apply: no address is of Kafka",
        ),
        (&["mqtt://localhost/t", "--key-only"], "of Kafka"),
        (&["mqtt://localhost/t", "--list"], "Kafka only"),
        (&["mqtt://localhost", "--groups"], "Kafka only"),
        (&["kafka://localhost/t", "--until", "soon"], "--until"),
        (&["kafka://localhost/t", "--until", "beginning"], "nothing"),
        (&["kafka://localhost/t", "--format", "%x"], "no token %x"),
        (&["kafka://localhost/t", "--csv", "a,"], "field"),
        (
            &["kafka://localhost/t", "--group", "g", "--partition", "1"],
            "--partition",
        ),
        (&["mqtt://localhost/t", "--count", "0"], "--count"),
        (&["mqtt://localhost/t", "--qos", "3"], "--qos"),
        (&["kafka://localhost/t", "--from", "yesterday"], "yesterday"),
        (&["mqtt://localhost/t", "--acks-from", "x"], "--envelope"),
        (&["kafka://localhost/t", "--retained", "hide"], "of MQTT"),
        (
            &["mqtt://localhost/$share/g/t", "--retained", "only"],
            "gets no retained messages",
        ),
        (
            &["mqtt://localhost/$share/g/t", "--no-local", "--client-id=a"],
            "[MQTT-3.8.3-4]",
        ),
        (
            &[
                "mqtt://localhost/t",
                "--no-local",
                "--client-id=a",
                "--mqtt-version=3.1.1",
            ],
            "needs MQTT 5",
        ),
        (
            &["kafka://localhost/t", "-X", "no.such.property=1"],
            "no.such.property",
        ),
    ] {
        let ran = tap(arguments);
        ran.assert_code(2);
        ran.assert_stderr(why);
        assert_eq!(ran.text(), "", "stdout carries data only");
    }
}

#[test]
fn a_password_in_an_address_is_refused_and_not_repeated() {
    for address in [
        "mqtt://me:hunter2@localhost/t",
        "kafka://me:hunter2@localhost/t",
    ] {
        let ran = tap(&[address]);
        ran.assert_code(2);
        let stderr = &ran.stderr;
        assert!(!stderr.contains("hunter2"), "{stderr}");
        assert!(
            stderr.contains("MQTT_PASSWORD") || stderr.contains("--config"),
            "{stderr}"
        );
    }
}

#[test]
fn a_broker_that_is_not_there_is_told_within_the_timeout() {
    let port = free_port();
    for scheme in ["mqtt", "kafka"] {
        let address = format!("{scheme}://127.0.0.1:{port}/t");
        let ran = tap(&[&address, "--connect-timeout", "1s"]);
        ran.assert_code(2);
        ran.assert_stderr(&format!("127.0.0.1:{port}"));
        ran.assert_stderr("refused");
    }
}

#[test]
fn a_port_that_speaks_another_protocol_is_told() {
    let peer = Peer::saying("HTTP/1.1 400 Bad Request\r\n\r\n");
    for (scheme, what) in [("mqtt", "MQTT"), ("kafka", "Kafka")] {
        let address = format!("{scheme}://{}/t", peer.address());
        let ran = tap(&[&address, "--connect-timeout", "2s"]);
        ran.assert_code(2);
        ran.assert_stderr(what);
    }
}

#[test]
fn a_signal_ends_the_wait_for_a_broker_that_says_nothing() {
    let peer = Peer::attending(|stream, _| {
        // Held open, unanswered, until the other side goes.
        let _ = std::io::copy(&mut &stream, &mut std::io::sink());
    });
    let address = format!("mqtt://{}/t", peer.address());
    let mut running = Run::new(tool("topic-tap"))
        .args([&address, "--connect-timeout", "60s"])
        .start();
    tapline_testkit::wait_until(Duration::from_mins(1), "it has connected", || {
        peer.accepted() > 0
    });
    running.signal(Signal::TERM);
    let ran = running.wait();
    assert_ne!(ran.code, Some(0));
}

#[test]
fn a_broker_that_ends_the_session_for_good_ends_the_tap_with_its_reason() {
    for (code, why) in [
        (
            0x8e,
            "another client took over the session of client identifier me",
        ),
        (
            0x9e,
            "the broker ended the session: Shared Subscriptions not supported (0x9e)",
        ),
    ] {
        let broker = Scripted::start();
        let mut running = Run::new(tool("topic-tap"))
            .arg(format!("{}/t", broker.url()))
            .args(["-v", "--client-id", "me"])
            .start();
        let mut peer = broker.welcome(false, &[]);
        peer.subscribed(&[1]);
        running.wait_for_stderr(": tapping");
        peer.send(&[0xe0, 1, code]);
        running.wait().assert_code(2).assert_stderr(why);
    }
}
