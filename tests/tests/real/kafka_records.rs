//! Records on a real cluster: what goes in comes out, byte for byte.

use e2e::counts;
use e2e::real::{content, envelopes, new_topic, produce, producer, tapped, text};
use serde_json::json;
use tapline_testkit::{RealBrokers, Run, unique};

/// One of each kind of key, value, header and time.
const ENVELOPES: &str = r#"
{"key":"generator1","value":{"fuel": 1.10, "n":12345678901234567890},"timestamp":"2026-03-01T06:00:00.123Z"}
{"key":"","value":"an empty key","timestamp":"2026-03-01T06:00:00.124Z"}
{"value":"no key","timestamp":"1970-01-01T00:00:00.001Z"}
{"key_base64":"/wD+","value_base64":"AAEC/w==","timestamp":"2026-03-01T06:00:00.125Z"}
{"key":"größe","value_text":"not JSON, zwölf\ttabs\nand a line","timestamp":"2026-03-01T06:00:00.126Z"}
{"key":"gone","tombstone":true,"timestamp":"2026-03-01T06:00:00.127Z"}
{"key":"null","value":null,"timestamp":"2026-03-01T06:00:00.128Z"}
{"key":"nothing","value_text":"","timestamp":"2026-03-01T06:00:00.129Z"}
{"key":"h","headers":[["a","1"],["b",""],["a","2"],["none",null],["bytes",{"base64":"/w=="}]],"value":1,"timestamp":"2026-03-01T06:00:00.130Z"}
"#;

#[test]
fn a_topic_is_copied_with_keys_headers_times_and_tombstones() {
    let brokers = RealBrokers::shared();
    let [first, second] =
        ["original", "copy"].map(|name| brokers.kafka_topic(&new_topic(&brokers, name, 3)));
    let ran = produce(&first, &["-J"], ENVELOPES);
    assert_eq!(counts(&ran).delivered, 9);
    let original = tapped(&first, &["-J"]);
    produce(&second, &["-J"], original.stdout);

    let (original, copy) = (envelopes(&first, &[]), envelopes(&second, &[]));
    let sorted = |envelopes: &[_]| {
        let mut kept: Vec<_> = envelopes
            .iter()
            .map(|one| content(one).to_string())
            .collect();
        kept.sort();
        kept
    };
    assert_eq!(sorted(&original), sorted(&copy));
    // The original is what was written, too; serde_json would forgive another form of a number.
    let copied = tapped(&second, &["-J"]).text().to_owned();
    assert!(
        copied.contains(r#""value":{"fuel": 1.10, "n":12345678901234567890}"#),
        "{copied}"
    );
    for line in ENVELOPES.lines().filter(|line| !line.is_empty()) {
        let mut wanted: serde_json::Value = serde_json::from_str(line).expect("our own");
        wanted["source"] = json!("kafka");
        let found = copy.iter().any(|one| content(one) == wanted);
        assert!(found, "{wanted} isn't among {copy:#?}");
    }
}

#[test]
fn each_codec_gives_back_the_bytes_that_went_in() {
    let brokers = RealBrokers::shared();
    let mut input = Vec::new();
    for number in 0..5_000_u32 {
        // All bytes but the line's end, and lengths from 1 to 1,000.
        for at in 0..=number % 1000 {
            let [byte, ..] = (number + at * 7).to_le_bytes();
            input.push(if matches!(byte, b'\n' | b'\r') {
                b' '
            } else {
                byte
            });
        }
        input.push(b'\n');
    }
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let address = brokers.kafka_topic(&new_topic(&brokers, codec, 1));
        let ran = produce(&address, &["-z", codec], input.clone());
        assert_eq!(counts(&ran).delivered, 5_000, "{codec}");
        let got = tapped(&address, &[]).stdout;
        assert!(
            got == input,
            "{codec}: {} bytes of {}",
            got.len(),
            input.len()
        );
    }
}

