//! Forms, ranges and listings of topic-tap on a real cluster, held against kcat where it has the same.

use e2e::real::{PATIENCE, new_topic, numbered, produce, read_by_kcat, tapped};
use serde_json::{Value, json};
use tapline_testkit::{RealBrokers, Run, real::NODES, unique};

/// A record with all, one without anything, a tombstone, and bytes that are no text.
const RECORDS: &str = r#"
{"key":"k1","headers":[["a","1"],["b",null],["a","2"]],"value":{"n": 1.10},"timestamp":"2026-03-01T06:00:00.123Z"}
{"value_text":"","timestamp":"2026-03-01T06:00:01Z"}
{"key":"k2","tombstone":true,"timestamp":"2026-03-01T06:00:02Z"}
{"key_base64":"/w==","value_base64":"AAH/Cg==","timestamp":"2026-03-01T06:00:03Z"}
"#;

#[test]
fn a_form_gives_what_kcat_gives_for_it() {
    let brokers = RealBrokers::shared();
    let topic = new_topic(&brokers, "form", 1);
    let address = brokers.kafka_topic(&topic);
    produce(&address, &["-J"], RECORDS);
    for form in [
        "%s\\n",
        "%k=%s;",
        "%S %K %T %p %o %t %h\\n",
        "%R%s",
        "100%%\\t\\x41\\n",
    ] {
        let kcat = read_by_kcat(&brokers, &topic, form);
        let ours = tapped(&address, &["--format", form]).stdout;
        assert_eq!(
            ours.escape_ascii().to_string(),
            kcat.escape_ascii().to_string(),
            "{form}"
        );
    }
}

#[test]
fn a_range_ends_where_it_is_told() {
    let brokers = RealBrokers::shared();
    let address = brokers.kafka_topic(&new_topic(&brokers, "range", 2));
    for partition in ["0", "1"] {
        produce(&address, &["-J", "--partition", partition], RECORDS);
    }
    let places = |arguments: &[&str]| {
        let ran = Run::tool("topic-tap")
            .args([&address, "--format", "%p:%o\\n"])
            .args(arguments)
            .finish();
        ran.assert_code(0);
        let mut places: Vec<String> = ran.lines().iter().map(ToString::to_string).collect();
        places.sort();
        places.join(" ")
    };
    assert_eq!(places(&["--until", "2"]), "0:0 0:1 1:0 1:1");
    assert_eq!(
        places(&["--until", "2026-03-01T06:00:01.5Z", "--partition", "1"]),
        "1:0 1:1"
    );
    assert_eq!(
        places(&["--from", "2026-03-01T06:00:01Z", "--until", "-1"]),
        "0:1 0:2 1:1 1:2"
    );
    assert_eq!(
        places(&["--from", "-1", "--until-end", "--partition", "0"]),
        "0:3"
    );
}

#[test]
fn what_is_listed_is_what_kcat_lists() {
    let brokers = RealBrokers::shared();
    let topic = new_topic(&brokers, "listed", 4);
    let address = brokers.kafka_topic(&topic);
    produce(&address, &["--partition", "2"], "1\n2\n3\n");
    let listed = Run::tool("topic-tap")
        .args([&address, "--list", "-J"])
        .finish();
    listed.assert_code(0);
    let listed = listed.json_lines();
    let of = |kind: &str| {
        listed
            .iter()
            .filter(|line| line["type"] == kind)
            .cloned()
            .collect::<Vec<_>>()
    };
    let ports: Vec<_> = of("broker")
        .iter()
        .map(|broker| broker["port"].clone())
        .collect();
    assert_eq!(json!(ports), json!(brokers.ports(&NODES)));
    let partitions = of("partition");
    assert_eq!(partitions.len(), 4);
    for partition in partitions {
        let number = partition["partition"].as_u64().expect("a number");
        assert_eq!(partition["topic"], topic.as_str());
        let (leader, mut in_sync) = brokers.leader(&topic, number);
        assert_eq!(partition["leader"], leader);
        in_sync.sort_unstable();
        let mut told: Vec<_> = partition["in_sync"].as_array().expect("brokers").clone();
        told.sort_by_key(Value::as_u64);
        assert_eq!(json!(told), json!(in_sync));
        let high = if number == 2 { 3 } else { 0 };
        assert_eq!(
            (&partition["low"], &partition["high"]),
            (&json!(0), &json!(high))
        );
    }
    let table = Run::tool("topic-tap").args([&address, "--list"]).finish();
    table.assert_code(0);
    assert!(table.text().contains(&topic), "{}", table.text());
}

#[test]
fn a_groups_members_and_lag_are_told() {
    let brokers = RealBrokers::shared();
    let topic = new_topic(&brokers, "lagging", 1);
    let address = brokers.kafka_topic(&topic);
    let group = unique("group");
    produce(&address, &["-k", "k"], numbered(10, 0..100));
    let member = |arguments: &[&str]| {
        Run::tool("topic-tap")
            .args([&address, "--group", &group, "--from", "beginning", "-q"])
            .args(arguments)
            .limit(PATIENCE)
    };
    let groups = || {
        let listed = Run::tool("topic-tap")
            .args([&address, "--groups", "-J"])
            .finish();
        listed.assert_code(0);
        let mut groups = listed.json_lines();
        groups.retain(|line| line["group"] == group.as_str());
        groups
    };
    // Twice the same: nothing is committed.
    for _ in 0..2 {
        let ran = member(&["--no-commit", "--count", "30"]).finish();
        ran.assert_code(0);
        assert_eq!(ran.stdout, numbered(10, 0..30));
    }
    member(&["--count", "40"]).finish().assert_code(0);
    let told = groups();
    assert_eq!(
        (&told[0]["lag"], &told[0]["partitions"][0]["committed"]),
        (&json!(60), &json!(40))
    );
    assert_eq!(told[0]["members"], json!([]));

    let mut running = member(&["--group-instance-id", "first"]).start();
    running.wait_for_lines(60);
    let told = groups();
    assert_eq!(
        told[0]["members"].as_array().map(Vec::len),
        Some(1),
        "{told:?}"
    );
    assert_eq!(
        told[0]["partitions"][0]["member"],
        told[0]["members"][0]["id"]
    );
}
