//! Publishing to a broker that answers out of order, refuses, forgets and breaks off.

use std::time::Duration;

use crate::client::{Client, connected, options};
use tapline_mqtt::{Event, Properties, PublishError, Qos, Reason, Refusal};
use tapline_testkit::scripted::Scripted;

#[test]
fn answers_out_of_order_settle_their_own_message() {
    let (_broker, client, mut peer) = connected(&[]);
    for ticket in 0..3 {
        client.publish(ticket, Qos::AtLeastOnce);
    }
    let ids: Vec<u16> = (0..3).map(|_| peer.expect_publish().id).collect();
    peer.answer(0x40, ids[2], 0x00);
    peer.answer(0x40, ids[0], 0x10);
    peer.answer(0x40, ids[1], 0x87);
    let first = client.settled();
    assert_eq!((first.ticket, first.outcome.unwrap()), (2, Reason::SUCCESS));
    let second = client.settled();
    assert_eq!(second.ticket, 0);
    assert_eq!(second.outcome.unwrap(), Reason::NO_MATCHING_SUBSCRIBERS);
    let third = client.settled();
    assert_eq!(third.ticket, 1);
    assert_eq!(
        third.outcome.unwrap_err().to_string(),
        "the broker refused the message: Not authorized (0x87)"
    );
}

#[test]
fn qos_0_is_settled_when_it_is_written() {
    let (_broker, client, mut peer) = connected(&[]);
    client.publish(7, Qos::AtMostOnce);
    assert_eq!(client.settled().ticket, 7);
    assert_eq!(peer.expect_publish().text(), "7");
}

#[test]
fn qos_2_takes_both_steps_and_a_refused_pubrec_ends_it() {
    let (_broker, client, mut peer) = connected(&[]);
    client.publish(0, Qos::ExactlyOnce);
    client.publish(1, Qos::ExactlyOnce);
    let (good, bad) = (peer.expect_publish().id, peer.expect_publish().id);
    peer.answer(0x50, bad, 0x99);
    assert_eq!(
        client.settled().outcome.unwrap_err().to_string(),
        "the broker refused the message: Payload format invalid (0x99)"
    );
    peer.answer(0x50, good, 0);
    assert_eq!(peer.expect(0x62), good.to_be_bytes());
    peer.answer(0x70, good, 0);
    let settled = client.settled();
    assert_eq!(
        (settled.ticket, settled.outcome.unwrap()),
        (0, Reason::SUCCESS)
    );
}

#[test]
fn a_kept_session_gets_the_unanswered_again_with_dup_and_the_answered_not() {
    let (broker, client, mut peer) = connected(&[]);
    for ticket in 0..3 {
        client.publish(ticket, Qos::AtLeastOnce);
    }
    let sent: Vec<_> = (0..3).map(|_| peer.expect_publish()).collect();
    peer.answer(0x40, sent[1].id, 0);
    assert_eq!(client.settled().ticket, 1);
    drop(peer);
    let mut peer = broker.welcome(true, &[]);
    for place in [0, 2] {
        let again = peer.expect_publish();
        assert_eq!(
            (again.id, again.text()),
            (sent[place].id, sent[place].text())
        );
        assert!(again.dup);
        peer.answer(0x40, again.id, 0);
        assert_eq!(client.settled().ticket, place as u64);
    }
}

#[test]
fn a_lost_session_gets_everything_unanswered_anew_and_without_dup() {
    let (broker, client, mut peer) = connected(&[]);
    client.publish(0, Qos::ExactlyOnce);
    client.publish(1, Qos::AtLeastOnce);
    let released = peer.expect_publish().id;
    peer.expect_publish();
    peer.answer(0x50, released, 0);
    peer.expect(0x62);
    drop(peer);
    let mut peer = broker.welcome(false, &[]);
    for text in ["0", "1"] {
        let again = peer.expect_publish();
        assert_eq!((again.text(), again.dup), (text, false));
    }
}

#[test]
fn a_pubrel_is_sent_again_in_a_kept_session() {
    let (broker, client, mut peer) = connected(&[]);
    client.publish(0, Qos::ExactlyOnce);
    let id = peer.expect_publish().id;
    peer.answer(0x50, id, 0);
    peer.expect(0x62);
    drop(peer);
    let mut peer = broker.welcome(true, &[]);
    assert_eq!(peer.expect(0x62), id.to_be_bytes());
    peer.answer(0x70, id, 0x92);
    assert!(client.settled().outcome.is_ok());
}

