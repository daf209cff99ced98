//! The filter: what passes, what is rejected, and that nothing is lost between.

use std::fs;

use serde_json::Value;

use super::{READING, check, command, feed, parts, rejects, schema, text};

#[test]
fn the_filter_passes_valid_lines_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let open = folder.path().join("open.json");
    fs::write(&open, r#"{"required": ["n"]}"#).unwrap();
    let lines = [
        r#"{"n":1.10}"#,
        r#" { "n" : 12345678901234567890123 } "#,
        r#"{"n":"\u00e4\/ä \ud83d\ude00","n":1e0}"#,
        r#"{"z":-0,"n":[ ] }"#,
    ];
    let output = feed(
        command().args(["-q", "--pass", "-s"]).arg(open),
        lines.join("\r\n{}\n") + "\n",
    );
    let (code, stdout, _) = parts(&output);
    assert_eq!((code, stdout), (1, (lines.join("\n") + "\n").as_str()));
}

#[test]
fn of_an_envelope_whose_value_is_not_valid_its_seq_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rejects");
    let valid = format!(r#"{{"seq":1,"topic":"t","key":"k","value":{READING}}}"#);
    let lines = [
        &valid,
        r#"{"seq":2,"value":{"generatorID":7}}"#,
        r#"{"seq":3,"value_text":"not JSON"}"#,
        r#"{"seq":4,"tombstone":true}"#,
        r#"{"seq":5}"#,
        "no envelope",
    ];
    let path = file.to_str().unwrap();
    let arguments = ["--pass", "-J", "--rejects", path, "--summary", "json"];
    let output = check(&arguments, lines.join("\n"));
    let (code, stdout, stderr) = parts(&output);
    let left = [lines[0], r#"{"seq":2}"#, r#"{"seq":3}"#, lines[3], lines[4]];
    assert_eq!((code, stdout), (1, (left.join("\n") + "\n").as_str()));
    assert!(
        stderr.contains(r#""read":5,"delivered":2,"rejected":3"#),
        "{stderr}"
    );
    let rejects = rejects(&file);
    let told = |index: usize, member: &str| rejects[index][member].as_str().unwrap().to_owned();
    assert_eq!(
        (told(0, "reason"), told(0, "record")),
        ("invalid".to_owned(), lines[1].to_owned())
    );
    assert_eq!(told(1, "reason"), "not-json");
    assert_eq!(told(2, "reason"), "bad-envelope");
}

#[test]
fn no_bad_line_costs_its_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rejects");
    let mut input = Vec::new();
    let bad: [&[u8]; 8] = [
        b"\0",
        b"{\"a\":\"\xff\"}",
        b"not JSON",
        b"\xef\xbb\xbf{}",
        b" ",
        b"{}{}",
        b"null",
        &[b'x'; 2000],
    ];
    for line in bad {
        input.extend_from_slice(READING.as_bytes());
        input.push(b'\n');
        input.extend_from_slice(line);
        input.extend_from_slice(b"\r\n");
    }
    // No final newline.
    input.extend_from_slice(READING.as_bytes());
    let path = file.to_str().unwrap();
    let output = check(
        &[
            "--pass",
            "--rejects",
            path,
            "--max-record",
            "1KB",
            "--summary",
            "json",
        ],
        &input,
    );
    let (code, stdout, stderr) = parts(&output);
    assert_eq!(code, 1);
    assert_eq!(stdout, format!("{READING}\n").repeat(9));
    let told: Vec<(u64, String)> = rejects(&file)
        .iter()
        .map(|reject| {
            let line = reject["line"].as_u64().unwrap();
            (line, reject["reason"].as_str().unwrap().to_owned())
        })
        .collect();
    let words = [
        "not-json", "not-json", "not-json", "not-json", "not-json", "not-json", "invalid",
        "too-long",
    ];
    let expected: Vec<_> = words
        .iter()
        .zip(1..)
        .map(|(word, number)| (number * 2, (*word).to_owned()))
        .collect();
    assert_eq!(told, expected);
    let summary: Value = serde_json::from_str(stderr).unwrap();
    assert_eq!(summary["read"], 17);
    assert_eq!(summary["delivered"], 9);
    assert_eq!(summary["rejected"], 8);
    let output = feed(command().arg("-s").arg(schema("summary")), stderr);
    assert_eq!(parts(&output).0, 0, "{}", text(&output.stdout));
}

#[test]
fn rejects_hold_the_original_line_and_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rejects");
    let hot = READING.replace("74", " \"hot\" ");
    let output = check(&["-q", "--pass", "--rejects", file.to_str().unwrap()], &hot);
    assert_eq!(parts(&output), (1, "", ""));
    let rejects = rejects(&file);
    assert_eq!(rejects.len(), 1);
    let reject = &rejects[0];
    assert_eq!(reject["tool"], "schema-check");
    assert_eq!(reject["path"], "/temperature");
    assert_eq!(reject["detail"], "\"hot\" is not of type \"integer\"");
    assert_eq!(reject["record"], hot);
}

