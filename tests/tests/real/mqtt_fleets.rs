//! A connection for each device, on Mosquitto: what becomes of their wills, and what a thousand of them take.

use std::collections::BTreeSet;

use e2e::counts;
use e2e::mqtt::{end, publish, publisher, tapping};
use e2e::real::{PATIENCE, text};
use tapline_testkit::{Finished, Mosquitto, Running, Signal, wait_until};

/// What the project promises of a thousand connections: 64 MB.
const MEMORY: u64 = 64_000_000;

/// A reading of each of so many devices.
fn readings(devices: usize) -> String {
    text((0..devices).map(|device| format!("{{\"g\":{device}}}")))
}

/// A fleet of so many devices, each with a will, that has delivered a reading of each.
fn fleet(broker: &Mosquitto, devices: usize) -> Running {
    let will = ["--will-topic", "will/{g}", "--will-payload", "gone {g}"];
    let options = [
        &["--client-per", "g", "--client-id", "pump-", "--tee"],
        &will[..],
    ]
    .concat();
    let mut running = publisher(&broker.topic("reading/{g}"), &options).start();
    running.write(readings(devices));
    running.wait_for_lines(devices);
    running
}

/// Its stdin stays open, so that it is the signal that ends it.
fn ended_by(signal: Signal, mut running: Running) -> Finished {
    running.signal(signal);
    wait_until(PATIENCE, "it has ended", || running.has_ended());
    running.wait()
}

#[test]
fn a_fleet_that_is_killed_leaves_every_will_and_one_that_is_told_to_stop_leaves_none() {
    const DEVICES: usize = 50;
    let broker = Mosquitto::start_with(&["log_type all"]);
    let mut tap = tapping(&broker.topic("will/+"), &["--qos", "1"]);

    ended_by(Signal::TERM, fleet(&broker, DEVICES)).assert_code(143);
    wait_until(PATIENCE, "each has said DISCONNECT", || {
        broker
            .log()
            .matches("Received DISCONNECT from pump-")
            .count()
            == DEVICES
    });
    // Whatever comes before this is a will.
    publish(&broker.topic("will/none"), &[], "none so far\n");
    tap.wait_for_lines(1);

    drop(ended_by(Signal::KILL, fleet(&broker, DEVICES)));
    tap.wait_for_lines(1 + DEVICES);
    let ran = end(tap);
    let lines = ran.lines();
    assert_eq!(lines[0], "none so far");
    let wills: BTreeSet<String> = lines[1..].iter().map(ToString::to_string).collect();
    let wanted = (0..DEVICES).map(|device| format!("gone {device}"));
    assert_eq!(wills, wanted.collect());
}

#[test]
fn a_thousand_devices_are_connected_at_a_time_in_64_mb() {
    const DEVICES: usize = 1000;
    let broker = Mosquitto::start_with(&["log_type notice", "connection_messages true"]);
    let mut running = fleet(&broker, DEVICES);
    for _ in 0..4 {
        running.write(readings(DEVICES));
    }
    running.wait_for_lines(5 * DEVICES);
    let peak = running.peak_memory().expect("Linux tells");
    assert!(peak < MEMORY, "{peak} bytes");
    let ran = running.wait();
    ran.assert_code(0);
    assert_eq!(counts(&ran).delivered, 5 * DEVICES as u64);
    let connections = broker.log().matches(" as pump-").count();
    assert_eq!(connections, DEVICES, "each connected once");
}
