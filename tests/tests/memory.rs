//! Memory that the other side would like to decide: floods of what costs it little.

use std::fs::File;
use std::io::{ErrorKind, PipeReader, Read, Write, pipe};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use tapline_testkit::http::{Act, ScriptedHttp, status};
use tapline_testkit::scripted::{Peer, Scripted};
use tapline_testkit::{DevBrokers, Run, Running, Signal, temp_dir};

/// The most that most tools may hold: half as much again as they do. Without its bound a tool holds all of a flood.
const MEMORY: u64 = 64_000_000;

/// The same where a broker floods a tool over MQTT: a quarter of a flood is to be noticed.
const MQTT_MEMORY: u64 = 28_000_000;

/// How much a flood is, if it is read.
const FLOOD: usize = 96 << 20;

/// A pipe that nobody reads, and that is full: a line more doesn't fit.
fn blocked_pipe() -> (PipeReader, File) {
    let (reader, writer) = pipe().expect("a pipe");
    let mut filler = writer.try_clone().expect("a descriptor");
    // Until the reader is dropped.
    thread::spawn(move || while filler.write_all(&[b'x'; 4096]).is_ok() {});
    (reader, File::from(OwnedFd::from(writer)))
}

/// A tap of `t` at QoS 2, whose output nobody reads.
fn blocked_tap(address: &str) -> (Running, PipeReader) {
    let (reader, writer) = blocked_pipe();
    let running = Run::tool("topic-tap")
        .args([address, "--qos", "2"])
        .stdout_to(writer)
        .start();
    (running, reader)
}

/// Writes pieces again and again until all is written, or nobody reads on.
fn flood(peer: &mut Peer, piece: &[u8]) {
    let piece = piece.repeat((1 << 16) / piece.len() + 1);
    peer.stream
        .set_write_timeout(Some(Duration::from_secs(1)))
        .expect("a socket");
    for _ in 0..FLOOD / piece.len() {
        match peer.stream.write_all(&piece) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return;
            }
            Err(error) => panic!("the tap hung up: {error}"),
        }
    }
}

/// A tap that is flooded over MQTT holds what is stated and no more.
#[track_caller]
fn assert_bounded(piece: &[u8]) {
    let broker = Scripted::start();
    let (running, _reader) = blocked_tap(&format!("{}/t", broker.url()));
    let mut peer = broker.welcome(false, &[]);
    peer.subscribed(&[2]);
    flood(&mut peer, piece);
    assert_peak(running);
}

#[track_caller]
fn assert_peak(mut running: Running) {
    let peak = running.peak_memory().expect("Linux says it");
    assert_below(MQTT_MEMORY, peak);
    for _ in 0..2 {
        running.signal(Signal::TERM);
    }
    drop(running);
}

#[test]
fn messages_made_of_user_properties_do_not_fill_a_blocked_tap() {
    // 2,048 user properties without name and value, 5 bytes each here.
    let mut packet = vec![0x30, 0x85, 0x50, 0, 1, b't', 0x80, 0x50];
    packet.extend([0x26, 0, 0, 0, 0].repeat(2048));
    assert_bounded(&packet);
}

#[test]
fn small_messages_between_large_packets_do_not_keep_those_in_a_blocked_tap() {
    // A message of QoS 2 that came before, with a large payload, then a message of a byte.
    let mut packets = vec![0x3c, 0x85, 0x80, 0x01, 0, 1, b't', 0, 7, 0];
    packets.resize(4 + 16_389, b'x');
    packets.extend([0x30, 5, 0, 1, b't', 0, b'!']);
    assert_bounded(&packets);
}

#[test]
fn a_broker_that_reads_no_answers_does_not_fill_a_tap_with_them() {
    // PUBREL and PUBREC of flows that nobody knows, and one message of QoS 2, again and again.
    assert_bounded(&[0x62, 2, 0, 1]);
    assert_bounded(&[0x50, 2, 0, 1]);
    assert_bounded(&[0x3c, 6, 0, 1, b't', 0, 7, 0]);
}

#[test]
fn a_websocket_of_pings_does_not_fill_a_tap_with_pongs() {
    let broker = Scripted::start();
    let address = broker.url().replace("mqtt://", "ws://");
    let (running, _reader) = blocked_tap(&format!("{address}/t"));
    let mut peer = broker.accept_websocket();
    peer.read_frame();
    peer.send_frame(0x82, &[0x20, 3, 0, 0, 0]);
    let subscribe = peer.read_frame();
    peer.send_frame(0x82, &[0x90, 4, subscribe[2], subscribe[3], 0, 2]);
    flood(&mut peer, &[&[0x89, 125][..], &[0; 125]].concat());
    assert_peak(running);
}

#[track_caller]
fn assert_below(limit: u64, peak: u64) {
    // Shown by --nocapture: to be two thirds of the limit at most.
    eprintln!("{peak} bytes, limit {limit}");
    assert!(peak < limit, "{peak} bytes, limit {limit}");
}

