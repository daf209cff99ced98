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
use crate::transaction::Transactions;

/// Composes records and sends them.
#[derive(Debug)]
pub(crate) struct Publisher {
    producer: Producer,
    topic: Arc<str>,
    composer: Composer,
    transactions: Option<Transactions>,
    settled: Vec<Settled>,
    /// Whether the topic has taken a record.
    proved: bool,
}

impl Publisher {
    pub(crate) fn new(
        producer: Producer,
        composer: Composer,
        transactions: Option<Transactions>,
    ) -> Self {
        Self {
            topic: Arc::from(producer.topic().name.as_str()),
            producer,
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
            let outcome = record.outcome.map_err(|why| {
                // Not one record passed, and what is wrong is not about the record: none will.
                if why.kind == FailureKind::Topic && !self.proved {
                    hopeless.get_or_insert_with(|| why.reason.clone());
                }
                let Some(transactions) = &mut self.transactions else {
                    return reject(&why);
                };
                if let Some(because) = transactions.abort_reason()
                    && why.kind == FailureKind::Abandoned
                {
                    let detail = format!("its transaction was aborted: {because}");
                    return Rejection::new(Reason::NotDelivered, detail);
                }
                transactions.spoil(&self.producer, &why.reason);
                reject(&why)
            });
            self.proved |= outcome.is_ok();
            let outcome = outcome.map(|to| Receipt {
                topic: Arc::clone(&self.topic),
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
    topic: Arc<str>,
    to: Delivered,
}

impl Serialize for Receipt {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut object = out.serialize_map(None)?;
        object.serialize_entry("topic", &*self.topic)?;
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
        if let Some(transactions) = &mut self.transactions
            && !transactions
                .open(&self.producer)
                .map_err(publish::SendError::Fatal)?
        {
            return Err(publish::SendError::Full);
        }
        self.composer.compose(ticket, record, |record| {
            self.producer.send(record).map_err(|error| match error {
                SendError::Full => publish::SendError::Full,
                SendError::Rejected(why) => publish::SendError::Reject(reject(&why)),
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
        let polled = self.producer.poll(wait, &mut self.settled);
        let hopeless = self.settle(settled);
        polled?;
        if let Some(transactions) = &mut self.transactions {
            transactions.end_if_due(&self.producer, self.producer.in_flight())?;
        }
        match hopeless {
            Some(reason) => Err(format!("topic '{}': {reason}", self.producer.topic().name).into()),
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
