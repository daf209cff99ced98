//! MQTT packets as this crate needs them, the same for both versions; the parts of the standard's
//! packets come from the codecs of `rumqttc`.
//!
//! PUBLISH is written here, straight from a shared message, and answers without properties are
//! read and written here: these are the packets that come by the hundred thousand a second.

mod decode;
mod encode;

#[cfg(test)]
use decode::DecodeError;
pub(crate) use decode::{Decoded, Decoder};
pub(crate) use encode::{Encoder, connect, disconnect, subscribe};

/// Which answer of a publish flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "the names of the standard")]
pub(crate) enum AckKind {
    PubAck,
    PubRec,
    PubComp,
}

#[cfg(test)]
mod tests;
