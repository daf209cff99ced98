//! A flag beats a file, and a file beats a default, also where an option stands for a property of librdkafka.

use std::fs;

use tapline_testkit::{DevBrokers, Run, temp_dir};

/// Whether a client of the tool's was configured so; librdkafka tells with `debug=conf`.
fn configured(tool: &str, arguments: &[&str]) -> String {
    let ran = Run::tool(tool)
        .args(arguments)
        .args(["-vv", "-X", "debug=conf"])
        .finish_with("");
    ran.assert_code(0);
    ran.stderr
}

/// The values of a property in the clients' configurations, in the order of the clients.
fn values<'a>(told: &'a str, property: &str) -> Vec<&'a str> {
    let value = |line: &'a str| {
        let (before, value) = line.split_once(&format!("{property} = "))?;
        before.ends_with([' ', ':']).then_some(value)
    };
    told.lines().filter_map(value).collect()
}

/// Tool, options, the property that they stand for, their value in it, another value for the file, and whether the
/// value is the tool's default.
type Case = (
    &'static str,
    &'static [&'static str],
    &'static str,
    &'static str,
    &'static str,
);

const CASES: &[Case] = &[
    (
        "kafka-produce",
        &["-z", "none"],
        "compression.codec",
        "none",
        "gzip",
    ),
    (
        "kafka-produce",
        &["-z", "lz4"],
        "compression.type",
        "lz4",
        "gzip",
    ),
    (
        "kafka-produce",
        &["--delivery-timeout", "9s"],
        "message.timeout.ms",
        "9000",
        "70000",
    ),
    (
        "kafka-produce",
        &["--delivery-timeout", "9s"],
        "delivery.timeout.ms",
        "9000",
        "70000",
    ),
    (
        "kafka-produce",
        &["--max-record", "1MiB"],
        "message.max.bytes",
        "1114112",
        "2000000",
    ),
    (
        "kafka-produce",
        &["--max-record", "1MiB"],
        "max.request.size",
        "1114112",
        "2000000",
    ),
    (
        "kafka-produce",
        &["--connect-timeout", "10s"],
        "socket.connection.setup.timeout.ms",
        "6000",
        "9999",
    ),
    (
        "topic-tap",
        &["--connect-timeout", "10s"],
        "socket.connection.setup.timeout.ms",
        "6000",
        "9999",
    ),
    (
        "topic-tap",
        &["--group", "flag"],
        "group.id",
        "flag",
        "file",
    ),
    (
        "topic-tap",
        &["--group", "g", "--group-instance-id", "flag"],
        "group.instance.id",
        "flag",
        "file",
    ),
    (
        "topic-tap",
        &["--from", "beginning"],
        "auto.offset.reset",
        "smallest",
        "latest",
    ),
    (
        "topic-tap",
        &["--from", "end"],
        "auto.offset.reset",
        "largest",
        "earliest",
    ),
];

/// The name under which librdkafka tells a property.
fn canonical(property: &str) -> &str {
    match property {
        "compression.type" => "compression.codec",
        "delivery.timeout.ms" => "message.timeout.ms",
        "max.request.size" => "message.max.bytes",
        other => other,
    }
}

#[test]
fn an_option_beats_a_file_even_where_it_says_the_default() {
    let brokers = DevBrokers::start_with(&["--topic", "t:1"]);
    let folder = temp_dir();
    let file = folder.path().join("client.properties");
    let config = file.to_str().expect("a path of ours");
    let address = brokers.kafka_topic("t");
    for (tool, options, property, value, other) in CASES {
        fs::write(&file, format!("{property}={other}\n")).expect("our own folder");
        let mut line = vec![address.as_str(), "--config", config];
        if *tool == "topic-tap" {
            line.extend(["--duration", "1ms"]);
        }
        let name = canonical(property);
        // The file alone is heard, so the option has something to beat.
        let told = configured(tool, &line);
        let shown = match *other {
            "latest" => "largest",
            "earliest" => "smallest",
            other => other,
        };
        assert!(
            values(&told, name).contains(&shown),
            "{property}={other} alone: {told}"
        );
        line.extend(*options);
        let told = configured(tool, &line);
        let found = values(&told, name);
        assert!(
            found.contains(value),
            "{options:?} over {property}={other}: {found:?}"
        );
        assert!(
            !found.contains(&shown),
            "{options:?} over {property}={other}: {found:?}"
        );
    }
}

#[test]
fn the_files_place_to_begin_is_used_where_none_is_typed() {
    let brokers = DevBrokers::start_with(&["--topic", "t:1"]);
    let address = brokers.kafka_topic("t");
    Run::tool("kafka-produce")
        .arg(&address)
        .finish_with("1\n")
        .assert_code(0);
    let folder = temp_dir();
    let file = folder.path().join("client.properties");
    let config = file.to_str().expect("a path of ours");
    fs::write(&file, "auto.offset.reset=earliest\n").expect("our own folder");
    let tap = |options: &[&str]| {
        let ran = Run::tool("topic-tap")
            .args([&address, "--config", config])
            .args(options)
            .finish();
        ran.lines().len()
    };
    assert_eq!(tap(&["--count", "1"]), 1);
    assert_eq!(tap(&["--from", "end", "--until-end"]), 0);
    fs::write(&file, "auto.offset.reset=latest\n").expect("our own folder");
    assert_eq!(tap(&["--until-end"]), 0);
    assert_eq!(tap(&["--from", "beginning", "--until-end"]), 1);
}
