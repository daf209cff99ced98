//! Brokers that are killed and links that fail while messages are published and tapped: at QoS 1 each arrives, at
//! QoS 2 each arrives once as long as the session lives.

use std::{collections::BTreeSet, env};

use e2e::counts;
use e2e::mqtt::{end, publish, publisher, tapping, wait_for_all};
use e2e::real::{PATIENCE, assert_numbered, numbered};
use tapline_testkit::{Mosquitto, Proxy, Running, Signal, unique, wait_until};

/// Topics.
const KEYS: usize = 10;

/// Records that are written for each fault, and how fast they go: hundreds of milliseconds for a part.
const PART: usize = 400;
const RATE: &str = "1000/s";

/// How often each fault happens: ten times, or as often as the variable says.
fn faults() -> usize {
    let asked = env::var("TAPLINE_FAULTS").ok();
    asked.map_or(10, |number| {
        number.parse().expect("TAPLINE_FAULTS is a number")
    })
}

/// A publisher that gets its records part by part.
struct Load {
    publisher: Running,
    keys: usize,
    written: usize,
}

impl Load {
    #[track_caller]
    fn start(topic: &str, keys: usize, options: &[&str]) -> Self {
        let options = [options, &["--tee", "-v", "--rate", RATE]].concat();
        let mut publisher = publisher(topic, &options).start();
        publisher.wait_for_stderr(": connected");
        Self {
            publisher,
            keys,
            written: 0,
        }
    }

    /// Writes a part and waits until some of it is acknowledged, and not all: then a fault meets a publisher at work.
    #[track_caller]
    fn begin_part(&mut self) {
        loop {
            let before = self.written;
            self.written += PART;
            self.publisher
                .write(numbered(self.keys, before..self.written));
            self.publisher.wait_for_lines(before + 1);
            if self.publisher.stdout_lines() < self.written {
                return;
            }
        }
    }

    /// All of it was delivered, over connections that went on with the session that was there, or each began one; how
    /// many records that were.
    #[track_caller]
    fn finish(self, kept: bool) -> usize {
        let ran = self.publisher.wait();
        ran.assert_code(0);
        let went_on = |session| ran.stderr.contains(&format!("connected again, {session}"));
        assert_eq!(went_on("the session was kept"), kept, "{}", ran.stderr);
        assert_eq!(went_on("a new session"), !kept, "{}", ran.stderr);
        assert_eq!(counts(&ran).delivered, self.written as u64);
        self.written
    }
}

/// A publisher and a tap at work, each over a link of its own, in sessions that the broker keeps.
struct Pair {
    up: Proxy,
    down: Proxy,
    load: Load,
    tap: Running,
}

impl Pair {
    fn start(broker: &Mosquitto, qos: &str) -> Self {
        let (up, down) = (Proxy::to(broker.address()), Proxy::to(broker.address()));
        let session = ["--session-expiry", "1h", "--qos", qos];
        let filter = format!("mqtt://{}/d/+", down.address());
        let tap = tapping(&filter, &[&["--client-id", "tap"], &session[..]].concat());
        let topic = format!("mqtt://{}/d/{{k}}", up.address());
        let options = [&["--client-id", "pub"], &session[..]].concat();
        let load = Load::start(&topic, KEYS, &options);
        Self {
            up,
            down,
            load,
            tap,
        }
    }

    /// Holds the tap's link when no message to it is between PUBREC and PUBCOMP, while the publisher's is held: such a
    /// message Mosquitto 2.0 publishes again after a restart, where it ought to send PUBREL [MQTT-4.4.0-1], and the tap
    /// has to take it for a new one [MQTT-4.3.3-12].
    #[track_caller]
    fn hold_between_handshakes(&self, broker: &Mosquitto) {
        wait_until(PATIENCE, "the tap has answered everything", || {
            self.down.hold(true);
            // Once the log has this one, all that was sent before the link was held is in it.
            let last = unique("last");
            publish(&broker.topic("last"), &["--client-id", &last], "");
            wait_until(PATIENCE, "the log has it", || broker.log().contains(&last));
            let answered = unanswered(&broker.log()).is_empty();
            if !answered {
                self.down.hold(false);
            }
            answered
        });
    }

