//! A broker that does what a test tells it, packet by packet.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use tapline_mqtt::{Broker, Scheme, SessionOptions};

/// Longer than anything here takes, on the slowest machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A listener on a port of its own.
pub(crate) struct Scripted {
    listener: TcpListener,
}

/// A PUBLISH as it came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) id: u16,
    pub(crate) qos: u8,
    pub(crate) dup: bool,
    pub(crate) retain: bool,
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
}

impl Published {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).unwrap()
    }
}

impl Scripted {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { listener }
    }

    pub(crate) fn broker(&self) -> Broker {
        Broker {
            scheme: Scheme::Mqtt,
            host: "127.0.0.1".to_owned(),
            port: self.listener.local_addr().unwrap().port(),
        }
    }

    pub(crate) fn options(&self) -> SessionOptions {
        SessionOptions::new(self.broker(), "test")
    }

    /// The next connection.
    pub(crate) fn accept(&self) -> Peer {
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).unwrap();
                    stream.set_read_timeout(Some(LIMIT)).unwrap();
                    stream.set_nodelay(true).unwrap();
                    return Peer { stream };
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    assert!(Instant::now() < deadline, "nobody connected");
                    thread::sleep(Duration::from_millis(2));
                }
                Err(error) => panic!("accept: {error}"),
            }
        }
    }

    /// The next connection, its CONNECT answered with these CONNACK properties.
    pub(crate) fn welcome(&self, session_present: bool, properties: &[u8]) -> Peer {
        let mut peer = self.accept();
        peer.expect(0x10);
        peer.connack(session_present, 0, properties);
        peer
    }
}

/// One connection, the broker's end.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
}

impl Peer {
    /// The next packet: its first byte and what follows the length; `None` at the end.
    pub(crate) fn read(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
            Err(error) => panic!("nothing came: {error}"),
        }
        let first = byte[0];
        let (mut length, mut shift) = (0usize, 0);
        loop {
            self.stream.read_exact(&mut byte).unwrap();
            length |= usize::from(byte[0] & 0x7f) << shift;
            shift += 7;
            if byte[0] & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        Some((first, body))
    }

    /// The next packet, which must begin with `first`; PINGREQ is answered on the way.
    pub(crate) fn expect(&mut self, first: u8) -> Vec<u8> {
        loop {
            let (byte, body) = self.read().expect("the client hung up");
            if byte == 0xc0 && first != 0xc0 {
                self.send(&[0xd0, 0]);
                continue;
            }
            assert_eq!(
                byte, first,
                "packet type: {byte:#x}, not {first:#x}: {body:?}"
            );
            return body;
        }
    }

    /// The next packet, which must be a PUBLISH of MQTT 5.
    pub(crate) fn expect_publish(&mut self) -> Published {
        let (first, body) = loop {
            let (first, body) = self.read().expect("the client hung up");
            match first {
                0xc0 => self.send(&[0xd0, 0]),
                _ => break (first, body),
            }
        };
        assert_eq!(first >> 4, 3, "not a PUBLISH: {first:#x}");
        let qos = first >> 1 & 3;
        let topic_end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
        let mut at = topic_end;
        let mut id = 0;
        if qos > 0 {
            id = u16::from_be_bytes([body[at], body[at + 1]]);
            at += 2;
        }
        // Test messages have less than 128 bytes of properties.
        at += 1 + usize::from(body[at]);
        Published {
            id,
            qos,
            dup: first & 8 != 0,
            retain: first & 1 != 0,
            topic: String::from_utf8(body[2..topic_end].to_vec()).unwrap(),
            payload: body[at..].to_vec(),
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn connack(&mut self, session_present: bool, code: u8, properties: &[u8]) {
        let length = u8::try_from(properties.len()).unwrap();
        let mut packet = vec![0x20, 3 + length, u8::from(session_present), code, length];
        packet.extend_from_slice(properties);
        self.send(&packet);
    }

    /// PUBACK 0x40, PUBREC 0x50, PUBREL 0x62, PUBCOMP 0x70 with a reason code.
    pub(crate) fn answer(&mut self, first: u8, id: u16, reason: u8) {
        let [high, low] = id.to_be_bytes();
        self.send(&[first, 3, high, low, reason]);
    }

    /// A PUBLISH of MQTT 5 without properties, to the topic `t`.
    pub(crate) fn publish(&mut self, id: u16, qos: u8, dup: bool, payload: &[u8]) {
        let mut body = vec![0, 1, b't'];
        if qos > 0 {
            body.extend_from_slice(&id.to_be_bytes());
        }
        body.push(0);
        body.extend_from_slice(payload);
        let first = 0x30 | qos << 1 | u8::from(dup) << 3;
        let length = u8::try_from(body.len()).unwrap();
        assert!(length < 128, "test messages are short");
        self.send(&[first, length]);
        self.send(&body);
    }

    /// Answers a SUBSCRIBE with these reason codes.
    pub(crate) fn subscribed(&mut self, codes: &[u8]) {
        let body = self.expect(0x82);
        let length = u8::try_from(codes.len()).unwrap();
        let mut packet = vec![0x90, 3 + length, body[0], body[1], 0];
        packet.extend_from_slice(codes);
        self.send(&packet);
    }

    /// DISCONNECT, then the end.
    pub(crate) fn expect_disconnect(&mut self) -> Vec<u8> {
        let body = self.expect(0xe0);
        assert_eq!(self.read(), None);
        body
    }
}
