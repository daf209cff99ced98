//! The blocking side: a thread that drives any number of sessions, and the handles to them.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::AbortHandle;

use crate::channel::{Shared, Status};
use crate::error::{PublishError, SessionError};
use crate::event::Limits;
use crate::mailbox::{Capacity, Mailbox, Settled};
use crate::message::{Delivery, Message, Token};
use crate::options::SessionOptions;
use crate::session;

/// A thread that does the input and output of many sessions, and the one place where their settled
/// messages are collected. Dropping it ends the sessions without DISCONNECT.
#[derive(Debug)]
pub struct Reactor {
    handle: Handle,
    mailbox: Arc<Mailbox>,
    attempts: Arc<Semaphore>,
    /// Sessions to wake: many at the price of one, which is a system call.
    bell: UnboundedSender<Vec<Arc<Shared>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Sessions that connect at a time: the broker's queue of new connections is short (Mosquitto's has
/// 100 places), and what comes when it is full waits for a second or more.
const ATTEMPTS: usize = 64;

/// Threads that ask for the addresses of hosts.
const RESOLVERS: usize = 4;

/// Between two steps of a session's end.
const MOMENT: Duration = Duration::from_secs(1);

impl Reactor {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// The system gives no thread or no poll instance.
    pub fn start(capacity: Capacity) -> io::Result<Self> {
        let mailbox = Arc::new(Mailbox::new(capacity));
        let crowd = Arc::clone(&mailbox);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(RESOLVERS)
            .on_thread_park(move || thread::sleep(crowd.breath()))
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let (bell, rung) = unbounded_channel();
        handle.spawn(wake(rung));
        let thread = thread::Builder::new()
            .name("mqtt".to_owned())
            .spawn(move || {
                // An error is a dropped sender: an end as well.
                let _ = runtime.block_on(stopped);
                // A name server that hangs must not hold up the end of the process.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            handle,
            mailbox,
            attempts: Arc::new(Semaphore::new(ATTEMPTS)),
            bell,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Begins a session and returns at once; see [`Session::wait_connected`].
    #[must_use]
    pub fn open(&self, options: SessionOptions) -> Session {
        let shared = Arc::new(Shared::new(Arc::clone(&self.mailbox)));
        self.mailbox.enter();
        let drive = session::drive(options, Arc::clone(&shared), Arc::clone(&self.attempts));
        let task = self.handle.spawn(drive);
        Session {
            shared,
            task: task.abort_handle(),
        }
    }

    /// [`Session::flush`] for many sessions of this reactor.
    pub fn flush<'a>(&self, sessions: impl Iterator<Item = &'a Session>) {
        let sessions: Vec<_> = sessions
            .map(|session| Arc::clone(&session.shared))
            .collect();
        // Nobody listens at the end of the reactor, when there is nothing to wake.
        let _ = self.bell.send(sessions);
    }

    /// Appends the messages that were settled in any session; waits for the first at most `wait`.
    pub fn settled(&self, wait: Duration, into: &mut Vec<Settled>) {
        self.mailbox.take(wait, into);
    }

    /// The number of messages that were taken by [`Session::publish`] and not yet returned by
    /// [`Reactor::settled`].
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.mailbox.in_flight()
    }
}

/// Wakes sessions, on the reactor's thread.
async fn wake(mut rung: UnboundedReceiver<Vec<Arc<Shared>>>) {
    while let Some(sessions) = rung.recv().await {
        for shared in sessions {
            shared.wake.notify_one();
        }
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has already been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

/// A handle to one session. Dropping it breaks the connection without DISCONNECT, so that the
/// broker publishes the will; see [`Session::close`].
#[derive(Debug)]
pub struct Session {
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl Session {
    /// Waits at most `wait` for the end of the first attempt to connect and subscribe; `None` if it
    /// is still under way.
    #[must_use]
    pub fn wait_connected(&self, wait: Duration) -> Option<Result<(), Arc<SessionError>>> {
        let status = self
            .shared
            .wait_status(wait, |status| !matches!(status, Status::Connecting));
        match status {
            Status::Connecting => None,
            Status::Online(_) | Status::Offline => Some(Ok(())),
            Status::Closed => Some(Err(Arc::new(SessionError::Closed))),
            Status::Failed(error) => Some(Err(error)),
        }
    }

    /// Hands a message over; it comes back in [`Reactor::settled`] under `ticket`. Does not block.
    ///
    /// Messages are sent in the order of handing over. They may stay where they are until
    /// [`Session::flush`], which belongs behind a batch.
    ///
    /// # Errors
    ///
    /// [`PublishError::Full`] gives the message back while too much is under way;
    /// [`PublishError::Ended`] after the end of the session.
    pub fn publish(&self, ticket: u64, message: Message) -> Result<(), PublishError> {
        if self.task.is_finished() {
            return Err(PublishError::Ended(self.end()));
        }
        let size = message.size();
        if !self.shared.mailbox.admit(size) {
            self.shared.flush();
            return Err(PublishError::Full(Box::new(message)));
        }
        if !self.shared.send(ticket, message) {
            self.shared.mailbox.withdraw(size);
            return Err(PublishError::Ended(self.end()));
        }
        Ok(())
    }

    /// Makes sure that all messages handed over are on their way.
    pub fn flush(&self) {
        self.shared.flush();
    }

    /// Appends up to `max` received messages to `into`, in the order of receipt; waits for the first
    /// at most `wait`. Returns how many.
    ///
    /// While the application takes none, the session stops reading when its inbox is full, and
    /// keeps the connection alive.
    ///
    /// # Errors
    ///
    /// The session is over and all that it received has been taken.
    pub fn receive(
        &self,
        wait: Duration,
        max: usize,
        into: &mut Vec<Delivery>,
    ) -> Result<usize, Arc<SessionError>> {
        self.shared.receive(wait, max, into)
    }

    /// Acknowledges all messages up to `token`: the broker may forget them. PUBACK and PUBREC leave
    /// in the order of receipt [MQTT-4.6.0-2], on the connection that the message came on.
    pub fn acknowledge(&self, token: Token) {
        self.shared.acknowledge(token.0);
    }

    /// The number of its messages that were settled so far.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.shared.settled()
    }

    /// What the broker takes; `None` while there is no connection.
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        match self.shared.status() {
            Status::Online(limits) => Some(limits),
            _ => None,
        }
    }

    /// Why the session is over, if it has failed.
    #[must_use]
    pub fn failure(&self) -> Option<Arc<SessionError>> {
        match self.shared.status() {
            Status::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the session is over, well or not, and all its messages are settled.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.shared.status().is_final()
    }

    /// Gives up every message that is not settled: each is settled with
    /// [`crate::Refusal::Abandoned`] soon after.
    pub fn abandon(&self) {
        self.shared.request_abandon();
    }

    /// [`Session::abandon`], and the end of the session: without DISCONNECT, so that the broker publishes
    /// the will.
    pub fn hang_up(&self) {
        self.shared.hang_up();
    }

    /// Asks for an orderly end: what is under way is delivered and what was acknowledged is
    /// answered first, then DISCONNECT, so that no will is published.
    pub fn start_close(&self) {
        self.shared.request_close();
    }

    /// [`Session::start_close`], and waits for it at most `wait`. False if the session has not come
    /// to an orderly end.
    #[must_use]
    pub fn close(&self, wait: Duration) -> bool {
        self.start_close();
        let status = self.shared.wait_status(wait, Status::is_final);
        matches!(status, Status::Closed)
    }

    fn end(&self) -> Arc<SessionError> {
        // The outbox is closed a moment before the status says why.
        match self.shared.wait_status(MOMENT, Status::is_final) {
            Status::Failed(error) => error,
            _ => Arc::new(SessionError::Closed),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.mailbox.leave();
        self.task.abort();
    }
}
