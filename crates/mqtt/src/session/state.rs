//! What outlives a connection: the packets in flight, and what the application wants.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use super::poison::Suspect;
use crate::channel::{Shared, Status};
use crate::error::{ConnectError, Refusal, SessionError};
use crate::event::Event;
use crate::ledger::{BIRTH, Incoming, Outgoing};
use crate::mailbox::Settled;
use crate::message::Message;
use crate::options::SessionOptions;
use crate::reason::Reason;

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
    pub(super) fn goes_on(&self) -> bool {
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
        outcome: Result<Reason, Box<Refusal>>,
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
        self.suspect.is_some_and(Suspect::is_on_trial)
    }

    /// The broker has hung up, `first` being what it had not answered; whether that is on trial, or was found to be the
    /// reason.
    pub(crate) fn hung_up(&mut self, first: Option<u64>, why: &str) -> bool {
        let Some(ticket) = first else {
            // Before anything was sent, which says nothing.
            return false;
        };
        let before = self.suspect.filter(|suspect| suspect.ticket == ticket);
        let hang_ups = before.map_or(0, |suspect| suspect.hang_ups) + 1;
        let suspect = Suspect { ticket, hang_ups };
        self.suspect = Some(suspect);
        if !suspect.is_guilty() {
            return suspect.is_on_trial();
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
        true
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

    pub(super) fn finish(mut self, end: Result<(), SessionError>) {
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
