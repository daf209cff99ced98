//! One session as the client of the publishing loop.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
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
    /// With a report: where the messages under way go.
    places: Option<HashMap<Ticket, (Arc<str>, u8)>>,
}

/// What is known of a delivered message.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Receipt {
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    qos: u8,
    /// The broker's reason code (MQTT 5, section 2.4); 0 where it gives none.
    reason_code: u8,
}

impl Publisher {
    pub(crate) fn new(
        reactor: Reactor,
        session: Session,
        composer: Composer,
        reporting: bool,
    ) -> Self {
        Self {
            session,
            reactor,
            composer,
            ended: None,
            settled: Vec::new(),
            waiting: None,
            places: reporting.then(HashMap::new),
        }
    }
}

impl publish::Publisher for Publisher {
    type Receipt = Receipt;

    fn send(&mut self, ticket: Ticket, record: &Outgoing<'_>) -> Result<(), SendError> {
        let message = match self.waiting.take() {
            Some((of, message)) if of == ticket => message,
            _ => self.composer.compose(record)?,
        };
        let place = self
            .places
            .is_some()
            .then(|| (Arc::clone(&message.topic), message.qos.level()));
        match self.session.publish(ticket, message) {
            Ok(()) => {
                if let (Some(places), Some(place)) = (&mut self.places, place) {
                    places.insert(ticket, place);
                }
                Ok(())
            }
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
        settled: &mut Vec<publish::Settled<Receipt>>,
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
            let place = self
                .places
                .as_mut()
                .and_then(|places| places.remove(&ticket));
            let outcome = outcome.map(|reason| {
                let (topic, qos) = place.unzip();
                Receipt {
                    topic: topic.map(|topic| topic.to_string()),
                    qos: qos.unwrap_or_default(),
                    reason_code: reason.0,
                }
            });
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
