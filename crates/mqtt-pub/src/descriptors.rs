//! The limit of open files, which is one on the connections of a process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for all that is no connection: standard streams, files, the reactor's.
const OTHERS: u64 = 64;

/// Raises the limit so far that `wanted` connections can be open, where the system allows it; says how
/// many of them can.
pub(crate) fn make_room(wanted: usize) -> usize {
    let needed = wanted as u64 + OTHERS;
    let limit = getrlimit(Resource::Nofile);
    let mut current = limit.current.unwrap_or(u64::MAX);
    if current < needed {
        let raised = Rlimit {
            current: Some(limit.maximum.unwrap_or(u64::MAX).min(needed)),
            ..limit
        };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            current = raised.current.unwrap_or(current);
        }
    }
    let room = current.saturating_sub(OTHERS).max(1);
    usize::try_from(room).map_or(wanted, |room| room.min(wanted))
}
