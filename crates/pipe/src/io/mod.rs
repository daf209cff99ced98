//! Bytes in and out: lines of the input, blocks of the output, files that are appended to, and the request to stop that
//! input and output are waited for with.

pub mod files;
pub mod input;
pub mod journal;
pub mod line;
pub mod output;
pub mod stop;
