//! Places in partitions: as they are asked for, as the brokers resolve them, and up to where something is done.

mod position;
mod query;
mod range;
mod spec;

pub use position::Position;
pub use spec::Start;

pub(crate) use position::positions;
pub(crate) use query::{Bounds, extents, locate};
pub(crate) use range::Slice;
