//! Consuming: where to begin, where to end, groups.

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;
use tapline_kafka::{
    Address, ClientError, Consumer, ConsumerOptions, Event, Outgoing, Position, Producer,
    Properties, Settings, Start, Topic,
};

use crate::{LIMIT, cluster, keyed, options, send_all};

/// Reads to the end and returns `topic/partition@offset=payload` for each record, sorted.
fn read_all(settings: &Settings, topic: &str, options: &ConsumerOptions) -> Vec<String> {
    let options = ConsumerOptions {
        until_end: true,
        ..options.clone()
    };
    let mut consumer =
        Consumer::connect(settings, &topic.parse::<Topic>().unwrap(), &options).unwrap();
    let mut records = read_on(&mut consumer);
    records.sort();
    records
}

fn read_on(consumer: &mut Consumer) -> Vec<String> {
    let (mut records, start) = (Vec::new(), Instant::now());
    loop {
        assert!(start.elapsed() < LIMIT, "no end after {records:?}");
        match consumer.poll(Duration::from_millis(100)).unwrap() {
            Event::Record(record) => records.push(format!(
                "{}/{}@{}={}",
                record.topic(),
                record.partition(),
                record.offset(),
                String::from_utf8_lossy(record.payload().unwrap())
            )),
            Event::End => return records,
            Event::Idle | Event::Rebalanced { .. } => {}
        }
    }
}

#[test]
fn a_replica_that_is_behind_is_not_taken_for_the_end() {
    let cluster = ManuallyDrop::new(MockCluster::new(2).unwrap());
    cluster.create_topic("t", 1, 2).unwrap();
    cluster.partition_leader("t", 0, Some(1)).unwrap();
    let address: Address = format!("kafka://{}", cluster.bootstrap_servers())
        .parse()
        .unwrap();
    let mut properties = Properties::new();
    properties.set("test", "client.rack", "near").unwrap();
    // The mock's last stable offset is the leader's.
    let level = ("isolation.level", "read_uncommitted");
    properties.set("test", level.0, level.1).unwrap();
    let settings = Settings::new(&address, properties, LIMIT, Arc::new(|_, _| {}));
    let producer = Producer::connect(&settings, "t", &options()).unwrap();
    for payload in ["1", "2", "3", "4"] {
        send_all(&producer, &[keyed(0, "a", payload)]);
    }
    // The leader sends the consumer to the near replica (KIP-392), which says after two of the four that there is no more.
    cluster.partition_follower("t", 0, 2).unwrap();
    cluster
        .follower_watermarks("t", 0, Some(0), Some(2))
        .unwrap();
    let options = ConsumerOptions {
        start: Start::Beginning,
        until_end: true,
        ..ConsumerOptions::default()
    };
    let mut consumer = Consumer::connect(&settings, &"t".parse().unwrap(), &options).unwrap();
    let (mut got, start) = (0, Instant::now());
    loop {
        assert!(start.elapsed() < LIMIT, "{got} records came");
        match consumer.poll(Duration::from_millis(100)).unwrap() {
            Event::Record(_) => got += 1,
            Event::End => break,
            Event::Idle | Event::Rebalanced { .. } => {}
        }
        // The mock gives one more than it says that it has.
        if got == 3 {
            cluster.follower_watermarks("t", 0, None, None).unwrap();
        }
    }
    assert_eq!(got, 4);
}

#[test]
fn the_end_is_found_with_empty_partitions_and_none_of_what_comes_later() {
    let (_cluster, settings) = cluster(&[("t", 4), ("empty", 3)]);
    let producer = Producer::connect(&settings, "t", &options()).unwrap();
    send_all(
        &producer,
        &[
            keyed(0, "a", "1"),
            keyed(1, "a", "2"),
            keyed(2, "a", "3"),
            keyed(3, "a", "4"),
        ],
    );
    let read = |start| {
        let options = ConsumerOptions {
            start,
            ..ConsumerOptions::default()
        };
        read_all(&settings, "t", &options)
            .iter()
            .map(|r| r.split_once('=').unwrap().1.to_owned())
            .collect::<String>()
    };
    assert_eq!(read(Start::Beginning), "1234");
    assert_eq!(read(Start::Offset(2)), "34");
    assert_eq!(read(Start::Offset(99)), "");
    assert_eq!(read(Start::Last(1)), "4");
    assert_eq!(read(Start::Last(99)), "1234");
    assert_eq!(read(Start::End), "");
    assert_eq!(
        read_all(&settings, "empty", &ConsumerOptions::default()),
        [""; 0]
    );

    let until = |start, until| {
        let options = ConsumerOptions {
            start,
            until: Some(until),
            ..ConsumerOptions::default()
        };
        read_all(&settings, "t", &options).len()
    };
    assert_eq!(until(Start::Beginning, Start::Offset(0)), 0);
    assert_eq!(until(Start::Beginning, Start::Offset(3)), 3);
    assert_eq!(until(Start::Offset(1), Start::Offset(3)), 2);
    assert_eq!(until(Start::Beginning, Start::Offset(99)), 4);
    assert_eq!(until(Start::Beginning, Start::Last(1)), 3);
    assert_eq!(until(Start::Last(2), Start::Last(1)), 1);
    assert_eq!(until(Start::Last(1), Start::Last(2)), 0);

    // More arrives after the reading began: it isn't part of it.
    let options = ConsumerOptions {
        start: Start::Beginning,
        until_end: true,
        ..ConsumerOptions::default()
    };
    let mut consumer =
        Consumer::connect(&settings, &Topic::Name("t".to_owned()), &options).unwrap();
    send_all(&producer, &[keyed(4, "a", "5")]);
    assert_eq!(read_on(&mut consumer).len(), 4);
}

