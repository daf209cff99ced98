//! influx-write on the real InfluxDB: its settings arrive, what will never be written ends it, and each record of Kafka is
//! one point.

use std::collections::BTreeSet;
use std::fs;

use e2e::real::{PATIENCE, new_topic, produce};
use tapline_testkit::influx::{Bucket, bucket, cell, variable};
use tapline_testkit::{RealBrokers, Run, temp_dir};

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
        .assert_stderr("the server does not speak TLS");
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
