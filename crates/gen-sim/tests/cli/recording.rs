//! Recordings: what becomes of their records, and when.

use super::*;

#[test]
fn csv_cells_keep_their_text_and_are_numbers_where_they_are() {
    let csv = "timestamp,value,\"a \"\"b\"\"\"\n\
        2013-12-02 21:15:00,74.93588199999998,1.10\r\n\
        ,007,12345678901234567890\n\
        \"x,\"\"y\"\"\nz\\\",+1,1.0e5";
    let (out, code, stderr) = replay("data.csv", csv.as_bytes(), &[]);
    let expected = concat!(
        r#"{"timestamp":"2013-12-02 21:15:00","value":74.93588199999998,"a \"b\"":1.10}"#,
        "\n",
        r#"{"timestamp":null,"value":"007","a \"b\"":12345678901234567890}"#,
        "\n",
        r#"{"timestamp":"x,\"y\"\nz\\","value":"+1","a \"b\"":1.0e5}"#,
        "\n",
    );
    assert_eq!((out.as_str(), code), (expected, Some(0)), "{stderr}");
}

#[test]
fn lines_of_ndjson_are_written_byte_for_byte() {
    let lines =
        "{ \"a\" : 1.10, \"b\":12345678901234567890}\r\n\n[1e300,\"\\u00e9 é\"]\n\"x\"\n  7";
    let (out, code, stderr) = replay("data.ndjson", lines.as_bytes(), &["--summary", "json"]);
    let expected =
        "{ \"a\" : 1.10, \"b\":12345678901234567890}\n[1e300,\"\\u00e9 é\"]\n\"x\"\n  7\n";
    assert_eq!((out.as_str(), code), (expected, Some(0)), "{stderr}");
    let summary: serde_json::Value = serde_json::from_str(stderr.trim()).unwrap();
    assert_eq!(
        (&summary["read"], &summary["blank"]),
        (&4.into(), &1.into())
    );
    assert_eq!(summary["bytes"], expected.len() - 4);
}

#[test]
fn bad_rows_are_told_with_their_line_and_leave_their_neighbours_alone() {
    let csv = b"t,v\n1,2\n3\n4,5,6\n\n\xff,7\n8,9\n";
    let (out, code, stderr) = replay("data.csv", csv, &["--summary", "json"]);
    assert_eq!(out, "{\"t\":1,\"v\":2}\n{\"t\":8,\"v\":9}\n");
    assert_eq!(code, Some(1));
    let lines: Vec<_> = stderr.lines().collect();
    assert_eq!(
        lines[0],
        "gen-sim: warning: data.csv:3: 1 cells under a header of 2"
    );
    assert_eq!(
        lines[1],
        "gen-sim: warning: data.csv:4: 3 cells under a header of 2"
    );
    assert_eq!(
        lines[2],
        "gen-sim: warning: data.csv:6: the cell \"t\" is not UTF-8"
    );
    let summary: serde_json::Value = serde_json::from_str(lines[3]).unwrap();
    assert_eq!(summary["read"], 5);
    assert_eq!(summary["delivered"], 2);
    assert_eq!(summary["rejected"], 3);
    assert_eq!(summary["blank"], 1);
}

#[test]
fn bad_lines_are_told_with_their_line_and_leave_their_neighbours_alone() {
    let lines = b"{\"a\":1}\n{\"a\":\n{\"a\":\"\xff\"}\n\0\n{\"a\":2}\n";
    let (out, code, stderr) = replay("data.jsonl", lines, &[]);
    assert_eq!((out.as_str(), code), ("{\"a\":1}\n{\"a\":2}\n", Some(1)));
    for (at, line) in stderr.lines().take(3).enumerate() {
        assert!(
            line.starts_with(&format!(
                "gen-sim: warning: data.jsonl:{}: not JSON: ",
                at + 2
            )),
            "{line}"
        );
    }
}

#[test]
fn strict_stops_at_the_first_bad_row_and_rejects_keeps_the_originals() {
    let folder = tempfile::tempdir().unwrap();
    let rejects = folder.path().join("rejects");
    let csv = b"t,v\n1,2\n\"3\"\n4,5\n";
    let (out, code, _) = replay("data.csv", csv, &["--strict"]);
    assert_eq!((out.as_str(), code), ("{\"t\":1,\"v\":2}\n", Some(1)));
    let (out, code, _) = replay("data.csv", csv, &["--rejects", rejects.to_str().unwrap()]);
    assert_eq!((out.lines().count(), code), (2, Some(1)));
    let reject: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(rejects).unwrap()).unwrap();
    assert_eq!(reject["reason"], "bad-row");
    assert_eq!(reject["line"], 3);
    assert_eq!(reject["record"], "\"3\"");
}

