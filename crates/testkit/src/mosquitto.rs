//! A Mosquitto that one test has for itself: configured, killed and started again as the test likes.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU16, Ordering},
};

use crate::{LIMIT, Run, Running, Signal, TempDir, temp_dir, wait_until};

/// Below those of `scripts/brokers` in any checkout, and below the ports that systems give to connections that leave: one
/// of those could sit on the broker's port while it is down.
const PORTS: std::ops::Range<u16> = 10_000..20_000;

/// A running Mosquitto with one plain listener; it ends, and its data goes, when this is dropped.
///
/// It may have any number of messages in flight and queued for a subscriber, so that what is slow or away loses nothing.
#[derive(Debug)]
pub struct Mosquitto {
    address: SocketAddr,
    process: Option<Running>,
    folder: TempDir,
}

impl Mosquitto {
    /// Starts it with further lines of configuration. Where one of them is `persistence true`, it saves what it has when
    /// it is told to ([`Mosquitto::save`]) and at an orderly end, and not otherwise.
    ///
    /// # Panics
    ///
    /// When it isn't installed or doesn't start.
    #[must_use]
    #[track_caller]
    pub fn start_with(lines: &[&str]) -> Self {
        let address = free_address();
        let folder = temp_dir();
        let path = folder.path().display();
        let configuration = format!(
            "# Started as root it would become another user, who can't write here.\n\
             user root\n\
             listener {} {}\n\
             allow_anonymous true\n\
             persistence_location {path}/\n\
             autosave_interval 0\n\
             max_inflight_messages 0\n\
             max_queued_messages 0\n\
             {}\n",
            address.port(),
            address.ip(),
            lines.join("\n")
        );
        fs::write(folder.path().join("mosquitto.conf"), configuration).expect("our own folder");
        let mut broker = Self {
            address,
            process: None,
            folder,
        };
        broker.start();
        broker
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of a topic or filter.
    #[must_use]
    pub fn topic(&self, topic: &str) -> String {
        format!("mqtt://{}/{topic}", self.address)
    }

    /// What it has logged since its start.
    ///
    /// # Panics
    ///
    /// When it doesn't run.
    #[must_use]
    #[track_caller]
    pub fn log(&self) -> String {
        self.process.as_ref().expect("it runs").stderr()
    }

    /// SIGKILL, as if the power went: what it hasn't saved is gone. Gives what it has logged since its start.
    ///
    /// # Panics
    ///
    /// When it doesn't run.
    #[track_caller]
    pub fn kill(&mut self) -> String {
        let mut process = self.process.take().expect("it runs");
        process.signal(Signal::KILL);
        process.wait().stderr
    }

    /// Starts it again after [`Mosquitto::kill`], on the same port, with what it had saved.
    ///
    /// # Panics
    ///
    /// When it doesn't start.
    #[track_caller]
    pub fn start(&mut self) {
        let configuration = self.folder.path().join("mosquitto.conf");
        let mut process = Run::new(program()).arg("-c").arg(configuration).start();
        wait_until(LIMIT, "Mosquitto listens", || {
            assert!(!process.has_ended(), "it ended: {}", process.stderr());
            TcpStream::connect(self.address).is_ok()
        });
        self.process = Some(process);
    }

    /// Has it save its sessions and messages, and waits until it has.
    ///
    /// # Panics
    ///
    /// When it doesn't.
    #[track_caller]
    pub fn save(&mut self) {
        let file = self.folder.path().join("mosquitto.db");
        // It writes a new file and puts it in the place of the old one.
        let number = |file: &Path| {
            fs::metadata(file)
                .ok()
                .map(|file| (file.ino(), file.ctime_nsec()))
        };
        let before = number(&file);
        self.process.as_mut().expect("it runs").signal(Signal::USR1);
        wait_until(LIMIT, "Mosquitto has saved", || number(&file) != before);
    }
}

/// Debian keeps daemons where only root looks.
#[track_caller]
fn program() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let mut found = folders.map(|folder| folder.join("mosquitto"));
    found
        .find(|program| program.is_file())
        .expect("mosquitto is installed (scripts/brokers up mosquitto does that)")
}

/// A port that nobody has, and that the system gives to nobody meanwhile.
#[must_use]
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let length = PORTS.end - PORTS.start;
    // Processes begin at different places, so that they seldom look for the same one at a time.
    let begin = u16::try_from(process::id() % u32::from(length / 64)).unwrap_or_default() * 64;
    loop {
        let port = PORTS.start + (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % length;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
