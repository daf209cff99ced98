//! Packets written here are read by rumqttc's codec as a broker would, and the other way round.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes::v5;

use super::*;
use crate::error::Refusal;
use crate::event::Limits;
use crate::message::{Message, Properties};
use crate::options::{SessionOptions, Subscription, Will};
use crate::protocol::{Qos, Version};
use crate::reason::Reason;

fn qos() -> impl Strategy<Value = Qos> {
    prop_oneof![
        Just(Qos::AtMostOnce),
        Just(Qos::AtLeastOnce),
        Just(Qos::ExactlyOnce)
    ]
}

fn properties() -> impl Strategy<Value = Properties> {
    (
        proptest::option::of(0..=1u8),
        proptest::option::of(any::<u32>()),
        proptest::option::of("\\PC{0,20}"),
        proptest::option::of("[^+#\\pC]{1,20}"),
        proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
        proptest::collection::vec(("\\PC{0,9}", "\\PC{0,200}"), 0..3),
    )
        .prop_map(
            |(format, expiry, content_type, response, data, user)| Properties {
                payload_format: format,
                message_expiry: expiry,
                content_type,
                response_topic: response,
                correlation_data: data.map(Bytes::from),
                user,
                subscription_ids: Vec::new(),
            },
        )
}

fn message() -> impl Strategy<Value = Message> {
    (
        "[a-zä/ ]{1,200}",
        proptest::collection::vec(any::<u8>(), 0..300),
        qos(),
        any::<bool>(),
        proptest::option::of(properties()),
    )
        .prop_map(|(topic, payload, qos, retain, properties)| Message {
            topic: Arc::from(topic),
            payload: Bytes::from(payload),
            qos,
            retain,
            properties: properties.map(Box::new),
        })
}

fn decode(version: Version, bytes: &[u8]) -> Decoded {
    let mut input = BytesMut::from(bytes);
    let decoded = Decoder::new(version, u32::MAX)
        .next(&mut input)
        .unwrap()
        .expect("the packet is whole");
    assert!(input.is_empty(), "a packet is taken whole");
    decoded
}

proptest! {
    #[test]
    fn a_publish_of_version_5_comes_back(message in message(), id in 1..=u16::MAX, dup: bool) {
        let mut out = BytesMut::new();
        let mut encoder = Encoder::new(Version::V5, Limits::default());
        encoder.publish(&mut out, &message, id, dup).unwrap();
        let wire = out.clone();
        // Their codec agrees to the byte.
        let packet = v5::Packet::read(&mut out, None).unwrap();
        let mut theirs = BytesMut::new();
        packet.write(&mut theirs, None).unwrap();
        prop_assert_eq!(&theirs[..], &wire[..]);
        let Decoded::Publish { id: id_back, topic, payload, qos, retain, dup: dup_back, properties } =
            decode(Version::V5, &wire) else { panic!("no PUBLISH") };
        let expected = message.properties.filter(|own| **own != Properties::default());
        prop_assert_eq!(id_back, if qos == Qos::AtMostOnce { 0 } else { id });
        prop_assert_eq!((topic, payload, qos, retain, dup_back),
            (message.topic, message.payload, message.qos, message.retain, dup));
        prop_assert_eq!(properties, expected);
    }

    #[test]
    fn a_publish_of_3_1_1_comes_back(message in message(), id in 1..=u16::MAX) {
        let mut out = BytesMut::new();
        let mut encoder = Encoder::new(Version::V311, Limits::default());
        encoder.publish(&mut out, &message, id, false).unwrap();
        let wire = out.clone();
        let packet = v4::Packet::read(&mut out, usize::MAX).unwrap();
        let mut theirs = BytesMut::new();
        packet.write(&mut theirs, usize::MAX).unwrap();
        prop_assert_eq!(&theirs[..], &wire[..]);
        let Decoded::Publish { topic, payload, qos, .. } = decode(Version::V311, &wire)
            else { panic!("no PUBLISH") };
        prop_assert_eq!((topic, payload, qos), (message.topic, message.payload, message.qos));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..64), five: bool
    ) {
        let version = if five { Version::V5 } else { Version::V311 };
        let mut decoder = Decoder::new(version, 1 << 20);
        let mut input = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = decoder.next(&mut input) {}
    }

    #[test]
    fn a_packet_in_pieces_is_read_when_it_is_whole(message in message(), cut in 1..400usize) {
        let mut wire = BytesMut::new();
        let mut encoder = Encoder::new(Version::V5, Limits::default());
        encoder.publish(&mut wire, &message, 9, false).unwrap();
        let cut = cut.min(wire.len() - 1);
        let mut decoder = Decoder::new(Version::V5, u32::MAX);
        let mut input = BytesMut::from(&wire[..cut]);
        prop_assert!(decoder.next(&mut input).unwrap().is_none());
        input.extend_from_slice(&wire[cut..]);
        prop_assert!(decoder.next(&mut input).unwrap().is_some());
    }
}

