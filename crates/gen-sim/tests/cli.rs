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

mod fleet {
    use super::*;

    #[test]
    fn readings_have_exactly_the_six_fields_in_their_order_and_sane_values() {
        let out = stdout(&[
            "--generators",
            "50",
            "--count",
            "5000",
            "--speed",
            "max",
            "--interval",
            "10m",
        ]);
        assert_eq!(out.lines().count(), 5000);
        let fields = [
            "generatorID",
            "lat",
            "lon",
            "temperature",
            "pressure",
            "fuel",
        ];
        for (at, line) in out.lines().enumerate() {
            let object: serde_json::Map<_, _> = serde_json::from_str(line).unwrap();
            let places: Vec<_> = fields
                .map(|field| line.find(&format!("\"{field}\":")).unwrap())
                .into();
            assert!(places.is_sorted() && object.len() == 6, "{line}");
            assert_eq!(object["generatorID"], format!("generator{}", at % 50 + 1));
            let within = |field: &str, low: f64, high: f64| {
                let value = object[field].as_f64().unwrap();
                assert!((low..=high).contains(&value), "{line}");
            };
            within("lat", -90.0, 90.0);
            within("lon", -180.0, 180.0);
            within("temperature", -40.0, 130.0);
            within("pressure", 0.0, 1000.0);
            within("fuel", 0.0, 5000.0);
            for whole in &fields[3..] {
                assert!(object[*whole].is_i64(), "{line}");
            }
        }
    }

    #[test]
    fn the_first_bytes_of_a_seed_are_the_same_everywhere_and_for_ever() {
        let args = [
            "--seed",
            "7",
            "--start",
            "2026-02-03T04:05:06Z",
            "--generators",
            "4",
            "--count",
            "8",
        ];
        let out = stdout(&[&args[..], &["--speed", "max", "--interval", "6h"]].concat());
        assert_eq!(out, include_str!("seed7.ndjson"));
    }

    #[test]
    fn a_long_run_of_many_generators_has_the_bytes_that_it_always_had() {
        let args = [
            "--seed",
            "3",
            "--generators",
            "300",
            "--count",
            "60000",
            "--interval",
            "1h",
            "--speed",
            "max",
        ];
        let hash = stdout(&args)
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        assert_eq!(
            format!("{hash:016x}"),
            "677483586ce690d3",
            "FNV-1a of the output"
        );
    }

