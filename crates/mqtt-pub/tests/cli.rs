//! mqtt-pub's arguments, messages and exit codes, against a broker that follows a script.

#[path = "cli/fleet.rs"]
mod fleet;
#[path = "cli/records.rs"]
mod records;
#[path = "cli/session.rs"]
mod session;

use std::thread;

use tapline_testkit::scripted::{Peer, Published, Scripted};
use tapline_testkit::{Finished, Run, Running};

fn tool(arguments: &[&str]) -> Run {
    Run::new(env!("CARGO_BIN_EXE_mqtt-pub")).args(arguments)
}

fn address(broker: &Scripted, topic: &str) -> String {
    format!("{}/{topic}", broker.url())
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

/// Starts the tool with a first record, which is known to be delivered: every caller asks for `--tee`.
fn wait_published(mut running: Running, broker: &Scripted) -> (Running, Peer) {
    let mut peer = broker.welcome(false, &[]);
    running.write("1\n");
    serve(&mut peer, 1, |_| 0);
    running.wait_for_lines(1);
    (running, peer)
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
        (&["mqtt://h/t", "--will-topic", "{g}"], "need --client-per"),
        (
            &["mqtt://h/t", "--will-topic", "a", "--will-payload", "{g}"],
            "--will-payload: {fields} need",
        ),
        (&["mqtt://h/t", "--max-clients", "5"], "--client-per"),
        (
            &["mqtt://h/t", "--client-per", "g", "--max-clients", "0"],
            "from 1 up",
        ),
        (&["mqtt://h/t", "--inflight", "0"], "--inflight"),
        (
            &["mqtt://h/t", "-H", "a=b", "--mqtt-version", "3.1.1"],
            "needs MQTT 5",
        ),
        (
            &["mqtt://h/t", "--response-topic", "a/+"],
            "--response-topic",
        ),
        (&["mqtt://h/t", "--birth-topic", "{g}"], "need --client-per"),
        (&["mqtt://h/t", "--birth-payload", "x"], "--birth-topic"),
        (
            &[
                "mqtt://h/t",
                "--will-topic",
                "a",
                "--will-expiry",
                "1m",
                "--mqtt-version",
                "3.1.1",
            ],
            "--will-expiry does not apply: it needs MQTT 5",
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
        (&["mqtt://h/t", "--acks-to", "/tmp/x"], "needs --envelope"),
    ];
    refused_with_2(table);
}

#[test]
fn a_template_that_names_a_member_of_the_envelope_needs_envelopes() {
    refused_with_2(&[
        (
            &["mqtt://h/{+$topic}"],
            "the topic of the address: '{$topic}' is a member of the envelope, and plain lines have none",
        ),
        (&["mqtt://h/t", "-H", "a={$key}"], "--header: '{$key}'"),
        (
            &["mqtt://h/t", "--response-topic", "{$key}"],
            "--response-topic: '{$key}'",
        ),
        (
            &["mqtt://h/t", "--correlation-data", "{$key}"],
            "--correlation-data: '{$key}'",
        ),
        (
            &["mqtt://h/t", "--client-per", "{$key}"],
            "--client-per: '{$key}'",
        ),
        (
            &["mqtt://h/t", "--client-per", "g", "--will-topic", "{$key}"],
            "--will-topic: '{$key}'",
        ),
        (
            &[
                "mqtt://h/t",
                "--client-per=g",
                "--birth-topic=b",
                "--birth-payload={$key}",
            ],
            "--birth-payload: '{$key}'",
        ),
        (
            &["mqtt://h/t", "-J", "--will-topic", "{$key}"],
            "need --client-per",
        ),
    ]);
}

fn refused_with_2(table: &[(&[&str], &str)]) {
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
fn odd_topics_are_warned_of() {
    let others = [
        ["--response-topic", "r/é"],
        ["--will-topic", "w/"],
        ["--birth-topic", "$b"],
    ];
    // The birth message comes first.
    let (_, finished) = published("/a//{b c}", &others.concat(), b"{\"b c\":1}\n", 2);
    finished
        .assert_code(0)
        .assert_stderr("the topic of the address: a leading slash")
        .assert_stderr("the topic of the address: it has an empty level")
        .assert_stderr("--response-topic: it holds characters outside ASCII")
        .assert_stderr("--will-topic: it has an empty level")
        .assert_stderr("--birth-topic: topics that begin with $");
    // A field's name is no part of the topic.
    assert!(!finished.stderr.contains("space"), "{}", finished.stderr);
}
