//! influx-write's arguments, messages, points and exit codes, against a server that follows a script.

mod delivery;
mod points;

use tapline_testkit::Run;
use tapline_testkit::http::{ScriptedHttp, status};

fn tool(arguments: &[&str]) -> Run {
    Run::new(env!("CARGO_BIN_EXE_influx-write"))
        .args(arguments)
        .env("INFLUX_ORG", "o")
        .env("INFLUX_TOKEN", "geheim")
}

fn database() -> ScriptedHttp {
    ScriptedHttp::answering(|_| status(204))
}

fn bucket(server: &ScriptedHttp) -> String {
    format!("{}/b", server.address.replace("http://", "influx://"))
}

/// The lines that were written, of all requests but the first, which asks whether the bucket is there.
fn points(server: &ScriptedHttp) -> Vec<String> {
    let bodies = server.requests().into_iter().skip(1);
    let lines = bodies.flat_map(|request| {
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        body.lines().map(str::to_owned).collect::<Vec<_>>()
    });
    lines.collect()
}

/// What is written of these lines, over one connection.
#[track_caller]
fn written(arguments: &[&str], input: &str) -> Vec<String> {
    let server = database();
    let address = bucket(&server);
    let run = tool(&[&[address.as_str(), "--inflight", "1"], arguments].concat());
    run.finish_with(input).assert_code(0);
    points(&server)
}

/// A record of Kafka in its envelope.
fn envelope(seq: u64, topic: &str, partition: i32, offset: i64, value: &str) -> String {
    format!(
        r#"{{"seq":{seq},"source":"kafka","topic":"{topic}","timestamp":"2026-03-01T12:00:00.123Z","value":{value},"partition":{partition},"offset":{offset}}}
"#
    )
}

#[test]
fn help_and_version_say_what_it_is() {
    let help = tool(&["--help"]).finish();
    help.assert_code(0);
    for part in [
        "influx://",
        "--measurement",
        "--tag",
        "--timestamp-field",
        "--unique-time",
        "--partitions",
        "INFLUX_TOKEN",
        "INFLUX_ORG",
        "Exit codes",
    ] {
        assert!(help.text().contains(part), "{part} is not in the help");
    }
    assert!(!help.text().contains("geheim"));
    let version = tool(&["--version"]).finish();
    assert!(version.assert_code(0).text().starts_with("influx-write "));
}

#[track_caller]
fn assert_refused(table: &[(&[&str], &str)]) {
    for (arguments, message) in table {
        let finished = tool(arguments).finish();
        finished.assert_code(2).assert_stderr(message);
        assert!(!finished.stderr.contains("geheim"), "{}", finished.stderr);
    }
}

#[test]
fn wrong_arguments_are_refused_with_2() {
    let table: &[(&[&str], &str)] = &[
        (&[], "ADDRESS"),
        (&["http://db/b"], "starts with influx://"),
        (&["influx://db"], "names no bucket: influx://db/BUCKET"),
        (
            &["influx://t:geheim@db/b"],
            "put the token into INFLUX_TOKEN",
        ),
        (
            &["influx://db/b"],
            "--measurement is required: plain lines have no topic",
        ),
        (
            &["influx://db/b", "--measurement", "{$topic}"],
            "--measurement: '{$topic}' is a member of the envelope",
        ),
        (
            &["influx://db/b", "--measurement", "m", "--tag", "{id}"],
            "'{id}' has no name: NAME={id}",
        ),
        (
            &["influx://db/b", "--measurement", "m", "--tag", "time=x"],
            "tag 'time' is InfluxDB's own",
        ),
        (
            &[
                "influx://db/b",
                "--measurement",
                "m",
                "--tag",
                "a",
                "--tag",
                "/b/a",
            ],
            "--tag: 'a' is given twice",
        ),
        (
            &["influx://db/b", "--measurement", "m", "--field", "time"],
            "field 'time' is InfluxDB's own",
        ),
    ];
    assert_refused(table);
}

#[test]
fn options_that_do_not_go_together_are_refused_with_2() {
    let table: &[(&[&str], &str)] = &[
        (
            &["influx://db/b", "--measurement", "m", "--precision", "ms"],
            "--precision ms: with 64 partitions",
        ),
        (
            &["influx://db/b", "-J", "--precision", "us"],
            "fewer than 100 are too few",
        ),
        (
            &[
                "influx://db/b",
                "-J",
                "--timestamp-field",
                "t",
                "--timestamp-unit",
                "us",
                "--unique-time",
            ],
            "--timestamp-unit s or ms",
        ),
        (
            &[
                "influx://db/b",
                "--measurement",
                "m",
                "--timestamp-field",
                "t",
                "--timestamp-unit",
                "s",
                "--unique-time",
            ],
            "--unique-time needs --envelope",
        ),
        (
            &["influx://db/b", "--measurement", "m", "--ca-file", "f"],
            "--ca-file does not apply",
        ),
        (
            &[
                "influx://db/b",
                "--measurement",
                "m",
                "--token-file",
                "/none",
            ],
            "/none: No such file",
        ),
        (
            &[
                "influx://127.0.0.1:1/b",
                "--measurement",
                "m",
                "--connect-timeout",
                "100ms",
            ],
            "not reached within 0.1 s: Connection refused",
        ),
    ];
    assert_refused(table);
}
