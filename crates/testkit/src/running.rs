//! A command that runs: what goes in, what comes out so far, signals, and its end.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::process::ExitStatusExt,
    process::{Child, ChildStdin, Command},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::Finished;

/// A command that runs; it is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdin: Option<Input>,
    stdout: Option<Collected>,
    stderr: Option<Collected>,
    name: String,
    limit: Duration,
    started: Instant,
}

/// The command's stdin: in the test's hands, or with a thread that writes to it.
#[derive(Debug)]
enum Input {
    Open(ChildStdin),
    Fed(JoinHandle<()>),
}

impl Running {
    /// Starts a command whose stdin and stderr, and maybe stdout, are pipes.
    pub(crate) fn spawn(mut command: Command, name: String, limit: Duration) -> io::Result<Self> {
        let mut child = command.spawn()?;
        Ok(Self {
            stdin: child.stdin.take().map(Input::Open),
            stdout: child.stdout.take().map(Collected::from_reader),
            stderr: child.stderr.take().map(Collected::from_reader),
            child,
            name,
            limit,
            started: Instant::now(),
        })
    }

    /// Writes to stdin and leaves it open.
    ///
    /// # Panics
    ///
    /// When stdin is closed, on either side.
    #[track_caller]
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let Some(Input::Open(stdin)) = &mut self.stdin else {
            panic!("{}: stdin was closed already", self.name)
        };
        if let Err(error) = stdin.write_all(bytes.as_ref()) {
            panic!("{}: stdin: {error}; stderr: {}", self.name, self.stderr());
        }
    }

    /// Waits until the command has taken all that was written to its stdin.
    ///
    /// # Panics
    ///
    /// When it doesn't within the limit, or stdin is closed.
    #[track_caller]
    pub fn wait_until_read(&mut self) {
        self.wait_for("its stdin is read", |running| match &running.stdin {
            Some(Input::Open(stdin)) => {
                rustix::io::ioctl_fionread(stdin).is_ok_and(|left| left == 0)
            }
            _ => panic!("{}: stdin was closed already", running.name),
        });
    }

    /// Writes all of `input` in the background and closes stdin. A command that ends without
    /// reading it is none of this function's business.
    pub fn feed(&mut self, input: impl Into<Vec<u8>>) {
        let input = input.into();
        if let Some(Input::Open(mut stdin)) = self.stdin.take() {
            self.stdin = Some(Input::Fed(thread::spawn(move || {
                let _ = stdin.write_all(&input);
            })));
        }
    }

    /// Closes stdin: the end of the input.
    pub fn close_stdin(&mut self) {
        if let Some(Input::Open(_)) = self.stdin {
            self.stdin = None;
        }
    }

    /// What came on stdout so far.
    #[must_use]
    pub fn stdout(&self) -> Vec<u8> {
        self.stdout
            .as_ref()
            .map_or_else(Vec::new, |stdout| stdout.bytes().clone())
    }

    /// How many whole lines came on stdout so far.
    #[must_use]
    pub fn stdout_lines(&self) -> usize {
        let count = |bytes: &[u8]| memchr::memchr_iter(b'\n', bytes).count();
        self.stdout
            .as_ref()
            .map_or(0, |stdout| count(&stdout.bytes()))
    }

    /// What came on stderr so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        let bytes = self
            .stderr
            .as_ref()
            .map_or_else(Vec::new, |stderr| stderr.bytes().clone());
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until stdout has this many whole lines.
    ///
    /// # Panics
    ///
    /// When it hasn't within the limit, or can't any more.
    #[track_caller]
    pub fn wait_for_lines(&mut self, count: usize) {
        self.wait_for(&format!("stdout has {count} lines"), |running| {
            running.stdout_lines() >= count
        });
    }

    /// Waits until stderr contains `text`.
    ///
    /// # Panics
    ///
    /// When it doesn't within the limit, or can't any more.
    #[track_caller]
    pub fn wait_for_stderr(&mut self, text: &str) {
        self.wait_for(&format!("stderr contains {text:?}"), |running| {
            running.stderr().contains(text)
        });
    }

    #[track_caller]
    fn wait_for(&mut self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + self.limit;
        loop {
            // In this order: what a command writes at its end is there when it has ended.
            let ended = self.has_ended();
            if condition(self) {
                return;
            }
            let name = &self.name;
            let lines = self.stdout_lines();
            let stderr = self.stderr();
            assert!(
                !ended,
                "{name} ended before {what}; stdout: {lines} lines; stderr: {stderr}"
            );
            assert!(
                Instant::now() < deadline,
                "{name}: waited {:?} in vain until {what}; stdout: {lines} lines; stderr: {stderr}",
                self.limit
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether it has ended, with all its output here.
    ///
    /// # Panics
    ///
    /// When the system doesn't say.
    pub fn has_ended(&mut self) -> bool {
        let ended = self
            .child
            .try_wait()
            .expect("a child's state is known")
            .is_some();
        let whole = |output: &Option<Collected>| output.as_ref().is_none_or(Collected::is_whole);
        ended && whole(&self.stdout) && whole(&self.stderr)
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    ///
    /// # Panics
    ///
    /// When it has ended and was waited for.
    #[track_caller]
    pub fn signal(&mut self, signal: Signal) {
        // Not waited for, so the number is still its own.
        let ended = self.child.try_wait().expect("a child's state is known");
        assert!(
            ended.is_none(),
            "{} has ended: {}",
            self.name,
            self.stderr()
        );
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a child has a process id"), signal).expect("a child of ours");
    }

    /// The most memory it has held so far, in bytes (Linux's `VmHWM`). `None` where the system
    /// doesn't say, or no longer.
    #[must_use]
    pub fn peak_memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024)
    }

    /// Waits until it ends. Stdin is closed first.
    ///
    /// # Panics
    ///
    /// When it doesn't end within the limit; it is killed then.
    #[must_use]
    #[track_caller]
    pub fn wait(mut self) -> Finished {
        self.close_stdin();
        let deadline = Instant::now() + self.limit;
        while !self.has_ended() {
            let (name, limit) = (&self.name, self.limit);
            let stderr = self.stderr();
            assert!(
                Instant::now() < deadline,
                "{name} did not end within {limit:?}: {stderr}"
            );
            thread::sleep(Duration::from_millis(2));
        }
        let status = self.child.wait().expect("a child that has ended");
        Finished {
            code: status.code(),
            signal: status.signal(),
            stdout: self.stdout(),
            stderr: self.stderr(),
            took: self.started.elapsed(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(Input::Fed(writer)) = self.stdin.take() {
            // The pipe is broken by now, so the writer has ended or is about to.
            let _ = writer.join();
        }
    }
}

/// What a thread has read so far from one of the command's outputs.
#[derive(Debug)]
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Collected {
    fn from_reader(mut reader: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut piece = vec![0; 64 * 1024];
            while let Ok(size @ 1..) = reader.read(&mut piece) {
                lock(&shared).extend_from_slice(&piece[..size]);
            }
        });
        Self { bytes, reader }
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        lock(&self.bytes)
    }

    fn is_whole(&self) -> bool {
        self.reader.is_finished()
    }
}

fn lock(bytes: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}
