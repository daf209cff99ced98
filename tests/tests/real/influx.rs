//! influx-write and the real InfluxDB: what is written is read back, the bad alone is rejected, the settings arrive.

use std::collections::BTreeSet;
use std::fs;

use e2e::real::{PATIENCE, new_topic, produce};
use serde_json::{Value, json};
use tapline_testkit::influx::{Bucket, bucket, cell, variable};
use tapline_testkit::real::start;
use tapline_testkit::{RealBrokers, Run, json_lines, temp_dir};

/// Texts that a format with commas, spaces, quotes and escapes could spoil.
const NASTY: [&str; 34] = [
    "plain", "a b", " lead", "trail ", "a,b", "a=b", ",", "=", " ", "a\"b", "\"", "\"a\"", "a'b",
    "a\\b", "a\\\\b", "\\a", "a\\,b", "a\\ b", "a\\=b", "a\\\"b", "#a", "a#b", "é", "🚨", "日本",
    "a\tb", "a\u{1}b", "\u{7f}", "a{b}", "a\rb", "true", "1", "1i", "-0",
];

/// Those that line protocol has no form for, in some place or everywhere.
const NEVER: [&str; 8] = ["a\nb", "\n", "a\\", "\\", "", "#", "\ta", "\0a"];

/// A text as the CSV of a query tells it: without carriage returns, which the database's writer leaves out.
fn told(text: &str) -> String {
    text.replace('\r', "")
}

/// Whether line protocol can't write this record: all texts of fields it can.
fn has_no_form(record: &Value) -> bool {
    let none = |text: &str| {
        let joined = ["\\,", "\\=", "\\ ", "\\\""]
            .iter()
            .any(|pair| text.contains(pair));
        text.is_empty() || text.contains('\n') || text.ends_with('\\') || joined
    };
    let measurement = record["m"].as_str().unwrap();
    let names = record.as_object().unwrap().keys();
    none(measurement)
        || measurement.starts_with(['#', '\t', '\0'])
        || none(record["tag"].as_str().unwrap())
        || names
            .into_iter()
            .any(|name| none(name) || name.starts_with(['\t', '\0']))
}

#[test]
fn every_text_is_read_back_equal_or_rejected_alone() {
    let bucket = bucket("texts");
    let folder = temp_dir();
    let mut input = Vec::new();
    let mut number = 0;
    let mut line = |place: &str, text: &str| {
        number += 1;
        let mut record = json!({"m": "m", "tag": "t", "n": number});
        match place {
            "name" => record[text] = json!(true),
            place => record[place] = json!(text),
        }
        input.push(record.to_string());
    };
    for text in NASTY.into_iter().chain(NEVER) {
        for place in ["m", "tag", "name", "text"] {
            line(place, text);
        }
    }
    let input = input.join("\n");
    let ran = bucket
        .writer()
        .args([
            "--measurement",
            "{m}",
            "--tag",
            "tag",
            "--tag",
            "a\\b=x,=\"y z",
            "--rejects",
            "rejects",
        ])
        .args(["--timestamp-field", "n", "--timestamp-unit", "s"])
        .current_dir(folder.path())
        .limit(PATIENCE)
        .finish_with(input.clone());
    ran.assert_code(1);
    let rejects = json_lines(&fs::read_to_string(folder.path().join("rejects")).unwrap());
    let rejected: BTreeSet<u64> = rejects
        .iter()
        .map(|reject| reject["line"].as_u64().unwrap())
        .collect();
    assert!(
        rejects.iter().all(|reject| reject["reason"] != "refused"),
        "ours finds it first: {rejects:?}"
    );
    for (line, record) in (1..).zip(json_lines(&input)) {
        assert_eq!(rejected.contains(&line), has_no_form(&record), "{record}");
    }

    let mut found = BTreeSet::new();
    for row in bucket.query("") {
        assert_eq!(cell(&row, "a\\b"), "x,=\"y z");
        let columns = ["_time", "_measurement", "tag", "_field", "_value"];
        found.insert(columns.map(|column| told(cell(&row, column))));
    }
    for (line, record) in (1..).zip(json_lines(&input)) {
        let time = format!("1970-01-01T00:{:02}:{:02}Z", line / 60, line % 60);
        let points: Vec<_> = found.iter().filter(|point| point[0] == time).collect();
        if rejected.contains(&line) {
            assert!(points.is_empty(), "{record}: {points:?}");
            continue;
        }
        let text = |member: &str| told(record[member].as_str().unwrap());
        let fields = record
            .as_object()
            .unwrap()
            .iter()
            .filter(|(name, _)| !["tag", "n"].contains(&name.as_str()));
        let want: BTreeSet<_> = fields
            .map(|(name, value)| {
                let value = value.as_str().map_or_else(|| value.to_string(), told);
                [time.clone(), text("m"), text("tag"), told(name), value]
            })
            .collect();
        assert_eq!(
            points.into_iter().cloned().collect::<BTreeSet<_>>(),
            want,
            "{record}"
        );
    }
}

