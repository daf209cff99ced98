//! One SIGINT or SIGTERM ends every tool, at whatever moment it comes.

use std::{fs, io::Write, path::Path, process::Command};

use tapline_testkit::{
    DevBrokers, LIMIT, Peer, Run, Running, Signal, TempDir, temp_dir, wait_until,
};

/// The signals, with the exit codes that tell of them.
const SIGNALS: [(Signal, i32); 2] = [(Signal::INT, 130), (Signal::TERM, 143)];

/// Starts a tool twice, waits until it has come to the moment that `ready` knows, and ends it with either signal.
#[track_caller]
fn ended_by_a_signal(words: &[&str], mut ready: impl FnMut(&mut Running)) {
    ended_quietly_by_a_signal(words, &mut ready, &[]);
}

/// The same, and nothing is told of what the tool would have said had it waited longer.
#[track_caller]
fn ended_quietly_by_a_signal(words: &[&str], mut ready: impl FnMut(&mut Running), unsaid: &[&str]) {
    for (signal, code) in SIGNALS {
        let mut running = Run::tool(words[0]).args(&words[1..]).start();
        ready(&mut running);
        running.signal(signal);
        let ran = running.wait();
        assert_eq!(
            (ran.code, ran.signal),
            (Some(code), None),
            "{words:?}: {}",
            ran.stderr
        );
        for text in unsaid {
            assert!(!ran.stderr.contains(text), "{words:?}: {}", ran.stderr);
        }
    }
}

/// Waits until the tool has something to say of SIGINT and SIGTERM, and sleeps: in a call that does not return.
fn is_stuck(running: &mut Running) {
    let status = format!("/proc/{}/status", running.id());
    let (interrupt, terminate) = (1 << (2 - 1), 1 << (15 - 1));
    wait_until(LIMIT, "it catches the signals and sleeps", || {
        let Ok(text) = fs::read_to_string(&status) else {
            return false;
        };
        let field = |name: &str| {
            Some(
                text.lines()
                    .find_map(|line| line.strip_prefix(name))?
                    .trim(),
            )
        };
        let caught = field("SigCgt:").and_then(|mask| u64::from_str_radix(mask, 16).ok());
        caught.is_some_and(|mask| mask & interrupt != 0 && mask & terminate != 0)
            && field("State:").is_some_and(|state| state.starts_with('S'))
    });
}

/// A folder with FIFOs that nobody opens, and a few files.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = temp_dir();
        for name in ["fifo", "fifo.csv", "fifo.json", "fifo.ndjson"] {
            let made = Command::new("mkfifo")
                .arg(folder.path().join(name))
                .status();
            assert!(made.expect("mkfifo").success());
        }
        fs::write(folder.path().join("schema"), "{}").unwrap();
        fs::write(folder.path().join("records.ndjson"), "{}\n").unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        Path::join(self.0.path(), name).display().to_string()
    }
}

#[test]
fn while_a_fifo_is_opened_that_nobody_has_opened_at_the_other_end() {
    let folder = Folder::new();
    let [fifo, csv, json, ndjson] =
        ["fifo", "fifo.csv", "fifo.json", "fifo.ndjson"].map(|name| folder.path(name));
    let (schema, records) = (folder.path("schema"), folder.path("records.ndjson"));
    let kafka = "kafka://127.0.0.1:1/t";
    let mqtt = "mqtt://127.0.0.1:1/t";
    for words in [
        &["gen-sim", "--replay", &ndjson][..],
        &["gen-sim", "--replay", &csv],
        &["schema-check", "--schema", &fifo],
        &["schema-check", "--schema", &schema, &ndjson],
        &["schema-check", "--schema", &schema, &csv],
        &["schema-check", "--schema", &schema, &json],
        &["schema-check", "--schema", &schema, &records, &ndjson],
        &["kafka-produce", kafka, "--schema", &fifo],
        &["kafka-produce", kafka, "--config", &fifo],
        &["mqtt-pub", mqtt, "--schema", &fifo],
        &[
            "mqtt-pub",
            mqtt,
            "--username",
            "u",
            "--password-file",
            &fifo,
        ],
        &["topic-tap", kafka, "--config", &fifo],
        &[
            "topic-tap",
            mqtt,
            "--username",
            "u",
            "--password-file",
            &fifo,
        ],
    ] {
        ended_by_a_signal(words, is_stuck);
    }
}

#[test]
fn while_a_broker_or_registry_is_asked_that_never_answers() {
    for words in [
        &["kafka-produce", "kafka://PEER/t"][..],
        &["kafka-produce", "kafka://PEER/t", "--transaction", "id"],
        &[
            "kafka-produce",
            "kafka://127.0.0.1:1/t",
            "--registry",
            "http://PEER",
            "--schema-id",
            "1",
        ],
        &["mqtt-pub", "mqtt://PEER/t"],
        &["mqtt-pub", "mqtt://PEER/t", "--mqtt-version", "3.1.1"],
        &["mqtt-pub", "ws://PEER/t"],
        &["topic-tap", "mqtt://PEER/t"],
        &["topic-tap", "kafka://PEER/t"],
        &["topic-tap", "kafka://PEER/t", "--group", "g"],
        &["topic-tap", "kafka://PEER", "--list"],
        &["topic-tap", "kafka://PEER", "--groups"],
    ] {
        let peer = Peer::saying("");
        let address = peer.address().to_string();
        let words: Vec<String> = words
            .iter()
            .map(|word| word.replace("PEER", &address))
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut before = 0;
        ended_by_a_signal(&words, |running| {
            is_stuck(running);
            wait_until(LIMIT, "it has connected", || peer.accepted() > before);
            before = peer.accepted();
        });
    }
}

