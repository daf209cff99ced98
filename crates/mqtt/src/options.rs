//! What a session is to be: version, identity, will, subscriptions, bounds, security.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::address::Broker;
use crate::event::OnEvent;
use crate::message::Message;
use crate::protocol::{Qos, Version};
use crate::transport::Tls;

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
    /// Security of `mqtts` and `wss`; loaded by [`Tls::load`].
    pub tls: Option<Tls>,
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
    /// ([`crate::SessionError::Reconnect`]).
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
    /// For how long a message is sent again that the broker says it can't take now ([`crate::Reason::is_transient`]).
    pub busy_timeout: Duration,
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
            busy_timeout: Duration::from_mins(1),
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
