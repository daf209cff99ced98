//! What a tap gets from Mosquitto: retained messages, those of a kept session, its share of a subscription.

use std::fs::File;
use std::io::{self, BufRead, BufReader, PipeReader, Read};
use std::os::fd::OwnedFd;

use e2e::mqtt::{end, publish, tap, tapping, wait_for_all};
use e2e::real::{PATIENCE, assert_numbered, numbered};
use e2e::tally;
use serde_json::Value;
use tapline_testkit::{Mosquitto, Run, Running, Signal, wait_until};

/// A broker that tells who acknowledged what.
fn telling() -> Mosquitto {
    Mosquitto::start_with(&["log_type all"])
}

/// Waits until the client `tap` has acknowledged so many messages: it is done with them.
#[track_caller]
fn wait_for_acks(broker: &Mosquitto, count: usize) {
    wait_until(PATIENCE, "the tap has acknowledged them", || {
        broker.log().matches("Received PUBACK from tap").count() == count
    });
}

/// The texts of envelopes, each with its retain flag.
fn texts(envelopes: &[Value]) -> Vec<String> {
    let text = |one: &Value| format!("{} {}", one["value_text"], one["retain"]);
    envelopes.iter().map(text).collect()
}

#[test]
fn retained_messages_are_shown_or_hidden_or_the_only_ones() {
    // MQTT 5 doesn't send what is to be hidden and keeps the flag as it was published; in MQTT 3.1.1 the flag says
    // that a message had been kept.
    for (version, which, sent, wanted) in [
        (
            "5",
            "show",
            3,
            &["\"old\" true", "\"new\" true", "\"end\" false"][..],
        ),
        ("5", "hide", 2, &["\"new\" true", "\"end\" false"]),
        ("5", "only", 3, &["\"old\" true"]),
        (
            "3.1.1",
            "show",
            3,
            &["\"old\" true", "\"new\" false", "\"end\" false"],
        ),
        ("3.1.1", "hide", 3, &["\"new\" false", "\"end\" false"]),
        ("3.1.1", "only", 3, &["\"old\" true"]),
    ] {
        let broker = telling();
        publish(&broker.topic("r/old"), &["--retain"], "old\n");
        let options = ["--mqtt-version", version, "--retained", which];
        let options = [&options[..], &["--client-id", "tap", "-J"]].concat();
        let tap = tapping(&broker.topic("r/+"), &options);
        publish(&broker.topic("r/new"), &["--retain"], "new\n");
        publish(&broker.topic("r/end"), &[], "end\n");
        // What is not shown is acknowledged, too: a broker's window would be full of it else.
        wait_for_acks(&broker, sent);
        let got = texts(&end(tap).json_lines());
        assert_eq!(got, wanted, "--retained {which} in MQTT {version}");
    }
}

#[test]
fn a_kept_session_gives_what_came_while_the_tap_was_away_and_gives_it_once() {
    for version in ["5", "3.1.1"] {
        let broker = Mosquitto::start_with(&[]);
        let session = ["--client-id", "tap", "--session-expiry", "1h"];
        let options = [&session[..], &["--mqtt-version", version]].concat();
        let start = || tapping(&broker.topic("kept/+"), &options);
        let first = end(start());
        assert_eq!(first.text(), "");
        publish(&broker.topic("kept/{k}"), &[], numbered(10, 0..1000));
        let mut second = start();
        second.wait_for_stderr("in a session that the broker had kept");
        second.wait_for_lines(1000);
        assert_numbered(&end(second).stdout, 10, 1000);
        publish(&broker.topic("kept/more"), &[], "more\n");
        let mut third = start();
        third.wait_for_lines(1);
        assert_eq!(end(third).lines(), ["more"]);
    }
}

#[test]
fn what_is_published_under_the_taps_own_name_is_left_out_if_asked() {
    for (option, wanted) in [
        (&[][..], &["own", "other"][..]),
        (&["--no-local"], &["other"]),
    ] {
        let broker = Mosquitto::start_with(&[]);
        let session = ["--client-id", "one", "--session-expiry", "1h"];
        let options = [&session[..], option].concat();
        drop(end(tapping(&broker.topic("local"), &options)));
        publish(&broker.topic("local"), &session, "own\n");
        publish(&broker.topic("local"), &[], "other\n");
        let mut tap = tapping(&broker.topic("local"), &options);
        tap.wait_for_lines(wanted.len());
        assert_eq!(end(tap).lines(), wanted, "{option:?}");
    }
}

