//! What the tools write conforms to the schemas that describe it.

use e2e::{consumed, readings};
use tapline_testkit::http::{ScriptedHttp, status};
use tapline_testkit::{DevBrokers, Run, temp_dir};

fn schema(name: &str) -> String {
    format!(
        "{}/../schemas/{name}.schema.json",
        env!("CARGO_MANIFEST_DIR")
    )
}

/// Checks lines against one of the project's schemas, with the project's own checker.
fn assert_conforms(name: &str, lines: &[u8]) {
    assert!(!lines.is_empty(), "{name}: nothing to check");
    let ran = Run::tool("schema-check")
        .args(["-s", &schema(name)])
        .finish_with(lines);
    assert_eq!(ran.code, Some(0), "{name}: {}{}", ran.text(), ran.stderr);
}

#[test]
fn readings_conform() {
    assert_conforms("generator", &readings(50, 20_000));
}

#[test]
fn envelopes_of_both_sides_conform() {
    let brokers = DevBrokers::start_with(&["--topic", "e:1"]);
    let input = concat!(
        r#"{"key":"k","headers":[["a","1"],["a",null],["b",{"base64":"/w=="}]],"value":{"n":1}}"#,
        "\n",
        r#"{"key_base64":"/w==","value_text":"x"}"#,
        "\n",
        r#"{"tombstone":true}"#,
        "\n",
        r#"{"value_base64":"/w=="}"#,
        "\n",
    );
    let produce = Run::tool("kafka-produce").args([&brokers.kafka_topic("e"), "-J"]);
    produce.finish_with(input).assert_code(0);
    assert_conforms("envelope", &consumed(&brokers, "e", &["-J"]));

    let mut tap = e2e::tapping(&brokers.mqtt_topic("e/#"), &["-J"]);
    let publish = Run::tool("mqtt-pub")
        .args([&brokers.mqtt_topic("e/1"), "-H", "a=1", "-H", "a=2"])
        .args([
            "--content-type",
            "application/json",
            "--message-expiry",
            "60s",
        ]);
    publish
        .finish_with("{\"n\":1.10}\nplain\n\u{e9}\n")
        .assert_code(0);
    tap.wait_for_lines(3);
    assert_conforms("envelope", &tap.stdout());
}

#[test]
fn listings_of_a_cluster_conform() {
    let brokers = DevBrokers::start_with(&["--topic", "l:2"]);
    let ran = Run::tool("topic-tap")
        .args(["--list", "-J", &brokers.kafka])
        .finish();
    ran.assert_code(0);
    assert_conforms("listing", &ran.stdout);
    let entries = ran.json_lines();
    let of = |kind| entries.iter().filter(move |entry| entry["type"] == kind);
    assert_eq!((of("broker").count(), of("partition").count()), (3, 2));
    assert!(of("partition").all(|entry| entry["high"] == 0));

    let table = Run::tool("topic-tap")
        .args(["--list", &brokers.kafka_topic("l")])
        .finish();
    table.assert_code(0);
    let lines = table.lines();
    let last = lines.last().expect("a row for each partition");
    let last: Vec<_> = last.split_whitespace().collect();
    assert_eq!((&last[..2], &last[5..]), (&["l", "1"][..], &["0", "0"][..]));
}

#[test]
fn rejects_and_summaries_of_every_tool_conform() {
    let brokers = DevBrokers::start_with(&["--topic", "f:1"]);
    let folder = temp_dir();
    let csv = folder.path().join("r.csv");
    std::fs::write(&csv, "a,b\n1,2\n1\n").expect("a file of our own");
    let generator = schema("generator");
    let (kafka, mqtt) = (brokers.kafka_topic("f"), brokers.mqtt_topic("f/{id}"));
    for (tool, arguments, input) in [
        (
            "kafka-produce",
            vec![kafka.as_str(), "-k", "id"],
            "x\n{}\n{\"id\":[]}\n{\"id\":1}\n",
        ),
        (
            "mqtt-pub",
            vec![mqtt.as_str()],
            "x\n{}\n{\"id\":[]}\n{\"id\":\"a/b\"}\n{\"id\":1}\n",
        ),
        (
            "kafka-produce",
            vec![kafka.as_str(), "-J"],
            "{}\n{\"value\":1}\n",
        ),
        (
            "kafka-produce",
            vec![
                kafka.as_str(),
                "-J",
                "-k",
                "{$topic/1}",
                "-H",
                "k={$header:k}",
            ],
            "{\"value\":1}\n{\"topic\":\"a/b\",\"headers\":[[\"k\",null]],\"value\":1}\n",
        ),
        (
            "schema-check",
            vec!["--pass", "-s", &generator],
            "x\n{}\n\u{ff}\n",
        ),
        (
            "gen-sim",
            vec!["--speed", "max", "--replay", csv.to_str().expect("UTF-8")],
            "",
        ),
    ] {
        let rejects = folder.path().join("rejects");
        let ran = Run::tool(tool)
            .args(arguments)
            .args(["--summary", "json", "--rejects"])
            .arg(&rejects)
            .finish_with(input);
        ran.assert_code(1);
        assert_conforms("reject", &std::fs::read(&rejects).expect("the rejects"));
        let summary = ran.stderr.lines().rfind(|line| line.starts_with('{'));
        assert_conforms(
            "summary",
            format!("{}\n", summary.expect("a summary")).as_bytes(),
        );
    }
}

#[test]
fn reports_of_all_publishers_conform() {
    let brokers = DevBrokers::start_with(&["--topic", "r:1"]);
    let folder = temp_dir();
    let (kafka, mqtt) = (brokers.kafka_topic("r"), brokers.mqtt_topic("r/{id}"));
    let database = ScriptedHttp::answering(|_| status(204));
    let influx = format!("{}/b", database.address.replace("http://", "influx://"));
    for (tool, address, more) in [
        ("kafka-produce", &kafka, &[][..]),
        ("mqtt-pub", &mqtt, &[]),
        ("influx-write", &influx, &["--measurement", "m"]),
    ] {
        let report = folder.path().join(tool);
        let report = report.to_str().expect("a path of ours is text");
        let publish = Run::tool(tool)
            .args([address, "-J", "--report", report])
            .args(more);
        let input = concat!(
            r#"{"key":"k","value":{"id":1}}"#,
            "\n",
            r#"{"key_base64":"/w==","value":{"id":2}}"#,
            "\nbroken\n",
        );
        publish.finish_with(input).assert_code(1);
        let lines = std::fs::read(report).expect("the report was written");
        assert_eq!(lines.split_inclusive(|byte| *byte == b'\n').count(), 4);
        assert_conforms("report", &lines);
    }
}
