//! mqtt-pub's arguments, messages and exit codes, against a broker that follows a script.

// The broker of the library's own tests: what it says and hears is bytes, and its client is not used here.
#[expect(dead_code, reason = "these tests are about publishing only")]
#[path = "../../mqtt/tests/session/scripted.rs"]
mod scripted;

use std::fs::{self, File};
use std::thread;

use scripted::{Peer, Published, Scripted};
use tapline_testkit::{Finished, Run, Running, Signal, json_lines, temp_dir};

fn tool(arguments: &[&str]) -> Run {
    Run::new(env!("CARGO_BIN_EXE_mqtt-pub")).args(arguments)
}

fn address(broker: &Scripted, topic: &str) -> String {
    format!("{}/{topic}", broker.broker())
}

/// Takes `count` messages from the tool and acknowledges each with `reason(number)`.
fn serve(peer: &mut Peer, count: usize, reason: impl Fn(usize) -> u8) -> Vec<Published> {
    (0..count)
        .map(|number| {
            let published = peer.expect_publish();
            if published.qos == 1 {
                peer.answer(0x40, published.id, reason(number));
            }
            published
        })
        .collect()
}

/// Runs the tool with `input` against a broker that acknowledges `count` messages with success and
/// sees an orderly end.
fn published(
    topic: &str,
    arguments: &[&str],
    input: &[u8],
    count: usize,
) -> (Vec<Published>, Finished) {
    let broker = Scripted::start();
    let address = address(&broker, topic);
    let serving = thread::spawn(move || {
        let mut peer = broker.welcome(false, &[]);
        let messages = serve(&mut peer, count, |_| 0);
        peer.expect_disconnect();
        messages
    });
    let finished = tool(&[&[address.as_str()], arguments].concat()).finish_with(input);
    let messages = serving
        .join()
        .unwrap_or_else(|_| panic!("the broker: {}", finished.stderr));
    (messages, finished)
}

fn payloads(messages: &[Published]) -> Vec<&[u8]> {
    messages.iter().map(|sent| &sent.payload[..]).collect()
}

#[test]
fn help_and_version_say_what_it_is() {
    let help = tool(&["--help"]).finish();
    help.assert_code(0);
    for part in ["mqtt://", "--qos", "--will-topic", "MQTT_PASSWORD"] {
        assert!(help.text().contains(part), "{part} is not in the help");
    }
    let version = tool(&["--version"]).finish();
    assert!(version.assert_code(0).text().starts_with("mqtt-pub "));
}

#[test]
fn wrong_arguments_are_refused_with_2() {
    let table: &[(&[&str], &str)] = &[
        (&[], "ADDRESS"),
        (&["mqtt://h/t", "--qos", "3"], "0, 1 or 2"),
        (&["mqtt://h/t", "--mqtt-version", "4"], "5 or 3.1.1"),
        (&["mqtt://h/t", "--keep-alive", "7"], "not a duration"),
        (&["mqtt://h/t", "-H", "novalue"], "NAME=TEMPLATE"),
        (&["mqtt://h/t", "--will-qos", "1"], "--will-topic"),
        (&["mqtt://h/t", "--will-topic", "a/+"], "--will-topic"),
        (&["mqtt://h/t", "--inflight", "0"], "--inflight"),
        (
            &["mqtt://h/t", "-H", "a=b", "--mqtt-version", "3.1.1"],
            "needs MQTT 5",
        ),
        (&["kafka://h/t"], "begins with mqtt://"),
        (&["mqtt://h"], "the topic is missing"),
        (&["mqtt://h:0/t"], "the port"),
        (&["mqtt://h/a/#"], "wildcards"),
        (&["mqtt://h/a/{b"], "not closed"),
        (&["mqtt://h/t", "-s", "/no/such.json"], "/no/such.json"),
        (
            &[
                "mqtt://h/t",
                "--username",
                "u",
                "--password-file",
                "/no/such",
            ],
            "/no/such",
        ),
        (&["mqtts://h/t", "--ca-file", "/no/such"], "/no/such"),
        (&["mqtt://h/t", "--acks-to", "/tmp/x"], "need --envelope"),
    ];
    for (arguments, part) in table {
        let finished = tool(arguments).finish();
        assert_eq!(finished.code, Some(2), "{arguments:?}: {}", finished.stderr);
        assert!(
            finished.stderr.contains(part),
            "{arguments:?}: {}",
            finished.stderr
        );
        assert!(finished.stdout.is_empty());
    }
}

