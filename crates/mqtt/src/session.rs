//! The life of a session over its connections: connect, run, wait, connect again.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};

use crate::backoff::Backoff;
use crate::connection::{Connection, End};
use crate::error::{ConnectError, Refusal, SessionError};
use crate::handshake::{self, Accepted};
use crate::ledger::{BIRTH, Incoming, Outgoing};
use crate::message::Message;
use crate::options::{Event, SessionOptions};
use crate::shared::{Settled, Shared, Status};

/// What outlives a connection.
pub(crate) struct State {
    pub(crate) options: SessionOptions,
    pub(crate) shared: Arc<Shared>,
    pub(crate) outgoing: Outgoing,
    pub(crate) incoming: Incoming,
    /// Messages that were settled and not posted yet.
    pub(crate) settled: Vec<Settled>,
    /// Empty between two calls of `collect`; kept for its memory.
    collected: VecDeque<(u64, Message)>,
    /// Whether the application had asked for the end before the last `collect`.
    closing: bool,
    /// Whether a connection was there and subscribed.
    pub(crate) was_online: bool,
    suspect: Option<Suspect>,
}

/// A message that may be why the broker hangs up: the first that it had not answered when it did. A broker of MQTT
/// 3.1.1 can't refuse a message in another way [MQTT-3.3.5-2], and one that is sent again and again would hold up all
/// behind it for ever.
///
/// A broker or a link in trouble hangs up, too, and must not cost a good record. So the suspect is put on trial: on each
/// further connection it is sent only when the broker has answered a PINGREQ and all that goes before it, and nothing is
/// sent behind it; only an end that follows on that counts, and the time between the trials grows.
#[derive(Clone, Copy, Debug)]
struct Suspect {
    ticket: u64,
    /// Connections in a row that ended like that.
    hang_ups: u32,
}

/// From so many on the suspect is on trial, and with so many it is found to be the reason.
const TRIAL: u32 = 2;
const GUILTY: u32 = 6;

impl State {
    /// Before the first connection.
    pub(crate) fn new(options: SessionOptions, shared: Arc<Shared>) -> Self {
        Self {
            outgoing: Outgoing::new(options.inflight),
            incoming: Incoming::default(),
            options,
            shared,
            settled: Vec::new(),
            collected: VecDeque::new(),
            closing: false,
            was_online: false,
            suspect: None,
        }
    }

    /// Takes over what the application has put in the outbox, or gives up everything if it says
    /// so.
    pub(crate) fn collect(&mut self) {
        // Looked at first: what the application did before it asked for the end is then collected.
        self.closing = self.shared.is_closing();
        self.shared.collect(&mut self.collected);
        for (ticket, message) in self.collected.drain(..) {
            self.outgoing.queue(ticket, message);
        }
        self.incoming.acknowledge(self.shared.acknowledged());
        if self.shared.take_abandoned() {
            self.give_up(&Refusal::Abandoned);
            self.post();
        }
    }

    /// Whether another attempt follows one that failed.
    fn goes_on(&self) -> bool {
        self.was_online || self.options.patient
    }

    /// What an attempt that failed for good makes of the session.
    pub(crate) fn refused(&self, error: ConnectError) -> SessionError {
        if self.was_online || self.options.known {
            SessionError::Reconnect(error)
        } else {
            SessionError::Connect(error)
        }
    }

    fn give_up(&mut self, refusal: &Refusal) {
        for (ticket, message) in self.outgoing.abandon() {
            self.settle(ticket, message.size(), Err(Box::new(refusal.clone())));
        }
    }

    pub(crate) fn settle(
        &mut self,
        ticket: u64,
        size: usize,
        outcome: Result<crate::Reason, Box<Refusal>>,
    ) {
        self.suspect = self.suspect.filter(|suspect| suspect.ticket != ticket);
        if ticket == BIRTH {
            match outcome {
                Ok(_) => {}
                Err(refusal) if refusal.is_of_session() => {}
                Err(refusal) => self.tell(Event::BirthRefused(refusal)),
            }
            return;
        }
        self.settled.push(Settled {
            ticket,
            outcome,
            size,
        });
    }

    /// Whether a message is on trial.
    pub(crate) fn is_trying(&self) -> bool {
        self.suspect
            .is_some_and(|suspect| suspect.hang_ups >= TRIAL)
    }

    /// The broker has hung up, `first` being what it had not answered.
    pub(crate) fn hung_up(&mut self, first: Option<u64>, why: &str) {
        let Some(ticket) = first else {
            // Before anything was sent, which says nothing.
            return;
        };
        let before = self.suspect.filter(|suspect| suspect.ticket == ticket);
        let hang_ups = before.map_or(0, |suspect| suspect.hang_ups) + 1;
        self.suspect = Some(Suspect { ticket, hang_ups });
        if hang_ups < GUILTY {
            return;
        }
        if ticket == BIRTH {
            // The next connection would not outlive it either.
            self.options.birth = None;
        }
        for message in self.outgoing.remove(ticket) {
            let refusal = Refusal::HungUp {
                times: hang_ups,
                why: why.to_owned(),
            };
            self.settle(ticket, message.size(), Err(Box::new(refusal)));
        }
    }