#[test]
fn without_a_file_the_first_rejects_are_told_and_the_rest_counted() {
    let output = check(&["--pass"], "1\n".repeat(8));
    let (code, stdout, stderr) = parts(&output);
    assert_eq!((code, stdout), (1, ""));
    assert!(
        stderr.starts_with("schema-check: warning: line 1: 1 is not of type \"object\"\n"),
        "{stderr}"
    );
    assert!(stderr.contains("3 more were rejected"), "{stderr}");
    assert!(stderr.contains("8 read, 0 valid, 8 invalid"), "{stderr}");
}

#[test]
fn a_table_is_filtered_row_by_row() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rejects");
    let header = "fuel,generatorID,lat,lon,temperature,pressure";
    let good = [
        "901,generator4,40.65995,-111.99633,74,198",
        "1,\"gen, 4\",4e1,-0.0,74.0,198",
        "1,\"g\n\"\"4\"\"\",0,0,0,0",
    ];
    let bad = ["901,generator4,40.65995", "901,a/b,0,0,0,0", "x,y,z,,,"];
    // The good rows but the last, which has a line feed in its name, are valid.
    let input = format!(
        "{header}\r\n{}\r\n\r\n{}\r\n{}\r\n{}",
        good[0],
        bad.join("\r\n"),
        good[1],
        good[2]
    );
    let path = file.to_str().unwrap();
    let output = check(
        &["-q", "--format", "csv", "--pass", "--rejects", path],
        &input,
    );
    let (code, stdout, _) = parts(&output);
    assert_eq!(code, 1);
    assert_eq!(stdout, format!("{header}\n{}\n{}\n", good[0], good[1]));
    let told: Vec<_> = rejects(&file)
        .into_iter()
        .map(|reject| {
            let word = reject["reason"].as_str().unwrap().to_owned();
            (
                reject["line"].as_u64().unwrap(),
                word,
                reject["record"].clone(),
            )
        })
        .collect();
    let expected = [
        (4, "bad-row", bad[0]),
        (5, "invalid", bad[1]),
        (6, "invalid", bad[2]),
        (8, "invalid", good[2]),
    ]
    .map(|(line, word, record)| (line, word.to_owned(), Value::from(record)));
    assert_eq!(told, expected);
}

#[test]
fn tables_of_one_filter_must_have_one_header() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let header = "generatorID,lat,lon,temperature,pressure,fuel";
    let row = "g,0,0,0,0,0";
    let (a, b) = (
        file("a.csv", &format!("{header}\n{row}\n")),
        file("b.csv", "fuel\n1\n"),
    );
    let output = check(&["-q", "--pass", &a, &a, &b], "");
    let (code, stdout, stderr) = parts(&output);
    assert_eq!(
        (code, stdout),
        (2, format!("{header}\n{row}\n{row}\n").as_str())
    );
    assert!(
        stderr.contains("b.csv: its header is not that of the CSV before it"),
        "{stderr}"
    );
    let twice = file("twice.csv", "a,b,a\n1,2,3\n");
    let output = check(&["-q", &twice], "");
    assert_eq!(parts(&output).0, 2);
    assert!(text(&output.stderr).contains("the column \"a\" twice"));
}

#[test]
fn strict_stops_at_the_first() {
    let input = format!("{READING}\n1\n{READING}\n2\n");
    let output = check(&["--strict", "--pass", "--summary", "json"], input);
    let (code, stdout, stderr) = parts(&output);
    assert_eq!((code, stdout), (1, format!("{READING}\n").as_str()));
    assert!(
        stderr.contains(r#""read":2,"delivered":1,"rejected":1"#),
        "{stderr}"
    );
}
