//! A broker that goes away, a process that is killed, a reader that stalls: nothing is lost quietly, and memory
//! stays flat.

use std::time::Duration;

use e2e::{consumed, counts, readings, tally, tapping};
use tapline_testkit::{DevBrokers, Proxy, Run, Signal, temp_dir, tool, wait_until};

const LONG: Duration = Duration::from_mins(2);

/// The most that a tool may hold, whatever the input.
const MEMORY: u64 = 100_000_000;

#[test]
fn a_million_readings_are_delivered_in_flat_memory() {
    let brokers = DevBrokers::start_with(&["--topic", "million:4"]);
    let folder = temp_dir();
    // The shell tells the peaks: VmHWM of each while the other end of the pipe is still open.
    let script = format!(
        "gen-sim --generators 100 --count 1000000 --speed max -q | \
         (kafka-produce '{}' -k generatorID --summary json; echo $? >code)",
        brokers.kafka_topic("million")
    );
    let mut peaks = Vec::new();
    let mut running = Run::shell(&script)
        .current_dir(folder.path())
        .limit(Duration::from_mins(5))
        .start();
    while !running.has_ended() {
        peaks.extend(descendants_memory(running.id()));
        std::thread::sleep(Duration::from_millis(20));
    }
    let ran = running.wait();
    let code = std::fs::read_to_string(folder.path().join("code")).expect("the shell wrote it");
    assert_eq!(code.trim(), "0", "{}", ran.stderr);
    assert_eq!(counts(&ran).delivered, 1_000_000);
    assert!(
        peaks.iter().any(|(name, _)| name == "kafka-produce"),
        "the tools were seen: {peaks:?}"
    );
    for (name, peak) in peaks {
        assert!(peak < MEMORY, "{name} held {peak} bytes");
    }
}

/// Name and peak memory in bytes of the processes below this one.
fn descendants_memory(parent: u32) -> Vec<(String, u64)> {
    let Ok(children) = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))
    else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for child in children.split_whitespace().filter_map(|id| id.parse().ok()) {
        let status = std::fs::read_to_string(format!("/proc/{child}/status")).unwrap_or_default();
        let field = |name| {
            status
                .lines()
                .find_map(|line: &str| line.strip_prefix(name))
                .map(str::trim)
        };
        let peak = field("VmHWM:").and_then(|peak| peak.strip_suffix(" kB")?.parse::<u64>().ok());
        if let (Some(name), Some(peak)) = (field("Name:"), peak) {
            found.push((name.to_owned(), peak * 1024));
        }
        found.extend(descendants_memory(child));
    }
    found
}

/// Freezes the brokers, feeds a publisher far more than it may hold, and looks at what it does.
fn publishes_to_a_frozen_broker(name: &str, address: &str, brokers: &mut DevBrokers) {
    let mut running = Run::tool(name)
        .args([address, "--summary", "json", "--drain-timeout", "1s"])
        .limit(LONG)
        .start();
    running.write("1\n");
    // It is connected once this one is out; then nobody answers any more.
    let mut probe = Run::tool(name).args([address, "--tee"]).start();
    probe.write("2\n");
    probe.wait_for_lines(1);
    probe.wait().assert_code(0);
    brokers.process().signal(Signal::STOP);
    let line = format!("\"{}\"\n", "x".repeat(1000));
    running.feed(line.repeat(200_000));
    // 200 MB are offered; backpressure means that it neither takes nor holds them.
    std::thread::sleep(Duration::from_secs(2));
    let peak = running.peak_memory().expect("Linux tells");
    assert!(peak < MEMORY, "{name} holds {peak} bytes");
    running.signal(Signal::TERM);
    let ran = running.wait();
    ran.assert_code(143);
    ran.assert_stderr("were not delivered within --drain-timeout");
    let counts = counts(&ran);
    assert!(counts.rejected > 0 && counts.read < 200_000, "{counts:?}");
    brokers.process().signal(Signal::CONT);
}

