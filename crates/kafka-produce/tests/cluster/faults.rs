//! Brokers that go away, refuse, or never come back.

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use tapline_testkit::{LIMIT, Signal, wait_until};

use crate::{Cluster, summary};

#[test]
fn a_broker_that_goes_away_is_told_once_and_nothing_is_lost() {
    let cluster = Cluster::with("t", 1);
    let mut running = cluster.tool("t", &["--tee", "--summary", "json"]).start();
    running.write("1\n");
    running.wait_for_lines(1);
    cluster.mock.broker_down(-1).unwrap();
    running.wait_for_stderr("trying on");
    running.write("2\n3\n");
    cluster.mock.broker_up(-1).unwrap();
    running.wait_for_lines(3);
    running.close_stdin();
    let finished = running.wait();
    finished.assert_code(0).assert_stderr("connected again");
    assert_eq!(
        finished.stderr.matches("trying on").count(),
        1,
        "{}",
        finished.stderr
    );
    assert_eq!(
        (finished.text(), summary(&finished)),
        ("1\n2\n3\n", (3, 3, 0))
    );
    assert_eq!(cluster.values("t"), ["1", "2", "3"]);
}

#[test]
fn a_signal_drains_and_says_what_was_left() {
    let cluster = Cluster::with("t", 1);
    let arguments = ["--tee", "--summary", "json", "--drain-timeout", "300ms"];
    let mut running = cluster.tool("t", &arguments).start();
    running.write("1\n");
    running.wait_for_lines(1);
    cluster.mock.broker_down(-1).unwrap();
    running.wait_for_stderr("trying on");
    running.write("2\n3\n");
    // The lines are in the client once it has nothing more to read.
    wait_until(LIMIT, "the tool has read its input", || {
        unread(running.id()) == 0
    });
    running.signal(Signal::TERM);
    let finished = running.wait();
    finished
        .assert_code(143)
        .assert_stderr("2 records were not delivered within --drain-timeout");
    assert_eq!((finished.text(), summary(&finished)), ("1\n", (3, 1, 2)));
}

#[test]
fn a_signal_while_all_is_well_delivers_what_was_read() {
    let cluster = Cluster::with("t", 1);
    let mut running = cluster.tool("t", &["--tee", "--summary", "json"]).start();
    running.write("1\n2\n");
    running.wait_for_lines(2);
    running.signal(Signal::INT);
    wait_until(LIMIT, "it has ended, with stdin still open", || {
        running.has_ended()
    });
    let finished = running.wait();
    finished.assert_code(130);
    assert_eq!(summary(&finished), (2, 2, 0));
}

#[test]
fn memory_stays_flat_while_no_broker_is_there() {
    let cluster = Cluster::with("t", 1);
    let mut running = cluster
        .tool("t", &["--tee", "--drain-timeout", "0s"])
        .start();
    running.write("1\n");
    running.wait_for_lines(1);
    cluster.mock.broker_down(-1).unwrap();
    running.wait_for_stderr("trying on");
    // Far more than it may keep: the pipe fills up and the writer waits.
    running.feed(
        "x".repeat(103)
            .into_bytes()
            .iter()
            .chain(b"\n")
            .copied()
            .cycle()
            .take(104 << 20)
            .collect::<Vec<_>>(),
    );
    let id = running.id();
    let mut before = 0;
    wait_until(LIMIT, "its memory grows no more", || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        let now = resident(id);
        let same = now == before && now > 20 << 20;
        before = now;
        same
    });
    assert!(before < 100 << 20, "{before} bytes");
    running.signal(Signal::TERM);
    running.wait().assert_code(143);
}

#[test]
fn what_the_broker_refuses_is_rejected_in_its_words() {
    let cluster = Cluster::with("t", 1);
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    cluster
        .mock
        .request_errors(RDKafkaApiKey::Produce, &[refusal]);
    let finished = cluster.tool("t", &["--summary", "json"]).finish_with("1\n");
    finished
        .assert_code(1)
        .assert_stderr("line 1: refused: Message size too large (MessageSizeTooLarge)");
    assert_eq!(summary(&finished), (1, 0, 1));
}

#[test]
fn a_topic_that_takes_nothing_ends_the_run() {
    let cluster = Cluster::with("t", 1);
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster
        .mock
        .request_errors(RDKafkaApiKey::Produce, &[refusal; 3]);
    let finished = cluster
        .tool("t", &["--summary", "json"])
        .finish_with("1\n2\n");
    finished
        .assert_code(2)
        .assert_stderr("kafka-produce: topic 't': Topic authorization failed");
    assert_eq!(summary(&finished), (2, 0, 2));
}

#[test]
fn a_topic_that_may_not_be_looked_at_is_an_error() {
    let cluster = Cluster::with("t", 1);
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster.mock.topic_error("t", refusal).unwrap();
    let finished = cluster.tool("t", &[]).finish_with("1\n");
    finished
        .assert_code(2)
        .assert_stderr("topic 't': cannot be used: Topic authorization failed");
}

/// Resident memory of a process, in bytes.
fn resident(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}

/// How many bytes of its stdin a process has not read yet.
fn unread(id: u32) -> u64 {
    let stdin = std::fs::File::open(format!("/proc/{id}/fd/0")).unwrap();
    rustix::io::ioctl_fionread(&stdin).unwrap()
}