#[test]
fn a_password_in_the_address_is_refused_and_not_repeated() {
    let finished = tool(&["mqtt://me:hunter2@h/t"]).finish();
    finished.assert_code(2).assert_stderr("--password-file");
    assert!(!finished.stderr.contains("hunter2"), "{}", finished.stderr);
}

#[test]
fn a_broker_that_is_not_there_is_told_at_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let address = format!("mqtt://127.0.0.1:{port}/t");
    let finished = tool(&[&address]).finish_with("1\n");
    finished.assert_code(2);
    assert_eq!(
        finished.stderr,
        format!("mqtt-pub: mqtt://127.0.0.1:{port}: connection refused\n")
    );
}

#[test]
fn a_peer_that_never_answers_ends_with_the_timeout() {
    let broker = Scripted::start();
    let finished = tool(&[&address(&broker, "t"), "--connect-timeout", "300ms"]).finish_with("1\n");
    finished.assert_code(2).assert_stderr("no CONNACK");
}

#[test]
fn another_protocol_is_named() {
    let broker = Scripted::start();
    let address = address(&broker, "t");
    let serving = thread::spawn(move || {
        let mut peer = broker.accept();
        peer.send(b"SSH-2.0-OpenSSH_9.2\r\n");
        peer
    });
    let finished = tool(&[&address]).finish_with("1\n");
    finished
        .assert_code(2)
        .assert_stderr("not an MQTT broker: it answered \"SSH-2.0-OpenSSH_9.2\"");
    serving.join().unwrap();
}

#[test]
fn lines_arrive_byte_for_byte_in_order_each_at_its_topic() {
    let input = b"{\"g\":\"a\",\"v\":1.10}\r\n\n{\"g\":\"b b\",\"v\":12345678901234567890}\n{\"g\":7,\"v\":\"\\u00e9\"}";
    let (messages, finished) = published("fleet/{g}/v", &["--summary", "json", "-q"], input, 3);
    finished.assert_code(0);
    let topics: Vec<_> = messages
        .iter()
        .map(|message| message.topic.as_str())
        .collect();
    assert_eq!(topics, ["fleet/a/v", "fleet/b b/v", "fleet/7/v"]);
    assert_eq!(
        payloads(&messages),
        [
            &b"{\"g\":\"a\",\"v\":1.10}"[..],
            b"{\"g\":\"b b\",\"v\":12345678901234567890}",
            b"{\"g\":7,\"v\":\"\\u00e9\"}",
        ]
    );
    assert!(
        messages
            .iter()
            .all(|message| message.qos == 1 && !message.retain)
    );
    let summary = &json_lines(&finished.stderr)[0];
    assert_eq!(summary["tool"], "mqtt-pub");
    assert_eq!(
        (&summary["read"], &summary["delivered"]),
        (&3.into(), &3.into())
    );
    assert_eq!(
        (&summary["rejected"], &summary["blank"]),
        (&0.into(), &1.into())
    );
}

#[test]
fn nul_and_invalid_utf_8_pass_to_a_fixed_topic() {
    let (messages, finished) = published("t", &[], b"a\0b\n\xff\xfe\n", 2);
    finished.assert_code(0);
    assert_eq!(payloads(&messages), [&b"a\0b"[..], b"\xff\xfe"]);
}

#[test]
fn empty_input_is_a_session_without_messages() {
    let (_, finished) = published("t", &[], b"", 0);
    finished.assert_code(0).assert_stderr("0 read, 0 delivered");
}

