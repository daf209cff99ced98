//! schema-check from the outside: arguments, exit codes, reports, the filter, and bad input of every kind.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Long enough for any machine; nothing here takes it.
const LONG: Duration = Duration::from_mins(1);

const READING: &str = r#"{"generatorID":"generator4","lat":40.65995,"lon":-111.99633,"temperature":74,"pressure":198,"fuel":901}"#;

fn schema(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../schemas")
        .join(format!("{name}.schema.json"))
}

fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_schema-check"))
}

/// With the generator's schema.
fn check(args: &[&str], input: impl AsRef<[u8]>) -> Output {
    let mut command = command();
    command.arg("-s").arg(schema("generator")).args(args);
    feed(&mut command, input)
}

fn feed(command: &mut Command, input: impl AsRef<[u8]>) -> Output {
    let mut child = spawn(command);
    let mut stdin = child.stdin.take().unwrap();
    let input = input.as_ref().to_vec();
    let feeder = thread::spawn(move || {
        // A tool that can't run doesn't read.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    output
}

fn spawn(command: &mut Command) -> Child {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Exit code, stdout, stderr.
fn parts(output: &Output) -> (i32, &str, &str) {
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// The records of a file of rejects, which must be as their schema has them.
fn rejects(path: &Path) -> Vec<Value> {
    let output = feed(
        command().arg("-s").arg(schema("reject")).arg("-"),
        fs::read(path).unwrap(),
    );
    assert_eq!(parts(&output).0, 0, "{}", text(&output.stdout));
    let lines = fs::read_to_string(path).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn valid_records_are_silent_on_stdout() {
    let output = check(&[], format!("{READING}\n").repeat(3));
    let (code, stdout, stderr) = parts(&output);
    assert_eq!((code, stdout), (0, ""));
    assert!(
        stderr.starts_with("schema-check: 3 read, 3 delivered, 0 rejected in "),
        "{stderr}"
    );
    let output = check(&["-q"], READING);
    assert_eq!(parts(&output), (0, "", ""));
}

#[test]
fn every_error_of_every_line_is_reported() {
    let hot = READING.replace("74", "\"hot\"").replace("901", "-1.10");
    let input = format!("{READING}\n\n{hot}\n{{\n{READING}\n{{}}\n");
    let output = check(&["-q"], input);
    let (code, stdout, stderr) = parts(&output);
    assert_eq!((code, stderr), (1, ""));
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(
        lines[..4],
        [
            r#"<stdin>:3: /temperature: "hot" is not of type "integer""#,
            r#"<stdin>:3: /fuel: -1.10 is not of type "integer""#,
            "<stdin>:3: /fuel: -1.10 is less than the minimum of 0",
            "<stdin>:4: not JSON: EOF while parsing an object at column 1",
        ]
    );
    assert_eq!(lines.len(), 10, "{stdout}");
    assert_eq!(
        lines[4],
        r#"<stdin>:6: "generatorID" is a required property"#
    );
}

#[test]
fn files_are_told_by_their_endings_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let document = file(
        "a.json",
        &READING
            .replace(',', ",\n  ")
            .replace("198", "\"high\"")
            .replace("74", "7.5"),
    );
    let header = "generatorID,lat,lon,temperature,pressure,fuel";
    let table = file(
        "b.csv",
        &format!("{header}\r\ngenerator4,40.65995,-111.99633,74,198,901\r\n1,2,3,hot,5,\r\n"),
    );
    let lines = file("c.ndjson", &format!("{READING}\n"));
    let output = check(&["-q", &document, &table, &lines], "");
    assert_eq!(
        parts(&output),
        (
            1,
            format!(
                "{document}:4: /temperature: 7.5 is not of type \"integer\"\n\
                 {document}:5: /pressure: \"high\" is not of type \"integer\"\n\
                 {table}:3: \"fuel\" is a required property\n\
                 {table}:3: /temperature: \"hot\" is not of type \"integer\"\n"
            )
            .as_str(),
            ""
        )
    );
}

#[test]
fn a_broken_document_is_told_with_its_line() {
    let output = check(&["-q", "--format", "json"], "{\n  \"a\": 1,\n  b\n}\n");
    assert_eq!(
        parts(&output),
        (
            1,
            "<stdin>:3: not JSON: key must be a string at column 3\n",
            ""
        )
    );
}

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
        stderr.starts_with("schema-check: line 1: 1 is not of type \"object\"\n"),
        "{stderr}"
    );
    assert!(stderr.contains("3 more were rejected"), "{stderr}");
    assert!(
        stderr.contains("8 read, 0 delivered, 8 rejected"),
        "{stderr}"
    );
}

#[test]
fn a_report_writes_rejects_too_if_asked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rejects");
    let output = check(&["-q", "--rejects", file.to_str().unwrap()], "1\n");
    assert_eq!(
        parts(&output),
        (1, "<stdin>:1: 1 is not of type \"object\"\n", "")
    );
    assert_eq!(rejects(&file).len(), 1);
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
fn empty_input_is_valid() {
    for format in ["ndjson", "csv"] {
        let output = check(&["--format", format, "--pass"], "");
        let (code, stdout, stderr) = parts(&output);
        assert_eq!((code, stdout), (0, ""), "{stderr}");
        assert!(
            stderr.contains("0 read, 0 delivered, 0 rejected"),
            "{stderr}"
        );
    }
    // But no JSON document is empty.
    let output = check(&["-q", "--format", "json"], "");
    assert_eq!(
        parts(&output),
        (
            1,
            "<stdin>:1: not JSON: nothing but space at column 1\n",
            ""
        )
    );
}

#[test]
fn what_cannot_be_read_is_passed_over_and_the_rest_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.ndjson");
    fs::write(&bad, "1\n").unwrap();
    let bad = bad.to_str().unwrap();
    for (file, why) in [
        (folder.path().to_str().unwrap(), "is a directory"),
        ("/nonexistent", "No such file"),
    ] {
        let output = check(&["-q", file, bad], "");
        let (code, stdout, stderr) = parts(&output);
        assert_eq!(code, 2);
        assert_eq!(stdout, format!("{bad}:1: 1 is not of type \"object\"\n"));
        assert!(
            stderr.starts_with(&format!("schema-check: {file}: ")) && stderr.contains(why),
            "{stderr}"
        );
    }
}

#[test]
fn a_schema_that_is_none_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.json");
    for (text, why) in [
        ("{", "s.json:1: not JSON: EOF"),
        (
            "{\"type\": \"int\"}",
            "s.json: not a JSON Schema: at /type: \"int\" is not valid",
        ),
        (READING, "it has none of JSON Schema's keywords"),
        ("{\"$ref\": \"other.json\"}", "$ref \"other.json\""),
    ] {
        fs::write(&path, text).unwrap();
        let output = feed(command().arg("-s").arg(&path), READING);
        let (code, stdout, stderr) = parts(&output);
        assert_eq!((code, stdout), (2, ""));
        assert!(stderr.starts_with("schema-check: --schema: "), "{stderr}");
        assert!(
            stderr.contains(why) && stderr.lines().count() == 1,
            "{stderr}"
        );
    }
    let output = feed(command().arg("-s").arg(folder.path()), READING);
    assert!(text(&output.stderr).contains("Is a directory"));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn usage_errors_are_2_and_help_is_0() {
    for args in [
        &[][..],
        &["-s"],
        &["-s", "x", "--format", "xml"],
        &["-s", "x", "--max-record", "1 bushel"],
        &["-s", "x", "-q", "-v"],
    ] {
        let output = feed(command().args(args), "");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty());
    }
    for args in ["--help", "-h", "--version"] {
        let output = feed(command().arg(args), "");
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains("schema-check"));
    }
    let help = feed(command().arg("--help"), "");
    for word in [
        "--pass",
        "--rejects",
        "--strict",
        "--max-record",
        "--max-document",
        "--summary",
        "Exit codes",
    ] {
        assert!(text(&help.stdout).contains(word), "{word}");
    }
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

