//! What a session is to be: version, identity, will, subscriptions, bounds, security.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::address::Broker;
use crate::error::{Refusal, SessionError};
use crate::message::{Message, Qos};

/// The version of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Version {
    /// MQTT 3.1.1 (protocol level 4).
    V311,
    /// MQTT 5 (protocol level 5).
    #[default]
    V5,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V311 => "3.1.1",
            Self::V5 => "5",
        })
    }
}

/// The text is not `3.1.1` or `5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the version of MQTT is 5 or 3.1.1")]
pub struct NotAVersion;

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        match text {
            "5" | "5.0" => Ok(Self::V5),
            "3.1.1" => Ok(Self::V311),
            _ => Err(NotAVersion),
        }
    }
}

/// User name and password. `Debug` shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name.
    pub username: String,
    /// The password, without it only the name is sent.
    pub password: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(hidden)")
    }
}

/// A last will (section 3.1.2.5): the broker publishes it when the connection ends without a
/// DISCONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// What is published. The payload has at most 65,535 bytes.
    pub message: Message,
    /// How long the broker waits for the client to come back (MQTT 5).
    pub delay: Duration,
}

/// What a subscription does with retained messages (section 3.8.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetainHandling {
    /// They are sent at every SUBSCRIBE.
    #[default]
    Always,
    /// Only if the subscription is new.
    IfNew,
    /// Never.
    Never,
}

/// A subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The topic filter, also `$share/group/filter`.
    pub filter: String,
    /// The highest quality of service of its deliveries.
    pub qos: Qos,
    /// MQTT 5: not what this client publishes itself.
    pub no_local: bool,
    /// MQTT 5: keep the retain flag as it was published.
    pub retain_as_published: bool,
    /// MQTT 5: retained messages.
    pub retain_handling: RetainHandling,
}

impl Subscription {
    /// A subscription without the options of MQTT 5.
    #[must_use]
    pub fn new(filter: impl Into<String>, qos: Qos) -> Self {
        Self {
            filter: filter.into(),
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Always,
        }
    }
}

/// Files for TLS, all PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Authorities to trust; the system's if there is no file.
    pub ca: Option<PathBuf>,
    /// The client's certificate chain; goes with `key`.
    pub cert: Option<PathBuf>,
    /// The client's private key.
    pub key: Option<PathBuf>,
}

/// What happens to a session, in the order of happening.
#[derive(Clone, Debug)]
pub enum Event {
    /// A connection is there and subscribed.
    Connected {
        /// Whether the broker had kept the session.
        session_present: bool,
        /// Whether a connection was there before.
        again: bool,
    },
    /// The broker granted less than was asked for.
    Downgraded {
        /// The filter of the subscription.
        filter: String,
        /// What was asked for.
        asked: Qos,
        /// What the broker will deliver at most.
        granted: Qos,
    },
    /// The broker did not take [`SessionOptions::birth`].
    BirthRefused(Box<Refusal>),
    /// The broker keeps the session for a shorter time than was asked for.
    ExpiresSooner {
        /// What was asked for.
        asked: Duration,
        /// For how long it is kept.
        granted: Duration,
    },
    /// The connection broke, or an attempt at a new one failed.
    Lost {
        /// Why.
        why: String,
        /// When the next attempt begins.
        retry_in: Duration,
    },
    /// The session is over and cannot go on.
    Failed(Arc<SessionError>),
    /// The session was closed on request.
    Closed,
}

/// Is called with each [`Event`] on the reactor's thread: it must not block.
pub type OnEvent = Arc<dyn Fn(Event) + Send + Sync>;

/// All that makes a session.
#[derive(Clone)]
pub struct SessionOptions {
    /// Where the broker is.
    pub broker: Broker,
    /// The version that is spoken.
    pub version: Version,
    /// The client identifier. One that is kept is what makes a session last.
    pub client_id: String,
    /// Name and password.
    pub credentials: Option<Credentials>,
    /// Security of `mqtts` and `wss`; loaded by [`crate::Tls::load`].
    pub tls: Option<crate::transport::Tls>,
    /// The path of the WebSocket request, `/mqtt` by default.
    pub websocket_path: String,
    /// Keep alive in whole seconds up to 65,535; zero turns it off.
    pub keep_alive: Duration,
    /// Bound on the time from the first byte to the answer of the broker, for each attempt.
    pub connect_timeout: Duration,
    /// Also the first connection is tried again after a failure that may pass; else it ends the
    /// session.
    pub patient: bool,
    /// An earlier session of this client had a connection: a broker that refuses one now has changed its mind
    /// ([`SessionError::Reconnect`]).
    pub known: bool,
    /// Begin with an empty session.
    pub clean_start: bool,
    /// How long the broker keeps the session after its end. `None`: not at all, but long enough to
    /// bridge a broken connection where MQTT 5 is spoken.
    pub session_expiry: Option<Duration>,
    /// The last will.
    pub will: Option<Will>,
    /// Is published first on each connection, the first and each that replaces one, so that it undoes what
    /// the will of the connection before has said. It is nobody's message: no ticket, no [`crate::Settled`].
    pub birth: Option<Message>,
    /// What is subscribed to. A session without any receives nothing, also if the broker has kept
    /// subscriptions for its client identifier.
    pub subscriptions: Vec<Subscription>,
    /// Bound on own packets of QoS 1 and 2 in flight; the broker's Receive Maximum may be lower.
    pub inflight: u16,
    /// Bound on the broker's packets of QoS 1 and 2 that are not acknowledged (MQTT 5).
    pub receive_maximum: u16,
    /// Bound on messages that were received and not taken by the application.
    pub inbox_messages: usize,
    /// The same bound in bytes.
    pub inbox_bytes: usize,
    /// Bound on an incoming packet, in bytes.
    pub max_incoming_packet: u32,
    /// Seed of the jitter between attempts to reconnect.
    pub seed: u64,
    /// Is told what happens.
    pub on_event: OnEvent,
}

