//! kafka-produce's arguments, messages and exit codes, where no broker is needed or none is there.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use tapline_testkit::{Peer, Run, temp_dir};

fn tool(arguments: &[&str]) -> Run {
    Run::new(env!("CARGO_BIN_EXE_kafka-produce")).args(arguments)
}

/// An address at which nobody listens.
fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn help_and_version_say_what_it_is() {
    let help = tool(&["--help"]).finish();
    help.assert_code(0);
    for part in [
        "kafka://",
        "--key",
        "--header",
        "-X",
        "--config",
        "KAFKA_CONFIG",
        "--registry",
        "SCHEMA_REGISTRY_AUTH",
        "--create-topic",
        "--delivery-timeout",
        "acks=all",
        "Exit",
    ] {
        let found = help.text().to_lowercase().contains(&part.to_lowercase());
        assert!(found, "{part} is not in the help");
    }
    let version = tool(&["--version"]).finish();
    assert!(version.assert_code(0).text().starts_with("kafka-produce "));
}

#[test]
fn wrong_arguments_are_refused_with_2() {
    let table: &[(&[&str], &str)] = &[
        (&[], "ADDRESS"),
        (&["mqtt://h/t"], "starts with kafka://"),
        (&["kafka://h"], "names no topic: kafka://h:9092/TOPIC"),
        (&["kafka://h/^t"], "is a pattern of topics"),
        (&["kafka://h:x/t"], "'x' is not a port of h"),
        (&["kafka://h/a/b"], "is not the name of a topic"),
        (
            &["kafka://h/{$topic/0}"],
            "the topic of the address: '{$topic/0}' is a member of the envelope",
        ),
        (&["kafka://h/a/{b}"], "cannot hold '/'"),
        (&["kafka://h/{+b}"], "takes no '+'"),
        (&["kafka://h/{b"], "not closed"),
        (
            &["kafka://h/t", "--max-topics", "9"],
            "--max-topics does not apply",
        ),
        (&["kafka://h/t", "-k", ""], "not an empty text"),
        (&["kafka://h/t", "-k", "{a"], "not closed"),
        (&["kafka://h/t", "-H", "novalue"], "NAME=TEMPLATE"),
        (
            &["kafka://h/t", "-k", "{$topic/1}"],
            "--key: '{$topic/1}' is a member of the envelope, and plain lines have none: use --envelope (-J)",
        ),
        (&["kafka://h/t", "-H", "a={$key}"], "--header: '{$key}' is"),
        (
            &["kafka://h/t", "-J", "-k", "{$topics}"],
            "'$topics' is not a member of the envelope",
        ),
        (
            &["kafka://h/t", "-J", "-k", "{$topic/one}"],
            "a level of the topic is a number",
        ),
        (&["kafka://h/t", "-X", "linger.ms"], "property=value"),
        (
            &["kafka://h/t", "-X", "no.such=1"],
            "No such configuration property: \"no.such\"",
        ),
        (&["kafka://h/t", "-X", "linger.ms=soon"], "linger.ms"),
        (&["kafka://h/t", "-X", "acks=1"], "idempoten"),
        (
            &["kafka://h/t", "--config", "/no/such"],
            "/no/such: No such file",
        ),
        (&["kafka://h/t", "--config", "/"], "/: "),
        (&["kafka://h/t", "-s", "/no/such.json"], "/no/such.json"),
        (&["kafka://h/t", "--register"], "--registry"),
        (
            &["kafka://h/t", "--registry", "http://r"],
            "--registry needs --schema",
        ),
        (&["kafka://h/t", "--partitions", "3"], "--create-topic"),
        (&["kafka://h/t", "--partition", "x"], "--partition"),
        (&["kafka://h/t", "-z", "rar"], "zstd"),
        (&["kafka://h/t", "--connect-timeout", "7"], "not a duration"),
        (&["kafka://h/t", "--acks-to", "/tmp/x"], "needs --envelope"),
        (&["kafka://h/t", "--rejects", "/"], "/: "),
    ];
    for (arguments, part) in table {
        let finished = tool(arguments).finish();
        assert_eq!(finished.code, Some(2), "{arguments:?}: {}", finished.stderr);
        assert!(
            finished.stderr.contains(part),
            "{arguments:?}: {}",
            finished.stderr
        );
        assert_eq!(finished.text(), "", "{arguments:?}");
    }
}

