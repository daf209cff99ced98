//! InfluxDB 2: line protocol, the times of points, and a client that writes batches.
//!
//! A record becomes a point ([`point`]) at a time that is a function of the record ([`time`]), so that a record
//! which is delivered twice is one point. Points go out in batches over several connections ([`writer`]).
//!
//! ```
//! use tapline_influx::point::{FieldValue, Point};
//!
//! let mut point = Point::default();
//! point.measurement("emergency_generator")?;
//! point.tag("generatorID", "generator 4")?;
//! point.field("fuel", FieldValue::Integer("901"))?;
//! point.finish(1_700_000_000_000_000_000);
//! assert_eq!(
//!     point.line(),
//!     b"emergency_generator,generatorID=generator\\ 4 fuel=901i 1700000000000000000\n"
//! );
//! # Ok::<(), tapline_influx::point::Unfit>(())
//! ```

pub mod address;
mod answer;
pub mod args;
pub mod client;
pub mod point;
pub mod time;
pub mod writer;

pub use address::{Address, AddressError};
pub use client::{Client, ClientError, Settings, Token};