#[test]
fn numbers_are_read_back_as_they_were() {
    let bucket = bucket("numbers");
    let numbers = [
        "0",
        "-0",
        "901",
        "9223372036854775807",
        "-9223372036854775808",
        "21.50",
        "1e3",
        "-1.5E-7",
        "9007199254740993",
        "0.1",
        "1.7976931348623157e308",
        "5e-324",
    ];
    let lines: Vec<_> = (1..)
        .zip(numbers)
        .map(|(n, number)| format!("{{\"n\":{n},\"f{n}\":{number}}}"))
        .collect();
    let written = bucket
        .writer()
        .args([
            "--measurement",
            "m",
            "--timestamp-field",
            "n",
            "--timestamp-unit",
            "s",
        ])
        .finish_with(lines.join("\n"));
    written.assert_code(0);
    for (n, number) in (1..).zip(numbers) {
        let rows = bucket.query(&format!("|> filter(fn: (r) => r._field == \"f{n}\")"));
        let got = cell(&rows[0], "_value");
        if number.contains(['.', 'e', 'E']) {
            assert_eq!(
                got.parse::<f64>().unwrap().to_bits(),
                number.parse::<f64>().unwrap().to_bits(),
                "{number}: {got}"
            );
        } else {
            assert_eq!(got.parse::<i64>(), number.parse(), "{number}: {got}");
        }
    }
}

#[test]
fn bad_points_stand_alone_and_all_others_are_in() {
    const COUNT: usize = 5000;
    let bucket = bucket("bad");
    bucket.write("m,id=x f=1.5,only=1i 1");
    let folder = temp_dir();
    let bad = |n: usize| n % 617 == 5;
    let lines: Vec<_> = (0..COUNT)
        .map(|n| {
            let value = match n % 1234 {
                5 => "\"a text\"".to_owned(),
                622 => "true".to_owned(),
                _ => format!("{n}.5"),
            };
            format!("{{\"id\":\"g{}\",\"t\":{n},\"f\":{value}}}", n % 7)
        })
        .collect();
    let ran = bucket
        .writer()
        .args([
            "--measurement",
            "m",
            "--tag",
            "id",
            "--timestamp-field",
            "t",
            "--timestamp-unit",
            "s",
            "--rejects",
            "rejects",
        ])
        .current_dir(folder.path())
        .finish_with(lines.join("\n"));
    let rejects = json_lines(&fs::read_to_string(folder.path().join("rejects")).unwrap());
    let rejected: Vec<_> = rejects
        .iter()
        .map(|reject| reject["line"].as_u64().unwrap())
        .collect();
    let want: Vec<_> = (0..COUNT)
        .filter(|n| bad(*n))
        .map(|n| n as u64 + 1)
        .collect();
    assert_eq!(rejected, want);
    assert!(
        rejects.iter().all(|reject| reject["reason"] == "refused"
            && reject["detail"]
                .as_str()
                .unwrap()
                .contains("field type conflict")),
        "{rejects:?}"
    );
    ran.assert_code(1);
    assert_eq!(bucket.count("f"), (COUNT - want.len()) as u64 + 1);
}

