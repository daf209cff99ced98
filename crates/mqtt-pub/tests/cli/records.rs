//! What becomes of records: their topics, their bytes, and where they are told of.

use std::fs::{self, File};
use std::thread;

use tapline_testkit::scripted::Scripted;
use tapline_testkit::{json_lines, temp_dir};

use super::{address, payloads, published, serve, tool};

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
    assert!(acks.ends_with("2\nend\n"), "{acks}");
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
fn what_an_answer_needs_is_made_of_the_fields() {
    let arguments = ["--response-topic", "to/{g}", "--correlation-data", "n={n}"];
    let input = b"{\"g\":\"a\",\"n\":1.10}\n{\"g\":\"a/b\",\"n\":1}\n{\"g\":\"a\"}\n";
    let (messages, finished) = published("t", &arguments, input, 1);
    finished
        .assert_code(1)
        .assert_stderr("line 2: {g} holds '/'")
        .assert_stderr("line 3: has no field 'n'");
    // Response Topic, Correlation Data.
    assert_eq!(messages[0].properties, b"\x08\0\x04to/a\x09\0\x06n=1.10");
}