fn plain(qos: Qos, retain: bool) -> Message {
    Message {
        topic: Arc::from("t"),
        payload: Bytes::from_static(b"12345"),
        qos,
        retain,
        properties: None,
    }
}

#[test]
fn what_the_broker_does_not_take_is_refused_and_not_written() {
    let limits = Limits {
        maximum_qos: Qos::AtLeastOnce,
        retain_available: false,
        maximum_packet_size: 12,
        ..Limits::default()
    };
    let mut encoder = Encoder::new(Version::V5, limits);
    let mut out = BytesMut::new();
    let mut publish = |message: &Message| encoder.publish(&mut out, message, 1, false);
    assert!(matches!(
        publish(&plain(Qos::ExactlyOnce, false)),
        Err(Refusal::QosNotSupported {
            limit: Qos::AtLeastOnce
        })
    ));
    assert!(matches!(
        publish(&plain(Qos::AtMostOnce, true)),
        Err(Refusal::RetainNotSupported)
    ));
    // Two bytes of header, three of topic, one of properties, five of payload; two of identifier.
    assert!(publish(&plain(Qos::AtMostOnce, false)).is_ok());
    assert!(matches!(
        publish(&plain(Qos::AtLeastOnce, false)),
        Err(Refusal::TooLarge {
            size: 13,
            limit: 12
        })
    ));
    assert_eq!(out.len(), 11);
}

/// What the codec of a broker reads: topic and alias.
fn read_topic(wire: &mut BytesMut) -> (String, Option<u16>) {
    let Ok(v5::Packet::Publish(packet)) = v5::Packet::read(wire, None) else {
        panic!("no PUBLISH");
    };
    let topic = String::from_utf8(packet.topic.to_vec()).unwrap();
    (topic, packet.properties.and_then(|own| own.topic_alias))
}

#[test]
fn the_first_topics_get_aliases_and_later_ones_go_without() {
    let limits = Limits {
        topic_alias_maximum: 2,
        ..Limits::default()
    };
    let mut encoder = Encoder::new(Version::V5, limits);
    let mut publish = |topic: &str| {
        let mut message = plain(Qos::AtLeastOnce, false);
        message.topic = Arc::from(topic);
        let mut wire = BytesMut::new();
        encoder.publish(&mut wire, &message, 1, false).unwrap();
        read_topic(&mut wire)
    };
    assert_eq!(publish("fleet/a"), ("fleet/a".to_owned(), Some(1)));
    assert_eq!(publish("abc"), ("abc".to_owned(), None));
    assert_eq!(publish("fleet/b"), ("fleet/b".to_owned(), Some(2)));
    assert_eq!(publish("fleet/c"), ("fleet/c".to_owned(), None));
    assert_eq!(publish("fleet/a"), (String::new(), Some(1)));
    assert_eq!(publish("fleet/b"), (String::new(), Some(2)));
}

