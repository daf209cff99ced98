//! A client of the Confluent Schema Registry's HTTP API: look up, register, fetch.
//!
//! Calls block, retry what may pass (a lost connection, 5xx) on each address in turn until their
//! time is up, and are cached: schemas by id for good, ids by subject and schema.

mod address;
mod http;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::json;

pub use self::address::{Address, Credentials};
use self::http::{Http, Request};
use crate::wire::Guid;

/// How long an id that the registry doesn't know isn't asked for again: long enough that a topic
/// full of foreign bytes does not become as many requests, short enough for a registry's replica
/// to catch up.
const UNKNOWN_FOR: Duration = Duration::from_secs(5);

/// How a registry is reached.
#[derive(Debug, Clone)]
pub struct Settings {
    /// At least one; they are replicas of one registry.
    pub addresses: Vec<Address>,
    /// Sent to each address with each request (HTTP basic authentication).
    pub credentials: Option<Credentials>,
    /// PEM file of the authorities to trust in place of Mozilla's.
    pub ca_file: Option<PathBuf>,
    /// PEM files of this client's certificate and its private key, for mutual TLS.
    pub client_files: Option<(PathBuf, PathBuf)>,
    /// The longest that a call may take, all its attempts together.
    pub timeout: Duration,
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
            SchemaKind::Other(word) => word,
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

/// Why a registry can't be used, or what it answered. Messages name the address and what was
/// asked, and give the registry's own words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// The settings can't be: an address, the authorities' file, the credentials.
    #[error("{0}")]
    Settings(String),
    /// 404: the registry has no such subject, version or schema.
    #[error("schema registry {address}: {asked}: not found: {message}{}", code_of(*.code))]
    NotFound {
        /// Who answered.
        address: String,
        /// What was asked, such as `schema 7`.
        asked: String,
        /// 40401 subject, 40402 version, 40403 schema.
        code: Option<u32>,
        /// The registry's words.
        message: String,
    },
    /// 409: the schema is not compatible with the subject's versions.
    #[error("schema registry {address}: {asked}: not compatible: {message}{}", code_of(*.code))]
    Incompatible {
        /// Who answered.
        address: String,
        /// What was asked.
        asked: String,
        /// The registry's own code.
        code: Option<u32>,
        /// The registry's words: what is not compatible with what.
        message: String,
    },
    /// Another 4xx: 401 and 403 (credentials), 422 (not a schema to this registry), …
    #[error("schema registry {address}: {asked}: refused ({status}): {message}{}", code_of(*.code))]
    Refused {
        /// Who answered.
        address: String,
        /// What was asked.
        asked: String,
        /// The HTTP status.
        status: u16,
        /// The registry's own code.
        code: Option<u32>,
        /// The registry's words.
        message: String,
    },
    /// No address gave an answer in time, or all of them 5xx.
    #[error("schema registry: {asked}: no answer after {attempts} {}: {reasons}", if *.attempts == 1 { "attempt" } else { "attempts" })]
    Unavailable {
        /// What was asked.
        asked: String,
        /// How often.
        attempts: u32,
        /// What each address said or did last.
        reasons: String,
    },
    /// What answers is no schema registry, or it can't be trusted.
    #[error("schema registry {address}: {asked}: {reason}")]
    Answer {
        /// Who answered.
        address: String,
        /// What was asked.
        asked: String,
        /// What was odd about the answer.
        reason: String,
    },
}

fn code_of(code: Option<u32>) -> String {
    code.map_or_else(String::new, |code| format!(" (code {code})"))
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
        let registered: Registered = self.http.call(&Request {
            path,
            body: Some(body),
            asked: format!("{doing} subject {subject:?}"),
        })?;
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
        let answer = self.http.call::<StoredSchema>(&request);
        let mut cache = self.cache();
        match answer {
            Ok(schema) => {
                let schema = Arc::new(schema);
                cache.unknown.remove(&request.path);
                cache.schemas.insert(request.path, Arc::clone(&schema));
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
        self.http.call(&Request {
            path: format!("/subjects/{}/versions/{version}", segment(subject)),
            body: None,
            asked: format!("version {version} of subject {subject:?}"),
        })
    }

    /// The schemas that these references lead to, and those that they refer to in turn, each by the name
    /// that its `$ref` has.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`] if a reference leads nowhere.
    pub fn resolve(
        &self,
        references: &[Reference],
    ) -> Result<Vec<(String, String)>, RegistryError> {
        let mut found: Vec<(String, String)> = Vec::new();
        let mut left = references.to_vec();
        while let Some(reference) = left.pop() {
            if found.iter().any(|(name, _)| *name == reference.name) {
                continue;
            }
            let version = Version::Number(reference.version);
            let schema = self.version(&reference.subject, version)?;
            left.extend(schema.references);
            found.push((reference.name, schema.text));
        }
        Ok(found)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        // Whoever panicked while holding it left whole entries.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A subject as one segment of a path (RFC 3986 unreserved characters stay).
fn segment(subject: &str) -> String {
    use fmt::Write as _;
    let mut segment = String::with_capacity(subject.len());
    for byte in subject.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                segment.push(char::from(byte));
            }
            _ => {
                let _ = write!(segment, "%{byte:02X}");
            }
        }
    }
    segment
}
