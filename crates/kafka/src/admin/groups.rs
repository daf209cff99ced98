//! Consumer groups: who is in them, what each member reads, and how far they have come.

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::groups::{GroupInfo as Described, GroupMemberInfo};
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::client::{ClientError, Context, describe_error, fatal, not_made, shown, utf8};
use crate::offset::{Position, positions};

use super::cluster::Cluster;

/// The kind of the groups whose members read partitions; Kafka Connect has others.
const CONSUMERS: &str = "consumer";

/// What a coordinator says of a group that there isn't, or that it can't describe; what it lists is there.
const UNTOLD: &str = "Dead";

/// A group as its coordinator describes it. U+FFFD stands for what is not text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    /// Its name.
    pub name: String,
    /// `Stable`, `Empty`, `PreparingRebalance` or `CompletingRebalance`. `None` for a group of the protocol of KIP-848:
    /// the request that librdkafka sends tells neither its state nor its members.
    pub state: Option<String>,
    /// How the members share the partitions, such as `range`; empty while there are none.
    pub protocol: String,
    /// Those who are in it now.
    pub members: Vec<MemberInfo>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberInfo {
    /// The name that the coordinator gave it.
    pub id: String,
    /// The name that its program goes by (`client.id`).
    pub client_id: String,
    /// The host from which it is connected.
    pub host: String,
    /// The topics and partitions that it reads.
    pub partitions: Vec<(String, i32)>,
}

impl Cluster {
    /// Asks for the cluster's groups, by name, or for the one of this `name`.
    ///
    /// # Errors
    ///
    /// A broker doesn't answer in time, or refuses; there is no such group.
    pub fn groups(&self, name: Option<&str>) -> Result<Vec<GroupInfo>, ClientError> {
        let timeout = self.settings.connect_timeout();
        let found = self.inner.fetch_group_list(name, timeout);
        let found = found.map_err(|error| fatal("cannot list the groups", &error))?;
        let mut groups: Vec<_> = found.groups().iter().map(read_group).collect();
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        match name {
            Some(name) if groups.is_empty() => Err(ClientError::Configuration(format!(
                "group '{name}' does not exist on {}",
                self.settings.servers()
            ))),
            _ => Ok(groups),
        }
    }

    /// Asks what a group has committed in the cluster's [`topics`](Cluster::topics).
    ///
    /// # Errors
    ///
    /// The group's coordinator doesn't answer in time, or refuses.
    pub fn committed(&self, group: &str) -> Result<Vec<Position>, ClientError> {
        let failed = |error: &KafkaError| ClientError::Fatal {
            what: "cannot learn what a group has committed",
            reason: format!("{group}: {}", describe_error(error)),
        };
        let mut list = TopicPartitionList::new();
        for (topic, partition) in self.partitions() {
            list.add_partition(&topic, partition);
        }
        if list.count() == 0 {
            return Ok(Vec::new());
        }
        // Offsets are told to a consumer of that group only; it need not join.
        let mut config: ClientConfig = self.settings.config(&[]);
        config.set("group.id", group).remove("group.instance.id");
        let client: BaseConsumer<Context> = config
            .create_with_context(self.settings.context())
            .map_err(|error| not_made(&error))?;
        let list = client
            .committed_offsets(list, self.settings.connect_timeout())
            .map_err(|error| failed(&error))?;
        Ok(positions(&list))
    }
}

fn read_group(group: &Described) -> GroupInfo {
    let reads = utf8(|| group.protocol_type()) == Some(CONSUMERS);
    let member = |member: &GroupMemberInfo| MemberInfo {
        id: shown(|| member.id()).to_owned(),
        client_id: shown(|| member.client_id()).to_owned(),
        // Java shows an address without a name as /127.0.0.1.
        host: shown(|| member.client_host())
            .trim_start_matches('/')
            .to_owned(),
        partitions: member
            .assignment()
            .filter(|_| reads)
            .and_then(read_assignment)
            .unwrap_or_default(),
    };
    GroupInfo {
        name: shown(|| group.name()).to_owned(),
        state: Some(shown(|| group.state()).to_owned()).filter(|state| state != UNTOLD),
        protocol: shown(|| group.protocol()).to_owned(),
        members: group.members().iter().map(member).collect(),
    }
}

/// Reads the assignment of a consumer: version, topics with their partitions, data of the assignor's own (the embedded
/// protocol's `ConsumerProtocolAssignment`). `None` for what is none.
fn read_assignment(bytes: &[u8]) -> Option<Vec<(String, i32)>> {
    let mut rest = bytes;
    let mut partitions = Vec::new();
    let _version = take::<2>(&mut rest)?;
    for _ in 0..i32::from_be_bytes(take(&mut rest)?) {
        let length = usize::try_from(i16::from_be_bytes(take(&mut rest)?)).ok()?;
        let (name, after) = rest.split_at_checked(length)?;
        rest = after;
        let name = String::from_utf8(name.to_vec()).ok()?;
        for _ in 0..i32::from_be_bytes(take(&mut rest)?) {
            partitions.push((name.clone(), i32::from_be_bytes(take(&mut rest)?)));
        }
    }
    partitions.sort();
    Some(partitions)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the Java client's `range` assignor gives a member: t [0, 1], u [7].
    const ASSIGNMENT: &[u8] = b"\0\x03\0\0\0\x02\0\x01t\0\0\0\x02\0\0\0\0\0\0\0\x01\0\x01u\0\0\0\x01\0\0\0\x07\xff\xff\xff\xff";

    #[test]
    fn the_assignment_of_a_member_is_read() {
        let place = |topic: &str, partition| (topic.to_owned(), partition);
        assert_eq!(
            read_assignment(ASSIGNMENT),
            Some(vec![place("t", 0), place("t", 1), place("u", 7)])
        );
        assert_eq!(read_assignment(b"\0\0\0\0\0\0"), Some(Vec::new()));
    }

    #[test]
    fn an_assignment_that_is_cut_off_is_none() {
        for length in 0..ASSIGNMENT.len() - 4 {
            assert_eq!(read_assignment(&ASSIGNMENT[..length]), None, "{length}");
        }
        assert_eq!(read_assignment(b"\0\0\0\0\0\x01\xff\xff"), None);
    }
}
