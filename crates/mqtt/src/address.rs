//! Addresses: `mqtt://host[:1883]/topic/or/filter`, `mqtts://` (8883), `ws://` (80), `wss://` (443).
//!
//! All behind the slash that ends the host is the topic, as it stands: `#`, `?`, `%`, spaces and
//! braces have no meaning of their own, and a second slash begins a topic with a leading slash.

use std::fmt;
use std::str::FromStr;

/// How the broker is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// TCP.
    Mqtt,
    /// TLS over TCP.
    Mqtts,
    /// WebSocket over TCP [MQTT-6.0.0-1].
    Ws,
    /// WebSocket over TLS.
    Wss,
}

impl Scheme {
    /// Every scheme.
    pub const ALL: [Self; 4] = [Self::Mqtt, Self::Mqtts, Self::Ws, Self::Wss];

    /// The name, without `://`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Mqtts => "mqtts",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    /// The port where the address has none: those registered for MQTT, and for WebSocket those of
    /// RFC 6455, section 3 (brokers often listen on 8083 and 8084 instead).
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Mqtt => 1883,
            Self::Mqtts => 8883,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Mqtts | Self::Wss)
    }

    /// Whether MQTT is carried in WebSocket frames.
    #[must_use]
    pub fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }
}

/// Where a broker is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Broker {
    /// How it is reached.
    pub scheme: Scheme,
    /// A name or an IP address, an IPv6 address without its brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = self;
        let scheme = scheme.name();
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}

/// A broker and a topic, a template of topics or a topic filter on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// Where the broker is.
    pub broker: Broker,
    /// What stands behind the host; `None` if nothing does.
    pub topic: Option<String>,
}

impl Address {
    /// The topic, which the tool at hand cannot do without.
    ///
    /// # Errors
    ///
    /// [`AddressError::NoTopic`].
    pub fn require_topic(&self) -> Result<&str, AddressError> {
        self.topic.as_deref().ok_or(AddressError::NoTopic)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.broker)?;
        self.topic
            .as_ref()
            .map_or(Ok(()), |topic| write!(f, "/{topic}"))
    }
}

/// Why a text is no address. No variant shows the text, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No `mqtt://`, `mqtts://`, `ws://` or `wss://` in front.
    #[error("an MQTT address begins with mqtt://, mqtts://, ws:// or wss://")]
    Scheme,
    /// A user name or a password in front of the host.
    #[error(
        "credentials do not belong in an address, where every user of the machine can read them: \
         use --username with MQTT_PASSWORD or --password-file"
    )]
    Credentials,
    /// Nothing in front of the topic.
    #[error("the host is missing: mqtt://host[:port]/topic")]
    NoHost,
    /// The host has characters that no host has.
    #[error("the host is neither a name nor an IP address (an IPv6 address stands in brackets)")]
    Host,
    /// The port is not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// Nothing behind the host.
    #[error("the topic is missing: mqtt://host[:port]/topic")]
    NoTopic,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::Scheme)?;
        let scheme = Scheme::ALL
            .into_iter()
            .find(|known| known.name().eq_ignore_ascii_case(scheme))
            .ok_or(AddressError::Scheme)?;
        let (authority, topic) = match rest.split_once('/') {
            Some((authority, topic)) => (authority, Some(topic)),
            None => (rest, None),
        };
        if authority.contains('@') {
            return Err(AddressError::Credentials);
        }
        let (host, port) = split_port(authority)?;
        let port = match port {
            Some(port) => parse_port(port)?,
            None => scheme.default_port(),
        };
        Ok(Self {
            broker: Broker {
                scheme,
                host: host.to_owned(),
                port,
            },
            topic: topic.filter(|topic| !topic.is_empty()).map(str::to_owned),
        })
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), AddressError> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(AddressError::Host)?;
        host.parse::<std::net::Ipv6Addr>()
            .map_err(|_| AddressError::Host)?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(AddressError::Host),
        };
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    if host.is_empty() {
        return Err(AddressError::NoHost);
    }
    let is_host_char = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    if !host.chars().all(is_host_char) {
        return Err(AddressError::Host);
    }
    Ok((host, port))
}

