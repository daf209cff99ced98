//! A producer for one topic or many: idempotent, bounded in memory, with a ticket for each record instead of an allocation.

mod transaction;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header as NativeHeader, Message, OwnedHeaders, Timestamp};
use rdkafka::metadata::MetadataBroker;
use rdkafka::producer::{
    BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext, PurgeConfig,
};

use crate::admin::batch_limit;
use crate::admin::topics::{self, TopicInfo};
use crate::client::{
    ClientError, Context, FAREWELL, Farewell, Settings, describe, describe_error, not_made,
};

pub use transaction::TransactionError;

/// The most records that wait for their acknowledgement.
const QUEUE_RECORDS: usize = 80_000;
/// The most KiB of keys and payloads that wait for their acknowledgement, but for a single record that is larger.
const QUEUE_KIB: usize = 24 * 1024;
/// How long to sleep between two looks for settled records. rdkafka's own waiting is not used: it spins for the last
/// millisecond of each wait.
const NAP: Duration = Duration::from_millis(1);

/// How a producer is set up, beside [`Settings`].
#[derive(Clone, Debug, Default)]
pub struct ProducerOptions {
    /// How long a record is tried before it counts as failed; `None` for the property's value, by default as long as it
    /// takes.
    pub delivery_timeout: Option<Duration>,
    /// How long a record waits at most for others of its partition to fill a batch with, in whole milliseconds.
    pub linger: Duration,
    /// `none`, `gzip`, `snappy`, `lz4` or `zstd`; `None` for the property's value, by default `lz4`.
    pub compression: Option<String>,
    /// The largest record that will be sent, in bytes of key, headers and payload.
    pub max_record: usize,
    /// It goes over the property `message.max.bytes`.
    pub max_record_chosen: bool,
    /// Records are sent in transactions (KIP-98) under this `transactional.id`: see [`Producer::begin`].
    pub transaction: Option<String>,
    /// Give the key back with each delivered record.
    pub keep_keys: bool,
}

/// A header of a record. Kafka keeps their order and duplicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value; `None` is Kafka's null.
    pub value: Option<&'a [u8]>,
}

/// A record to send.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outgoing<'a> {
    /// Comes back when the record is settled.
    pub ticket: usize,
    /// `None` for the producer's own.
    pub topic: Option<&'a str>,
    /// `None` is null, which spreads over the partitions; an empty key is a key.
    pub key: Option<&'a [u8]>,
    /// `None` is null, a tombstone; an empty payload is none.
    pub payload: Option<&'a [u8]>,
    /// In their order.
    pub headers: &'a [Header<'a>],
    /// In ms since 1970, UTC; `None` (and 0, which librdkafka can't tell from it) for now.
    pub timestamp: Option<i64>,
    /// `None` for the one that the key's murmur2 hash selects, as the Java client does.
    pub partition: Option<i32>,
}

/// What a failure is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureKind {
    /// The record: too large, malformed for the broker's rules.
    Record,
    /// The topic: gone, not allowed, no such partition.
    Topic,
    /// The delivery timeout passed.
    TimedOut,
    /// It was given up by [`Producer::abandon`].
    Abandoned,
    /// Anything else.
    Other,
}

/// Why a record was not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// What it is about.
    pub kind: FailureKind,
    /// The error's name, such as `MessageSizeTooLarge`.
    pub code: String,
    /// The broker's or librdkafka's words.
    pub reason: String,
}

impl Undelivered {
    fn new(code: RDKafkaErrorCode) -> Self {
        use RDKafkaErrorCode as Code;
        let kind = match code {
            Code::MessageSizeTooLarge
            | Code::InvalidMessageSize
            | Code::InvalidMessage
            | Code::InvalidRecord
            | Code::InvalidTimestamp
            | Code::MessageBatchTooLarge => FailureKind::Record,
            Code::UnknownTopic
            | Code::UnknownPartition
            | Code::UnknownTopicOrPartition
            | Code::InvalidTopic
            | Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::PolicyViolation => FailureKind::Topic,
            Code::MessageTimedOut => FailureKind::TimedOut,
            Code::PurgeQueue | Code::PurgeInflight => FailureKind::Abandoned,
            _ => FailureKind::Other,
        };
        Self {
            kind,
            code: format!("{code:?}"),
            reason: describe(code),
        }
    }
}

