//! Topics: whether one is there, its partitions, and making one.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::Client;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::{Metadata, MetadataBroker, MetadataTopic};
use rdkafka::producer::{BaseProducer, DefaultProducerContext, Producer};
use rdkafka::types::RDKafkaRespErr;

use crate::address::Topic;
use crate::client::{ClientError, Context, Settings, describe, not_made, utf8};

/// A topic as the cluster describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// Its partitions, in order.
    pub partitions: Vec<PartitionInfo>,
}

/// A partition as the cluster describes it. Numbers of brokers are their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionInfo {
    /// From 0.
    pub id: i32,
    /// The broker that leads it, if there is one now.
    pub leader: Option<i32>,
    /// The brokers that keep it.
    pub replicas: Vec<i32>,
    /// Those of them that are in sync.
    pub in_sync: Vec<i32>,
}

impl TopicInfo {
    /// `None` for a topic whose name is not text, which no broker of Kafka's makes and nobody can ask for.
    fn new(topic: &MetadataTopic) -> Option<Self> {
        let mut partitions: Vec<PartitionInfo> = topic
            .partitions()
            .iter()
            .map(|partition| PartitionInfo {
                id: partition.id(),
                leader: Some(partition.leader()).filter(|leader| *leader >= 0),
                replicas: partition.replicas().to_vec(),
                in_sync: partition.isr().to_vec(),
            })
            .collect();
        partitions.sort_by_key(|partition| partition.id);
        Some(Self {
            name: utf8(|| topic.name())?.to_owned(),
            partitions,
        })
    }
}

/// The topic `name` in an answer of the cluster that was asked for it.
///
/// # Errors
///
/// [`ClientError::UnknownTopic`], or [`ClientError::Topic`] with the broker's word (not allowed, …).
pub(crate) fn find(
    metadata: &Metadata,
    name: &str,
    servers: &str,
) -> Result<TopicInfo, ClientError> {
    let unknown = || ClientError::UnknownTopic {
        topic: name.to_owned(),
        servers: servers.to_owned(),
    };
    let topic = metadata
        .topics()
        .iter()
        .find(|topic| utf8(|| topic.name()) == Some(name))
        .ok_or_else(unknown)?;
    match topic.error() {
        None | Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) => {
            TopicInfo::new(topic).ok_or_else(unknown)
        }
        Some(
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
            | RDKafkaRespErr::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
        ) => Err(unknown()),
        Some(error) => Err(ClientError::Topic {
            topic: name.to_owned(),
            what: "cannot be used",
            reason: describe(RDKafkaErrorCode::from(error)),
        }),
    }
}

/// All topics in an answer of the cluster that was asked for all.
pub(crate) fn all(metadata: &Metadata) -> Vec<TopicInfo> {
    let mut topics: Vec<TopicInfo> = metadata
        .topics()
        .iter()
        .filter(|topic| topic.error().is_none())
        .filter_map(TopicInfo::new)
        .collect();
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    topics
}

/// Whether Kafka's own topics are meant, too (`__consumer_offsets`, …): they are only when they are asked for.
pub(crate) fn names_internal(topic: &Topic) -> bool {
    match topic {
        Topic::Name(_) => true,
        Topic::Pattern(pattern) => pattern.starts_with("^__"),
    }
}

/// The topics that are meant, `None` being all, with the rest of the cluster's answer.
pub(crate) fn look_up<C: rdkafka::ClientContext>(
    settings: &Settings,
    client: &Client<C>,
    context: &Context,
    topic: Option<&Topic>,
    serve: impl Fn(),
) -> Result<(Metadata, Vec<TopicInfo>), ClientError> {
    if let Some(Topic::Name(name)) = topic {
        let metadata = settings.connect(client, context, Some(name), serve)?;
        let found = find(&metadata, name, settings.servers())?;
        return Ok((metadata, vec![found]));
    }
    let pattern = topic.map_or("", Topic::as_str);
    let regex = regex::Regex::new(pattern).map_err(|_| {
        ClientError::Configuration(format!(
            "'{pattern}' is not a regular expression for topics"
        ))
    })?;
    let metadata = settings.connect(client, context, None, serve)?;
    let mut found = all(&metadata);
    let internal = topic.is_some_and(names_internal);
    found
        .retain(|topic| regex.is_match(&topic.name) && (internal || !topic.name.starts_with("__")));
    if topic.is_some() && found.is_empty() {
        return Err(ClientError::UnknownTopic {
            topic: pattern.to_owned(),
            servers: settings.servers().to_owned(),
        });
    }
    Ok((metadata, found))
}