#[test]
fn what_is_published_while_the_broker_is_away_waits_for_it() {
    let broker = Scripted::start();
    let client = Client::open(options(&broker));
    drop(broker.welcome(false, &[]));
    client.event(|event| matches!(event, tapline_mqtt::Event::Lost { .. }).then_some(()));
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
        client.publish(u64::from(qos.level()), qos);
    }
    let mut peer = broker.welcome(false, &[]);
    assert_eq!(peer.expect_publish().text(), "0");
    assert_eq!(peer.expect_publish().text(), "1");
}

#[test]
fn closing_waits_for_the_answers_and_abandoning_does_not() {
    let (broker, client, mut peer) = connected(&[]);
    client.publish(0, Qos::AtLeastOnce);
    let id = peer.expect_publish().id;
    client.session.start_close();
    assert!(!client.session.close(Duration::from_millis(100)));
    peer.answer(0x40, id, 0);
    assert!(client.settled().outcome.is_ok());
    peer.expect_disconnect();

    let client = Client::open(options(&broker));
    let mut peer = broker.welcome(false, &[]);
    client.publish(0, Qos::AtLeastOnce);
    peer.expect_publish();
    client.session.abandon();
    assert!(matches!(
        *client.settled().outcome.unwrap_err(),
        Refusal::Abandoned
    ));
    client.session.start_close();
    peer.expect_disconnect();
}

#[test]
fn a_full_session_gives_the_message_back_and_an_ended_one_settles_all() {
    let (_broker, client, mut peer) = connected(&[]);
    let message = tapline_mqtt::Message {
        topic: "t".into(),
        payload: vec![0; 1 << 20].into(),
        qos: Qos::AtLeastOnce,
        retain: false,
        properties: None,
    };
    let mut taken = 0;
    loop {
        match client.session.publish(taken, message.clone()) {
            Ok(()) => taken += 1,
            Err(PublishError::Full(back)) => {
                assert_eq!(*back, message);
                break;
            }
            Err(PublishError::Ended(error)) => panic!("{error}"),
        }
        assert!(taken < 1_000, "there is no bound");
    }
    assert!(taken > 1);
    peer.send(&[0xe0, 1, 0x8e]);
    for _ in 0..taken {
        assert!(matches!(
            *client.settled().outcome.unwrap_err(),
            Refusal::SessionEnded(_)
        ));
    }
    assert_eq!(client.reactor.in_flight(), 0);
    assert!(matches!(
        client.session.publish(0, message),
        Err(PublishError::Ended(_))
    ));
}

#[test]
fn user_properties_count_for_what_is_under_way() {
    let (_broker, client, _peer) = connected(&[]);
    let properties = Properties {
        user: vec![("k".to_owned(), "x".repeat(60_000)); 20],
        ..Properties::default()
    };
    let message = tapline_mqtt::Message {
        properties: Some(Box::new(properties)),
        ..birth()
    };
    // Of more than a mebibyte each, with 16 MiB for all.
    let taken =
        (0..100).take_while(|&ticket| client.session.publish(ticket, message.clone()).is_ok());
    assert!((2..20).contains(&taken.count()));
}

/// A message that says "online".
fn birth() -> tapline_mqtt::Message {
    tapline_mqtt::Message {
        topic: "status".into(),
        payload: "online".into(),
        qos: Qos::AtLeastOnce,
        retain: true,
        properties: None,
    }
}

#[test]
fn a_birth_message_comes_first_on_each_connection_and_belongs_to_nobody() {
    let broker = Scripted::start();
    let mut options = options(&broker);
    options.birth = Some(birth());
    let client = Client::open(options);
    for (ticket, session_present) in [(0, false), (1, true), (2, false)] {
        client.publish(ticket, Qos::AtLeastOnce);
        let mut peer = broker.welcome(session_present, &[]);
        let first = peer.expect_publish();
        assert_eq!((&*first.topic, first.text()), ("status", "online"));
        assert!(first.retain && !first.dup);
        peer.answer(0x40, first.id, 0);
        let second = peer.expect_publish();
        assert_eq!(second.text(), ticket.to_string());
        peer.answer(0x40, second.id, 0);
        assert_eq!(client.settled().ticket, ticket);
        drop(peer);
        client.event(|event| matches!(event, Event::Lost { .. }).then_some(()));
    }
    assert_eq!(client.reactor.in_flight(), 0);
}

