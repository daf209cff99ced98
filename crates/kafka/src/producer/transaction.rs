//! Transactions of a producer (KIP-98): a reader of committed data sees all records of one, or none.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer as _;
use thiserror::Error;

use crate::client::{ClientError, describe_error};

use super::Producer;

/// Why a transaction was not committed.
#[derive(Debug, Error)]
pub enum TransactionError {
    /// It must be aborted; another may be begun then.
    #[error("{0}")]
    MustAbort(String),
    /// The producer can't go on: another one uses its transactional id, or the cluster refuses.
    #[error(transparent)]
    Fatal(#[from] ClientError),
}

impl Producer {
    /// Takes the transactional id over: an open transaction of an earlier producer with this id is aborted.
    ///
    /// # Errors
    ///
    /// The cluster refuses, or no coordinator answers within `wait`.
    pub(crate) fn prepare_transactions(&self, wait: Duration) -> Result<(), ClientError> {
        self.inner
            .init_transactions(wait)
            .map_err(|error| fatal("transactions cannot be used", &error))
    }

    /// Begins a transaction: records can be sent now. Needs [`ProducerOptions::transaction`].
    ///
    /// [`ProducerOptions::transaction`]: crate::ProducerOptions::transaction
    ///
    /// # Errors
    ///
    /// The client can't go on.
    pub fn begin(&self) -> Result<(), ClientError> {
        self.inner
            .begin_transaction()
            .map_err(|error| fatal("a transaction cannot begin", &error))
    }

    /// Commits the transaction, once all its records are settled. `false`: it takes longer than `wait`; call again.
    ///
    /// # Errors
    ///
    /// It is not committed, see [`TransactionError`].
    pub fn commit(&self, wait: Duration) -> Result<bool, TransactionError> {
        match self.inner.commit_transaction(wait) {
            Ok(()) => Ok(true),
            Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
                Err(TransactionError::MustAbort(error.string()))
            }
            Err(error) if may_pass(&error) => Ok(false),
            Err(error) => Err(fatal("a transaction cannot be committed", &error).into()),
        }
    }

    /// Aborts the transaction, once all its records are settled: see [`Producer::abandon`]. `false`: it takes longer
    /// than `wait`; call again.
    ///
    /// # Errors
    ///
    /// The client can't go on; the brokers abort the transaction when its time is up.
    pub fn abort(&self, wait: Duration) -> Result<bool, ClientError> {
        match self.inner.abort_transaction(wait) {
            Ok(()) => Ok(true),
            Err(error) if may_pass(&error) => Ok(false),
            Err(error) => Err(fatal("a transaction cannot be aborted", &error)),
        }
    }
}

fn may_pass(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(error) => error.is_retriable() && !error.is_fatal(),
        _ => false,
    }
}

fn fatal(what: &'static str, error: &KafkaError) -> ClientError {
    let reason = match error {
        KafkaError::Transaction(error)
            if matches!(
                error.code(),
                RDKafkaErrorCode::Fenced
                    | RDKafkaErrorCode::ProducerFenced
                    | RDKafkaErrorCode::InvalidProducerEpoch
            ) =>
        {
            format!(
                "another producer uses this transactional id now ({})",
                error.string()
            )
        }
        KafkaError::Transaction(error) => error.string(),
        other => describe_error(other),
    };
    ClientError::Fatal { what, reason }
}
