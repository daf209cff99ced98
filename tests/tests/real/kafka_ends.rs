//! What topic-tap reads: ends behind transaction markers, times, groups that commit nothing, other languages.

use e2e::real::{PATIENCE, envelopes, new_topic, numbered, produce, producer, tapped, text};
use tapline_testkit::{Finished, RealBrokers, Run, json_lines, unique};

fn tap(arguments: &[&str]) -> Finished {
    let ran = Run::tool("topic-tap")
        .args(arguments)
        .arg("-q")
        .limit(PATIENCE)
        .finish();
    ran.assert_code(0);
    ran
}

/// Checks lines against one of the project's schemas.
fn assert_conforms(schema: &str, lines: &[u8]) {
    let path = format!(
        "{}/../schemas/{schema}.schema.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let ran = Run::tool("schema-check")
        .args(["-s", &path])
        .finish_with(lines);
    assert_eq!(ran.code, Some(0), "{}{}", ran.text(), ran.stderr);
}

#[test]
fn the_end_is_found_behind_markers_and_in_empty_partitions() {
    let brokers = RealBrokers::shared();
    let topics = [
        new_topic(&brokers, "ends-a", 4),
        new_topic(&brokers, "ends-b", 3),
    ];
    let addresses = topics.each_ref().map(|topic| brokers.kafka_topic(topic));
    let id = unique("ends");
    // One key: the other partitions stay empty, and this one ends with a transaction's marker.
    for address in &addresses {
        let options = [
            "--fixed-key",
            "k",
            "--transaction",
            &id,
            "--transaction-size",
            "40",
        ];
        produce(address, &options, numbered(1, 0..100));
    }
    let both = tap(&[
        &addresses[0],
        &addresses[1],
        "--from",
        "beginning",
        "--until-end",
    ]);
    assert_eq!(both.lines().len(), 200);
    // Of 40, 40 and 20 records, each with a marker behind: the last 10 places hold 9 records.
    let last = tap(&[&addresses[0], "--from", "-10", "--until-end"]);
    assert_eq!(last.lines().last(), Some(&r#"{"k":"d0","n":99}"#));
    // Offset 41 is the first of the second transaction, behind the marker at 40.
    let middle = tap(&[&addresses[0], "--from", "39", "--until", "42"]);
    assert_eq!(
        middle.lines(),
        [r#"{"k":"d0","n":39}"#, r#"{"k":"d0","n":40}"#]
    );
    let group = unique("ends");
    let stem = &topics[0][..topics[0].len() - 2];
    let pattern = brokers.kafka_topic(&format!("^{stem}"));
    let grouped = tap(&[&pattern, "--group", &group, "--until-end"]);
    assert_eq!(grouped.lines().len(), 100, "{pattern}");
}

#[test]
fn times_bound_what_is_read() {
    let brokers = RealBrokers::shared();
    let topic = new_topic(&brokers, "times", 3);
    let address = brokers.kafka_topic(&topic);
    let lines = text((0..60).map(|n| {
        format!(r#"{{"timestamp":"2026-03-01T12:{n:02}:00Z","key":"k{n}","value":{n}}}"#)
    }));
    produce(&address, &["-J"], lines);
    let read = tap(&[
        &address,
        "--from",
        "2026-03-01T12:10:00Z",
        "--until",
        "2026-03-01T12:20:00Z",
    ]);
    let mut values: Vec<u32> = read
        .lines()
        .iter()
        .map(|line| line.parse().expect("a number"))
        .collect();
    values.sort_unstable();
    assert_eq!(values, (10..20).collect::<Vec<_>>());
    assert_eq!(
        tap(&[&address, "--from", "-1h", "--until", "end"])
            .lines()
            .len(),
        0
    );
}

#[test]
fn a_group_that_is_told_to_commits_nothing() {
    let brokers = RealBrokers::shared();
    let topic = new_topic(&brokers, "lag", 1);
    let address = brokers.kafka_topic(&topic);
    let group = unique("lag");
    produce(&address, &[], numbered(1, 0..100));
    let read = |more: &[&str]| {
        let arguments = [
            &[address.as_str(), "--group", &group, "--from", "beginning"],
            more,
        ]
        .concat();
        tap(&arguments).stdout
    };
    let first = read(&["--count", "30", "--no-commit"]);
    assert_eq!(read(&["--count", "30"]), first);
    let listed = tap(&["--groups", "--group", &group, &address, "-J"]);
    assert_conforms("listing", &listed.stdout);
    let place = &json_lines(listed.text())[0]["partitions"][0];
    assert_eq!(
        (&place["committed"], &place["lag"]),
        (&30.into(), &70.into())
    );
    assert_eq!(
        read(&["--until-end"]).split(|byte| *byte == b'\n').count(),
        71
    );
}

#[test]
fn a_value_in_another_language_than_json_is_named_and_left_in_its_frame() {
    let brokers = RealBrokers::shared();
    let topic = new_topic(&brokers, "avro", 1);
    let address = brokers.kafka_topic(&topic);
    let registered = Run::new("curl")
        .args(["-fsS", "-H", "content-type: application/json"])
        .args([
            "-d",
            r#"{"schema":"{\"type\":\"record\",\"name\":\"R\",\"fields\":[]}"}"#,
        ])
        .arg(format!(
            "{}/subjects/{topic}-value/versions",
            brokers.registry()
        ))
        .finish();
    registered.assert_code(0);
    let id = json_lines(registered.text())[0]["id"]
        .as_u64()
        .expect("an id");
    let frame: String = [0]
        .into_iter()
        .chain(u32::try_from(id).expect("an id").to_be_bytes())
        .fold(String::new(), |text, byte| format!("{text}\\u{byte:04x}"));
    produce(
        &address,
        &["-J"],
        format!("{{\"value_text\":\"{frame}\"}}\n"),
    );
    let read = &envelopes(&address, &["--registry", brokers.registry()])[0];
    assert_eq!(
        (&read["schema_id"], &read["schema_type"]),
        (&id.into(), &"AVRO".into())
    );
    assert!(read["value_base64"].is_string(), "{read}");
    assert_eq!(tapped(&address, &[]).stdout.len(), 6);
    producer(
        &address,
        &[
            "--registry",
            brokers.registry(),
            "--schema-id",
            &id.to_string(),
        ],
    )
    .finish_with("{}\n")
    .assert_code(2)
    .assert_stderr("only JSON Schema can be used here");
}
