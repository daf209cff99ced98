//! What becomes of lines: values, keys, headers, times, partitions, rejects.

use std::collections::HashMap;
use std::fs;

use tapline_testkit::{json_lines, temp_dir};

use crate::{Cluster, summary};

#[test]
fn values_arrive_byte_for_byte_and_without_keys() {
    let cluster = Cluster::with("t", 1);
    let lines: [&[u8]; 6] = [
        br#"{"n": 1.10,  "big":12345678901234567890,"s":"\u00e9\n"}"#,
        b"not JSON",
        b" spaced ",
        b"nul \0 inside",
        b"\xff\xfe not UTF-8",
        b"the last, without an end of line",
    ];
    let mut input = lines.join(b"\n".as_slice());
    input.splice(0..0, b"\r\n\n".iter().copied());
    let finished = cluster.tool("t", &["--summary", "json"]).finish_with(input);
    finished.assert_code(0);
    assert_eq!(summary(&finished), (6, 6, 0));
    let records = cluster.read("t");
    let values: Vec<&[u8]> = records
        .iter()
        .map(|record| record.value.as_deref().unwrap())
        .collect();
    assert_eq!(values, lines);
    assert!(
        records
            .iter()
            .all(|record| record.key.is_none() && record.headers.is_empty())
    );
}

#[test]
fn crlf_and_no_input_are_no_trouble() {
    let cluster = Cluster::with("t", 1);
    cluster
        .tool("t", &[])
        .finish_with("a\r\nb\r\n")
        .assert_code(0);
    assert_eq!(cluster.values("t"), ["a", "b"]);
    let finished = cluster.tool("t", &["--summary", "json"]).finish();
    finished.assert_code(0);
    assert_eq!(summary(&finished), (0, 0, 0));
}

#[test]
fn each_key_keeps_its_order_in_one_partition_and_what_has_no_key_is_rejected() {
    let cluster = Cluster::with("t", 12);
    let dir = temp_dir();
    let rejects = dir.path().join("rejects");
    let line = |n: usize| format!("{{\"id\":\"g{}\",\"n\":{n}}}\n", n % 37);
    let mut input: String = (0..5000).map(line).collect();
    input.push_str("{\"n\":1}\n{\"id\":{\"x\":1}}\nnonsense\n{\"id\":null}\n");
    let arguments = [
        "-k",
        "id",
        "--summary",
        "json",
        "--rejects",
        rejects.to_str().unwrap(),
    ];
    let finished = cluster.tool("t", &arguments).finish_with(input);
    finished.assert_code(1);
    assert_eq!(summary(&finished), (5004, 5000, 4));
    let mut last: HashMap<Vec<u8>, (i32, u64)> = HashMap::new();
    for record in cluster.read("t") {
        let value: serde_json::Value =
            serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
        assert_eq!(
            record.key.as_deref().unwrap(),
            value["id"].as_str().unwrap().as_bytes()
        );
        let n = value["n"].as_u64().unwrap();
        let (partition, before) = *last
            .get(record.key.as_ref().unwrap())
            .unwrap_or(&(record.partition, 0));
        assert!(
            partition == record.partition && (n == 0 || n >= before),
            "{n} after {before}"
        );
        last.insert(record.key.unwrap(), (record.partition, n));
    }
    assert_eq!(last.len(), 37);
    let rejected = json_lines(&fs::read_to_string(rejects).unwrap());
    let reasons: Vec<_> = rejected
        .iter()
        .map(|reject| reject["reason"].as_str().unwrap())
        .collect();
    assert_eq!(
        reasons,
        ["missing-field", "not-scalar", "not-json", "not-scalar"]
    );
    assert_eq!(rejected[0]["line"], 5001);
    assert_eq!(
        (&rejected[0]["path"], &rejected[0]["record"]),
        (&"/id".into(), &"{\"n\":1}".into())
    );
}

#[test]
fn keys_go_where_the_java_client_puts_them() {
    let cluster = Cluster::with("t", 32);
    let key = "fd7af248-ce5c-46a5-93d7-1c0c9005b99d";
    cluster
        .tool("t", &["-k", "id"])
        .finish_with(format!("{{\"id\":\"{key}\"}}\n"))
        .assert_code(0);
    assert_eq!(cluster.read("t")[0].partition, 26);
}

