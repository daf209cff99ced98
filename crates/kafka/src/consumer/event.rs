//! What a look for records gave.

use super::record::Incoming;

/// What a look for records gave.
pub enum Event<'a> {
    /// A record.
    Record(Incoming<'a>),
    /// Nothing within the time.
    Idle,
    /// The group gave these partitions to this consumer, or took them from it; records of the latter that are not
    /// committed yet will be read by another member.
    Rebalanced {
        /// Newly here.
        assigned: Vec<(String, i32)>,
        /// No longer here.
        revoked: Vec<(String, i32)>,
    },
    /// Each partition was read up to where it was to stop.
    End,
}
