//! The blocking side: a thread that drives any number of sessions, and the handles to them.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::error::{PublishError, SessionError};
use crate::message::{Delivery, Message, Token};
use crate::options::{Limits, SessionOptions};
use crate::session;
use crate::shared::{Capacity, Mailbox, Settled, Shared, Status};

/// A thread that does the input and output of many sessions, and the one place where their settled
/// messages are collected. Dropping it ends the sessions without DISCONNECT.
#[derive(Debug)]
pub struct Reactor {
    handle: Handle,
    mailbox: Arc<Mailbox>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Reactor {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// The system gives no thread or no poll instance.
    pub fn start(capacity: Capacity) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
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
            mailbox: Arc::new(Mailbox::new(capacity)),
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Begins a session and returns at once; see [`Session::wait_connected`].
    #[must_use]
    pub fn open(&self, options: SessionOptions) -> Session {
        let shared = Arc::new(Shared::new(Arc::clone(&self.mailbox)));
        let task = self
            .handle
            .spawn(session::drive(options, Arc::clone(&shared)));
        Session {
            shared,
            task: task.abort_handle(),
        }
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

    /// Gives up every message that is not settled: each is settled with
    /// [`crate::Refusal::Abandoned`] soon after.
    pub fn abandon(&self) {
        self.shared.request_abandon();
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
        let status = self.shared.wait_status(wait, |status| {
            matches!(status, Status::Closed | Status::Failed(_))
        });
        matches!(status, Status::Closed)
    }

    fn end(&self) -> Arc<SessionError> {
        self.failure()
            .unwrap_or_else(|| Arc::new(SessionError::Closed))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}
