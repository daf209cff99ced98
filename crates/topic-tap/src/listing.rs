//! `--list` and `--groups`: what a Kafka cluster holds, and who reads it.

use std::{collections::BTreeMap, io};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use tapline_kafka::{Address, Cluster, Extent, GroupInfo, console_sink};
use tapline_pipe::{
    console::Console,
    io::output::{Blocked, Output, OutputError, unbuffered},
    printable::printable,
};

use crate::{
    args::{
        Args,
        applies::{self, Protocol},
    },
    source::open::is_kafka,
    table,
};

/// Topic and partition.
type Place = (String, i32);

/// A line of the listing in JSON (`schemas/listing.schema.json`).
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Entry {
    Broker(BrokerEntry),
    Partition(PartitionEntry),
    Group(GroupEntry),
}

#[derive(Debug, Serialize)]
struct BrokerEntry {
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
    id: i32,
    host: String,
    port: i32,
}

#[derive(Debug, Serialize)]
struct PartitionEntry {
    topic: String,
    partition: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    leader: Option<i32>,
    replicas: Vec<i32>,
    in_sync: Vec<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    low: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    high: Option<i64>,
}

#[derive(Debug, Serialize)]
struct GroupEntry {
    group: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<String>,
    members: Vec<Member>,
    partitions: Vec<Progress>,
    /// Of all partitions that have one.
    lag: i64,
}

#[derive(Debug, Serialize)]
struct Member {
    id: String,
    client_id: String,
    host: String,
    /// How many partitions of all topics it reads.
    partitions: usize,
}

/// How far a group has come in a partition.
#[derive(Debug, Serialize)]
struct Progress {
    topic: String,
    partition: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    committed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    high: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<i64>,
    /// The id of the one who reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<String>,
}

/// Lists what the arguments ask for; gives the exit code.
///
/// # Errors
///
/// An address that is not Kafka's, a cluster that can't be reached or refuses, or stdout can't be written.
pub fn run(args: &Args, console: &Console) -> Result<u8> {
    let option = if args.listing.list {
        "--list"
    } else {
        "--groups"
    };
    let mut addresses: Vec<Address> = Vec::new();
    for address in &args.addresses {
        if !is_kafka(address) {
            // What isn't Kafka's may hold a password, so it isn't repeated.
            bail!("{option} is for addresses of Kafka only: kafka://HOST[:9092][/TOPIC]");
        }
        addresses.push(address.parse()?);
    }
    applies::check(args, &[Protocol::Kafka])?;
    let stdout = unbuffered(io::stdout()).context("stdout")?;
    let mut output = Output::new("stdout", stdout, false);
    for address in &addresses {
        let lines = list(args, address, console).with_context(|| address.to_string())?;
        for line in lines {
            output.push(|out| out.extend_from_slice(line.as_bytes()));
        }
        // A signal ends the process there and then.
        match output.flush_unless(|| Ok(Blocked::Wait)) {
            Err(OutputError::ReaderGone) => return Ok(0),
            written => written?,
        };
    }
    Ok(0)
}

fn list(args: &Args, address: &Address, console: &Console) -> Result<Vec<String>> {
    let settings = args.kafka.settings(address, console_sink(console))?;
    let cluster = Cluster::connect(&settings, address.topic.as_ref())?;
    let extents: BTreeMap<Place, Extent> = cluster
        .extents()?
        .into_iter()
        .map(|extent| ((extent.topic.clone(), extent.partition), extent))
        .collect();
    let mut entries = Vec::new();
    if args.listing.list {
        entries.extend(brokers(&cluster));
        entries.extend(partitions(&cluster, &extents));
    }
    if args.listing.groups {
        for described in cluster.groups(args.group.group.as_deref())? {
            let group = group(described, &cluster, &extents)?;
            // Where a topic is named, the groups that have nothing to do with it are not meant.
            if address.topic.is_none() || !group.partitions.is_empty() {
                entries.push(Entry::Group(group));
            }
        }
    }
    if !args.output.envelope {
        return Ok(tables(&entries, cluster.id.as_deref()));
    }
    let json = entries.iter().map(serde_json::to_string);
    Ok(json.collect::<Result<_, _>>()?)
}

fn brokers(cluster: &Cluster) -> impl Iterator<Item = Entry> {
    cluster.brokers.iter().map(|broker| {
        Entry::Broker(BrokerEntry {
            cluster: cluster.id.clone(),
            id: broker.id,
            host: broker.host.clone(),
            port: broker.port,
        })
    })
}

fn partitions(cluster: &Cluster, extents: &BTreeMap<Place, Extent>) -> Vec<Entry> {
    let mut entries = Vec::new();
    for topic in &cluster.topics {
        for partition in &topic.partitions {
            let extent = extents.get(&(topic.name.clone(), partition.id));
            entries.push(Entry::Partition(PartitionEntry {
                topic: topic.name.clone(),
                partition: partition.id,
                leader: partition.leader,
                replicas: partition.replicas.clone(),
                in_sync: partition.in_sync.clone(),
                low: extent.map(|extent| extent.low),
                high: extent.map(|extent| extent.high),
            }));
        }
    }
    entries
}

