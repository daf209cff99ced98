//! Producing: partitions, fidelity, rejects, a broker that goes away.

use std::collections::BTreeMap;
use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;
use tapline_kafka::{
    ClientError, Consumer, ConsumerOptions, Event, FailureKind, Header, Outgoing, Producer,
    ProducerOptions, SendError, Severity, Start, Topic, topics,
};

use crate::{LIMIT, cluster, keyed, options, send_all, settings_for, settle};

#[test]
fn partitions_are_the_java_clients() {
    let (_cluster, settings) = cluster(&[("twelve", 12), ("thirty-two", 32)]);
    let partition = |topic: &str, key: &str| {
        let producer = Producer::connect(&settings, topic, &options()).unwrap();
        send_all(&producer, &[keyed(1, key, "x")])[0]
            .outcome
            .as_ref()
            .unwrap()
            .partition
    };
    assert_eq!(partition("twelve", "100:48069"), 9);
    assert_eq!(
        partition("thirty-two", "fd7af248-ce5c-46a5-93d7-1c0c9005b99d"),
        26
    );
    let hash = -973_932_308 - i32::MIN;
    assert_eq!(partition("twelve", "21"), hash % 12);
    assert_eq!(partition("thirty-two", "21"), hash % 32);
}

#[test]
fn keys_values_headers_and_times_arrive_as_they_were_sent() {
    let (_cluster, settings) = cluster(&[("t", 1)]);
    let producer = Producer::connect(&settings, "t", &options()).unwrap();
    let headers = [
        Header {
            name: "a",
            value: Some(b"1"),
        },
        Header {
            name: "b",
            value: None,
        },
        Header {
            name: "a",
            value: Some(&[0xff, 0]),
        },
        Header {
            name: "",
            value: Some(b""),
        },
    ];
    let none = Outgoing::default();
    let sent = [
        Outgoing {
            ticket: 7,
            headers: &headers,
            timestamp: Some(1_234_567),
            payload: Some(b"{}"),
            ..none
        },
        Outgoing {
            ticket: 0,
            key: Some(b""),
            payload: Some(b""),
            ..none
        },
        Outgoing {
            ticket: usize::MAX,
            key: Some(&[0, 0xff]),
            payload: None,
            ..none
        },
    ];
    let settled = send_all(&producer, &sent);
    let tickets: Vec<usize> = settled.iter().map(|settled| settled.ticket).collect();
    assert_eq!(tickets, [7, 0, usize::MAX]);
    let offsets: Vec<i64> = settled
        .iter()
        .map(|settled| settled.outcome.as_ref().unwrap().offset)
        .collect();
    assert_eq!(offsets, [0, 1, 2]);

    let options = ConsumerOptions {
        start: Start::Beginning,
        until_end: true,
        ..ConsumerOptions::default()
    };
    let mut consumer =
        Consumer::connect(&settings, &Topic::Name("t".to_owned()), &options).unwrap();
    let (mut at, start) = (0, Instant::now());
    loop {
        assert!(start.elapsed() < LIMIT);
        match consumer.poll(Duration::from_millis(100)).unwrap() {
            Event::Record(record) => {
                assert_eq!(record.offset(), i64::try_from(at).unwrap());
                assert_eq!(
                    (record.key(), record.payload()),
                    (sent[at].key, sent[at].payload)
                );
                assert_eq!(record.headers().unwrap(), sent[at].headers);
                if let Some(time) = sent[at].timestamp {
                    assert_eq!(record.timestamp().unwrap().0, time);
                }
                at += 1;
            }
            Event::End => break,
            _ => {}
        }
    }
    assert_eq!(at, sent.len());
}

#[test]
fn an_unknown_topic_is_named_and_can_be_made() {
    let (_cluster, settings) = cluster(&[]);
    let error = Producer::connect(&settings, "missing", &options()).unwrap_err();
    assert!(
        matches!(&error, ClientError::UnknownTopic { topic, .. } if topic == "missing"),
        "{error}"
    );
    let error = Consumer::connect(
        &settings,
        &"missing".parse().unwrap(),
        &ConsumerOptions::default(),
    )
    .unwrap_err();
    assert!(matches!(error, ClientError::UnknownTopic { .. }), "{error}");

    // The mock cluster has no CreateTopics; it makes topics of four partitions when asked for them.
    let made = topics::create(&settings, "missing", None, None).unwrap();
    assert_eq!((made.name.as_str(), made.partitions.len()), ("missing", 4));
    assert_eq!(
        topics::create(&settings, "missing", None, None).unwrap(),
        made
    );
    assert_eq!(
        Producer::connect(&settings, "missing", &options())
            .unwrap()
            .topic(),
        Some(&made)
    );
}

