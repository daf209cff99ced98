//! A publisher with `--schema` meets a record that is made to take memory: it is rejected like any other, its neighbours
//! arrive, and the memory stays small.

use std::fs;

use e2e::{Counts, counts};
use serde_json::json;
use tapline_testkit::{DevBrokers, LIMIT, Run, json_lines, temp_dir, wait_until};

const MIB: u64 = 1024 * 1024;

#[track_caller]
fn assert_small(tool: &str, address: &[&str]) {
    let folder = temp_dir();
    let (file, rejects) = (folder.path().join("s.json"), folder.path().join("rejects"));
    let mut branches = vec![json!({"type": "number"})];
    for operator in ["and", "or", "not", "=", "<", ">", "+", "-", "*", "/"] {
        branches.push(json!({
            "properties": {"op": {"const": operator}, "args": {"items": {"$ref": "#/$defs/e"}}},
            "required": ["op", "args"],
            "type": "object"
        }));
    }
    let schema = json!({"$ref": "#/$defs/e", "$defs": {"e": {"oneOf": branches}}});
    fs::write(&file, schema.to_string()).unwrap();
    let record = |leaf: &str| r#"{"op":"+","args":[1,"#.repeat(12) + leaf + &"]}".repeat(12);
    let lines = [record("2"), record("\"x\""), record("3"), "[".to_owned()];

    let mut running = Run::tool(tool)
        .args(address)
        .args(["--summary", "json", "--schema"])
        .arg(&file)
        .arg("--rejects")
        .arg(&rejects)
        .start();
    running.write(lines.join("\n") + "\n");
    wait_until(LIMIT, "both rejects are written", || {
        fs::read_to_string(&rejects).is_ok_and(|text| text.lines().count() == 2)
    });
    let peak = running.peak_memory().expect("a system that tells it");
    let finished = running.wait();
    finished.assert_code(1);
    let want = Counts {
        read: 4,
        delivered: 2,
        rejected: 2,
        blank: 0,
    };
    assert_eq!(counts(&finished), want, "{}", finished.stderr);
    let rejects = json_lines(&fs::read_to_string(&rejects).unwrap());
    assert_eq!(rejects[0]["reason"], "invalid");
    assert!(peak < 60 * MIB + 64 * MIB, "{tool}: {} MiB", peak / MIB);
}

#[test]
fn a_record_that_is_made_to_take_memory_is_rejected_by_kafka_produce() {
    let brokers = DevBrokers::start();
    let address = brokers.kafka_topic("expressions");
    assert_small("kafka-produce", &[&address, "--create-topic"]);
}

#[test]
fn a_record_that_is_made_to_take_memory_is_rejected_by_mqtt_pub() {
    let brokers = DevBrokers::start();
    assert_small("mqtt-pub", &[&brokers.mqtt_topic("expressions")]);
}
