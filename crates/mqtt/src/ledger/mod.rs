//! The state of a session that outlives its connections (MQTT 5, section 4.1), without any input
//! or output: which packets are in flight in both directions, and what is due to be sent.

mod flight;
mod incoming;
mod outgoing;

pub(crate) use incoming::{Incoming, Received, Reply};
pub(crate) use outgoing::{Acked, BIRTH, Outgoing, Transmit};