#[test]
fn a_birth_message_comes_before_what_is_sent_again() {
    let broker = Scripted::start();
    let mut options = options(&broker);
    options.birth = Some(birth());
    let client = Client::open(options);
    client.publish(0, Qos::AtLeastOnce);
    let mut peer = broker.welcome(false, &[]);
    let ids = [peer.expect_publish().id, peer.expect_publish().id];
    drop(peer);
    // Its will may have been published meanwhile.
    let mut peer = broker.welcome(true, &[]);
    let birth = peer.expect_publish();
    assert_eq!((birth.dup, birth.text()), (false, "online"));
    assert!(!ids.contains(&birth.id));
    for (id, text) in [(ids[0], "online"), (ids[1], "0")] {
        let again = peer.expect_publish();
        assert_eq!((again.id, again.dup, again.text()), (id, true, text));
        peer.answer(0x40, id, 0);
    }
    assert_eq!(client.settled().ticket, 0);
}

#[test]
fn a_birth_message_at_qos_2_is_published_anew_where_only_its_release_was_due() {
    let broker = Scripted::start();
    let mut options = options(&broker);
    options.birth = Some(tapline_mqtt::Message {
        qos: Qos::ExactlyOnce,
        ..birth()
    });
    let client = Client::open(options);
    let mut peer = broker.welcome(false, &[]);
    let id = peer.expect_publish().id;
    peer.answer(0x50, id, 0);
    // PUBREL, and no PUBCOMP.
    assert_eq!(peer.expect(0x62)[..2], id.to_be_bytes());
    drop(peer);
    let mut peer = broker.welcome(true, &[]);
    let birth = peer.expect_publish();
    assert_eq!((birth.dup, birth.text()), (false, "online"));
    assert_eq!(peer.expect(0x62)[..2], id.to_be_bytes());
    client.publish(0, Qos::AtLeastOnce);
    assert_eq!(peer.expect_publish().text(), "0");
}

#[test]
fn a_birth_message_that_is_refused_is_told_and_the_session_goes_on() {
    let broker = Scripted::start();
    let mut options = options(&broker);
    options.birth = Some(birth());
    let client = Client::open(options);
    let mut peer = broker.welcome(false, &[]);
    let id = peer.expect_publish().id;
    peer.answer(0x40, id, 0x87);
    let why = client.event(|event| match event {
        Event::BirthRefused(why) => Some(why.to_string()),
        _ => None,
    });
    assert!(why.ends_with("Not authorized (0x87)"), "{why}");
    client.publish(0, Qos::AtLeastOnce);
    let id = peer.expect_publish().id;
    peer.answer(0x40, id, 0);
    assert_eq!(client.settled().ticket, 0);
}

#[test]
fn what_an_older_subscription_of_the_session_brings_is_left_to_the_broker() {
    let broker = Scripted::start();
    let mut options = options(&broker);
    options.inbox_messages = 2;
    options.clean_start = false;
    let client = Client::open(options);
    let mut peer = broker.welcome(true, &[]);
    for id in 1..=5 {
        peer.publish(id, 1, false, b"for another");
    }
    client.publish(0, Qos::AtLeastOnce);
    // The first packet, so none of the others was answered.
    let id = peer.expect_publish().id;
    peer.answer(0x40, id, 0);
    assert_eq!(client.settled().ticket, 0);
}

/// More than the window: the rest follows only as answers come.
const COUNT: u64 = 12_000;

#[test]
fn both_directions_move_while_the_broker_answers_late_and_one_message_last() {
    let (_broker, client, mut peer) = connected(&[]);
    for ticket in 0..COUNT {
        client.publish(ticket, Qos::AtLeastOnce);
    }
    let last = peer.expect_publish().id;
    for _ in 1..COUNT {
        let id = peer.expect_publish().id;
        assert_ne!(id, last, "the identifiers run in a circle around it");
        peer.answer(0x40, id, 0);
    }
    for _ in 1..COUNT {
        let settled = client.settled();
        assert!(settled.outcome.is_ok() && settled.ticket != 0);
    }
    peer.answer(0x40, last, 0);
    assert_eq!(client.settled().ticket, 0);
}

#[test]
fn an_answer_to_what_this_connection_has_not_carried_yet_settles_nothing() {
    let (broker, client, mut peer) = connected(&[]);
    for ticket in 0..2 {
        client.publish(ticket, Qos::AtLeastOnce);
    }
    let ids = [peer.expect_publish().id, peer.expect_publish().id];
    drop(peer);
    // Receive Maximum 1: the second has to wait for the first.
    let mut peer = broker.welcome(true, &[0x21, 0, 1]);
    assert_eq!(peer.expect_publish().id, ids[0]);
    peer.answer(0x40, ids[1], 0);
    peer.answer(0x40, ids[0], 0);
    assert_eq!(client.settled().ticket, 0);
    let second = peer.expect_publish();
    assert_eq!((second.id, second.dup), (ids[1], true));
    peer.answer(0x40, ids[1], 0);
    assert_eq!(client.settled().ticket, 1);
}