#[test]
fn a_pattern_reads_several_topics_to_their_ends() {
    let (_cluster, settings) = cluster(&[("gen-a", 3), ("gen-b", 3), ("gen-c", 3), ("other", 3)]);
    let mut wanted = Vec::new();
    for topic in ["gen-a", "gen-c", "other"] {
        let producer = Producer::connect(&settings, topic, &options()).unwrap();
        for (at, settled) in send_all(
            &producer,
            &[keyed(0, "k", "0"), keyed(1, "k", "1"), keyed(2, "l", "2")],
        )
        .iter()
        .enumerate()
        {
            let placed = settled.outcome.as_ref().unwrap();
            if topic != "other" {
                assert!(settled.ticket == at || settled.ticket < 3);
                wanted.push(format!(
                    "{topic}/{}@{}={}",
                    placed.partition, placed.offset, settled.ticket
                ));
            }
        }
    }
    wanted.sort();
    let options = ConsumerOptions {
        start: Start::Beginning,
        ..ConsumerOptions::default()
    };
    assert_eq!(read_all(&settings, "^gen-.*", &options), wanted);
    let error = Consumer::connect(&settings, &"^nothing".parse().unwrap(), &options).unwrap_err();
    assert!(matches!(error, ClientError::UnknownTopic { .. }), "{error}");
}

#[test]
fn partitions_can_be_chosen() {
    let (_cluster, settings) = cluster(&[("t", 3)]);
    let producer = Producer::connect(&settings, "t", &options()).unwrap();
    let to = |ticket, partition, payload| Outgoing {
        ticket,
        payload: Some(payload),
        partition: Some(partition),
        ..Outgoing::default()
    };
    send_all(
        &producer,
        &[to(0, 0, b"a".as_slice()), to(1, 1, b"b"), to(2, 2, b"c")],
    );
    let options = ConsumerOptions {
        start: Start::Beginning,
        partitions: vec![2, 0],
        ..ConsumerOptions::default()
    };
    assert_eq!(read_all(&settings, "t", &options), ["t/0@0=a", "t/2@0=c"]);
    let options = ConsumerOptions {
        partitions: vec![3],
        ..options
    };
    let error = Consumer::connect(&settings, &"t".parse().unwrap(), &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "topic 't': cannot be read: it has no partition 3, but 0 to 2"
    );
}

#[test]
fn a_group_goes_on_after_what_was_committed() {
    let (cluster, _) = cluster(&[("t", 2)]);
    // The mock cluster gives a group that was left to the next member only after the session timeout.
    let mut properties = Properties::new();
    properties.add_argument("session.timeout.ms=6000").unwrap();
    properties
        .add_argument("heartbeat.interval.ms=1000")
        .unwrap();
    let address: Address = format!("kafka://{}", cluster.bootstrap_servers())
        .parse()
        .unwrap();
    let settings = Settings::new(&address, properties, LIMIT, Arc::new(|_, _| {}));
    let producer = Producer::connect(&settings, "t", &options()).unwrap();
    let placed = send_all(
        &producer,
        &[keyed(0, "a", "0"), keyed(1, "a", "1"), keyed(2, "a", "2")],
    );
    let partition = placed[0].outcome.as_ref().unwrap().partition;
    let options = ConsumerOptions {
        start: Start::Beginning,
        until_end: true,
        group: Some("g".to_owned()),
        ..ConsumerOptions::default()
    };
    let topic = Topic::Name("t".to_owned());
    let mut first = Consumer::connect(&settings, &topic, &options).unwrap();
    assert_eq!(read_on(&mut first).len(), 3);
    let done = |offset| Position {
        topic: "t".to_owned(),
        partition,
        offset,
    };
    first.done(&[done(2)]);
    first.commit(true).unwrap();
    drop(first);

    let mut second = Consumer::connect(&settings, &topic, &options).unwrap();
    assert_eq!(read_on(&mut second), [format!("t/{partition}@2=2")]);
    second.done(&[done(3)]);
    second.commit(false).unwrap();
    drop(second);

    // Acks of what was read before another member had the partition are no news.
    let mut stale = Consumer::connect(&settings, &topic, &options).unwrap();
    assert_eq!(read_on(&mut stale), [""; 0]);
    stale.done(&[done(1)]);
    stale.commit(true).unwrap();
    drop(stale);

    let mut third = Consumer::connect(&settings, &topic, &options).unwrap();
    assert_eq!(read_on(&mut third), [""; 0]);
}

#[test]
fn a_paused_consumer_gets_nothing_and_then_all() {
    let (_cluster, settings) = cluster(&[("t", 1)]);
    let producer = Producer::connect(&settings, "t", &options()).unwrap();
    let options = ConsumerOptions {
        start: Start::Beginning,
        until_end: true,
        ..ConsumerOptions::default()
    };
    send_all(&producer, &[keyed(0, "a", "0"), keyed(1, "a", "1")]);
    let mut consumer =
        Consumer::connect(&settings, &Topic::Name("t".to_owned()), &options).unwrap();
    consumer.pause().unwrap();
    for _ in 0..10 {
        assert!(!matches!(
            consumer.poll(Duration::from_millis(50)).unwrap(),
            Event::Record(_)
        ));
    }
    consumer.resume().unwrap();
    assert_eq!(read_on(&mut consumer), ["t/0@0=0", "t/0@1=1"]);
}
