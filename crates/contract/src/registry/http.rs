//! One request to the registry, on each address in turn and again until it is answered or its time
//! is up, and what the answer means.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tapline_http::{Tls, agent};
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body, RequestBuilder};

use super::Settings;
use super::address::Address;
use super::error::RegistryError;
use crate::excerpt::excerpt;

/// What the API speaks.
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// Any registry's answer; some label theirs as plain JSON.
const ACCEPT: &str = "application/vnd.schemaregistry.v1+json, application/json";
/// The largest answer, in bytes: a registry's own limit is a few megabytes.
const MAX_ANSWER: u64 = 16 * 1024 * 1024;
/// How often all addresses are gone through.
const ROUNDS: u32 = 4;
/// The pause after the first round, doubled after each.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Http {
    agent: Agent,
    settings: Settings,
    /// The address that answered last: it is asked first.
    preferred: AtomicUsize,
}

/// What is asked.
#[derive(Debug)]
pub(super) struct Request {
    /// Below the address, with its query.
    pub(super) path: String,
    /// Posted, if there is one.
    pub(super) body: Option<String>,
    /// For messages.
    pub(super) asked: String,
}

/// How an attempt failed.
enum Failure {
    /// Another attempt may do better.
    Passing(String),
    Lasting(RegistryError),
}

impl Http {
    pub(super) fn new(settings: Settings) -> Result<Http, RegistryError> {
        if settings.addresses.is_empty() {
            return Err(RegistryError::Settings(
                "schema registry: no address was given".to_owned(),
            ));
        }
        let tls = Tls {
            ca_file: settings.ca_file.clone(),
            client_files: settings.client_files.clone(),
        };
        // Files that were given are looked at in any case.
        let is_tls = tls != Tls::default() || settings.addresses.iter().any(Address::is_tls);
        let agent = agent(is_tls.then_some(&tls))
            .map_err(|error| RegistryError::Settings(error.to_string()))?;
        Ok(Http {
            agent,
            settings,
            preferred: AtomicUsize::new(0),
        })
    }

    /// By when a call that begins now must have its answer.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.settings.timeout
    }

    /// Asks until there is an answer, at the latest until `deadline`.
    pub(super) fn call<T: DeserializeOwned>(
        &self,
        request: &Request,
        deadline: Instant,
    ) -> Result<T, RegistryError> {
        let addresses = &self.settings.addresses;
        let mut last = vec![None; addresses.len()];
        let mut attempts = 0;
        let mut pause = FIRST_PAUSE;
        let first = self.preferred.load(Ordering::Relaxed);
        'rounds: for round in 0..ROUNDS {
            if round > 0 {
                let left = deadline.saturating_duration_since(Instant::now());
                if left <= pause {
                    break;
                }
                thread::sleep(pause);
                pause *= 2;
            }
            for turn in 0..addresses.len() {
                let index = (first + turn) % addresses.len();
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break 'rounds;
                }
                // One that hangs must leave the others their time.
                let others = u32::try_from(addresses.len() - turn).unwrap_or(u32::MAX);
                attempts += 1;
                match self.attempt(index, request, left / others) {
                    Ok(answer) => {
                        self.preferred.store(index, Ordering::Relaxed);
                        return Ok(answer);
                    }
                    Err(Failure::Passing(reason)) => last[index] = Some(reason),
                    Err(Failure::Lasting(error)) => return Err(error),
                }
            }
        }
        let reasons: Vec<_> = addresses
            .iter()
            .zip(last)
            .filter_map(|(address, reason)| Some(format!("{address}: {}", reason?)))
            .collect();
        Err(RegistryError::Unavailable {
            asked: request.asked.clone(),
            attempts,
            reasons: reasons.join("; "),
        })
    }

    fn attempt<T: DeserializeOwned>(
        &self,
        index: usize,
        request: &Request,
        timeout: Duration,
    ) -> Result<T, Failure> {
        let asking = Asking {
            address: self.settings.addresses[index].as_str(),
            request,
        };
        let url = format!("{}{}", asking.address, request.path);
        let exchange: Box<dyn FnOnce() -> _ + Send> = if let Some(body) = request.body.clone() {
            let call = self
                .prepare(self.agent.post(&url), timeout)
                .header("Content-Type", CONTENT_TYPE);
            Box::new(move || call.send(body).and_then(read_all))
        } else {
            let call = self.prepare(self.agent.get(&url), timeout);
            Box::new(move || call.call().and_then(read_all))
        };
        match self.settings.stop.unless_requested(exchange) {
            Ok(Some(Ok((answer, body)))) => asking.read(&answer, &body),
            Ok(Some(Err(error))) => Err(asking.failure(&error)),
            Ok(None) => Err(Failure::Lasting(RegistryError::Stopped {
                asked: request.asked.clone(),
            })),
            Err(error) => Err(Failure::Passing(format!("a thread to ask it: {error}"))),
        }
    }

    /// What every request has.
    fn prepare<B>(&self, call: RequestBuilder<B>, timeout: Duration) -> RequestBuilder<B> {
        let call = call.header("Accept", ACCEPT);
        let call = match &self.settings.credentials {
            Some(credentials) => call.header("Authorization", credentials.header()),
            None => call,
        };
        call.config().timeout_global(Some(timeout)).build()
    }
}