/// What a tool has held at most once it is at a standstill: its peak grows by less than a megabyte in a second.
fn peak_at_rest(running: &Running) -> u64 {
    let (mut peak, mut since) = (0, Instant::now());
    while since.elapsed() < Duration::from_secs(1) {
        let now = running.peak_memory().expect("Linux says it");
        if now > peak + 1_000_000 {
            (peak, since) = (now, Instant::now());
        }
        thread::sleep(Duration::from_millis(20));
    }
    peak
}

/// What a tool has held at most when it ends.
#[track_caller]
fn peak_until_end(running: &mut Running) -> u64 {
    let mut peak = 0;
    while !running.has_ended() {
        peak = peak.max(running.peak_memory().unwrap_or(0));
        thread::sleep(Duration::from_millis(2));
    }
    peak
}

#[test]
fn a_blocked_tap_fetches_no_further_from_kafka() {
    // 4 MB in each of 24 partitions, in records so large that their number is no bound.
    let brokers = DevBrokers::start_with(&["--topic", "t:24"]);
    let topic = brokers.kafka_topic("t");
    let produce = Run::tool("kafka-produce").args([&topic, "-k", "k", "-z", "none"]);
    let value = "x".repeat(10_000);
    let line = |key| format!("{{\"k\":{key},\"v\":\"{value}\"}}\n");
    let lines: String = (0..FLOOD / value.len()).map(line).collect();
    produce.finish_with(lines).assert_code(0);
    let (_reader, writer) = blocked_pipe();
    let tap = Run::tool("topic-tap").args([&topic, "--from", "beginning"]);
    let tap = tap.stdout_to(writer).start();
    let peak = peak_at_rest(&tap);
    assert_below(40_000_000, peak);
}

#[test]
fn records_of_a_group_that_nothing_acknowledges_take_no_memory_each() {
    const RECORDS: usize = 4_000_000;
    let brokers = DevBrokers::start_with(&["--topic", "t:24"]);
    let topic = brokers.kafka_topic("t");
    // A batch is fetched whole: in small ones it isn't what is fetched ahead that is measured here.
    let produce = Run::tool("kafka-produce").args([&topic, "-X", "batch.num.messages=1000"]);
    produce.finish_with("1\n".repeat(RECORDS)).assert_code(0);
    let mut tap = Run::tool("topic-tap")
        .args([&topic, "--group", "g", "--from", "beginning"])
        .args(["--count", &RECORDS.to_string(), "--exec", "cat"])
        .stdout_to(File::create("/dev/null").expect("it is there"))
        .start();
    let peak = peak_until_end(&mut tap);
    tap.wait().assert_code(0);
    assert_below(96_000_000, peak);
}

#[test]
fn names_of_topics_that_devices_make_up_take_no_memory_each() {
    let brokers = DevBrokers::start_with(&["--topic", "t:1"]);
    let produce =
        Run::tool("kafka-produce").args([&brokers.kafka_topic("{t}"), "--max-topics", "1"]);
    // Once there is the one topic that is allowed, nothing more is looked up.
    let name = |n: usize| format!("{{\"t\":\"{n}{}\"}}\n", "x".repeat(200));
    let names: String = (0..300_000).map(name).collect::<Vec<_>>().concat();
    let mut running = produce.args(["--summary", "json"]).start();
    running.feed(format!("{{\"t\":\"t\"}}\n{names}"));
    let peak = peak_until_end(&mut running);
    running.wait().assert_code(1);
    assert_below(64_000_000, peak);
}

#[test]
fn a_tee_that_nobody_reads_holds_a_publisher_up() {
    let brokers = DevBrokers::start_with(&["--topic", "t:1"]);
    let addresses = [brokers.kafka_topic("t"), brokers.mqtt_topic("t")];
    // librdkafka's queue is beside the ledger.
    let bounds = [("kafka-produce", 128_000_000), ("mqtt-pub", MEMORY)];
    for ((tool, bound), address) in bounds.iter().zip(addresses) {
        let (_reader, writer) = blocked_pipe();
        let publish = Run::tool(tool).args([&address, "--tee"]);
        let mut running = publish.stdout_to(writer).start();
        running.feed(format!("{}\n", "x".repeat(1000)).repeat(2 * FLOOD / 1000));
        let peak = peak_at_rest(&running);
        assert_below(*bound, peak);
    }
}

#[test]
fn a_database_that_answers_no_more_holds_its_writer_up() {
    // The first request asks whether the bucket is there.
    let server = ScriptedHttp::answering(|request| {
        let is_first = request.ends_with("\r\n\r\n");
        if is_first { status(204) } else { Act::Hang }
    });
    let address = server.address.replace("http://", "influx://");
    let write = Run::tool("influx-write").args([&format!("{address}/b"), "--measurement", "m"]);
    let mut running = write.start();
    let record = format!("{{\"f\":\"{}\"}}\n", "x".repeat(1000));
    running.feed(record.repeat(2 * FLOOD / 1000));
    let peak = peak_at_rest(&running);
    assert!(peak < 100_000_000, "{peak} bytes");
}

