//! SIGINT and SIGTERM: while a tool starts, the first ends it at once; while it runs, the first asks it to stop and
//! the second ends it at once.
//!
//! Starting has many calls that nothing can interrupt: resolving a name, opening a FIFO that nobody has opened at the
//! other end, connecting, asking a registry. As nothing was read yet, nothing is lost by ending there.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::{
    SigId,
    consts::{SIGINT, SIGTERM},
    flag, low_level,
};

/// How long after its drain a tool may take for rejects, closing line and orderly ends of connections: mqtt-pub allows
/// 10 s for the last alone.
const FINISH: Duration = Duration::from_secs(20);

/// Which signal asked for the stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT, usually Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl Signal {
    /// The exit code that tells of it: 128 plus the signal's number.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }

    /// The signal's name, as `kill -l` has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        }
    }
}

/// A request to stop. Clones share it. Something waits for it either by asking
/// ([`requested`](Self::requested)) or by polling its descriptor, which becomes readable.
#[derive(Debug, Clone)]
pub struct Stop(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    requested: Arc<AtomicUsize>,
    /// The next signal ends the process.
    armed: Arc<AtomicBool>,
    readable: UnixStream,
    trigger: UnixStream,
    actions: Mutex<Vec<SigId>>,
}

impl Stop {
    /// A request that only [`request`](Self::request) makes: for tests.
    ///
    /// # Errors
    ///
    /// When the process has no descriptors left.
    pub fn manual() -> io::Result<Self> {
        let (readable, trigger) = UnixStream::pair()?;
        trigger.set_nonblocking(true)?;
        Ok(Self(Arc::new(Inner {
            requested: Arc::new(AtomicUsize::new(0)),
            armed: Arc::new(AtomicBool::new(true)),
            readable,
            trigger,
            actions: Mutex::default(),
        })))
    }

    /// Catches SIGINT and SIGTERM for the whole process: either ends it there and then, with the code that belongs
    /// to it, until [`defer`](Self::defer) is called. A tool does this before all that may block.
    ///
    /// # Errors
    ///
    /// When the process has no descriptors left or the system refuses the handlers.
    pub fn install() -> io::Result<Self> {
        let stop = Self::manual()?;
        let armed = &stop.0.armed;
        for signal in [Signal::Interrupt, Signal::Terminate] {
            let number = match signal {
                Signal::Interrupt => SIGINT,
                Signal::Terminate => SIGTERM,
            };
            // The order matters: the shutdown looks at the flag before this delivery sets it.
            let code = i32::from(signal.exit_code());
            let value = usize::from(signal.exit_code());
            let trigger = stop.0.trigger.try_clone()?;
            let actions = [
                flag::register_conditional_shutdown(number, code, Arc::clone(armed))?,
                flag::register(number, Arc::clone(armed))?,
                flag::register_usize(number, Arc::clone(&stop.0.requested), value)?,
                low_level::pipe::register(number, trigger)?,
            ];
            stop.actions().extend(actions);
        }
        Ok(stop)
    }

