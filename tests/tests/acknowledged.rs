//! What topic-tap acknowledges: what a file has, what its reader took, what a command has settled, and nothing else.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    os::fd::OwnedFd,
    time::Duration,
};

use e2e::{consumed, counts};
use tapline_testkit::{DevBrokers, Finished, Run, Signal, temp_dir};

/// How long a step may take on a busy machine.
const LONG: Duration = Duration::from_mins(5);

/// So long are the records: a pipe of 64 KiB holds some, not all.
const LENGTH: usize = 1000;
const COUNT: usize = 500;

/// A topic of one partition with numbered records.
fn with_records() -> DevBrokers {
    let brokers = DevBrokers::start_with(&["--topic", "t:1"]);
    let records: String = (0..COUNT).map(record).collect();
    let produce = Run::tool("kafka-produce").arg(brokers.kafka_topic("t"));
    produce.finish_with(records).assert_code(0);
    brokers
}

/// A record with its end; it is a JSON object with its own number as `n` and as key.
fn record(number: usize) -> String {
    let head = format!("{{\"n\":{number},\"pad\":\"");
    format!("{head}{}\"}}\n", "x".repeat(LENGTH - head.len() - 3))
}

/// The arguments of a member of the group `g`, for a shell, too.
fn group(brokers: &DevBrokers, more: &str) -> String {
    format!(
        // The mock cluster keeps a member that has left until its session ends.
        "topic-tap '{}' --group g --from beginning --until-end -X session.timeout.ms=6000 --summary json {more}",
        brokers.kafka_topic("t")
    )
}

fn shell(script: &str) -> Finished {
    Run::shell(script).limit(LONG).finish()
}

/// The number of the first record that the group has not acknowledged.
fn first_left(brokers: &DevBrokers) -> usize {
    let ran = shell(&group(brokers, "-J --no-commit"));
    ran.assert_code(0);
    ran.json_lines().first().map_or(COUNT, |envelope| {
        let offset = envelope["offset"].as_u64().expect("it has an offset");
        usize::try_from(offset).expect("it is small")
    })
}

#[test]
fn what_a_full_disk_did_not_take_is_not_acknowledged() {
    let brokers = with_records();
    for form in ["", "-J", "--format '%s\\n'", "--csv n,pad", "--key-only"] {
        let ran = shell(&group(&brokers, &format!("{form} >/dev/full")));
        ran.assert_code(2);
        ran.assert_stderr("No space left");
        assert_eq!(counts(&ran).delivered, 0, "{form}");
    }
    assert_eq!(first_left(&brokers), 0);
}

#[test]
fn of_a_file_that_may_not_grow_its_own_lines_count() {
    let brokers = with_records();
    let folder = temp_dir();
    // 40 blocks of 512 bytes; the file ends in the middle of a record.
    let script = format!(
        "trap '' XFSZ; ulimit -f 40; {} ",
        group(&brokers, "2>messages >lines; echo $?")
    );
    let ran = Run::shell(&script)
        .current_dir(folder.path())
        .limit(LONG)
        .finish();
    assert_eq!(ran.text(), "2\n");
    let lines = std::fs::read(folder.path().join("lines")).expect("it was written");
    let whole = count_lines(&lines);
    assert!(whole > 0 && whole < COUNT, "{whole}");
    assert_eq!(first_left(&brokers), whole);
}

fn count_lines(bytes: &[u8]) -> usize {
    bytes.split(|byte| *byte == b'\n').count() - 1
}

#[test]
fn a_reader_that_never_reads_acknowledges_nothing() {
    let brokers = with_records();
    for form in ["", "-J", "--format '%s\\n'", "--csv n,pad"] {
        let ran = shell(&group(&brokers, &format!("{form} | true")));
        ran.assert_code(0);
        assert_eq!(counts(&ran).delivered, 0, "{form}: {}", ran.stderr);
    }
    assert_eq!(first_left(&brokers), 0);
}

#[test]
fn what_a_reader_took_before_it_left_is_acknowledged_and_no_more() {
    let brokers = with_records();
    let (reader, writer) = io::pipe().expect("a pipe");
    let tap = Run::shell(&group(&brokers, ""))
        .stdout_to(File::from(OwnedFd::from(writer)))
        .limit(LONG)
        .start();
    let mut reader = BufReader::with_capacity(10 * LENGTH, reader);
    let mut line = String::new();
    reader.read_line(&mut line).expect("it comes");
    // It has taken a buffer full, at most.
    drop(reader);
    let ran = tap.wait();
    ran.assert_code(0);
    let taken = first_left(&brokers);
    assert!((1..=10).contains(&taken), "{taken}");
    assert_eq!(counts(&ran).delivered, taken as u64);
}