/// An answer and its body.
fn read_all(mut answer: Response<Body>) -> Result<(Response<Body>, Vec<u8>), ureq::Error> {
    let body = answer.body_mut().with_config().limit(MAX_ANSWER);
    let body = body.read_to_vec()?;
    Ok((answer, body))
}

/// What the registry says when it refuses.
#[derive(Deserialize)]
struct Refusal {
    error_code: u32,
    message: Option<String>,
}

/// An attempt under way, for its messages.
struct Asking<'a> {
    address: &'a str,
    request: &'a Request,
}

impl Asking<'_> {
    fn read<T: DeserializeOwned>(
        &self,
        answer: &Response<Body>,
        body: &[u8],
    ) -> Result<T, Failure> {
        let status = answer.status();
        let refusal: Option<Refusal> = serde_json::from_slice(body).ok();
        if status.is_success() {
            return serde_json::from_slice(body).map_err(|error| self.junk(answer, body, &error));
        }
        let code = refusal.as_ref().map(|refusal| refusal.error_code);
        let message = match &refusal {
            Some(refusal) => excerpt(
                refusal.message.as_deref().unwrap_or("no reason given"),
                2000,
            ),
            None => described(answer, body),
        };
        if status.is_redirection() {
            return Err(self.redirected(answer));
        }
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            let status = status.as_u16();
            return Err(Failure::Passing(format!("answered {status}: {message}")));
        }
        let (address, asked) = (self.address.to_owned(), self.request.asked.clone());
        Err(Failure::Lasting(match (status.as_u16(), &refusal) {
            (404, Some(_)) => RegistryError::NotFound {
                address,
                asked,
                code,
                message,
            },
            (409, _) => RegistryError::Incompatible {
                address,
                asked,
                code,
                message,
            },
            (404, None) => RegistryError::Answer {
                address,
                asked,
                reason: format!(
                    "answered 404, but not as a registry does: {message}; is the path right?"
                ),
            },
            (status, _) => RegistryError::Refused {
                address,
                asked,
                status,
                code,
                message,
            },
        }))
    }

    fn junk(&self, answer: &Response<Body>, body: &[u8], error: &serde_json::Error) -> Failure {
        self.lasting(format!(
            "what answers is no schema registry: {} ({})",
            described(answer, body),
            excerpt(error, 120)
        ))
    }

    /// Not followed: who answers there need not be who the credentials are for.
    fn redirected(&self, answer: &Response<Body>) -> Failure {
        let status = answer.status().as_u16();
        let target = answer.headers().get("location");
        let target = target.map(|target| String::from_utf8_lossy(target.as_bytes()));
        self.lasting(match target {
            Some(target) => format!(
                "answered {status}, a redirect to {:?}, which is not followed; \
                 give the address that leads there",
                excerpt(target, 200)
            ),
            None => format!("answered {status}, a redirect to nowhere"),
        })
    }

    fn lasting(&self, reason: String) -> Failure {
        Failure::Lasting(RegistryError::Answer {
            address: self.address.to_owned(),
            asked: self.request.asked.clone(),
            reason,
        })
    }

    /// Tells a connection that may come back from one that will stay wrong.
    fn failure(&self, error: &ureq::Error) -> Failure {
        match error {
            ureq::Error::Io(io) if io.kind() != std::io::ErrorKind::InvalidData => {
                Failure::Passing(excerpt(io, 200))
            }
            ureq::Error::Io(io) => self.lasting(of_tls(&io.to_string())),
            ureq::Error::Timeout(_) => Failure::Passing("no answer in time".to_owned()),
            ureq::Error::HostNotFound => Failure::Passing("no such host".to_owned()),
            ureq::Error::ConnectionFailed => Failure::Passing("no connection".to_owned()),
            ureq::Error::Protocol(error) => self.lasting(format!(
                "what answers doesn't speak HTTP: {}",
                excerpt(error, 200)
            )),
            ureq::Error::BodyExceedsLimit(_) => self.lasting(format!(
                "the answer is larger than {} MiB",
                MAX_ANSWER / 1024 / 1024
            )),
            error => self.lasting(excerpt(error, 300)),
        }
    }
}

/// What TLS finds wrong, and what may be done about it.
fn of_tls(reason: &str) -> String {
    let hint = if reason.contains("UnknownIssuer") {
        "; the file of its authority goes into --registry-ca-file"
    } else if reason.contains("CertificateRequired") {
        "; it wants a client's certificate: --registry-cert-file and --registry-key-file"
    } else if reason.contains("corrupt message") {
        "; what answers doesn't speak TLS: should it be http://?"
    } else {
        ""
    };
    format!("{}{hint}", excerpt(reason, 300))
}

/// `text/html, "<html>…"`: an answer that isn't a registry's.
fn described(answer: &Response<Body>, body: &[u8]) -> String {
    let kind = answer
        .headers()
        .get("content-type")
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or("no content type");
    if body.is_empty() {
        return format!("{kind}, an empty answer");
    }
    let start = String::from_utf8_lossy(&body[..body.len().min(400)]);
    format!("{kind}, {:?}", excerpt(start.trim(), 80))
}
