//! The main job: readings are validated, published, bridged and consumed, and each arrives once.

use std::collections::BTreeMap;

use e2e::{consumed, counts, readings, tally, tapping};
use tapline_testkit::{DevBrokers, Run, Signal, temp_dir};

const SCHEMA: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../schemas/generator.schema.json"
);

#[test]
fn readings_go_from_the_fleet_to_kafka_by_way_of_mqtt_and_none_is_lost() {
    let brokers = DevBrokers::start_with(&["--topic", "readings:4"]);
    let sent = readings(7, 3000);
    let filter = brokers.mqtt_topic("emergency_generator/+");
    let command = format!(
        "kafka-produce '{}' -J -k generatorID -s '{SCHEMA}' --registry {} --register --summary json",
        brokers.kafka_topic("readings"),
        brokers.registry
    );
    let mut bridge = Run::shell(&format!("exec topic-tap '{filter}' -v --exec \"$COMMAND\""))
        .env("COMMAND", command)
        .start();
    bridge.wait_for_stderr(": tapping");
    let mut other = tapping(&filter, &[]);

    let published = Run::shell(&format!(
        "schema-check --pass -s '{SCHEMA}' | mqtt-pub '{}' --summary json",
        brokers.mqtt_topic("emergency_generator/{generatorID}")
    ))
    .finish_with(sent.clone());
    published.assert_code(0);
    assert_eq!(counts(&published).delivered, 3000);
    other.wait_for_lines(3000);
    // One publisher, one topic each: MQTT keeps the order of each generator.
    let tapped = other.stdout();
    assert_eq!(by_generator(&tapped), by_generator(&sent));

    let registry = ["--registry", brokers.registry.as_str()];
    let mut tap = tapping(
        &brokers.kafka_topic("readings"),
        &[&["--from", "beginning"][..], &registry].concat(),
    );
    tap.wait_for_lines(3000);
    tap.signal(Signal::TERM);
    let tap = tap.wait();
    tap.assert_code(143);
    assert_eq!(
        by_generator(&tap.stdout),
        by_generator(&sent),
        "in order, byte for byte"
    );

    bridge.signal(Signal::TERM);
    let bridge = bridge.wait();
    bridge.assert_code(143);
    assert_eq!(counts(&bridge).delivered, 3000);
    // What the registry's frame was taken off is what was sent; the frame is there without it.
    let framed = consumed(&brokers, "readings", &[]);
    assert!(
        framed.starts_with(&[0, 0, 0, 0]),
        "a frame begins with 00 and the id"
    );
}

/// The lines of each generator, in order.
fn by_generator(bytes: &[u8]) -> BTreeMap<String, Vec<String>> {
    let text = str::from_utf8(bytes).expect("readings are text");
    let mut generators: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for line in text.lines() {
        let id = line
            .split('"')
            .nth(3)
            .expect("a reading begins with its generator");
        generators
            .entry(id.to_owned())
            .or_default()
            .push(line.to_owned());
    }
    generators
}

#[test]
fn a_key_stays_in_one_partition_and_in_order() {
    let brokers = DevBrokers::start_with(&["--topic", "keyed:5"]);
    let sent = readings(20, 5000);
    let produced = Run::tool("kafka-produce")
        .args([&brokers.kafka_topic("keyed"), "-k", "generatorID"])
        .args(["--summary", "json"])
        .finish_with(sent.clone());
    produced.assert_code(0);
    assert_eq!(counts(&produced).delivered, 5000);
    let plain = consumed(&brokers, "keyed", &[]);
    assert_eq!(by_generator(&plain), by_generator(&sent));

    let envelopes = consumed(&brokers, "keyed", &["-J"]);
    let mut partition_of = BTreeMap::new();
    for envelope in tapline_testkit::json_lines(str::from_utf8(&envelopes).expect("JSON")) {
        let key = envelope["key"]
            .as_str()
            .expect("each has its key")
            .to_owned();
        assert_eq!(envelope["value"]["generatorID"], envelope["key"]);
        let partition = envelope["partition"].clone();
        let first = partition_of.entry(key).or_insert_with(|| partition.clone());
        assert_eq!(*first, partition);
    }
    assert_eq!(partition_of.len(), 20);
}

