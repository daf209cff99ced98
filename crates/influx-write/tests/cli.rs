//! influx-write's arguments, messages, points and exit codes, against a server that follows a script.

use std::fs;
use std::time::Duration;

use tapline_testkit::http::{Act, ScriptedHttp, json, status};
use tapline_testkit::{LIMIT, Run, Signal, json_lines, temp_dir, wait_until};

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
            "--measurement is needed: plain lines come from no topic",
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
            "--tag: 'a' is there twice",
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

#[test]
fn tags_time_and_fields_come_from_the_record() {
    let line = r#"{"generatorID":"g 4","t":1700000000.5,"fuel":901,"load":0.50,"big":9007199254740993,"on":true,"note":"a \"b\"","lost":null}"#;
    let time = [
        "--measurement",
        "m",
        "--timestamp-field",
        "t",
        "--timestamp-unit",
        "s",
    ];
    let with = |more: &[&str]| written(&[&time, more].concat(), line);
    assert_eq!(
        with(&["--tag", "generatorID"]),
        [
            r#"m,generatorID=g\ 4 big=9007199254740993i,fuel=901i,load=0.50,note="a \"b\"",on=true 1700000000500000000"#
        ]
    );
    assert_eq!(
        with(&[
            "--tag",
            "z=x",
            "--tag",
            "a={generatorID}-{fuel}",
            "--field",
            "fuel",
            "--field",
            "l=load",
            "--field",
            "none",
            "--float"
        ]),
        ["m,a=g\\ 4-901,z=x fuel=901,l=0.50 1700000000500000000"]
    );
    assert_eq!(
        with(&["--field", "fuel", "--precision", "ms"]),
        ["m fuel=901i 1700000000500"]
    );
}

#[test]
fn a_value_by_itself_is_the_field_value() {
    let line = r#"{"source":"mqtt","topic":"home/kitchen/temperature","timestamp":"2026-03-01T12:00:00.123Z","value":21.50}"#;
    let points = written(
        &[
            "-J",
            "--measurement",
            "{$topic/2}",
            "--tag",
            "room={$topic/1}",
        ],
        line,
    );
    assert_eq!(
        points,
        ["temperature,room=kitchen value=21.50 1772366400123000000"]
    );
}

