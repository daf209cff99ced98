//! Brokers that are killed and paused while records are produced: none is lost, none doubled, each key in order.

use std::time::Duration;

use e2e::counts;
use e2e::real::{PATIENCE, assert_numbered, new_topic, numbered, produce, producer, tapped};
use serde_json::json;
use tapline_testkit::{BrokersAlone, Run, Running, real::NODES, wait_until};

const KEYS: usize = 1000;

/// The most that a tool may hold, whatever the input.
const MEMORY: u64 = 100_000_000;

#[test]
fn a_million_records_survive_a_broker_that_is_killed_and_comes_back() {
    const COUNT: usize = 1_000_000;
    let brokers = BrokersAlone::take();
    let topic = new_topic(&brokers, "killed", 6);
    let address = brokers.kafka_topic(&topic);
    // Paced, so that records are on their way whenever it happens.
    let mut running = producer(&address, &["-k", "k", "--rate", "70000/s"]).start();
    running.write(numbered(KEYS, 0..COUNT / 10));
    std::thread::scope(|scope| {
        let restart = scope.spawn(|| {
            brokers.kill(2);
            brokers.up();
        });
        running.write(numbered(KEYS, COUNT / 10..COUNT * 9 / 10));
        restart.join().expect("it is killed and comes back");
    });
    // With the broker back.
    running.write(numbered(KEYS, COUNT * 9 / 10..COUNT));
    let ran = running.wait();
    ran.assert_code(0).assert_stderr(&format!(
        "{}: connection refused; trying on",
        brokers.node("KAFKA_URL", 2)
    ));
    assert_eq!(counts(&ran).delivered, COUNT as u64);
    brokers.wait_until_in_sync(&topic, 6);
    assert_numbered(&tapped(&address, &[]).stdout, KEYS, COUNT);
}

#[test]
fn two_of_three_brokers_down_hold_the_input_up_in_flat_memory_until_they_return() {
    const COUNT: usize = 40_000;
    let brokers = BrokersAlone::take();
    let topic = new_topic(&brokers, "alone", 3);
    let address = brokers.kafka_topic(&topic);
    let mut running = producer(&address, &["-k", "k", "--tee"]).start();
    running.write(numbered(KEYS, 0..KEYS));
    running.wait_for_lines(KEYS);
    // The one that is left may take nothing: two must be in sync. Nor can it elect anybody.
    brokers.kill(1);
    brokers.kill(2);
    // More than it may hold.
    let pad = format!(",\"pad\":\"{}\"}}\n", "x".repeat(3000));
    let rest = String::from_utf8(numbered(KEYS, KEYS..COUNT)).expect("text");
    let rest = rest.replace("}\n", &pad);
    let size = rest.len() as u64;
    assert!(size > MEMORY);
    running.feed(rest);
    wait_until_it_stops_reading(&running);
    assert!(read_bytes(&running) < size, "the input is held up");
    let peak = running.peak_memory().expect("Linux tells");
    assert!(peak < MEMORY, "it held {peak} bytes");
    let delivered = running.stdout_lines();
    assert!(delivered < COUNT, "{delivered} are called delivered");

    brokers.up();
    let mut peak = 0;
    wait_until(PATIENCE, "all is delivered", || {
        // Once it has ended, nobody tells any more.
        peak = running.peak_memory().unwrap_or(peak);
        running.stdout_lines() == COUNT || running.has_ended()
    });
    assert!(peak < MEMORY, "it held {peak} bytes");
    let ran = running.wait();
    ran.assert_code(0);
    assert_eq!(counts(&ran).delivered, COUNT as u64);
    assert_numbered(&tapped(&address, &[]).stdout, KEYS, COUNT);
}

