//! What librdkafka says about connections, kept and passed on in few and plain words.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tapline_pipe::console::Console;

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// For a person who looks for a fault in the client itself.
    Debug,
    /// For a person who wants to follow what happens.
    Info,
    /// Good news after a warning.
    Notice,
    /// Something hinders the work; it is tried on.
    Warning,
}

/// Takes the messages of a client. It is called from the thread that polls the client, and must not block for long.
pub type Sink = Arc<dyn Fn(Severity, &str) + Send + Sync>;

/// A sink that says it on the console, at the level that the severity calls for.
#[must_use]
pub fn console_sink(console: &Console) -> Sink {
    let console = console.clone();
    Arc::new(move |severity, text: &str| match severity {
        Severity::Debug => console.debug(text),
        Severity::Info => console.verbose(text),
        Severity::Notice => console.info(text),
        Severity::Warning => console.warn(text),
    })
}

/// A failed connection to a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Host and port, or the name of the role (`GroupCoordinator`).
    pub broker: String,
    /// Why, in a few words.
    pub why: String,
    /// Trying again will not help: wrong credentials, wrong certificates, not a Kafka broker.
    pub hopeless: bool,
}

/// The callbacks of one client. Clones share their state.
#[derive(Clone)]
pub(crate) struct Context {
    inner: Arc<Inner>,
}

struct Inner {
    sink: Sink,
    connected: AtomicBool,
    /// Whether some failure was told, so that its end is worth telling too.
    troubled: AtomicBool,
    failures: Mutex<BTreeMap<String, Told>>,
    fatal: Mutex<Option<String>>,
}

struct Told {
    failure: Failure,
    warned: bool,
}

impl Context {
    /// A context that passes what it has to say to `sink`.
    pub(crate) fn new(sink: Sink) -> Self {
        Self {
            inner: Arc::new(Inner {
                sink,
                connected: AtomicBool::new(false),
                troubled: AtomicBool::new(false),
                failures: Mutex::default(),
                fatal: Mutex::default(),
            }),
        }
    }

    /// Passes a message on.
    pub(crate) fn tell(&self, severity: Severity, text: &str) {
        (self.inner.sink)(severity, text);
    }

    /// The last failure of each broker since it last worked, in the order of their names.
    pub(crate) fn failures(&self) -> Vec<Failure> {
        self.kept()
            .values()
            .map(|told| told.failure.clone())
            .collect()
    }

    /// What a fatal error of the client was, if there was one.
    pub(crate) fn fatal(&self) -> Option<String> {
        self.inner
            .fatal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// From now on failures are worth a warning; before, they are the reason why there is no connection.
    pub(crate) fn connected(&self) {
        self.inner.connected.store(true, Ordering::Relaxed);
        self.kept().clear();
    }

    /// Notes that records pass: failures that were told are over.
    pub(crate) fn working(&self) {
        if self.inner.troubled.load(Ordering::Relaxed)
            && self.inner.troubled.swap(false, Ordering::Relaxed)
        {
            self.kept().clear();
            self.tell(Severity::Notice, "connected again");
        }
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<String, Told>> {
        self.inner
            .failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes `broker: what happened` apart and keeps it; a warning is given once for a broker until it works again.
    fn failed(&self, text: &str, code: Option<RDKafkaErrorCode>) {
        let connected = self.inner.connected.load(Ordering::Relaxed);
        let failure = read_failure(text, code, connected);
        // Brokers close idle connections, and any connection when they restart: only what doesn't come back is worth
        // a warning.
        let closed = text.contains("Disconnected") && text.contains("in state UP");
        let warn = connected && !closed;
        let line = format!("{}: {}; trying on", failure.broker, failure.why);
        let news = {
            let mut kept = self.kept();
            let before = kept.get(&failure.broker);
            let same =
                before.is_some_and(|told| told.failure.why == failure.why && told.warned == warn);
            kept.insert(
                failure.broker.clone(),
                Told {
                    failure,
                    warned: warn,
                },
            );
            !same
        };
        if news && warn {
            self.inner.troubled.store(true, Ordering::Relaxed);
            self.tell(Severity::Warning, &line);
        } else if news {
            self.tell(Severity::Info, &line);
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        // `[thrd:…]: ` says which of librdkafka's threads speaks.
        let text = match text
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("]: "))
        {
            Some((_, rest)) => rest,
            None => text,
        };
        match (facility, level) {
            // Also comes as an error, but for the ones that are warnings.
            ("FAIL", _) => self.failed(text, None),
            ("ERROR", _) => {}
            (_, RDKafkaLogLevel::Debug) => {
                self.tell(Severity::Debug, &format!("{facility}: {text}"));
            }
            // CONFWARN: properties of consumers set for a producer; files are shared between tools.
            // GETPID: the producer's id is asked for again.
            (_, RDKafkaLogLevel::Info | RDKafkaLogLevel::Notice) | ("CONFWARN" | "GETPID", _) => {
                self.tell(Severity::Info, text);
            }
            _ => self.tell(Severity::Warning, text),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            // Each broker's own failure was told.
            Some(RDKafkaErrorCode::AllBrokersDown) => self.tell(Severity::Info, reason),
            Some(RDKafkaErrorCode::PartitionEOF) => {}
            Some(RDKafkaErrorCode::Fatal) => {
                *self
                    .inner
                    .fatal
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
            }
            code if code.is_some_and(is_of_connection) => self.failed(reason, code),
            _ => self.tell(Severity::Warning, reason),
        }
    }
}

impl ConsumerContext for Context {}

/// Whether an error is about the connection to one broker, which its text then names.
fn is_of_connection(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::Resolve
            | Code::SSL
            | Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::IllegalSASLState
            | Code::BadMessage
            | Code::OperationTimedOut
            | Code::CriticalSystemResource
    )
}

/// Reads `sasl_ssl://host:9093/1: Connect to ipv4#… failed: Connection refused (after 0ms in state CONNECT)`.
fn read_failure(text: &str, code: Option<RDKafkaErrorCode>, connected: bool) -> Failure {
    let (name, what) = text.split_once(": ").unwrap_or(("broker", text));
    let name = name.split_once("://").map_or(name, |(_, rest)| rest);
    let broker = name.split('/').next().unwrap_or(name);
    let what = what
        .split_once(" (after ")
        .map_or(what, |(what, _)| what)
        .trim_end_matches([':', ' ']);
    // Of a broker that was one before, this is how a restart looks.
    let asked =
        !connected && (text.contains("ApiVersion") || text.contains("in state APIVERSION_QUERY"));
    let disconnected = what.contains("Disconnected");
    let hopeless = match code {
        Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed) => {
            !disconnected
        }
        Some(RDKafkaErrorCode::SSL) => !disconnected,
        _ => what.contains("Invalid response size") || what.contains("SSL routines"),
    };
    let why = if what.contains("Invalid response size") {
        "what answers there does not speak Kafka's protocol".to_owned()
    } else if what.to_lowercase().contains("timed out") && asked {
        "it does not answer Kafka's first request: not a Kafka broker, or one that wants TLS (security.protocol)".to_owned()
    } else if disconnected && asked {
        "it hangs up at Kafka's first request: not a Kafka broker, or one that wants TLS (security.protocol)".to_owned()
    } else if disconnected && !connected && text.contains("in state UP") {
        "it hangs up on the first requests: it may want a password (security.protocol, sasl.mechanism)".to_owned()
    } else if what.contains("SSL routines::wrong version number") {
        "what answers there does not speak TLS (security.protocol)".to_owned()
    } else if what.contains("setup timed out") {
        "no answer".to_owned()
    } else if let Some((_, why)) = what
        .strip_prefix("Connect to ")
        .and_then(|what| what.split_once(" failed: "))
    {
        if why.contains("SSL routines") {
            format!("SSL handshake failed: {why}")
        } else {
            lower_first(why)
        }
    } else {
        lower_first(what)
    };
    Failure {
        broker: broker.to_owned(),
        why,
        hopeless,
    }
}

/// `Connection refused` in the middle of a sentence; `SSL …` stays.
fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Lines = Arc<Mutex<Vec<(Severity, String)>>>;

