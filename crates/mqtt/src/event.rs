//! What a session tells of itself and of its broker.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Refusal, SessionError};
use crate::protocol::Qos;

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
    /// The broker did not take [`crate::SessionOptions::birth`].
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
        /// Connections end soon after they begin, several times in a row; `why` says what may lead to it.
        repeated: bool,
    },
    /// The session is over and cannot go on.
    Failed(Arc<SessionError>),
    /// The session was closed on request.
    Closed,
}

/// Is called with each [`Event`] on the reactor's thread: it must not block.
pub type OnEvent = Arc<dyn Fn(Event) + Send + Sync>;

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