    /// All of it was delivered and has arrived; at QoS 2 once, and in order.
    #[track_caller]
    fn finish(mut self, qos: &str) {
        let count = self.load.finish(true);
        wait_for_all(&mut self.tap, &numbered(KEYS, 0..count));
        let tapped = end(self.tap);
        tapped.assert_stderr("connected again, the session goes on");
        if qos == "2" {
            assert_numbered(&tapped.stdout, KEYS, count);
        }
    }
}

/// Identifiers of the messages to the tap whose handshake of QoS 2 isn't over.
fn unanswered(log: &str) -> BTreeSet<&str> {
    let mut open = BTreeSet::new();
    for line in log.lines() {
        let behind = |begin: &str| line.split_once(begin)?.1.split([',', ')']).next();
        if line.contains("Sending PUBLISH to tap (") {
            open.extend(behind(", m"));
        } else if let Some(id) = behind("Received PUBCOMP from tap (Mid: ") {
            open.remove(id);
        }
    }
    open
}

/// A broker with persistence, killed under load: what it has saved is what it knows when it is back. It saves while
/// both links hold everything back, so that it has said nothing that it then forgets; what the links hold is lost.
#[track_caller]
fn kills_with_persistence(qos: &str) {
    let mut broker = Mosquitto::start_with(&["persistence true", "log_type all"]);
    let mut pair = Pair::start(&broker, qos);
    for _ in 0..faults() {
        pair.load.begin_part();
        pair.up.hold(true);
        match qos {
            "2" => pair.hold_between_handshakes(&broker),
            _ => pair.down.hold(true),
        }
        broker.save();
        broker.kill();
        for link in [&pair.up, &pair.down] {
            link.cut();
        }
        broker.start();
        for link in [&pair.up, &pair.down] {
            link.hold(false);
        }
    }
    pair.finish(qos);
}

#[test]
fn a_broker_that_is_killed_ten_times_and_kept_its_sessions_loses_nothing_at_qos_1() {
    kills_with_persistence("1");
}

#[test]
fn a_broker_that_is_killed_ten_times_and_kept_its_sessions_loses_and_doubles_nothing_at_qos_2() {
    kills_with_persistence("2");
}

/// A broker without persistence, killed under load. Whoever taps it may miss what it had taken and not yet passed on,
/// which no client can help; so its log says what it has passed on. The publisher gets at it again when the tap is
/// subscribed again.
#[track_caller]
fn kills_without_persistence(qos: &str) {
    let mut broker = Mosquitto::start_with(&["log_dest stderr", "log_type debug"]);
    let link = Proxy::to(broker.address());
    let tap = tapping(&broker.topic("d/+"), &["--client-id", "tap", "--qos", "0"]);
    let topic = format!("mqtt://{}/d/{{n}}", link.address());
    let mut load = Load::start(&topic, 1, &["--qos", qos]);
    let mut log = String::new();
    for fault in 1..=faults() {
        load.begin_part();
        link.refuse(Some(1));
        log += &broker.kill();
        broker.start();
        wait_until(PATIENCE, "the tap is there again", || {
            tap.stderr()
                .matches("connected again, a new session")
                .count()
                == fault
        });
        link.refuse(None);
    }
    let count = load.finish(false);
    drop(end(tap));
    log += &broker.kill();
    for number in 0..count {
        let passed_on = format!("'d/{number}'");
        let mut lines = log.lines();
        assert!(
            lines.any(|line| line.contains("Sending PUBLISH to tap") && line.contains(&passed_on)),
            "{number} was called delivered, and the broker never had it"
        );
    }
}

#[test]
fn a_broker_that_is_killed_ten_times_and_forgets_everything_has_had_all_that_is_called_delivered_at_qos_1()
 {
    kills_without_persistence("1");
}

#[test]
fn a_broker_that_is_killed_ten_times_and_forgets_everything_has_had_all_that_is_called_delivered_at_qos_2()
 {
    kills_without_persistence("2");
}

/// Both links are cut again and again, and half of the connections that follow are dropped soon after they are made. At
/// QoS 2 only those of the publisher: Mosquitto 2.0 forgets that a PUBREL is due when the connection ends before it could
/// send it again, and publishes the message once more.
#[track_caller]
fn drops(qos: &str, seed: u64) {
    let broker = Mosquitto::start_with(&[]);
    let mut pair = Pair::start(&broker, qos);
    pair.up.drop_half(Some(seed));
    if qos == "1" {
        pair.down.drop_half(Some(seed));
    }
    for _ in 0..faults() {
        pair.load.begin_part();
        wait_until(PATIENCE, "there is a connection to cut", || {
            pair.down.open() > 0
        });
        pair.up.cut();
        pair.down.cut();
    }
    let dropped = pair.up.dropped();
    pair.finish(qos);
    assert!(dropped > 0, "the seed drops none");
}

