//! From records to points.

use std::fs;

use tapline_testkit::{json_lines, temp_dir};

use crate::{bucket, database, envelope, points, tool, written};

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
        .assert_stderr("warning: points get the time at which their record arrived");
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
        "--inflight",
        "1",
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
