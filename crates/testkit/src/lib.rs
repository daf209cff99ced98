//! Brokers, temporary directories and a command runner for the tests.
//!
//! Everything here is for tests, so what goes wrong panics, with a message that says what was
//! waited for and what came instead.

pub mod brokers;
pub mod finished;
pub mod http;
pub mod influx;
pub mod kafka;
pub mod mosquitto;
pub mod peer;
pub mod proxy;
pub mod real;
pub mod run;
pub mod running;
pub mod scripted;

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

pub use brokers::DevBrokers;
pub use finished::{Finished, json_lines};
pub use mosquitto::Mosquitto;
pub use peer::Peer;
pub use proxy::Proxy;
pub use real::{BrokersAlone, RealBrokers, unique};
pub use run::Run;
pub use running::Running;
pub use rustix::process::Signal;
pub use tempfile::TempDir;

/// How long a test waits for something that takes no time on an idle machine.
pub const LIMIT: Duration = Duration::new(60, 0);

/// Where the built tool of this name is: beside the test executable's own directory, where cargo
/// puts the binaries of the same profile.
///
/// # Panics
///
/// When it isn't there, with what to run.
#[must_use]
#[track_caller]
pub fn tool(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test executable has a path");
    let path = test
        .parent()
        .and_then(|deps| deps.parent())
        .expect("the test executable is in the profile's deps directory")
        .join(name);
    assert!(
        path.is_file(),
        "{} isn't built: run `cargo build --release --workspace` before the tests",
        path.display()
    );
    path
}

/// A directory of its own, removed at the end.
///
/// # Panics
///
/// When it can't be made.
#[must_use]
#[track_caller]
pub fn temp_dir() -> TempDir {
    tempfile::Builder::new()
        .prefix("tapline-")
        .tempdir()
        .expect("a temporary directory")
}

/// How many bytes a pipe holds that its reader has not taken.
///
/// # Panics
///
/// When the system doesn't say.
#[must_use]
pub fn unread(pipe: impl std::os::fd::AsFd) -> u64 {
    rustix::io::ioctl_fionread(pipe).expect("a pipe")
}

/// Waits until the condition holds.
///
/// # Panics
///
/// When it doesn't within `limit`; `what` says what was waited for.
#[track_caller]
pub fn wait_until(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !condition() {
        assert!(
            Instant::now() < deadline,
            "waited {limit:?} in vain until {what}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}