#[test]
fn a_document_over_its_limit_is_rejected() {
    let output = check(
        &["-q", "--format", "json", "--max-document", "100"],
        READING,
    );
    assert_eq!(
        parts(&output),
        (
            1,
            "<stdin>:1: a document of more than 100 bytes is over --max-document\n",
            ""
        )
    );
}

#[test]
fn a_full_disk_is_2() {
    let full = || {
        fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    for args in [&["--pass"][..], &[]] {
        let mut child = command()
            .arg("-s")
            .arg(schema("generator"))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(full())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin
            .write_all(format!("{READING}\n1\n").as_bytes())
            .unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let stderr = text(&output.stderr);
        assert!(stderr.contains("stdout: No space left"), "{stderr}");
    }
    let output = check(&["--pass", "--rejects", "/dev/full"], "1\n".repeat(1000));
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--rejects /dev/full: No space left"));
}

#[test]
fn a_reader_that_goes_away_ends_the_tool_quietly() {
    let mut child = spawn(command().args(["--pass", "-s"]).arg(schema("generator")));
    let mut stdin = child.stdin.take().unwrap();
    let feeder = thread::spawn(move || {
        let line = format!("{READING}\n");
        while stdin.write_all(line.as_bytes()).is_ok() {}
    });
    let mut first = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut first).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    assert_eq!(first.trim_end(), READING);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
}

