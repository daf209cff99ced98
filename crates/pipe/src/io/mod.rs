//! Bytes in and out: lines of the input, blocks of the output, and the request to stop that both are waited for with.

pub mod input;
pub mod line;
pub mod output;
pub mod stop;
