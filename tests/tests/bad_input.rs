//! Bad input to both publishers: a message that says what and where, the right exit code, no lost neighbour.

use std::{fs::File, time::Duration};

use e2e::{Counts, consumed, counts, tapping};
use tapline_testkit::{DevBrokers, Finished, Peer, Run, json_lines, temp_dir};

/// Runs a publisher on an input and gives what it left, with the rejects.
fn publish(tool: &str, arguments: &[&str], input: &[u8]) -> (Finished, Vec<serde_json::Value>) {
    let folder = temp_dir();
    let rejects = folder.path().join("rejects");
    let ran = Run::tool(tool)
        .args(arguments)
        .args(["--summary", "json", "--rejects"])
        .arg(&rejects)
        .finish_with(input);
    let rejects = std::fs::read_to_string(&rejects).unwrap_or_default();
    (ran, json_lines(&rejects))
}

/// Lines of which every second is good, what is wrong with the others, and how many bytes a line may have.
const MIXED: &[u8] = b"{\"id\":\"a\"}\r\n\
    not JSON\n\
    \n\
    {\"id\":\"b\"}\n\
    {\"other\":1}\n\
    {\"id\":\"c\"}\n\
    {\"id\":{\"x\":1}}\n\
    {\"id\":\"d\"}\n\
    {\"id\":null}\n\
    {\"id\":\"\xff\"}\n\
    {\"id\":\"e\"}\n\
    {\"id\":\"a line over the limit of fifty bytes, as one can count\"}\n\
    {\"id\":\"f\"}";

const WRONG: [(u64, &str); 6] = [
    (2, "not-json"),
    (5, "missing-field"),
    (7, "not-scalar"),
    (9, "not-scalar"),
    (10, "not-json"),
    (12, "too-long"),
];

