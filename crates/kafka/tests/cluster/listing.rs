//! What a cluster says of itself.

use tapline_kafka::{ClientError, Cluster, Extent, Producer, Topic};

use crate::{cluster, keyed, options, send_all};

#[test]
fn topics_and_their_extents_are_told() {
    let (_cluster, settings) = cluster(&[("t", 2), ("u", 1), ("__own", 1)]);
    let producer = Producer::connect(&settings, "u", &options()).unwrap();
    send_all(&producer, &[keyed(0, "a", "1"), keyed(1, "a", "2")]);
    let names = |topic: Option<&str>| {
        let topic: Option<Topic> = topic.map(|topic| topic.parse().unwrap());
        let cluster = Cluster::connect(&settings, topic.as_ref()).unwrap();
        let topics = cluster.topics.iter().map(|topic| topic.name.clone());
        topics.collect::<Vec<_>>()
    };
    assert_eq!(names(None), ["t", "u"], "Kafka's own are left out");
    assert_eq!(names(Some("__own")), ["__own"]);
    assert_eq!(names(Some("^__")), ["__own"]);
    assert_eq!(names(Some("^t|u$")), ["t", "u"]);

    let cluster = Cluster::connect(&settings, None).unwrap();
    assert_eq!(cluster.brokers.len(), 1);
    assert_eq!(
        cluster.topics[0].partitions[1].leader,
        Some(cluster.brokers[0].id)
    );
    let extent = |topic: &str, partition, high| Extent {
        topic: topic.to_owned(),
        partition,
        low: 0,
        high,
    };
    let extents = [extent("t", 0, 0), extent("t", 1, 0), extent("u", 0, 2)];
    assert_eq!(cluster.extents().unwrap(), extents);

    let error = Cluster::connect(&settings, Some(&"nothing".parse().unwrap())).unwrap_err();
    assert!(matches!(error, ClientError::UnknownTopic { .. }), "{error}");
}
