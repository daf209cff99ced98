//! A client of the write API (`POST /api/v2/write`).

use std::fmt;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tapline_http::{Tls, TlsError, agent, tls_hint};
use ureq::Agent;

use crate::address::Address;
pub use crate::answer::Answer;
use crate::time::Precision;

/// The longest that one request may take. A server that takes a batch answers within seconds; what it took all the same
/// is written again, to the same points.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// So much of an answer is read.
const MAX_ANSWER: u64 = 64 * 1024;

/// The pause between attempts to reach a server for the first time.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(200);

/// A token. Its `Debug` form doesn't show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// Why a client can't be made, or can't write.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A file for TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The token has what no header can.
    #[error("{0}: that is not a token: it has white space or control characters in it, or nothing")]
    Token(String),
    /// The file of the token.
    #[error("{0}")]
    TokenFile(String),
    /// The server refuses what we ask for.
    #[error("{address}: {why}")]
    Refused {
        /// The bucket's.
        address: String,
        /// Why.
        why: String,
    },
    /// No answer came in time.
    #[error("{address}: not reached within {} s: {why}", timeout.as_secs_f64())]
    Unreachable {
        /// The bucket's.
        address: String,
        /// How long it was tried.
        timeout: Duration,
        /// What happened last.
        why: String,
    },
}

impl Token {
    /// A token from a variable or file, named `from` in the message.
    ///
    /// # Errors
    ///
    /// When a header can't have it.
    pub fn new(token: &str, from: &str) -> Result<Self, ClientError> {
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ClientError::Token(from.to_owned()));
        }
        Ok(Self(token.to_owned()))
    }

    /// A token from a file that holds it and perhaps a line's end.
    ///
    /// # Errors
    ///
    /// When the file can't be read, or holds something else.
    pub fn from_file(path: &Path) -> Result<Self, ClientError> {
        let name = path.display().to_string();
        let text = fs::read_to_string(path)
            .map_err(|error| ClientError::TokenFile(format!("{name}: {error}")))?;
        Self::new(text.trim_end_matches(['\r', '\n']), &name)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// How a bucket is written to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The bucket.
    pub address: Address,
    /// Its organisation; some databases that speak the API have none.
    pub org: Option<String>,
    /// Sent with each request, to this address and to no other.
    pub token: Option<Token>,
    /// What the numbers of times count.
    pub precision: Precision,
    /// Whether bodies are compressed.
    pub gzip: bool,
    /// Files for TLS.
    pub tls: Tls,
}

/// A bucket that is written to. Cheap to clone; the clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    agent: Agent,
    address: String,
    url: String,
    authorization: Option<String>,
    gzip: bool,
}

impl Client {
    /// Prepares a client; nothing is sent.
    ///
    /// # Errors
    ///
    /// When a file can't be used.
    pub fn new(settings: &Settings) -> Result<Self, ClientError> {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let address = &settings.address;
        let mut url = format!(
            "{}/api/v2/write?bucket={}&precision={}",
            address.base_url(),
            encoded(&address.bucket),
            settings.precision
        );
        if let Some(org) = &settings.org {
            url.push_str("&org=");
            url.push_str(&encoded(org));
        }
        Ok(Self {
            agent: agent(address.is_tls.then_some(&settings.tls))?,
            address: address.to_string(),
            url,
            authorization: settings
                .token
                .as_ref()
                .map(|token| format!("Token {}", token.0)),
            gzip: settings.gzip,
        })
    }

    /// The bucket's address.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Looks whether the bucket can be written to, by a write of nothing; tries until a server answers, for at most
    /// `timeout`.
    ///
    /// # Errors
    ///
    /// When it refuses, or no answer came.
    pub fn connect(&self, timeout: Duration) -> Result<(), ClientError> {
        let address = || self.address.clone();
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // A server that knows token and bucket has nothing against this, or finds the lines missing.
            let why = match self.post(&[], left.min(REQUEST_TIMEOUT)) {
                Answer::Written | Answer::Bad { .. } | Answer::TooLarge(_) => return Ok(()),
                Answer::Never(why) => {
                    return Err(ClientError::Refused {
                        address: address(),
                        why,
                    });
                }
                Answer::Later { why, .. } => why,
            };
            if deadline.saturating_duration_since(Instant::now()) <= BETWEEN_ATTEMPTS {
                return Err(ClientError::Unreachable {
                    address: address(),
                    timeout,
                    why,
                });
            }
            thread::sleep(BETWEEN_ATTEMPTS);
        }
    }

    /// Writes lines, once.
    #[must_use]
    pub fn write(&self, lines: &[u8]) -> Answer {
        self.post(lines, REQUEST_TIMEOUT)
    }

    fn post(&self, lines: &[u8], timeout: Duration) -> Answer {
        let mut request = self
            .agent
            .post(&self.url)
            .header("Content-Type", "text/plain; charset=utf-8");
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let request = request
            .config()
            .timeout_global(Some(timeout.max(Duration::from_millis(1))))
            .build();
        let sent = if self.gzip && !lines.is_empty() {
            request.header("Content-Encoding", "gzip").send(gzip(lines))
        } else {
            request.send(lines)
        };
        let read = sent.map(|mut answer| {
            let body = answer.body_mut().with_config().limit(MAX_ANSWER);
            // The status says what became of the batch, also where the rest is too long or cut off.
            let body = body.read_to_vec().unwrap_or_default();
            Answer::read(answer.status(), answer.headers(), &body)
        });
        read.unwrap_or_else(|error| failure(&error))
    }
}

fn gzip(lines: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(lines.len() / 4), Compression::fast());
    encoder.write_all(lines).expect("a vector takes everything");
    encoder.finish().expect("a vector takes everything")
}

/// Tells a connection that may come back from one that will stay wrong.
fn failure(error: &ureq::Error) -> Answer {
    let why = match error {
        ureq::Error::Io(io) => {
            let reason = io.to_string();
            if reason.contains("invalid peer certificate") {
                return Answer::Never(format!("TLS: {reason}{}", tls_hint(&reason)));
            }
            let hint = tls_hint(&reason);
            reason + hint
        }
        ureq::Error::RedirectFailed | ureq::Error::TooManyRedirects => {
            return Answer::Never("it answers with a redirect, which is not followed".to_owned());
        }
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::HostNotFound => "no such host".to_owned(),
        ureq::Error::ConnectionFailed => "no connection".to_owned(),
        ureq::Error::Protocol(error) => format!("the server does not speak HTTP: {error}"),
        error => error.to_string(),
    };
    Answer::Later { wait: None, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_shown() {
        let token = Token::new("geheim==", "INFLUX_TOKEN").unwrap();
        assert_eq!(format!("{token:?}"), "Token(…)");
        for wrong in ["", "two words", "line\nend", "é"] {
            let error = Token::new(wrong, "INFLUX_TOKEN").unwrap_err().to_string();
            assert!(
                error.starts_with("INFLUX_TOKEN: that is not a token"),
                "{error}"
            );
        }
    }

    #[test]
    fn names_are_encoded_in_the_url() {
        let client = Client::new(&Settings {
            address: "influx://db/a%20b/&c".parse().unwrap(),
            org: Some("x&y=z".to_owned()),
            token: None,
            precision: Precision::Us,
            gzip: true,
            tls: Tls::default(),
        });
        assert_eq!(
            client.unwrap().url,
            "http://db:8086/api/v2/write?bucket=a%20b%2F%26c&precision=us&org=x%26y%3Dz"
        );
    }
}