    pub(crate) fn post(&mut self) {
        self.shared.post(&mut self.settled);
    }

    pub(crate) fn tell(&self, event: Event) {
        (self.options.on_event)(event);
    }

    /// Whether the application wants the end and nothing is left to do for it.
    pub(crate) fn may_close(&self) -> bool {
        self.closing && self.outgoing.is_idle()
    }

    fn finish(mut self, end: Result<(), SessionError>) {
        let error = Arc::new(end.err().unwrap_or(SessionError::Closed));
        let mut rest = mem::take(&mut self.collected);
        self.shared.end(&mut rest);
        for (ticket, message) in rest {
            self.outgoing.queue(ticket, message);
        }
        self.give_up(&Refusal::SessionEnded(Arc::clone(&error)));
        self.post();
        if matches!(*error, SessionError::Closed) {
            self.shared.set_status(Status::Closed);
            self.tell(Event::Closed);
        } else {
            self.shared.set_status(Status::Failed(Arc::clone(&error)));
            self.tell(Event::Failed(error));
        }
    }
}

/// Not every broker says that it gives a session to another client (Mosquitto 2.0 doesn't, it hangs up): so many
/// connections in a row that end so soon make one think of it.
const SUSPICIOUS: u32 = 3;
const SHORT: Duration = Duration::from_secs(5);

/// Drives a session from its first attempt to connect to its end. `attempts` bounds how many sessions
/// are connecting at a time.
pub(crate) async fn drive(options: SessionOptions, shared: Arc<Shared>, attempts: Arc<Semaphore>) {
    let mut backoff = Backoff::new(options.seed);
    let mut short_lived = 0;
    let mut state = State::new(options, shared);
    loop {
        let why = match connect(&mut state, &attempts).await {
            None => return state.finish(Ok(())),
            Some(Ok(accepted)) => {
                let mut connection = Connection::new(&mut state, accepted);
                let begun = Instant::now();
                let end = connection.run().await;
                short_lived = if begun.elapsed() < SHORT {
                    short_lived + 1
                } else {
                    0
                };
                if connection.was_useful() {
                    backoff.reset();
                }
                connection.salvage(&end);
                match end {
                    End::Closed => return state.finish(Ok(())),
                    End::Fatal(error) => return state.finish(Err(error)),
                    End::HungUp(why) | End::Lost(why) if short_lived < SUSPICIOUS => why,
                    End::HungUp(why) | End::Lost(why) => {
                        let id = state.options.client_id.escape_debug();
                        format!("{why}, as it did before: has another client the identifier {id}?")
                    }
                }
            }
            Some(Err(error)) if error.is_final() || !state.goes_on() => {
                let error = state.refused(error);
                return state.finish(Err(error));
            }
            Some(Err(error)) => error.to_string(),
        };
        if !state.goes_on() {
            // Lost between CONNACK and SUBACK of the first connection.
            let lost = ConnectError::Broken(std::io::Error::other(why));
            return state.finish(Err(SessionError::Connect(lost)));
        }
        if state.was_online {
            state.shared.set_status(Status::Offline);
        }
        let retry_in = backoff.next();
        state.tell(Event::Lost { why, retry_in });
        if !wait(&mut state, retry_in).await {
            return state.finish(Ok(()));
        }
    }
}

/// Connects, unless the application closes the session first: `None`.
async fn connect(
    state: &mut State,
    attempts: &Semaphore,
) -> Option<Result<Accepted, ConnectError>> {
    let options = state.options.clone();
    let first = !state.was_online;
    let attempt = async {
        // Nobody closes it.
        let _permit = attempts.acquire().await;
        handshake::connect(&options, first).await
    };
    let mut attempt = std::pin::pin!(attempt);
    let shared = Arc::clone(&state.shared);
    loop {
        state.collect();
        if state.may_close() {
            return None;
        }
        tokio::select! {
            result = &mut attempt => return Some(result),
            () = shared.wake.notified() => {}
        }
    }
}

/// Waits until it is time to connect again; false if the session is to end.
async fn wait(state: &mut State, time: Duration) -> bool {
    let until = Instant::now() + time;
    let shared = Arc::clone(&state.shared);
    loop {
        state.collect();
        if state.may_close() {
            return false;
        }
        tokio::select! {
            () = sleep_until(until) => return true,
            () = shared.wake.notified() => {}
        }
    }
}
