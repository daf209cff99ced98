//! An HTTP server that follows a script, or answers without end, as a hostile one does: in place of a schema registry, or
//! of a database.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use flate2::read::GzDecoder;

/// What the server does with a connection's next request.
#[derive(Debug, Clone)]
pub enum Act {
    /// Answers with this status, type and body.
    Answer(u16, &'static str, String),
    /// Answers with this status, these headers and this body.
    Respond(u16, Vec<(&'static str, String)>, String),
    /// Sends the client to another address.
    Redirect(u16, String),
    /// Hangs up without an answer.
    HangUp,
    /// Says nothing for longer than anybody waits.
    Hang,
    /// Speaks another protocol.
    Babble,
    /// Begins an answer and sends a byte of it now and then, for longer than anybody waits.
    Drip,
    /// An answer of which there is always more: a text that begins so, and then this byte.
    Endless(&'static str, u8),
}

/// An answer without a body.
#[must_use]
pub fn status(status: u16) -> Act {
    Act::Respond(status, Vec::new(), String::new())
}

/// An answer of a schema registry.
#[must_use]
pub fn json(status: u16, body: &str) -> Act {
    Act::Answer(
        status,
        "application/vnd.schemaregistry.v1+json",
        body.to_owned(),
    )
}

/// A server that keeps the requests.
#[derive(Debug)]
pub struct ScriptedHttp {
    /// Where it listens: `http://127.0.0.1:PORT`.
    pub address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl ScriptedHttp {
    /// One that does one act for each request.
    ///
    /// # Panics
    ///
    /// When no port is free; its threads do when there are more requests than acts.
    pub fn new(acts: impl IntoIterator<Item = Act>) -> Self {
        let mut acts = acts.into_iter().collect::<VecDeque<_>>();
        Self::answering(move |_| acts.pop_front().expect("more requests than acts"))
    }

    /// One that does what `act` says to each request, which is given with its headers and body.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub fn answering(act: impl FnMut(&str) -> Act + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of its own");
        let port = listener.local_addr().expect("it is bound").port();
        let act = Arc::new(Mutex::new(act));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (act, seen) = (Arc::clone(&act), Arc::clone(&seen));
                thread::spawn(move || {
                    let Ok(other) = stream.try_clone() else {
                        return;
                    };
                    let mut reader = BufReader::new(other);
                    while let Some(request) = read_request(&mut reader) {
                        let next = act.lock().expect("no other panicked")(&request);
                        seen.lock().expect("no other panicked").push(request);
                        if !perform(next, &stream) {
                            return;
                        }
                    }
                });
            }
        });
        Self {
            address: format!("http://127.0.0.1:{port}"),
            requests,
        }
    }

    /// The requests so far, with their headers and bodies.
    ///
    /// # Panics
    ///
    /// When one of the server's threads did.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no other panicked").clone()
    }
}

/// The request line, headers and body as text, which is unpacked.
fn read_request(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    let mut length = 0;
    let mut is_gzip = false;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        is_gzip |= line.eq_ignore_ascii_case("content-encoding: gzip\r\n");
        head.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    if is_gzip {
        let mut text = String::new();
        GzDecoder::new(body.as_slice())
            .read_to_string(&mut text)
            .ok()?;
        return Some(head + &text);
    }
    Some(head + std::str::from_utf8(&body).ok()?)
}

/// False when the connection is over.
fn perform(act: Act, mut stream: &TcpStream) -> bool {
    match act {
        Act::Answer(status, kind, body) => {
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).is_ok()
        }
        Act::Respond(status, headers, body) => {
            let mut lines: Vec<_> = headers
                .iter()
                .map(|(name, value)| format!("{name}: {value}"))
                .collect();
            // A 204 has no length (RFC 9110, section 8.6).
            if status != 204 {
                lines.push(format!("Content-Length: {}", body.len()));
            }
            lines.insert(0, format!("HTTP/1.1 {status} X"));
            let head = lines.join("\r\n");
            stream
                .write_all(format!("{head}\r\n\r\n{body}").as_bytes())
                .is_ok()
        }
        Act::Redirect(status, target) => {
            let answer =
                format!("HTTP/1.1 {status} X\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).is_ok()
        }
        Act::HangUp => {
            let _ = stream.shutdown(std::net::Shutdown::Both);
            false
        }
        Act::Hang => {
            // Until the client hangs up.
            let _ = stream.read(&mut [0]);
            false
        }
        Act::Babble => {
            let _ = stream.write_all(b"\x20\x02\x00\x05 not HTTP\r\n\r\n");
            false
        }
        Act::Drip => {
            let _ = stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: 1000000\r\n\r\n");
            while stream.write_all(b" ").is_ok() {
                thread::sleep(Duration::from_millis(10));
            }
            false
        }
        Act::Endless(start, byte) => {
            let head = "HTTP/1.1 200 X\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(format!("{head}{start}").as_bytes());
            let more = vec![byte; 64 * 1024];
            while stream.write_all(&more).is_ok() {}
            false
        }
    }
}
