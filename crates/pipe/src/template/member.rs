//! The members of an envelope that a template can name: `$topic`, `$topic/1`, `$key`, `$header:NAME`, …

use std::{borrow::Cow, fmt, str::FromStr};

use crate::envelope::{Envelope, format_time};

/// A member of an envelope: where the value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// `$topic`: the whole topic.
    Topic,
    /// `$topic/1`: a level of the topic, counted from 0.
    Level(usize),
    /// `$key`: Kafka's key.
    Key,
    /// `$header:NAME`: a Kafka header or MQTT user property. Of one that is there twice the last counts, as in Kafka's
    /// own clients (`Headers.lastHeader`).
    Header(String),
    /// `$timestamp`: RFC 3339 in UTC with milliseconds, as the envelope writes it.
    Timestamp,
    /// `$partition`: Kafka's.
    Partition,
    /// `$offset`: Kafka's.
    Offset,
    /// `$qos`: MQTT's.
    Qos,
}

/// Why a text behind a `$` names no member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemberSyntaxError {
    /// There is no such member.
    #[error(
        "'${0}' is not a member of the envelope; those are $topic, $topic/N, $key, $header:NAME, $timestamp, $partition, $offset and $qos (a field of that name is written '/${0}')"
    )]
    Unknown(String),
    /// A level that is not a number.
    #[error("'$topic/{0}': a level of the topic is a number, and the first is 0")]
    Level(String),
    /// A header without a name.
    #[error("'$header:' needs the header's name behind it")]
    Header,
}

/// Why an envelope has no text for a member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemberError {
    /// It lacks the member, or there is no envelope.
    #[error("its envelope has no {}", described(.0))]
    Missing(Member),
    /// The topic has fewer levels.
    #[error("its topic has no level {level}; the last is {last}")]
    NoLevel {
        /// The one that was asked for.
        level: usize,
        /// The last that there is; the first is 0.
        last: usize,
    },
    /// A header without a value.
    #[error("header '{0}' is null, not a text")]
    Null(String),
    /// Text is needed, and a key or header holds other bytes.
    #[error("its {} is not UTF-8, and only text can stand here", described(.0))]
    NotText(Member),
}

/// The member in a sentence.
fn described(member: &Member) -> Cow<'_, str> {
    match member {
        Member::Topic | Member::Level(_) => "topic".into(),
        Member::Key => "key".into(),
        Member::Header(name) => format!("header '{name}'").into(),
        Member::Timestamp => "timestamp".into(),
        Member::Partition => "partition".into(),
        Member::Offset => "offset".into(),
        Member::Qos => "qos".into(),
    }
}

impl FromStr for Member {
    type Err = MemberSyntaxError;

    /// Reads what stands behind the `$`.
    fn from_str(text: &str) -> Result<Self, MemberSyntaxError> {
        if let Some(level) = text.strip_prefix("topic/") {
            let wrong = || MemberSyntaxError::Level(level.to_owned());
            let is_number = level.bytes().all(|byte| byte.is_ascii_digit())
                && (level == "0" || !level.starts_with('0'));
            return match level.parse() {
                Ok(level) if is_number => Ok(Self::Level(level)),
                _ => Err(wrong()),
            };
        }
        if let Some(name) = text.strip_prefix("header:") {
            return match name {
                "" => Err(MemberSyntaxError::Header),
                name => Ok(Self::Header(name.to_owned())),
            };
        }
        match text {
            "topic" => Ok(Self::Topic),
            "key" => Ok(Self::Key),
            "timestamp" => Ok(Self::Timestamp),
            "partition" => Ok(Self::Partition),
            "offset" => Ok(Self::Offset),
            "qos" => Ok(Self::Qos),
            other => Err(MemberSyntaxError::Unknown(other.to_owned())),
        }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Level(level) => write!(f, "$topic/{level}"),
            Self::Header(name) => write!(f, "$header:{name}"),
            other => write!(f, "${}", described(other)),
        }
    }
}

impl Member {
    /// Where it stands in the envelope, as a JSON Pointer.
    #[must_use]
    pub fn pointer(&self) -> &'static str {
        match self {
            Self::Topic | Self::Level(_) => "/topic",
            Self::Key => "/key",
            Self::Header(_) => "/headers",
            Self::Timestamp => "/timestamp",
            Self::Partition => "/partition",
            Self::Offset => "/offset",
            Self::Qos => "/qos",
        }
    }

    /// Its text.
    ///
    /// # Errors
    ///
    /// [`MemberError`]: the envelope lacks it, or it is no text.
    pub fn text<'a>(&self, envelope: &'a Envelope<'_>) -> Result<Cow<'a, str>, MemberError> {
        match self.bytes(envelope)? {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes)
                .map(Cow::Borrowed)
                .map_err(|_| MemberError::NotText(self.clone())),
            // Those are numbers and times.
            Cow::Owned(bytes) => String::from_utf8(bytes)
                .map(Cow::Owned)
                .map_err(|_| MemberError::NotText(self.clone())),
        }
    }

    /// Its bytes: those of its text, or of a key or header that is no text.
    ///
    /// # Errors
    ///
    /// [`MemberError`]: the envelope lacks it.
    pub fn bytes<'a>(&self, envelope: &'a Envelope<'_>) -> Result<Cow<'a, [u8]>, MemberError> {
        let missing = || MemberError::Missing(self.clone());
        let text = |text: String| Cow::Owned(text.into_bytes());
        match self {
            Self::Topic => {
                let topic = envelope.topic.as_deref().ok_or_else(missing)?;
                Ok(Cow::Borrowed(topic.as_bytes()))
            }
            Self::Level(level) => {
                let topic = envelope.topic.as_deref().ok_or_else(missing)?;
                let found = topic.split('/').nth(*level);
                let found = found.ok_or_else(|| MemberError::NoLevel {
                    level: *level,
                    last: topic.matches('/').count(),
                })?;
                Ok(Cow::Borrowed(found.as_bytes()))
            }
            Self::Key => envelope
                .key
                .as_deref()
                .map(Cow::Borrowed)
                .ok_or_else(missing),
            Self::Header(name) => {
                let mut last_first = envelope.headers.iter().rev();
                let (_, value) = last_first
                    .find(|(header, _)| header == name)
                    .ok_or_else(missing)?;
                let value = value.as_deref();
                value
                    .map(Cow::Borrowed)
                    .ok_or_else(|| MemberError::Null(name.clone()))
            }
            Self::Timestamp => {
                let time = envelope.timestamp.and_then(format_time);
                time.map(text).ok_or_else(missing)
            }
            Self::Partition => number(envelope.partition).ok_or_else(missing),
            Self::Offset => number(envelope.offset).ok_or_else(missing),
            Self::Qos => number(envelope.qos).ok_or_else(missing),
        }
    }
}

fn number<'a>(value: Option<impl itoa::Integer>) -> Option<Cow<'a, [u8]>> {
    let text = |value| itoa::Buffer::new().format(value).as_bytes().to_vec();
    value.map(text).map(Cow::Owned)
}