#[test]
fn envelopes_are_copied_exactly() {
    let cluster = Cluster::with("t", 1);
    let input = concat!(
        r#"{"seq":1,"timestamp":"2026-03-01T12:00:00.123Z","key":"k","headers":[["a","1"],["a",null]],"value":{"n": 1.10}}"#,
        "\n",
        r#"{"seq":2,"key_base64":"/w==","tombstone":true}"#,
        "\n",
        r#"{"seq":3,"value_base64":"AP8="}"#,
        "\n",
        r#"{"seq":4,"value_text":"","key":""}"#,
        "\n",
        r#"{"seq":5,"value":null}"#,
        "\n",
        r#"{"seq":6}"#,
        "\nnone\n",
    );
    let dir = temp_dir();
    let acks = dir.path().join("acks");
    fs::write(&acks, "").unwrap();
    let arguments = [
        "-J",
        "-H",
        "by=tap",
        "--summary",
        "json",
        "--acks-to",
        acks.to_str().unwrap(),
    ];
    let finished = cluster.tool("t", &arguments).finish_with(input);
    finished.assert_code(1);
    assert_eq!(summary(&finished), (6, 5, 1));
    let records = cluster.read("t");
    let some = |bytes: &[u8]| Some(bytes.to_vec());
    let by = ("by".to_owned(), some(b"tap"));
    assert_eq!(records[0].timestamp, 1_772_366_400_123);
    assert_eq!(
        records[0].headers,
        [
            ("a".to_owned(), some(b"1")),
            ("a".to_owned(), None),
            by.clone()
        ]
    );
    let pairs: Vec<_> = records
        .iter()
        .map(|record| (record.key.clone(), record.value.clone()))
        .collect();
    assert_eq!(
        pairs,
        [
            (some(b"k"), some(b"{\"n\": 1.10}")),
            (some(b"\xff"), None),
            (None, some(b"\0\xff")),
            (some(b""), some(b"")),
            (None, some(b"null")),
        ]
    );
    assert!(
        records
            .iter()
            .skip(1)
            .all(|record| record.headers.as_slice() == std::slice::from_ref(&by))
    );
    // A seq alone is settled; what is no envelope has no number, and the end of the input settles it, too.
    assert!(fs::read_to_string(acks).unwrap().ends_with("6\nend\n"));
}

#[test]
fn times_partitions_and_codecs_are_the_ones_asked_for() {
    let cluster = Cluster::with("t", 3);
    let arguments = [
        "--timestamp-field",
        "at",
        "--timestamp-unit",
        "ms",
        "--partition",
        "2",
        "-z",
        "zstd",
    ];
    let input = "{\"at\":1700000000123}\n{\"at\":\"yesterday\"}\n";
    let finished = cluster.tool("t", &arguments).finish_with(input);
    finished
        .assert_code(1)
        .assert_stderr("line 2: 'yesterday' is not a time");
    let records = cluster.read("t");
    assert_eq!(
        (records.len(), records[0].partition, records[0].timestamp),
        (1, 2, 1_700_000_000_123)
    );
    let finished = cluster.tool("t", &["--partition", "3"]).finish_with("x\n");
    finished
        .assert_code(2)
        .assert_stderr("topic 't' has no partition 3, but 0 to 2");
}

#[test]
fn tee_writes_what_was_delivered_in_the_order_of_the_input() {
    let cluster = Cluster::with("t", 4);
    let line = |n: usize| format!("{{\"id\":{n}}}\n");
    let input: String = (0..2000).map(line).chain(["broken\n".to_owned()]).collect();
    let finished = cluster.tool("t", &["-k", "id", "--tee"]).finish_with(input);
    finished.assert_code(1);
    assert_eq!(finished.text(), (0..2000).map(line).collect::<String>());
}

#[test]
fn strict_stops_at_the_first_reject() {
    let cluster = Cluster::with("t", 1);
    let finished = cluster
        .tool("t", &["-k", "id", "--strict", "--summary", "json"])
        .finish_with("{\"id\":1}\nbroken\n{\"id\":2}\n");
    finished.assert_code(1);
    let (_, delivered, rejected) = summary(&finished);
    assert!(delivered >= 1 && rejected == 1);
    assert_eq!(cluster.values("t")[0], "{\"id\":1}");
}

#[test]
fn a_line_that_is_too_long_is_rejected_and_its_neighbours_are_not() {
    let cluster = Cluster::with("t", 1);
    let input = format!("a\n{}\nb\n", "x".repeat(5000));
    let finished = cluster
        .tool("t", &["--max-record", "4096"])
        .finish_with(input);
    finished
        .assert_code(1)
        .assert_stderr("line 2: a line of 5,000 bytes is over --max-record");
    assert_eq!(cluster.values("t"), ["a", "b"]);
}

#[test]
fn an_unknown_topic_is_named_and_can_be_made() {
    let cluster = Cluster::with("t", 1);
    let finished = cluster.tool("missing", &[]).finish_with("x\n");
    finished
        .assert_code(2)
        .assert_stderr("topic 'missing' does not exist on 127.0.0.1:");
    finished.assert_stderr("--create-topic");
    let finished = cluster
        .tool("missing", &["--create-topic"])
        .finish_with("x\n");
    finished
        .assert_code(0)
        .assert_stderr("topic 'missing' was made with 4 partitions");
    assert_eq!(cluster.values("missing"), ["x"]);
    let finished = cluster
        .tool("other", &["--create-topic", "--partitions", "7"])
        .finish_with("x\n");
    finished
        .assert_code(0)
        .assert_stderr("this cluster does not let a client choose");
}
