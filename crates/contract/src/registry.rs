//! A client of the Confluent Schema Registry's HTTP API: look up, register, fetch.
//!
//! Calls block, retry what may pass (a lost connection, 5xx) on each address in turn until their
//! time is up, and are cached: schemas by id, ids by subject and schema.
//!
//! A registry may be somebody else's: the size of an answer, the number of references and the time of a call are
//! bounded, and redirects are not followed.

mod address;
mod error;
mod http;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tapline_pipe::io::stop::Stop;

pub use self::address::{Address, Credentials};
pub use self::error::RegistryError;
use self::http::{Http, Request};
use crate::excerpt::excerpt;
use crate::wire::Guid;

/// How long an id that the registry doesn't know isn't asked for again: long enough that a topic
/// full of foreign bytes does not become as many requests, short enough for a registry's replica
/// to catch up.
const UNKNOWN_FOR: Duration = Duration::from_secs(5);

/// A schema refers to so many others at most, those included that they refer to in turn.
const MAX_REFERENCES: usize = 1000;

/// The texts of all schemas that one refers to, and of all that are cached, in bytes. With the largest answer and
/// what it is read into, a registry's client stays below 128 MiB.
const MAX_TEXTS: usize = 32 * 1024 * 1024;

/// How many schemas are cached.
const MAX_CACHED: usize = 10_000;

/// How a registry is reached.
#[derive(Debug, Clone)]
pub struct Settings {
    /// At least one; they are replicas of one registry.
    pub addresses: Vec<Address>,
    /// Sent to each address with each request (HTTP basic authentication).
    pub credentials: Option<Credentials>,
    /// PEM file of the authorities to trust in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM files of this client's certificate and its private key, for mutual TLS.
    pub client_files: Option<(PathBuf, PathBuf)>,
    /// The longest that a call may take, all its attempts together.
    pub timeout: Duration,
    /// A call ends with [`RegistryError::Stopped`] once this is requested.
    pub stop: Stop,
}

/// A registry. Cheap to share behind a reference; no request is sent before the first call.
#[derive(Debug)]
pub struct Registry {
    http: Http,
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    /// By path of the request.
    schemas: HashMap<String, Arc<StoredSchema>>,
    /// The size of their texts together, in bytes.
    size: usize,
    /// By subject and body of the request.
    ids: HashMap<(String, String), Registered>,
    /// By path of the request: when the registry said that it doesn't know it.
    unknown: HashMap<String, (Instant, RegistryError)>,
}

/// What the registry says of a schema under a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Registered {
    /// The schema's id, as it goes into the wire format.
    pub id: u32,
    /// Its version under the subject; not every registry tells on registering.
    pub version: Option<u32>,
}

/// Which version of a subject's schema is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The newest.
    Latest,
    /// This one, from 1.
    Number(u32),
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Version::Latest => f.write_str("latest"),
            Version::Number(number) => number.fmt(f),
        }
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "latest" => Ok(Version::Latest),
            _ => text
                .parse()
                .ok()
                .filter(|number| *number > 0)
                .map(Version::Number)
                .ok_or_else(|| format!("'{text}' is not a version: a number from 1, or latest")),
        }
    }
}

/// What language a schema is written in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(from = "String")]
pub enum SchemaKind {
    /// Avro; so too if the registry names none.
    #[default]
    Avro,
    /// JSON Schema.
    Json,
    /// Protobuf.
    Protobuf,
    /// Something else, in the registry's word.
    Other(String),
}

impl From<String> for SchemaKind {
    fn from(word: String) -> Self {
        match word.as_str() {
            "AVRO" => SchemaKind::Avro,
            "JSON" => SchemaKind::Json,
            "PROTOBUF" => SchemaKind::Protobuf,
            _ => SchemaKind::Other(word),
        }
    }
}

impl SchemaKind {
    /// The API's word for it, but for one that is not known here.
    #[must_use]
    pub fn word(&self) -> Option<&'static str> {
        match self {
            SchemaKind::Avro => Some("AVRO"),
            SchemaKind::Json => Some("JSON"),
            SchemaKind::Protobuf => Some("PROTOBUF"),
            SchemaKind::Other(_) => None,
        }
    }
}

impl fmt::Display for SchemaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SchemaKind::Avro => "Avro",
            SchemaKind::Json => "JSON Schema",
            SchemaKind::Protobuf => "Protobuf",
            // The registry's own word: what it may do to a terminal is not known.
            SchemaKind::Other(word) => return f.write_str(&excerpt(word, 60)),
        })
    }
}

