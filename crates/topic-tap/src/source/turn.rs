//! A source's turn: what it gives, and to whom.

use std::ops::ControlFlow;

use crate::{line::Arrived, pending::Mark};

/// So many records are taken from a source before another has its turn.
pub const TURN: usize = 512;

/// What a look at a source gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Records, and there may be more.
    Records,
    /// Nothing within the time.
    Nothing,
    /// Nothing, now and for ever.
    End,
}

/// Takes a record with what acknowledges it, and says whether it wants more.
pub type Take<'a> = dyn FnMut(Arrived<'_>, Option<Mark>) -> ControlFlow<()> + 'a;