/// Why a record was not taken.
#[derive(Debug)]
pub enum SendError {
    /// The queue is full: poll, then send it again.
    Full,
    /// It can't be sent.
    Rejected(Undelivered),
    /// The client can't go on.
    Fatal(ClientError),
}

/// Where a record went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The partition.
    pub partition: i32,
    /// The offset in it; negative when the broker did not tell (acks=0).
    pub offset: i64,
    /// In ms since 1970, UTC, where it is known.
    pub timestamp: Option<i64>,
    /// The key, with [`ProducerOptions::keep_keys`].
    pub key: Option<Box<[u8]>>,
}

/// A record's end: acknowledged by all in-sync replicas, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The record's ticket.
    pub ticket: usize,
    /// Its topic, where the producer has none of its own.
    pub topic: Option<Arc<str>>,
    /// Where it went, or why it went nowhere.
    pub outcome: Result<Delivered, Undelivered>,
}

/// A producer for one topic, or for those that its records name. It doesn't block but in [`Producer::poll`], for as long
/// as the caller says.
pub struct Producer {
    pub(crate) inner: Farewell<BaseProducer<Ledger>>,
    topic: Option<TopicInfo>,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Producer")
            .field("topic", &self.topic.as_ref().map(|topic| &topic.name))
            .finish_non_exhaustive()
    }
}

