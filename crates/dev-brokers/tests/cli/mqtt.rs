//! The MQTT broker, spoken to in bytes, so that no client smooths anything over.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    thread,
};

use tapline_testkit::{LIMIT, Run};

use super::{Instance, start, started};

/// A connection, and which version it speaks.
struct Client {
    stream: TcpStream,
    five: bool,
}

impl Instance {
    fn raw(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.mqtt).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    /// Connects with no keep alive and a last will on `will`.
    fn connect(&self, level: u8) -> Client {
        let five = level == 5;
        let mut body = text("MQTT");
        // Clean, with a last will; keep alive 0.
        body.extend([level, 0x06, 0, 0]);
        // Topic alias maximum 10, which must not come to pass.
        body.extend(properties(five, &[0x22, 0, 10]));
        body.extend(text(""));
        body.extend(properties(five, &[]));
        body.extend([text("will"), text("gone")].concat());
        let mut client = Client {
            stream: self.raw(),
            five,
        };
        client.send(0x10, &body);
        let (kind, connack) = client.receive();
        assert_eq!((kind, &connack[..2]), (0x20, &[0, 0][..]));
        client
    }
}

fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap();
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

fn properties(five: bool, bytes: &[u8]) -> Vec<u8> {
    if five {
        [&[u8::try_from(bytes.len()).unwrap()], bytes].concat()
    } else {
        Vec::new()
    }
}

impl Client {
    fn send(&mut self, first: u8, body: &[u8]) {
        let mut packet = vec![first];
        let mut length = body.len();
        loop {
            let more = if length > 127 { 0x80 } else { 0 };
            packet.push(u8::try_from(length % 128).unwrap() | more);
            length /= 128;
            if length == 0 {
                break;
            }
        }
        packet.extend(body);
        self.stream.write_all(&packet).unwrap();
    }

    fn receive(&mut self) -> (u8, Vec<u8>) {
        receive(&mut self.stream).unwrap()
    }

    fn subscribe(&mut self, filter: &str, qos: u8) {
        let body = [
            &[0, 1][..],
            &properties(self.five, &[]),
            &text(filter),
            &[qos],
        ]
        .concat();
        self.send(0x82, &body);
        assert_eq!(self.receive().0, 0x90);
    }

    fn publish(&mut self, topic: &str, payload: &[u8]) {
        let body = [&text(topic)[..], &properties(self.five, &[]), payload].concat();
        self.send(0x30, &body);
    }

    /// Receives a PUBLISH and acknowledges it: topic and payload.
    fn message(&mut self) -> (String, Vec<u8>) {
        let (kind, body) = self.receive();
        assert_eq!(kind & 0xf0, 0x30, "{kind:02x} {body:02x?}");
        let end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
        let topic = String::from_utf8(body[2..end].to_vec()).unwrap();
        let mut payload = &body[end..];
        if kind & 0x06 != 0 {
            let (id, rest) = payload.split_at(2);
            self.send(0x40, id);
            payload = rest;
        }
        if self.five {
            assert_eq!(payload[0], 0, "no properties");
            payload = &payload[1..];
        }
        (topic, payload.to_vec())
    }
}

fn receive(stream: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    let kind = byte[0];
    let (mut length, mut shift) = (0, 0);
    loop {
        stream.read_exact(&mut byte)?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] < 0x80 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((kind, body))
}

#[test]
fn one_port_serves_both_versions_and_joins_them() {
    let instance = start(&[]);
    for (from, to) in [(4, 5), (5, 4), (4, 4), (5, 5)] {
        let mut subscriber = instance.connect(to);
        subscriber.subscribe("site/+", 1);
        let mut publisher = instance.connect(from);
        // Different topics under one wildcard: an alias for the filter would mix them up.
        for topic in ["site/a", "site/b", "site/a"] {
            publisher.publish(topic, topic.as_bytes());
            assert_eq!(
                subscriber.message(),
                (topic.to_owned(), topic.into()),
                "{from} to {to}"
            );
        }
    }
}

#[test]
fn a_large_message_passes() {
    let instance = start(&[]);
    let mut subscriber = instance.connect(5);
    subscriber.subscribe("large", 1);
    let payload = vec![b'x'; 4 * 1024 * 1024];
    instance.connect(4).publish("large", &payload);
    assert!(subscriber.message() == ("large".to_owned(), payload));
}

#[test]
fn a_fleet_connects_whatever_the_soft_limit_of_descriptors() {
    let script = format!("ulimit -Sn 256; exec {}", env!("CARGO_BIN_EXE_dev-brokers"));
    let instance = started(Run::new("/bin/sh").args(["-c", &script]));
    let mut fleet: Vec<_> = (0..300).map(|_| instance.connect(5)).collect();
    for client in &mut fleet {
        client.send(0xc0, &[]);
        assert_eq!(client.receive().0, 0xd0);
    }
}

#[test]
fn a_client_that_vanishes_has_its_will_published() {
    let instance = start(&[]);
    let mut subscriber = instance.connect(4);
    subscriber.subscribe("will", 1);
    drop(instance.connect(5));
    assert_eq!(subscriber.message(), ("will".to_owned(), b"gone".to_vec()));
}

#[test]
fn strange_clients_are_turned_away_and_harm_nobody() {
    let mut instance = start(&["-v"]);
    // Half a CONNECT, which stays while the others are served.
    let mut half = instance.raw();
    half.write_all(b"\x10\x0c\0\x04MQ").unwrap();
    let silent = instance.raw();
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x30\x05\0\x01abc",
        b"\x10\xff\xff\xff\xff",
    ] {
        let mut stream = instance.raw();
        stream.write_all(garbage).unwrap();
        // It ends: in order, or with a reset, for what was sent after the decision.
        assert!(matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_)));
    }
    let mut old = instance.raw();
    old.write_all(b"\x10\x0e\0\x06MQIsdp\x03\x02\0\x3c\0\0")
        .unwrap();
    assert_eq!(receive(&mut old).unwrap(), (0x20, vec![0, 1]));

    let mut subscriber = instance.connect(5);
    subscriber.subscribe("a", 0);
    instance.connect(4).publish("a", b"b");
    assert_eq!(subscriber.message(), ("a".to_owned(), b"b".to_vec()));
    // The half CONNECT is as good as any once it is whole.
    half.write_all(b"TT\x04\x02\0\0\0\0").unwrap();
    assert_eq!(receive(&mut half).unwrap().0, 0x20);
    drop(silent);
    instance
        .process
        .wait_for_stderr("refused: what it says is not MQTT");
    instance
        .process
        .wait_for_stderr("refused: neither MQTT 3.1.1 nor 5");
}

#[test]
fn a_subscriber_that_loses_messages_is_told_of() {
    let mut instance = start(&["--mqtt-buffer", "16KiB"]);
    let mut subscriber = instance.connect(4);
    subscriber.subscribe("fast", 1);
    let mut publisher = instance.connect(4);
    // Nothing is acknowledged, so that no more than a hundred can be under way; the rest is more
    // than is kept.
    for _ in 0..500 {
        publisher.publish("fast", &[b'x'; 1000]);
    }
    publisher.send(0xc0, &[]);
    assert_eq!(publisher.receive().0, 0xd0);
    let catching_up = thread::spawn(move || {
        while let Ok((0x32, body)) = receive(&mut subscriber.stream) {
            // After the topic, whose length is known.
            subscriber.send(0x40, &body[6..8]);
        }
    });
    instance
        .process
        .wait_for_stderr("fell behind on fast by more than --mqtt-buffer");
    drop(instance);
    catching_up.join().unwrap();
}