#[test]
fn a_broker_that_stops_answering_holds_the_input_up_and_a_signal_ends_the_wait() {
    let mut brokers = DevBrokers::start_with(&["--topic", "frozen:1"]);
    let (kafka, mqtt) = (brokers.kafka_topic("frozen"), brokers.mqtt_topic("frozen"));
    publishes_to_a_frozen_broker("kafka-produce", &kafka, &mut brokers);
    publishes_to_a_frozen_broker("mqtt-pub", &mqtt, &mut brokers);
}

#[test]
fn a_broker_that_goes_away_for_good_is_told_and_the_signal_ends_the_tool() {
    for (tool, scheme) in [("kafka-produce", "kafka"), ("mqtt-pub", "mqtt")] {
        let brokers = DevBrokers::start_with(&["--topic", "gone:1"]);
        let address = if scheme == "kafka" {
            brokers.kafka_topic("gone")
        } else {
            brokers.mqtt_topic("gone")
        };
        let mut running = Run::tool(tool)
            .args([
                &address,
                "--tee",
                "--summary",
                "json",
                "--drain-timeout",
                "1s",
            ])
            .limit(LONG)
            .start();
        running.write("1\n");
        running.wait_for_lines(1);
        drop(brokers);
        running.write("2\n");
        running.wait_until_read();
        running.wait_for_stderr("127.0.0.1");
        running.signal(Signal::TERM);
        let ran = running.wait();
        ran.assert_code(143);
        assert_eq!(counts(&ran).delivered, 1);
        assert_eq!(counts(&ran).rejected, 1);
        assert_eq!(ran.text(), "1\n");
    }
}

#[test]
fn the_second_signal_ends_a_drain_at_once() {
    let mut brokers = DevBrokers::start_with(&["--topic", "twice:1"]);
    let mut running = Run::tool("kafka-produce")
        .args([&brokers.kafka_topic("twice"), "--tee"])
        .start();
    running.write("1\n");
    running.wait_for_lines(1);
    brokers.process().signal(Signal::STOP);
    running.write("2\n");
    running.wait_until_read();
    // Its drain would last for thirty seconds; the message says that it has begun.
    running.signal(Signal::INT);
    running.wait_for_stderr("SIGINT");
    running.signal(Signal::INT);
    let ran = running.wait();
    ran.assert_code(130);
    assert!(ran.took < Duration::from_secs(25), "{:?}", ran.took);
    brokers.process().signal(Signal::CONT);
}

#[test]
fn a_link_that_is_cut_again_and_again_loses_nothing_at_qos_1() {
    let brokers = DevBrokers::start();
    let target = brokers
        .mqtt
        .trim_start_matches("mqtt://")
        .parse()
        .expect("host and port");
    let proxy = Proxy::to(target);
    let sent = readings(10, 20_000);
    let mut tap = tapping(&brokers.mqtt_topic("cut/+"), &[]);
    let mut publisher = Run::tool("mqtt-pub")
        .args([
            &format!("mqtt://{}/cut/{{generatorID}}", proxy.address()),
            "--rate",
            "10000/s",
        ])
        .args(["--summary", "json", "-v"])
        .limit(LONG)
        .start();
    publisher.feed(sent.clone());
    for cut in 1..=5 {
        wait_until(LONG, "another part has passed", || {
            tap.stdout_lines() > cut * 2500 || publisher.has_ended()
        });
        proxy.cut();
    }
    let ran = publisher.wait();
    ran.assert_code(0);
    assert_eq!(counts(&ran).delivered, 20_000);
    tap.wait_for_lines(20_000);
    tap.signal(Signal::TERM);
    let tap = tap.wait();
    let (sent, got) = (tally(&sent), tally(&tap.stdout));
    for (line, count) in &sent {
        assert!(
            got.get(line).is_some_and(|got| got >= count),
            "lost: {}",
            line.escape_ascii()
        );
    }
    assert!(
        ran.stderr.contains("connected again"),
        "the link was cut: {}",
        ran.stderr
    );
}

