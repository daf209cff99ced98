//! The address of a topic: `kafka://host[:9092][,host2[:9092]…]/topic`.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The port of a broker that an address doesn't name one for.
pub const DEFAULT_PORT: u16 = 9092;

/// The longest name that a topic can have, in bytes.
const TOPIC_LIMIT: usize = 249;

/// Why a text is not the address of a Kafka topic. The messages never repeat credentials.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressError {
    /// It doesn't start with `kafka://`.
    #[error("an address of Kafka starts with kafka://, as in kafka://localhost:9092/topic")]
    Scheme,
    /// It holds a user, and perhaps a password.
    #[error(
        "an address must not hold a user or password: put sasl.username and sasl.password into a file and give it with --config"
    )]
    Credentials,
    /// No broker is named.
    #[error("the address names no broker: kafka://HOST[:PORT][,HOST2[:PORT]…]/TOPIC")]
    NoBroker,
    /// A broker's host is not one.
    #[error("'{0}' is not a host (an IPv6 address stands in brackets: [::1]:9092)")]
    Host(String),
    /// A broker's port is not one.
    #[error("'{port}' is not a port of {host} (1 to 65535)")]
    Port {
        /// The broker's host.
        host: String,
        /// What stands in the port's place.
        port: String,
    },
    /// No topic is named where one is needed.
    #[error("the address names no topic: kafka://{brokers}/TOPIC")]
    NoTopic {
        /// The brokers, as given.
        brokers: String,
    },
    /// The topic's name is not a legal one.
    #[error("'{topic}' is not the name of a topic: {why}")]
    Topic {
        /// What stands in the topic's place.
        topic: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A pattern where one topic is needed.
    #[error("'{0}' is a pattern of topics; one topic is needed here")]
    Pattern(String),
}

/// A broker to ask first: a host name or IP address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Broker {
    /// A name or an IP address, IPv6 without its brackets.
    pub host: String,
    /// 1 to 65535.
    pub port: u16,
}

impl fmt::Display for Broker {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(out, "[{}]:{}", self.host, self.port)
        } else {
            write!(out, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Broker {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, rest) = rest
                .split_once(']')
                .ok_or_else(|| AddressError::Host(text.to_owned()))?;
            // A zone (fe80::1%eth0) is for the resolver to judge.
            let ip = host.split('%').next().unwrap_or(host);
            if ip.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(AddressError::Host(text.to_owned()));
            }
            match rest.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if rest.is_empty() => (host, None),
                None => return Err(AddressError::Host(text.to_owned())),
            }
        } else {
            match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            }
        };
        let legal = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
        if host.is_empty()
            || !host.chars().all(legal)
            || port.is_some_and(|port| port.contains(':'))
        {
            return Err(AddressError::Host(text.to_owned()));
        }
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => match port.parse() {
                Ok(number) if number > 0 && port.bytes().all(|b| b.is_ascii_digit()) => number,
                _ => {
                    return Err(AddressError::Port {
                        host: host.to_owned(),
                        port: port.to_owned(),
                    });
                }
            },
        };
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

/// What an address names on its brokers: one topic, or all that match a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// One topic by its name.
    Name(String),
    /// Topics by a POSIX extended regular expression, which starts with `^`.
    Pattern(String),
}

impl Topic {
    /// The name or the pattern, as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Name(text) | Self::Pattern(text) => text,
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl FromStr for Topic {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.starts_with('^') {
            return Ok(Self::Pattern(text.to_owned()));
        }
        match check_topic_name(text) {
            Ok(()) => Ok(Self::Name(text.to_owned())),
            Err(why) => Err(AddressError::Topic {
                topic: text.to_owned(),
                why,
            }),
        }
    }
}

/// Whether this character may stand in the name of a topic.
#[must_use]
pub fn is_topic_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// Checks the name of a topic by Kafka's rules (`org.apache.kafka.common.internals.Topic`).
///
/// # Errors
///
/// The rule that it breaks.
pub fn check_topic_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        Err("a name has at least one character")
    } else if name == "." || name == ".." {
        Err("a name can't be '.' or '..'")
    } else if !name.chars().all(is_topic_character) {
        Err("names hold letters, digits, '.', '_' and '-' only (a pattern starts with ^)")
    } else if name.len() > TOPIC_LIMIT {
        Err("it is longer than 249 characters")
    } else {
        Ok(())
    }
}