#[test]
fn records_over_the_limit_are_rejected() {
    let long = "x".repeat(200_000);
    let csv = format!("t\n1\n{long}\n2\n");
    let (out, code, stderr) = replay("data.csv", csv.as_bytes(), &["--max-record", "1KiB"]);
    assert_eq!((out.as_str(), code), ("{\"t\":1}\n{\"t\":2}\n", Some(1)));
    assert!(
        stderr.contains("data.csv:3: a row is over --max-record"),
        "{stderr}"
    );
    let json = format!("1\n\"{long}\"\n2\n");
    let (out, code, stderr) = replay("data.ndjson", json.as_bytes(), &["--max-record", "1KiB"]);
    assert_eq!((out.as_str(), code), ("1\n2\n", Some(1)));
    assert!(
        stderr.contains("data.ndjson:2: the line has 200002 bytes"),
        "{stderr}"
    );
}

#[test]
fn an_empty_recording_is_none_and_so_is_one_of_a_header_alone() {
    for (name, content) in [("e.ndjson", ""), ("h.csv", "a,b\n"), ("n.ndjson", "\n\n")] {
        let (out, code, _) = replay(name, content.as_bytes(), &[]);
        assert_eq!((out.as_str(), code), ("", Some(0)), "{name}");
    }
}

#[test]
fn a_csv_without_a_header_could_not_be_read() {
    for content in ["", "\n\r\n", "\u{feff}"] {
        let (out, code, stderr) = replay("e.csv", content.as_bytes(), &[]);
        assert_eq!((out.as_str(), code), ("", Some(2)));
        assert!(
            stderr.contains("e.csv: no header: CSV begins with a row of column names"),
            "{stderr}"
        );
    }
}

