//! A connection for each device: who is who, and that none takes another with it.

use std::fs;
use std::sync::mpsc;
use std::thread;

use tapline_testkit::scripted::{Connect, Peer, Scripted};
use tapline_testkit::{Finished, LIMIT, Run, Running, Signal, json_lines, temp_dir, wait_until};

use super::{address, payloads, serve, tool};

/// The tool with a connection for each value of `g`.
fn fleet(broker: &Scripted, arguments: &[&str]) -> Run {
    let address = address(broker, "fleet/{g}");
    tool(&[&[address.as_str(), "--client-per", "g"], arguments].concat())
}

/// The next client, let in.
fn welcome(broker: &Scripted) -> (Peer, Connect) {
    let mut peer = broker.accept();
    let connect = peer.expect_connect();
    peer.connack(false, 0, &[]);
    (peer, connect)
}

/// The tool with two devices, `a` and `b`, at work: the first record of each is delivered.
fn two_devices(arguments: &[&str]) -> (Scripted, Running, Peer, Peer) {
    let broker = Scripted::start();
    let mut running = fleet(&broker, &[&["--tee"], arguments].concat()).start();
    let mut device = |name: &str| {
        running.write(format!("{{\"g\":\"{name}\"}}\n"));
        let (mut peer, _) = welcome(&broker);
        serve(&mut peer, 1, |_| 0);
        peer
    };
    let (a, b) = (device("a"), device("b"));
    running.wait_for_lines(2);
    (broker, running, a, b)
}

/// The end of the input, and of the clients that are left.
fn finish(mut running: Running, left: impl IntoIterator<Item = Peer>) -> Finished {
    running.close_stdin();
    for mut peer in left {
        peer.expect_disconnect();
    }
    running.wait()
}

