//! Streams and signals: full disks, readers that go away or take nothing, slow and endless input.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{READING, check, command, schema, spawn, text};

/// Long enough for any machine; nothing here takes it.
const LONG: Duration = Duration::from_mins(1);

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
    for args in [&["--pass"][..], &[]] {
        let args = [args, &["--rejects", "/dev/full", "--summary", "json"]].concat();
        let input = format!("{READING}\n1\n").repeat(10_000);
        let output = check(&args, &input);
        assert_eq!(output.status.code(), Some(2));
        let stderr = text(&output.stderr);
        assert!(
            stderr.contains("--rejects /dev/full: No space left"),
            "{stderr}"
        );
        let summary: Value = serde_json::from_str(stderr.lines().last().unwrap()).unwrap();
        let count = |name: &str| summary[name].as_u64().unwrap();
        assert_eq!(
            count("read"),
            count("delivered") + count("rejected"),
            "{stderr}"
        );
        assert!(count("read") > 0 && count("read") < 20_000, "{stderr}");
    }
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
        assert!(stderr.contains("1 read, 1 valid, 0 invalid"), "{stderr}");
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