fn parse_port(text: &str) -> Result<u16, AddressError> {
    // `parse` would take a sign too.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(AddressError::Port);
    }
    match text.parse() {
        Ok(0) | Err(_) => Err(AddressError::Port),
        Ok(port) => Ok(port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let table: &[(&str, Scheme, &str, u16, Option<&str>)] = &[
            ("mqtt://h/t", Scheme::Mqtt, "h", 1883, Some("t")),
            ("mqtts://h/t", Scheme::Mqtts, "h", 8883, Some("t")),
            ("ws://h/t", Scheme::Ws, "h", 80, Some("t")),
            ("wss://h/t", Scheme::Wss, "h", 443, Some("t")),
            ("MQTT://h:1/t", Scheme::Mqtt, "h", 1, Some("t")),
            (
                "mqtt://10.0.0.1:65535/a/b",
                Scheme::Mqtt,
                "10.0.0.1",
                65535,
                Some("a/b"),
            ),
            ("mqtt://[::1]/a", Scheme::Mqtt, "::1", 1883, Some("a")),
            (
                "mqtt://[fe80::1]:7/a",
                Scheme::Mqtt,
                "fe80::1",
                7,
                Some("a"),
            ),
            ("mqtt://h//lead", Scheme::Mqtt, "h", 1883, Some("/lead")),
            ("mqtt://h/#", Scheme::Mqtt, "h", 1883, Some("#")),
            ("mqtt://h/a/+/b/#", Scheme::Mqtt, "h", 1883, Some("a/+/b/#")),
            ("mqtt://h/a?b=c#d", Scheme::Mqtt, "h", 1883, Some("a?b=c#d")),
            (
                "mqtt://h/two words/%20",
                Scheme::Mqtt,
                "h",
                1883,
                Some("two words/%20"),
            ),
            (
                "mqtt://h/g/{id}/{{x",
                Scheme::Mqtt,
                "h",
                1883,
                Some("g/{id}/{{x"),
            ),
            ("mqtt://h/a@b:c", Scheme::Mqtt, "h", 1883, Some("a@b:c")),
            (
                "mqtt://h/$share/g/f/#",
                Scheme::Mqtt,
                "h",
                1883,
                Some("$share/g/f/#"),
            ),
            ("mqtt://h/trail/", Scheme::Mqtt, "h", 1883, Some("trail/")),
            ("mqtt://h", Scheme::Mqtt, "h", 1883, None),
            ("mqtt://h:9/", Scheme::Mqtt, "h", 9, None),
        ];
        for &(text, scheme, host, port, topic) in table {
            let address: Address = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            let broker = Broker {
                scheme,
                host: host.to_owned(),
                port,
            };
            assert_eq!(address.broker, broker, "{text}");
            assert_eq!(address.topic.as_deref(), topic, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_told_apart() {
        let table: &[(&str, AddressError)] = &[
            ("", AddressError::Scheme),
            ("host/topic", AddressError::Scheme),
            ("kafka://h/t", AddressError::Scheme),
            ("mqtt:/h/t", AddressError::Scheme),
            ("mqtt:///t", AddressError::NoHost),
            ("mqtt://:1883/t", AddressError::NoHost),
            ("mqtt://me@h/t", AddressError::Credentials),
            ("mqtt://me:secret@h:1/t", AddressError::Credentials),
            ("mqtt://h:x/t", AddressError::Port),
            ("mqtt://h:/t", AddressError::Port),
            ("mqtt://h:0/t", AddressError::Port),
            ("mqtt://h:+1/t", AddressError::Port),
            ("mqtt://h:65536/t", AddressError::Port),
            ("mqtt://a:b/c@h/t", AddressError::Port),
            ("mqtt://::1/t", AddressError::NoHost),
            ("mqtt://[::1/t", AddressError::Host),
            ("mqtt://[::1]x/t", AddressError::Host),
            ("mqtt://a b/t", AddressError::Host),
        ];
        for &(text, error) in table {
            assert_eq!(text.parse::<Address>(), Err(error), "{text}");
        }
    }

    #[test]
    fn no_error_repeats_the_address() {
        for text in ["mqtt://me:secret@h/t", "mqtt://h:secret/t", "secret"] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_missing_topic_is_an_error_only_where_one_is_needed() {
        let address: Address = "mqtt://h/".parse().unwrap();
        assert_eq!(address.require_topic(), Err(AddressError::NoTopic));
    }

    #[test]
    fn an_address_is_shown_whole() {
        for text in ["mqtt://h:1883/a/#", "wss://[::1]:443//x", "mqtts://h:1"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }
}
