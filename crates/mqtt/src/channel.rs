//! What an application's thread and the reactor's thread share of a session: its outbox, inbox and status.

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::error::SessionError;
use crate::event::Limits;
use crate::mailbox::{Mailbox, Settled, lock};
use crate::message::{Delivery, Message};

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
    deliveries: VecDeque<Held>,
    bytes: usize,
    status: Status,
}

/// A delivery and the memory that it holds, which is more than its own bytes: see [`Held::new`].
#[derive(Debug)]
pub(crate) struct Held {
    delivery: Delivery,
    pub(crate) bytes: usize,
}

impl Held {
    /// `read` bytes of the input came with it: its packet, and what was before it since the last delivery. Its payload is
    /// a part of the buffer that they were read into, and that buffer lives as long as it does.
    pub(crate) fn new(delivery: Delivery, read: usize) -> Self {
        let properties = delivery.properties.as_ref();
        let bytes = size_of::<Self>() + read + properties.map_or(0, |own| own.size());
        Self { delivery, bytes }
    }
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
        let mut bytes = 0;
        into.extend(inbox.deliveries.drain(..count).map(|held| {
            bytes += held.bytes;
            held.delivery
        }));
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

    pub(crate) fn deliver(&self, deliveries: &mut Vec<Held>) {
        if deliveries.is_empty() {
            return;
        }
        let mut inbox = lock(&self.inbox);
        inbox.bytes += deliveries.iter().map(|held| held.bytes).sum::<usize>();
        inbox.deliveries.extend(deliveries.drain(..));
        drop(inbox);
        self.inbox_changed.notify_all();
    }

    pub(crate) fn set_status(&self, status: Status) {
        lock(&self.inbox).status = status;
        self.inbox_changed.notify_all();
    }
}
