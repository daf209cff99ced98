//! What the tests on the real brokers share: topics of their own, and what went in and came out.

use std::{sync::OnceLock, time::Duration};

use serde_json::{Value, json};
use tapline_testkit::{Finished, RealBrokers, Run, real::workspace, unique};

/// How long a step on the real brokers may take: far longer than it ever should.
pub const PATIENCE: Duration = Duration::from_mins(5);

/// A topic that no other test uses, with three replicas, of which two must be in sync for a record to be taken.
///
/// # Panics
///
/// When it can't be made.
#[must_use]
#[track_caller]
pub fn new_topic(brokers: &RealBrokers, name: &str, partitions: u16) -> String {
    let topic = unique(name);
    let made = Run::tool("kafka-produce")
        .args([&brokers.kafka_topic(&topic), "--create-topic"])
        .args(["--partitions", &partitions.to_string()])
        .args(["--replication-factor", "3"])
        .limit(PATIENCE)
        .finish();
    made.assert_code(0)
        .assert_stderr(&format!("made with {partitions} partitions"));
    topic
}

/// `kafka-produce` to an address, with the summary as JSON.
#[must_use]
#[track_caller]
pub fn producer(address: &str, arguments: &[&str]) -> Run {
    Run::tool("kafka-produce")
        .args([address, "--summary", "json"])
        .args(arguments)
        .limit(PATIENCE)
}

/// Produces `input`, all of which must be delivered.
///
/// # Panics
///
/// When it isn't.
#[track_caller]
pub fn produce(address: &str, arguments: &[&str], input: impl Into<Vec<u8>>) -> Finished {
    let ran = producer(address, arguments).finish_with(input);
    ran.assert_code(0);
    ran
}

/// What a topic holds, as `topic-tap` writes it.
///
/// # Panics
///
/// When it fails.
#[must_use]
#[track_caller]
pub fn tapped(address: &str, arguments: &[&str]) -> Finished {
    let ran = Run::tool("topic-tap")
        .args([address, "--from", "beginning", "--until-end", "-q"])
        .args(arguments)
        .limit(PATIENCE)
        .finish();
    ran.assert_code(0);
    ran
}

/// What a topic holds, as envelopes in the order of partition and offset.
///
/// # Panics
///
/// When the tap fails.
#[must_use]
#[track_caller]
pub fn envelopes(address: &str, arguments: &[&str]) -> Vec<Value> {
    let arguments = [&["-J"], arguments].concat();
    let mut envelopes = tapped(address, &arguments).json_lines();
    envelopes.sort_by_key(|envelope| (envelope["partition"].as_u64(), envelope["offset"].as_u64()));
    envelopes
}

/// What a topic holds, as `kcat -C` writes it with this form (`-f`).
///
/// # Panics
///
/// When it fails.
#[must_use]
#[track_caller]
pub fn read_by_kcat(brokers: &RealBrokers, topic: &str, form: &str) -> Vec<u8> {
    let kcat = brokers
        .kcat()
        .args(["-C", "-q", "-e", "-o", "beginning", "-t", topic, "-f", form])
        .finish();
    kcat.assert_code(0);
    kcat.stdout
}

/// What of an envelope a copy keeps: all but its number, its topic and its place there.
///
/// # Panics
///
/// When it is no object.
#[must_use]
#[track_caller]
pub fn content(envelope: &Value) -> Value {
    let mut kept = envelope.clone();
    let members = kept.as_object_mut().expect("an envelope is an object");
    for place in ["seq", "topic", "partition", "offset"] {
        members.remove(place);
    }
    kept
}

/// One of the Python programs in `tests/peers`, with what it needs.
///
/// # Panics
///
/// When that can't be installed.
#[must_use]
#[track_caller]
pub fn python(program: &str) -> Run {
    static PEERS: OnceLock<()> = OnceLock::new();
    PEERS.get_or_init(|| {
        let peers = Run::new(workspace().join("scripts/peers"))
            .limit(PATIENCE)
            .finish();
        peers.assert_code(0);
    });
    Run::new(workspace().join("target/python/bin/python"))
        .arg(workspace().join("tests/peers").join(program))
        .current_dir(workspace())
        .limit(PATIENCE)
}

/// Lines as a text, each with its end.
#[must_use]
pub fn text(lines: impl IntoIterator<Item = String>) -> String {
    let mut text = String::new();
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// Records with a key and their number among those of this key: record `i` of `count` is number `i / keys` of the key
/// `d` and `i % keys`. What was lost, doubled or put out of order shows in the numbers.
#[must_use]
pub fn numbered(keys: usize, range: std::ops::Range<usize>) -> Vec<u8> {
    let mut lines = Vec::with_capacity(range.len() * 32);
    for record in range {
        let line = format!("{{\"k\":\"d{}\",\"n\":{}}}\n", record % keys, record / keys);
        lines.extend_from_slice(line.as_bytes());
    }
    lines
}

/// Checks that a plain tap's output holds `count` records of [`numbered`], each once, those of a key in their order.
///
/// # Panics
///
/// When it doesn't.
#[track_caller]
pub fn assert_numbered(output: &[u8], keys: usize, count: usize) {
    let mut next = vec![0; keys];
    for line in output
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let record: Value = serde_json::from_slice(line).expect("a record of ours");
        let key = record["k"].as_str().and_then(|key| key[1..].parse().ok());
        let key: usize = key.expect("a key of ours");
        assert_eq!(record["n"], json!(next[key]), "of the key d{key}");
        next[key] += 1;
    }
    assert_eq!(next.iter().sum::<usize>(), count, "lost at a key's end");
}