impl Producer {
    /// Connects to the brokers and looks the topic up, if there is one for all records. `None`: each record names its
    /// own, which should be known to exist: librdkafka waits long for one that doesn't (see [`TopicLookup`]).
    ///
    /// [`TopicLookup`]: crate::TopicLookup
    ///
    /// The defaults, which the user's properties can change: `enable.idempotence=true` (KIP-98), `acks=all`, two
    /// requests in flight, `partitioner=murmur2_random` (the Java client's), `compression.codec=lz4`, and at most
    /// 80,000 records or 24 MiB in memory. Batches are no larger than the topic's `max.message.bytes`, where the cluster tells it: a batch that is
    /// refused takes all its records with it.
    ///
    /// # Errors
    ///
    /// [`ClientError::Unreachable`], [`ClientError::UnknownTopic`], [`ClientError::Topic`] when it may not be used, or
    /// [`ClientError::Configuration`].
    pub fn connect<'a>(
        settings: &Settings,
        topic: impl Into<Option<&'a str>>,
        options: &ProducerOptions,
    ) -> Result<Self, ClientError> {
        let topic = topic.into();
        // Room for key, headers and framing, so that it is the broker who says what is too large for it.
        let largest = (options.max_record + (64 << 10)).clamp(1_000_000, 1_000_000_000);
        let timeout = options
            .delivery_timeout
            .map_or(0, |timeout| timeout.as_millis().clamp(1, i32::MAX as u128));
        // librdkafka insists that it is shorter than the timeout.
        let linger = options
            .delivery_timeout
            .map_or(options.linger, |timeout| options.linger.min(timeout / 2));
        let mut defaults = vec![
            ("enable.idempotence", "true".to_owned()),
            ("acks", "all".to_owned()),
            // A request holds one batch of one partition, and what waits for its turn makes the next batches larger: with
            // two under way brokers had a third less to do than with five, and nothing waits longer when there is little.
            ("max.in.flight", "2".to_owned()),
            ("partitioner", "murmur2_random".to_owned()),
            ("delivery.timeout.ms", timeout.to_string()),
            ("message.max.bytes", largest.to_string()),
            ("queue.buffering.max.messages", QUEUE_RECORDS.to_string()),
            (
                "queue.buffering.max.kbytes",
                QUEUE_KIB.max(largest / 512).to_string(),
            ),
            ("linger.ms", linger.as_millis().to_string()),
        ];
        // Telemetry shrinks to an eighth, which brokers, their disks and their links have less to do with, for a tenth of
        // what the client does anyway.
        defaults.push(("compression.codec", "lz4".to_owned()));
        let chosen = [
            ("compression.codec", options.compression.clone()),
            (
                "message.timeout.ms",
                options.delivery_timeout.map(|_| timeout.to_string()),
            ),
            (
                "message.max.bytes",
                options.max_record_chosen.then(|| largest.to_string()),
            ),
            ("transactional.id", options.transaction.clone()),
        ];
        let (mut producer, broker) =
            Self::connect_with(settings, topic, &defaults, &chosen, options)?;
        if let Some(limit) = topic.and_then(|topic| batch_limit(settings, topic, broker)) {
            defaults.push(("batch.size", limit.to_string()));
            (producer, _) = Self::connect_with(settings, topic, &defaults, &chosen, options)?;
        }
        if options.transaction.is_some() {
            producer.prepare_transactions(settings.connect_timeout())?;
        }
        Ok(producer)
    }

    /// A producer with these properties, and the id of a broker. `chosen` goes over the user's properties.
    fn connect_with(
        settings: &Settings,
        topic: Option<&str>,
        defaults: &[(&str, String)],
        chosen: &[(&str, Option<String>)],
        options: &ProducerOptions,
    ) -> Result<(Self, Option<i32>), ClientError> {
        let context = settings.context();
        let ledger = Ledger {
            context: context.clone(),
            keep_keys: options.keep_keys,
            keep_topics: topic.is_none(),
            kept: Mutex::default(),
        };
        let mut config = settings.config(defaults);
        for (name, value) in chosen {
            if let Some(value) = value {
                config.set(*name, value);
            }
        }
        let inner: BaseProducer<Ledger> = config
            .create_with_context(ledger)
            .map_err(|error| not_made(&error))?;
        let metadata = settings.connect(inner.client(), &context, topic, || {
            inner.poll(Duration::ZERO);
        })?;
        let find = |topic| topics::find(&metadata, topic, settings.servers());
        let topic = topic.map(find).transpose()?;
        let broker = metadata.brokers().first().map(MetadataBroker::id);
        let inner = Farewell::new(inner, FAREWELL);
        Ok((Self { inner, topic }, broker))
    }

    /// The topic of all records as it was when the producer connected, if there is one.
    #[must_use]
    pub fn topic(&self) -> Option<&TopicInfo> {
        self.topic.as_ref()
    }

    /// Copies a record into the queue.
    ///
    /// # Errors
    ///
    /// See [`SendError`]; the record is not in the queue then.
    pub fn send(&self, record: &Outgoing<'_>) -> Result<(), SendError> {
        let own = self.topic.as_ref().map(|topic| topic.name.as_str());
        let Some(topic) = record.topic.or(own) else {
            return Err(SendError::Rejected(Undelivered {
                kind: FailureKind::Topic,
                code: "InvalidTopic".to_owned(),
                reason: "the record names no topic".to_owned(),
            }));
        };
        let mut native = BaseRecord::<[u8], [u8], usize>::with_opaque_to(topic, record.ticket);
        native.key = record.key;
        native.payload = record.payload;
        native.partition = record.partition;
        native.timestamp = record.timestamp;
        if !record.headers.is_empty() {
            native.headers = Some(build_headers(record.headers)?);
        }
        match self.inner.send(native) {
            Ok(()) => Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                Err(SendError::Full)
            }
            Err((error, _)) => Err(self.fatal().map_or_else(
                || {
                    SendError::Rejected(match error.rdkafka_error_code() {
                        Some(code) => Undelivered::new(code),
                        None => Undelivered {
                            kind: FailureKind::Other,
                            code: "Invalid".to_owned(),
                            reason: describe_error(&error),
                        },
                    })
                },
                SendError::Fatal,
            )),
        }
    }

    /// Lets the client work until some records are settled, at most for `wait`, and appends those to `settled`.
    ///
    /// # Errors
    ///
    /// The client can't go on; what was settled is appended all the same.
    pub fn poll(&self, wait: Duration, settled: &mut Vec<Settled>) -> Result<(), ClientError> {
        let before = settled.len();
        self.take_settled(settled);
        if settled.len() == before && !wait.is_zero() {
            let end = Instant::now() + wait;
            loop {
                let left = end.saturating_duration_since(Instant::now());
                std::thread::sleep(left.min(NAP));
                self.take_settled(settled);
                if settled.len() > before || left.is_zero() {
                    break;
                }
            }
        }
        self.fatal().map_or(Ok(()), Err)
    }

    fn take_settled(&self, settled: &mut Vec<Settled>) {
        // Each look takes one event: a batch of settled records, or a message of the client.
        loop {
            let before = settled.len();
            self.inner.poll(Duration::ZERO);
            self.inner.context().hand_over(settled);
            if settled.len() == before {
                break;
            }
        }
    }

    /// The number of records that are not settled yet, and not appended by [`Producer::poll`] yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        usize::try_from(self.inner.in_flight_count()).unwrap_or(0)
    }

    /// Gives up all that is in the queue and in flight: it settles as [`FailureKind::Abandoned`] in the next polls.
    /// What was in flight may have arrived all the same.
    pub fn abandon(&self) {
        self.inner.purge(PurgeConfig::default().queue().inflight());
    }

    fn fatal(&self) -> Option<ClientError> {
        // The context hears of it first; asking librdkafka takes a lock.
        self.inner.context().context.fatal()?;
        let (code, reason) = self.inner.client().fatal_error()?;
        let reason = if reason.is_empty() {
            describe(code)
        } else {
            reason
        };
        Some(ClientError::Fatal {
            what: "the producer cannot go on",
            reason,
        })
    }
}

