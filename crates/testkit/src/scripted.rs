//! An MQTT broker that does what a test tells it, packet by packet: what a real one does only on a bad
//! day. It reads and writes MQTT 5; of the client's packets it takes apart what tests ask for.

#![expect(
    clippy::missing_panics_doc,
    reason = "each of these panics when the client does something else than the test expects, or nothing in time"
)]

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use async_tungstenite::tungstenite::{
    accept_hdr,
    handshake::server::{Request, Response},
    http::HeaderValue,
};

use crate::LIMIT;

/// A listener on a port of its own.
#[derive(Debug)]
pub struct Scripted {
    listener: TcpListener,
}

/// What a CONNECT of MQTT 5 says.
#[derive(Debug, PartialEq, Eq)]
pub struct Connect {
    /// The connect flags (section 3.1.2.3).
    pub flags: u8,
    /// The client identifier.
    pub client_id: String,
    /// The properties, without their length.
    pub properties: Vec<u8>,
    /// Topic, payload and properties of the last will.
    pub will: Option<(String, String, Vec<u8>)>,
}

/// A PUBLISH as it came.
#[derive(Debug, PartialEq, Eq)]
pub struct Published {
    /// The packet identifier, 0 at QoS 0.
    pub id: u16,
    /// The quality of service.
    pub qos: u8,
    /// Whether it is said to be sent again.
    pub dup: bool,
    /// Whether it is to be kept.
    pub retain: bool,
    /// The topic, which is empty where an alias stands for it.
    pub topic: String,
    /// The properties, without their length.
    pub properties: Vec<u8>,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Published {
    /// The payload as text.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).expect("a payload of text")
    }
}

impl Scripted {
    /// Listens on a free port.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        Self { listener }
    }

    /// Where it listens: `mqtt://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        let address = self.listener.local_addr();
        format!("mqtt://{}", address.expect("a bound listener has one"))
    }

    /// The next connection.
    #[must_use]
    pub fn accept(&self) -> Peer {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(peer) = self.accepted() {
                return peer;
            }
            assert!(Instant::now() < deadline, "nobody connected");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// A connection that is there already.
    #[must_use]
    pub fn accepted(&self) -> Option<Peer> {
        match self.listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).expect("a socket");
                stream.set_read_timeout(Some(LIMIT)).expect("a socket");
                stream.set_nodelay(true).expect("a socket");
                Some(Peer { stream })
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("accept: {error}"),
        }
    }

    /// The next connection, its CONNECT answered with these CONNACK properties.
    #[must_use]
    pub fn welcome(&self, session_present: bool, properties: &[u8]) -> Peer {
        let mut peer = self.accept();
        peer.expect(0x10);
        peer.connack(session_present, 0, properties);
        peer
    }
}

impl Scripted {
    /// The next connection, which asks for a WebSocket and gets it. What follows are frames.
    #[must_use]
    pub fn accept_websocket(&self) -> Peer {
        let peer = self.accept();
        let stream = peer.stream.try_clone().expect("a socket");
        #[expect(
            clippy::result_large_err,
            reason = "the error is what the library wants for a refusal"
        )]
        let with_protocol = |_: &Request, mut response: Response| {
            let mqtt = HeaderValue::from_static("mqtt");
            response
                .headers_mut()
                .insert("Sec-WebSocket-Protocol", mqtt);
            Ok(response)
        };
        accept_hdr(stream, with_protocol).expect("a request for a WebSocket");
        peer
    }
}

/// One connection, the broker's end.
#[derive(Debug)]
pub struct Peer {
    /// The connection itself.
    pub stream: TcpStream,
}

impl Peer {
    /// The next packet: its first byte and what follows the length; `None` at the end.
    pub fn read(&mut self) -> Option<(u8, Vec<u8>)> {
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
            self.stream.read_exact(&mut byte).expect("a whole length");
            length |= usize::from(byte[0] & 0x7f) << shift;
            shift += 7;
            if byte[0] & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("a whole packet");
        Some((first, body))
    }

    /// The next packet that is no PINGREQ; those are answered on the way.
    fn read_past_pings(&mut self) -> (u8, Vec<u8>) {
        let deadline = Instant::now() + LIMIT;
        loop {
            let (first, body) = self.read().expect("the client hung up");
            if first != 0xc0 {
                return (first, body);
            }
            assert!(Instant::now() < deadline, "nothing but pings came");
            self.send(&[0xd0, 0]);
        }
    }

    /// The next packet, which must begin with `first`; PINGREQ is answered on the way.
    pub fn expect(&mut self, first: u8) -> Vec<u8> {
        let (byte, body) = if first == 0xc0 {
            self.read().expect("the client hung up")
        } else {
            self.read_past_pings()
        };
        assert_eq!(
            byte, first,
            "packet type: {byte:#x}, not {first:#x}: {body:?}"
        );
        body
    }

