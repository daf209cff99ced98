//! Reason codes and their names, from table 2-6 of MQTT 5 and table 3.1 of MQTT 3.1.1.

use std::fmt;

/// A reason code as it came over the wire.
///
/// Codes below 0x80 are successes, those from 0x80 up are failures (MQTT 5, section 2.4). The
/// return codes of MQTT 3.1.1 are turned into their MQTT 5 counterparts where they are read, so
/// that a caller sees one vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reason(pub u8);

impl Reason {
    /// Success, normal disconnection, granted QoS 0.
    pub const SUCCESS: Self = Self(0x00);
    /// The message was accepted, but nobody subscribes to its topic: a success.
    pub const NO_MATCHING_SUBSCRIBERS: Self = Self(0x10);
    /// The packet does not follow the standard.
    pub const MALFORMED_PACKET: Self = Self(0x81);
    /// The packet is out of place.
    pub const PROTOCOL_ERROR: Self = Self(0x82);
    /// The broker does not speak this version of MQTT.
    pub const UNSUPPORTED_PROTOCOL_VERSION: Self = Self(0x84);
    /// The broker does not allow this client identifier.
    pub const CLIENT_IDENTIFIER_NOT_VALID: Self = Self(0x85);
    /// The user name or the password is wrong.
    pub const BAD_USER_NAME_OR_PASSWORD: Self = Self(0x86);
    /// The client may not do this.
    pub const NOT_AUTHORIZED: Self = Self(0x87);
    /// The broker cannot take the connection now.
    pub const SERVER_UNAVAILABLE: Self = Self(0x88);
    /// Another connection took the client identifier.
    pub const SESSION_TAKEN_OVER: Self = Self(0x8e);
    /// The packet identifier is not known (PUBREL, PUBCOMP).
    pub const PACKET_IDENTIFIER_NOT_FOUND: Self = Self(0x92);

    /// Whether the code tells of a failure (0x80 and up).
    #[must_use]
    pub fn is_failure(self) -> bool {
        self.0 >= 0x80
    }

    /// The name of the standard, for a code in a packet other than SUBACK.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            0x00 => "Success",
            0x01 => "Granted QoS 1",
            0x02 => "Granted QoS 2",
            0x04 => "Disconnect with Will Message",
            0x10 => "No matching subscribers",
            0x11 => "No subscription existed",
            0x18 => "Continue authentication",
            0x19 => "Re-authenticate",
            0x80 => "Unspecified error",
            0x81 => "Malformed Packet",
            0x82 => "Protocol Error",
            0x83 => "Implementation specific error",
            0x84 => "Unsupported Protocol Version",
            0x85 => "Client Identifier not valid",
            0x86 => "Bad User Name or Password",
            0x87 => "Not authorized",
            0x88 => "Server unavailable",
            0x89 => "Server busy",
            0x8a => "Banned",
            0x8b => "Server shutting down",
            0x8c => "Bad authentication method",
            0x8d => "Keep Alive timeout",
            0x8e => "Session taken over",
            0x8f => "Topic Filter invalid",
            0x90 => "Topic Name invalid",
            0x91 => "Packet Identifier in use",
            0x92 => "Packet Identifier not found",
            0x93 => "Receive Maximum exceeded",
            0x94 => "Topic Alias invalid",
            0x95 => "Packet too large",
            0x96 => "Message rate too high",
            0x97 => "Quota exceeded",
            0x98 => "Administrative action",
            0x99 => "Payload format invalid",
            0x9a => "Retain not supported",
            0x9b => "QoS not supported",
            0x9c => "Use another server",
            0x9d => "Server moved",
            0x9e => "Shared Subscriptions not supported",
            0x9f => "Connection rate exceeded",
            0xa0 => "Maximum connect time",
            0xa1 => "Subscription Identifiers not supported",
            0xa2 => "Wildcard Subscriptions not supported",
            _ => "unknown reason",
        }
    }

    /// The counterpart of a CONNACK return code of MQTT 3.1.1 (section 3.2.2.3).
    #[must_use]
    pub fn from_return_code(code: u8) -> Self {
        match code {
            0 => Self::SUCCESS,
            1 => Self::UNSUPPORTED_PROTOCOL_VERSION,
            2 => Self::CLIENT_IDENTIFIER_NOT_VALID,
            3 => Self::SERVER_UNAVAILABLE,
            4 => Self::BAD_USER_NAME_OR_PASSWORD,
            5 => Self::NOT_AUTHORIZED,
            // MQTT 3.1.1 reserves the others; a failure all the same.
            code => Self(code | 0x80),
        }
    }

    /// Whether a CONNACK with this code would come again however often one asks.
    #[must_use]
    pub fn forbids_reconnect(self) -> bool {
        matches!(
            self.0,
            0x81 | 0x82
                | 0x84
                | 0x85
                | 0x86
                | 0x87
                | 0x8a
                | 0x8c
                | 0x8e
                | 0x90
                | 0x95
                | 0x99
                | 0x9a
                | 0x9b
                | 0x9c
                | 0x9d
        )
    }

    /// Whether the broker may say something else a moment later: it is busy, a quota is used up (section 4.13), or it
    /// takes the packet identifier for one of another message, which gets another then.
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(self.0, 0x88 | 0x89 | 0x91 | 0x96 | 0x97 | 0x9f)
    }

    /// Whether a DISCONNECT with this code may be about one message: another would have been taken.
    pub(crate) fn blames_message(self) -> bool {
        matches!(
            self.0,
            0x80 | 0x81 | 0x82 | 0x83 | 0x87 | 0x90 | 0x94 | 0x95 | 0x99 | 0x9a | 0x9b
        )
    }

    /// Whether a DISCONNECT with this code ends the session for good: another client has taken the
    /// identifier, or what was sent would be refused again.
    #[must_use]
    pub fn ends_session(self) -> bool {
        self.forbids_reconnect() || matches!(self.0, 0x8f | 0x93 | 0x94 | 0x9e | 0xa1 | 0xa2)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:02x})", self.name(), self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_matching_subscribers_is_a_success_and_0x80_is_not() {
        assert!(!Reason::NO_MATCHING_SUBSCRIBERS.is_failure());
        assert!(!Reason(0x7f).is_failure());
        assert!(Reason(0x80).is_failure());
    }

    #[test]
    fn a_reason_is_shown_with_name_and_code() {
        assert_eq!(Reason(0x87).to_string(), "Not authorized (0x87)");
        assert_eq!(Reason(0xfe).to_string(), "unknown reason (0xfe)");
    }

    #[test]
    fn every_failure_of_the_standard_has_a_name_of_its_own() {
        // Table 2-6 has no gap.
        let codes = (0x80..=0xa2).map(Reason);
        let names: std::collections::HashSet<_> = codes.clone().map(Reason::name).collect();
        assert_eq!(names.len(), codes.count());
        assert!(!names.contains("unknown reason"));
    }

    #[test]
    fn return_codes_of_3_1_1_become_their_counterparts() {
        assert_eq!(Reason::from_return_code(0), Reason::SUCCESS);
        assert_eq!(Reason::from_return_code(5), Reason::NOT_AUTHORIZED);
        assert!(Reason::from_return_code(77).is_failure());
    }

    #[test]
    fn a_busy_broker_is_tried_again_and_a_takeover_is_not() {
        assert!(!Reason(0x89).forbids_reconnect());
        assert!(!Reason(0x8b).ends_session());
        assert!(Reason::SESSION_TAKEN_OVER.ends_session());
    }
}
