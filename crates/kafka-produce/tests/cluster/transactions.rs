//! Transactions, and the report of what became of each record.

use std::fs;

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use tapline_testkit::{LIMIT, Signal, json_lines, temp_dir, wait_until};

use crate::{Cluster, summary};

#[test]
fn the_report_says_of_each_record_where_it_went_or_why_not() {
    let cluster = Cluster::with("t", 1);
    let folder = temp_dir();
    let report = folder.path().join("report");
    let finished = cluster
        .tool("t", &["-k", "id", "--report", report.to_str().unwrap()])
        .finish_with("{\"id\":\"a\"}\n\nbroken\n{\"id\":7}\n");
    finished.assert_code(1);
    let mut lines = json_lines(&fs::read_to_string(&report).unwrap());
    let begin = lines.remove(0);
    assert_eq!(begin["run"]["tool"], "kafka-produce");
    assert!(begin["run"]["started"].as_str().unwrap().ends_with('Z'));
    let part = |line: usize, name: &str| lines[line][name].clone();
    assert_eq!(lines.len(), 3);
    assert_eq!((part(0, "line"), part(0, "key")), (1.into(), "a".into()));
    assert_eq!(
        (part(0, "topic"), part(0, "partition"), part(0, "offset")),
        ("t".into(), 0.into(), 0.into())
    );
    assert!(part(0, "timestamp").as_str().unwrap().ends_with('Z'));
    assert_eq!(
        (part(1, "line"), part(1, "reason")),
        (3.into(), "not-json".into())
    );
    assert_eq!((part(2, "line"), part(2, "offset")), (4.into(), 1.into()));
}

#[test]
fn the_whole_input_is_one_transaction() {
    let cluster = Cluster::with("t", 1);
    let options = ["--transaction", "x", "--tee", "--summary", "json"];
    let mut running = cluster.tool("t", &options).start();
    running.write("1\n2\n");
    running.write("3\n");
    running.close_stdin();
    let finished = running.wait();
    finished.assert_code(0);
    assert_eq!(
        (finished.text(), summary(&finished)),
        ("1\n2\n3\n", (3, 3, 0))
    );
    assert_eq!(cluster.values("t"), ["1", "2", "3"]);
}

#[test]
fn transactions_of_a_size_are_committed_as_they_fill() {
    let cluster = Cluster::with("t", 1);
    let options = [
        "--transaction",
        "x",
        "--transaction-size",
        "2",
        "--tee",
        "--summary",
        "json",
    ];
    let mut running = cluster.tool("t", &options).start();
    running.write("1\n2\n3\n");
    // Two are safe while the third waits for its companion, and is given up with its transaction.
    running.wait_for_lines(2);
    running.signal(Signal::TERM);
    // With stdin still open: its end would be the end of the input, and the transaction committed.
    wait_until(LIMIT, "it has ended", || running.has_ended());
    let finished = running.wait();
    finished
        .assert_code(143)
        .assert_stderr("its transaction was aborted");
    assert_eq!((finished.text(), summary(&finished)), ("1\n2\n", (3, 2, 1)));
}

#[test]
fn a_record_that_is_refused_aborts_its_transaction() {
    let cluster = Cluster::with("t", 1);
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    cluster
        .mock
        .request_errors(RDKafkaApiKey::Produce, &[refused]);
    let options = ["--transaction", "x", "--summary", "json"];
    let finished = cluster.tool("t", &options).finish_with("1\n2\n");
    finished
        .assert_code(2)
        .assert_stderr("a transaction was aborted");
    assert_eq!(summary(&finished), (2, 0, 2));
}
