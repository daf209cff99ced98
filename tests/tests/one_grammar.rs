//! A line is JSON for all tools or for none.

use e2e::consumed;
use serde_json::Value;
use tapline_testkit::{DevBrokers, Run, json_lines, temp_dir};

/// Records with a field `id`, most of them odd, and whether they are JSON.
fn lines() -> Vec<(Vec<u8>, bool)> {
    let nested = |depth: usize, close: bool| {
        let closed = if close {
            "]".repeat(depth) + "}"
        } else {
            String::new()
        };
        format!("{{\"id\":\"a\",\"x\":{}{closed}", "[".repeat(depth))
    };
    let digits = |count| format!("{{\"id\":\"a\",\"n\":{}}}", "7".repeat(count));
    let texts = [
        (r#"{"id":"a"}"#.to_owned(), true),
        (r#"{"id":"a","msg":"\ud83d\ude00"}"#.to_owned(), true),
        (r#"{"id":"a","msg":"cut \ud83d"}"#.to_owned(), false),
        (r#"{"id":"a","msg":"\ude00\ud83d"}"#.to_owned(), false),
        (r#"{"msg":"\ud83d ","id":"a"}"#.to_owned(), false),
        (r#"{"id":"a","msg":"\x41"}"#.to_owned(), false),
        (r#"{"id":"a","msg":"\u+123"}"#.to_owned(), false),
        (
            "{\"id\":\"a\",\"msg\":\"\u{7f}\u{85}\u{fdd0}\u{ffff}\"}".to_owned(),
            true,
        ),
        ("{\"id\":\"a\",\"msg\":\"\0\"}".to_owned(), false),
        ("{\"id\":\"a\",\"msg\":\"\t\"}".to_owned(), false),
        ("\u{feff}{\"id\":\"a\"}".to_owned(), false),
        ("{\"id\":\"a\"}\u{a0}".to_owned(), false),
        (r#"{"id":"a",}"#.to_owned(), false),
        (r#"{"id":"a"} {"id":"b"}"#.to_owned(), false),
        (r"{'id':'a'}".to_owned(), false),
        (r#"{"id":"a","n":NaN}"#.to_owned(), false),
        (r#"{"id":"a","n":-0}"#.to_owned(), true),
        (r#"{"id":"a","n":01}"#.to_owned(), false),
        (r#"{"id":"a","n":1.}"#.to_owned(), false),
        (r#"{"id":"a","n":1e308}"#.to_owned(), true),
        (r#"{"id":"a","n":1e-999}"#.to_owned(), true),
        (r#"{"id":"a","n":1e999}"#.to_owned(), false),
        (digits(23), true),
        (digits(308), true),
        (digits(400), false),
        (r#"{"id":"b","id":"a"}"#.to_owned(), true),
        (r#"{"\u0069d":"a"}"#.to_owned(), true),
        (nested(125, true), true),
        (nested(127, true), false),
        (nested(900_000, false), false),
    ];
    let mut lines: Vec<_> = texts
        .into_iter()
        .map(|(text, json)| (text.into_bytes(), json))
        .collect();
    lines.push((b"{\"id\":\"a\",\"msg\":\"\xff\"}".to_vec(), false));
    lines.push((b"{\"id\":\"a\",\"msg\":\"\xed\xa0\xbd\"}".to_vec(), false));
    lines
}

/// Which of the lines a tool that reads them takes, by its rejects.
fn taken(tool: &str, arguments: &[&str], lines: &[(Vec<u8>, bool)]) -> Vec<bool> {
    let folder = temp_dir();
    let rejects = folder.path().join("rejects");
    let mut input = Vec::new();
    for (line, _) in lines {
        input.extend_from_slice(line);
        input.push(b'\n');
    }
    let ran = Run::tool(tool)
        .args(arguments)
        .arg("--rejects")
        .arg(&rejects)
        .finish_with(input);
    ran.assert_code(1);
    let mut taken = vec![true; lines.len()];
    let rejects = std::fs::read_to_string(&rejects).expect("there are rejects");
    for reject in json_lines(&rejects) {
        let line = usize::try_from(reject["line"].as_u64().expect("a line")).expect("a small one");
        taken[line - 1] = false;
    }
    taken
}

#[track_caller]
fn assert_verdicts(who: &str, taken: &[bool], lines: &[(Vec<u8>, bool)]) {
    assert_eq!(taken.len(), lines.len(), "{who}");
    for (taken, (line, json)) in taken.iter().zip(lines) {
        let line = String::from_utf8_lossy(&line[..line.len().min(60)]);
        assert_eq!(taken, json, "{who}: {line}");
    }
}

#[test]
fn a_line_is_json_for_all_that_read_it_or_for_none() {
    let brokers = DevBrokers::start_with(&["--topic", "keyed:1", "--topic", "checked:1"]);
    let folder = temp_dir();
    let schema = folder.path().join("any.json");
    std::fs::write(&schema, "{}").unwrap();
    let schema = schema.to_str().unwrap();
    let keyed = brokers.kafka_topic("keyed");
    let checked = brokers.kafka_topic("checked");
    let topics = brokers.mqtt_topic("grammar/{id}");
    let pointed = brokers.mqtt_topic("grammar/{/id}");
    let lines = lines();
    for (tool, arguments) in [
        (
            "gen-sim",
            &[
                "--replay",
                "-",
                "--replay-format",
                "ndjson",
                "--speed",
                "max",
            ][..],
        ),
        ("schema-check", &["-s", schema]),
        ("schema-check", &["-s", schema, "--pass"]),
        ("kafka-produce", &[&keyed, "-k", "id"]),
        ("kafka-produce", &[&keyed, "-k", "/id"]),
        ("kafka-produce", &[&checked, "-s", schema]),
        ("mqtt-pub", &[&topics]),
        ("mqtt-pub", &[&pointed]),
    ] {
        let who = format!("{tool} {arguments:?}");
        assert_verdicts(&who, &taken(tool, arguments, &lines), &lines);
    }
}

#[test]
fn an_envelope_is_json_where_its_value_is() {
    let brokers = DevBrokers::start_with(&["--topic", "envelopes:1"]);
    let address = brokers.kafka_topic("envelopes");
    let envelopes: Vec<_> = lines()
        .into_iter()
        .map(|(line, json)| ([b"{\"value\":", line.as_slice(), b"}"].concat(), json))
        .collect();
    let taken = taken("kafka-produce", &[&address, "-J"], &envelopes);
    assert_verdicts("kafka-produce -J", &taken, &envelopes);
}

#[test]
fn what_is_not_json_travels_in_an_envelope_as_text_or_base64() {
    let brokers = DevBrokers::start_with(&["--topic", "odd:1", "--topic", "copy:1"]);
    let mut lines = lines();
    // JSON by itself, but not with an envelope around it.
    let deepest = "[".repeat(127) + &"]".repeat(127);
    lines.push((deepest.into_bytes(), false));
    let mut input = Vec::new();
    for (line, _) in &lines {
        input.extend_from_slice(line);
        input.push(b'\n');
    }
    let produced = Run::tool("kafka-produce")
        .arg(brokers.kafka_topic("odd"))
        .finish_with(input.clone());
    produced.assert_code(0);
    let envelopes = consumed(&brokers, "odd", &["-J"]);
    let mut taken = Vec::new();
    for line in envelopes.split(|byte| *byte == b'\n') {
        if line.is_empty() {
            continue;
        }
        let envelope: Value = serde_json::from_slice(line).expect("an envelope is JSON");
        taken.push(envelope.get("value").is_some());
        let others = ["value_text", "value_base64"];
        let other = others.iter().any(|name| envelope.get(name).is_some());
        assert_eq!(other, envelope.get("value").is_none());
    }
    assert_verdicts("topic-tap -J", &taken, &lines);
    // Cells are taken of what is JSON, the deepest value included, and of nothing else.
    let json = lines.iter().filter(|(_, json)| *json).count() + 1;
    let tapped = Run::tool("topic-tap")
        .arg(brokers.kafka_topic("odd"))
        .args(["--from", "beginning", "--until-end", "--csv", "id"])
        .finish();
    tapped.assert_code(1);
    assert_eq!(tapped.lines().len(), 1 + json, "{}", tapped.stderr);
    // And each comes back byte for byte.
    let copied = Run::tool("kafka-produce")
        .args([&brokers.kafka_topic("copy"), "-J"])
        .finish_with(envelopes);
    copied.assert_code(0);
    assert_eq!(consumed(&brokers, "copy", &[]), input);
}
