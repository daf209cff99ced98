//! What the tests on Mosquitto share: who publishes, who taps, and what must have arrived.

use tapline_testkit::{Finished, Run, Running, Signal, wait_until};

use crate::{counts, real::PATIENCE, tally};

/// `mqtt-pub` to an address, with the summary as JSON.
#[must_use]
#[track_caller]
pub fn publisher(address: &str, arguments: &[&str]) -> Run {
    Run::tool("mqtt-pub")
        .args([address, "--summary", "json"])
        .args(arguments)
        .limit(PATIENCE)
}

/// Publishes `input`, all of which must be delivered.
///
/// # Panics
///
/// When it isn't.
#[track_caller]
pub fn publish(address: &str, arguments: &[&str], input: impl Into<Vec<u8>>) {
    let ran = publisher(address, arguments).finish_with(input);
    ran.assert_code(0);
    assert_eq!(counts(&ran).rejected, 0);
}

/// `topic-tap` at an address.
#[must_use]
#[track_caller]
pub fn tap(address: &str, arguments: &[&str]) -> Run {
    Run::tool("topic-tap")
        .args([address, "-v"])
        .args(arguments)
        .limit(PATIENCE)
}

/// A tap that is subscribed.
#[must_use]
#[track_caller]
pub fn tapping(address: &str, arguments: &[&str]) -> Running {
    let mut running = tap(address, arguments).start();
    running.wait_for_stderr(": tapping");
    running
}

/// Ends a tap in order, and gives what it wrote.
#[must_use]
#[track_caller]
pub fn end(mut tap: Running) -> Finished {
    tap.signal(Signal::TERM);
    let ran = tap.wait();
    ran.assert_code(143);
    ran
}

/// Waits until a tap has written every line of `sent`.
///
/// # Panics
///
/// When it doesn't.
#[track_caller]
pub fn wait_for_all(tap: &mut Running, sent: &[u8]) {
    let sent = tally(sent);
    wait_until(PATIENCE, "all has arrived", || {
        let stderr = tap.stderr();
        assert!(!tap.has_ended(), "the tap has ended: {stderr}");
        let written = tap.stdout();
        let got = tally(&written);
        sent.keys().all(|line| got.contains_key(line))
    });
}
