//! Files that tell what became of records: they are appended to, never another file of the run, untouched by a run that
//! can't begin, and a full disk doesn't change the numbers.

use std::{
    fs::{self, File},
    io,
    net::TcpListener,
    os::fd::OwnedFd,
    path::Path,
};

use e2e::{counts, readings};
use tapline_testkit::{
    DevBrokers, Finished, LIMIT, Run, Signal, json_lines, temp_dir, unread, wait_until,
};

/// Runs a command of a shell in `folder`.
fn shell(folder: &Path, script: &str) -> Finished {
    Run::shell(script).current_dir(folder).finish()
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).expect("a file of the test")
}

fn schema() -> String {
    format!(
        "{}/../schemas/generator.schema.json",
        env!("CARGO_MANIFEST_DIR")
    )
}

#[test]
fn a_run_that_cannot_begin_leaves_files_as_they_are() {
    let brokers = DevBrokers::start_with(&["--topic", "t:1"]);
    let folder = temp_dir();
    let at = folder.path();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed = listener.local_addr().expect("it has one");
    drop(listener);
    let kafka = brokers.kafka_topic("t");
    for command in [
        format!(
            "kafka-produce kafka://{closed}/t --connect-timeout 1s --rejects old --report told"
        ),
        format!("kafka-produce {kafka} --partition 9 --rejects old --report told"),
        format!("kafka-produce {kafka} -s /no/such/schema --rejects old --report told"),
        format!("mqtt-pub mqtt://{closed}/t --rejects old --report told"),
        "schema-check -s /no/such/schema --rejects old".to_owned(),
        "gen-sim --replay none.csv --rejects old".to_owned(),
        format!("topic-tap mqtt://{closed}/t --connect-timeout 1s --rejects old"),
    ] {
        for name in ["old", "told"] {
            fs::write(at.join(name), "of an earlier run\n").expect("a file of our own");
        }
        let new = command.replace(" old", " new").replace(" told", " newer");
        for command in [&command, &new] {
            shell(at, &format!("echo '{{}}' | {command}")).assert_code(2);
        }
        for name in ["old", "told"] {
            assert_eq!(read(at, name), "of an earlier run\n", "{command}");
        }
        assert!(
            !at.join("new").exists() && !at.join("newer").exists(),
            "{command}"
        );
    }
}

#[test]
fn a_file_that_is_an_input_is_never_written() {
    let brokers = DevBrokers::start_with(&["--topic", "t:1"]);
    let folder = temp_dir();
    let at = folder.path();
    let input = String::from_utf8(readings(3, 100)).expect("readings are text");
    fs::write(at.join("f.ndjson"), &input).expect("a file of our own");
    fs::hard_link(at.join("f.ndjson"), at.join("hard")).expect("a link");
    std::os::unix::fs::symlink("f.ndjson", at.join("soft")).expect("a link");
    let (kafka, mqtt) = (brokers.kafka_topic("t"), brokers.mqtt_topic("t"));
    let schema = schema();
    fs::copy(&schema, at.join("schema")).expect("a file of our own");
    for publisher in [format!("kafka-produce {kafka}"), format!("mqtt-pub {mqtt}")] {
        for rest in [
            "--rejects f.ndjson <f.ndjson",
            "--rejects hard <f.ndjson",
            "--report soft <f.ndjson",
            "--tee <f.ndjson >>f.ndjson",
            "--rejects new --report ./new <f.ndjson",
            "--rejects out --tee <f.ndjson >out",
            "--checkpoint new --rejects new <f.ndjson",
            "-s schema --rejects schema <f.ndjson",
        ] {
            let ran = shell(at, &format!("{publisher} {rest}"));
            ran.assert_code(2).assert_stderr("is the same file as");
        }
    }
    for command in [
        "schema-check -s schema f.ndjson --rejects f.ndjson",
        "schema-check -s schema --rejects hard <f.ndjson",
        "schema-check -s schema f.ndjson --rejects schema",
        "schema-check -s schema --pass f.ndjson >>f.ndjson",
        "gen-sim --replay f.ndjson --speed max --rejects soft",
        "gen-sim --replay f.ndjson --speed max >>f.ndjson",
        "gen-sim --replay - --replay-format ndjson --speed max --rejects soft <f.ndjson",
    ] {
        shell(at, command)
            .assert_code(2)
            .assert_stderr("is the same file as");
    }
    assert_eq!(read(at, "f.ndjson"), input);
    assert_eq!(
        read(at, "schema"),
        fs::read_to_string(schema).expect("the schema")
    );
    assert!(!at.join("new").exists());
    // Devices are nobody's data.
    let ran = shell(
        at,
        &format!("kafka-produce {kafka} --rejects /dev/null --report /dev/null </dev/null"),
    );
    ran.assert_code(0);
}

