//! One MQTT session that publishes and subscribes, in MQTT 5 and 3.1.1.
//!
//! A [`Reactor`] is a thread that drives any number of sessions. [`Reactor::open`] begins one;
//! [`Session`] is a blocking handle to it. The packets in flight belong to the session, not to its
//! connections: a broken one is replaced, and what was not acknowledged is sent again.

pub mod address;
pub mod args;
mod backoff;
mod channel;
mod check;
mod connection;
mod error;
mod event;
mod handshake;
mod heartbeat;
mod ledger;
mod mailbox;
mod message;
mod options;
mod packet;
mod protocol;
mod reactor;
mod reason;
mod session;
pub mod text;
pub mod topic;
mod transport;
mod wire;

pub use address::{Address, AddressError, Broker, Scheme};
pub use check::check_field;
pub use error::{ConnectError, PublishError, Refusal, SessionError};
pub use event::{Event, Limits, OnEvent};
pub use mailbox::{Capacity, Settled};
pub use message::{Delivery, Message, Properties, Token};
pub use options::{Credentials, RetainHandling, SessionOptions, Subscription, Will};
pub use protocol::{NotAQos, NotAVersion, Qos, Version};
pub use reactor::{Reactor, Session};
pub use reason::Reason;
pub use transport::{Tls, TlsError, TlsFiles};
