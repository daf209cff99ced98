//! The producer as the publishing loop sees it.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::ser::{Serialize, SerializeMap, Serializer};
use tapline_kafka::{Delivered, FailureKind, Producer, SendError, Settled, Undelivered};
use tapline_pipe::envelope::format_time;
use tapline_pipe::publish::{self, Fatal, Outgoing, Verdict};
use tapline_pipe::reject::{Reason, Rejection};

use crate::compose::Composer;
use crate::destinations::Destinations;
use crate::transaction::Transactions;

/// Composes records and sends them.
#[derive(Debug)]
pub(crate) struct Publisher {
    producer: Producer,
    topics: Topics,
    composer: Composer,
    transactions: Option<Transactions>,
    settled: Vec<Settled>,
    /// Whether the topic has taken a record.
    proved: bool,
}

/// Where records go.
#[derive(Debug)]
pub(crate) enum Topics {
    /// All to the producer's topic.
    One(Arc<str>),
    /// Each to the one that it chooses.
    Chosen(Destinations),
}

impl Publisher {
    pub(crate) fn new(
        producer: Producer,
        topics: Topics,
        composer: Composer,
        transactions: Option<Transactions>,
    ) -> Self {
        Self {
            producer,
            topics,
            composer,
            transactions,
            settled: Vec::new(),
            proved: false,
        }
    }

    /// Takes down what is settled; why no record can be delivered, if that has shown.
    fn settle(&mut self, settled: &mut Vec<publish::Settled<Receipt>>) -> Option<String> {
        let mut hopeless = None;
        for record in self.settled.drain(..) {
            let chosen = record.topic;
            let outcome = record.outcome.map_err(|why| {
                if why.kind == FailureKind::Topic {
                    match &mut self.topics {
                        Topics::Chosen(destinations) => {
                            destinations.forget(chosen.as_deref().unwrap_or_default());
                        }
                        // Not one record passed, and what is wrong is not about the record: none will.
                        Topics::One(topic) if !self.proved => {
                            hopeless
                                .get_or_insert_with(|| format!("topic '{topic}': {}", why.reason));
                        }
                        Topics::One(_) => {}
                    }
                }
                let Some(transactions) = &mut self.transactions else {
                    return reject(&why, chosen.as_deref());
                };
                if let Some(because) = transactions.abort_reason()
                    && why.kind == FailureKind::Abandoned
                {
                    let detail = format!("its transaction was aborted: {because}");
                    return Rejection::new(Reason::NotDelivered, detail);
                }
                transactions.spoil(&self.producer, &why.reason);
                reject(&why, chosen.as_deref())
            });
            self.proved |= outcome.is_ok();
            let outcome = outcome.map(|to| Receipt {
                topic: match &self.topics {
                    Topics::One(topic) => Some(Arc::clone(topic)),
                    Topics::Chosen(_) => chosen,
                },
                to,
            });
            settled.push((record.ticket as u64, outcome));
        }
        hopeless
    }
}

/// Where a record went.
#[derive(Debug)]
pub(crate) struct Receipt {
    topic: Option<Arc<str>>,
    to: Delivered,
}

impl Serialize for Receipt {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut object = out.serialize_map(None)?;
        object.serialize_entry("topic", &self.topic.as_deref())?;
        object.serialize_entry("partition", &self.to.partition)?;
        // With acks=0 the broker doesn't tell.
        if self.to.offset >= 0 {
            object.serialize_entry("offset", &self.to.offset)?;
        }
        if let Some(time) = self.to.timestamp.and_then(format_time) {
            object.serialize_entry("timestamp", &time)?;
        }
        match self.to.key.as_deref().map(|key| (key, str::from_utf8(key))) {
            Some((_, Ok(text))) => object.serialize_entry("key", text)?,
            Some((key, Err(_))) => {
                object.serialize_entry("key_base64", &BASE64_STANDARD.encode(key))?;
            }
            None => {}
        }
        object.end()
    }
}

impl publish::Publisher for Publisher {
    type Receipt = Receipt;

    fn send(&mut self, ticket: u64, record: &Outgoing<'_>) -> Result<(), publish::SendError> {
        let ticket = usize::try_from(ticket).expect("a ticket fits: there is one for each record");
        let (producer, topics) = (&self.producer, &mut self.topics);
        let transactions = &mut self.transactions;
        self.composer.compose(ticket, record, |record| {
            if let (Topics::Chosen(destinations), Some(topic)) = (topics, record.topic) {
                destinations.find(topic)?;
            }
            if let Some(transactions) = transactions
                && !transactions
                    .open(producer)
                    .map_err(publish::SendError::Fatal)?
            {
                return Err(publish::SendError::Full);
            }
            producer.send(record).map_err(|error| match error {
                SendError::Full => publish::SendError::Full,
                SendError::Rejected(why) => publish::SendError::Reject(reject(&why, record.topic)),
                SendError::Fatal(error) => publish::SendError::Fatal(error.into()),
            })
        })?;
        if let Some(transactions) = &mut self.transactions {
            transactions.sent();
        }
        Ok(())
    }

    fn poll(
        &mut self,
        wait: Duration,
        settled: &mut Vec<publish::Settled<Receipt>>,
    ) -> Result<(), Fatal> {
        let wait = match &self.topics {
            Topics::Chosen(destinations) => wait.min(destinations.patience()),
            Topics::One(_) => wait,
        };
        let polled = self.producer.poll(wait, &mut self.settled);
        let hopeless = self.settle(settled);
        polled?;
        if let Some(transactions) = &mut self.transactions {
            transactions.end_if_due(&self.producer, self.producer.in_flight())?;
        }
        match hopeless {
            Some(reason) => Err(reason.into()),
            None => Ok(()),
        }
    }

    fn abandon(&mut self) {
        self.producer.abandon();
    }

    fn is_transactional(&self) -> bool {
        self.transactions.is_some()
    }

    fn close(&mut self, commit: bool) {
        if let Some(transactions) = &mut self.transactions {
            transactions.close(&self.producer, commit);
        }
    }

    fn has_open_transaction(&self) -> bool {
        self.transactions
            .as_ref()
            .is_some_and(Transactions::is_open)
    }

    fn take_verdict(&mut self) -> Option<Verdict> {
        self.transactions.as_mut()?.take_verdict()
    }
}

/// `topic` is the one that the record chose, if it did.
fn reject(why: &Undelivered, topic: Option<&str>) -> Rejection {
    let (reason, begin) = match why.kind {
        FailureKind::TimedOut => (
            Reason::NotDelivered,
            "not delivered within --delivery-timeout",
        ),
        FailureKind::Abandoned => (Reason::NotDelivered, "given up"),
        _ => (Reason::Refused, "refused"),
    };
    let topic = topic.map(|topic| format!("topic '{topic}': "));
    let topic = topic.unwrap_or_default();
    Rejection::new(
        reason,
        format!("{topic}{begin}: {} ({})", why.reason, why.code),
    )
}
