//! Reason codes that end a connection, told by their names in the standard (section 2.4), and which of them end the
//! session. Those of PUBACK, PUBREC and SUBACK, which don't, are beside what they answer.

use tapline_mqtt::Event;

use crate::client::{Client, asking, connected};

/// Why the connection was lost, with others to follow.
fn loss(client: &Client) -> String {
    client.event(|event| match event {
        Event::Lost { why, .. } => Some(why),
        Event::Failed(error) => panic!("the session is over: {error}"),
        _ => None,
    })
}

#[test]
fn the_broker_refuses_with_a_reason_and_its_words() {
    let (_broker, client, mut peer) = asking();
    // Reason String "go away".
    peer.connack(
        false,
        0x87,
        &[0x1f, 0, 7, b'g', b'o', b' ', b'a', b'w', b'a', b'y'],
    );
    assert_eq!(
        client.failure(),
        "the broker refused the connection: Not authorized (0x87): go away"
    );
}

#[test]
fn a_broker_that_is_busy_is_asked_again_and_one_that_says_never_is_not() {
    let (broker, client, peer) = connected(&[]);
    drop(peer);
    loss(&client);
    for (code, why) in [
        (
            0x88,
            "the broker refused the connection: Server unavailable (0x88)",
        ),
        (
            0x97,
            "the broker refused the connection: Quota exceeded (0x97)",
        ),
    ] {
        let mut peer = broker.accept();
        peer.expect(0x10);
        peer.connack(false, code, &[]);
        assert_eq!(loss(&client), why);
    }
    let mut peer = broker.accept();
    peer.expect(0x10);
    peer.connack(false, 0x8a, &[]);
    assert_eq!(
        client.failure(),
        "the broker refused the connection: Banned (0x8a)"
    );
}

#[test]
fn a_takeover_is_not_fought() {
    let (_broker, client, mut peer) = connected(&[]);
    peer.send(&[0xe0, 1, 0x8e]);
    let failure = client.failure();
    assert!(failure.starts_with("another client took over the session of client identifier test"));
}

#[test]
fn a_disconnect_for_what_the_client_did_ends_the_session_with_the_reason_and_the_words() {
    let (_broker, client, mut peer) = connected(&[]);
    // Reason String "no".
    peer.send(&[0xe0, 7, 0x93, 5, 0x1f, 0, 2, b'n', b'o']);
    assert_eq!(
        client.failure(),
        "the broker ended the session: Receive Maximum exceeded (0x93): no"
    );
}

#[test]
fn a_disconnect_for_what_the_broker_does_is_waited_out() {
    let (broker, client, mut peer) = connected(&[]);
    peer.send(&[0xe0, 1, 0x8b]);
    assert_eq!(
        loss(&client),
        "the broker disconnected: Server shutting down (0x8b)"
    );
    let _peer = broker.welcome(false, &[]);
    assert!(client.event(|event| match event {
        Event::Connected { again, .. } => Some(again),
        _ => None,
    }));
}
