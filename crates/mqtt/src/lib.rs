//! One MQTT session that publishes and subscribes, in MQTT 5 and 3.1.1.
//!
//! A [`Reactor`] is a thread that drives any number of sessions. [`Reactor::open`] begins one;
//! [`Session`] is a blocking handle to it. The packets in flight belong to the session, not to its
//! connections: a broken one is replaced, and what was not acknowledged is sent again.

pub mod address;
pub mod args;
mod backoff;
mod connection;
mod error;
mod handshake;
mod heartbeat;
mod ledger;
mod message;
mod options;
mod packet;
mod reactor;
mod reason;
mod session;
mod shared;
pub mod topic;
mod transport;
mod wire;

pub use address::{Address, AddressError, Broker, Scheme};
pub use error::{ConnectError, PublishError, Refusal, SessionError, TlsError};
pub use message::{Delivery, Message, NotAQos, Properties, Qos, Token};
pub use options::{
    Credentials, Event, Limits, NotAVersion, OnEvent, RetainHandling, SessionOptions, Subscription,
    TlsFiles, Version, Will,
};
pub use reactor::{Reactor, Session};
pub use reason::Reason;
pub use shared::{Capacity, Settled};
pub use transport::Tls;