    /// The tool has started and is about to read: from here on the first signal makes the request, and the second ends
    /// the process. After the first, the tool has `drain` to deliver what it read. If a call that nothing interrupts
    /// holds it up long beyond that (a write to a FIFO whose reader has stopped, a client library that waits for a
    /// name to be resolved), the process is ended all the same.
    ///
    /// # Errors
    ///
    /// When the process can have no more threads.
    pub fn defer(&self, drain: Duration) -> io::Result<()> {
        let stop = self.clone();
        thread::Builder::new()
            .name("deadline".into())
            .spawn(move || {
                let signal = stop.wait();
                thread::sleep(drain.saturating_add(FINISH));
                low_level::exit(i32::from(signal.exit_code()));
            })?;
        self.0.armed.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// Leaves the signals to somebody else, who catches them already.
    pub fn release(&self) {
        for action in self.actions().drain(..) {
            low_level::unregister(action);
        }
    }

    fn actions(&self) -> MutexGuard<'_, Vec<SigId>> {
        let actions = self.0.actions.lock();
        actions.unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the stop is requested.
    #[must_use]
    pub fn wait(&self) -> Signal {
        loop {
            if let Some(signal) = self.requested() {
                return signal;
            }
            // It fails only if interrupted, or where the kernel has no memory: looking again is right in both cases.
            let _ = poll(&mut [PollFd::new(self, PollFlags::IN)], None);
        }
    }

    /// Does work that nothing can interrupt on a thread of its own. `None` if a stop is requested before it is done; the
    /// work goes on then, and nobody hears of it.
    ///
    /// # Errors
    ///
    /// When the process can have no more threads or descriptors.
    pub fn unless_requested<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<Option<T>> {
        let (done, working) = UnixStream::pair()?;
        let worker = thread::Builder::new()
            .name("uninterruptible".into())
            .spawn(move || {
                // Closed when the work is done, or has panicked: the other end is readable then.
                let _working = working;
                work()
            })?;
        loop {
            if self.requested().is_some() {
                return Ok(None);
            }
            let mut both = [
                PollFd::new(self, PollFlags::IN),
                PollFd::new(&done, PollFlags::IN),
            ];
            // As in `wait`.
            let _ = poll(&mut both, None);
            if !both[1].revents().is_empty() {
                return match worker.join() {
                    Ok(result) => Ok(Some(result)),
                    Err(panic) => std::panic::resume_unwind(panic),
                };
            }
        }
    }

    /// Makes the request, as the signal would.
    pub fn request(&self, signal: Signal) {
        use std::io::Write;
        self.0
            .requested
            .store(usize::from(signal.exit_code()), Ordering::SeqCst);
        // A full socket is readable already, which is all that matters.
        let _ = (&self.0.trigger).write(&[0]);
    }

    /// The signal that asked for the stop, if one did.
    #[must_use]
    pub fn requested(&self) -> Option<Signal> {
        match self.0.requested.load(Ordering::SeqCst) {
            0 => None,
            130 => Some(Signal::Interrupt),
            _ => Some(Signal::Terminate),
        }
    }
}

/// The end of a wait that goes on without end until a stop is requested, and then for a limited time.
#[derive(Debug)]
pub struct Deadline {
    stop: Stop,
    /// How long after the request it is.
    pub limit: Duration,
    at: Option<Instant>,
}

impl Deadline {
    /// `limit` after the first look that finds a stop requested.
    #[must_use]
    pub fn new(stop: Stop, limit: Duration) -> Self {
        Self {
            stop,
            limit,
            at: None,
        }
    }

    /// The signal, once it has come. The time after it begins when it is seen first, here or in
    /// [`passed`](Self::passed).
    pub fn signal(&mut self) -> Option<Signal> {
        let signal = self.stop.requested()?;
        self.at.get_or_insert_with(|| Instant::now() + self.limit);
        Some(signal)
    }

    /// The signal that asked for the stop, once the time after it is over.
    pub fn passed(&mut self) -> Option<Signal> {
        let signal = self.signal()?;
        self.at
            .is_some_and(|at| Instant::now() >= at)
            .then_some(signal)
    }

    /// Whether a signal was seen.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.at.is_some()
    }
}

impl AsFd for Stop {
    /// Readable once the stop was requested, and from then on: nobody reads from it.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.readable.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_seen_by_every_clone() {
        let stop = Stop::manual().unwrap();
        let other = stop.clone();
        assert_eq!(other.requested(), None);
        stop.request(Signal::Terminate);
        assert_eq!(other.requested(), Some(Signal::Terminate));
        assert_eq!(Signal::Terminate.exit_code(), 143);
    }

    #[test]
    fn work_that_nothing_interrupts_is_left_when_a_stop_is_requested() {
        let stop = Stop::manual().unwrap();
        assert_eq!(stop.unless_requested(|| 7).unwrap(), Some(7));
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let (requesting, working) = (stop.clone(), receiver);
        let left = stop.unless_requested(move || {
            requesting.request(Signal::Terminate);
            // Until the test is over.
            let _ = working.recv();
        });
        assert_eq!(left.unwrap(), None);
        drop(sender);
        assert_eq!(stop.unless_requested(|| 7).unwrap(), None);
    }

    #[test]
    fn a_panic_of_such_work_is_one_of_its_caller() {
        let stop = Stop::manual().unwrap();
        let caught = std::panic::catch_unwind(|| stop.unless_requested(|| panic!("at work")));
        assert!(caught.is_err());
    }

    #[test]
    fn a_deadline_passes_only_after_a_request() {
        let stop = Stop::manual().unwrap();
        let mut at_once = Deadline::new(stop.clone(), Duration::ZERO);
        let mut later = Deadline::new(stop.clone(), Duration::from_hours(1));
        assert_eq!((at_once.passed(), later.passed()), (None, None));
        stop.request(Signal::Interrupt);
        assert_eq!(at_once.passed(), Some(Signal::Interrupt));
        assert_eq!(later.passed(), None);
    }
}
