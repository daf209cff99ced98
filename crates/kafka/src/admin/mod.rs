//! Asking and changing a cluster: topics, what a cluster holds, groups, limits.

mod cluster;
mod groups;
mod limits;
pub mod lookup;
pub mod topics;

pub use cluster::{BrokerInfo, Cluster, Extent};
pub use groups::{GroupInfo, MemberInfo};

pub(crate) use limits::batch_limit;
