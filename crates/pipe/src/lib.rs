//! Lines in, lines out: records, envelope, templates, rejects, acks, outcome, signals.
//!
//! This library knows no network, and it neither prints, exits nor reads the environment: readers,
//! writers, signals and variables are passed in.

pub mod acks;
pub mod args;
pub mod cell;
pub mod checkpoint;
pub mod console;
pub mod envelope;
pub mod field;
pub mod input;
pub mod json;
pub mod ledger;
pub mod line;
pub mod outcome;
pub mod output;
pub mod pace;
pub mod publish;
pub mod reject;
pub mod report;
pub mod rows;
pub mod stop;
pub mod template;
pub mod units;