/// Where to publish to or what to tap: brokers to ask first, and usually a topic.
///
/// Tools take it as text and parse it after clap has done its work: clap repeats a wrong value in its message, and a
/// wrong address may be wrong because it holds a password.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// At least one.
    pub brokers: Vec<Broker>,
    /// `None` for `kafka://host`, which some tools allow.
    pub topic: Option<Topic>,
}

impl Address {
    /// The brokers in the form of `bootstrap.servers`.
    #[must_use]
    pub fn bootstrap_servers(&self) -> String {
        let brokers: Vec<String> = self.brokers.iter().map(Broker::to_string).collect();
        brokers.join(",")
    }

    /// Reads an address whose topic may be a template: a text with placeholders in braces, which are filled in for each
    /// record. One that holds a brace is given back as it stands, and is not in the address then.
    ///
    /// # Errors
    ///
    /// As [`Address::from_str`], but for what is wrong with a template.
    pub fn with_template(text: &str) -> Result<(Self, Option<String>), AddressError> {
        let (brokers, topic) = split(text)?;
        if topic.starts_with('^') || !topic.contains(['{', '}']) {
            return Ok((text.parse()?, None));
        }
        if holds_at(topic) {
            return Err(AddressError::Credentials);
        }
        let address = Self {
            brokers: read_brokers(brokers)?,
            topic: None,
        };
        Ok((address, Some(topic.to_owned())))
    }

    /// The one topic that the address names.
    ///
    /// # Errors
    ///
    /// [`AddressError::NoTopic`] or [`AddressError::Pattern`].
    pub fn topic_name(&self) -> Result<&str, AddressError> {
        match &self.topic {
            Some(Topic::Name(name)) => Ok(name),
            Some(Topic::Pattern(pattern)) => Err(AddressError::Pattern(pattern.clone())),
            None => Err(AddressError::NoTopic {
                brokers: self.bootstrap_servers(),
            }),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "kafka://{}", self.bootstrap_servers())?;
        self.topic
            .as_ref()
            .map_or(Ok(()), |topic| write!(out, "/{topic}"))
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (brokers, topic) = split(text)?;
        // Before anything else could repeat a part of it. A password may hold a slash.
        if topic.contains('@') && !topic.starts_with('^') {
            return Err(AddressError::Credentials);
        }
        let brokers = read_brokers(brokers)?;
        let topic = if topic.is_empty() {
            None
        } else {
            Some(topic.parse()?)
        };
        Ok(Self { brokers, topic })
    }
}

/// The brokers and the topic, as they stand.
fn split(text: &str) -> Result<(&str, &str), AddressError> {
    let rest = match text.get(..8) {
        Some(scheme) if scheme.eq_ignore_ascii_case("kafka://") => &text[8..],
        _ => return Err(AddressError::Scheme),
    };
    let (brokers, topic) = rest.split_once('/').unwrap_or((rest, ""));
    if brokers.contains('@') {
        return Err(AddressError::Credentials);
    }
    Ok((brokers, topic))
}

fn read_brokers(brokers: &str) -> Result<Vec<Broker>, AddressError> {
    if brokers.is_empty() {
        return Err(AddressError::NoBroker);
    }
    brokers.split(',').map(str::parse).collect()
}