#[test]
fn a_pipe_that_is_not_emptied_within_the_drain_is_not_acknowledged() {
    let brokers = with_records();
    let (_reader, writer) = io::pipe().expect("a pipe");
    let tap = Run::shell(&group(&brokers, "--count 20 --drain-timeout 500ms"))
        .stdout_to(File::from(OwnedFd::from(writer)))
        .limit(LONG)
        .start();
    let ran = tap.wait();
    ran.assert_code(1);
    ran.assert_stderr("did not take them within --drain-timeout");
    assert_eq!((counts(&ran).read, counts(&ran).delivered), (20, 0));
    assert_eq!(first_left(&brokers), 0);
}

#[test]
fn the_end_of_a_pipe_is_waited_for() {
    let brokers = with_records();
    let ran = shell(&format!("{} | (sleep 1; cat)", group(&brokers, "")));
    ran.assert_code(0);
    assert_eq!(counts(&ran).delivered, COUNT as u64);
    assert_eq!(count_lines(&ran.stdout), COUNT);
    assert_eq!(first_left(&brokers), COUNT);
}

#[test]
fn a_quiet_tap_ends_when_its_reader_does() {
    let brokers = DevBrokers::start();
    let (reader, writer) = io::pipe().expect("a pipe");
    let mut tap = Run::tool("topic-tap")
        .args([&brokers.mqtt_topic("quiet"), "-v"])
        .stdout_to(File::from(OwnedFd::from(writer)))
        .limit(LONG)
        .start();
    tap.wait_for_stderr(": tapping");
    drop(reader);
    tap.wait().assert_code(0);
}

#[test]
fn a_command_without_acks_vouches_with_exit_code_0_after_the_end_of_its_input_and_with_nothing_else()
 {
    let brokers = with_records();
    for (command, code) in [
        ("cat >/dev/full", 1),
        ("cat >/dev/null; exit 1", 1),
        ("cat >/dev/null; exit 3", 2),
        ("head -n 1; exit 1", 1),
        ("head -n 1", 1),
        ("true", 1),
        ("cat >/dev/null; kill -9 $$", 2),
    ] {
        let ran = shell(&group(&brokers, &format!("--exec '{command}'")));
        assert_eq!(
            (ran.code, counts(&ran).delivered),
            (Some(code), 0),
            "{command}: {}",
            ran.stderr
        );
    }
    assert_eq!(first_left(&brokers), 0);
    let ran = shell(&group(&brokers, "-- cat"));
    ran.assert_code(0);
    assert_eq!(counts(&ran).delivered, COUNT as u64);
    assert_eq!(count_lines(&ran.stdout), COUNT);
    assert_eq!(first_left(&brokers), COUNT);
}

#[test]
fn with_acks_only_acks_vouch() {
    let brokers = with_records();
    for command in [
        // It opened them and said nothing, or little, and all is well with it.
        "exec 3>$PIPE_ACKS; cat >/dev/null",
        "echo 0 >$PIPE_ACKS; cat >/dev/null",
        // It ended before its input did, so its end is of something else.
        "head -n 1; echo end >$PIPE_ACKS",
    ] {
        let ran = shell(&group(&brokers, &format!("--exec '{command}'")));
        assert_eq!(counts(&ran).delivered, 0, "{command}: {}", ran.stderr);
        ran.assert_code(1);
    }
    assert_eq!(first_left(&brokers), 0);
    let ran = shell(&group(
        &brokers,
        "--exec 'echo 100 >$PIPE_ACKS; exec cat >/dev/null'",
    ));
    // Nothing may be acknowledged that was not written.
    ran.assert_code(2);
    let ran = shell(&group(
        &brokers,
        "--exec 'cat >/dev/null; echo 7 >$PIPE_ACKS; exit 4'",
    ));
    ran.assert_code(2);
    assert_eq!(counts(&ran).delivered, 7);
    assert_eq!(first_left(&brokers), 7);
    let ran = shell(&group(
        &brokers,
        "--exec 'cat >/dev/null; echo end >$PIPE_ACKS; exit 1'",
    ));
    ran.assert_code(1);
    assert_eq!(first_left(&brokers), COUNT);
}

