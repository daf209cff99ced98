//! The producer as the publishing loop sees it.

use std::time::Duration;

use tapline_kafka::{Delivered, FailureKind, Producer, SendError, Settled, Undelivered};
use tapline_pipe::publish::{self, Fatal, Outgoing};
use tapline_pipe::reject::{Reason, Rejection};

use crate::compose::Composer;

/// Composes records and sends them.
#[derive(Debug)]
pub(crate) struct Publisher {
    producer: Producer,
    composer: Composer,
    settled: Vec<Settled>,
    /// Whether the topic has taken a record.
    proved: bool,
}

impl Publisher {
    pub(crate) fn new(producer: Producer, composer: Composer) -> Self {
        Self {
            producer,
            composer,
            settled: Vec::new(),
            proved: false,
        }
    }
}

impl publish::Publisher for Publisher {
    type Receipt = Delivered;

    fn send(&mut self, ticket: u64, record: &Outgoing<'_>) -> Result<(), publish::SendError> {
        let ticket = usize::try_from(ticket).expect("a ticket fits: there is one for each record");
        self.composer.compose(ticket, record, |record| {
            self.producer.send(record).map_err(|error| match error {
                SendError::Full => publish::SendError::Full,
                SendError::Rejected(why) => publish::SendError::Reject(reject(&why)),
                SendError::Fatal(error) => publish::SendError::Fatal(error.into()),
            })
        })
    }

    fn poll(
        &mut self,
        wait: Duration,
        settled: &mut Vec<publish::Settled<Delivered>>,
    ) -> Result<(), Fatal> {
        let polled = self.producer.poll(wait, &mut self.settled);
        let mut hopeless = None;
        for record in self.settled.drain(..) {
            let outcome = record.outcome.map_err(|why| {
                // Not one record passed, and what is wrong is not about the record: none will.
                if why.kind == FailureKind::Topic && !self.proved {
                    hopeless.get_or_insert_with(|| why.reason.clone());
                }
                reject(&why)
            });
            self.proved |= outcome.is_ok();
            settled.push((record.ticket as u64, outcome));
        }
        polled?;
        match hopeless {
            Some(reason) => Err(format!("topic '{}': {reason}", self.producer.topic().name).into()),
            None => Ok(()),
        }
    }

    fn abandon(&mut self) {
        self.producer.abandon();
    }
}

fn reject(why: &Undelivered) -> Rejection {
    let (reason, begin) = match why.kind {
        FailureKind::TimedOut => (
            Reason::NotDelivered,
            "not delivered within --delivery-timeout",
        ),
        FailureKind::Abandoned => (Reason::NotDelivered, "given up"),
        _ => (Reason::Refused, "refused"),
    };
    Rejection::new(reason, format!("{begin}: {} ({})", why.reason, why.code))
}
