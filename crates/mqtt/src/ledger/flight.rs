//! A message in flight to the broker, and how far it has come.

use tokio::time::Instant;

use crate::message::Message;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// To be sent (again) on this connection.
    Due { dup: bool },
    /// PUBLISH sent, PUBACK or PUBREC to come.
    Published,
    /// PUBREC received, PUBREL to be sent (again).
    ReleaseDue,
    /// PUBREL sent, PUBCOMP to come.
    Released,
}

#[derive(Debug)]
pub(super) struct Flight {
    /// Position in the order of first sending, which a resend keeps [MQTT-4.6.0-1].
    pub(super) order: u64,
    pub(super) ticket: u64,
    pub(super) stage: Stage,
    /// When the broker first said that it can't take the message now.
    pub(super) busy_since: Option<Instant>,
    pub(super) message: Message,
}

#[derive(Debug)]
pub(super) enum Slot {
    Free,
    /// A SUBSCRIBE that waits for its SUBACK.
    Subscribe,
    Flight(Flight),
}