#[test]
fn rejects_and_report_take_what_comes_and_keep_none_of_it() {
    let brokers = DevBrokers::start_with(&["--topic", "t:1"]);
    let (kafka, mqtt) = (brokers.kafka_topic("t"), brokers.mqtt_topic("{id}"));
    let folder = temp_dir();
    for arguments in [["kafka-produce", &kafka, "-kid"], ["mqtt-pub", &mqtt, "-q"]] {
        let mut running = Run::tool(arguments[0])
            .args(&arguments[1..])
            .args(["--rejects", "rejects", "--report", "report"])
            .current_dir(folder.path())
            .start();
        running.feed(format!("\"{}\"\n", "x".repeat(1000)).repeat(FLOOD / 1000));
        running.close_stdin();
        let peak = peak_until_end(&mut running);
        running.wait().assert_code(1);
        assert_below(MEMORY, peak);
    }
}

#[test]
fn records_of_a_transaction_wait_on_disk() {
    let brokers = DevBrokers::start_with(&["--topic", "t:1"]);
    let folder = temp_dir();
    let mut running = Run::tool("kafka-produce")
        .args([&brokers.kafka_topic("t"), "--transaction", "x"])
        .args(["--report", "report"])
        .current_dir(folder.path())
        .start();
    running.feed(format!("{}\n", "x".repeat(1000)).repeat(FLOOD / 1000));
    running.close_stdin();
    let peak = peak_until_end(&mut running);
    running.wait().assert_code(0);
    assert_below(MEMORY, peak);
}

#[test]
fn records_behind_one_that_is_not_settled_fill_no_more_than_the_ledger() {
    let broker = Scripted::start();
    let mut running = Run::tool("mqtt-pub")
        .args([&format!("{}/t", broker.url()), "--qos", "1"])
        .start();
    running.feed(format!("{}\n", "x".repeat(1000)).repeat(2 * FLOOD / 1000));
    let mut peer = broker.welcome(false, &[]);
    let stuck = peer.expect_publish().id;
    let mut settled = 0;
    let mut piece = [0];
    while settled < 20_000 || peer.stream.peek(&mut piece).is_ok_and(|length| length > 0) {
        let id = peer.expect_publish().id;
        assert_ne!(id, stuck);
        peer.answer(0x40, id, 0);
        settled += 1;
        if settled == 20_000 {
            // From here on it is to stop some time.
            peer.stream
                .set_read_timeout(Some(Duration::from_secs(1)))
                .expect("a socket");
        }
    }
    assert!(settled < 40_000, "{settled}");
    let peak = running.peak_memory().expect("Linux says it");
    assert_below(72_000_000, peak);
}

#[test]
fn a_simulated_fleet_takes_what_its_generators_do() {
    let (_reader, writer) = blocked_pipe();
    let running = Run::tool("gen-sim")
        .args(["--generators", "500000", "--speed", "max"])
        .stdout_to(writer)
        .start();
    let peak = peak_at_rest(&running);
    assert_below(MEMORY, peak);
}

#[test]
fn a_subscriber_that_does_not_read_costs_the_embedded_broker_its_buffer_and_no_more() {
    let mut brokers = DevBrokers::start_with(&["--mqtt-buffer", "8MiB"]);
    let topic = brokers.mqtt_topic("t");
    let (_reader, writer) = blocked_pipe();
    let tap = Run::tool("topic-tap").args([&topic, "-v"]);
    let mut tap = tap.stdout_to(writer).start();
    tap.wait_for_stderr(": tapping");
    let line = format!("{}\n", "x".repeat(1000));
    let publish = Run::tool("mqtt-pub").arg(&topic);
    publish
        .finish_with(line.repeat(FLOOD / 1000))
        .assert_code(0);
    let peak = brokers.process().peak_memory().expect("Linux says it");
    assert_below(MEMORY, peak);
}

#[test]
fn the_largest_packet_is_held_once_and_again_as_a_line() {
    let broker = Scripted::start();
    let (reader, writer) = pipe().expect("a pipe");
    let running = Run::tool("topic-tap")
        .args([&format!("{}/t", broker.url()), "--count", "1"])
        .stdout_to(File::from(OwnedFd::from(writer)))
        .start();
    let mut peer = broker.welcome(false, &[]);
    peer.subscribed(&[1]);
    // The remaining length is four bytes of 7 bits each.
    let length: u32 = (64 << 20) - 5;
    let mut packet = vec![0x30];
    packet
        .extend((0..4).map(|at| (length >> (7 * at) & 0x7f) as u8 | if at < 3 { 0x80 } else { 0 }));
    packet.extend([0, 1, b't', 0]);
    packet.resize(64 << 20, b'x');
    peer.send(&packet);
    let read = std::io::copy(&mut reader.take(60 << 20), &mut std::io::sink());
    assert_eq!(read.expect("the line"), 60 << 20);
    let peak = running.peak_memory().expect("it has more to write");
    assert_below(4 * (64 << 20), peak);
}
