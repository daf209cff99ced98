//! Transactions, reports, and batches that fit the topic.

use std::fs;

use e2e::counts;
use e2e::real::{PATIENCE, envelopes, new_topic, produce, producer, tapped, text};
use serde_json::Value;
use tapline_testkit::{RealBrokers, Run, Signal, temp_dir, unique, wait_until};

/// The values that a topic shows to readers of committed data, and to others.
fn seen(address: &str) -> (String, String) {
    let committed = tapped(address, &[]).text().to_owned();
    let all = tapped(address, &["-X", "isolation.level=read_uncommitted"]);
    (committed, all.text().to_owned())
}

#[test]
fn readers_of_committed_data_see_all_of_a_transaction_or_nothing() {
    let brokers = RealBrokers::shared();
    let topic = new_topic(&brokers, "atomic", 1);
    let address = brokers.kafka_topic(&topic);
    let id = unique("loader");
    let options = ["--transaction", id.as_str()];
    let mut open = producer(&address, &options).start();
    open.write("1\n2\n");
    // A reader of everything sees that they have arrived.
    let arrived = Run::tool("topic-tap")
        .args([&address, "--from", "beginning", "--count", "2"])
        .args(["-X", "isolation.level=read_uncommitted"])
        .limit(PATIENCE)
        .finish();
    arrived.assert_code(0);
    open.signal(Signal::TERM);
    // With stdin still open: its end would be the end of the input, and the transaction committed.
    wait_until(PATIENCE, "it has ended", || open.has_ended());
    let ran = open.wait();
    ran.assert_code(143)
        .assert_stderr("its transaction was aborted");
    assert_eq!((counts(&ran).delivered, counts(&ran).rejected), (0, 2));
    produce(&address, &options, "3\n4\n");
    let (committed, all) = seen(&address);
    assert_eq!(
        (committed.as_str(), all.as_str()),
        ("3\n4\n", "1\n2\n3\n4\n")
    );
}

#[test]
fn a_second_producer_takes_a_transactional_id_over() {
    let brokers = RealBrokers::shared();
    let topic = new_topic(&brokers, "fenced", 1);
    let address = brokers.kafka_topic(&topic);
    let id = unique("taken");
    let options = ["--transaction", id.as_str()];
    let mut first = producer(&address, &options).start();
    first.write("1\n");
    let arrived = Run::tool("topic-tap")
        .args([&address, "--from", "beginning", "--count", "1"])
        .args(["-X", "isolation.level=read_uncommitted"])
        .limit(PATIENCE)
        .finish();
    arrived.assert_code(0);
    produce(&address, &options, "2\n");
    first.write("3\n");
    first.close_stdin();
    let ran = first.wait();
    ran.assert_code(2);
    assert_eq!(counts(&ran).delivered, 0, "{}", ran.stderr);
    assert_eq!(seen(&address).0, "2\n");
}

#[test]
fn transactions_of_a_size_deliver_what_is_full_and_then_the_rest() {
    let brokers = RealBrokers::shared();
    let topic = new_topic(&brokers, "sized", 3);
    let address = brokers.kafka_topic(&topic);
    let id = unique("sized");
    let lines = text((0..1000).map(|n| n.to_string()));
    let options = ["--transaction", &id, "--transaction-size", "300", "--tee"];
    let ran = produce(&address, &options, lines.clone());
    assert_eq!(ran.text(), lines);
    assert_eq!(tapped(&address, &[]).lines().len(), 1000);
    // With --strict a line that can't be sent takes its transaction with it, and no other.
    let mixed = format!("{lines}broken\n");
    let options = [&options[..4], &["--strict", "-k", "/a"]].concat();
    let ran = producer(&address, &options).finish_with(mixed);
    ran.assert_code(1);
    assert_eq!(tapped(&address, &[]).lines().len(), 1000);
}

#[test]
fn the_report_says_where_each_record_is() {
    let brokers = RealBrokers::shared();
    let topic = new_topic(&brokers, "reported", 5);
    let address = brokers.kafka_topic(&topic);
    let folder = temp_dir();
    let report = folder.path().join("report");
    let report = report.to_str().expect("a path of ours");
    let lines = text((0..500).map(|n| format!("{{\"id\":\"k{}\"}}", n % 7)));
    produce(&address, &["-k", "id", "--report", report], lines);
    let place = |value: &Value| {
        let part = |name: &str| value[name].clone();
        (
            part("partition"),
            part("offset"),
            part("timestamp"),
            part("key"),
        )
            .to_owned()
    };
    let report = fs::read_to_string(report).expect("the report was written");
    let mut reported: Vec<Value> = report
        .lines()
        .map(|line| serde_json::from_str(line).expect("a report is JSON"))
        .collect();
    assert_eq!(reported.remove(0)["run"]["tool"], "kafka-produce");
    let numbers: Vec<_> = reported
        .iter()
        .filter_map(|one| one["line"].as_u64())
        .collect();
    assert_eq!(numbers, (1..=500).collect::<Vec<_>>());
    reported.sort_by_key(|one| (one["partition"].as_u64(), one["offset"].as_u64()));
    let tapped = envelopes(&address, &[]);
    assert_eq!(
        reported.iter().map(place).collect::<Vec<_>>(),
        tapped.iter().map(place).collect::<Vec<_>>()
    );
}

#[test]
fn batches_do_not_outgrow_what_the_topic_takes() {
    let brokers = RealBrokers::shared();
    let topic = new_topic(&brokers, "small-batches", 1);
    let address = brokers.kafka_topic(&topic);
    let changed = brokers
        .java("kafka.admin.ConfigCommand")
        .args(["--bootstrap-server", brokers.servers(), "--alter"])
        .args(["--entity-type", "topics", "--entity-name", &topic])
        .args(["--add-config", "max.message.bytes=20000"])
        .finish();
    changed.assert_code(0);
    // Uncompressed, a default batch would be far over the limit; one record alone is over it, too.
    let small = (0..5000).map(|n| format!("{{\"n\":{n:080}}}"));
    let large = format!("{{\"n\":\"{}\"}}", "x".repeat(30_000));
    let lines = text(small.chain([large]));
    let ran = producer(&address, &["-z", "none"]).finish_with(lines);
    ran.assert_code(1)
        .assert_stderr("line 5001: refused: ")
        .assert_stderr("MessageSizeTooLarge");
    assert_eq!((counts(&ran).delivered, counts(&ran).rejected), (5000, 1));
    assert_eq!(tapped(&address, &[]).lines().len(), 5000);
}
