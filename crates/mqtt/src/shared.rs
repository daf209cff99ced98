//! What an application's thread and the reactor's thread share: the mailbox of settled messages,
//! and each session's outbox, inbox and status.

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::error::{Refusal, SessionError};
use crate::message::{Delivery, Message};
use crate::options::Limits;
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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

/// Where a session stands.
#[derive(Clone, Debug)]
pub(crate) enum Status {
    /// Before the first connection.
    Connecting,
    Online(Limits),
    /// Between two connections.
    Offline,
    Closed,
    Failed(Arc<SessionError>),
}

impl Status {
    /// Whether the session is over.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Closed | Self::Failed(_))
    }
}

#[derive(Debug, Default)]
struct Outbox {
    messages: VecDeque<(u64, Message)>,
    /// The session is over.
    ended: bool,
}

#[derive(Debug)]
struct Inbox {
    deliveries: VecDeque<Delivery>,
    bytes: usize,
    status: Status,
}

/// What the two sides of a session share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) mailbox: Arc<Mailbox>,
    outbox: Mutex<Outbox>,
    /// Wakes the session's task.
    pub(crate) wake: Notify,
    inbox: Mutex<Inbox>,
    inbox_changed: Condvar,
    /// The driver stopped reading because the inbox is full.
    starved: AtomicBool,
    acknowledged: AtomicU64,
    settled: AtomicU64,
    closing: AtomicBool,
    abandoned: AtomicBool,
    hanging_up: AtomicBool,
}

/// Messages in the outbox at which the session's task is woken without a flush.
const WAKE_EVERY: usize = 64;

impl Shared {
    pub(crate) fn new(mailbox: Arc<Mailbox>) -> Self {
        Self {
            mailbox,
            outbox: Mutex::new(Outbox::default()),
            wake: Notify::new(),
            inbox: Mutex::new(Inbox {
                deliveries: VecDeque::new(),
                bytes: 0,
                status: Status::Connecting,
            }),
            inbox_changed: Condvar::new(),
            starved: AtomicBool::new(false),
            acknowledged: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            hanging_up: AtomicBool::new(false),
        }
    }

    // The application's side.

    /// Puts a message into the outbox; false if nobody will take it out any more.
    pub(crate) fn send(&self, ticket: u64, message: Message) -> bool {
        let mut outbox = lock(&self.outbox);
        if outbox.ended {
            return false;
        }
        outbox.messages.push_back((ticket, message));
        let length = outbox.messages.len();
        drop(outbox);
        if length.is_multiple_of(WAKE_EVERY) {
            self.wake.notify_one();
        }
        true
    }

    pub(crate) fn flush(&self) {
        if !lock(&self.outbox).messages.is_empty() {
            self.wake.notify_one();
        }
    }

    pub(crate) fn acknowledge(&self, token: u64) {
        if self.acknowledged.fetch_max(token, Ordering::Release) < token {
            self.wake.notify_one();
        }
    }

    pub(crate) fn settled(&self) -> u64 {
        self.settled.load(Ordering::Relaxed)
    }

    pub(crate) fn request_close(&self) {
        self.closing.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    pub(crate) fn request_abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    pub(crate) fn hang_up(&self) {
        self.hanging_up.store(true, Ordering::Release);
        self.request_abandon();
        self.request_close();
    }

    pub(crate) fn status(&self) -> Status {
        lock(&self.inbox).status.clone()
    }

    /// Waits until `done` says that the status is the one wanted, at most `wait`.
    pub(crate) fn wait_status(&self, wait: Duration, done: impl Fn(&Status) -> bool) -> Status {
        let inbox = lock(&self.inbox);
        self.inbox_changed
            .wait_timeout_while(inbox, wait, |inbox| !done(&inbox.status))
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .status
            .clone()
    }

    /// Moves up to `max` deliveries to `into`; waits for the first at most `wait`. What was
    /// received before the session ended is still there to take.
    pub(crate) fn receive(
        &self,
        wait: Duration,
        max: usize,
        into: &mut Vec<Delivery>,
    ) -> Result<usize, Arc<SessionError>> {
        let deadline = Instant::now() + wait;
        let mut inbox = lock(&self.inbox);
        while inbox.deliveries.is_empty() {
            match &inbox.status {
                Status::Failed(error) => return Err(Arc::clone(error)),
                Status::Closed => return Err(Arc::new(SessionError::Closed)),
                Status::Connecting | Status::Online(_) | Status::Offline => {}
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(0);
            }
            inbox = self
                .inbox_changed
                .wait_timeout(inbox, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        let count = max.min(inbox.deliveries.len());
        let before = into.len();
        into.extend(inbox.deliveries.drain(..count));
        let bytes: usize = into[before..].iter().map(size).sum();
        inbox.bytes -= bytes;
        drop(inbox);
        if self.starved.swap(false, Ordering::AcqRel) {
            self.wake.notify_one();
        }
        Ok(count)
    }

    // The driver's side.

    /// Swaps the outbox with `into`, which is empty.
    pub(crate) fn collect(&self, into: &mut VecDeque<(u64, Message)>) {
        debug_assert!(into.is_empty(), "what was collected before has been queued");
        mem::swap(&mut lock(&self.outbox).messages, into);
    }

    /// Closes the outbox for good; what is in it goes to `into`.
    pub(crate) fn end(&self, into: &mut VecDeque<(u64, Message)>) {
        let mut outbox = lock(&self.outbox);
        outbox.ended = true;
        into.append(&mut outbox.messages);
    }

    /// Hands settled messages to the application.
    pub(crate) fn post(&self, settled: &mut Vec<Settled>) {
        self.settled
            .fetch_add(settled.len() as u64, Ordering::Relaxed);
        self.mailbox.post(settled);
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Acquire)
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Whether the end is to come without DISCONNECT.
    pub(crate) fn is_hanging_up(&self) -> bool {
        self.hanging_up.load(Ordering::Acquire)
    }

    /// Whether to give up what is under way; asks once.
    pub(crate) fn take_abandoned(&self) -> bool {
        self.abandoned.swap(false, Ordering::AcqRel)
    }

    /// How many messages and bytes the inbox still takes. Where there is no room, the application
    /// wakes the driver as soon as it takes something.
    pub(crate) fn room(&self, messages: usize, bytes: usize) -> (usize, usize) {
        let inbox = lock(&self.inbox);
        let room = (
            messages.saturating_sub(inbox.deliveries.len()),
            bytes.saturating_sub(inbox.bytes),
        );
        if room.0 == 0 || room.1 == 0 {
            // Under the lock, so that a `receive` cannot slip between.
            self.starved.store(true, Ordering::Release);
        }
        room
    }

    pub(crate) fn deliver(&self, deliveries: &mut Vec<Delivery>) {
        if deliveries.is_empty() {
            return;
        }
        let mut inbox = lock(&self.inbox);
        inbox.bytes += deliveries.iter().map(size).sum::<usize>();
        inbox.deliveries.extend(deliveries.drain(..));
        drop(inbox);
        self.inbox_changed.notify_all();
    }

    pub(crate) fn set_status(&self, status: Status) {
        lock(&self.inbox).status = status;
        self.inbox_changed.notify_all();
    }
}

fn size(delivery: &Delivery) -> usize {
    delivery.topic.len() + delivery.payload.len()
}
