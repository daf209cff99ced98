//! A part of a partition.

/// A partition from where its reading begins to where it stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    /// The offset of the first record to read.
    pub(crate) start: i64,
    /// The offset before which to stop: at most the high watermark, under `read_committed` the last stable offset.
    pub(crate) stop: i64,
}
