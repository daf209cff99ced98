//! A registry that follows a script.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What the server does with a connection's next request.
#[derive(Clone)]
pub(crate) enum Act {
    /// Answers with this status, type and body.
    Answer(u16, &'static str, String),
    /// Hangs up without an answer.
    HangUp,
    /// Says nothing for longer than anybody waits.
    Hang,
    /// Speaks another protocol.
    Babble,
}

/// An answer of the API's own type.
pub(crate) fn json(status: u16, body: &str) -> Act {
    Act::Answer(
        status,
        "application/vnd.schemaregistry.v1+json",
        body.to_owned(),
    )
}

/// A server that does one act for each request and keeps the requests.
pub(crate) struct Script {
    pub(crate) address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Script {
    pub(crate) fn new(acts: impl IntoIterator<Item = Act>) -> Script {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let acts = Arc::new(Mutex::new(acts.into_iter().collect::<VecDeque<_>>()));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (acts, seen) = (Arc::clone(&acts), Arc::clone(&seen));
                thread::spawn(move || {
                    let stream = stream.unwrap();
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    while let Some(request) = read_request(&mut reader) {
                        seen.lock().unwrap().push(request);
                        let act = acts.lock().unwrap().pop_front();
                        if !perform(act.expect("more requests than acts"), &stream) {
                            return;
                        }
                    }
                });
            }
        });
        Script { address, requests }
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// The request line, headers and body as text.
fn read_request(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(head + std::str::from_utf8(&body).unwrap())
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
        Act::HangUp => {
            stream.shutdown(std::net::Shutdown::Both).unwrap();
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
    }
}
