//! Client properties from `-X property=value` and from the files that kcat and the Java client use.
//!
//! The names and values are librdkafka's; `java.rs` tells which of the Java client's are understood too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use thiserror::Error;

use crate::java;

/// Why properties can't be used. The messages name the property and where it stands, never a secret's value.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PropertyError {
    /// The file can't be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A line or an argument isn't `property=value`.
    #[error("{place}: not of the form property=value")]
    Form {
        /// `FILE:LINE`, or `-X`.
        place: String,
    },
    /// A secret on the command line.
    #[error(
        "-X {0}: a secret must not be an argument, where ps shows it: put the line into a file and give it with --config"
    )]
    Secret(String),
    /// A property that is not for the user to set.
    #[error("{place}: {name}: {why}")]
    Reserved {
        /// `FILE:LINE`, or `-X`.
        place: String,
        /// The property.
        name: String,
        /// Who sets it instead.
        why: &'static str,
    },
    /// A property of the Java client that has no equivalent here.
    #[error("{place}: {name}: {why}")]
    Java {
        /// `FILE:LINE`, or `-X`.
        place: String,
        /// The property.
        name: String,
        /// What to write instead.
        why: String,
    },
    /// librdkafka doesn't know the property or refuses its value.
    #[error("{place}: {reason}")]
    Refused {
        /// `FILE:LINE`, or `-X`.
        place: String,
        /// librdkafka's words.
        reason: String,
    },
}

/// A value and where it was written, for messages.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) value: String,
    pub(crate) place: String,
    /// The name as it was written, where that is an alias.
    pub(crate) alias: Option<String>,
}

impl Entry {
    /// The value of the property `name`, as it was written at `place`.
    fn new(name: &str, value: impl Into<String>, place: impl Into<String>) -> Self {
        let name = without_prefix(name);
        Self {
            value: value.into(),
            place: place.into(),
            alias: (canonical(name) != name).then(|| name.to_owned()),
        }
    }
}

/// Properties by their canonical name. Later settings win, so that files are read first and arguments set after.
#[derive(Clone, Default)]
pub struct Properties {
    entries: BTreeMap<String, Entry>,
}

impl std::fmt::Debug for Properties {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Names only: some of the values are secrets.
        out.debug_set().entries(self.entries.keys()).finish()
    }
}