/// A group with its progress in the topics that are listed: where it has committed something, or has a reader.
fn group(
    described: GroupInfo,
    cluster: &Cluster,
    extents: &BTreeMap<Place, Extent>,
) -> Result<GroupEntry> {
    let mut committed: BTreeMap<Place, i64> = BTreeMap::new();
    for position in cluster.committed(&described.name)? {
        committed.insert((position.topic, position.partition), position.offset);
    }
    let mut readers: BTreeMap<Place, String> = BTreeMap::new();
    for member in &described.members {
        let places = member.partitions.iter().cloned();
        readers.extend(places.map(|place| (place, member.id.clone())));
    }
    let mut progress = Vec::new();
    for topic in &cluster.topics {
        for partition in &topic.partitions {
            let place = (topic.name.clone(), partition.id);
            let (committed, member) = (committed.get(&place), readers.get(&place));
            if committed.is_none() && member.is_none() {
                continue;
            }
            let high = extents.get(&place).map(|extent| extent.high);
            // Compaction or deletion can put the end behind what was committed.
            let lag = high.zip(committed).map(|(high, at)| (high - at).max(0));
            progress.push(Progress {
                topic: place.0,
                partition: place.1,
                committed: committed.copied(),
                high,
                lag,
                member: member.cloned(),
            });
        }
    }
    let members = described.members.into_iter().map(|member| Member {
        id: member.id,
        client_id: member.client_id,
        host: member.host,
        partitions: member.partitions.len(),
    });
    Ok(GroupEntry {
        group: described.name,
        state: described.state,
        protocol: Some(described.protocol).filter(|protocol| !protocol.is_empty()),
        members: members.collect(),
        lag: progress.iter().filter_map(|progress| progress.lag).sum(),
        partitions: progress,
    })
}

/// The same for people: a table for each kind of entry.
fn tables(entries: &[Entry], cluster: Option<&str>) -> Vec<String> {
    let (mut brokers, mut partitions) = (Vec::new(), Vec::new());
    let (mut groups, mut progress, mut members) = (Vec::new(), Vec::new(), Vec::new());
    for entry in entries {
        match entry {
            Entry::Broker(broker) => brokers.push([
                broker.id.to_string(),
                broker.host.clone(),
                broker.port.to_string(),
            ]),
            Entry::Partition(partition) => partitions.push([
                partition.topic.clone(),
                partition.partition.to_string(),
                known(partition.leader),
                joined(&partition.replicas),
                joined(&partition.in_sync),
                known(partition.low),
                known(partition.high),
            ]),
            Entry::Group(group) => {
                groups.push(group_row(group));
                progress.extend(group.partitions.iter().map(|at| progress_row(group, at)));
                members.extend(group.members.iter().map(|member| member_row(group, member)));
            }
        }
    }
    let mut out = Vec::new();
    if let (Some(cluster), false) = (cluster, brokers.is_empty()) {
        out.push(format!("Cluster {}", printable(cluster)));
    }
    let mut section = |write: &dyn Fn(&mut Vec<String>)| {
        let mut lines = Vec::new();
        write(&mut lines);
        if !out.is_empty() && !lines.is_empty() {
            out.push(String::new());
        }
        out.append(&mut lines);
    };
    section(&|out| table::write(["BROKER", "HOST", "PORT"], &brokers, out));
    let header = [
        "TOPIC",
        "PARTITION",
        "LEADER",
        "REPLICAS",
        "IN SYNC",
        "LOW",
        "HIGH",
    ];
    section(&|out| table::write(header, &partitions, out));
    let header = ["GROUP", "STATE", "PROTOCOL", "MEMBERS", "LAG"];
    section(&|out| table::write(header, &groups, out));
    let header = ["GROUP", "MEMBER", "CLIENT", "HOST", "PARTITIONS"];
    section(&|out| table::write(header, &members, out));
    let header = [
        "GROUP",
        "TOPIC",
        "PARTITION",
        "COMMITTED",
        "HIGH",
        "LAG",
        "CLIENT",
    ];
    section(&|out| table::write(header, &progress, out));
    out
}

fn group_row(group: &GroupEntry) -> [String; 5] {
    [
        group.group.clone(),
        known(group.state.as_ref()),
        known(group.protocol.as_ref()),
        group.members.len().to_string(),
        group.lag.to_string(),
    ]
}

fn member_row(group: &GroupEntry, member: &Member) -> [String; 5] {
    [
        group.group.clone(),
        member.id.clone(),
        member.client_id.clone(),
        member.host.clone(),
        member.partitions.to_string(),
    ]
}

fn progress_row(group: &GroupEntry, at: &Progress) -> [String; 7] {
    let reader = group
        .members
        .iter()
        .find(|member| at.member.as_ref() == Some(&member.id));
    [
        group.group.clone(),
        at.topic.clone(),
        at.partition.to_string(),
        known(at.committed),
        known(at.high),
        known(at.lag),
        known(reader.map(|member| &member.client_id)),
    ]
}

fn known(what: Option<impl ToString>) -> String {
    what.map_or_else(|| "-".to_owned(), |what| what.to_string())
}

fn joined(ids: &[i32]) -> String {
    let ids: Vec<String> = ids.iter().map(i32::to_string).collect();
    ids.join(",")
}