#[test]
fn each_device_has_its_identifier_its_will_and_its_order() {
    let broker = Scripted::start();
    let run = fleet(
        &broker,
        &[
            "--client-id",
            "pump-",
            "--will-topic",
            "fleet/{g}/status",
            "--will-payload",
            "{{gone since {n}}}",
        ],
    );
    let serving = thread::spawn(move || {
        let (mut a, first) = welcome(&broker);
        let (mut b, second) = welcome(&broker);
        let will = |connect: Connect| {
            let (topic, payload, _) = connect.will.unwrap();
            (connect.client_id, topic, payload)
        };
        let texts = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(
            will(first),
            texts("pump-a", "fleet/a/status", "{gone since 1}")
        );
        assert_eq!(
            will(second),
            texts("pump-b", "fleet/b/status", "{gone since 2}")
        );
        let of_a = serve(&mut a, 2, |_| 0);
        assert_eq!(
            payloads(&of_a),
            [&br#"{"g":"a","n":1}"#[..], br#"{"g":"a","n":3}"#]
        );
        let of_b = serve(&mut b, 1, |_| 0);
        assert_eq!(of_b[0].topic, "fleet/b");
        b.expect_disconnect();
        a.expect_disconnect();
    });
    let input = "{\"g\":\"a\",\"n\":1}\n{\"g\":\"b\",\"n\":2}\n{\"g\":\"a\",\"n\":3}\n";
    run.finish_with(input).assert_code(0);
    serving.join().unwrap();
}

#[test]
fn without_a_first_connection_nothing_runs() {
    let broker = Scripted::start();
    let run = fleet(&broker, &[]);
    let serving = thread::spawn(move || {
        let mut peer = broker.accept();
        assert_eq!(peer.expect_connect().client_id, "mqtt-pub-a");
        peer.connack(false, 0x86, &[]);
    });
    let finished = run.finish_with("{\"g\":\"a\"}\n");
    finished
        .assert_code(2)
        .assert_stderr("mqtt://127.0.0.1:")
        .assert_stderr("refused the connection: Bad User Name or Password (0x86)")
        .assert_stderr("1 read, 0 delivered, 1 rejected");
    serving.join().unwrap();
}

#[test]
fn a_device_that_is_not_let_in_loses_its_own_records_only() {
    let directory = temp_dir();
    let rejects = directory.path().join("rejects.ndjson");
    let broker = Scripted::start();
    let run = fleet(&broker, &["--tee", "--rejects", rejects.to_str().unwrap()]);
    let mut running = run.start();
    running.write("{\"g\":\"a\"}\n{\"g\":\"b\"}\n");
    let (mut a, _) = welcome(&broker);
    serve(&mut a, 1, |_| 0);
    let mut b = broker.accept();
    b.expect_connect();
    b.connack(false, 0x87, &[]);
    assert_eq!(b.read(), None);
    running.write("{\"g\":\"a\"}\n");
    serve(&mut a, 1, |_| 0);
    running.wait_for_lines(2);
    running.write("{\"g\":\"b\"}\n{\"g\":\"a\"}\n");
    serve(&mut a, 1, |_| 0);
    running.close_stdin();
    a.expect_disconnect();
    running
        .wait()
        .assert_code(1)
        .assert_stderr("5 read, 3 delivered, 2 rejected");
    assert!(broker.accepted().is_none(), "it is not tried at once");
    for reject in json_lines(&fs::read_to_string(rejects).unwrap()) {
        assert_eq!(reject["reason"], "refused");
        assert_eq!(reject["record"], "{\"g\":\"b\"}");
        let detail = reject["detail"].as_str().unwrap();
        assert!(detail.contains("Not authorized (0x87)"), "{detail}");
    }
}

#[test]
fn a_device_that_was_not_let_in_is_tried_again_after_a_while() {
    let broker = Scripted::start();
    let mut running = fleet(&broker, &["--tee", "--client-retry", "1s"]).start();
    running.write("{\"g\":\"a\"}\n");
    let (mut a, _) = welcome(&broker);
    serve(&mut a, 1, |_| 0);
    running.wait_for_lines(1);
    running.write("{\"g\":\"b\"}\n");
    let mut b = broker.accept();
    b.expect_connect();
    b.connack(false, 0x87, &[]);
    assert_eq!(b.read(), None);
    // Rejected, until one of them opens the client again.
    let mut again = None;
    wait_until(LIMIT, "it is tried again", || {
        running.write("{\"g\":\"b\"}\n");
        again = broker.accepted();
        again.is_some()
    });
    let mut b = again.unwrap();
    assert_eq!(b.expect_connect().client_id, "mqtt-pub-b");
    b.connack(false, 0, &[]);
    running.write("{\"g\":\"b\",\"last\":1}\n");
    while serve(&mut b, 1, |_| 0)[0].text() != "{\"g\":\"b\",\"last\":1}" {}
    running.close_stdin();
    a.expect_disconnect();
    b.expect_disconnect();
    running.wait().assert_code(1).assert_stderr(
        "its client has failed: the broker refused the connection: Not authorized (0x87)",
    );
}

#[test]
fn a_device_too_many_is_rejected() {
    let broker = Scripted::start();
    let run = fleet(&broker, &["--max-clients", "1"]);
    let serving = thread::spawn(move || {
        let (mut a, _) = welcome(&broker);
        serve(&mut a, 2, |_| 0);
        a.expect_disconnect();
        assert!(broker.accepted().is_none());
    });
    let input = "{\"g\":\"a\"}\n{\"g\":\"b\"}\n{\"g\":\"a\"}\n";
    run.finish_with(input)
        .assert_code(1)
        .assert_stderr("line 2")
        .assert_stderr("1 clients are the most that --max-clients allows");
    serving.join().unwrap();
}

#[test]
fn a_device_that_is_known_by_its_topic_has_its_identifier_and_its_will() {
    let broker = Scripted::start();
    let url = address(&broker, "fleet/{+$topic}");
    let run = tool(&[&url, "-J", "--client-per", "{$topic/1}"]);
    let run = run.args(["--will-topic", "lwt/{$topic/1}", "--will-payload", "{$key}"]);
    let serving = thread::spawn(move || {
        let (mut a, connect) = welcome(&broker);
        let (topic, payload, _) = connect.will.unwrap();
        assert_eq!(connect.client_id, "mqtt-pub-kitchen");
        assert_eq!((topic.as_str(), payload.as_str()), ("lwt/kitchen", "k"));
        let messages = serve(&mut a, 1, |_| 0);
        assert_eq!(messages[0].topic, "fleet/stat/kitchen/POWER");
        assert_eq!(payloads(&messages), [b"ON"]);
        a.expect_disconnect();
    });
    let input = concat!(
        r#"{"topic":"stat/kitchen/POWER","key":"k","value_text":"ON"}"#,
        "\n",
        r#"{"topic":"stat","key":"k","value_text":"OFF"}"#,
        "\n",
        r#"{"topic":"stat/cellar/POWER","value_text":"OFF"}"#,
        "\n",
    );
    run.finish_with(input)
        .assert_code(1)
        .assert_stderr("line 2: its topic has no level 1; the last is 0")
        .assert_stderr("line 3: its envelope has no key");
    serving.join().unwrap();
}

#[test]
fn what_no_identifier_can_be_made_of_is_rejected() {
    let broker = Scripted::start();
    let run = fleet(&broker, &[]);
    let serving = thread::spawn(move || {
        let (mut a, _) = welcome(&broker);
        serve(&mut a, 1, |_| 0);
        a.expect_disconnect();
    });
    let input = "{\"g\":\"\\u0007\"}\n{\"g\":\"\"}\n{\"h\":1}\nx\n{\"g\":\"a\"}\n";
    let long = format!("{{\"g\":\"{}\"}}\n", "x".repeat(65_528));
    run.finish_with(format!("{input}{long}"))
        .assert_code(1)
        .assert_stderr("line 1: {g} holds U+0007, a control character")
        .assert_stderr("line 2: a client identifier cannot be made of nothing")
        .assert_stderr("line 3: has no field 'g'")
        .assert_stderr("line 4: not JSON")
        .assert_stderr("line 6: a client identifier has at most 65535 bytes")
        .assert_stderr("6 read, 1 delivered, 5 rejected");
    serving.join().unwrap();
}

#[test]
fn a_connection_that_breaks_is_replaced_and_others_take_no_notice() {
    let (broker, mut running, mut a, mut b) = two_devices(&[]);
    running.write("{\"g\":\"b\",\"n\":1}\n");
    b.expect_publish();
    drop(b);
    running.wait_for_stderr("client mqtt-pub-b: ");
    running.write("{\"g\":\"a\",\"n\":2}\n{\"g\":\"b\",\"n\":3}\n");
    serve(&mut a, 1, |_| 0);
    let (mut b, connect) = welcome(&broker);
    assert_eq!(connect.client_id, "mqtt-pub-b");
    let again = serve(&mut b, 2, |_| 0);
    assert_eq!(
        payloads(&again),
        [&br#"{"g":"b","n":1}"#[..], br#"{"g":"b","n":3}"#]
    );
    finish(running, [a, b])
        .assert_code(0)
        .assert_stderr("all clients are connected again");
}

#[test]
fn a_new_device_waits_for_a_broker_that_is_away() {
    let (broker, mut running, a, b) = two_devices(&[]);
    running.write("{\"g\":\"c\"}\n");
    // It hangs up on the CONNECT: nothing that another attempt could not mend.
    drop(broker.accept());
    let (mut c, connect) = welcome(&broker);
    assert_eq!(connect.client_id, "mqtt-pub-c");
    serve(&mut c, 1, |_| 0);
    running.wait_for_lines(3);
    finish(running, [a, b, c]).assert_code(0);
}

#[test]
fn a_device_that_was_taken_over_is_given_up_for_good_and_alone() {
    let (broker, mut running, mut a, mut b) = two_devices(&[]);
    b.send(&[0xe0, 1, 0x8e]);
    assert_eq!(b.read(), None);
    running.write("{\"g\":\"b\"}\n{\"g\":\"a\"}\n");
    serve(&mut a, 1, |_| 0);
    finish(running, [a])
        .assert_code(1)
        .assert_stderr("another client took over the session of client identifier mqtt-pub-b")
        .assert_stderr("4 read, 3 delivered, 1 rejected");
    assert!(broker.accepted().is_none());
}

#[test]
fn with_a_checkpoint_a_device_that_is_given_up_ends_the_run() {
    let directory = temp_dir();
    let checkpoint = directory.path().join("checkpoint");
    let arguments = ["--checkpoint", checkpoint.to_str().unwrap()];
    let (_broker, mut running, mut a, mut b) = two_devices(&arguments);
    b.send(&[0xe0, 1, 0x8e]);
    assert_eq!(b.read(), None);
    running.write("{\"g\":\"b\"}\n");
    a.expect_disconnect();
    running
        .wait()
        .assert_code(2)
        .assert_stderr("line 3 was not delivered, so nothing behind it can be acknowledged");
}

#[test]
fn a_device_at_a_standstill_is_hung_up_when_others_get_on() {
    let broker = Scripted::start();
    let arguments = ["--tee", "--client-timeout", "1s", "--keep-alive", "0s"];
    let mut running = fleet(&broker, &arguments).start();
    running.write("{\"g\":\"b\",\"n\":1}\n");
    let (mut b, _) = welcome(&broker);
    b.expect_publish();
    // No answer to it. No DISCONNECT either: the will is published.
    let hung_up = thread::spawn(move || assert_eq!(b.read(), None));
    let mut others = 1;
    running.write("{\"g\":\"a\"}\n");
    let (mut a, _) = welcome(&broker);
    serve(&mut a, 1, |_| 0);
    while !hung_up.is_finished() {
        running.write("{\"g\":\"a\"}\n");
        serve(&mut a, 1, |_| 0);
        others += 1;
    }
    hung_up.join().unwrap();
    // What waited behind it in the input is told of now.
    running.wait_for_lines(others);
    running.write("{\"g\":\"b\",\"n\":2}\n");
    running.close_stdin();
    a.expect_disconnect();
    running
        .wait()
        .assert_code(1)
        .assert_stderr("line 1: not acknowledged when the time was up")
        .assert_stderr("none of its messages was acknowledged for 1s")
        .assert_stderr(" 2 rejected");
}

#[test]
fn idle_devices_are_kept_alive() {
    /// Lets a device in, takes its first record, answers its PINGREQs until its orderly end, and tells of each.
    fn attend(broker: &Scripted) -> (thread::JoinHandle<()>, mpsc::Receiver<()>) {
        let (mut peer, _) = welcome(broker);
        let (pinged, pings) = mpsc::channel();
        let attending = thread::spawn(move || {
            serve(&mut peer, 1, |_| 0);
            while let Some((first, _)) = peer.read() {
                if first == 0xe0 {
                    return;
                }
                assert_eq!(first, 0xc0, "not a PINGREQ");
                peer.send(&[0xd0, 0]);
                // Nobody waits for the second.
                let _ = pinged.send(());
            }
            panic!("the client hung up");
        });
        (attending, pings)
    }

    let broker = Scripted::start();
    let mut running = fleet(&broker, &["--keep-alive", "2s"]).start();
    let devices = ["a", "b"].map(|name| {
        running.write(format!("{{\"g\":\"{name}\"}}\n"));
        attend(&broker)
    });
    for (_, pings) in &devices {
        pings.recv_timeout(LIMIT).expect("no PINGREQ came");
    }
    running.close_stdin();
    running.wait().assert_code(0);
    for (attending, _) in devices {
        attending.join().unwrap();
    }
}

#[test]
fn sigterm_ends_every_session_and_sigkill_none() {
    let (_broker, mut running, mut a, mut b) = two_devices(&[]);
    running.signal(Signal::TERM);
    a.expect_disconnect();
    b.expect_disconnect();
    running.wait().assert_code(143);

    let (_broker, mut running, mut a, mut b) = two_devices(&[]);
    running.signal(Signal::KILL);
    assert_eq!((a.read(), b.read()), (None, None));
    assert_eq!(running.wait().signal, Some(9));
}