#[test]
fn rejects_that_are_tried_again_are_kept_whatever_becomes_of_them() {
    let brokers = DevBrokers::start_with(&["--topic", "t:1"]);
    let folder = temp_dir();
    let at = folder.path();
    let kafka = brokers.kafka_topic("t");
    let lines = "{\"generator\":7}\n".repeat(3000);
    fs::write(at.join("lines"), &lines).expect("a file of our own");
    let produce = format!("kafka-produce {kafka} --summary json --rejects r");
    let first = shell(at, &format!("{produce} --key generatorID <lines"));
    first.assert_code(1);
    assert_eq!(counts(&first).rejected, 3000);
    // Read and appended to at once: the reader gets each of the old ones, and none is lost.
    let again = shell(
        at,
        &format!("jq -r .record r | head -n 3000 | {produce} --key generatorID"),
    );
    again.assert_code(1);
    assert_eq!(read(at, "r").lines().count(), 6000);
    // As the README has it.
    let again = shell(
        at,
        &format!("mv r again && jq -r .record again | {produce} --key generator"),
    );
    again.assert_code(0);
    assert_eq!(counts(&again).delivered, 6000);
    assert_eq!(
        (read(at, "r").as_str(), read(at, "again").lines().count()),
        ("", 6000)
    );
}

#[test]
fn a_next_run_appends_to_rejects_and_report_behind_a_torn_line() {
    let brokers = DevBrokers::start_with(&["--topic", "t:1"]);
    let folder = temp_dir();
    let at = folder.path();
    let (kafka, mqtt) = (brokers.kafka_topic("t"), brokers.mqtt_topic("t/{id}"));
    for (publisher, tool) in [
        (format!("kafka-produce {kafka} --key id"), "kafka-produce"),
        (format!("mqtt-pub {mqtt}"), "mqtt-pub"),
    ] {
        fs::write(at.join("rejects"), "{\"tool\":\"half").expect("a file of our own");
        fs::write(at.join("report"), "").expect("a file of our own");
        let script = format!(
            "printf '{{\"id\":1}}\\n{{}}\\n' | {publisher} --rejects rejects --report report"
        );
        for _ in 0..2 {
            shell(at, &script).assert_code(1);
        }
        let rejects = read(at, "rejects");
        let (torn, whole) = rejects.split_once('\n').expect("more than a line");
        assert_eq!(torn, "{\"tool\":\"half");
        assert_eq!(json_lines(whole).len(), 2);
        let report = json_lines(&read(at, "report"));
        let lines: Vec<_> = report.iter().map(|entry| entry["line"].as_u64()).collect();
        assert_eq!(lines, [None, Some(1), Some(2), None, Some(1), Some(2)]);
        assert_eq!(report[3]["run"]["tool"], tool);
    }
}