#[test]
fn what_will_never_be_written_ends_with_2() {
    let bucket = bucket("never");
    let args = ["--measurement", "m"];
    let ran = bucket
        .writer()
        .env("INFLUX_TOKEN", "wrong")
        .args(args)
        .finish_with("{\"f\":1}\n");
    ran.assert_code(2).assert_stderr(
        "it answers 401 (unauthorized access): the token is missing or not known there",
    );
    let ran = bucket
        .writer()
        .env("INFLUX_TOKEN", "")
        .args(args)
        .finish_with("{\"f\":1}\n");
    ran.assert_code(2).assert_stderr("it answers 401");
    let ran = bucket
        .writer()
        .args(args)
        .args(["--org", "nobody"])
        .finish_with("{\"f\":1}\n");
    ran.assert_code(2)
        .assert_stderr("organization name \"nobody\" not found): check bucket and --org");
    let address = bucket.address() + "-none";
    let ran = bucket
        .grant(Run::tool("influx-write"))
        .arg(address)
        .args(args)
        .finish_with("{\"f\":1}\n");
    ran.assert_code(2)
        .assert_stderr("not found): check bucket and --org");
    assert_eq!(bucket.count("f"), 0);
}

#[test]
fn over_tls_the_servers_certificate_is_checked() {
    let bucket = bucket("tls");
    let tls = variable("INFLUX_TLS_URL");
    let (server, _) = tls.rsplit_once('/').unwrap();
    let run = |host: &str, files: &[&str]| {
        let address = format!("{}/{}", server.replace("127.0.0.1", host), bucket.name);
        bucket
            .grant(Run::tool("influx-write"))
            .arg(address)
            .args(["--measurement", "m"])
            .args(files)
            .finish_with("{\"f\":1}\n")
    };
    run("127.0.0.1", &["--ca-file", variable("CA_FILE")]).assert_code(0);
    assert_eq!(bucket.count("f"), 1);
    // By the system's authorities, by another, by another name.
    run("127.0.0.1", &[])
        .assert_code(2)
        .assert_stderr("UnknownIssuer; give the certificate of its authority as the CA file");
    run("127.0.0.1", &["--ca-file", variable("OTHER_CA_FILE")])
        .assert_code(2)
        .assert_stderr("invalid peer certificate");
    run("localhost", &["--ca-file", variable("CA_FILE")])
        .assert_code(2)
        .assert_stderr("not valid for name");
    // Neither side takes the other for what it is not.
    let plain = bucket.address().replace("influx://", "influxs://");
    let ran = bucket
        .grant(Run::tool("influx-write"))
        .arg(plain)
        .args(["--measurement", "m", "--connect-timeout", "1s"])
        .finish_with("{\"f\":1}\n");
    ran.assert_code(2)
        .assert_stderr("what answers does not speak TLS");
}

/// `topic-tap` of a topic into a bucket.
fn tap(bucket: &Bucket, source: &[&str], writer: &[&str]) -> Run {
    let address = bucket.address();
    let tool = tapline_testkit::tool("influx-write");
    bucket
        .grant(Run::tool("topic-tap"))
        .args(source)
        .arg("--")
        .arg(tool)
        .arg(address)
        .args(writer)
        .limit(PATIENCE)
}