#[test]
fn a_recording_goes_through_the_same_pipe() {
    let brokers = DevBrokers::start_with(&["--topic", "recorded:1"]);
    let folder = temp_dir();
    let path = folder.path().join("recording.csv");
    let rows: String = (0..500).fold("timestamp,value\n".to_owned(), |rows, row| {
        rows + &format!("2013-12-02 21:{:02}:00,{row}.{row}0\n", row % 60)
    });
    std::fs::write(&path, rows).expect("a file of our own");
    let schema = SCHEMA.replace("generator.schema", "machine-temperature.schema");
    let ran = Run::shell(&format!(
        "gen-sim --replay '{}' --speed max | schema-check --pass -s '{schema}' | tee sent | \
         kafka-produce '{}' --summary json",
        path.display(),
        brokers.kafka_topic("recorded")
    ))
    .current_dir(folder.path())
    .finish();
    ran.assert_code(0);
    assert_eq!(counts(&ran).delivered, 500);
    let sent = std::fs::read(folder.path().join("sent")).expect("tee has written it");
    assert_eq!(consumed(&brokers, "recorded", &[]), sent);
    assert!(sent.starts_with(br#"{"timestamp":"2013-12-02 21:00:00","value":0.00}"#));
}

#[test]
fn an_envelope_carries_a_record_from_topic_to_topic_whole() {
    let brokers = DevBrokers::start_with(&["--topic", "from:2", "--topic", "to:2"]);
    let lines = concat!(
        r#"{"key":"k1","headers":[["a","1"],["a",null],["b",{"base64":"/w=="}]],"timestamp":"2026-03-01T06:00:00.123Z","value":{"n":1.10, "big":12345678901234567890}}"#,
        "\n",
        r#"{"key_base64":"/wA=","value_text":"not JSON\nat all"}"#,
        "\n",
        r#"{"key":"","value_base64":"AP8="}"#,
        "\n",
        r#"{"key":"gone","tombstone":true}"#,
        "\n",
    );
    let produce = |topic: &str, input: Vec<u8>| {
        let ran = Run::tool("kafka-produce")
            .args([&brokers.kafka_topic(topic), "-J", "--summary", "json"])
            .finish_with(input);
        ran.assert_code(0);
        assert_eq!(counts(&ran).delivered, 4);
    };
    produce("from", lines.into());
    let first = consumed(&brokers, "from", &["-J"]);
    produce("to", first.clone());
    let second = consumed(&brokers, "to", &["-J"]);
    let strip = |bytes: &[u8]| {
        let mut records: Vec<_> = tapline_testkit::json_lines(str::from_utf8(bytes).expect("JSON"));
        for record in &mut records {
            for name in ["seq", "topic", "offset"] {
                assert!(
                    record
                        .as_object_mut()
                        .expect("an envelope")
                        .remove(name)
                        .is_some(),
                    "{name}"
                );
            }
        }
        let mut texts: Vec<_> = records.iter().map(ToString::to_string).collect();
        texts.sort();
        texts
    };
    assert_eq!(strip(&first), strip(&second));
    let text = String::from_utf8(second).expect("JSON");
    for part in [
        r#""value":{"n":1.10, "big":12345678901234567890}"#,
        r#""headers":[["a","1"],["a",null],["b",{"base64":"/w=="}]]"#,
        r#""timestamp":"2026-03-01T06:00:00.123Z""#,
        r#""key_base64":"/wA=","#,
        r#""value_text":"not JSON\nat all""#,
        r#""value_base64":"AP8=""#,
        r#""key":"gone","tombstone":true"#,
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn several_sources_come_out_as_whole_lines() {
    let brokers = DevBrokers::start_with(&["--topic", "both:3"]);
    let sent = readings(5, 4000);
    let mut tap = Run::tool("topic-tap")
        .args([brokers.mqtt_topic("both/#"), brokers.kafka_topic("both")])
        .args(["-v", "--from", "beginning"])
        .start();
    // Each address says so once.
    tap.wait_for_stderr("both/#: tapping");
    tap.wait_for_stderr("/both: tapping");
    let publish = Run::tool("mqtt-pub").arg(brokers.mqtt_topic("both/{generatorID}"));
    let produce = Run::tool("kafka-produce").arg(brokers.kafka_topic("both"));
    let mut running = [publish.start(), produce.start()];
    for tool in &mut running {
        tool.feed(sent.clone());
    }
    for tool in running {
        tool.wait().assert_code(0);
    }
    tap.wait_for_lines(8000);
    let twice: BTreeMap<_, _> = tally(&sent)
        .into_iter()
        .map(|(line, n)| (line, 2 * n))
        .collect();
    let stdout = tap.stdout();
    assert_eq!(tally(&stdout), twice);
}
