//! Each key goes to the partition that the Java client chooses.

use std::collections::BTreeMap;

use e2e::real::{envelopes, new_topic, produce, text};
use serde_json::{Value, json};
use tapline_testkit::{RealBrokers, temp_dir};

/// Between key and value on the Java producer's lines: in no key of ours.
const SEPARATOR: &str = "\u{1}";

/// Keys of all kinds that are lines of text.
fn keys() -> Vec<String> {
    // From peers.md: hashes that begin with a set bit, and of all lengths modulo four.
    let mut keys: Vec<String> = [
        "",
        "21",
        "100:48069",
        "fd7af248-ce5c-46a5-93d7-1c0c9005b99d",
    ]
    .map(str::to_owned)
    .to_vec();
    keys.extend((0..1500).map(|number| format!("generator{number}")));
    keys.extend((0..1000_u64).map(|number| (number * 7_919).to_string()));
    // Every length up to 300, then far longer.
    keys.extend((1..300).map(|length| "ab3-".chars().cycle().take(length).collect()));
    keys.extend([1000, 4095, 4096, 10_000].map(|length| "k".repeat(length)));
    // Two, three and four bytes a character, and all printable ASCII, quotes and backslashes among them.
    for (number, letter) in ('\u{a1}'..'\u{400}').enumerate() {
        keys.push(format!("{letter}{number}"));
    }
    keys.extend(
        "温度計発電機🛢⛽🔥"
            .chars()
            .map(|letter| letter.to_string().repeat(3)),
    );
    keys.extend((' '..='~').map(|letter| format!("{letter}")));
    keys.extend(
        (0..300).map(|n| format!("{n:08x}-{:04x}-4{:03x}-{:012x}", n * 31, n % 4096, n * n)),
    );
    keys
}

/// The partition of each key in a topic.
fn homes(address: &str) -> BTreeMap<String, u64> {
    let mut homes = BTreeMap::new();
    for envelope in envelopes(address, &[]) {
        let key = envelope["key"].as_str().expect("all have keys of text");
        let partition = envelope["partition"].as_u64().expect("a partition");
        let before = homes.insert(key.to_owned(), partition);
        assert!(
            before.is_none_or(|before| before == partition),
            "{envelope}"
        );
    }
    homes
}

#[test]
fn partitions_are_those_of_the_java_producer_for_every_key() {
    let brokers = RealBrokers::shared();
    let keys = keys();
    let lines = text(keys.iter().map(|key| format!("{key}{SEPARATOR}v")));
    let records = text(keys.iter().map(|key| json!({"k": key}).to_string()));
    let folder = temp_dir();
    let settings = folder.path().join("reader.properties");
    std::fs::write(
        &settings,
        format!("parse.key=true\nkey.separator={SEPARATOR}\n"),
    )
    .expect("our own folder");
    for partitions in [12, 7] {
        let theirs = new_topic(&brokers, "java", partitions);
        let java = brokers
            .java("org.apache.kafka.tools.ConsoleProducer")
            .args(["--bootstrap-server", brokers.servers(), "--topic", &theirs])
            .arg("--reader-config")
            .arg(&settings)
            .env("JAVA_TOOL_OPTIONS", "-Dfile.encoding=UTF-8")
            .finish_with(lines.clone());
        java.assert_code(0);
        let ours = brokers.kafka_topic(&new_topic(&brokers, "ours", partitions));
        produce(&ours, &["-k", "k"], records.clone());

        let (theirs, ours) = (homes(&brokers.kafka_topic(&theirs)), homes(&ours));
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(
            theirs.len(),
            distinct.len(),
            "the Java producer took every key: {}",
            java.stderr
        );
        let differ: Vec<_> = theirs
            .iter()
            .filter(|(key, home)| ours.get(*key) != Some(home))
            .collect();
        assert!(differ.is_empty(), "of {} keys: {differ:?}", theirs.len());
        assert_eq!(ours.len(), theirs.len());
        let used: std::collections::BTreeSet<_> = theirs.values().collect();
        assert_eq!(
            used.len(),
            usize::from(partitions),
            "the keys tell partitions apart"
        );
        if partitions == 12 {
            assert_eq!(ours["100:48069"], 9);
        }
    }
}

#[test]
fn records_without_a_key_are_spread() {
    let brokers = RealBrokers::shared();
    let address = brokers.kafka_topic(&new_topic(&brokers, "keyless", 3));
    // One partition for twice the linger, then one drawn anew (KIP-480): paced, so that there are some thirty.
    produce(&address, &["--rate", "2500/s"], e2e::readings(10, 10_000));
    let mut count = BTreeMap::new();
    for envelope in envelopes(&address, &[]) {
        assert_eq!(envelope["key"], Value::Null, "{envelope}");
        *count.entry(envelope["partition"].as_u64()).or_insert(0) += 1;
    }
    assert_eq!(count.len(), 3, "{count:?}");
}
