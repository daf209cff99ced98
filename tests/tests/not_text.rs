//! Kafka keeps names as bytes: a header, a topic or a host whose name is not UTF-8 ends no tool, and takes no other
//! record along.

use std::fs;

use tapline_testkit::{
    DevBrokers, Finished, Run, json_lines,
    kafka::{RawRecord, broker_named, produce},
    temp_dir,
};

/// The embedded brokers give a group that was left to the next member only after the session timeout, 45 s by default.
const GROUP_TIMEOUT: &str = "-Xsession.timeout.ms=6000";

/// Three records, the second of which has a header that is not text.
fn with_a_bad_header(brokers: &DevBrokers) {
    let record = |value, headers| RawRecord { value, headers };
    produce(
        brokers.kafka.trim_start_matches("kafka://"),
        "t",
        &[
            record(b"1", &[(b"h", b"x")]),
            record(b"2", &[(b"h", b"x"), (b"n\xffme", b"y")]),
            record(b"3", &[]),
        ],
    );
}

fn tap(brokers: &DevBrokers, arguments: &[&str]) -> Finished {
    Run::tool("topic-tap")
        .arg(brokers.kafka_topic("t"))
        .args(["--from", "beginning", "--until-end", GROUP_TIMEOUT])
        .args(arguments)
        .finish()
}

#[test]
fn a_header_that_is_not_text_is_rejected_alone_and_its_group_goes_on() {
    let brokers = DevBrokers::start_with(&["--topic", "t:1"]);
    with_a_bad_header(&brokers);
    let folder = temp_dir();
    let file = folder.path().join("rejects");
    let path = file.to_str().expect("a path of ours");
    let options = ["-J", "--group", "g", "--rejects", path];
    let first = tap(&brokers, &options);
    first.assert_code(1);
    let values: Vec<_> = first.json_lines();
    let values: Vec<_> = values
        .iter()
        .map(|line| line["value"].to_string())
        .collect();
    assert_eq!(values, ["1", "3"]);
    let rejects = json_lines(&fs::read_to_string(&file).expect("rejects"));
    assert_eq!(rejects.len(), 1, "{rejects:?}");
    assert_eq!(rejects[0]["record"], "2");
    assert_eq!(rejects[0]["line"], 2);
    let detail = rejects[0]["detail"].as_str().expect("a sentence");
    assert!(
        detail.contains("t [0] at offset 1") && detail.contains("not UTF-8"),
        "{detail}"
    );
    // All of it is committed.
    let again = tap(&brokers, &options);
    again.assert_code(0);
    assert_eq!(again.lines().len(), 0);
}

#[test]
fn only_the_forms_that_show_headers_reject_such_a_record() {
    let brokers = DevBrokers::start_with(&["--topic", "t:1"]);
    with_a_bad_header(&brokers);
    for (options, code, output) in [
        (&[][..], 0, "1\n2\n3\n"),
        (&["--format", "%s;"], 0, "1;2;3;"),
        (&["--format", "%s %h\\n"], 1, "1 h=x\n3 \n"),
    ] {
        let ran = tap(&brokers, options);
        ran.assert_code(code);
        assert_eq!(ran.text(), output, "{options:?}");
    }
    let told = tap(&brokers, &["-J"]);
    told.assert_code(1)
        .assert_stderr("t [0] at offset 1: the name of a header is not UTF-8 text");
}

#[test]
fn a_bridge_acknowledges_past_a_record_that_has_no_envelope() {
    let brokers = DevBrokers::start_with(&["--topic", "t:1", "--topic", "u:1"]);
    with_a_bad_header(&brokers);
    // The last record is one of them, too: nothing after it takes its acknowledgement along.
    produce(
        brokers.kafka.trim_start_matches("kafka://"),
        "t",
        &[RawRecord {
            value: b"4",
            headers: &[(b"\xff", b"")],
        }],
    );
    let folder = temp_dir();
    let file = folder.path().join("rejects");
    let bridge = format!("kafka-produce {} -J -q", brokers.kafka_topic("u"));
    let options = ["--group", "g", "--exec", &bridge, "--rejects"];
    let options = [&options[..], &[file.to_str().expect("a path of ours")]].concat();
    let script = |options: &[&str]| {
        let quoted: Vec<_> = options.iter().map(|word| format!("'{word}'")).collect();
        let command = format!(
            "topic-tap {} --from beginning --until-end {GROUP_TIMEOUT} {}",
            brokers.kafka_topic("t"),
            quoted.join(" ")
        );
        Run::shell(&command).finish()
    };
    script(&options).assert_code(1);
    let bridged = Run::tool("topic-tap")
        .arg(brokers.kafka_topic("u"))
        .args(["--from", "beginning", "--until-end"])
        .finish();
    assert_eq!(bridged.text(), "1\n3\n");
    let rejects = json_lines(&fs::read_to_string(&file).expect("rejects"));
    let records: Vec<_> = rejects.iter().map(|reject| &reject["record"]).collect();
    assert_eq!(records, ["2", "4"]);
    let again = tap(&brokers, &["--group", "g"]);
    again.assert_code(0);
    assert_eq!(again.lines().len(), 0);
}

#[test]
fn brokers_and_topics_that_are_not_text_end_no_tool_with_a_panic() {
    for (host, topic) in [(&b"127.0.0.1"[..], &b"t\xff"[..]), (b"\xff\xfe", b"t")] {
        let broker = broker_named(host.to_vec(), topic.to_vec());
        let address = format!("kafka://{}", broker.address());
        let patience = ["--connect-timeout", "2s"];
        let topic = format!("{address}/t");
        let pattern = format!("{address}/^t");
        for (tool, arguments) in [
            ("topic-tap", &[address.as_str(), "--list"][..]),
            ("topic-tap", &[&topic, "--until-end"]),
            ("topic-tap", &[&pattern, "--until-end"]),
            ("topic-tap", &[&topic, "--group", "g", "--duration", "1s"]),
            ("kafka-produce", &[&topic]),
        ] {
            let ran = Run::tool(tool)
                .args(arguments)
                .args(patience)
                .finish_with("");
            assert!(
                matches!(ran.code, Some(0..=2)),
                "{tool} {arguments:?}: {:?} {}",
                ran.code,
                ran.stderr
            );
            assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
            assert!(broker.accepted() > 0);
        }
    }
}