#[test]
fn links_that_drop_half_of_all_connections_lose_nothing_at_qos_1() {
    drops("1", 11);
}

#[test]
fn links_that_drop_half_of_all_connections_lose_and_double_nothing_at_qos_2() {
    drops("2", 12);
}

#[test]
fn a_publisher_that_has_nothing_to_say_stays_connected() {
    let broker = Mosquitto::start_with(&["log_type all"]);
    let options = ["--client-id", "pub", "--keep-alive", "1s"];
    let mut publisher = publisher(&broker.topic("idle"), &options).start();
    // Mosquitto hangs up after one and a half times the keep alive.
    wait_until(PATIENCE, "it has kept itself alive", || {
        broker.log().matches("Received PINGREQ from pub").count() >= 4
    });
    publisher.write("1\n");
    let ran = publisher.wait();
    ran.assert_code(0);
    assert!(!ran.stderr.contains("trying again"), "{}", ran.stderr);
}

#[test]
fn half_open_links_are_found_by_keep_alive_and_replaced() {
    let broker = Mosquitto::start_with(&[]);
    let (up, down) = (Proxy::to(broker.address()), Proxy::to(broker.address()));
    let common = ["--qos", "2", "--keep-alive", "1s", "--session-expiry", "1h"];
    let filter = format!("mqtt://{}/half-open", down.address());
    let mut tap = tapping(&filter, &[&["--client-id", "tap"], &common[..]].concat());
    let topic = format!("mqtt://{}/half-open", up.address());
    let options = [&["--client-id", "pub", "-v"], &common[..]].concat();
    let mut publisher = publisher(&topic, &options).start();
    publisher.write("1\n");
    tap.wait_for_lines(1);
    for link in [&up, &down] {
        link.hold(true);
    }
    publisher.write("2\n");
    publisher.wait_for_stderr("no answer to PINGREQ");
    tap.wait_for_stderr("no answer to PINGREQ");
    for link in [&up, &down] {
        link.hold(false);
    }
    publisher.write("3\n");
    publisher.wait().assert_code(0);
    tap.wait_for_lines(3);
    assert_eq!(end(tap).lines(), ["1", "2", "3"]);
}

#[test]
fn a_publisher_that_is_killed_leaves_its_will_and_one_that_is_told_to_stop_does_not() {
    let broker = Mosquitto::start_with(&[]);
    let mut tap = tapping(&broker.topic("status/#"), &[]);
    let will = ["--will-topic", "status/gone", "--will-payload", "gone"];
    let publish_one = |and_then: Signal| {
        let options = [&will[..], &["--tee"]].concat();
        let mut running = publisher(&broker.topic("status/alive"), &options).start();
        running.write("alive\n");
        running.wait_for_lines(1);
        running.signal(and_then);
        wait_until(PATIENCE, "it has ended", || running.has_ended());
        running.wait()
    };
    publish_one(Signal::TERM).assert_code(143);
    // Were there a will, it would come first.
    publish(&broker.topic("status/after"), &[], "after SIGTERM\n");
    tap.wait_for_lines(2);
    drop(publish_one(Signal::KILL));
    tap.wait_for_lines(4);
    assert_eq!(
        end(tap).lines(),
        ["alive", "after SIGTERM", "alive", "gone"]
    );
}

#[test]
fn two_that_share_a_name_are_told_so_though_mosquitto_does_not() {
    // It closes the connection without a word. Others say 0x8E, at which the tools stop: crates/mqtt/tests/session.
    let broker = Mosquitto::start_with(&[]);
    let start = || tapping(&broker.topic("taken"), &["--client-id", "one"]);
    let mut taps = [start(), start()];
    wait_until(PATIENCE, "one of them is told", || {
        assert!(!taps.iter_mut().any(Running::has_ended));
        let hint = "is another client using client ID 'one'?";
        taps.iter().any(|tap| tap.stderr().contains(hint))
    });
}