#[test]
fn identifiers_in_csv_are_text_where_they_could_be_meant_or_text_is_said() {
    let csv = b"\xef\xbb\xbfid,n,,\n3946E1,1e+5,,\n888E050011,1e999,,\n0042,true,,\n1234,,,\n";
    let (out, code, stderr) = replay("data.csv", csv, &[]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(
        out,
        "{\"id\":\"3946E1\",\"n\":1e+5}\n\
         {\"id\":\"888E050011\",\"n\":\"1e999\"}\n\
         {\"id\":\"0042\",\"n\":true}\n\
         {\"id\":1234,\"n\":null}\n"
    );
    let (out, code, stderr) = replay("data.csv", csv, &["--text", "id,n"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(
        out,
        "{\"id\":\"3946E1\",\"n\":\"1e+5\"}\n\
         {\"id\":\"888E050011\",\"n\":\"1e999\"}\n\
         {\"id\":\"0042\",\"n\":\"true\"}\n\
         {\"id\":\"1234\",\"n\":null}\n"
    );
    let (_, code, stderr) = replay("data.csv", csv, &["--text", "ID"]);
    assert_eq!(code, Some(2));
    assert!(
        stderr.contains("line 1: the header has no column \"ID\" (--text), but id, n"),
        "{stderr}"
    );
    let (_, code, stderr) = replay("data.ndjson", b"{}\n", &["--text", "id"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("--text is for CSV"), "{stderr}");
}

#[test]
fn the_times_of_a_recording_pace_it_and_backwards_waits_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let csv = b"t,v\n2013-11-03 01:00:00,1\n2013-11-03 01:00:20,2\n2013-11-03 00:00:00,3\n2013-11-03 00:00:20,4\n";
    let path = file(folder.path(), "data.csv", csv);
    let args = [
        "--replay",
        path.to_str().unwrap(),
        "--time-field",
        "t",
        "--speed",
        "100",
    ];
    let from = Instant::now();
    assert_eq!(stdout(&args).lines().count(), 4);
    let took = from.elapsed();
    assert!(
        (Duration::from_millis(400)..LIMIT).contains(&took),
        "{took:?}"
    );
    // 20 s have passed at the third record, 40 s at the fourth.
    assert_eq!(
        stdout(&[&args[..], &["--duration", "40s"]].concat())
            .lines()
            .count(),
        3
    );
    assert_eq!(
        stdout(&[&args[..], &["--duration", "10s"]].concat())
            .lines()
            .count(),
        1
    );
    assert_eq!(
        stdout(&[&args[..], &["--count", "2"]].concat())
            .lines()
            .count(),
        2
    );
}

#[test]
fn a_record_without_a_time_is_rejected_where_times_are_asked_for() {
    let json = "{\"at\":1}\n{\"b\":2}\n{\"at\":\"noon\"}\n{\"at\":{}}\n{\"at\":3.5}\n";
    let (out, code, stderr) = replay("data.ndjson", json.as_bytes(), &["--time-field", "at"]);
    assert_eq!(
        (out.as_str(), code),
        ("{\"at\":1}\n{\"at\":3.5}\n", Some(1)),
        "{stderr}"
    );
    assert!(
        stderr.contains("data.ndjson:2: has no field 'at'"),
        "{stderr}"
    );
    assert!(
        stderr.contains("data.ndjson:3: field 'at' is 'noon'"),
        "{stderr}"
    );
    let (out, code, stderr) = replay("data.csv", b"t,v\nnoon,1\n0,2\n", &["--time-field", "t"]);
    assert_eq!(
        (out.as_str(), code),
        ("{\"t\":0,\"v\":2}\n", Some(1)),
        "{stderr}"
    );
    assert!(
        stderr.contains("data.csv:2: field 't' is 'noon'"),
        "{stderr}"
    );
}

#[test]
fn without_a_time_field_the_interval_paces_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "data.ndjson", b"1\n2\n3\n");
    let from = Instant::now();
    let out = stdout(&["--replay", path.to_str().unwrap(), "--interval", "100ms"]);
    assert_eq!(out, "1\n2\n3\n");
    assert!((Duration::from_millis(200)..LIMIT).contains(&from.elapsed()));
}

#[test]
fn stdin_is_replayed_line_by_line_as_it_comes() {
    for (form, header, line, expected) in [
        ("ndjson", "", "{\"a\": 1}\n", "{\"a\": 1}\n"),
        ("csv", "a\n", "1\n", "{\"a\":1}\n"),
    ] {
        let mut child = command(&[
            "--replay",
            "-",
            "--replay-format",
            form,
            "--speed",
            "max",
            "-q",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        stdin.write_all(header.as_bytes()).unwrap();
        for _ in 0..3 {
            stdin.write_all(line.as_bytes()).unwrap();
            let mut read = String::new();
            out.read_line(&mut read).unwrap();
            assert_eq!(read, expected);
        }
        drop(stdin);
        assert_eq!(wait(child), Some(0));
    }
}

#[test]
fn recordings_that_cannot_be_read_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, content: &[u8]| {
        file(folder.path(), name, content)
            .to_str()
            .unwrap()
            .to_owned()
    };
    let missing = folder.path().join("none.csv");
    refused(
        &["--replay", missing.to_str().unwrap()],
        &["none.csv", "No such file"],
    );
    let directory = folder.path().join("d.csv");
    fs::create_dir(&directory).unwrap();
    refused(
        &["--replay", directory.to_str().unwrap()],
        &["d.csv", "directory"],
    );
    let twice = path("twice.csv", b"a,b,a\n1,2,3\n");
    refused(
        &["--replay", &twice],
        &["twice.csv: line 1: the header has the column \"a\" twice"],
    );
    let latin = path("latin.csv", b"a,\xe9\n1,2\n");
    refused(
        &["--replay", &latin],
        &["latin.csv: line 1: the header is not UTF-8"],
    );
    let fine = path("fine.csv", b"a,b\n1,2\n");
    refused(
        &["--replay", &fine, "--time-field", "t"],
        &["no column \"t\"", "but a, b"],
    );
    let none = path("fine.txt", b"a,b\n1,2\n");
    refused(&["--replay", &none], &["--replay-format"]);
    refused(&["--replay", "-"], &["stdin", "--replay-format"]);
    assert_eq!(
        stdout(&["--replay", &none, "--replay-format", "csv"]),
        "{\"a\":1,\"b\":2}\n"
    );
}