fn assert_mixed(ran: &Finished, rejects: &[serde_json::Value]) {
    ran.assert_code(1);
    let want = Counts {
        read: 12,
        delivered: 6,
        rejected: 6,
        blank: 1,
    };
    assert_eq!(counts(ran), want, "{}", ran.stderr);
    let found: Vec<_> = rejects
        .iter()
        .map(|reject| {
            (
                reject["line"].as_u64().unwrap(),
                reject["reason"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(found, WRONG);
    assert_eq!(rejects[0]["record"], "not JSON");
    assert_eq!(rejects[1]["path"], "/id");
    assert_eq!(rejects[4]["record_base64"], "eyJpZCI6Iv8ifQ==");
    assert!(rejects[5].get("record").is_none());
}

#[test]
fn kafka_produce_rejects_what_is_bad_and_delivers_its_neighbours() {
    let brokers = DevBrokers::start_with(&["--topic", "mixed:1"]);
    let address = brokers.kafka_topic("mixed");
    let arguments = [&address, "-k", "id", "--max-record", "50"];
    let (ran, rejects) = publish("kafka-produce", &arguments, MIXED);
    assert_mixed(&ran, &rejects);
    let good: Vec<u8> = b"abcdef"
        .iter()
        .flat_map(|id| format!("{{\"id\":\"{}\"}}\n", char::from(*id)).into_bytes())
        .collect();
    assert_eq!(consumed(&brokers, "mixed", &[]), good);
}

#[test]
fn mqtt_pub_rejects_what_is_bad_and_delivers_its_neighbours() {
    let brokers = DevBrokers::start();
    let mut tap = tapping(&brokers.mqtt_topic("mixed/+"), &["-J"]);
    let address = brokers.mqtt_topic("mixed/{id}");
    let (ran, rejects) = publish("mqtt-pub", &[&address, "--max-record", "50"], MIXED);
    assert_mixed(&ran, &rejects);
    tap.wait_for_lines(6);
    let stdout = String::from_utf8(tap.stdout()).unwrap();
    let topics: Vec<_> = json_lines(&stdout)
        .iter()
        .map(|e| e["topic"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        topics,
        [
            "mixed/a", "mixed/b", "mixed/c", "mixed/d", "mixed/e", "mixed/f"
        ]
    );
}

#[test]
fn a_device_does_not_choose_its_topic_level() {
    let brokers = DevBrokers::start();
    let address = brokers.mqtt_topic("fleet/{id}/state");
    let input = b"{\"id\":\"a/b\"}\n{\"id\":\"+\"}\n{\"id\":\"#\"}\n{\"id\":\"x\\u0000\"}\n{\"id\":\"good\"}\n";
    let (ran, rejects) = publish("mqtt-pub", &[&address], input);
    ran.assert_code(1);
    assert_eq!((counts(&ran).delivered, counts(&ran).rejected), (1, 4));
    assert!(
        rejects.iter().all(|reject| reject["reason"] == "bad-field"),
        "{rejects:?}"
    );
}

#[test]
fn without_a_rejects_file_the_first_few_are_told_with_their_lines() {
    let brokers = DevBrokers::start_with(&["--topic", "told:1"]);
    let ran = Run::tool("kafka-produce")
        .args([&brokers.kafka_topic("told"), "-k", "id"])
        .finish_with("x\n".repeat(9));
    ran.assert_code(1);
    ran.assert_stderr("kafka-produce: warning: line 1: not JSON");
    ran.assert_stderr("kafka-produce: 4 more were rejected; --rejects FILE keeps them all");
    ran.assert_stderr("9 read, 0 delivered, 9 rejected");
}

#[test]
fn strict_stops_at_the_first_reject_and_keeps_what_went_before() {
    let brokers = DevBrokers::start_with(&["--topic", "strict:1"]);
    let address = brokers.kafka_topic("strict");
    let input = [
        b"{\"id\":1}\n{}\n".as_slice(),
        &b"{\"id\":2}\n".repeat(5000),
    ]
    .concat();
    let (ran, rejects) = publish("kafka-produce", &[&address, "-k", "id", "--strict"], &input);
    ran.assert_code(1);
    assert_eq!(rejects.len(), 1);
    assert!(counts(&ran).read < 5000, "{}", ran.stderr);
    let delivered = counts(&ran).delivered;
    let lines = consumed(&brokers, "strict", &[]);
    assert_eq!(
        lines.split(|byte| *byte == b'\n').count() as u64,
        delivered + 1
    );
}

#[test]
fn empty_input_is_no_error() {
    let brokers = DevBrokers::start_with(&["--topic", "empty:1"]);
    for (tool, address) in addresses(&brokers, "empty") {
        for input in ["", "\n\n\r\n"] {
            let (ran, _) = publish(tool, &[&address], input.as_bytes());
            ran.assert_code(0);
            assert_eq!(counts(&ran).read, 0, "{}", ran.stderr);
        }
    }
}

#[test]
fn a_directory_as_stdin_and_a_full_disk_as_stdout_are_told() {
    let brokers = DevBrokers::start_with(&["--topic", "odd:1"]);
    let full = || File::options().write(true).open("/dev/full").unwrap();
    for (tool, address) in addresses(&brokers, "odd") {
        let ran = Run::shell(&format!("{tool} '{address}' </")).finish();
        ran.assert_code(2);
        ran.assert_stderr("stdin: Is a directory");
        let ran = Run::tool(tool)
            .args([&address, "--tee"])
            .stdout_to(full())
            .finish_with("1\n2\n");
        ran.assert_code(2);
        ran.assert_stderr("stdout: No space left on device");
    }
    let ran = Run::tool("gen-sim")
        .args(["--count", "5", "--speed", "max"])
        .stdout_to(full())
        .finish();
    ran.assert_code(2);
    ran.assert_stderr("stdout: No space left on device");
    let tap = Run::tool("topic-tap")
        .args([
            &brokers.kafka_topic("odd"),
            "--from",
            "beginning",
            "--until-end",
        ])
        .stdout_to(full())
        .finish();
    tap.assert_code(2);
    tap.assert_stderr("stdout: No space left on device");
}

#[test]
fn a_reader_that_goes_away_ends_each_tool_quietly() {
    let brokers = DevBrokers::start_with(&["--topic", "head:1"]);
    let kafka = brokers.kafka_topic("head");
    let mqtt = brokers.mqtt_topic("head");
    for pipe in [
        "gen-sim --speed max".to_owned(),
        format!("gen-sim --speed max -q | mqtt-pub '{mqtt}' --tee"),
        format!("gen-sim --speed max -q | kafka-produce '{kafka}' --tee"),
        format!("topic-tap '{kafka}' --from beginning"),
        format!("topic-tap '{kafka}' --from beginning -J --until-end"),
    ] {
        let ran = Run::shell(&format!("({pipe}; echo \"code $?\" >&2) | head -n 2")).finish();
        assert_eq!(ran.lines().len(), 2, "{pipe}: {}", ran.stderr);
        ran.assert_stderr("code 0");
        assert!(!ran.stderr.contains("roken pipe"), "{pipe}: {}", ran.stderr);
    }
}

#[test]
fn a_schema_that_is_none_is_told_before_anything_is_sent() {
    let brokers = DevBrokers::start_with(&["--topic", "schema:1"]);
    let folder = temp_dir();
    let path = folder.path().join("bad.json");
    for (text, what) in [("{\"type\":5}", "bad.json"), ("not JSON", "bad.json")] {
        std::fs::write(&path, text).unwrap();
        for (tool, address) in addresses(&brokers, "schema") {
            let ran = Run::tool(tool)
                .args([&address, "-s"])
                .arg(&path)
                .finish_with("{}\n");
            ran.assert_code(2);
            ran.assert_stderr(what);
        }
    }
    assert_eq!(consumed(&brokers, "schema", &[]), b"");
}

#[test]
fn a_record_that_does_not_conform_is_rejected_with_the_place() {
    let brokers = DevBrokers::start_with(&["--topic", "conform:1"]);
    let folder = temp_dir();
    let schema = folder.path().join("s.json");
    std::fs::write(
        &schema,
        r#"{"title":"T","type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}"#,
    )
    .unwrap();
    let schema = schema.to_str().unwrap();
    for (tool, address) in addresses(&brokers, "conform") {
        let (ran, rejects) = publish(
            tool,
            &[&address, "-s", schema],
            b"{\"n\":1}\n{\"n\":\"x\"}\n{\"n\":1.0}\n",
        );
        ran.assert_code(1);
        assert_eq!((counts(&ran).delivered, counts(&ran).rejected), (2, 1));
        assert_eq!(rejects[0]["reason"], "invalid");
        assert_eq!(rejects[0]["path"], "/n");
        assert_eq!(rejects[0]["line"], 2);
    }
    assert_eq!(
        consumed(&brokers, "conform", &[]),
        b"{\"n\":1}\n{\"n\":1.0}\n"
    );
}

#[test]
fn an_unknown_topic_is_named_with_the_way_out() {
    let brokers = DevBrokers::start();
    let address = brokers.kafka_topic("nobody-made-it");
    let ran = Run::tool("kafka-produce").arg(&address).finish_with("1\n");
    ran.assert_code(2);
    ran.assert_stderr("'nobody-made-it'");
    ran.assert_stderr("--create-topic");
    let ran = Run::tool("kafka-produce")
        .args([&address, "--create-topic"])
        .finish_with("1\n");
    ran.assert_code(0);
    assert_eq!(consumed(&brokers, "nobody-made-it", &[]), b"1\n");
}

#[test]
fn a_port_that_speaks_another_protocol_is_told() {
    let peer = Peer::saying("SSH-2.0-OpenSSH_9.2\r\n");
    for (tool, scheme) in [("mqtt-pub", "mqtt"), ("kafka-produce", "kafka")] {
        let address = format!("{scheme}://{}/t", peer.address());
        let ran = Run::tool(tool)
            .args([&address, "--connect-timeout", "2s"])
            .limit(Duration::from_mins(2))
            .finish_with("1\n");
        ran.assert_code(2);
        ran.assert_stderr(if scheme == "mqtt" { "MQTT" } else { "Kafka" });
    }
}

fn addresses(brokers: &DevBrokers, topic: &str) -> [(&'static str, String); 2] {
    [
        ("mqtt-pub", brokers.mqtt_topic(topic)),
        ("kafka-produce", brokers.kafka_topic(topic)),
    ]
}

#[test]
fn no_message_repeats_a_control_character() {
    let brokers = DevBrokers::start_with(&["--topic", "t:1"]);
    let folder = temp_dir();
    // Clears the screen, begins a line that looks like the closing one, turns the text around.
    let forged = "\u{1b}[2J\nX: 9 read, 9 delivered, 0 rejected\u{9b}1A\u{85}\u{202e}\u{7f}";
    let schema = format!(
        "{}/../schemas/generator.schema.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let named = folder.path().join(format!("{forged}.ndjson"));
    let csv = folder.path().join(format!("{forged}.csv"));
    let value = serde_json::json!({ forged: 1, "id": forged, "t": forged });
    std::fs::write(&named, format!("{value}\n{{\n")).expect("a file of our own");
    std::fs::write(&csv, "a,b\n1\n").expect("a file of our own");
    let (named, csv) = (named.to_str().expect("text"), csv.to_str().expect("text"));
    let kafka = brokers.kafka_topic("t");
    let mqtt = brokers.mqtt_topic("t/{id}");
    let registry = format!("http://127.0.0.1:1/{forged}");
    let config = format!("/none/{forged}");
    for (tool, arguments) in [
        ("schema-check", vec!["-s", &schema, named]),
        ("schema-check", vec!["-s", &schema, "--pass", named]),
        ("schema-check", vec!["-s", named, named]),
        ("gen-sim", vec!["--replay", csv, "--speed", "max"]),
        ("kafka-produce", vec![&kafka, "--timestamp-field", "t"]),
        ("kafka-produce", vec![&kafka, "--rejects", &registry]),
        ("mqtt-pub", vec![&mqtt, "--schema", named]),
        ("mqtt-pub", vec![&mqtt, "--checkpoint", named]),
        ("topic-tap", vec![&kafka, "--config", &config]),
    ] {
        let ran = Run::tool(tool)
            .args(&arguments)
            .finish_with(format!("{value}\n"));
        assert_ne!(ran.code, Some(0), "{tool} {arguments:?}");
        let told = format!("{}{}", ran.text(), ran.stderr);
        assert!(
            told.lines().all(|line| !line.starts_with("X: ")),
            "{tool} {arguments:?}: {told:?}"
        );
        let raw = told
            .chars()
            .find(|&one| one != '\n' && (one.is_control() || one == '\u{202e}'));
        assert_eq!(raw, None, "{tool} {arguments:?}: {told:?}");
        assert!(
            told.contains(r"\u{1b}[2J"),
            "{tool} {arguments:?}: {told:?}"
        );
    }
}