const KEEP_ALIVE_SECONDS: u64 = 60;

impl SessionOptions {
    /// Defaults: MQTT 5, keep alive 60 s, connect timeout 10 s, clean start, 4,000 in flight.
    #[must_use]
    pub fn new(broker: Broker, client_id: impl Into<String>) -> Self {
        Self {
            broker,
            version: Version::V5,
            client_id: client_id.into(),
            credentials: None,
            tls: None,
            websocket_path: "/mqtt".to_owned(),
            keep_alive: Duration::from_secs(KEEP_ALIVE_SECONDS),
            connect_timeout: Duration::from_secs(10),
            patient: false,
            known: false,
            clean_start: true,
            session_expiry: None,
            will: None,
            birth: None,
            subscriptions: Vec::new(),
            inflight: 4_000,
            receive_maximum: u16::MAX,
            inbox_messages: 10_000,
            inbox_bytes: 8 << 20,
            max_incoming_packet: 64 << 20,
            seed: 0,
            on_event: Arc::new(|_| {}),
        }
    }

    /// The Session Expiry Interval of CONNECT, in seconds (section 3.1.2.11.2).
    pub(crate) fn connect_expiry(&self) -> u32 {
        match self.session_expiry {
            // Bridges a broken link; DISCONNECT sets it to zero. The end of the session would be the end of the
            // will's delay, too (section 3.1.3.2.2).
            None => self.will_delay().max(300),
            Some(expiry) => u32::try_from(expiry.as_secs()).unwrap_or(u32::MAX),
        }
    }

    /// The Will Delay Interval, in seconds.
    pub(crate) fn will_delay(&self) -> u32 {
        let delay = self.will.as_ref().map_or(0, |will| will.delay.as_secs());
        u32::try_from(delay).unwrap_or(u32::MAX)
    }

    /// Whether the session is to be kept and to begin empty: that takes two connections, the first of which has the
    /// broker forget an older one. In MQTT 3.1.1 there is no other way (section 3.1.2.4), and a session of MQTT 5 that
    /// began with Clean Start Mosquitto 2.0 doesn't save, so that it would not outlive the broker.
    pub(crate) fn clears_first(&self) -> bool {
        let kept = self.session_expiry.is_some_and(|expiry| !expiry.is_zero());
        self.clean_start && kept
    }

    /// Whether the first (and in MQTT 3.1.1 each) CONNECT asks for an empty session.
    pub(crate) fn clean(&self, first: bool) -> bool {
        match self.version {
            Version::V5 => first && self.clean_start && !self.clears_first(),
            // Clean Session also means: do not keep it [MQTT-3.1.2-6].
            Version::V311 => match self.session_expiry {
                None => true,
                Some(expiry) => expiry.is_zero(),
            },
        }
    }

    /// Keep alive in seconds, as CONNECT has it.
    pub(crate) fn keep_alive_seconds(&self) -> u16 {
        u16::try_from(self.keep_alive.as_secs()).unwrap_or(u16::MAX)
    }
}

/// What the broker said of itself in CONNACK (section 3.2.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bound on packets of QoS 1 and 2 in flight to the broker.
    pub receive_maximum: u16,
    /// The highest quality of service that it takes.
    pub maximum_qos: Qos,
    /// Whether it keeps retained messages.
    pub retain_available: bool,
    /// The largest packet that it takes, in bytes.
    pub maximum_packet_size: u32,
    /// The number of topic aliases that it takes.
    pub topic_alias_maximum: u16,
    /// The keep alive that it wants instead of the client's.
    pub keep_alive: Option<u16>,
    /// For how many seconds it keeps the session, if not for as long as it was asked to.
    pub session_expiry: Option<u32>,
}

impl Default for Limits {
    /// What holds where the broker says nothing, and in MQTT 3.1.1.
    fn default() -> Self {
        Self {
            receive_maximum: u16::MAX,
            maximum_qos: Qos::ExactlyOnce,
            retain_available: true,
            maximum_packet_size: 268_435_460,
            topic_alias_maximum: 0,
            keep_alive: None,
            session_expiry: None,
        }
    }
}
