//! Where a registry is and what it is told to let us in.

use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ureq::http::Uri;

use super::error::RegistryError;

/// `http://host[:port][/path]` or `https://…`, without a slash at the end and without credentials.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address(String);

impl Address {
    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is reached over TLS.
    pub(super) fn is_tls(&self) -> bool {
        self.0
            .parse::<Uri>()
            .is_ok_and(|uri| uri.scheme_str() == Some("https"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Address {
    type Err = RegistryError;

    /// # Errors
    /// When it is none. The message doesn't repeat an address that has credentials in it.
    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let wrong = |reason: &str| {
            Err(RegistryError::Settings(format!(
                "schema registry address {text:?}: {reason}"
            )))
        };
        if text.contains('@') {
            return Err(RegistryError::Settings(
                "schema registry address: it contains a user or a password; put them in \
                 SCHEMA_REGISTRY_AUTH (user:password) or --registry-auth-file"
                    .to_owned(),
            ));
        }
        if text.contains(['?', '#']) {
            return wrong("it can't have a query or a fragment");
        }
        let Ok(uri) = text.parse::<Uri>() else {
            return wrong("not a URL");
        };
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return wrong("it must begin with http:// or https://");
        }
        if uri.host().is_none_or(str::is_empty) {
            return wrong("it has no host");
        }
        Ok(Address(text.trim_end_matches('/').to_owned()))
    }
}

/// A user and a password, or a token. Their `Debug` form doesn't show them.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    header: String,
}

impl Credentials {
    /// From `user:password`; the user has no colon.
    ///
    /// # Errors
    /// When there is no colon.
    pub fn new(text: &str) -> Result<Self, RegistryError> {
        if !text.contains(':') {
            return Err(RegistryError::Settings(
                "schema registry credentials: they must be user:password".to_owned(),
            ));
        }
        Ok(Credentials {
            header: format!("Basic {}", STANDARD.encode(text)),
        })
    }

    /// From a bearer token, such as an OAuth 2.0 access token.
    ///
    /// # Errors
    /// When it holds what no token does (RFC 6750, section 2.1).
    pub fn bearer(token: &str) -> Result<Self, RegistryError> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if token.is_empty() || !token.bytes().all(legal) {
            return Err(RegistryError::Settings(
                "schema registry credentials: that is not a bearer token".to_owned(),
            ));
        }
        Ok(Credentials {
            header: format!("Bearer {token}"),
        })
    }

    /// From a file that holds what `read` takes and perhaps a line's end.
    ///
    /// # Errors
    /// When the file can't be read or holds something else.
    pub fn from_file(
        path: &Path,
        read: fn(&str) -> Result<Self, RegistryError>,
    ) -> Result<Self, RegistryError> {
        let text = fs::read_to_string(path)
            .map_err(|error| RegistryError::Settings(format!("{}: {error}", path.display())))?;
        read(text.trim_end_matches(['\r', '\n']))
            .map_err(|error| RegistryError::Settings(format!("{}: {error}", path.display())))
    }

    /// The value of the `Authorization` header (RFC 7617, RFC 6750).
    pub(super) fn header(&self) -> &str {
        &self.header
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_kept_without_a_slash_at_the_end() {
        for (text, address) in [
            ("http://registry:8081", "http://registry:8081"),
            ("https://registry/", "https://registry"),
            (
                "http://[::1]:80/apis/ccompat/v7/",
                "http://[::1]:80/apis/ccompat/v7",
            ),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().as_str(), address);
        }
    }

    #[test]
    fn what_is_no_address_is_told() {
        for (text, reason) in [
            ("registry:8081", "it must begin with http:// or https://"),
            ("registry", "it must begin with http:// or https://"),
            (
                "kafka://registry:8081",
                "it must begin with http:// or https://",
            ),
            ("http://", "not a URL"),
            ("http://a b", "not a URL"),
            ("http://registry?x=1", "it can't have a query or a fragment"),
            ("", "not a URL"),
        ] {
            let message = text.parse::<Address>().unwrap_err().to_string();
            assert!(message.ends_with(reason), "{text}: {message}");
        }
    }

    #[test]
    fn credentials_in_an_address_are_refused_and_not_repeated() {
        for text in ["http://user:geheim@registry:8081", "user:geheim@registry"] {
            let message = text.parse::<Address>().unwrap_err().to_string();
            assert!(message.contains("SCHEMA_REGISTRY_AUTH"), "{message}");
            assert!(!message.contains("geheim"), "{message}");
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        let credentials = Credentials::new("user:geheim").unwrap();
        assert_eq!(format!("{credentials:?}"), "Credentials(…)");
        assert_eq!(credentials.header(), "Basic dXNlcjpnZWhlaW0=");
        let error = Credentials::new("geheim").unwrap_err().to_string();
        assert!(!error.contains("geheim"), "{error}");
        assert_eq!(
            Credentials::bearer("a.b-c=").unwrap().header(),
            "Bearer a.b-c="
        );
        for token in ["", "two words", "line\nend"] {
            assert!(Credentials::bearer(token).is_err(), "{token:?}");
        }
    }
}