#[test]
fn acks_that_cannot_be_true_end_the_tap_and_acknowledge_nothing() {
    let brokers = with_records();
    for (acks, why) in [
        (
            "100000",
            "'100000' was acknowledged, but 500 is the last seq so far",
        ),
        ("1\\nok", "'ok' is not the seq of an ack"),
        (
            "1111111111111111111111111111111111111111",
            "too long for an ack",
        ),
    ] {
        let command = format!("--exec 'cat >/dev/null; printf \"{acks}\\n\" >$PIPE_ACKS'");
        let ran = shell(&group(&brokers, &command));
        ran.assert_code(2);
        ran.assert_stderr(why);
        assert_eq!(counts(&ran).delivered, 0, "{acks}");
    }
    assert_eq!(first_left(&brokers), 0);
}

#[test]
fn a_fifo_that_a_sink_of_an_earlier_run_has_open_is_refused() {
    let brokers = DevBrokers::start_with(&["--topic", "t:1", "--topic", "u:1"]);
    let folder = temp_dir();
    let path = folder.path().join("acks");
    shell(&format!("mkfifo '{}'", path.display())).assert_code(0);
    let reader = Run::shell("exec cat acks")
        .current_dir(folder.path())
        .start();
    let mut sink = Run::tool("kafka-produce")
        .args([&brokers.kafka_topic("u"), "-J", "--acks-to", "acks", "-v"])
        .current_dir(folder.path())
        .start();
    sink.wait_for_stderr("connected");
    drop(reader);
    let tap = Run::tool("topic-tap")
        .args([&brokers.mqtt_topic("t"), "-J", "--acks-from", "acks"])
        .current_dir(folder.path())
        .finish();
    tap.assert_code(2);
    tap.assert_stderr("--acks-from acks: a sink of an earlier run still has it open");
    sink.signal(Signal::TERM);
    drop(sink.wait());
}

#[test]
fn a_bridge_needs_no_shell_and_no_envelope_flag_and_a_filter_may_drop_everything() {
    let brokers = DevBrokers::start_with(&["--topic", "t:1", "--topic", "u:1"]);
    // Three times the window of the embedded broker, all of it dropped but the last.
    let tap = |arguments: &[&str]| {
        let mut tap = Run::tool("topic-tap")
            .args([
                &brokers.mqtt_topic("t/+"),
                "-v",
                "--count",
                "301",
                "--summary",
                "json",
            ])
            .args(arguments)
            .limit(LONG)
            .start();
        tap.wait_for_stderr(": tapping");
        let publish = Run::tool("mqtt-pub").arg(brokers.mqtt_topic("t/a"));
        let records: String =
            (0..301).fold(String::new(), |all, n| all + &format!("{{\"n\":{n}}}\n"));
        publish.finish_with(records).assert_code(0);
        tap.wait()
    };
    let topic = brokers.kafka_topic("u");
    let ran = tap(&[
        "--",
        tapline_testkit::tool("kafka-produce")
            .to_str()
            .expect("text"),
        &topic,
        "-k",
        "n",
    ]);
    ran.assert_code(0);
    assert_eq!(counts(&ran).delivered, 301);
    assert_eq!(count_lines(&consumed(&brokers, "u", &[])), 301);

    let folder = temp_dir();
    let schema = folder.path().join("schema.json");
    std::fs::write(&schema, r#"{"properties":{"n":{"minimum":300}}}"#).expect("our own file");
    let filter = format!(
        "PATH='{}':$PATH; schema-check --pass -J -q -s '{}' | kafka-produce '{topic}'",
        tapline_testkit::tool("schema-check")
            .parent()
            .expect("a folder")
            .display(),
        schema.display()
    );
    let ran = tap(&["--exec", &filter]);
    ran.assert_code(0);
    assert_eq!(counts(&ran).delivered, 301);
    assert_eq!(count_lines(&consumed(&brokers, "u", &[])), 302);
}

#[test]
fn a_window_that_a_filter_has_filled_is_told() {
    let brokers = DevBrokers::start();
    let mut tap = Run::tool("topic-tap")
        .args([
            &brokers.mqtt_topic("t"),
            "-v",
            "--exec",
            "exec cat >/dev/null",
        ])
        .limit(LONG)
        .start();
    tap.wait_for_stderr(": tapping");
    let publish = Run::tool("mqtt-pub").arg(brokers.mqtt_topic("t"));
    publish.finish_with("1\n".repeat(200)).assert_code(0);
    tap.wait_for_stderr(": 100 records wait for an ack");
    tap.signal(Signal::TERM);
    let ran = tap.wait();
    ran.assert_code(143);
    assert_eq!(ran.stderr.matches("wait for an ack").count(), 1);
}
