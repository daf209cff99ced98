//! The address of a bucket: `influx://host[:8086]/bucket`.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use ureq::http::uri::Authority;

/// The port of a database that an address doesn't name one for.
pub const DEFAULT_PORT: u16 = 8086;

/// Why a text is not the address of a bucket. The messages never repeat credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It doesn't start with `influx://` or `influxs://`.
    #[error(
        "an address of InfluxDB starts with influx:// (influxs:// for TLS), as in influx://localhost:8086/telemetry"
    )]
    Scheme,
    /// It holds a user, and perhaps a password or token.
    #[error(
        "an address must not hold a user or token: put the token into INFLUX_TOKEN or into the file of --token-file"
    )]
    Credentials,
    /// The part before the bucket is not a host and perhaps a port.
    #[error("'{0}' is not HOST[:PORT] (an IPv6 address stands in brackets: [::1]:8086)")]
    Host(String),
    /// No bucket is named.
    #[error("the address names no bucket: influx://{0}/BUCKET")]
    NoBucket(String),
    /// What is percent-encoded in the bucket's name is not UTF-8.
    #[error("the bucket '{0}' is not UTF-8 text")]
    Bucket(String),
}

/// A bucket of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Whether it is reached over TLS.
    pub is_tls: bool,
    /// A name or an IP address, IPv6 in its brackets.
    pub host: String,
    /// 1 to 65535.
    pub port: u16,
    /// The bucket's name.
    pub bucket: String,
}

impl Address {
    /// Whether the database is on this machine, by its name.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self.host.trim_matches(['[', ']']);
        let ip = host.parse::<std::net::IpAddr>();
        host.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.is_loopback())
    }

    /// Where its API is: `http://host:port`.
    #[must_use]
    pub fn base_url(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}:{}", self.host, self.port)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "influxs" } else { "influx" };
        write!(
            out,
            "{scheme}://{}:{}/{}",
            self.host, self.port, self.bucket
        )
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::Scheme)?;
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "influx" => false,
            "influxs" => true,
            _ => return Err(AddressError::Scheme),
        };
        // The bucket may hold slashes, as DATABASE/RETENTION-POLICY of InfluxDB 1 does.
        let (host, bucket) = rest.split_once('/').unwrap_or((rest, ""));
        if host.contains('@') {
            return Err(AddressError::Credentials);
        }
        let wrong = || AddressError::Host(host.to_owned());
        let authority: Authority = host.parse().map_err(|_| wrong())?;
        let port = match host.strip_prefix(authority.host()).ok_or_else(wrong)? {
            "" => DEFAULT_PORT,
            _ => authority
                .port_u16()
                .filter(|port| *port > 0)
                .ok_or_else(wrong)?,
        };
        if bucket.is_empty() {
            return Err(AddressError::NoBucket(host.to_owned()));
        }
        let bucket = percent_decode_str(bucket).decode_utf8();
        let bucket = bucket.map_err(|_| AddressError::Bucket(rest.to_owned()))?;
        Ok(Self {
            is_tls,
            host: authority.host().to_owned(),
            port,
            bucket: bucket.into_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_printed() {
        for (text, url, bucket) in [
            ("influx://db/telemetry", "http://db:8086", "telemetry"),
            ("INFLUXS://db:1/a%20b", "https://db:1", "a b"),
            (
                "influx://[::1]:9/db/autogen",
                "http://[::1]:9",
                "db/autogen",
            ),
            ("influx://127.0.0.1/%2F?#", "http://127.0.0.1:8086", "/?#"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(
                (address.base_url().as_str(), address.bucket.as_str()),
                (url, bucket)
            );
        }
        let address: Address = "influxs://db/b".parse().unwrap();
        assert_eq!(address.to_string(), "influxs://db:8086/b");
    }

    #[test]
    fn what_is_no_address_is_told() {
        for (text, error) in [
            ("http://db/b", AddressError::Scheme),
            ("db/b", AddressError::Scheme),
            ("influx://me:geheim@db/b", AddressError::Credentials),
            ("influx:///b", AddressError::Host(String::new())),
            ("influx://db:0/b", AddressError::Host("db:0".to_owned())),
            ("influx://db:x/b", AddressError::Host("db:x".to_owned())),
            ("influx://db", AddressError::NoBucket("db".to_owned())),
            ("influx://db/", AddressError::NoBucket("db".to_owned())),
            ("influx://db/%ff", AddressError::Bucket("db/%ff".to_owned())),
        ] {
            assert_eq!(text.parse::<Address>(), Err(error), "{text}");
        }
    }

    #[test]
    fn loopback_is_told_by_name_and_address() {
        for (host, is) in [
            ("localhost", true),
            ("127.1.2.3", true),
            ("[::1]", true),
            ("db", false),
            ("10.0.0.1", false),
        ] {
            let address: Address = format!("influx://{host}/b").parse().unwrap();
            assert_eq!(address.is_loopback(), is, "{host}");
        }
    }
}
