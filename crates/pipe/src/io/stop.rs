//! SIGINT and SIGTERM: the first asks the tool to stop, the second ends it at once.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use signal_hook::consts::{SIGINT, SIGTERM};

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
    readable: UnixStream,
    trigger: UnixStream,
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
            readable,
            trigger,
        })))
    }

    /// Catches SIGINT and SIGTERM for the whole process: the first of either makes the request, the
    /// second ends the process there and then with the code that belongs to it.
    ///
    /// # Errors
    ///
    /// When the process has no descriptors left or the system refuses the handlers.
    pub fn install() -> io::Result<Self> {
        let stop = Self::manual()?;
        let armed = Arc::new(AtomicBool::new(false));
        for signal in [Signal::Interrupt, Signal::Terminate] {
            let number = match signal {
                Signal::Interrupt => SIGINT,
                Signal::Terminate => SIGTERM,
            };
            // The order matters: the shutdown looks at the flag before this delivery sets it.
            let code = i32::from(signal.exit_code());
            signal_hook::flag::register_conditional_shutdown(number, code, Arc::clone(&armed))?;
            signal_hook::flag::register(number, Arc::clone(&armed))?;
            let value = usize::from(signal.exit_code());
            signal_hook::flag::register_usize(number, Arc::clone(&stop.0.requested), value)?;
            signal_hook::low_level::pipe::register(number, stop.0.trigger.try_clone()?)?;
        }
        Ok(stop)
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
}
