//! Readings of a fleet: their form, their determinism, their pace.

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
    assert_eq!(out, include_str!("../seed7.ndjson"));
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
        "--start",
        "2026-12-25T18:27:30Z",
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
    assert!(text(&output.stderr).starts_with("gen-sim: 20 written in "));
    let output = run(&["--count", "20", "--speed", "max", "-q"]);
    assert_eq!(text(&output.stderr), "");
}