#[test]
fn a_message_that_is_refused_gives_its_topic_no_alias() {
    let limits = Limits {
        topic_alias_maximum: 1,
        maximum_packet_size: 30,
        ..Limits::default()
    };
    let mut encoder = Encoder::new(Version::V5, limits);
    let mut message = plain(Qos::AtLeastOnce, false);
    message.topic = Arc::from("fleet/a");
    let mut wire = BytesMut::new();
    let small = message.clone();
    message.payload = Bytes::from_static(&[0; 30]);
    assert!(encoder.publish(&mut wire, &message, 1, false).is_err());
    encoder.publish(&mut wire, &small, 1, false).unwrap();
    assert_eq!(read_topic(&mut wire), ("fleet/a".to_owned(), Some(1)));
}

#[test]
fn a_message_that_fits_without_an_alias_goes_without() {
    let mut message = plain(Qos::AtLeastOnce, false);
    message.topic = Arc::from("fleet/a");
    // Two bytes of header, nine of topic, two of identifier, one of properties, five of payload.
    for (maximum_packet_size, alias) in [(19, None), (22, Some(1))] {
        let limits = Limits {
            topic_alias_maximum: 1,
            maximum_packet_size,
            ..Limits::default()
        };
        let mut encoder = Encoder::new(Version::V5, limits);
        for _ in 0..2 {
            let mut wire = BytesMut::new();
            encoder.publish(&mut wire, &message, 1, false).unwrap();
            assert!(wire.len() <= maximum_packet_size as usize);
            assert_eq!(read_topic(&mut wire).1, alias);
        }
    }
}

#[test]
fn properties_that_no_broker_takes_are_refused_here() {
    let mut encoder = Encoder::new(Version::V5, Limits::default());
    let mut refusal = |properties: Properties| {
        let mut message = plain(Qos::AtMostOnce, false);
        message.properties = Some(Box::new(properties));
        let mut wire = BytesMut::new();
        let refusal = encoder.publish(&mut wire, &message, 0, false).unwrap_err();
        assert!(wire.is_empty());
        refusal
    };
    let text = |text: &str| Some(text.to_owned());
    assert!(matches!(
        refusal(Properties {
            user: vec![("a".to_owned(), "b\u{85}".to_owned())],
            ..Properties::default()
        }),
        Refusal::Character(_)
    ));
    assert!(matches!(
        refusal(Properties {
            content_type: text("\0"),
            ..Properties::default()
        }),
        Refusal::Character(_)
    ));
    assert!(matches!(
        refusal(Properties {
            response_topic: text("answers/#"),
            ..Properties::default()
        }),
        Refusal::ResponseTopic(_)
    ));
    assert!(matches!(
        refusal(Properties {
            payload_format: Some(2),
            ..Properties::default()
        }),
        Refusal::PayloadFormat
    ));
    assert!(matches!(
        refusal(Properties {
            correlation_data: Some(vec![0; 65_536].into()),
            ..Properties::default()
        }),
        Refusal::FieldTooLong
    ));
}

#[test]
fn version_3_1_1_has_no_aliases() {
    let limits = Limits {
        topic_alias_maximum: 9,
        ..Limits::default()
    };
    let mut encoder = Encoder::new(Version::V311, limits);
    let mut message = plain(Qos::AtMostOnce, false);
    message.topic = Arc::from("fleet/a");
    for _ in 0..2 {
        let mut wire = BytesMut::new();
        encoder.publish(&mut wire, &message, 0, false).unwrap();
        assert_eq!(wire.len(), 2 + 2 + 7 + 5);
    }
}

#[test]
fn a_refused_puback_keeps_its_reason_and_words() {
    // Type, length, identifier, reason, property length, Reason String "no".
    let wire = [0x40, 9, 0, 7, 0x87, 5, 0x1f, 0, 2, b'n', b'o'];
    let Decoded::Ack {
        kind,
        id,
        reason,
        text,
    } = decode(Version::V5, &wire)
    else {
        panic!("no answer");
    };
    assert_eq!(
        (kind, id, reason),
        (AckKind::PubAck, 7, Reason::NOT_AUTHORIZED)
    );
    assert_eq!(text.as_deref(), Some("no"));
}

#[test]
fn a_reason_without_properties_and_one_unknown_to_the_standard_are_read() {
    for code in [0x10, 0x97, 0xfe] {
        let Decoded::Ack { reason, .. } = decode(Version::V5, &[0x50, 3, 0, 7, code]) else {
            panic!("no answer");
        };
        assert_eq!(reason, Reason(code));
    }
}

