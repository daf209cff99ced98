//! influx-write is killed again and again, and so is its database, while records are on their way from Kafka: each
//! record is one point.

use std::env;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use e2e::real::{PATIENCE, new_topic, producer};
use tapline_testkit::influx::{Bucket, OwnInflux, cell};
use tapline_testkit::{RealBrokers, Run, Signal, unique, wait_until};

const TAPS: usize = 3;

/// How often influx-write is killed: six times, or as often as the variable says; the database for each sixth of them.
fn kills() -> usize {
    let asked = env::var("TAPLINE_FAULTS").ok();
    asked.map_or(6, |number| {
        number.parse().expect("TAPLINE_FAULTS is a number")
    })
}

/// A tap into the database that is started again whenever it has ended, as a service is.
fn keep_running(tap: impl Fn() -> Run, process: &AtomicU32, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        let mut running = tap().start();
        process.store(running.id(), Ordering::Relaxed);
        while !running.has_ended() {
            if is_over.load(Ordering::Relaxed) {
                running.signal(Signal::TERM);
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = running.wait();
    }
}

/// The command that a tap has started.
fn command_of(tap: u32) -> Option<String> {
    let tasks = fs::read_dir(format!("/proc/{tap}/task")).ok()?;
    let children = tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let children: String = children.collect();
    children.split_whitespace().next().map(str::to_owned)
}

fn tap(address: &str, group: &str, bucket: &Bucket) -> Run {
    let writer = tapline_testkit::tool("influx-write");
    bucket
        .grant(Run::tool("topic-tap"))
        .args([address, "--group", group, "--from", "beginning", "--"])
        .arg(writer)
        .args([bucket.address().as_str(), "--tag", "id"])
        .limit(PATIENCE)
}

#[test]
fn each_record_is_one_point_whatever_is_killed() {
    let kills = kills();
    let records = if kills < 30 { 40_000 } else { 200_000 };
    let brokers = RealBrokers::shared();
    let topic = new_topic(&brokers, "killed-writers", 6);
    let address = brokers.kafka_topic(&topic);
    let group = unique("influx");
    let mut database = OwnInflux::start();
    let bucket = database.bucket();
    let processes: [AtomicU32; TAPS] = Default::default();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for process in &processes {
            scope.spawn(|| keep_running(|| tap(&address, &group, &bucket), process, &is_over));
        }
        scope.spawn(|| {
            let lines = (0..records).map(|n| format!("{{\"id\":\"g{}\",\"n\":{n}}}", n % 50));
            let lines = lines.collect::<Vec<_>>().join("\n");
            let rate = format!("{}/s", records / 20);
            producer(&address, &["-k", "id", "--rate", &rate])
                .finish_with(lines)
                .assert_code(0);
        });
        // The same waits in each run, between a fifth of a second and most of one.
        let mut seed: u64 = 20_261_125;
        let mut killed = 0;
        wait_until(PATIENCE, "all were killed", || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            thread::sleep(Duration::from_millis(200 + (seed >> 33) % 600));
            let number = usize::try_from(seed >> 33).expect("31 bits") % TAPS;
            if let Some(writer) = command_of(processes[number].load(Ordering::Relaxed)) {
                let sent = Run::new("kill").args(["-KILL", &writer]).finish();
                killed += usize::from(sent.code == Some(0));
                if killed % 6 == 3 && sent.code == Some(0) {
                    // By turns as an administrator does it, and as if the power went.
                    database.stop(if killed % 12 == 3 {
                        Signal::TERM
                    } else {
                        Signal::KILL
                    });
                    thread::sleep(Duration::from_millis(500));
                    database.up();
                }
            }
            killed >= kills
        });
        wait_until(PATIENCE, "all records are points", || {
            bucket.count("n") >= records
        });
        is_over.store(true, Ordering::Relaxed);
    });
    let numbers = bucket.query("|> filter(fn: (r) => r._field == \"n\") |> group() |> distinct(column: \"_value\") |> count()");
    assert_eq!(cell(&numbers[0], "_value"), records.to_string());
    assert_eq!(bucket.count("n"), records);
}