#[test]
fn a_bridge_that_is_killed_at_any_point_loses_nothing() {
    let brokers = DevBrokers::start_with(&["--topic", "bridged:3"]);
    let filter = brokers.mqtt_topic("bridge/+");
    let command = format!(
        "exec '{}' '{}' -J -k generatorID -q",
        tool("kafka-produce").display(),
        brokers.kafka_topic("bridged")
    );
    let start = || {
        // A session that outlives the process is what keeps the messages meanwhile.
        tapping(
            &filter,
            &[
                "--client-id",
                "bridge",
                "--session-expiry",
                "1h",
                "--exec",
                &command,
            ],
        )
    };
    let sent = readings(10, 10_000);
    let mut bridge = start();
    let mut publisher = Run::tool("mqtt-pub")
        .args([
            &brokers.mqtt_topic("bridge/{generatorID}"),
            "--rate",
            "5000/s",
            "--summary",
            "json",
        ])
        .limit(LONG)
        .start();
    publisher.feed(sent.clone());
    let mut tap = Run::tool("topic-tap")
        .arg(brokers.kafka_topic("bridged"))
        .args(["--from", "beginning"])
        .limit(LONG)
        .start();
    for part in 1..=4 {
        tap.wait_for_lines(part * 1500);
        bridge.signal(Signal::KILL);
        drop(bridge.wait());
        bridge = start();
    }
    let sent_all = publisher.wait();
    sent_all.assert_code(0);
    assert_eq!(counts(&sent_all).delivered, 10_000);
    let missing = |got: &[u8]| {
        let got = tally(got);
        tally(&sent)
            .into_iter()
            .filter(|(line, count)| got.get(line).is_none_or(|got| got < count))
            .count()
    };
    wait_until(LONG, "every reading has arrived", || {
        missing(&tap.stdout()) == 0
    });
    tap.signal(Signal::TERM);
    drop(tap.wait());
    bridge.signal(Signal::TERM);
    bridge.wait().assert_code(143);
}

#[test]
fn what_was_tapped_and_not_written_is_not_acknowledged() {
    let brokers = DevBrokers::start_with(&["--topic", "grouped:1"]);
    let sent = readings(3, 300);
    let produce = Run::tool("kafka-produce").arg(brokers.kafka_topic("grouped"));
    produce.finish_with(sent.clone()).assert_code(0);
    let tap = |count: &str| {
        let ran = Run::tool("topic-tap")
            .args([
                &brokers.kafka_topic("grouped"),
                "--group",
                "g",
                "--from",
                "beginning",
            ])
            // The mock cluster keeps a member that has left until its session ends.
            .args(["-X", "session.timeout.ms=6000"])
            .args(["--count", count, "--duration", "60s"])
            .limit(LONG)
            .finish();
        ran.assert_code(0);
        ran.stdout
    };
    let parts = [tap("100"), tap("150"), tap("50")].concat();
    assert_eq!(
        parts.escape_ascii().to_string(),
        sent.escape_ascii().to_string()
    );
    assert_eq!(consumed(&brokers, "grouped", &[]), sent);
}

#[test]
fn a_command_that_fails_fails_the_tap_and_acknowledges_nothing() {
    let brokers = DevBrokers::start_with(&["--topic", "failing:1"]);
    let produce = Run::tool("kafka-produce").arg(brokers.kafka_topic("failing"));
    produce.finish_with("1\n2\n3\n").assert_code(0);
    let tap = |command: &str| {
        Run::tool("topic-tap")
            .args([
                &brokers.kafka_topic("failing"),
                "--group",
                "g",
                "--from",
                "beginning",
            ])
            .args(["-X", "session.timeout.ms=6000"])
            .args(["--count", "3", "--summary", "json", "--exec", command])
            .limit(LONG)
            .finish()
    };
    let failed = tap("cat >/dev/null; exit 3");
    failed.assert_code(2);
    failed.assert_stderr("exit code 3");
    assert_eq!(counts(&failed).delivered, 0);
    // A filter may drop records: what the last stage saw to its end is safe.
    let passed = tap("cat");
    passed.assert_code(0);
    assert_eq!((counts(&passed).delivered, passed.lines().len()), (3, 3));
}