/// A schema as the registry holds it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredSchema {
    /// Its id, where the answer says it.
    pub id: Option<u32>,
    /// Its version, where the answer says it.
    pub version: Option<u32>,
    /// Its language.
    #[serde(default, rename = "schemaType")]
    pub kind: SchemaKind,
    /// Its text.
    #[serde(rename = "schema")]
    pub text: String,
    /// The schemas that it refers to.
    #[serde(default)]
    pub references: Vec<Reference>,
}

/// A schema's reference to another.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Reference {
    /// As the `$ref` has it.
    pub name: String,
    /// The other's subject.
    pub subject: String,
    /// The other's version.
    pub version: u32,
}

/// A JSON Schema to look up or register.
#[derive(Debug, Clone, Copy)]
pub struct Definition<'a> {
    /// Its text.
    pub text: &'a str,
    /// The schemas that it refers to.
    pub references: &'a [Reference],
    /// Compare and keep it in the registry's normal form, in which the order of members and the white
    /// space don't matter. The same on looking up and on registering, or one won't find the other's.
    pub normalize: bool,
}

impl Registry {
    /// Prepares a client; nothing is sent.
    ///
    /// # Errors
    /// When the authorities' file can't be used, or there is no address.
    pub fn new(settings: Settings) -> Result<Registry, RegistryError> {
        Ok(Registry {
            http: Http::new(settings)?,
            cache: Mutex::default(),
        })
    }

    /// The id of a JSON Schema that is registered under `subject`.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`] if the subject or, under it, the schema is not registered.
    pub fn look_up(
        &self,
        subject: &str,
        schema: Definition<'_>,
    ) -> Result<Registered, RegistryError> {
        let path = format!(
            "/subjects/{}?normalize={}",
            segment(subject),
            schema.normalize
        );
        self.post_schema(path, subject, schema, "looking up the schema under")
    }

    /// Registers a JSON Schema under `subject` if it isn't there, and gives its id.
    ///
    /// # Errors
    /// [`RegistryError::Incompatible`] if the subject's versions forbid it.
    pub fn register(
        &self,
        subject: &str,
        schema: Definition<'_>,
    ) -> Result<Registered, RegistryError> {
        let path = format!(
            "/subjects/{}/versions?normalize={}",
            segment(subject),
            schema.normalize
        );
        self.post_schema(path, subject, schema, "registering the schema under")
    }

    fn post_schema(
        &self,
        path: String,
        subject: &str,
        schema: Definition<'_>,
        doing: &str,
    ) -> Result<Registered, RegistryError> {
        let mut body = json!({"schemaType": "JSON", "schema": schema.text});
        if !schema.references.is_empty() {
            body["references"] = json!(schema.references);
        }
        let body = body.to_string();
        let key = (subject.to_owned(), body.clone());
        if let Some(registered) = self.cache().ids.get(&key) {
            return Ok(*registered);
        }
        let request = Request {
            path,
            body: Some(body),
            asked: format!("{doing} subject {subject:?}"),
        };
        let registered: Registered = self.http.call(&request, self.http.deadline())?;
        self.cache().ids.insert(key, registered);
        Ok(registered)
    }

    /// The schema with this id, of whatever kind.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`] if there is none; for the next seconds this is then remembered.
    pub fn by_id(&self, id: u32) -> Result<Arc<StoredSchema>, RegistryError> {
        self.fetch(format!("/schemas/ids/{id}"), format!("schema {id}"))
    }

    /// The schema with this GUID (Confluent Platform 8 and later know them).
    ///
    /// # Errors
    /// [`RegistryError::NotFound`] if there is none; for the next seconds this is then remembered.
    pub fn by_guid(&self, guid: Guid) -> Result<Arc<StoredSchema>, RegistryError> {
        self.fetch(format!("/schemas/guids/{guid}"), format!("schema {guid}"))
    }

