//! What influx-write has written is read back from the real InfluxDB: each text and number as it was, the bad alone
//! rejected; and from `VictoriaMetrics`, which takes the same writes.

use std::collections::BTreeSet;
use std::fs;

use e2e::real::PATIENCE;
use serde_json::{Value, json};
use tapline_testkit::influx::{bucket, cell};
use tapline_testkit::real::start;
use tapline_testkit::{Run, json_lines, temp_dir};

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