/// Whether a text that may be a template holds an `@` beside its placeholders.
fn holds_at(template: &str) -> bool {
    let mut depth = 0u32;
    template.chars().any(|c| {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == '@' && depth == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_read() {
        for (text, servers, topic) in [
            (
                "kafka://localhost/readings",
                "localhost:9092",
                Some("readings"),
            ),
            (
                "kafka://localhost:19092/readings",
                "localhost:19092",
                Some("readings"),
            ),
            (
                "kafka://a,b:9093,c.example.org/t.1-x_Y",
                "a:9092,b:9093,c.example.org:9092",
                Some("t.1-x_Y"),
            ),
            ("kafka://[::1]/t", "[::1]:9092", Some("t")),
            (
                "kafka://[2001:db8::7]:9093,127.0.0.1:1/t",
                "[2001:db8::7]:9093,127.0.0.1:1",
                Some("t"),
            ),
            ("KAFKA://host/t", "host:9092", Some("t")),
            ("kafka://host", "host:9092", None),
            ("kafka://host:1/", "host:1", None),
            ("kafka://host/^gen.*", "host:9092", Some("^gen.*")),
            ("kafka://host/^a/b@c", "host:9092", Some("^a/b@c")),
        ] {
            let address: Address = text
                .parse()
                .unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(address.bootstrap_servers(), servers, "{text}");
            assert_eq!(address.topic.as_ref().map(Topic::as_str), topic, "{text}");
        }
    }

    #[test]
    fn wrong_addresses_are_refused() {
        for (text, word) in [
            ("localhost:9092/t", "kafka://"),
            ("mqtt://localhost/t", "kafka://"),
            ("", "kafka://"),
            ("kafka:///t", "names no broker"),
            ("kafka://", "names no broker"),
            ("kafka://a,/t", "is not a host"),
            ("kafka://a b/t", "is not a host"),
            ("kafka://::1/t", "brackets"),
            ("kafka://[::1/t", "brackets"),
            ("kafka://[::1]9092/t", "brackets"),
            ("kafka://[host]/t", "brackets"),
            ("kafka://a:/t", "'' is not a port of a"),
            ("kafka://a:0/t", "'0' is not a port"),
            ("kafka://a:65536/t", "'65536' is not a port"),
            ("kafka://a:+1/t", "'+1' is not a port"),
            ("kafka://a/b/c", "'b/c' is not the name of a topic"),
            ("kafka://a/t?x=1", "is not the name of a topic"),
            ("kafka://a/..", "can't be"),
            ("kafka://a/größe", "letters, digits"),
            (&format!("kafka://a/{}", "t".repeat(250)), "longer than 249"),
        ] {
            let error = text.parse::<Address>().expect_err(text).to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn credentials_are_refused_and_not_repeated() {
        for text in [
            "kafka://alice:s3cret@host/t",
            "kafka://alice@host/t",
            "kafka://al:s3/cret@host/t",
            "kafka://x@a,b/t",
        ] {
            let error = text.parse::<Address>().expect_err(text);
            assert_eq!(error, AddressError::Credentials, "{text}");
            assert!(!error.to_string().contains("cret") && error.to_string().contains("--config"));
        }
    }

    #[test]
    fn a_tool_that_needs_one_topic_says_so() {
        let name = |text: &str| {
            text.parse::<Address>()
                .unwrap()
                .topic_name()
                .map(str::to_owned)
        };
        assert_eq!(name("kafka://a/t"), Ok("t".to_owned()));
        assert!(
            name("kafka://a")
                .unwrap_err()
                .to_string()
                .contains("kafka://a:9092/TOPIC")
        );
        assert!(
            name("kafka://a/^t")
                .unwrap_err()
                .to_string()
                .contains("a pattern")
        );
    }

    #[test]
    fn a_topic_with_braces_is_a_template_where_one_may_be() {
        for (text, template) in [
            ("kafka://a,b/{$topic/0}", Some("{$topic/0}")),
            ("kafka://a/t-{/site/id}.x", Some("t-{/site/id}.x")),
            ("kafka://a/{$header:x@y}", Some("{$header:x@y}")),
            ("kafka://a/}", Some("}")),
            ("kafka://a/t", None),
            ("kafka://a/^t{2}", None),
            ("kafka://a", None),
        ] {
            let (address, found) = Address::with_template(text).unwrap();
            assert_eq!(found.as_deref(), template, "{text}");
            assert_eq!(
                address.topic.is_none(),
                found.is_some() || text == "kafka://a"
            );
        }
        for (text, error) in [
            ("kafka://al:s3/{c}ret@host/t", AddressError::Credentials),
            ("kafka://x@a/{b}", AddressError::Credentials),
            ("kafka:///{b}", AddressError::NoBroker),
            ("mqtt://a/{b}", AddressError::Scheme),
        ] {
            assert_eq!(Address::with_template(text), Err(error), "{text}");
        }
        assert!("kafka://a/{b}".parse::<Address>().is_err());
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(host in "[a-z][a-z0-9.-]{0,20}", port in 1u16.., topic in "[a-zA-Z0-9_-]{1,30}") {
            let address: Address = format!("kafka://{host}:{port},[::1]/{topic}").parse().unwrap();
            prop_assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}") {
            let _ = format!("kafka://{text}").parse::<Address>();
            let _ = text.parse::<Address>();
            let _ = Address::with_template(&format!("kafka://{text}"));
        }
    }
}
