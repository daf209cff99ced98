//! The topic of each record, chosen by a template in the address.

use std::fs;

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use tapline_testkit::{json_lines, temp_dir};

use crate::{Cluster, summary};

const ENVELOPES: &str = r#"{"seq":1,"topic":"tele/kitchen/SENSOR","value":21.50}
{"seq":2,"topic":"stat/kitchen/POWER","value_text":"ON"}
{"seq":3,"topic":"tele/cellar/SENSOR","value":{"t": 1.10}}
"#;

#[test]
fn each_record_goes_to_the_topic_that_it_chooses_and_the_report_says_which() {
    let cluster = Cluster::with("tele", 1);
    cluster.mock.create_topic("stat", 1, 1).unwrap();
    let folder = temp_dir();
    let report = folder.path().join("report");
    let options = ["-J", "-k", "{$topic/1}", "-H", "from={$topic}"];
    let others = ["--summary", "json", "--report", report.to_str().unwrap()];
    let finished = cluster
        .tool("{$topic/0}", &[&options[..], &others].concat())
        .finish_with(ENVELOPES);
    finished.assert_code(0);
    assert_eq!(summary(&finished), (3, 3, 0));
    assert_eq!(cluster.values("tele"), ["21.50", r#"{"t": 1.10}"#]);
    assert_eq!(cluster.values("stat"), ["ON"]);
    let record = &cluster.read("stat")[0];
    assert_eq!(record.key.as_deref(), Some(&b"kitchen"[..]));
    let from = ("from".to_owned(), Some(b"stat/kitchen/POWER".to_vec()));
    assert_eq!(record.headers, [from]);
    let lines = json_lines(&fs::read_to_string(&report).unwrap());
    let topics: Vec<&str> = lines[1..]
        .iter()
        .map(|line| line["topic"].as_str().unwrap())
        .collect();
    assert_eq!(topics, ["tele", "stat", "tele"]);
}

#[test]
fn a_field_can_choose_the_topic_of_a_plain_line() {
    let cluster = Cluster::with("site-a", 1);
    cluster.mock.create_topic("site-b", 1, 1).unwrap();
    let finished = cluster
        .tool("site-{site}", &["--summary", "json", "--tee"])
        .finish_with("{\"site\":\"a\"}\n{\"site\":\"b\",\"n\":1.0}\n{\"site\":\"a\"}\n");
    finished.assert_code(0);
    assert_eq!(finished.text().lines().count(), 3);
    assert_eq!(cluster.values("site-a").len(), 2);
    assert_eq!(cluster.values("site-b"), [r#"{"site":"b","n":1.0}"#]);
}

#[test]
fn a_record_whose_topic_does_not_exist_or_has_no_legal_name_is_rejected_alone() {
    let cluster = Cluster::with("a", 1);
    let folder = temp_dir();
    let rejects = folder.path().join("rejects");
    let options = ["--summary", "json", "--rejects", rejects.to_str().unwrap()];
    let input = r#"{"t":"a","n":1}
{"t":"missing"}
{"t":"a/b"}
{"t":""}
{"n":1}
{"t":"missing"}
{"t":"a","n":2}
"#;
    let finished = cluster.tool("{t}", &options).finish_with(input);
    finished.assert_code(1);
    assert_eq!(summary(&finished), (7, 2, 5));
    assert_eq!(cluster.values("a").len(), 2);
    let rejects = json_lines(&fs::read_to_string(&rejects).unwrap());
    let told: Vec<(u64, &str)> = rejects
        .iter()
        .map(|reject| {
            let line = reject["line"].as_u64().unwrap();
            (line, reject["reason"].as_str().unwrap())
        })
        .collect();
    let want = [
        (2, "refused"),
        (3, "bad-field"),
        (4, "bad-field"),
        (5, "missing-field"),
        (6, "refused"),
    ];
    assert_eq!(told, want);
    let detail = rejects[0]["detail"].as_str().unwrap();
    assert!(
        detail.contains("topic 'missing' does not exist"),
        "{detail}"
    );
    assert!(detail.contains("--create-topic"), "{detail}");
    assert_eq!(rejects[1]["path"], "/t");
}

#[test]
fn topics_are_created_as_records_name_them_up_to_the_limit() {
    let cluster = Cluster::with("other", 1);
    let options = ["--create-topic", "--max-topics", "2", "--summary", "json"];
    let names = ["t0", "t1", "t2", "t3"].into_iter().cycle().take(40);
    let lines = names.map(|name| format!("{{\"t\":\"{name}\"}}\n"));
    let input = lines.collect::<Vec<_>>().concat();
    let finished = cluster.tool("{t}", &options).finish_with(input);
    finished
        .assert_code(1)
        .assert_stderr("topic 't0' was made with")
        .assert_stderr("topic 't2': 2 topics are the most that --max-topics allows");
    assert_eq!(summary(&finished), (40, 20, 20));
    for topic in ["t0", "t1"] {
        assert_eq!(cluster.read(topic).len(), 10, "{topic}");
    }
}

#[test]
fn a_partition_that_a_chosen_topic_lacks_is_told_by_record() {
    let cluster = Cluster::with("narrow", 1);
    cluster.mock.create_topic("wide", 3, 1).unwrap();
    let finished = cluster
        .tool("{t}", &["--partition", "2", "--summary", "json"])
        .finish_with("{\"t\":\"narrow\"}\n{\"t\":\"wide\"}\n");
    finished
        .assert_code(1)
        .assert_stderr("line 1: topic 'narrow' has no partition 2");
    assert_eq!(summary(&finished), (2, 1, 1));
    assert_eq!(cluster.read("wide")[0].partition, 2);
}

#[test]
fn a_transaction_spans_the_topics_that_its_records_choose() {
    let cluster = Cluster::with("tele", 1);
    cluster.mock.create_topic("stat", 1, 1).unwrap();
    let options = ["-J", "--transaction", "x", "--tee", "--summary", "json"];
    let finished = cluster.tool("{$topic/0}", &options).finish_with(ENVELOPES);
    finished.assert_code(0);
    assert_eq!(summary(&finished), (3, 3, 0));
    assert_eq!(finished.text(), ENVELOPES);
    assert_eq!(cluster.values("tele").len(), 2);
    assert_eq!(cluster.values("stat"), ["ON"]);
}

#[test]
fn a_chosen_topic_that_refuses_a_record_does_not_end_the_run() {
    let cluster = Cluster::with("a", 1);
    cluster.mock.create_topic("b", 1, 1).unwrap();
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster
        .mock
        .request_errors(RDKafkaApiKey::Produce, &[refused]);
    let mut running = cluster.tool("{t}", &["--tee", "--summary", "json"]).start();
    running.write("{\"t\":\"a\"}\n");
    running.wait_for_stderr("topic 'a': refused: Topic authorization failed");
    running.write("{\"t\":\"b\"}\n");
    running.close_stdin();
    let finished = running.wait();
    finished.assert_code(1);
    assert_eq!(summary(&finished), (2, 1, 1));
    assert_eq!(cluster.values("b").len(), 1);
}

#[test]
fn a_topic_that_no_broker_can_be_asked_for_is_waited_for() {
    let cluster = Cluster::with("a", 1);
    cluster.mock.create_topic("b", 1, 1).unwrap();
    let options = ["--tee", "--summary", "json", "--connect-timeout", "1s"];
    let mut running = cluster.tool("{t}", &options).start();
    running.write("{\"t\":\"a\"}\n");
    running.wait_for_lines(1);
    cluster.mock.broker_down(-1).unwrap();
    running.wait_for_stderr("trying on");
    running.write("{\"t\":\"b\"}\n");
    running.wait_until_read();
    cluster.mock.broker_up(-1).unwrap();
    running.wait_for_lines(2);
    running.close_stdin();
    let finished = running.wait();
    finished.assert_code(0);
    assert_eq!(summary(&finished), (2, 2, 0));
    assert_eq!(cluster.values("b").len(), 1);
}

#[test]
fn a_topic_that_no_broker_can_be_asked_for_is_given_up_after_the_delivery_timeout() {
    let cluster = Cluster::with("a", 1);
    let timeouts = ["--connect-timeout", "1s", "--delivery-timeout", "2s"];
    let options = [&["--tee", "--summary", "json"], &timeouts[..]].concat();
    let mut running = cluster.tool("{t}", &options).start();
    running.write("{\"t\":\"a\"}\n");
    running.wait_for_lines(1);
    cluster.mock.broker_down(-1).unwrap();
    running.wait_for_stderr("trying on");
    running.write("{\"t\":\"b\"}\n");
    running.wait_for_stderr("no broker says whether topic 'b' exists");
    running.close_stdin();
    let finished = running.wait();
    finished.assert_code(1);
    assert_eq!(summary(&finished), (2, 1, 1));
}

#[test]
fn a_subject_can_not_be_named_after_topics_that_records_choose() {
    let cluster = Cluster::with("a", 1);
    let folder = temp_dir();
    let schema = folder.path().join("schema.json");
    fs::write(&schema, r#"{"title":"T"}"#).unwrap();
    let options = ["--registry", "http://127.0.0.1:9", "-s"];
    cluster
        .tool("{t}", &[&options[..], &[schema.to_str().unwrap()]].concat())
        .finish()
        .assert_code(2)
        .assert_stderr("use --schema-id or --subject record");
}