#[test]
fn taps_that_share_a_subscription_divide_the_messages() {
    let broker = Mosquitto::start_with(&[]);
    let start = || tapping(&broker.topic("$share/group/shared/+"), &[]);
    let taps = [start(), start()];
    let sent = numbered(10, 0..1000);
    publish(&broker.topic("shared/{k}"), &[], sent.clone());
    let got = |taps: &[tapline_testkit::Running]| {
        taps.iter()
            .flat_map(tapline_testkit::Running::stdout)
            .collect::<Vec<u8>>()
    };
    wait_until(PATIENCE, "all has arrived", || {
        taps.iter()
            .map(tapline_testkit::Running::stdout_lines)
            .sum::<usize>()
            == 1000
    });
    let all = got(&taps);
    assert_eq!(tally(&all), tally(&sent), "each at one of them");
    for tap in taps {
        let share = end(tap).lines().len();
        assert!((300..=700).contains(&share), "{share} of 1000");
    }
}

#[test]
fn filters_on_one_broker_share_a_connection_so_that_one_name_does_for_all() {
    let broker = telling();
    let mut tap = Run::tool("topic-tap")
        .args([broker.topic("one/+"), broker.topic("two/#")])
        .args(["-v", "--client-id", "tap", "--session-expiry", "1h", "-J"])
        .limit(PATIENCE)
        .start();
    tap.wait_for_stderr("one/+: tapping");
    tap.wait_for_stderr("two/#: tapping");
    for topic in ["one/a", "three/a", "two/a/b"] {
        publish(&broker.topic(topic), &[], "1\n");
    }
    tap.wait_for_lines(2);
    let topics: Vec<String> = end(tap)
        .json_lines()
        .iter()
        .map(|one| one["topic"].to_string())
        .collect();
    assert_eq!(topics, ["\"one/a\"", "\"two/a/b\""]);
    let connections = broker.log().matches(" as tap (p5").count();
    assert_eq!(connections, 1, "{}", broker.log());
}

#[test]
fn every_topic_at_once_is_warned_of() {
    let broker = Mosquitto::start_with(&[]);
    for (filter, warned) in [("#", true), ("a/#", false)] {
        let ran = end(tapping(&broker.topic(filter), &[]));
        let told = ran.stderr.contains("'#' alone taps every topic");
        assert_eq!(told, warned, "{}", ran.stderr);
    }
}

/// A tap that was sent all of `sent`, and whose output is a pipe that nobody reads: far less goes into it.
fn blocked(broker: &Mosquitto, options: &[&str], sent: &[u8]) -> (Running, PipeReader) {
    let (reader, writer) = io::pipe().expect("a pipe");
    let mut tap = tap(&broker.topic("unwritten/+"), options)
        .stdout_to(File::from(OwnedFd::from(writer)))
        .start();
    tap.wait_for_stderr(": tapping");
    publish(&broker.topic("unwritten/{k}"), &[], sent);
    (tap, reader)
}

#[test]
fn a_tap_whose_reader_stands_still_stays_connected_and_misses_nothing() {
    let broker = telling();
    let options = ["--client-id", "tap", "--keep-alive", "1s"];
    let sent = numbered(10, 0..20_000);
    let (running, reader) = blocked(&broker, &options, &sent);
    let pings = || broker.log().matches("Received PINGREQ from tap").count();
    let before = pings();
    // Mosquitto hangs up after one and a half times the keep alive.
    wait_until(PATIENCE, "it has kept itself alive", || {
        pings() >= before + 4
    });
    let lines = BufReader::new(reader).split(b'\n').take(20_000);
    let written: Vec<Vec<u8>> = lines.collect::<Result<_, _>>().expect("a pipe");
    assert_numbered(&[written.join(&b'\n'), b"\n".to_vec()].concat(), 10, 20_000);
    let ran = end(running);
    assert!(!ran.stderr.contains("connection lost"), "{}", ran.stderr);
}

#[test]
fn what_a_killed_tap_had_not_written_comes_again() {
    let broker = Mosquitto::start_with(&[]);
    let options = ["--client-id", "tap", "--session-expiry", "1h"];
    let sent = numbered(10, 0..20_000);
    let (mut blocked, mut reader) = blocked(&broker, &options, &sent);
    let mut written = vec![0];
    reader
        .read_exact(&mut written)
        .expect("something is written");
    blocked.signal(Signal::KILL);
    drop(blocked.wait());
    reader.read_to_end(&mut written).expect("its end is closed");
    // Its last line may be cut off.
    written.truncate(
        written
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1),
    );
    assert!(written.len() < sent.len() / 2);

    let written_by_first = tally(&written);
    let rest: Vec<&[u8]> = sent
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| !written_by_first.contains_key(line.trim_ascii_end()))
        .collect();
    let mut second = tapping(&broker.topic("unwritten/+"), &options);
    wait_for_all(&mut second, &rest.concat());
    drop(end(second));
}
