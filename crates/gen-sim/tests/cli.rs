//! gen-sim's arguments, output and exit codes.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What a slow machine may take.
const LIMIT: Duration = Duration::from_mins(1);

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gen-sim"));
    command.args(args);
    command
}

fn run(args: &[&str]) -> Output {
    command(args).stdin(Stdio::null()).output().unwrap()
}

/// Stdout of a run that must succeed.
fn stdout(args: &[&str]) -> String {
    let output = run(args);
    assert!(
        output.status.success(),
        "{args:?}: {}",
        text(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Checks that a run is refused with a message that has all of `parts`, and writes nothing.
fn refused(args: &[&str], parts: &[&str]) {
    let output = run(args);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{args:?}");
    for part in parts {
        assert!(stderr.contains(part), "{args:?}: no '{part}' in: {stderr}");
    }
}

fn file(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    path
}

/// A recording as the run writes it at full speed, with the exit code and stderr.
fn replay(name: &str, content: &[u8], more: &[&str]) -> (String, Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), name, content);
    let mut args = vec!["--replay", path.to_str().unwrap(), "--speed", "max"];
    args.extend(more);
    let output = run(&args);
    let stderr = text(&output.stderr).replace(path.to_str().unwrap(), name);
    (text(&output.stdout), output.status.code(), stderr)
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args(["-s", name, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

fn wait(mut child: Child) -> Option<i32> {
    let from = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if from.elapsed() > LIMIT {
            child.kill().unwrap();
            panic!("still running");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[path = "cli/fleet.rs"]
mod fleet;

#[path = "cli/recording.rs"]
mod recording;

#[test]
fn help_names_every_option_and_version_the_version() {
    let help = stdout(&["--help"]);
    for option in [
        "--generators",
        "--interval",
        "--seed",
        "--start",
        "--format",
        "--replay",
        "--time-field",
        "--speed",
        "--rate",
        "--count",
        "--duration",
    ] {
        assert!(help.contains(option), "{option}");
    }
    assert_eq!(
        stdout(&["--version"]),
        format!("gen-sim {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    for args in [
        &["--generators", "0"][..],
        &["--interval", "0s"],
        &["--interval", "5"],
        &["--speed", "0"],
        &["--speed", "fast"],
        &["--rate", "0/s"],
        &["--rate", "5/s", "--speed", "max"],
        &["--start", "yesterday"],
        &["--format", "xml"],
        &["--count", "-1"],
        &["--time-field", "t"],
        &["--replay-format", "csv"],
        &["--strict"],
        &["--rejects", "f"],
        &["--max-record", "1KiB"],
        &["--replay", "f.csv", "--generators", "3"],
        &["--replay", "f.csv", "--seed", "3"],
        &["--replay", "f.csv", "--start", "2026-01-01T00:00:00Z"],
        &["--replay", "f.csv", "--format", "csv"],
        &["--replay", "f.csv", "--time-field", "t", "--interval", "1s"],
        &["extra"],
    ] {
        refused(args, &["--help"]);
    }
}

#[test]
fn a_signal_ends_a_run_at_once_after_what_was_due() {
    for (name, code) in [("TERM", 143), ("INT", 130)] {
        let args = ["--generators", "1", "--interval", "1h", "--summary", "json"];
        let mut child = command(&args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = child.stderr.take().unwrap();
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert!(
            line.ends_with("}\n"),
            "shown at once: the next one is an hour away"
        );
        signal(&child, name);
        assert_eq!(wait(child), Some(code));
        let mut summary = String::new();
        stderr.read_to_string(&mut summary).unwrap();
        assert!(summary.contains(r#""read":1,"delivered":1,"#), "{summary}");
    }
}

#[test]
fn a_signal_ends_a_run_whose_reader_reads_nothing() {
    let mut child = command(&["--speed", "max", "-q"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut first = [0; 1];
    out.read_exact(&mut first).unwrap();
    signal(&child, "TERM");
    assert_eq!(wait(child), Some(143));
    let mut rest = Vec::new();
    out.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(b"}\n"), "no half line");
}

#[test]
fn a_reader_that_goes_away_ends_a_run_quietly() {
    let mut child = command(&["--speed", "max"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut String::new()).unwrap();
    drop(out);
    let mut stderr = child.stderr.take().unwrap();
    assert_eq!(wait(child), Some(0));
    let mut told = String::new();
    stderr.read_to_string(&mut told).unwrap();
    assert_eq!(told, "");
}

#[test]
fn a_full_disk_is_told() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let child = command(&["--speed", "max"])
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).starts_with("gen-sim: stdout: No space left on device"));
}