#[test]
fn offset_and_partition_go_below_the_millisecond() {
    let input = [
        envelope(1, "t", 0, 0, "1"),
        envelope(2, "t", 63, 15_624, "1"),
        envelope(3, "t", 2, 15_626, "1"),
    ]
    .concat();
    let ms = "1772366400123";
    assert_eq!(
        written(&["-J"], &input),
        [
            format!("t value=1i {ms}000000"),
            format!("t value=1i {ms}999999"),
            format!("t value=1i {ms}000066")
        ]
    );
    assert_eq!(
        written(
            &["-J", "--partitions", "1000", "--precision", "ns"],
            &envelope(1, "t", 999, 2, "1")
        ),
        [format!("t value=1i {ms}002999")]
    );
    assert_eq!(
        written(
            &["-J", "--partitions", "4", "--precision", "us"],
            &envelope(1, "t", 3, 251, "1")
        ),
        [format!("t value=1i {ms}007")]
    );
    let of_seconds = [
        "-J",
        "--timestamp-field",
        "s",
        "--timestamp-unit",
        "s",
        "--unique-time",
    ];
    assert_eq!(
        written(
            &of_seconds,
            &envelope(1, "t", 1, 3, r#"{"s":1700000000.7,"f":1}"#)
        ),
        ["t f=1i 1700000000000000193"]
    );
}

#[test]
fn times_of_arrival_rise_and_are_warned_of() {
    let server = database();
    let input = "{\"source\":\"mqtt\",\"topic\":\"a/b\",\"timestamp\":\"2026-03-01T12:00:00.123Z\",\"value\":1}\n".repeat(3);
    let finished = tool(&[&bucket(&server), "-J"]).finish_with(input);
    finished
        .assert_code(0)
        .assert_stderr("warning: points have the time at which their record arrived");
    assert_eq!(
        finished.stderr.matches("warning").count(),
        1,
        "{}",
        finished.stderr
    );
    let times: Vec<_> = points(&server)
        .iter()
        .map(|point| point.rsplit_once(' ').unwrap().1.to_owned())
        .collect();
    assert_eq!(
        times,
        [
            "1772366400123000000",
            "1772366400123000001",
            "1772366400123000002"
        ]
    );
    // Plain lines have the time of day.
    let lines = written(&["--measurement", "m"], "{\"f\":1}\n{\"f\":2}\n");
    let times: Vec<i64> = lines
        .iter()
        .map(|point| point.rsplit_once(' ').unwrap().1.parse().unwrap())
        .collect();
    assert!(
        times[0] > 1_700_000_000_000_000_000 && times[1] > times[0],
        "{times:?}"
    );
}

#[test]
fn what_can_not_be_a_point_is_rejected_alone() {
    let server = database();
    let folder = temp_dir();
    let long = "x".repeat(70_000);
    let records = [
        (r#"{"id":"a","f":1}"#.to_owned(), None),
        ("no JSON".to_owned(), Some(("not-json", None))),
        (
            r#"{"f":1}"#.to_owned(),
            Some(("missing-field", Some("/id"))),
        ),
        (
            r#"{"id":{},"f":1}"#.to_owned(),
            Some(("not-scalar", Some("/id"))),
        ),
        (
            r#"{"id":"","f":1}"#.to_owned(),
            Some(("bad-field", Some("/id"))),
        ),
        (
            r#"{"id":"a\nb","f":1}"#.to_owned(),
            Some(("bad-field", Some("/id"))),
        ),
        (
            r#"{"id":"a\\","f":1}"#.to_owned(),
            Some(("bad-field", Some("/id"))),
        ),
        (
            format!(r#"{{"id":"{long}","f":1}}"#),
            Some(("bad-field", Some("/id"))),
        ),
        (r#"{"id":"a"}"#.to_owned(), Some(("missing-field", None))),
        (
            r#"{"id":"a","f":{"g":1},"l":[1],"n":null}"#.to_owned(),
            Some(("missing-field", None)),
        ),
        (
            r#"{"id":"a","time":1}"#.to_owned(),
            Some(("bad-field", Some("/time"))),
        ),
        (
            r#"{"id":"a","f":9223372036854775808}"#.to_owned(),
            Some(("bad-field", Some("/f"))),
        ),
        (r#"{"id":"a","f":NaN}"#.to_owned(), Some(("not-json", None))),
        (
            r#"{"id":"a","a b\nc":1}"#.to_owned(),
            Some(("bad-field", Some("/a b\nc"))),
        ),
        (r#"{"id":",=\\a \" é🚨","f":1}"#.to_owned(), None),
    ];
    let lines: Vec<_> = records.iter().map(|(record, _)| record.as_str()).collect();
    let input = lines.join("\n");
    let finished = tool(&[
        &bucket(&server),
        "--measurement",
        "m",
        "--tag",
        "id",
        "--rejects",
        "r",
    ])
    .current_dir(folder.path())
    .finish_with(input);
    finished
        .assert_code(1)
        .assert_stderr("15 read, 2 delivered, 13 rejected");
    finished.assert_stderr("warning: member 'f' is an object or array");
    let rejects = json_lines(&fs::read_to_string(folder.path().join("r")).unwrap());
    let got: Vec<_> = rejects
        .iter()
        .map(|reject| (reject["reason"].as_str().unwrap(), reject["path"].as_str()))
        .collect();
    let want: Vec<_> = records.iter().filter_map(|(_, reject)| *reject).collect();
    assert_eq!(got, want);
    let points = points(&server);
    assert_eq!(points.len(), 2);
    assert!(
        points[1].starts_with("m,id=\\,\\=\\a\\ \"\\ é🚨 f=1i "),
        "{points:?}"
    );
}

#[test]
fn a_record_that_would_replace_another_is_rejected() {
    let server = database();
    let input = [
        envelope(1, "t", 0, 0, r#"{"id":"a","f":1}"#),
        // Delivered again; another series; another partition.
        envelope(2, "t", 0, 0, r#"{"id":"a","f":1}"#),
        envelope(3, "t", 0, 15_625, r#"{"id":"b","f":1}"#),
        envelope(4, "t", 1, 15_625, r#"{"id":"b","f":1}"#),
        envelope(5, "t", 0, 31_250, r#"{"id":"b","f":1}"#),
    ]
    .concat();
    let finished = tool(&[&bucket(&server), "-J", "--tag", "id"]).finish_with(input);
    finished
        .assert_code(1)
        .assert_stderr("line 5: its point would replace that of offset 15625");
    assert_eq!(points(&server).len(), 4);
}

#[test]
fn times_of_a_field_that_meet_are_told_and_counted() {
    let server = database();
    let input = "{\"t\":1,\"f\":1}\n{\"t\":2,\"f\":1}\n{\"t\":1,\"f\":2}\n";
    let finished = tool(&[
        &bucket(&server),
        "--measurement",
        "m",
        "--timestamp-field",
        "t",
        "--timestamp-unit",
        "s",
    ])
    .finish_with(input);
    finished.assert_code(0);
    finished.assert_stderr("records of one series and one time become one point");
    finished.assert_stderr("1 records at least had series and time of one before");
}

#[test]
fn what_would_mix_up_points_ends_the_run() {
    let two_topics = [envelope(1, "a", 0, 0, "1"), envelope(2, "b", 0, 0, "1")].concat();
    let lines = (0..20).map(|n| format!("{{\"kind\":\"k{}\",\"id\":{n},\"f\":1}}", n % 2));
    let many = lines.collect::<Vec<_>>().join("\n");
    for (arguments, input, message) in [
        (
            vec!["-J", "--measurement", "m"],
            two_topics.as_str(),
            "records of 'b' could replace those of 'a'",
        ),
        (
            vec!["-J"],
            &envelope(1, "t", 64, 0, "1"),
            "partition 64 of topic 't' is beyond --partitions 64",
        ),
        (
            vec![
                "--measurement",
                "m",
                "--tag",
                "kind",
                "--tag",
                "id",
                "--max-series",
                "10",
            ],
            &many,
            "more series than --max-series 10: tag 'id' alone has 10 values",
        ),
    ] {
        let server = database();
        let address = bucket(&server);
        let finished =
            tool(&[&[address.as_str()], arguments.as_slice()].concat()).finish_with(input);
        finished.assert_code(2).assert_stderr(message);
    }
    let server = database();
    let finished = tool(&[
        &bucket(&server),
        "-J",
        "--measurement",
        "m",
        "--tag",
        "from={$topic}",
    ])
    .finish_with(two_topics);
    finished.assert_code(0);
}

#[test]
fn what_the_database_refuses_is_rejected_and_the_rest_is_written() {
    let server = ScriptedHttp::answering(|request| {
        let bad = request.contains("f=\"x\"");
        let message = r#"{"code":"unprocessable entity","message":"failure writing points to database: partial write: field type conflict: input field \"f\" on measurement \"m\" is type string, already exists as type integer dropped=1"}"#;
        if bad { json(422, message) } else { status(204) }
    });
    let input: String = (0..100)
        .map(|n| {
            if n == 42 {
                "{\"f\":\"x\"}\n".to_owned()
            } else {
                format!("{{\"f\":{n}}}\n")
            }
        })
        .collect();
    let finished = tool(&[
        &bucket(&server),
        "--measurement",
        "m",
        "--report",
        "/dev/stdout",
    ])
    .finish_with(input);
    finished
        .assert_code(1)
        .assert_stderr("100 read, 99 delivered, 1 rejected");
    finished.assert_stderr(
        "line 43: failure writing points to database: partial write: field type conflict",
    );
    let report = finished.json_lines();
    assert_eq!(report.len(), 101);
    assert_eq!(report[1]["series"], "m");
    assert!(report[1]["time"].is_i64());
    assert_eq!(report[43]["reason"], "refused");
}

#[test]
fn no_redirect_and_no_other_address_gets_the_token() {
    let other = database();
    let target = other.address.clone();
    let server =
        ScriptedHttp::answering(move |_| Act::Redirect(307, format!("{target}/api/v2/write")));
    let finished = tool(&[&bucket(&server), "--measurement", "m"]).finish_with("{\"f\":1}\n");
    finished
        .assert_code(2)
        .assert_stderr("which is not followed");
    assert!(other.requests().is_empty());
}

#[test]
fn a_token_that_others_can_read_is_warned_of() {
    let server = database();
    // Reached by another name than a loopback's.
    let address = bucket(&server).replace("127.0.0.1", "0.0.0.0");
    let finished = tool(&[&address, "--measurement", "m"]).finish_with("{\"f\":1}\n");
    finished
        .assert_code(0)
        .assert_stderr("warning: ")
        .assert_stderr("the token goes over plain HTTP");
    let finished = tool(&[&bucket(&server), "--measurement", "m"]).finish_with("{\"f\":1}\n");
    assert!(!finished.assert_code(0).stderr.contains("plain HTTP"));
}

#[test]
fn a_file_with_the_token_goes_before_the_variable() {
    let server = database();
    let folder = temp_dir();
    fs::write(folder.path().join("token"), "other==\n").unwrap();
    let finished = tool(&[
        &bucket(&server),
        "--measurement",
        "m",
        "--token-file",
        "token",
    ])
    .current_dir(folder.path())
    .finish_with("{\"f\":1}\n");
    finished.assert_code(0);
    let told = |request: &String| {
        request
            .to_ascii_lowercase()
            .contains("authorization: token other==\r\n")
    };
    assert!(server.requests().iter().all(told));
}

#[test]
fn a_signal_ends_a_run_whose_database_asks_to_wait() {
    let server = ScriptedHttp::answering(|request| {
        if request.ends_with("\r\n\r\n") {
            status(204)
        } else {
            Act::Respond(
                503,
                vec![("Retry-After", "60".to_owned())],
                "full".to_owned(),
            )
        }
    });
    let mut running = tool(&[
        &bucket(&server),
        "--measurement",
        "m",
        "--drain-timeout",
        "300ms",
    ])
    .start();
    running.write("{\"f\":1}\n{\"f\":2}\n");
    running.wait_for_stderr("it answers 503 (full); trying again");
    running.signal(Signal::TERM);
    let finished = running.wait();
    finished
        .assert_code(143)
        .assert_stderr("2 read, 0 delivered, 2 rejected");
    assert!(
        finished.took < Duration::from_secs(30),
        "{:?}",
        finished.took
    );
}

#[test]
fn a_database_that_comes_back_gets_what_waits_for_it() {
    let mut answers = 0;
    let server = ScriptedHttp::answering(move |_| {
        answers += 1;
        // The second and third are the first batch.
        if (2..4).contains(&answers) {
            status(500)
        } else {
            status(204)
        }
    });
    let mut running = tool(&[&bucket(&server), "--measurement", "m"]).start();
    running.write("{\"f\":1}\n");
    running.wait_for_stderr("trying again");
    running.wait_for_stderr("writes again after");
    wait_until(LIMIT, "it is written", || points(&server).len() == 3);
    running.close_stdin();
    running
        .wait()
        .assert_code(0)
        .assert_stderr("1 read, 1 delivered, 0 rejected");
}