#[test]
fn records_that_cannot_be_sent_are_rejected_and_their_neighbours_are_not() {
    let (_cluster, settings) = cluster(&[("t", 1)]);
    let producer = Producer::connect(&settings, "t", &options()).unwrap();
    let rejected = |record: &Outgoing<'_>| match producer.send(record) {
        Err(SendError::Rejected(why)) => why,
        other => panic!("{other:?}"),
    };
    producer.send(&keyed(0, "a", "0")).unwrap();
    let large = vec![b'x'; 3 << 20];
    let why = rejected(&Outgoing {
        payload: Some(&large),
        ..Outgoing::default()
    });
    assert_eq!(
        (why.kind, why.code.as_str()),
        (FailureKind::Record, "MessageSizeTooLarge")
    );
    let why = rejected(&Outgoing {
        partition: Some(9),
        ..keyed(1, "a", "1")
    });
    assert_eq!(why.kind, FailureKind::Topic, "{why:?}");
    let header = [Header {
        name: "a\0b",
        value: None,
    }];
    assert_eq!(
        rejected(&Outgoing {
            headers: &header,
            ..keyed(1, "a", "1")
        })
        .kind,
        FailureKind::Record
    );
    producer.send(&keyed(2, "a", "2")).unwrap();
    assert!(
        settle(&producer, 2)
            .iter()
            .all(|settled| settled.outcome.is_ok())
    );
}

#[test]
fn while_the_broker_is_away_the_queue_is_bounded_and_afterwards_all_arrives_in_order() {
    let cluster = ManuallyDrop::new(MockCluster::new(1).unwrap());
    cluster.create_topic("t", 1, 1).unwrap();
    let (settings, lines) = settings_for(&cluster.bootstrap_servers(), LIMIT);
    let producer = Producer::connect(&settings, "t", &options()).unwrap();
    send_all(&producer, &[keyed(0, "a", "0")]);
    cluster.broker_down(-1).unwrap();
    let (mut sent, mut settled) = (1, Vec::new());
    let payload = "x".repeat(10_000);
    while producer.send(&keyed(sent, "a", &payload)).is_ok() {
        sent += 1;
    }
    assert!(matches!(
        producer.send(&keyed(sent, "a", &payload)),
        Err(SendError::Full)
    ));
    assert!(
        (1000..10_000).contains(&sent),
        "{sent} records of 10 kB are in the queue"
    );
    let warned = || {
        lines
            .lock()
            .unwrap()
            .iter()
            .filter(|(severity, _)| *severity == Severity::Warning)
            .count()
    };
    let start = Instant::now();
    while warned() == 0 {
        assert!(start.elapsed() < LIMIT);
        producer
            .poll(Duration::from_millis(100), &mut settled)
            .unwrap();
    }
    assert!(settled.is_empty());
    cluster.broker_up(-1).unwrap();
    let settled = settle(&producer, sent - 1);
    let tickets: Vec<usize> = settled.iter().map(|settled| settled.ticket).collect();
    assert_eq!(tickets, (1..sent).collect::<Vec<_>>());
    assert!(settled.iter().all(|settled| settled.outcome.is_ok()));
    assert_eq!(warned(), 1, "{:?}", lines.lock().unwrap());
    assert!(
        lines
            .lock()
            .unwrap()
            .contains(&(Severity::Notice, "connected again".to_owned()))
    );
}

#[test]
fn what_is_given_up_is_settled_as_abandoned() {
    let (cluster, settings) = cluster(&[("t", 1)]);
    let producer = Producer::connect(&settings, "t", &options()).unwrap();
    cluster.broker_down(-1).unwrap();
    for ticket in 0..10 {
        producer.send(&keyed(ticket, "a", "x")).unwrap();
    }
    producer.abandon();
    let settled = settle(&producer, 10);
    let mut kinds = BTreeMap::new();
    for settled in settled {
        *kinds
            .entry(format!("{:?}", settled.outcome.unwrap_err().kind))
            .or_insert(0) += 1;
    }
    assert_eq!(kinds, BTreeMap::from([("Abandoned".to_owned(), 10)]));
}

#[test]
fn a_delivery_timeout_ends_the_tries() {
    let (cluster, settings) = cluster(&[("t", 1)]);
    let options = ProducerOptions {
        delivery_timeout: Some(Duration::from_millis(500)),
        ..options()
    };
    let producer = Producer::connect(&settings, "t", &options).unwrap();
    cluster.broker_down(-1).unwrap();
    producer.send(&keyed(1, "a", "x")).unwrap();
    let why = settle(&producer, 1).remove(0).outcome.unwrap_err();
    assert_eq!(
        (why.kind, why.reason.as_str()),
        (FailureKind::TimedOut, "Message timed out")
    );
}
