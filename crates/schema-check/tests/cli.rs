//! schema-check from the outside: arguments, exit codes, and what a report says of good and bad input.

#[path = "cli/costs.rs"]
mod costs;
#[path = "cli/filter.rs"]
mod filter;
#[path = "cli/streams.rs"]
mod streams;
#[path = "cli/table.rs"]
mod table;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use serde_json::Value;

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
        stderr.starts_with("schema-check: 3 read, 3 valid, 0 invalid in "),
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
            "<stdin>:4: not JSON: unexpected end at column 2",
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
            "<stdin>:3: not JSON: expected a member name in double quotes at column 3\n",
            ""
        )
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
fn empty_input_is_valid() {
    let output = check(&["--pass"], "");
    let (code, stdout, stderr) = parts(&output);
    assert_eq!((code, stdout), (0, ""), "{stderr}");
    assert!(stderr.contains("0 read, 0 valid, 0 invalid"), "{stderr}");
    // But no JSON document is empty.
    let output = check(&["-q", "--format", "json"], "");
    assert_eq!(
        parts(&output),
        (1, "<stdin>:1: not JSON: empty at column 1\n", "")
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
        ("{", "s.json:1: not JSON: unexpected end"),
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
