//! A name server that never answers: a signal ends every tool, though nothing interrupts the resolving of a name.
//!
//! These tests run once more in namespaces of their own, where the name server is theirs.

use std::env;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tapline_testkit::scripted::Scripted;
use tapline_testkit::{DevBrokers, LIMIT, Run, Running, Signal, temp_dir, wait_until};

/// Set where the namespaces are.
const INSIDE: &str = "TAPLINE_TEST_NAMESPACES";

/// Brings the loopback up (`SIOCSIFFLAGS`), puts the name server in place and goes on as this test.
const SCRIPT: &str = r#"
python3 -c 'import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh", b"lo", 0x43))'
mount --bind resolv.conf /etc/resolv.conf
[ ! -e /etc/nsswitch.conf ] || mount --bind nsswitch.conf /etc/nsswitch.conf
exec "$@"
"#;

/// Runs `test` in namespaces of its own: this is the test of that name, called again.
fn in_namespaces(name: &str, test: impl FnOnce(&Names)) {
    if env::var_os(INSIDE).is_some() {
        return test(&Names::start());
    }
    let spaces = ["--map-root-user", "--user", "--mount", "--net"];
    // Root may have them where others may not.
    let Some(spaces) = [&spaces[..], &spaces[2..]].into_iter().find(|spaces| {
        let tried = Run::new("unshare").args(*spaces).arg("true").finish();
        tried.code == Some(0)
    }) else {
        eprintln!("not run: this system permits no namespaces");
        return;
    };
    let folder = temp_dir();
    for (file, text) in [
        // Longer than any test.
        (
            "resolv.conf",
            "nameserver 127.0.0.1\noptions timeout:30 attempts:5\n",
        ),
        ("nsswitch.conf", "hosts: files dns\n"),
    ] {
        fs::write(folder.path().join(file), text).expect("our own folder");
    }
    let this = env::current_exe().expect("a program");
    let ran = Run::new("unshare")
        .args(spaces)
        .args(["sh", "-euc", SCRIPT, "sh"])
        .arg(this)
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .current_dir(folder.path())
        .limit(4 * LIMIT)
        .finish();
    assert_eq!(ran.code, Some(0), "{}{}", ran.text(), ran.stderr);
    assert!(ran.text().contains("1 passed"), "{}", ran.text());
}

/// A name server: every name is this machine, while it answers.
struct Names {
    answers: Arc<AtomicBool>,
    /// Questions that were not answered.
    unanswered: Arc<AtomicUsize>,
}

impl Names {
    fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:53").expect("a namespace of our own");
        let names = Self {
            answers: Arc::default(),
            unanswered: Arc::default(),
        };
        let (answers, unanswered) = (Arc::clone(&names.answers), Arc::clone(&names.unanswered));
        thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut question) {
                if answers.load(Ordering::SeqCst) {
                    answer(&socket, from, &question[..length]);
                } else {
                    unanswered.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        names
    }

    fn answer(&self, answers: bool) {
        self.answers.store(answers, Ordering::SeqCst);
    }

    /// Waits for a question that is not answered, since `before`.
    fn is_asked(&self, before: usize) {
        wait_until(LIMIT, "a name is being resolved", || {
            self.unanswered.load(Ordering::SeqCst) > before
        });
    }

    fn unanswered(&self) -> usize {
        self.unanswered.load(Ordering::SeqCst)
    }
}

/// Answers with 127.0.0.1 and no address of IPv6 (RFC 1035, section 4.1).
fn answer(socket: &UdpSocket, to: SocketAddr, question: &[u8]) {
    let name = question[12..]
        .iter()
        .position(|byte| *byte == 0)
        .expect("a name");
    let end = 12 + name + 5;
    let is_ipv4 = question[end - 4..end - 2] == [0, 1];
    let mut answer = [
        &question[..2],
        &[0x81, 0x80, 0, 1, 0, u8::from(is_ipv4), 0, 0, 0, 0],
    ]
    .concat();
    answer.extend_from_slice(&question[12..end]);
    if is_ipv4 {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
    }
    socket.send_to(&answer, to).expect("an answer");
}

/// A tool that has no more time for its end than this, which is far more than it takes: a tool whose end hangs is
/// ended by force after 20 s.
fn tool(name: &str) -> Run {
    Run::tool(name).limit(Duration::from_secs(15))
}

#[track_caller]
fn assert_ended(mut running: Running, what: &str) {
    running.signal(Signal::TERM);
    let ran = running.wait();
    assert_eq!(
        (ran.code, ran.signal),
        (Some(143), None),
        "{what}: {}",
        ran.stderr
    );
}