#[test]
fn a_key_stays_in_one_partition_and_in_its_order() {
    let brokers = RealBrokers::shared();
    let address = brokers.kafka_topic(&new_topic(&brokers, "ordered", 7));
    produce(&address, &["-k", "k"], e2e::real::numbered(100, 0..50_000));
    e2e::real::assert_numbered(&tapped(&address, &[]).stdout, 100, 50_000);
    let mut homes = std::collections::BTreeMap::new();
    for envelope in envelopes(&address, &[]) {
        assert_eq!(envelope["key"], envelope["value"]["k"]);
        let home = homes
            .entry(envelope["key"].to_string())
            .or_insert(envelope["partition"].clone());
        assert_eq!(*home, envelope["partition"], "{envelope}");
    }
    assert_eq!(homes.len(), 100);
}

#[test]
fn a_topic_is_made_as_it_was_asked_for() {
    let brokers = RealBrokers::shared();
    let topic = unique("made");
    let options = [
        "--create-topic",
        "--partitions",
        "5",
        "--replication-factor",
        "3",
    ];
    produce(&brokers.kafka_topic(&topic), &options, "1\n").assert_stderr("made with 5 partitions");
    for partition in 0..5 {
        let (leader, in_sync) = brokers.leader(&topic, partition);
        assert!(in_sync.contains(&leader), "{leader} of {in_sync:?}");
        assert_eq!(in_sync.len(), 3, "partition {partition}");
    }
    // Once is enough.
    let again = produce(&brokers.kafka_topic(&topic), &options, "2\n");
    assert!(!again.stderr.contains("was made"), "{}", again.stderr);
    assert_eq!(tapped(&brokers.kafka_topic(&topic), &[]).lines().len(), 2);
}

#[test]
fn a_topic_that_is_not_there_is_named() {
    let brokers = RealBrokers::shared();
    let topic = unique("nowhere");
    let address = brokers.kafka_topic(&topic);
    let unknown = format!(
        "topic '{topic}' does not exist on {}",
        brokers.node("KAFKA_URL", 1)
    );
    producer(&address, &[])
        .finish_with("1\n")
        .assert_code(2)
        .assert_stderr(&unknown)
        .assert_stderr("--create-topic");
    let tap = Run::tool("topic-tap")
        .args([&address, "--until-end"])
        .finish();
    tap.assert_code(2).assert_stderr(&unknown);
    // Nor has asking made it.
    tapped_is_unknown(&address);
}

fn tapped_is_unknown(address: &str) {
    let tap = Run::tool("topic-tap")
        .args([address, "--until-end"])
        .finish();
    tap.assert_code(2).assert_stderr("does not exist");
}

#[test]
fn a_record_that_is_too_large_for_the_broker_is_rejected_alone() {
    let brokers = RealBrokers::shared();
    let address = brokers.kafka_topic(&new_topic(&brokers, "large", 1));
    // The broker takes batches of 1 MiB, as they are sent.
    let large = "x".repeat(1_500_000);
    let ran = producer(&address, &["--max-record", "4MiB", "-z", "none"])
        .finish_with(format!("before\n{large}\nafter\n"));
    ran.assert_code(1)
        .assert_stderr("line 2: refused: Message size too large");
    let counted = counts(&ran);
    assert_eq!((counted.delivered, counted.rejected), (2, 1));
    assert_eq!(tapped(&address, &[]).lines(), ["before", "after"]);
}

#[test]
fn a_tap_begins_where_it_is_told() {
    let brokers = RealBrokers::shared();
    let address = brokers.kafka_topic(&new_topic(&brokers, "start", 1));
    let lines = (0..10).map(|n| format!("{{\"n\":{n},\"t\":\"2026-03-01T00:00:0{n}Z\"}}"));
    let lines = text(lines);
    produce(&address, &["--timestamp-field", "t"], lines);
    for (from, first) in [
        ("beginning", 0),
        ("7", 7),
        ("-2", 8),
        ("2026-03-01T00:00:03.5Z", 4),
    ] {
        let tap = Run::tool("topic-tap")
            .args([&address, "--from", from, "--until-end", "-J"])
            .finish();
        tap.assert_code(0);
        let offsets: Vec<_> = tap
            .json_lines()
            .iter()
            .map(|one| one["offset"].as_u64())
            .collect();
        assert_eq!(
            offsets,
            (first..10).map(Some).collect::<Vec<_>>(),
            "--from {from}"
        );
    }
}