/// Lines of the child's stdout, as they come.
fn lines(child: &mut Child) -> mpsc::Receiver<String> {
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in stdout.lines() {
            if sender.send(line.unwrap()).is_err() {
                return;
            }
        }
    });
    receiver
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args(["-s", name, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn a_slow_pipe_shows_each_line_at_once() {
    let header = "generatorID,lat,lon,temperature,pressure,fuel";
    for (format, lines_in) in [
        ("ndjson", [READING, READING]),
        ("csv", [header, "g,0,0,0,0,0"]),
    ] {
        let mut child = spawn(
            command()
                .args(["-q", "--pass", "--format", format, "-s"])
                .arg(schema("generator")),
        );
        let out = lines(&mut child);
        let mut stdin = child.stdin.take().unwrap();
        for line in lines_in {
            writeln!(stdin, "{line}").unwrap();
            // The input stays open: only the tool's own flush can bring it.
            assert_eq!(out.recv_timeout(LONG).unwrap(), line);
        }
        drop(stdin);
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn a_signal_ends_it_after_what_was_read() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let mut child = spawn(command().args(["--pass", "-s"]).arg(schema("generator")));
        let out = lines(&mut child);
        let mut stdin = child.stdin.take().unwrap();
        writeln!(stdin, "{READING}").unwrap();
        assert_eq!(out.recv_timeout(LONG).unwrap(), READING);
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code));
        let stderr = text(&output.stderr);
        assert!(
            stderr.contains("1 read, 1 delivered, 0 rejected"),
            "{stderr}"
        );
        drop(stdin);
    }
}

#[test]
fn a_signal_ends_it_even_if_nobody_reads_stdout() {
    let mut child = spawn(
        command()
            .args(["--pass", "--summary", "json", "-s"])
            .arg(schema("generator")),
    );
    let mut stdin = child.stdin.take().unwrap();
    let line = format!("{READING}\n");
    let (sender, receiver) = mpsc::channel();
    let feeder = thread::spawn(move || {
        // Stops where the tool stops reading: its stdout is full.
        while stdin.write_all(line.as_bytes()).is_ok() {
            let _ = sender.send(());
        }
    });
    while receiver.recv_timeout(Duration::from_secs(1)).is_ok() {}
    signal(&child, "TERM");
    let start = Instant::now();
    let mut stdout = child.stdout.take().unwrap();
    let status = child.wait().unwrap();
    assert!(start.elapsed() < LONG);
    assert_eq!(status.code(), Some(143));
    let (mut written, mut stderr) = (String::new(), String::new());
    stdout.read_to_string(&mut written).unwrap();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    let summary: Value = serde_json::from_str(stderr.lines().last().unwrap()).unwrap();
    assert!(stderr.contains("were not written"), "{stderr}");
    assert_eq!(summary["read"], summary["delivered"]);
    assert!(summary["read"].as_u64().unwrap() <= written.lines().count() as u64);
    feeder.join().unwrap();
}

#[test]
fn memory_is_flat_whatever_the_input() {
    // 100 MB of readings, one line of 100 MB, and one row of 100 MB, in 64 MB of address space.
    let readings = format!("{READING}\n").repeat(1000);
    let cases: [(&str, Vec<u8>, i32); 3] = [
        ("ndjson", readings.into_bytes(), 0),
        ("ndjson", vec![b'['; 100_000], 1),
        ("csv", b"a\n".repeat(50_000), 1),
    ];
    for (format, block, expected) in cases {
        let mut child = spawn(
            Command::new("sh")
                .args(["-c", "ulimit -v 65536; exec \"$0\" \"$@\""])
                .arg(env!("CARGO_BIN_EXE_schema-check"))
                .args([
                    "-q",
                    "--pass",
                    "--rejects",
                    "/dev/null",
                    "--format",
                    format,
                    "-s",
                ])
                .arg(schema("generator")),
        );
        let mut stdout = child.stdout.take().unwrap();
        let reader = thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        let mut stdin = child.stdin.take().unwrap();
        if format == "csv" {
            stdin.write_all(b"a,b\n\"").unwrap();
        }
        for _ in 0..1000 {
            stdin.write_all(&block).unwrap();
        }
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(expected),
            "{}",
            text(&output.stderr)
        );
        reader.join().unwrap().unwrap();
    }
}
