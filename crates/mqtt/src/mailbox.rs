//! The mailbox of settled messages, on their way from all sessions of a reactor to the application.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::Refusal;
use crate::reason::Reason;

/// The end of a message's way: what became of it.
#[derive(Debug)]
pub struct Settled {
    /// The number that [`crate::Session::publish`] was given with it.
    pub ticket: u64,
    /// The broker's reason, a success ([`Reason::SUCCESS`] at QoS 0, once it is written), or why it
    /// was not delivered.
    pub outcome: Result<Reason, Box<Refusal>>,
    pub(crate) size: usize,
}

/// Bounds on the messages that are under way in all sessions of a reactor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Number of messages.
    pub messages: usize,
    /// Bytes of topics and payloads; one message is taken whatever its size.
    pub bytes: usize,
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            messages: 20_000,
            bytes: 16 << 20,
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics with a lock held; if it did, the data would still be whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Settled messages of all sessions of a reactor, on their way to the application.
#[derive(Debug)]
pub(crate) struct Mailbox {
    capacity: Capacity,
    post: Mutex<Post>,
    arrived: Condvar,
    messages: AtomicUsize,
    bytes: AtomicUsize,
    sessions: AtomicUsize,
}

impl Mailbox {
    pub(crate) fn new(capacity: Capacity) -> Self {
        Self {
            capacity,
            post: Mutex::new(Post {
                settled: Vec::new(),
                wanted: usize::MAX,
            }),
            arrived: Condvar::new(),
            messages: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            sessions: AtomicUsize::new(0),
        }
    }

    pub(crate) fn enter(&self) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn leave(&self) {
        self.sessions.fetch_sub(1, Ordering::Relaxed);
    }

    /// How long the reactor rests before it looks for input again: not at all, but where many sessions have
    /// many messages under way. Each answer that is read as soon as it comes costs a system call and sends one
    /// message, which costs another, here and in the broker; in a breath some gather for each session.
    pub(crate) fn breath(&self) -> Duration {
        let sessions = self.sessions.load(Ordering::Relaxed);
        if sessions < CROWD || self.in_flight() < self.capacity.messages / 2 {
            return Duration::ZERO;
        }
        let sessions = u32::try_from(sessions).unwrap_or(u32::MAX);
        LONGEST_BREATH.min(Duration::from_micros(20).saturating_mul(sessions))
    }

    /// Counts a message in, if there is room. Only the application's threads add, so that two of
    /// them may exceed the bound by one message each.
    pub(crate) fn admit(&self, size: usize) -> bool {
        let messages = self.messages.load(Ordering::Relaxed);
        let bytes = self.bytes.load(Ordering::Relaxed);
        let full = messages >= self.capacity.messages || bytes + size > self.capacity.bytes;
        if full && messages > 0 {
            return false;
        }
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(size, Ordering::Relaxed);
        true
    }

    /// Takes a message out again that was counted in and not handed over.
    pub(crate) fn withdraw(&self, size: usize) {
        self.messages.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(size, Ordering::Relaxed);
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.messages.load(Ordering::Relaxed)
    }

    pub(crate) fn post(&self, settled: &mut Vec<Settled>) {
        if settled.is_empty() {
            return;
        }
        let mut post = lock(&self.post);
        post.settled.append(settled);
        let ring = post.settled.len() >= post.wanted;
        drop(post);
        if ring {
            self.arrived.notify_all();
        }
    }

    fn wait<'a>(
        &self,
        mut post: MutexGuard<'a, Post>,
        wanted: usize,
        wait: Duration,
    ) -> MutexGuard<'a, Post> {
        post.wanted = wanted;
        let mut post = self
            .arrived
            .wait_timeout_while(post, wait, |post| post.settled.len() < wanted)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        post.wanted = usize::MAX;
        post
    }

    /// Waits at most `wait` for the first, and of many that are under way a moment for some more: to be
    /// woken for each of them, by a thousand sessions, would cost more than all else.
    pub(crate) fn take(&self, wait: Duration, into: &mut Vec<Settled>) {
        let mut post = lock(&self.post);
        if post.settled.is_empty() && !wait.is_zero() {
            let many = (self.in_flight() / 4).clamp(1, MANY);
            post = self.wait(post, 1, wait);
            post = self.wait(post, many, wait.min(MOMENT));
        }
        let before = into.len();
        into.append(&mut post.settled);
        drop(post);
        let taken = &into[before..];
        let bytes = taken.iter().map(|settled| settled.size).sum();
        self.messages.fetch_sub(taken.len(), Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What has arrived.
#[derive(Debug)]
struct Post {
    settled: Vec<Settled>,
    /// How many somebody waits for.
    wanted: usize,
}

/// For how many settled messages a wait goes on after the first, and for how long.
const MANY: usize = 2_000;
const MOMENT: Duration = Duration::from_millis(5);

/// From so many sessions on the reactor takes breath, and for how long at most.
const CROWD: usize = 100;
const LONGEST_BREATH: Duration = Duration::from_millis(20);
