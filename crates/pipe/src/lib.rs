//! Lines in, lines out: records, envelope, templates, rejects, acks, outcome, signals.
//!
//! This library knows no network, and it neither prints, exits nor reads the environment: readers,
//! writers, signals and variables are passed in.

pub mod acks;
pub mod applies;
pub mod args;
pub mod checkpoint;
pub mod console;
pub mod csv;
pub mod envelope;
pub mod field;
pub mod io;
pub mod json;
pub mod ledger;
pub mod outcome;
pub mod pace;
pub mod printable;
pub mod progress;
pub mod publish;
pub mod reject;
pub mod report;
pub mod template;
pub mod terminal;
pub mod timestamp;
pub mod units;
