//! What topic-tap acknowledges of a kept session: what was taken, and nothing else.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use e2e::counts;
use e2e::mqtt::{end, publish, tap, tapping};
use e2e::real::PATIENCE;
use tapline_testkit::{Mosquitto, Run, Signal, wait_until};

const SESSION: [&str; 4] = ["--client-id", "tap", "--session-expiry", "1h"];
const COUNT: usize = 500;

/// A record, 200 bytes with its end.
fn record(number: usize) -> String {
    format!("{number:0199}\n")
}

/// A broker that keeps records for the session of `tap`, with a window that is no limit.
fn keeping() -> Mosquitto {
    let broker = Mosquitto::start_with(&["log_type all", "max_inflight_messages 0"]);
    drop(end(tapping(&broker.topic("kept"), &SESSION)));
    let records: String = (0..COUNT).map(record).collect();
    publish(&broker.topic("kept"), &[], records);
    broker
}

fn acknowledged(broker: &Mosquitto) -> usize {
    broker.log().matches("Received PUBACK from tap").count()
}

#[test]
fn a_full_disk_a_reader_that_left_and_a_command_that_fails_lose_nothing_of_a_kept_session() {
    let broker = keeping();
    let address = broker.topic("kept");
    let options = SESSION.join(" ");
    for (rest, code) in [
        (">/dev/full", 2),
        ("-J >/dev/full", 2),
        ("--format '%s\\n' >/dev/full", 2),
        ("| true", 0),
        ("--exec 'cat >/dev/full'", 1),
        ("--exec 'head -n 1 >/dev/null'", 1),
        ("--exec 'echo 100000 >$PIPE_ACKS; cat >/dev/null'", 2),
    ] {
        // Without its own code in a pipeline.
        let script =
            format!("(topic-tap '{address}' {options} --summary json; echo $? >&3) 3>&2 {rest}");
        let script = if rest.starts_with('|') {
            script
        } else {
            format!("topic-tap '{address}' {options} --summary json {rest}")
        };
        let ran = Run::shell(&script).limit(PATIENCE).finish();
        ran.assert_code(code);
        assert_eq!(counts(&ran).delivered, 0, "{rest}: {}", ran.stderr);
        assert_eq!(acknowledged(&broker), 0, "{rest}");
    }
    let mut last = tapping(&address, &SESSION);
    last.wait_for_lines(COUNT);
    let got = end(last);
    assert_eq!(got.text(), (0..COUNT).map(record).collect::<String>());
    wait_until(PATIENCE, "all are acknowledged", || {
        acknowledged(&broker) == COUNT
    });
}

#[test]
fn a_drain_that_is_over_acknowledges_what_was_taken_of_a_kept_session() {
    let broker = keeping();
    let (mut reader, writer) = io::pipe().expect("a pipe");
    let mut tapping = tap(&broker.topic("kept"), &SESSION)
        .args(["--drain-timeout", "500ms", "--summary", "json"])
        .stdout_to(File::from(OwnedFd::from(writer)))
        .start();
    tapping.wait_for_stderr(": tapping");
    let length = record(0).len();
    let mut taken = vec![0; 50 * length + 7];
    reader.read_exact(&mut taken).expect("they come");
    wait_until(PATIENCE, "what was taken is acknowledged", || {
        acknowledged(&broker) == 50
    });
    // One more, of a page of the pipe that is not free for it.
    reader
        .read_exact(&mut taken[..length])
        .expect("they are there");
    wait_until(PATIENCE, "one more is acknowledged", || {
        acknowledged(&broker) == 51
    });
    tapping.signal(Signal::TERM);
    let ran = tapping.wait();
    ran.assert_code(143);
    assert_eq!((counts(&ran).delivered, acknowledged(&broker)), (51, 51));
    let mut next = self::tapping(&broker.topic("kept"), &SESSION);
    next.wait_for_lines(COUNT - 51);
    assert_eq!(
        end(next).text(),
        (51..COUNT).map(record).collect::<String>()
    );
}
