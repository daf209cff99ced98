//! Lines in, lines out: records, envelope, templates, rejects, acks, outcome, signals.
//!
//! This library knows no network, and it neither prints, exits, reads the environment nor looks at the
//! clock of its own accord where a caller could want another: readers, writers and signals are passed in.

pub mod envelope;
pub mod field;
pub mod input;
pub mod line;
pub mod stop;
pub mod template;
pub mod units;