#[test]
fn a_leader_that_stalls_and_is_replaced_loses_and_doubles_nothing() {
    const PART: usize = 20_000;
    let brokers = BrokersAlone::take();
    let topic = new_topic(&brokers, "stalled", 1);
    let address = brokers.kafka_topic(&topic);
    let mut running = producer(&address, &["-k", "k", "--tee"]).start();
    running.write(numbered(KEYS, 0..PART));
    running.wait_for_lines(1);
    // With records on their way to it.
    let (leader, _) = brokers.leader(&topic, 0);
    brokers.pause(leader);
    running.write(numbered(KEYS, PART..PART + 1000));
    wait_until(PATIENCE, "another broker leads", || {
        let (now, _) = brokers.leader(&topic, 0);
        now != leader && NODES.contains(&now)
    });
    brokers.resume(leader);
    running.write(numbered(KEYS, PART + 1000..2 * PART));
    let ran = running.wait();
    ran.assert_code(0);
    assert_eq!(counts(&ran).delivered, 2 * PART as u64);
    assert_numbered(&tapped(&address, &[]).stdout, KEYS, 2 * PART);
}

#[test]
fn a_tap_goes_on_when_the_broker_that_it_reads_from_is_killed() {
    const COUNT: usize = 30_000;
    let brokers = BrokersAlone::take();
    let topic = new_topic(&brokers, "tapped", 3);
    let address = brokers.kafka_topic(&topic);
    let mut tap = e2e::tapping(&address, &["--from", "beginning", "--count", "30000"]);
    let mut running = producer(&address, &["-k", "k"]).start();
    running.write(numbered(KEYS, 0..COUNT / 2));
    wait_until(PATIENCE, "the tap has the first half", || {
        tap.stdout_lines() == COUNT / 2 || tap.has_ended()
    });
    brokers.kill(brokers.leader(&topic, 0).0);
    running.write(numbered(KEYS, COUNT / 2..COUNT));
    running.wait().assert_code(0);
    wait_until(PATIENCE, "the tap has all", || tap.has_ended());
    assert_numbered(&tap.wait().assert_code(0).stdout, KEYS, COUNT);
}

#[test]
fn a_listing_tells_what_is_gone_with_a_broker() {
    let brokers = BrokersAlone::take();
    let topic = new_topic(&brokers, "listed", 3);
    let address = brokers.kafka_topic(&topic);
    produce(&address, &["--partition", "1"], "1\n2\n");
    brokers.kill(2);
    let list = || {
        let listed = Run::tool("topic-tap")
            .args([&address, "--list", "-J"])
            .limit(PATIENCE)
            .finish();
        listed.assert_code(0);
        listed.json_lines()
    };
    // The cluster notices after some seconds.
    let mut listed = Vec::new();
    wait_until(PATIENCE, "the others lead", || {
        listed = list();
        let mut partitions = listed.iter().filter(|line| line["type"] == "partition");
        partitions.all(|line| line["in_sync"].as_array().map(Vec::len) == Some(2))
    });
    let of = |kind: &str, member: &str| {
        let lines = listed.iter().filter(|line| line["type"] == kind);
        json!(lines.map(|line| line[member].clone()).collect::<Vec<_>>())
    };
    assert_eq!(of("broker", "port"), json!(brokers.ports(&[1, 3])));
    assert_eq!(of("partition", "high"), json!([0, 2, 0]));
    for partition in listed.iter().filter(|line| line["type"] == "partition") {
        assert_eq!(partition["replicas"].as_array().map(Vec::len), Some(3));
        assert_ne!(partition["leader"], 2);
    }
}

/// How much a process has read so far, its files and libraries included.
fn read_bytes(running: &Running) -> u64 {
    let told = std::fs::read_to_string(format!("/proc/{}/io", running.id())).expect("Linux tells");
    let line = told.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.and_then(|number| number.parse().ok())
        .expect("a number")
}

/// Waits until it has taken nothing for a second.
#[track_caller]
fn wait_until_it_stops_reading(running: &Running) {
    let mut last = (read_bytes(running), std::time::Instant::now());
    wait_until(PATIENCE, "it stops reading", || {
        let now = read_bytes(running);
        // Answers of brokers are read, too: what counts is the input.
        if now > last.0 + 4096 {
            last = (now, std::time::Instant::now());
        }
        last.1.elapsed() > Duration::from_secs(1)
    });
}