#[test]
fn secrets_are_not_taken_as_arguments_nor_repeated() {
    for arguments in [
        &["kafka://alice:hunter2@h/t"] as &[&str],
        &["kafka://alice:hun/ter2@h/t"],
        &["kafka://h/t", "-X", "sasl.password=hunter2"],
        &["kafka://h/t", "-X", "ssl.key.password=hunter2"],
    ] {
        let finished = tool(arguments).finish();
        finished.assert_code(2).assert_stderr("--config");
        assert!(!finished.stderr.contains("ter2"), "{}", finished.stderr);
    }
}

#[test]
fn a_schema_that_is_none_is_refused_before_the_brokers_are_asked() {
    let dir = temp_dir();
    let path = dir.path().join("schema.json");
    for text in ["{\"type\": 7}", "not JSON", "{\"generatorID\": \"g\"}"] {
        fs::write(&path, text).unwrap();
        let finished = tool(&["kafka://127.0.0.1:1/t", "-s", path.to_str().unwrap()]).finish();
        finished.assert_code(2).assert_stderr("schema.json");
        assert!(finished.took < Duration::from_secs(9), "{text}");
    }
}

#[test]
fn a_broker_that_is_not_there_is_an_error_within_the_timeout() {
    let servers = closed();
    let finished =
        tool(&[&format!("kafka://{servers}/t"), "--connect-timeout", "1s"]).finish_with("{}\n");
    finished.assert_code(2);
    let message = format!(
        "kafka-produce: cannot connect to {servers} within 1s: {servers}: connection refused\n"
    );
    assert_eq!(finished.stderr, message);
    assert!(
        finished.took < Duration::from_secs(9),
        "{:?}",
        finished.took
    );
}

#[test]
fn a_name_that_is_not_there_is_an_error() {
    let finished = tool(&["kafka://no-such-host.invalid/t", "--connect-timeout", "1s"]).finish();
    finished
        .assert_code(2)
        .assert_stderr("no-such-host.invalid:9092: failed to resolve");
}

#[test]
fn a_port_that_speaks_another_protocol_is_told_as_such() {
    for greeting in [
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "220 mail.example.org ESMTP\r\n",
    ] {
        let peer = Peer::saying(greeting);
        let address = format!("kafka://{}/t", peer.address());
        let finished = tool(&[&address, "--connect-timeout", "3s"]).finish_with("{}\n");
        finished
            .assert_code(2)
            .assert_stderr("does not speak Kafka's protocol");
    }
}

#[test]
fn a_port_that_wants_another_security_is_told_as_such() {
    // A plain listener for a client that wants TLS: what comes back is no handshake.
    let peer = Peer::saying("not TLS at all");
    let address = format!("kafka://{}/t", peer.address());
    let finished = tool(&[
        &address,
        "--connect-timeout",
        "3s",
        "-X",
        "security.protocol=ssl",
    ])
    .finish();
    finished
        .assert_code(2)
        .assert_stderr("does not speak TLS (security.protocol)");
}

#[test]
fn turning_off_the_check_of_the_host_name_is_said_each_time() {
    let address = format!("kafka://{}/t", closed());
    let property = "ssl.endpoint.identification.algorithm=none";
    let finished = tool(&[&address, "--connect-timeout", "1s", "-X", property]).finish();
    finished
        .assert_code(2)
        .assert_stderr("the broker's host name is not checked");
}
