//! CSV (RFC 4180) with a header, its rows as JSON objects. The one reader of all tools.

pub mod header;
pub mod object;
pub mod rows;
#[cfg(test)]
mod tests;