/// Makes a topic with `partitions` and `replication` copies of each, by default as many as the cluster is set to
/// (KIP-464), and returns it as it then is. A topic that is there already is no error: it is returned as it is.
///
/// librdkafka's mock cluster has no `CreateTopics`; there the topic is made by asking for it, and has the number of
/// partitions that the cluster was set to: compare [`TopicInfo::partitions`].
///
/// # Errors
///
/// The cluster can't be reached or refuses.
pub fn create(
    settings: &Settings,
    name: &str,
    partitions: Option<u16>,
    replication: Option<u16>,
) -> Result<TopicInfo, ClientError> {
    let refused = |reason: String| ClientError::Topic {
        topic: name.to_owned(),
        what: "cannot be created",
        reason,
    };
    let (asking, broker) = probe(settings, false)?;
    let admin: AdminClient<Context> = settings
        .config(&[])
        .create_with_context(settings.context())
        .map_err(|error| not_made(&error))?;
    let count = |given: Option<u16>| given.map_or(-1, i32::from);
    let copies = TopicReplication::Fixed(count(replication));
    let topic = NewTopic::new(name, count(partitions), copies);
    let request = |broker: Option<i32>| {
        let timeout = Some(settings.connect_timeout());
        let options = AdminOptions::new()
            .request_timeout(timeout)
            .operation_timeout(timeout)
            .broker_id(broker);
        let results = block_on(admin.create_topics([&topic], &options));
        match results.map(|results| results.into_iter().next()) {
            Ok(Some(Err((_, code)))) | Err(KafkaError::AdminOp(code)) => Err(code),
            Err(other) => Err(other.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)),
            Ok(_) => Ok(()),
        }
    };
    // Any broker of a KRaft cluster passes the request on; the mock cluster names no controller to wait for.
    let result = match request(broker) {
        Err(RDKafkaErrorCode::NotController) => request(None),
        other => other,
    };
    match result {
        Ok(()) | Err(RDKafkaErrorCode::TopicAlreadyExists) => {}
        Err(RDKafkaErrorCode::UnsupportedFeature) => {
            return ask(settings, &probe(settings, true)?.0, name);
        }
        Err(code) => return Err(refused(describe(code))),
    }
    // The controller has it; the other brokers hear of it a little later.
    let start = Instant::now();
    loop {
        match ask(settings, &asking, name) {
            Err(ClientError::UnknownTopic { .. })
                if start.elapsed() < settings.connect_timeout() =>
            {
                std::thread::sleep(Duration::from_millis(50));
            }
            other => return other,
        }
    }
}

pub(super) type Probe = BaseProducer<ProbeContext>;

/// A connected client that only asks, and the id of a broker.
pub(super) fn probe(
    settings: &Settings,
    auto_create: bool,
) -> Result<(Probe, Option<i32>), ClientError> {
    let context = settings.context();
    let mut config = settings.config(&[]);
    config.set("allow.auto.create.topics", auto_create.to_string());
    let probe: Probe = config
        .create_with_context(ProbeContext(context.clone()))
        .map_err(|error| not_made(&error))?;
    let metadata = settings.connect(probe.client(), &context, None, || {
        probe.poll(Duration::ZERO);
    })?;
    let broker = metadata.brokers().first().map(MetadataBroker::id);
    Ok((probe, broker))
}

pub(super) fn ask(
    settings: &Settings,
    probe: &Probe,
    name: &str,
) -> Result<TopicInfo, ClientError> {
    let context = &probe.context().0;
    let metadata = settings.connect(probe.client(), context, Some(name), || {
        probe.poll(Duration::ZERO);
    })?;
    find(&metadata, name, settings.servers())
}

/// [`Context`] for a producer that produces nothing.
pub(super) struct ProbeContext(Context);

impl rdkafka::ClientContext for ProbeContext {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, text: &str) {
        self.0.log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl rdkafka::producer::ProducerContext for ProbeContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &rdkafka::producer::DeliveryResult<'_>, (): ()) {
        DefaultProducerContext.delivery(result, ());
    }
}

/// Waits for a future that another thread completes.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut task = TaskContext::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut task) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
