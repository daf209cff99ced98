//! The clients as the publishing loop sees them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tapline_mqtt::{Limits, Message, Qos, Refusal, SessionError, Settled};
use tapline_pipe::ledger::Ticket;
use tapline_pipe::publish::{self, Fatal, Outgoing, SendError};
use tapline_pipe::reject::{Reason, Rejection};

use crate::clients::{Clients, Unsent};
use crate::compose::Composer;

/// The clients and what their messages are made with.
pub(crate) struct Publisher {
    pub(crate) clients: Clients,
    composer: Composer,
    broker: String,
    /// What the broker has to take for the run to make sense.
    asks: Asks,
    /// Whether the first connection was there, and the broker takes what is asked for.
    proved: bool,
    /// Why the only session ended before all was delivered, if it did.
    pub(crate) ended: Option<Arc<SessionError>>,
    settled: Vec<Settled>,
    /// Composed, and not taken for want of room.
    waiting: Option<(Ticket, Message)>,
    /// With a report: where the messages under way go.
    places: Option<HashMap<Ticket, (Arc<str>, u8)>>,
}

/// What all messages need of the broker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asks {
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
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
        clients: Clients,
        composer: Composer,
        broker: String,
        asks: Asks,
        reporting: bool,
    ) -> Self {
        Self {
            clients,
            composer,
            broker,
            asks,
            proved: false,
            ended: None,
            settled: Vec::new(),
            waiting: None,
            places: reporting.then(HashMap::new),
        }
    }

    /// Waits at most `wait` until the first connection is there and the broker takes what is asked for;
    /// false if it is not there yet.
    ///
    /// # Errors
    ///
    /// There is none, or what the broker will refuse for each record is said once, before the first.
    pub(crate) fn prove(&mut self, wait: Duration) -> Result<bool, Fatal> {
        if !self.proved {
            let limits = self.clients.wait_first(wait);
            if let Some(limits) = limits.map_err(|error| self.fatal(&error))? {
                self.asks
                    .check(&limits)
                    .map_err(|why| format!("{}: {why}", self.broker))?;
                self.proved = true;
            }
        }
        Ok(self.proved)
    }

    fn fatal(&self, error: &SessionError) -> Fatal {
        format!("{}: {error}", self.broker).into()
    }

    /// Hands the message of a record to the client that is for it.
    fn hand_over(
        &mut self,
        ticket: Ticket,
        record: &Outgoing<'_>,
        message: Message,
    ) -> Result<(), Unsent> {
        let place = self
            .clients
            .place(&record.variables())
            .map_err(|why| Unsent::Other(SendError::Reject(why)))?;
        match self.prove(Duration::ZERO) {
            Ok(true) => self.clients.publish(place, ticket, message),
            Ok(false) => Err(Unsent::Full(Box::new(message))),
            Err(error) => Err(Unsent::Other(SendError::Fatal(error))),
        }
    }
}

impl Asks {
    fn check(self, limits: &Limits) -> Result<(), String> {
        if self.qos > limits.maximum_qos {
            let most = limits.maximum_qos;
            return Err(format!("the broker takes no QoS above {most}: use --qos"));
        }
        if self.retain && !limits.retain_available {
            return Err("the broker does not take retained messages (--retain)".to_owned());
        }
        Ok(())
    }
}

impl publish::Publisher for Publisher {
    type Receipt = Receipt;

    // A thousand clients are to fit into 64 MB with it.
    const MOST_KEPT: usize = 1 << 16;

    fn send(&mut self, ticket: Ticket, record: &Outgoing<'_>) -> Result<(), SendError> {
        let message = match self.waiting.take() {
            Some((of, message)) if of == ticket => message,
            _ => self.composer.compose(record)?,
        };
        let place = self
            .places
            .is_some()
            .then(|| (Arc::clone(&message.topic), message.qos.level()));
        match self.hand_over(ticket, record, message) {
            Ok(()) => {
                if let (Some(places), Some(place)) = (&mut self.places, place) {
                    places.insert(ticket, place);
                }
                Ok(())
            }
            Err(Unsent::Full(message)) => {
                self.waiting = Some((ticket, *message));
                Err(SendError::Full)
            }
            Err(Unsent::Ended(error)) => Err(SendError::Fatal(self.fatal(&error))),
            Err(Unsent::Other(error)) => Err(error),
        }
    }

    fn poll(
        &mut self,
        wait: Duration,
        settled: &mut Vec<publish::Settled<Receipt>>,
    ) -> Result<(), Fatal> {
        // Asked first: a session that has failed has settled all that it had.
        let failure = self.clients.failure();
        self.clients.poll(wait, &mut self.settled);
        if let Some(error) = failure
            && self.settled.is_empty()
        {
            return Err(self.fatal(&error));
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
        self.clients.abandon();
    }
}

fn reject(refusal: &Refusal) -> Rejection {
    let reason = match refusal {
        Refusal::Broker { .. }
        | Refusal::HungUp { .. }
        | Refusal::TooLarge { .. }
        | Refusal::QosNotSupported { .. }
        | Refusal::RetainNotSupported => Reason::Refused,
        // The broker has never let this client in.
        Refusal::SessionEnded(error) if matches!(**error, SessionError::Connect(_)) => {
            Reason::Refused
        }
        Refusal::FieldTooLong
        | Refusal::Character(_)
        | Refusal::ResponseTopic(_)
        | Refusal::PayloadFormat => Reason::BadField,
        Refusal::Abandoned | Refusal::SessionEnded(_) => Reason::NotDelivered,
    };
    Rejection::new(reason, refusal.to_string())
}
