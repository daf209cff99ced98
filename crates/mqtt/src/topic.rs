//! The rules for topic names and topic filters (section 4.7), and what is allowed but rarely meant.

use crate::text::{disallowed, show};

/// The most levels of a topic name or filter, which is what Mosquitto takes; it hangs up on one that has more.
pub const MOST_LEVELS: usize = 201;

/// Why a text is no topic name or no topic filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// It is empty [MQTT-4.7.3-1].
    #[error("a topic has at least one character")]
    Empty,
    /// It holds NUL [MQTT-4.7.3-2], another control character or a non-character (section 1.5.4).
    #[error("a topic cannot hold {}, a control character or non-character", show(*.0))]
    Character(char),
    /// It has more levels than [`MOST_LEVELS`].
    #[error("a topic has at most {MOST_LEVELS} levels, this one has {0}")]
    TooManyLevels(usize),
    /// It is longer than 65,535 bytes [MQTT-4.7.3-3].
    #[error("a topic has at most 65535 bytes")]
    TooLong,
    /// A name with `+` or `#` [MQTT-3.3.2-2].
    #[error("a topic to publish to cannot hold the wildcards + and #")]
    Wildcard,
    /// A `#` that is not the last level, whole [MQTT-4.7.1-1].
    #[error("# must stand alone in the last level of a filter")]
    MultiLevel,
    /// A `+` that is not a whole level [MQTT-4.7.1-2].
    #[error("+ must stand alone in its level of a filter")]
    SingleLevel,
    /// A shared subscription without group or filter [MQTT-4.8.2-1], [MQTT-4.8.2-2].
    #[error("a shared subscription is $share/GROUP/FILTER, and GROUP has no + or #")]
    Share,
}

fn check_text(text: &str) -> Result<(), TopicError> {
    if text.is_empty() {
        Err(TopicError::Empty)
    } else if text.len() > usize::from(u16::MAX) {
        Err(TopicError::TooLong)
    } else if let Some(found) = disallowed(text) {
        Err(TopicError::Character(found))
    } else {
        match 1 + text.bytes().filter(|&byte| byte == b'/').count() {
            levels if levels > MOST_LEVELS => Err(TopicError::TooManyLevels(levels)),
            _ => Ok(()),
        }
    }
}

/// Checks a topic to publish to.
///
/// # Errors
///
/// The rule that it breaks.
pub fn check_name(name: &str) -> Result<(), TopicError> {
    check_text(name)?;
    if name.contains(['+', '#']) {
        return Err(TopicError::Wildcard);
    }
    Ok(())
}

/// Checks a topic filter, `$share/group/filter` too.
///
/// # Errors
///
/// The rule that it breaks.
pub fn check_filter(filter: &str) -> Result<(), TopicError> {
    check_text(filter)?;
    let filter = match filter.strip_prefix("$share/") {
        Some(shared) => {
            let (group, filter) = shared.split_once('/').ok_or(TopicError::Share)?;
            if group.is_empty() || group.contains(['+', '#']) || filter.is_empty() {
                return Err(TopicError::Share);
            }
            filter
        }
        None if filter == "$share" => return Err(TopicError::Share),
        None => filter,
    };
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        if level.contains('#') && (level != "#" || levels.peek().is_some()) {
            return Err(TopicError::MultiLevel);
        }
        if level.contains('+') && level != "+" {
            return Err(TopicError::SingleLevel);
        }
    }
    Ok(())
}

/// Something that the standard allows in a topic and that causes trouble later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// A slash in front makes an empty first level.
    LeadingSlash,
    /// Two slashes in a row, or one at the end.
    EmptyLevel,
    /// White space.
    Space,
    /// Characters outside ASCII, which can be written in more than one way.
    NotAscii,
    /// Topics that begin with `$` are the broker's own [MQTT-4.7.2-1].
    Dollar,
}

impl Oddity {
    /// A sentence about it.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::LeadingSlash => "a leading slash makes an empty first level",
            Self::EmptyLevel => "it has an empty level",
            Self::Space => "it holds white space",
            Self::NotAscii => "it holds characters outside ASCII",
            Self::Dollar => "topics that begin with $ are the broker's own",
        }
    }
}

/// What is odd about a topic or a template of topics.
#[must_use]
pub fn oddities(topic: &str) -> Vec<Oddity> {
    let rest = topic.strip_prefix('/').unwrap_or(topic);
    [
        (topic.starts_with('/'), Oddity::LeadingSlash),
        (rest.split('/').any(str::is_empty), Oddity::EmptyLevel),
        (topic.contains(char::is_whitespace), Oddity::Space),
        (!topic.is_ascii(), Oddity::NotAscii),
        (topic.starts_with('$'), Oddity::Dollar),
    ]
    .into_iter()
    .filter_map(|(found, oddity)| found.then_some(oddity))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_standard() {
        assert_eq!(check_name("a/b c/ä//"), Ok(()));
        assert_eq!(check_name("/"), Ok(()));
        assert_eq!(check_name(""), Err(TopicError::Empty));
        for found in ['\0', '\u{1}', '\u{7f}', '\u{85}', '\u{fdd0}', '\u{ffff}'] {
            let name = format!("a/{found}");
            assert_eq!(check_name(&name), Err(TopicError::Character(found)));
            assert_eq!(check_filter(&name), Err(TopicError::Character(found)));
        }
        assert_eq!(check_name(&"/".repeat(200)), Ok(()));
        assert_eq!(
            check_name(&"/".repeat(201)),
            Err(TopicError::TooManyLevels(202))
        );
        assert_eq!(check_name("a/+"), Err(TopicError::Wildcard));
        assert_eq!(check_name("a#"), Err(TopicError::Wildcard));
        assert_eq!(check_name(&"x".repeat(65_535)), Ok(()));
        assert_eq!(check_name(&"x".repeat(65_536)), Err(TopicError::TooLong));
    }

    #[test]
    fn filters_follow_the_standard() {
        for good in [
            "#",
            "+",
            "a/#",
            "+/b/+",
            "/+",
            "a//#",
            "$SYS/#",
            "$share/g/#",
            "$share/g//a",
        ] {
            assert_eq!(check_filter(good), Ok(()), "{good}");
        }
        let bad = [
            ("a#", TopicError::MultiLevel),
            ("#/a", TopicError::MultiLevel),
            ("a+", TopicError::SingleLevel),
            ("a/+b/c", TopicError::SingleLevel),
            ("", TopicError::Empty),
            ("$share", TopicError::Share),
            ("$share/g", TopicError::Share),
            ("$share//a", TopicError::Share),
            ("$share/g/", TopicError::Share),
            ("$share/+/a", TopicError::Share),
        ];
        for (filter, error) in bad {
            assert_eq!(check_filter(filter), Err(error), "{filter}");
        }
    }

    #[test]
    fn odd_topics_are_named() {
        assert_eq!(oddities("a/b"), []);
        assert_eq!(oddities("/a"), [Oddity::LeadingSlash]);
        assert_eq!(oddities("a//b"), [Oddity::EmptyLevel]);
        assert_eq!(oddities("a/"), [Oddity::EmptyLevel]);
        assert_eq!(oddities("a b/ü"), [Oddity::Space, Oddity::NotAscii]);
        assert_eq!(oddities("$SYS/x"), [Oddity::Dollar]);
    }
}