#[test]
fn bad_records_are_rejected_and_their_neighbours_are_not() {
    let directory = temp_dir();
    let rejects = directory.path().join("rejects.ndjson");
    let long = format!("{{\"g\":\"{}\"}}", "x".repeat(100));
    let input = format!(
        "{{\"g\":\"a\"}}\nnot json\n{{\"h\":1}}\n{{\"g\":{{}}}}\n{{\"g\":\"a/b\"}}\n{long}\n{{\"g\":\"z\"}}\n"
    );
    let arguments = ["--rejects", rejects.to_str().unwrap(), "--max-record", "64"];
    let (messages, finished) = published("t/{g}", &arguments, input.as_bytes(), 2);
    finished
        .assert_code(1)
        .assert_stderr("7 read, 2 delivered, 5 rejected");
    assert_eq!(
        payloads(&messages),
        [&b"{\"g\":\"a\"}"[..], b"{\"g\":\"z\"}"]
    );
    let rejected = json_lines(&fs::read_to_string(rejects).unwrap());
    let reasons: Vec<_> = rejected
        .iter()
        .map(|reject| {
            (
                reject["line"].as_u64().unwrap(),
                reject["reason"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        reasons,
        [
            (2, "not-json"),
            (3, "missing-field"),
            (4, "not-scalar"),
            (5, "bad-field"),
            (6, "too-long")
        ]
    );
    assert_eq!(rejected[3]["path"], "/g");
}

#[test]
fn records_that_do_not_conform_to_the_schema_are_rejected() {
    let directory = temp_dir();
    let schema = directory.path().join("schema.json");
    fs::write(
        &schema,
        r#"{"type":"object","properties":{"n":{"type":"integer"}}}"#,
    )
    .unwrap();
    let arguments = ["--schema", schema.to_str().unwrap()];
    let (messages, finished) = published("t", &arguments, b"{\"n\":1}\n{\"n\":\"x\"}\n", 1);
    finished.assert_code(1).assert_stderr("/n");
    assert_eq!(payloads(&messages), [b"{\"n\":1}"]);
}

#[test]
fn a_refused_message_is_a_reject_with_the_reason_of_the_standard() {
    let broker = Scripted::start();
    let address = address(&broker, "t");
    let serving = thread::spawn(move || {
        let mut peer = broker.welcome(false, &[]);
        // Nobody subscribes: a success.
        serve(&mut peer, 3, |number| [0x10, 0x87, 0x00][number]);
        peer.expect_disconnect();
    });
    let finished = tool(&[&address]).finish_with("1\n2\n3\n");
    finished
        .assert_code(1)
        .assert_stderr("line 2")
        .assert_stderr("Not authorized (0x87)")
        .assert_stderr("3 read, 2 delivered, 1 rejected");
    serving.join().unwrap();
}

#[test]
fn qos_0_ends_with_every_message_at_the_broker() {
    let numbers: Vec<_> = (0..2_000).map(|number| number.to_string()).collect();
    let input = numbers.join("\n");
    let (messages, finished) = published("t", &["--qos", "0", "--retain"], input.as_bytes(), 2_000);
    finished.assert_code(0);
    assert!(
        messages
            .iter()
            .all(|message| message.qos == 0 && message.retain)
    );
    assert_eq!(messages[1_999].text(), "1999");
}

#[test]
fn envelopes_go_where_they_came_from_with_tee_and_acks_of_what_is_safe() {
    let directory = temp_dir();
    let acks = directory.path().join("acks");
    File::create(&acks).unwrap();
    let arguments = ["-J", "--tee", "--acks-to", acks.to_str().unwrap()];
    let input = b"{\"seq\":1,\"topic\":\"a\",\"value\":{\"n\": 1.10}}\n{\"seq\":2,\"topic\":\"b\",\"value_base64\":\"/wA=\"}\n";
    // Without a topic in the address.
    let (messages, finished) = published("", &arguments, input, 2);
    finished.assert_code(0);
    assert_eq!(payloads(&messages), [&b"{\"n\": 1.10}"[..], b"\xff\0"]);
    assert_eq!(
        (messages[0].topic.as_str(), messages[1].topic.as_str()),
        ("a", "b")
    );
    assert_eq!(finished.stdout, input);
    let acks = fs::read_to_string(acks).unwrap();
    assert_eq!(acks.lines().last(), Some("2"));
}

#[test]
fn a_full_disk_behind_tee_is_an_error() {
    let broker = Scripted::start();
    let address = address(&broker, "t");
    let serving = thread::spawn(move || {
        let mut peer = broker.welcome(false, &[]);
        serve(&mut peer, 1, |_| 0);
        peer.expect_disconnect();
    });
    let full = File::options().write(true).open("/dev/full").unwrap();
    let finished = tool(&[&address, "--tee"])
        .stdout_to(full)
        .finish_with("1\n");
    finished.assert_code(2).assert_stderr("stdout");
    serving.join().unwrap();
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

/// Starts the tool with a first record, which is known to be delivered: every caller asks for `--tee`.
fn wait_published(mut running: Running, broker: &Scripted) -> (Running, Peer) {
    let mut peer = broker.welcome(false, &[]);
    running.write("1\n");
    serve(&mut peer, 1, |_| 0);
    running.wait_for_lines(1);
    (running, peer)
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
fn odd_topics_are_warned_of() {
    let (_, finished) = published("/a//{b}", &[], b"{\"b\":1}\n", 1);
    finished
        .assert_code(0)
        .assert_stderr("leading slash")
        .assert_stderr("empty level");
}