    fn fetch(&self, path: String, asked: String) -> Result<Arc<StoredSchema>, RegistryError> {
        {
            let cache = self.cache();
            if let Some(schema) = cache.schemas.get(&path) {
                return Ok(Arc::clone(schema));
            }
            if let Some((since, error)) = cache.unknown.get(&path)
                && since.elapsed() < UNKNOWN_FOR
            {
                return Err(error.clone());
            }
        }
        let request = Request {
            path,
            body: None,
            asked,
        };
        let answer = self.http.call(&request, self.http.deadline());
        let mut cache = self.cache();
        match answer {
            Ok(schema) => {
                let schema: Arc<StoredSchema> = Arc::new(schema);
                cache.unknown.remove(&request.path);
                cache.keep(request.path, Arc::clone(&schema));
                Ok(schema)
            }
            Err(error) => {
                if let RegistryError::NotFound { .. } = error {
                    // Foreign bytes can look like four billion ids.
                    cache
                        .unknown
                        .retain(|_, (since, _)| since.elapsed() < UNKNOWN_FOR);
                    cache
                        .unknown
                        .insert(request.path, (Instant::now(), error.clone()));
                }
                Err(error)
            }
        }
    }

    /// A version of a subject's schema. Not cached: the newest one changes.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`] if the subject or the version isn't there.
    pub fn version(&self, subject: &str, version: Version) -> Result<StoredSchema, RegistryError> {
        self.version_by(subject, version, self.http.deadline())
    }

    fn version_by(
        &self,
        subject: &str,
        version: Version,
        deadline: Instant,
    ) -> Result<StoredSchema, RegistryError> {
        let request = Request {
            path: format!("/subjects/{}/versions/{version}", segment(subject)),
            body: None,
            asked: format!("version {version} of subject {subject:?}"),
        };
        self.http.call(&request, deadline)
    }

    /// The schemas that these references lead to, and those that they refer to in turn, each by the name
    /// that its `$ref` has. All of them together are one call: there is one timeout for them.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`] if a reference leads nowhere, [`RegistryError::References`] if there are more than
    /// a thousand, or their texts are too large together.
    pub fn resolve(
        &self,
        references: &[Reference],
    ) -> Result<Vec<(String, String)>, RegistryError> {
        let deadline = self.http.deadline();
        let mut names = HashSet::new();
        let mut found = Vec::new();
        let mut size = 0;
        let mut left = Vec::new();
        let mut more = references.to_vec();
        loop {
            for reference in more {
                if names.insert(reference.name.clone()) {
                    if names.len() > MAX_REFERENCES {
                        let reason =
                            format!("the schema refers to more than {MAX_REFERENCES} others");
                        return Err(reference.too_much(reason));
                    }
                    left.push(reference);
                }
            }
            let Some(reference) = left.pop() else {
                return Ok(found);
            };
            let version = Version::Number(reference.version);
            let schema = self.version_by(&reference.subject, version, deadline)?;
            size += schema.text.len();
            if size > MAX_TEXTS {
                let limit = MAX_TEXTS / 1024 / 1024;
                let reason = format!("the schemas referred to are over {limit} MiB together");
                return Err(reference.too_much(reason));
            }
            found.push((reference.name, schema.text));
            more = schema.references;
        }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        // Whoever panicked while holding it left whole entries.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cache {
    /// When there are too many, all are forgotten: those that are needed are fetched again.
    fn keep(&mut self, path: String, schema: Arc<StoredSchema>) {
        if self.schemas.len() >= MAX_CACHED || self.size + schema.text.len() > MAX_TEXTS {
            self.schemas.clear();
            self.size = 0;
        }
        self.size += schema.text.len();
        if let Some(before) = self.schemas.insert(path, schema) {
            self.size -= before.text.len();
        }
    }
}

impl Reference {
    fn too_much(self, reason: String) -> RegistryError {
        RegistryError::References {
            name: self.name,
            subject: self.subject,
            version: self.version,
            reason,
        }
    }
}

/// All but the unreserved characters of a path (RFC 3986).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A subject as one segment of a path.
fn segment(subject: &str) -> PercentEncode<'_> {
    utf8_percent_encode(subject, RESERVED)
}

#[cfg(test)]
mod cache_tests {
    use super::*;

    #[test]
    fn the_cache_forgets_before_it_grows_without_end() {
        let mut cache = Cache::default();
        let schema = |size| {
            Arc::new(StoredSchema {
                id: None,
                version: None,
                kind: SchemaKind::Json,
                text: " ".repeat(size),
                references: Vec::new(),
            })
        };
        for id in 0..3 * MAX_CACHED {
            cache.keep(format!("/schemas/ids/{id}"), schema(1));
            assert!(cache.schemas.len() <= MAX_CACHED);
        }
        for id in 0..10 {
            cache.keep(format!("/schemas/ids/{id}"), schema(MAX_TEXTS / 3));
            let size: usize = cache.schemas.values().map(|it| it.text.len()).sum();
            assert!(size <= MAX_TEXTS);
            assert_eq!(cache.size, size);
        }
    }
}
