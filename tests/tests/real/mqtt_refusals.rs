//! What Mosquitto refuses, and ten thousand topics that it doesn't.

use std::fs;

use e2e::counts;
use e2e::mqtt::{end, publish, publisher, tap, tapping};
use e2e::real::text;
use tapline_testkit::{Mosquitto, json_lines, real::mosquitto, temp_dir, unique};

#[test]
fn a_message_that_the_account_may_not_publish_is_rejected_and_its_neighbours_are_not() {
    let folder = temp_dir();
    let topic = unique("refused");
    let address = format!("{}/{{area}}/{topic}", mosquitto("MQTT_PASSWORD_URL"));
    let password = mosquitto("TEST_PASSWORD");
    for qos in ["1", "2"] {
        let rejects = folder.path().join(qos);
        let ran = publisher(
            &address,
            &["--username", mosquitto("TEST_LIMITED_USERNAME")],
        )
        .args(["--qos", qos, "--rejects"])
        .arg(&rejects)
        .env("MQTT_PASSWORD", password)
        .finish_with("{\"area\":\"a\"}\n{\"area\":\"forbidden\"}\n{\"area\":\"b\"}\n");
        ran.assert_code(1);
        assert_eq!((counts(&ran).delivered, counts(&ran).rejected), (2, 1));
        let rejected = json_lines(&fs::read_to_string(&rejects).expect("its file"));
        assert_eq!(rejected.len(), 1);
        assert_eq!(
            (&rejected[0]["line"], &rejected[0]["reason"]),
            (&2.into(), &"refused".into())
        );
        let detail = rejected[0]["detail"].as_str().unwrap_or_default();
        assert!(detail.contains("Not authorized (0x87)"), "{detail}");
    }
}

#[test]
fn a_subscription_that_the_broker_refuses_ends_the_tap_with_the_reason() {
    let folder = temp_dir();
    let access = folder.path().join("access.json");
    let all = "{\"publishClientSend\":true,\"publishClientReceive\":true,\"subscribe\":false,\"unsubscribe\":true}";
    let access_rules =
        format!("{{\"defaultACLAccess\":{all},\"clients\":[],\"groups\":[],\"roles\":[]}}");
    fs::write(&access, access_rules).expect("our own folder");
    let plugin = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib",
    ]
    .map(|folder| format!("{folder}/mosquitto_dynamic_security.so"))
    .into_iter()
    .find(|file| fs::exists(file).is_ok_and(|exists| exists))
    .expect("Debian's mosquitto has it");
    let broker = Mosquitto::start_with(&[
        &format!("plugin {plugin}"),
        &format!("plugin_opt_config_file {}", access.display()),
    ]);
    for (version, reason) in [("5", "Not authorized (0x87)"), ("3.1.1", "0x80")] {
        let ran = tap(&broker.topic("a/+"), &["--mqtt-version", version]).finish();
        ran.assert_code(2)
            .assert_stderr("refused the subscription to a/+")
            .assert_stderr(reason);
    }
}

#[test]
fn a_message_larger_than_the_broker_takes_is_rejected_and_its_neighbours_are_not() {
    let broker = Mosquitto::start_with(&["max_packet_size 500"]);
    let mut tap = tapping(&broker.topic("size"), &[]);
    let large = "x".repeat(500);
    let ran = publisher(&broker.topic("size"), &[]).finish_with(format!("1\n{large}\n2\n"));
    ran.assert_code(1)
        .assert_stderr("larger than the 500 that the broker takes");
    assert_eq!((counts(&ran).delivered, counts(&ran).rejected), (2, 1));
    tap.wait_for_lines(2);
    assert_eq!(end(tap).lines(), ["1", "2"]);
}

#[test]
fn a_message_too_large_for_a_broker_that_can_only_hang_up_is_rejected_and_its_neighbours_are_not() {
    let broker = Mosquitto::start_with(&["max_packet_size 500"]);
    let mut tap = tapping(&broker.topic("size"), &["--qos", "2"]);
    let large = "x".repeat(500);
    for qos in ["1", "2"] {
        let options = ["--mqtt-version", "3.1.1", "--qos", qos];
        let ran = publisher(&broker.topic("size"), &options)
            .finish_with(format!("{qos}\n{large}\n{qos}\n"));
        ran.assert_code(1)
            .assert_stderr("line 2: the broker hung up 5 times in a row when it had this message");
        assert_eq!((counts(&ran).delivered, counts(&ran).rejected), (2, 1));
    }
    tap.wait_for_lines(4);
    assert_eq!(end(tap).lines(), ["1", "1", "2", "2"]);
}

#[test]
fn ten_thousand_topics_each_keep_their_message() {
    let broker = Mosquitto::start_with(&[]);
    let lines = text((0..10_000).map(|number| format!("{{\"d\":{number}}}")));
    publish(
        &broker.topic("many/{d}"),
        &["--retain", "--qos", "2"],
        lines.clone(),
    );
    let mut tap = tapping(&broker.topic("many/+"), &["--retained", "only", "-J"]);
    tap.wait_for_lines(10_000);
    let mut got: Vec<(String, String)> = end(tap)
        .json_lines()
        .iter()
        .map(|one| (one["topic"].to_string(), one["value"].to_string()))
        .collect();
    let mut wanted: Vec<(String, String)> = lines
        .lines()
        .enumerate()
        .map(|(number, line)| (format!("\"many/{number}\""), line.to_owned()))
        .collect();
    got.sort();
    wanted.sort();
    assert_eq!(got, wanted);
}

/// What Mosquitto hangs up on in a text, as JSON has it.
const HUNG_UP_ON: [&str; 6] = [
    r"\u0001",
    r"\u007f",
    r"\u0085",
    r"\ufdd0",
    r"\uffff",
    r"\ud83f\udffe",
];

#[test]
fn a_record_that_mosquitto_would_hang_up_on_is_rejected_alone() {
    let broker = Mosquitto::start_with(&[]);
    let bad = HUNG_UP_ON.map(|text| format!("{{\"d\":\"x{text}\"}}\n"));
    let good = |number: usize| format!("{{\"d\":\"ok\",\"n\":{number}}}\n");
    let lines: String = bad
        .iter()
        .enumerate()
        .map(|(number, line)| good(number) + line)
        .collect();
    for version in ["5", "3.1.1"] {
        let mut tap = tapping(&broker.topic("#"), &["--qos", "1"]);
        let mut places = vec![vec!["plain/{d}"], vec!["fleet", "--client-per", "d"]];
        if version == "5" {
            places.push(vec!["property", "-H", "h={d}"]);
            places.push(vec!["answer", "--response-topic", "to/{d}"]);
        }
        let mut delivered = 0;
        for place in places {
            let mut input = lines.clone();
            let rejected = bad.len() as u64;
            input += &good(100);
            let options = [&["--mqtt-version", version], &place[1..]].concat();
            let ran = publisher(&broker.topic(place[0]), &options).finish_with(input);
            ran.assert_code(1);
            let good = bad.len() as u64 + 1;
            assert_eq!(
                (counts(&ran).delivered, counts(&ran).rejected),
                (good, rejected)
            );
            assert!(!ran.stderr.contains("trying again"), "{}", ran.stderr);
            delivered += bad.len() + 1;
        }
        tap.wait_for_lines(delivered);
        drop(end(tap));
    }
}