#[test]
fn a_connack_of_3_1_1_to_a_client_of_5_says_that_the_version_is_wrong() {
    let Decoded::ConnAck { reason, .. } = decode(Version::V5, &[0x20, 2, 0, 1]) else {
        panic!("no CONNACK");
    };
    assert_eq!(reason, Reason::UNSUPPORTED_PROTOCOL_VERSION);
}

#[test]
fn a_disconnect_may_be_empty() {
    let Decoded::Disconnect { reason, .. } = decode(Version::V5, &[0xe0, 0]) else {
        panic!("no DISCONNECT");
    };
    assert_eq!(reason, Reason::SUCCESS);
}

#[test]
fn a_packet_over_the_limit_is_refused_before_it_is_read() {
    let mut input = BytesMut::from(&[0x30, 0xff, 0xff, 0xff, 0x7f][..]);
    let result = Decoder::new(Version::V5, 1_000).next(&mut input);
    assert!(matches!(
        result,
        Err(DecodeError::TooLarge { limit: 1_000, .. })
    ));
}

#[test]
fn the_session_lasts_for_as_long_as_the_will_is_delayed() {
    let broker = "mqtt://h/t".parse::<crate::Address>().unwrap().broker;
    let mut options = SessionOptions::new(broker, "me");
    options.will = Some(Will {
        message: plain(Qos::AtLeastOnce, true),
        delay: Duration::from_hours(1),
    });
    let mut wire = connect(&options, true);
    let Ok(v5::Packet::Connect(packet, Some(will), None)) = v5::Packet::read(&mut wire, None)
    else {
        panic!("no CONNECT with a will");
    };
    let expiry = packet.properties.unwrap().session_expiry_interval;
    assert_eq!(expiry, Some(3_600));
    assert_eq!(will.properties.unwrap().delay_interval, Some(3_600));
}

#[test]
fn connect_asks_for_a_clean_start_once_and_is_read_by_the_other_codec() {
    let broker = "mqtt://h/t".parse::<crate::Address>().unwrap().broker;
    let mut options = SessionOptions::new(broker, "me");
    for first in [true, false] {
        let mut wire = connect(&options, first);
        let packet = v5::Packet::read(&mut wire, None).unwrap();
        let v5::Packet::Connect(packet, None, None) = packet else {
            panic!("no CONNECT");
        };
        assert_eq!(packet.clean_start, first);
        let properties = packet.properties.unwrap();
        assert_eq!(properties.session_expiry_interval, Some(300));
    }
    options.version = Version::V311;
    let mut wire = connect(&options, false);
    let Ok(v4::Packet::Connect(packet)) = v4::Packet::read(&mut wire, 1_000) else {
        panic!("no CONNECT");
    };
    assert!(
        packet.clean_session,
        "nothing would ever end a kept session of 3.1.1"
    );
}

#[test]
fn the_hand_written_disconnect_is_read_by_the_other_codec() {
    let mut wire = BytesMut::new();
    disconnect(&mut wire, Version::V5, true);
    let Ok(v5::Packet::Disconnect(packet)) = v5::Packet::read(&mut wire, None) else {
        panic!("no DISCONNECT");
    };
    assert_eq!(packet.properties.unwrap().session_expiry_interval, Some(0));
}

#[test]
fn subscribe_is_read_by_the_other_codec() {
    let wanted = [
        Subscription::new("a/+", Qos::AtLeastOnce),
        Subscription::new("#", Qos::ExactlyOnce),
    ];
    let mut wire = BytesMut::new();
    subscribe(&mut wire, Version::V5, 77, &wanted);
    let Ok(v5::Packet::Subscribe(packet)) = v5::Packet::read(&mut wire, None) else {
        panic!("no SUBSCRIBE");
    };
    assert_eq!(packet.pkid, 77);
    let paths: Vec<_> = packet
        .filters
        .iter()
        .map(|filter| filter.path.as_str())
        .collect();
    assert_eq!(paths, ["a/+", "#"]);
}