#[test]
fn a_signal_ends_a_tool_that_starts_and_waits_for_a_name() {
    in_namespaces(
        "a_signal_ends_a_tool_that_starts_and_waits_for_a_name",
        |names| {
            for words in [
                &["mqtt-pub", "mqtt://broker.test/t"][..],
                &["mqtt-pub", "ws://broker.test/t"],
                &["mqtt-pub", "mqtts://broker.test/t"],
                &["topic-tap", "mqtt://broker.test/t"],
                &["topic-tap", "kafka://broker.test/t"],
                &["topic-tap", "kafka://broker.test/t", "--group", "g"],
                &["topic-tap", "kafka://broker.test", "--list"],
                &["topic-tap", "kafka://broker.test", "--groups"],
                &["kafka-produce", "kafka://broker.test/t"],
                &[
                    "kafka-produce",
                    "kafka://broker.test/t",
                    "--transaction",
                    "id",
                ],
                &[
                    "kafka-produce",
                    "kafka://127.0.0.1:1/t",
                    "--registry",
                    "http://registry.test",
                    "--schema-id",
                    "1",
                ],
            ] {
                let before = names.unanswered();
                let running = tool(words[0]).args(&words[1..]).start();
                names.is_asked(before);
                assert_ended(running, &words.join(" "));
            }
        },
    );
}

#[test]
fn a_signal_ends_a_tool_whose_record_waits_for_a_name() {
    in_namespaces(
        "a_signal_ends_a_tool_whose_record_waits_for_a_name",
        |names| {
            for words in [
                &["mqtt-pub", "mqtt://broker.test/t", "--client-per", "/id"][..],
                &[
                    "influx-write",
                    "influx://database.test/b",
                    "--measurement",
                    "m",
                ],
            ] {
                let before = names.unanswered();
                let mut running = tool(words[0])
                    .args(&words[1..])
                    .args(["--drain-timeout", "100ms"])
                    .start();
                running.write("{\"id\":1}\n");
                names.is_asked(before);
                assert_ended(running, words[0]);
            }
        },
    );
}

#[test]
fn a_signal_ends_a_tool_whose_brokers_are_gone_and_whose_names_are_not_found() {
    in_namespaces(
        "a_signal_ends_a_tool_whose_brokers_are_gone_and_whose_names_are_not_found",
        |names| {
            for words in [
                &["kafka-produce"][..],
                &["kafka-produce", "--transaction", "id"],
                &["topic-tap"],
                &["topic-tap", "--group", "g"],
            ] {
                names.answer(true);
                let brokers = DevBrokers::start_with(&["--topic", "t:1"]);
                let topic = brokers.kafka_topic("t").replace("127.0.0.1", "broker.test");
                let mut running = tool(words[0])
                    .args(&words[1..])
                    .args([&topic, "-v"])
                    .start();
                running.wait_for_stderr(&topic);
                names.answer(false);
                let before = names.unanswered();
                drop(brokers);
                names.is_asked(before);
                assert_ended(running, &words.join(" "));
            }
        },
    );
}

#[test]
fn a_signal_ends_a_tool_that_runs_and_waits_for_a_name() {
    in_namespaces(
        "a_signal_ends_a_tool_that_runs_and_waits_for_a_name",
        |names| {
            for name in ["mqtt-pub", "topic-tap"] {
                names.answer(true);
                let broker = Scripted::start();
                let address = broker.url().replace("127.0.0.1", "broker.test");
                let running = tool(name).arg(format!("{address}/t")).start();
                let mut peer = broker.welcome(false, &[]);
                if name == "topic-tap" {
                    peer.subscribed(&[1]);
                }
                names.answer(false);
                let before = names.unanswered();
                // It connects again.
                drop(peer);
                names.is_asked(before);
                assert_ended(running, name);
            }
        },
    );
}

#[test]
fn a_signal_ends_a_tap_that_asks_a_registry_whose_name_is_not_found() {
    in_namespaces(
        "a_signal_ends_a_tap_that_asks_a_registry_whose_name_is_not_found",
        |names| {
            let brokers = DevBrokers::start_with(&["--topic", "t:1"]);
            let topic = brokers.kafka_topic("t");
            // The frame of schema 1 and {}.
            let framed = "{\"value_base64\":\"AAAAAAF7fQ==\"}\n";
            let produce = Run::tool("kafka-produce").args([&topic, "-J"]);
            produce.finish_with(framed).assert_code(0);
            let before = names.unanswered();
            let running = tool("topic-tap")
                .args([
                    &topic,
                    "--from",
                    "beginning",
                    "--registry",
                    "http://registry.test",
                ])
                .start();
            names.is_asked(before);
            assert_ended(running, "topic-tap --registry");
        },
    );
}
