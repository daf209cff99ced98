//! CSV (RFC 4180): its rows, and their cells as JSON values.

pub mod cell;
pub mod rows;