/// Readings of three devices.
fn readings(count: usize) -> String {
    let lines = (0..count).map(|n| format!("{{\"id\":\"g{}\",\"fuel\":{n}}}", n % 3));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn each_record_of_kafka_is_one_point_in_each_precision_that_has_room() {
    let brokers = RealBrokers::shared();
    let topic = new_topic(&brokers, "precision", 3);
    let address = brokers.kafka_topic(&topic);
    // Several in each millisecond, but no more than there is room for in microseconds.
    produce(
        &address,
        &["-k", "id", "--rate", "20000/s"],
        readings(20_000),
    );
    let bucket = bucket("precision");
    let source = [address.as_str(), "--from", "beginning", "--until-end"];
    for precision in [
        &["--precision", "ns"][..],
        &["--precision", "us", "--partitions", "3"],
        &[],
    ] {
        tap(&bucket, &source, &[&["--tag", "id"], precision].concat())
            .finish()
            .assert_code(0);
    }
    // The topic is the measurement; twice in ns is once.
    let measured = format!(
        "|> filter(fn: (r) => r._measurement == \"{topic}\" and r._field == \"fuel\") |> group() |> count()"
    );
    let count: u64 = cell(&bucket.query(&measured)[0], "_value").parse().unwrap();
    assert!(count > 20_000, "{count}: microseconds are other points");
    for precision in ["ms", "s"] {
        let ran = tap(&bucket, &source, &["--tag", "id", "--precision", precision]).finish();
        ran.assert_stderr(&format!("--precision {precision}: with 64 partitions"));
        assert_ne!(ran.code, Some(0));
    }
    let one = tapline_testkit::influx::bucket("once");
    for _ in 0..2 {
        tap(&one, &source, &["--tag", "id"]).finish().assert_code(0);
    }
    assert_eq!(one.count("fuel"), 20_000);
    // With Kafka's milliseconds alone it would be fewer.
    let alone = tapline_testkit::influx::bucket("alone");
    tap(
        &alone,
        &source,
        &[
            "--tag",
            "id",
            "--precision",
            "ms",
            "--timestamp-field",
            "fuel",
            "--timestamp-unit",
            "us",
            "--field",
            "fuel",
        ],
    )
    .finish()
    .assert_code(0);
    assert!(alone.count("fuel") < 1000, "{}", alone.count("fuel"));
}

#[test]
fn the_settings_of_a_managed_connector_have_their_places() {
    // Topics, Kafka's authentication, tasks: topic-tap's. Instance, organisation, bucket, precision, measurement: ours.
    let brokers = RealBrokers::shared();
    let topics = [
        new_topic(&brokers, "settings-a", 3),
        new_topic(&brokers, "settings-b", 3),
    ];
    for topic in &topics {
        produce(
            &brokers.kafka_topic(topic),
            &["-k", "id", "--rate", "5000/s"],
            readings(3000),
        );
    }
    let folder = temp_dir();
    let config = folder.path().join("client.properties");
    let lines = [
        "security.protocol=SASL_SSL".to_owned(),
        "sasl.mechanism=SCRAM-SHA-512".to_owned(),
        format!("sasl.username={}", brokers.variable("TEST_USERNAME")),
        format!("sasl.password={}", brokers.variable("TEST_PASSWORD")),
        format!("ssl.ca.location={}", brokers.variable("CA_FILE")),
    ];
    fs::write(&config, lines.join("\n")).unwrap();
    let bucket = bucket("settings");
    let group = tapline_testkit::unique("influx");
    let addresses: Vec<_> = topics
        .iter()
        .map(|topic| brokers.tls_topic(topic))
        .collect();
    let source = [
        addresses[0].as_str(),
        &addresses[1],
        "--group",
        &group,
        "--from",
        "beginning",
        "--config",
        config.to_str().unwrap(),
    ];
    let mut taps: Vec<_> = (0..3)
        .map(|_| {
            tap(
                &bucket,
                &source,
                &[
                    "--org",
                    variable("INFLUX_ORG"),
                    "--tag",
                    "id",
                    "--precision",
                    "us",
                    "--partitions",
                    "3",
                    "--measurement",
                    "from {$topic}",
                ],
            )
            .start()
        })
        .collect();
    tapline_testkit::wait_until(PATIENCE, "all are written", || bucket.count("fuel") == 6000);
    for running in &mut taps {
        running.signal(tapline_testkit::Signal::TERM);
    }
    for running in taps {
        running.wait().assert_code(143);
    }
    let rows = bucket.query("|> filter(fn: (r) => r._field == \"fuel\") |> group(columns: [\"_measurement\"]) |> count()");
    let counts: BTreeSet<_> = rows
        .iter()
        .map(|row| {
            (
                cell(row, "_measurement").to_owned(),
                cell(row, "_value").to_owned(),
            )
        })
        .collect();
    let want = topics
        .clone()
        .map(|topic| (format!("from {topic}"), "3000".to_owned()));
    assert_eq!(counts, BTreeSet::from(want));
    // Each of the three had a share, and all is committed.
    let listed = Run::tool("topic-tap")
        .args(["--groups", &brokers.kafka_topic(&topics[0])])
        .finish();
    listed.assert_code(0);
    let lags: Vec<_> = listed
        .lines()
        .into_iter()
        .filter(|line| line.contains(&group))
        .map(str::to_owned)
        .collect();
    assert!(!lags.is_empty(), "{}", listed.text());
}

#[test]
fn a_devices_identity_in_its_topic_becomes_tags() {
    let bucket = bucket("devices");
    let topic = |topic: &str, value: &str| {
        format!(
            r#"{{"source":"mqtt","topic":"{topic}","timestamp":"2026-03-01T12:00:00.000Z",{value}}}"#
        ) + "\n"
    };
    let input = [
        topic(
            "zigbee2mqtt/kitchen",
            r#""value":{"temperature":21.50,"battery":97}"#,
        ),
        topic(
            "tele/tasmota_1/SENSOR",
            r#""value":{"Time":"2026-03-01T12:00:00","AM2301":{"Temperature":19.1}}"#,
        ),
        topic(
            "spBv1.0/plant/DDATA/edge 1/pump,2",
            r#""value":{"rpm":1480}"#,
        ),
        topic("home/lamp/power", r#""value_text":"ON""#),
    ];
    let run =
        |options: &[&str], line: &str| bucket.writer().args(["-J"]).args(options).finish_with(line);
    run(
        &["--measurement", "{$topic/0}", "--tag", "device={$topic/1}"],
        &input[0],
    )
    .assert_code(0);
    run(
        &[
            "--measurement",
            "tasmota",
            "--tag",
            "device={$topic/1}",
            "--field",
            "t=/AM2301/Temperature",
        ],
        &input[1],
    )
    .assert_code(0);
    run(
        &[
            "--measurement",
            "{$topic/2}",
            "--tag",
            "node={$topic/3}",
            "--tag",
            "device={$topic/4}",
            "--tag",
            "group={$topic/1}",
        ],
        &input[2],
    )
    .assert_code(0);
    // What is no JSON can't be a field's value by itself.
    run(&["--measurement", "m"], &input[3])
        .assert_code(1)
        .assert_stderr("not JSON");
    let found: BTreeSet<_> = bucket
        .query("")
        .iter()
        .map(|row| {
            [
                cell(row, "_measurement"),
                cell(row, "device"),
                cell(row, "_field"),
                cell(row, "_value"),
            ]
            .join("|")
        })
        .collect();
    let want = [
        "zigbee2mqtt|kitchen|temperature|21.5",
        "zigbee2mqtt|kitchen|battery|97",
        "tasmota|tasmota_1|t|19.1",
        "DDATA|pump,2|rpm|1480",
    ];
    assert_eq!(found, BTreeSet::from(want.map(str::to_owned)));
}

#[test]
fn victoriametrics_takes_the_same_writes_and_keeps_milliseconds_and_numbers() {
    let address = start(&["victoriametrics"])["VICTORIAMETRICS_URL"].clone();
    let url = address.replace("influx://", "http://").replace("/any", "");
    let measurement = tapline_testkit::unique("vm").replace('-', "_");
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_millis()
        / 1000
        * 1000;
    let lines: Vec<_> = (0..4)
        .map(|n| {
            format!(
                "{{\"t\":{}.{n},\"id\":\"g 1\",\"fuel\":{n},\"note\":\"a text\"}}",
                now + n / 2
            )
        })
        .collect();
    let run = Run::tool("influx-write").args([
        &address,
        "--measurement",
        &measurement,
        "--tag",
        "id",
        "--timestamp-field",
        "t",
    ]);
    run.args(["--timestamp-unit", "ms"])
        .finish_with(lines.join("\n"))
        .assert_code(0);
    let export = format!("{url}/api/v1/export?match={measurement}_fuel");
    let mut exported = String::new();
    tapline_testkit::wait_until(PATIENCE, "they can be read", || {
        exported = Run::new("curl")
            .args(["-fsS", &export])
            .finish()
            .text()
            .to_owned();
        !exported.is_empty()
    });
    let series = json_lines(&exported);
    assert_eq!(series[0]["metric"]["id"], "g 1");
    // Two in each millisecond.
    let times: BTreeSet<_> = series[0]["timestamps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|time| time.as_u64().unwrap())
        .collect();
    assert_eq!(times.len(), 2, "{exported}");
    let texts = Run::new("curl")
        .args([
            "-fsS",
            &format!("{url}/api/v1/export?match={measurement}_note"),
        ])
        .finish();
    assert!(!texts.text().contains("a text"), "{}", texts.text());
}
