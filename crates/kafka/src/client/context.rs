//! What librdkafka says about connections, kept and passed on in few and plain words.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tapline_pipe::console::Console;

use super::failure::Failure;

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
    /// The last thing that librdkafka warned of, which it does for each connection.
    warning: Mutex<String>,
}

struct Told {
    failure: Failure,
    warned: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
                warning: Mutex::default(),
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
        lock(&self.inner.fatal).clone()
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

    /// Passes librdkafka's own warning on, unless it was the last one, too.
    fn warn(&self, text: &str) {
        let mut last = lock(&self.inner.warning);
        if *last == text {
            return self.tell(Severity::Info, text);
        }
        text.clone_into(&mut last);
        drop(last);
        self.tell(Severity::Warning, text);
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<String, Told>> {
        lock(&self.inner.failures)
    }

    /// Takes `broker: what happened` apart and keeps it; a warning is given once for a broker until it works again.
    fn failed(&self, text: &str, code: Option<RDKafkaErrorCode>) {
        let connected = self.inner.connected.load(Ordering::Relaxed);
        let failure = Failure::read(text, code, connected);
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
            _ => self.warn(text),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            // Each broker's own failure was told.
            Some(RDKafkaErrorCode::AllBrokersDown) => self.tell(Severity::Info, reason),
            Some(RDKafkaErrorCode::PartitionEOF) => {}
            Some(RDKafkaErrorCode::Fatal) => {
                *lock(&self.inner.fatal) = Some(reason.to_owned());
            }
            code if code.is_some_and(is_of_connection) => self.failed(reason, code),
            _ => self.warn(reason),
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

    #[test]
    fn what_librdkafka_warns_of_for_each_connection_is_told_once() {
        let (context, lines) = context();
        for text in ["no issuer", "no issuer", "no port", "no issuer"] {
            context.log(
                RDKafkaLogLevel::Warning,
                "SSL",
                &format!("[thrd:a]: {text}"),
            );
        }
        let warned: Vec<_> = lines
            .lock()
            .unwrap()
            .iter()
            .filter(|(severity, _)| *severity == Severity::Warning)
            .map(|(_, text)| text.clone())
            .collect();
        assert_eq!(warned, ["no issuer", "no port", "no issuer"]);
    }
}