    fn context() -> (Context, Lines) {
        let lines = Lines::default();
        let kept = Arc::clone(&lines);
        let sink: Sink =
            Arc::new(move |severity, text| kept.lock().unwrap().push((severity, text.to_owned())));
        (Context::new(sink), lines)
    }

    #[test]
    fn failures_are_told_in_plain_words() {
        for (text, broker, why) in [
            (
                "127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)",
                "127.0.0.1:1",
                "connection refused",
            ),
            (
                "sasl_ssl://b:9093/2: SASL authentication error: Authentication failed (after 3ms in state AUTH_REQ)",
                "b:9093",
                "SASL authentication error: Authentication failed",
            ),
            (
                "ssl://h:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: error:0A00010B:SSL routines::wrong version number",
                "h:1",
                "what answers there does not speak TLS (security.protocol)",
            ),
            (
                "h:80/bootstrap: Receive failed: Invalid response size 1213486160 (0..100000000): increase receive.message.max.bytes",
                "h:80",
                "what answers there does not speak Kafka's protocol",
            ),
            (
                "h:9/bootstrap: Connection setup timed out in state CONNECT (after 30s in state CONNECT)",
                "h:9",
                "no answer",
            ),
            (
                "x:9092/bootstrap: Failed to resolve 'x:9092': Name or service not known (after 1ms in state CONNECT)",
                "x:9092",
                "failed to resolve 'x:9092': Name or service not known",
            ),
        ] {
            let failure = read_failure(text, None, false);
            assert_eq!(
                (failure.broker.as_str(), failure.why.as_str()),
                (broker, why),
                "{text}"
            );
        }
    }

    #[test]
    fn a_broker_that_goes_away_is_told_once_and_its_return_too() {
        let (context, lines) = context();
        context.connected();
        let down = |after: &str| {
            format!("a:1/1: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after {after})")
        };
        context.error(
            KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure),
            &down("0ms in state CONNECT"),
        );
        context.log(
            RDKafkaLogLevel::Error,
            "FAIL",
            &format!("[thrd:a:1/1]: {}", down("1ms in state CONNECT")),
        );
        context.error(
            KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure),
            &down("2ms in state CONNECT"),
        );
        context.working();
        context.working();
        let lines = lines.lock().unwrap();
        assert_eq!(
            *lines,
            [
                (
                    Severity::Warning,
                    "a:1: connection refused; trying on".to_owned()
                ),
                (Severity::Notice, "connected again".to_owned()),
            ]
        );
    }

    #[test]
    fn before_the_first_connection_failures_are_kept_as_the_reason() {
        let (context, lines) = context();
        context.error(
            KafkaError::Global(RDKafkaErrorCode::Authentication),
            "a:1/bootstrap: SASL error: no",
        );
        assert_eq!(
            context.failures(),
            [Failure {
                broker: "a:1".to_owned(),
                why: "SASL error: no".to_owned(),
                hopeless: true
            }]
        );
        assert!(
            lines
                .lock()
                .unwrap()
                .iter()
                .all(|(severity, _)| *severity == Severity::Info)
        );
    }
}
