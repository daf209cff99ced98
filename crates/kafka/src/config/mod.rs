//! Client properties from `-X property=value` and from the files that kcat and the Java client use.
//!
//! The names and values are librdkafka's; `java.rs` tells which of the Java client's are understood too.

mod entry;
mod file;
mod java;

use std::collections::BTreeMap;
use std::path::Path;

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;

pub use entry::PropertyError;

use entry::{Entry, canonical, is_secret, reserved};
use file::{is_continued, split_line};

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
        let bytes = std::fs::read(path).map_err(|error| PropertyError::Unreadable {
            path: path.to_owned(),
            error,
        })?;
        let text = String::from_utf8(bytes).map_err(|_| PropertyError::Unreadable {
            path: path.to_owned(),
            error: std::io::Error::new(std::io::ErrorKind::InvalidData, "not UTF-8 text"),
        })?;
        self.add_text(&path.display().to_string(), &text)
    }

    /// Adds the properties of a text in the form of kcat's and the Java client's files: a line each, `property=value`,
    /// also with `:` or blanks between the two; blank lines and lines from `#` or `!` on are skipped; an odd number of
    /// backslashes at the end of a line continues it, without the last one and without the blanks that begin the next
    /// line (as `java.util.Properties` does). Any other backslash stands for itself, as in kcat's files. `place` names
    /// the text in messages. `bootstrap.servers` is skipped: the address names the brokers.
    ///
    /// # Errors
    ///
    /// The first line that isn't a property, or that librdkafka does not know or refuses.
    pub fn add_text(&mut self, place: &str, text: &str) -> Result<(), PropertyError> {
        let mut added = BTreeMap::new();
        let mut lines = text.lines().enumerate();
        while let Some((at, line)) = lines.next() {
            let place = format!("{place}:{}", at + 1);
            let line = line.trim_start_matches('\u{feff}').trim_start();
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            let mut whole = line.to_owned();
            while is_continued(&whole) {
                whole.pop();
                let Some((_, next)) = lines.next() else { break };
                whole.push_str(next.trim_start());
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

#[cfg(test)]
mod tests;
