//! One session as the client of the publishing loop.

use std::sync::Arc;
use std::time::Duration;

use tapline_mqtt::{Message, PublishError, Reactor, Refusal, Session, SessionError, Settled};
use tapline_pipe::ledger::Ticket;
use tapline_pipe::publish::{self, Fatal, Outgoing, SendError};
use tapline_pipe::reject::{Reason, Rejection};

use crate::compose::Composer;

/// A session and what its messages are made with.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) session: Session,
    pub(crate) reactor: Reactor,
    pub(crate) composer: Composer,
    /// Why the session ended before all was delivered, if it did.
    pub(crate) ended: Option<Arc<SessionError>>,
    settled: Vec<Settled>,
    /// Composed, and not taken for want of room.
    waiting: Option<(Ticket, Message)>,
}

impl Publisher {
    pub(crate) fn new(reactor: Reactor, session: Session, composer: Composer) -> Self {
        Self {
            session,
            reactor,
            composer,
            ended: None,
            settled: Vec::new(),
            waiting: None,
        }
    }
}

impl publish::Publisher for Publisher {
    type Receipt = ();

    fn send(&mut self, ticket: Ticket, record: &Outgoing<'_>) -> Result<(), SendError> {
        let message = match self.waiting.take() {
            Some((of, message)) if of == ticket => message,
            _ => self.composer.compose(record)?,
        };
        match self.session.publish(ticket, message) {
            Ok(()) => Ok(()),
            Err(PublishError::Full(message)) => {
                self.waiting = Some((ticket, *message));
                Err(SendError::Full)
            }
            Err(PublishError::Ended(error)) => Err(SendError::Fatal(fatal(&error))),
        }
    }

    fn poll(
        &mut self,
        wait: Duration,
        settled: &mut Vec<publish::Settled<()>>,
    ) -> Result<(), Fatal> {
        self.session.flush();
        // Asked first: a session that has failed has settled all that it had.
        let failure = self.session.failure();
        self.reactor.settled(wait, &mut self.settled);
        if let Some(error) = failure
            && self.settled.is_empty()
        {
            return Err(fatal(&error));
        }
        for Settled {
            ticket, outcome, ..
        } in self.settled.drain(..)
        {
            if let Err(refusal) = &outcome
                && let Refusal::SessionEnded(error) = &**refusal
            {
                self.ended = Some(Arc::clone(error));
            }
            let outcome = outcome.map(drop);
            settled.push((ticket, outcome.map_err(|refusal| reject(&refusal))));
        }
        Ok(())
    }

    fn abandon(&mut self) {
        self.session.abandon();
    }
}

fn fatal(error: &Arc<SessionError>) -> Fatal {
    error.to_string().into()
}

fn reject(refusal: &Refusal) -> Rejection {
    let reason = match refusal {
        Refusal::Broker { .. }
        | Refusal::TooLarge { .. }
        | Refusal::QosNotSupported { .. }
        | Refusal::RetainNotSupported => Reason::Refused,
        Refusal::FieldTooLong => Reason::BadField,
        Refusal::Abandoned | Refusal::SessionEnded(_) => Reason::NotDelivered,
    };
    Rejection::new(reason, refusal.to_string())
}