#[test]
fn while_nothing_comes_on_stdin_and_while_nobody_reads_acks() {
    let brokers = DevBrokers::start_with(&["--topic", "t:1"]);
    let folder = Folder::new();
    let fifo = folder.path("fifo");
    let (schema, kafka, mqtt) = (
        folder.path("schema"),
        brokers.kafka_topic("t"),
        brokers.mqtt_topic("t"),
    );
    for words in [
        &["gen-sim", "--replay", "-", "--replay-format", "csv"][..],
        &["gen-sim", "--replay", "-", "--replay-format", "ndjson"],
        &["gen-sim", "--interval", "1h"],
        &["schema-check", "--schema", &schema],
        &["schema-check", "--schema", &schema, "--format", "json"],
        &["schema-check", "--schema", &schema, "--format", "csv"],
        &["kafka-produce", &kafka],
        &["kafka-produce", &kafka, "--transaction", "id"],
        &["mqtt-pub", &mqtt],
        &["mqtt-pub", &mqtt, "--client-per", "/id"],
        &["topic-tap", &kafka],
        &["kafka-produce", &kafka, "-J", "--acks-to", &fifo],
        &["topic-tap", &mqtt],
        &["mqtt-pub", &mqtt, "-J", "--acks-to", &fifo],
    ] {
        ended_by_a_signal(words, is_stuck);
    }
}

#[test]
fn while_the_input_is_skipped_up_to_the_checkpoint() {
    let brokers = DevBrokers::start_with(&["--topic", "t:1"]);
    let folder = Folder::new();
    let checkpoint = folder.path("checkpoint");
    fs::write(&checkpoint, r#"{"position":1000000,"line":1000}"#).unwrap();
    for (tool, address) in [
        ("kafka-produce", brokers.kafka_topic("t")),
        ("mqtt-pub", brokers.mqtt_topic("t")),
    ] {
        let words = [tool, &address, "--checkpoint", &checkpoint];
        ended_by_a_signal(&words, |running| {
            running.write("1\n");
            running.wait_until_read();
        });
    }
}

#[test]
fn while_the_registry_is_asked_for_the_schema_of_a_record() {
    let brokers = DevBrokers::start_with(&["--topic", "t:1"]);
    let topic = brokers.kafka_topic("t");
    // The frame of schema 1 (magic byte, four bytes) and {}.
    let framed = concat!(r#"{"value_base64":"AAAAAAF7fQ=="}"#, "\n");
    let produced = Run::tool("kafka-produce")
        .args([&topic, "-J"])
        .finish_with(framed);
    produced.assert_code(0);
    let peer = Peer::saying("");
    let registry = format!("http://{}", peer.address());
    let words = [
        "topic-tap",
        &topic,
        "--from",
        "beginning",
        "--registry",
        &registry,
    ];
    let mut before = 0;
    let asked = |running: &mut Running| {
        is_stuck(running);
        wait_until(LIMIT, "the registry is asked", || peer.accepted() > before);
        before = peer.accepted();
    };
    // What is told when the registry's time is up, after ten seconds.
    ended_quietly_by_a_signal(&words, asked, &["no answer"]);
}

#[test]
fn while_dev_brokers_starts_and_while_it_runs() {
    ended_by_a_signal(&["dev-brokers", "--kafka-brokers", "3"], is_stuck);
    ended_by_a_signal(&["dev-brokers", "--", "sleep", "600"], is_stuck);
    ended_by_a_signal(&["dev-brokers"], |running| running.wait_for_lines(3));
}

#[test]
fn while_nobody_reads_stdout() {
    let folder = Folder::new();
    let schema = folder.path("schema");
    for words in [
        &["gen-sim", "--speed", "max"][..],
        &["schema-check", "--schema", &schema, "--pass"],
    ] {
        for (signal, code) in SIGNALS {
            let fifo = folder.path("fifo");
            // Somebody has it open and never reads.
            let held = fs::File::options()
                .read(true)
                .write(true)
                .open(&fifo)
                .unwrap();
            let out = fs::File::options().write(true).open(&fifo).unwrap();
            let mut running = Run::tool(words[0]).args(&words[1..]).stdout_to(out).start();
            running.feed("{}\n".repeat(100_000));
            is_stuck(&mut running);
            running.signal(signal);
            let ran = running.wait();
            assert_eq!(ran.code, Some(code), "{words:?}: {}", ran.stderr);
            drop(held);
        }
    }
}

#[test]
fn while_nobody_reads_stderr() {
    let folder = Folder::new();
    let fifo = folder.path("fifo");
    let mut held = fs::File::options()
        .read(true)
        .write(true)
        .open(&fifo)
        .unwrap();
    // As much as a pipe holds: the closing line finds no room, and that write can't be interrupted.
    held.write_all(&b"x".repeat(65_536)).unwrap();
    let script = format!("exec gen-sim --interval 1h 2>'{fifo}'");
    let mut running = Run::shell(&script).start();
    is_stuck(&mut running);
    running.signal(Signal::TERM);
    let ran = running.wait();
    assert_eq!((ran.code, ran.signal), (Some(143), None));
}
