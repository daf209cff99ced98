//! What the pipelines in `tests/` share: the closing line as numbers, inputs, and taps that are ready.

pub mod devices;
pub mod mqtt;
pub mod real;

use std::collections::BTreeMap;

use serde_json::Value;
use tapline_testkit::{DevBrokers, Finished, Run, Running};

/// The counts of a closing line (`--summary json`), after checking that they add up.
///
/// # Panics
///
/// When stderr has no such line, or `read` isn't `delivered + rejected`.
#[must_use]
#[track_caller]
pub fn counts(ran: &Finished) -> Counts {
    let line = ran.stderr.lines().rev().find(|line| line.starts_with('{'));
    let line = line.unwrap_or_else(|| panic!("no summary in {:?}", ran.stderr));
    let summary: Value = serde_json::from_str(line).expect("a summary is JSON");
    let number = |name: &str| summary[name].as_u64().expect("a summary has counts");
    let counts = Counts {
        read: number("read"),
        delivered: number("delivered"),
        rejected: number("rejected"),
        blank: number("blank"),
    };
    assert_eq!(counts.read, counts.delivered + counts.rejected, "{line}");
    counts
}

/// The numbers of a closing line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Records read.
    pub read: u64,
    /// Records handled.
    pub delivered: u64,
    /// Records that were not.
    pub rejected: u64,
    /// Blank lines.
    pub blank: u64,
}

/// `gen-sim`'s readings, as bytes.
///
/// # Panics
///
/// When it fails.
#[must_use]
#[track_caller]
pub fn readings(generators: u32, count: u32) -> Vec<u8> {
    let ran = Run::tool("gen-sim")
        .args(["--generators", &generators.to_string()])
        .args(["--count", &count.to_string(), "--speed", "max", "-q"])
        .finish();
    ran.assert_code(0);
    ran.stdout
}

/// Lines with how often each occurs, for comparing without regard to order.
#[must_use]
pub fn tally(bytes: &[u8]) -> BTreeMap<&[u8], usize> {
    let mut tally = BTreeMap::new();
    for line in bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        *tally.entry(line).or_default() += 1;
    }
    tally
}

/// A tap that is subscribed.
#[must_use]
#[track_caller]
pub fn tapping(address: &str, arguments: &[&str]) -> Running {
    let mut tap = Run::tool("topic-tap")
        .args([address, "-v"])
        .args(arguments)
        .start();
    tap.wait_for_stderr(": tapping");
    tap
}

/// Everything in a Kafka topic, as plain lines or with further arguments.
#[must_use]
#[track_caller]
pub fn consumed(brokers: &DevBrokers, topic: &str, arguments: &[&str]) -> Vec<u8> {
    let ran = Run::tool("topic-tap")
        .arg(brokers.kafka_topic(topic))
        .args(["--from", "beginning", "--until-end"])
        .args(arguments)
        .finish();
    ran.assert_code(0);
    ran.stdout
}