    #[test]
    fn the_defaults_show_generators_that_stand_by_and_ones_that_run() {
        let out = stdout(&["--duration", "1m", "--speed", "max"]);
        assert_eq!(out.lines().count(), 600);
        let running = out
            .lines()
            .filter(|line| !line.contains(r#""pressure":0,"#))
            .count();
        assert!((100..500).contains(&running), "{running}");
    }

    #[test]
    fn csv_has_a_header_and_the_values_of_the_json() {
        let args = ["--count", "30", "--speed", "max", "--format"];
        let csv = stdout(&[&args[..], &["csv"]].concat());
        let json = stdout(&[&args[..], &["ndjson"]].concat());
        let mut rows = csv.lines();
        let header: Vec<_> = rows.next().unwrap().split(',').collect();
        assert_eq!(
            header,
            [
                "generatorID",
                "lat",
                "lon",
                "temperature",
                "pressure",
                "fuel"
            ]
        );
        let mut count = 0;
        for (row, line) in rows.zip(json.lines()) {
            let cells: Vec<_> = row.split(',').collect();
            let expected = format!(
                r#"{{"generatorID":"{}","lat":{},"lon":{},"temperature":{},"pressure":{},"fuel":{}}}"#,
                cells[0], cells[1], cells[2], cells[3], cells[4], cells[5]
            );
            assert_eq!(line, expected);
            count += 1;
        }
        assert_eq!(count, 30);
    }

    #[test]
    fn a_csv_of_the_fleet_replays_as_its_json() {
        let args = [
            "--count",
            "500",
            "--speed",
            "max",
            "--interval",
            "1h",
            "--format",
        ];
        let csv = stdout(&[&args[..], &["csv"]].concat());
        let (replayed, code, _) = replay("fleet.csv", csv.as_bytes(), &[]);
        assert_eq!(code, Some(0));
        assert_eq!(replayed, stdout(&[&args[..], &["ndjson"]].concat()));
    }

    #[test]
    fn count_and_duration_end_the_run_whichever_comes_first() {
        let lines = |args: &[&str]| {
            stdout(&[args, &["--speed", "max", "--generators", "4"]].concat())
                .lines()
                .count()
        };
        assert_eq!(lines(&["--count", "0"]), 0);
        assert_eq!(lines(&["--duration", "10s"]), 40);
        assert_eq!(lines(&["--duration", "10s", "--interval", "5s"]), 8);
        assert_eq!(lines(&["--duration", "10s", "--count", "7"]), 7);
        assert_eq!(lines(&["--duration", "1s", "--count", "7"]), 4);
    }

    #[test]
    fn speed_and_rate_pace_the_run() {
        let takes = |args: &[&str]| {
            let from = Instant::now();
            stdout(args);
            from.elapsed()
        };
        let args = ["--generators", "2", "--count", "5"];
        // The fifth reading is due two intervals after the first.
        let fast = takes(&[&args[..], &["--speed", "10"]].concat());
        assert!(
            (Duration::from_millis(200)..LIMIT).contains(&fast),
            "{fast:?}"
        );
        let rate = takes(&[&args[..], &["--rate", "20/s"]].concat());
        assert!(
            (Duration::from_millis(200)..LIMIT).contains(&rate),
            "{rate:?}"
        );
    }

    #[test]
    fn the_summary_says_what_was_made() {
        let output = run(&[
            "--count",
            "20",
            "--speed",
            "max",
            "--summary",
            "json",
            "--format",
            "csv",
        ]);
        let stderr = text(&output.stderr);
        let summary: serde_json::Value = serde_json::from_str(stderr.trim()).unwrap();
        assert_eq!(summary["tool"], "gen-sim");
        assert_eq!(summary["read"], 20);
        assert_eq!(summary["delivered"], 20);
        assert_eq!(summary["rejected"], 0);
        let lines: usize = text(&output.stdout).lines().skip(1).map(str::len).sum();
        assert_eq!(summary["bytes"], lines);

        let output = run(&["--count", "20", "--speed", "max"]);
        assert!(text(&output.stderr).starts_with("gen-sim: 20 read, 20 delivered, 0 rejected in "));
        let output = run(&["--count", "20", "--speed", "max", "-q"]);
        assert_eq!(text(&output.stderr), "");
    }
}

mod recording {
    use super::*;

    #[test]
    fn csv_cells_keep_their_text_and_are_numbers_where_they_are() {
        let csv = "timestamp,value,\"a \"\"b\"\"\"\n\
            2013-12-02 21:15:00,74.93588199999998,1.10\r\n\
            ,007,12345678901234567890\n\
            \"x,\"\"y\"\"\nz\\\",+1,1e5";
        let (out, code, stderr) = replay("data.csv", csv.as_bytes(), &[]);
        let expected = concat!(
            r#"{"timestamp":"2013-12-02 21:15:00","value":74.93588199999998,"a \"b\"":1.10}"#,
            "\n",
            r#"{"timestamp":null,"value":"007","a \"b\"":12345678901234567890}"#,
            "\n",
            r#"{"timestamp":"x,\"y\"\nz\\","value":"+1","a \"b\"":1e5}"#,
            "\n",
        );
        assert_eq!((out.as_str(), code), (expected, Some(0)), "{stderr}");
    }

    #[test]
    fn lines_of_ndjson_are_written_byte_for_byte() {
        let lines =
            "{ \"a\" : 1.10, \"b\":12345678901234567890}\r\n\n[1e400,\"\\u00e9 é\"]\n\"x\"\n  7";
        let (out, code, stderr) = replay("data.ndjson", lines.as_bytes(), &["--summary", "json"]);
        let expected =
            "{ \"a\" : 1.10, \"b\":12345678901234567890}\n[1e400,\"\\u00e9 é\"]\n\"x\"\n  7\n";
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
            "gen-sim: data.csv:3: the row has 1 cells, the header 2"
        );
        assert_eq!(
            lines[1],
            "gen-sim: data.csv:4: the row has 3 cells, the header 2"
        );
        assert_eq!(lines[2], "gen-sim: data.csv:6: cell 1 is not UTF-8");
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
                line.starts_with(&format!("gen-sim: data.jsonl:{}: not JSON: ", at + 2)),
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
            stderr.contains("data.csv:3: the row is over --max-record"),
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
        for (name, content) in [
            ("e.csv", ""),
            ("e.ndjson", ""),
            ("h.csv", "a,b\n"),
            ("n.ndjson", "\n\n"),
        ] {
            let (out, code, _) = replay(name, content.as_bytes(), &[]);
            assert_eq!((out.as_str(), code), ("", Some(0)), "{name}");
        }
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
            &["twice.csv: line 1: the header has 'a' twice"],
        );
        let latin = path("latin.csv", b"a,\xe9\n1,2\n");
        refused(
            &["--replay", &latin],
            &["latin.csv: line 1: the header is not UTF-8"],
        );
        let fine = path("fine.csv", b"a,b\n1,2\n");
        refused(
            &["--replay", &fine, "--time-field", "t"],
            &["no column 't'", "but a, b"],
        );
        let none = path("fine.txt", b"a,b\n1,2\n");
        refused(&["--replay", &none], &["--replay-format"]);
        refused(&["--replay", "-"], &["stdin", "--replay-format"]);
        assert_eq!(
            stdout(&["--replay", &none, "--replay-format", "csv"]),
            "{\"a\":1,\"b\":2}\n"
        );
    }
}

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
