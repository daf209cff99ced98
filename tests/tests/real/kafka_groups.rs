//! A consumer group whose members come and are killed in mid-stream.

use std::collections::{BTreeMap, BTreeSet};

use e2e::real::{PATIENCE, new_topic, numbered, producer, python};
use serde_json::Value;
use tapline_testkit::{RealBrokers, Run, Running, Signal, unique, wait_until};

const COUNT: usize = 60_000;

/// A partition and an offset in it.
type Place = (u64, u64);

/// Where the records are from that a tap has written, in the order of its output.
fn places(tap: &Running) -> Vec<Place> {
    let stdout = tap.stdout();
    // One that was killed may have been in the middle of a line.
    let lines = stdout
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| line.ends_with(b"\n"));
    let place = |line: &[u8]| {
        let envelope: Value = serde_json::from_slice(line).expect("an envelope");
        let number = |name: &str| envelope[name].as_u64().expect("a place in the topic");
        (number("partition"), number("offset"))
    };
    lines.map(place).collect()
}

/// The group's committed offsets: a partition's next one.
fn committed(brokers: &RealBrokers, group: &str, topic: &str) -> BTreeMap<u64, u64> {
    let ran = python("committed.py")
        .args([brokers.servers(), group, topic, "6"])
        .finish();
    ran.assert_code(0);
    let told: BTreeMap<String, u64> = serde_json::from_slice(&ran.stdout).expect("JSON");
    told.into_iter()
        .map(|(partition, offset)| (partition.parse().expect("a number"), offset))
        .collect()
}

/// Checks that what is repeated was not committed at the time that `committed` is from.
#[track_caller]
fn assert_uncommitted(
    repeated: impl IntoIterator<Item = Place>,
    committed: &BTreeMap<u64, u64>,
    when: &str,
) {
    for (partition, offset) in repeated {
        let next = committed.get(&partition).copied().unwrap_or(0);
        assert!(
            offset >= next,
            "{when}, offset {offset} of partition {partition} came again, with {next} committed"
        );
    }
}

fn member(address: &str, group: &str) -> Running {
    Run::tool("topic-tap")
        .args([address, "--group", group, "--from", "beginning", "-J", "-v"])
        // The shortest that the brokers allow: so long it takes until a dead member's partitions are given away.
        .args([
            "-X",
            "session.timeout.ms=6000",
            "-X",
            "heartbeat.interval.ms=500",
        ])
        .limit(PATIENCE)
        .start()
}

#[test]
fn a_group_that_grows_and_loses_a_member_loses_no_record_and_repeats_only_the_uncommitted() {
    let brokers = RealBrokers::shared();
    let topic = new_topic(&brokers, "shared", 6);
    let address = brokers.kafka_topic(&topic);
    let group = unique("group");
    // In three parts, so that there is something to read for whoever is there at the time.
    let part = |from: usize, to: usize| numbered(1000, COUNT * from / 3..COUNT * to / 3);
    let mut source = producer(&address, &["-k", "k", "--rate", "8000/s"]).start();
    source.write(part(0, 1));

    let mut stays = member(&address, &group);
    wait_until(
        PATIENCE,
        "the first member has committed in each partition",
        || committed(&brokers, &group, &topic).len() == 6,
    );
    let at_joining = committed(&brokers, &group, &topic);
    let mut goes = member(&address, &group);
    goes.wait_for_stderr("partitions assigned");
    source.write(part(1, 2));
    goes.wait_for_lines(1);
    let mut at_death = BTreeMap::new();
    wait_until(
        PATIENCE,
        "the second member has committed in each of its partitions",
        || {
            at_death = committed(&brokers, &group, &topic);
            let first = places(&goes).into_iter().rev().collect::<BTreeMap<_, _>>();
            first.len() > 1
                && first
                    .iter()
                    .all(|(partition, offset)| at_death[partition] > *offset)
        },
    );
    goes.signal(Signal::KILL);
    let before = places(&stays);
    let lines = before.len();
    let before: BTreeSet<Place> = before.into_iter().collect();
    let its: BTreeSet<Place> = places(&goes).into_iter().collect();
    source.write(part(2, 3));
    source.wait().assert_code(0);
    wait_until(PATIENCE, "every record was written", || {
        // It is looked closer only when there are enough.
        stays.has_ended()
            || stays.stdout_lines() + its.len() >= COUNT
                && places(&stays)
                    .into_iter()
                    .chain(its.clone())
                    .collect::<BTreeSet<_>>()
                    .len()
                    >= COUNT
    });

    let all: BTreeSet<Place> = places(&stays).into_iter().chain(its.clone()).collect();
    assert_eq!(all.len(), COUNT);
    for partition in 0..6 {
        let offsets: Vec<u64> = all
            .iter()
            .filter(|place| place.0 == partition)
            .map(|place| place.1)
            .collect();
        assert!(
            offsets.iter().copied().eq(0..offsets.len() as u64),
            "partition {partition} lacks some"
        );
    }
    let after: Vec<Place> = places(&stays).split_off(lines);
    assert!(
        after
            .iter()
            .any(|(partition, _)| its.iter().any(|(its, _)| its == partition))
    );
    assert_uncommitted(
        its.intersection(&before).copied(),
        &at_joining,
        "when one joined",
    );
    let again = after
        .into_iter()
        .filter(|place| its.contains(place) || before.contains(place));
    assert_uncommitted(again, &at_death, "when one was killed");

    stays.signal(Signal::TERM);
    stays.wait().assert_code(143);
    // And all is committed.
    let ends = all.iter().copied().collect::<BTreeMap<_, _>>();
    for (partition, last) in ends {
        assert_eq!(committed(&brokers, &group, &topic)[&partition], last + 1);
    }
}