#[test]
fn a_last_stage_that_goes_away_without_an_ack_ends_the_tap_and_nothing_is_committed() {
    let brokers = DevBrokers::start_with(&["--topic", "unacked:1"]);
    let produce = Run::tool("kafka-produce").arg(brokers.kafka_topic("unacked"));
    produce.finish_with("1\n".repeat(50_000)).assert_code(0);
    let script = format!(
        "mkfifo acks; topic-tap '{}' --group g --from beginning -J --acks-from acks --summary json | head -n 1",
        brokers.kafka_topic("unacked")
    );
    let folder = temp_dir();
    let ran = Run::shell(&script)
        .current_dir(folder.path())
        .limit(LONG)
        .finish();
    ran.assert_code(0);
    assert_eq!(ran.lines().len(), 1);
    assert_eq!(counts(&ran).delivered, 0);
}

#[test]
fn a_publisher_that_is_killed_goes_on_from_its_checkpoint() {
    let brokers = DevBrokers::start_with(&["--topic", "resumed:1"]);
    let folder = temp_dir();
    std::fs::write(folder.path().join("readings"), readings(10, 20_000)).expect("our own file");
    let script = |rate: &str| {
        Run::shell(&format!(
            "exec kafka-produce '{}' {rate} --checkpoint place --summary json <readings",
            brokers.kafka_topic("resumed")
        ))
        .current_dir(folder.path())
        .limit(LONG)
    };
    let mut killed = script("--rate 5000/s").start();
    let place = folder.path().join("place");
    wait_until(LONG, "a place is kept", || place.exists());
    killed.signal(Signal::KILL);
    drop(killed.wait());
    let second = script("").finish();
    second.assert_code(0);
    second.assert_stderr("goes on behind line");
    assert!(counts(&second).read < 20_000, "{}", second.stderr);
    let sent = std::fs::read(folder.path().join("readings")).expect("our own file");
    let got = consumed(&brokers, "resumed", &[]);
    let got = tally(&got);
    for (line, count) in tally(&sent) {
        let found = got.get(line).copied().unwrap_or_default();
        assert!(found >= count, "lost: {}", line.escape_ascii());
    }
    let third = script("").finish();
    third.assert_code(0);
    assert_eq!(counts(&third).read, 0, "all of it is delivered");
}

#[test]
fn what_a_sink_gives_up_is_not_acknowledged() {
    let mut brokers = DevBrokers::start_with(&["--topic", "frozen:1"]);
    let folder = temp_dir();
    let mut sink = Run::tool("kafka-produce")
        .args([&brokers.kafka_topic("frozen"), "-J", "--acks-to", "acks"])
        .args(["--drain-timeout", "1s", "--summary", "json"])
        .current_dir(folder.path())
        .limit(LONG)
        .start();
    let acks = || std::fs::read_to_string(folder.path().join("acks")).unwrap_or_default();
    sink.write("{\"seq\":1,\"value\":1}\n");
    wait_until(LONG, "the first is acknowledged", || acks() == "1\n");
    brokers.process().signal(Signal::STOP);
    sink.write("{\"seq\":2,\"value\":2}\n");
    sink.wait_until_read();
    sink.signal(Signal::TERM);
    let ran = sink.wait();
    ran.assert_code(143);
    assert_eq!((counts(&ran).delivered, counts(&ran).rejected), (1, 1));
    assert_eq!(acks(), "1\n");
    brokers.process().signal(Signal::CONT);
}