/// Names that librdkafka takes for another property: kept under one of the two, so that precedence is sure.
const ALIASES: &[(&str, &str)] = &[
    ("acks", "request.required.acks"),
    ("bootstrap.servers", "metadata.broker.list"),
    ("compression.type", "compression.codec"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("linger.ms", "queue.buffering.max.ms"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("max.partition.fetch.bytes", "fetch.message.max.bytes"),
    ("retries", "message.send.max.retries"),
    ("sasl.mechanism", "sasl.mechanisms"),
    (
        "sasl.oauthbearer.client.credentials.client.id",
        "sasl.oauthbearer.client.id",
    ),
    (
        "sasl.oauthbearer.client.credentials.client.secret",
        "sasl.oauthbearer.client.secret",
    ),
];

/// kcat marks properties of topics with a prefix; librdkafka finds them without.
fn without_prefix(name: &str) -> &str {
    match name.strip_prefix("topic.") {
        Some(rest) if !rest.starts_with("metadata.") && rest != "blacklist" => rest,
        _ => name,
    }
}

/// The one name under which a property is kept.
fn canonical(name: &str) -> &str {
    let name = without_prefix(name);
    ALIASES
        .iter()
        .find(|(alias, _)| *alias == name)
        .map_or(name, |(_, kept)| kept)
}

/// Whether the value of a property is a secret.
fn is_secret(name: &str) -> bool {
    name.contains("password")
        || name.contains("secret")
        || name.contains("passphrase")
        || name == "ssl.key.pem"
        || name.ends_with("private.key.pem")
        // Java's names.
        || name == "sasl.jaas.config"
        || name == "ssl.keystore.key"
}

/// Properties that these tools set themselves, and why.
fn reserved(name: &str) -> Option<&'static str> {
    match name {
        "enable.auto.commit"
        | "auto.commit.enable"
        | "enable.auto.offset.store"
        | "auto.commit.interval.ms" => Some(
            "offsets are committed only after the records were handed on; this is not for a setting to change",
        ),
        "enable.partition.eof" | "log.queue" => Some("set by the tool"),
        "transactional.id" => Some("it is --transaction that sets it"),
        _ => None,
    }
}

impl Properties {
    /// No properties: librdkafka's defaults, and the ones of these tools.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the properties of a file: a line each, `property=value`; see [`Properties::add_text`].
    ///
    /// # Errors
    ///
    /// The file can't be read, or as for [`Properties::add_text`].
    pub fn add_file(&mut self, path: &Path) -> Result<(), PropertyError> {
        let bytes = std::fs::read(path).map_err(|source| PropertyError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let text = String::from_utf8(bytes).map_err(|_| PropertyError::Unreadable {
            path: path.to_owned(),
            source: std::io::Error::new(std::io::ErrorKind::InvalidData, "not UTF-8 text"),
        })?;
        self.add_text(&path.display().to_string(), &text)
    }

    /// Adds the properties of a text in the form of kcat's and the Java client's files: a line each, `property=value`,
    /// also with `:` or blanks between the two; blank lines and lines from `#` or `!` on are skipped; a backslash at
    /// the end of a line continues it. Any other backslash stands for itself, as in kcat's files. `place` names the
    /// text in messages. `bootstrap.servers` is skipped: the address names the brokers.
    ///
    /// # Errors
    ///
    /// The first line that isn't a property, or that librdkafka does not know or refuses.
    pub fn add_text(&mut self, place: &str, text: &str) -> Result<(), PropertyError> {
        let mut added = BTreeMap::new();
        let mut lines = text.lines().enumerate();
        while let Some((at, line)) = lines.next() {
            let place = format!("{place}:{}", at + 1);
            let line = line.trim_start_matches('\u{feff}').trim();
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            let mut whole = line.to_owned();
            while let Some(begun) = whole.strip_suffix('\\') {
                whole = begun.trim_end().to_owned();
                let Some((_, next)) = lines.next() else { break };
                whole.push(' ');
                whole.push_str(next.trim());
            }
            let (name, value) = split_line(&whole).ok_or_else(|| PropertyError::Form {
                place: place.clone(),
            })?;
            if canonical(name) == "metadata.broker.list" {
                continue;
            }
            added.insert(canonical(name).to_owned(), Entry::new(name, value, place));
        }
        java::translate(&mut added)?;
        for (name, entry) in added {
            self.insert(name, entry)?;
        }
        Ok(())
    }

    /// Sets the property of an argument `-X property=value`.
    ///
    /// # Errors
    ///
    /// It isn't of that form, is a secret, is unknown to librdkafka or refused by it.
    pub fn add_argument(&mut self, argument: &str) -> Result<(), PropertyError> {
        let place = "-X".to_owned();
        let Some((name, value)) = argument.split_once('=') else {
            // What was meant may have been a secret: not repeated.
            return Err(PropertyError::Form { place });
        };
        let name = name.trim();
        if is_secret(name) {
            return Err(PropertyError::Secret(name.to_owned()));
        }
        let written = name;
        let name = canonical(written);
        if name == "metadata.broker.list" {
            let why = "the address names the brokers";
            return Err(PropertyError::Reserved {
                place,
                name: "bootstrap.servers".to_owned(),
                why,
            });
        }
        let mut added = BTreeMap::from([(name.to_owned(), Entry::new(written, value, place))]);
        java::translate(&mut added)?;
        added
            .into_iter()
            .try_for_each(|(name, entry)| self.insert(name, entry))
    }

    /// Sets a property that the tool's own options stand for: it wins over all that was set before.
    ///
    /// # Errors
    ///
    /// librdkafka does not know the property or refuses the value.
    pub fn set(
        &mut self,
        place: &str,
        name: &str,
        value: impl Into<String>,
    ) -> Result<(), PropertyError> {
        self.insert(canonical(name).to_owned(), Entry::new(name, value, place))
    }

    fn insert(&mut self, name: String, entry: Entry) -> Result<(), PropertyError> {
        if let Some(why) = reserved(&name) {
            return Err(PropertyError::Reserved {
                place: entry.place,
                name,
                why,
            });
        }
        // Asked one at a time, so that the message can say where it was written.
        let mut alone = ClientConfig::new();
        alone.set(entry.alias.as_ref().unwrap_or(&name), &entry.value);
        match alone.create_native_config() {
            Ok(_) => {
                self.entries.insert(name, entry);
                Ok(())
            }
            Err(error) => {
                let reason = match error {
                    KafkaError::ClientConfig(_, _, name, _) if is_secret(&name) => {
                        format!("the value of property \"{name}\" is refused")
                    }
                    // librdkafka tells the name that an alias stands for, not the one that was written.
                    KafkaError::ClientConfig(_, reason, ..) => match &entry.alias {
                        Some(alias) => {
                            reason.replace(&format!("\"{name}\""), &format!("\"{alias}\""))
                        }
                        None => reason,
                    },
                    other => other.to_string(),
                };
                Err(PropertyError::Refused {
                    place: entry.place,
                    reason,
                })
            }
        }
    }

    /// The value of a property, if one was set. Aliases are understood.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.entries
            .get(canonical(name))
            .map(|entry| entry.value.as_str())
    }

    /// Whether TLS connections would not check that the certificate is for the broker's host, or not check it at all;
    /// design §8: that is explicit, and said each time.
    #[must_use]
    pub fn unchecked_tls(&self) -> Option<&'static str> {
        if self
            .get("enable.ssl.certificate.verification")
            .is_some_and(|value| value == "false")
        {
            Some(
                "the broker's certificate is not checked (enable.ssl.certificate.verification=false)",
            )
        } else if self
            .get("ssl.endpoint.identification.algorithm")
            .is_some_and(|value| value == "none")
        {
            Some(
                "the broker's host name is not checked (ssl.endpoint.identification.algorithm=none)",
            )
        } else {
            None
        }
    }

    /// Puts `defaults` and then the properties over them into a configuration.
    pub(crate) fn over(&self, defaults: &[(&str, String)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (name, value) in defaults {
            config.set(canonical(name), value);
        }
        for (name, entry) in &self.entries {
            config.set(name, &entry.value);
        }
        config
    }
}

/// A line in two: the name ends at the first `=`, `:` or blank.
fn split_line(line: &str) -> Option<(&str, &str)> {
    let end = line.find(|c: char| c == '=' || c == ':' || c.is_whitespace())?;
    let (name, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (!name.is_empty()).then_some((name, value.trim()))
}

#[cfg(test)]
#[path = "properties_tests.rs"]
mod tests;