fn build_headers(headers: &[Header<'_>]) -> Result<OwnedHeaders, SendError> {
    let mut native = OwnedHeaders::new_with_capacity(headers.len());
    for header in headers {
        if header.name.contains('\0') {
            return Err(SendError::Rejected(Undelivered {
                kind: FailureKind::Record,
                code: "InvalidRecord".to_owned(),
                reason: "a header's name holds a NUL".to_owned(),
            }));
        }
        native = native.insert(NativeHeader {
            key: header.name,
            value: header.value,
        });
    }
    Ok(native)
}

/// Collects what librdkafka settles, until it is asked for.
pub(crate) struct Ledger {
    context: Context,
    keep_keys: bool,
    keep_topics: bool,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    settled: Vec<Settled>,
    /// The topic of the last one: records come back by batches, which share it.
    topic: Option<Arc<str>>,
}

impl Kept {
    fn topic(&mut self, name: &str) -> Arc<str> {
        match &self.topic {
            Some(topic) if **topic == *name => Arc::clone(topic),
            _ => Arc::clone(self.topic.insert(Arc::from(name))),
        }
    }
}

impl Ledger {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_over(&self, settled: &mut Vec<Settled>) {
        let mut kept = self.kept();
        if settled.is_empty() {
            std::mem::swap(&mut kept.settled, settled);
        } else {
            settled.append(&mut kept.settled);
        }
    }
}

impl ClientContext for Ledger {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.context.log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ProducerContext for Ledger {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        let (Ok(message) | Err((_, message))) = result;
        let outcome = match result {
            Ok(_) => {
                self.context.working();
                let timestamp = match message.timestamp() {
                    Timestamp::CreateTime(ms) | Timestamp::LogAppendTime(ms) => Some(ms),
                    Timestamp::NotAvailable => None,
                };
                Ok(Delivered {
                    partition: message.partition(),
                    offset: message.offset(),
                    timestamp,
                    key: message.key().filter(|_| self.keep_keys).map(Box::from),
                })
            }
            Err((error, _)) => Err(Undelivered::new(
                error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail),
            )),
        };
        let mut kept = self.kept();
        let topic = self.keep_topics.then(|| kept.topic(message.topic()));
        kept.settled.push(Settled {
            ticket,
            topic,
            outcome,
        });
    }
}