#[test]
fn a_full_disk_ends_every_tool_with_2_and_numbers_that_add_up() {
    let brokers = DevBrokers::start_with(&["--topic", "t:1"]);
    let folder = temp_dir();
    let at = folder.path();
    let (kafka, mqtt) = (brokers.kafka_topic("t"), brokers.mqtt_topic("t/{id}"));
    let lines = "{\"id\":1}\n{}\n".repeat(20_000);
    fs::write(at.join("lines.ndjson"), &lines).expect("a file of our own");
    let csv = format!("a,b\n{}", "1,2\n1\n".repeat(20_000));
    fs::write(at.join("rows.csv"), csv).expect("a file of our own");
    for command in [
        format!("kafka-produce {kafka} --key id --rejects /dev/full <lines.ndjson"),
        format!("kafka-produce {kafka} --key id --report /dev/full <lines.ndjson"),
        format!("kafka-produce {kafka} --key id --transaction x --report /dev/full <lines.ndjson"),
        format!("mqtt-pub {mqtt} --rejects /dev/full <lines.ndjson"),
        format!("mqtt-pub {mqtt} --report /dev/full <lines.ndjson"),
        "gen-sim --replay rows.csv --speed max --rejects /dev/full >/dev/null".to_owned(),
        format!(
            "schema-check -s {} --rejects /dev/full lines.ndjson >/dev/null",
            schema()
        ),
    ] {
        let ran = shell(at, &format!("{command} --summary json"));
        ran.assert_code(2).assert_stderr("/dev/full: No space left");
        // counts() checks that they add up.
        assert!(counts(&ran).read > 0, "{command}: {}", ran.stderr);
    }
}

#[test]
fn a_checkpoint_is_a_file_of_its_own_and_is_tried_at_the_start() {
    let brokers = DevBrokers::start_with(&["--topic", "t:1"]);
    let folder = temp_dir();
    let at = folder.path();
    let kafka = brokers.kafka_topic("t");
    fs::write(at.join("precious"), "data\n").expect("a file of our own");
    let produce = format!("printf '1\\n2\\n' | kafka-produce {kafka} -v --checkpoint");
    let prepare = "mkfifo fifo new.new && ln -s precious link.new && ln -s nowhere dangling";
    shell(at, prepare).assert_code(0);
    for (name, why) in [
        ("fifo", "regular file"),
        ("/dev/null", "regular file"),
        ("none/place", "none/place"),
        ("/proc/place", "/proc/place"),
        ("dangling", "symbolic link"),
    ] {
        let ran = shell(at, &format!("{produce} {name}"));
        ran.assert_code(2).assert_stderr(why);
        assert!(!ran.stderr.contains("delivered"), "{}", ran.stderr);
    }
    for name in ["new", "link"] {
        shell(at, &format!("{produce} {name}")).assert_code(0);
        assert_eq!(read(at, name), "{\"position\":4,\"line\":2}\n");
    }
    assert_eq!(read(at, "precious"), "data\n");
}

#[test]
fn a_tee_that_nobody_reads_is_ended_by_a_signal_and_nothing_of_it_counts_as_handled() {
    let brokers = DevBrokers::start_with(&["--topic", "t:1"]);
    let folder = temp_dir();
    let input = readings(3, 50_000);
    let (kafka, mqtt) = (brokers.kafka_topic("t"), brokers.mqtt_topic("t"));
    for (tool, address) in [("kafka-produce", kafka), ("mqtt-pub", mqtt)] {
        let (reader, writer) = io::pipe().expect("a pipe");
        let checkpoint = folder.path().join(tool);
        let mut running = Run::tool(tool)
            .args([&address, "--tee", "--summary", "json"])
            .args(["--drain-timeout", "100ms", "--checkpoint"])
            .arg(&checkpoint)
            .stdout_to(File::from(OwnedFd::from(writer)))
            .start();
        running.feed(input.clone());
        wait_until(LIMIT, "the pipe is full", || unread(&reader) > 60_000);
        running.signal(Signal::TERM);
        let ran = running.wait();
        ran.assert_code(143)
            .assert_stderr("stdout: its reader takes nothing");
        assert!(counts(&ran).delivered > 0, "{}", ran.stderr);
        let kept = fs::read_to_string(&checkpoint).unwrap_or_default();
        assert!(kept.is_empty() || kept.contains("\"line\":0"), "{kept}");
    }
}