    /// The next packet, which must be a CONNECT of MQTT 5.
    pub fn expect_connect(&mut self) -> Connect {
        let body = self.expect(0x10);
        let flags = body[7];
        let mut rest = &body[10..];
        let properties = take_properties(&mut rest);
        let client_id = take_text(&mut rest);
        let will = (flags & 4 != 0).then(|| {
            let properties = take_properties(&mut rest);
            (take_text(&mut rest), take_text(&mut rest), properties)
        });
        Connect {
            flags,
            client_id,
            properties,
            will,
        }
    }

    /// The next packet, which must be a PUBLISH of MQTT 5.
    pub fn expect_publish(&mut self) -> Published {
        let (first, body) = self.read_past_pings();
        assert_eq!(first >> 4, 3, "not a PUBLISH: {first:#x}");
        let mut rest = &body[..];
        let topic = take_text(&mut rest);
        let qos = first >> 1 & 3;
        let id = if qos > 0 { take_u16(&mut rest) } else { 0 };
        Published {
            id,
            qos,
            dup: first & 8 != 0,
            retain: first & 1 != 0,
            topic,
            properties: take_properties(&mut rest),
            payload: rest.to_vec(),
        }
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        let sent = self.stream.write_all(bytes);
        sent.expect("the client reads");
    }

    /// Sends a short frame of a WebSocket; `first` is its first byte (RFC 6455, section 5.2).
    pub fn send_frame(&mut self, first: u8, payload: &[u8]) {
        self.send(&[&[first, short(payload)], payload].concat());
    }

    /// The payload of the next frame of a WebSocket.
    pub fn read_frame(&mut self) -> Vec<u8> {
        let mut header = [0; 2];
        self.stream.read_exact(&mut header).expect("a frame");
        let length = match header[1] & 0x7f {
            length @ 0..126 => u64::from(length),
            long => {
                let mut bytes = [0; 8];
                let from = if long == 126 { 6 } else { 0 };
                self.stream
                    .read_exact(&mut bytes[from..])
                    .expect("a length");
                u64::from_be_bytes(bytes)
            }
        };
        let mut mask = [0; 4];
        self.stream.read_exact(&mut mask).expect("a mask");
        let length = usize::try_from(length).expect("a frame of a test fits into memory");
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).expect("a payload");
        for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        payload
    }

    /// CONNACK with a reason code and properties.
    pub fn connack(&mut self, session_present: bool, code: u8, properties: &[u8]) {
        let length = short(properties);
        let mut packet = vec![0x20, 3 + length, u8::from(session_present), code, length];
        packet.extend_from_slice(properties);
        self.send(&packet);
    }

    /// PUBACK 0x40, PUBREC 0x50, PUBREL 0x62, PUBCOMP 0x70 with a reason code.
    pub fn answer(&mut self, first: u8, id: u16, reason: u8) {
        let [high, low] = id.to_be_bytes();
        self.send(&[first, 3, high, low, reason]);
    }

    /// A PUBLISH of MQTT 5 without properties, to the topic `t`.
    pub fn publish(&mut self, id: u16, qos: u8, dup: bool, payload: &[u8]) {
        let mut body = vec![0, 1, b't'];
        if qos > 0 {
            body.extend_from_slice(&id.to_be_bytes());
        }
        body.push(0);
        body.extend_from_slice(payload);
        let first = 0x30 | qos << 1 | u8::from(dup) << 3;
        self.send(&[first, short(&body)]);
        self.send(&body);
    }

    /// Answers a SUBSCRIBE with these reason codes.
    pub fn subscribed(&mut self, codes: &[u8]) {
        let body = self.expect(0x82);
        let mut packet = vec![0x90, 3 + short(codes), body[0], body[1], 0];
        packet.extend_from_slice(codes);
        self.send(&packet);
    }

    /// DISCONNECT, then the end.
    pub fn expect_disconnect(&mut self) -> Vec<u8> {
        let body = self.expect(0xe0);
        assert_eq!(self.read(), None);
        body
    }
}

/// A length that fits into one byte of a Variable Byte Integer.
fn short(bytes: &[u8]) -> u8 {
    let length = u8::try_from(bytes.len()).ok().filter(|&n| n < 0x80);
    length.expect("what tests send is short")
}

fn take<'a>(from: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = from.split_at(length);
    *from = rest;
    taken
}

fn take_u16(from: &mut &[u8]) -> u16 {
    let bytes = take(from, 2);
    u16::from_be_bytes([bytes[0], bytes[1]])
}

fn take_text(from: &mut &[u8]) -> String {
    let length = usize::from(take_u16(from));
    let text = String::from_utf8(take(from, length).to_vec());
    text.expect("a text of a test is UTF-8")
}

fn take_properties(from: &mut &[u8]) -> Vec<u8> {
    let length = take(from, 1)[0];
    assert!(length < 0x80, "properties of a test are short");
    take(from, usize::from(length)).to_vec()
}
