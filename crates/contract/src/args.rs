//! The command-line options of every tool that uses a schema registry.

#![expect(
    clippy::doc_markdown,
    reason = "doc comments here are the text of --help"
)]

use std::path::PathBuf;
use std::time::Duration;

use tapline_pipe::io::stop::Stop;

use crate::registry::{Credentials, Registry, RegistryError, Settings};

/// The variable that holds `user:password`: no argument may hold a secret.
pub const AUTH_VARIABLE: &str = "SCHEMA_REGISTRY_AUTH";

/// The variable that holds a bearer token.
pub const TOKEN_VARIABLE: &str = "SCHEMA_REGISTRY_TOKEN";

/// The longest that a call to the registry may take, all its attempts together.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Which registry, and how it is reached.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Schema registry")]
pub struct RegistryArgs {
    /// Schema registry (Confluent API), as http://HOST:PORT or https://HOST:PORT [default: none]
    ///
    /// Several, separated by commas or repeated, are replicas of one and tried in turn; a call may take 10 s
    /// with all its attempts. Put user and password in the variable SCHEMA_REGISTRY_AUTH
    /// (user:password) or in --registry-auth-file, and a token in SCHEMA_REGISTRY_TOKEN or in
    /// --registry-token-file, not in the address.
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub registry: Vec<String>,

    /// Authorities to trust for https, as a PEM file [default: the system's]
    #[arg(long, value_name = "FILE", requires = "registry")]
    pub registry_ca_file: Option<PathBuf>,

    /// File with the registry's user:password [default: the variable SCHEMA_REGISTRY_AUTH]
    #[arg(long, value_name = "FILE", requires = "registry")]
    pub registry_auth_file: Option<PathBuf>,

    /// File with a bearer token for the registry [default: the variable SCHEMA_REGISTRY_TOKEN]
    #[arg(
        long,
        value_name = "FILE",
        requires = "registry",
        conflicts_with = "registry_auth_file"
    )]
    pub registry_token_file: Option<PathBuf>,

    /// Certificate that the registry knows this client by (mutual TLS), with those above it, as a PEM file
    #[arg(
        long,
        value_name = "FILE",
        requires = "registry",
        requires = "registry_key_file"
    )]
    pub registry_cert_file: Option<PathBuf>,

    /// Private key of the certificate, as a PEM file
    #[arg(long, value_name = "FILE", requires = "registry_cert_file")]
    pub registry_key_file: Option<PathBuf>,
}

impl RegistryArgs {
    /// Whether one of the addresses is of https.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        let is_tls = |address: &String| {
            let scheme = address.trim().get(..8);
            scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
        };
        self.registry.iter().any(is_tls)
    }

    /// The registry that was asked for; nothing is sent yet. `variable` gives the values of
    /// [`AUTH_VARIABLE`] and [`TOKEN_VARIABLE`], which a file given by option goes before. `stop` ends its calls.
    ///
    /// # Errors
    /// When an address, the file of authorities or the credentials can't be used.
    pub fn open(
        &self,
        variable: impl Fn(&str) -> Option<String>,
        stop: &Stop,
    ) -> Result<Option<Registry>, RegistryError> {
        if self.registry.is_empty() {
            return Ok(None);
        }
        // Parsed here, not by clap, which would repeat an address with a password in its message.
        let addresses = self
            .registry
            .iter()
            .map(|address| address.trim().parse())
            .collect::<Result<_, _>>()?;
        Registry::new(Settings {
            addresses,
            credentials: self.credentials(variable)?,
            ca_file: self.registry_ca_file.clone(),
            client_files: self
                .registry_cert_file
                .clone()
                .zip(self.registry_key_file.clone()),
            timeout: TIMEOUT,
            stop: stop.clone(),
        })
        .map(Some)
    }

    fn credentials(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Credentials>, RegistryError> {
        if let Some(path) = &self.registry_auth_file {
            return Credentials::from_file(path, Credentials::new).map(Some);
        }
        if let Some(path) = &self.registry_token_file {
            return Credentials::from_file(path, Credentials::bearer).map(Some);
        }
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let (name, read) = match (set(AUTH_VARIABLE), set(TOKEN_VARIABLE)) {
            (None, None) => return Ok(None),
            (Some(auth), None) => (AUTH_VARIABLE, Credentials::new(&auth)),
            (None, Some(token)) => (TOKEN_VARIABLE, Credentials::bearer(&token)),
            (Some(_), Some(_)) => {
                return Err(RegistryError::Settings(format!(
                    "{AUTH_VARIABLE} and {TOKEN_VARIABLE} are both set: one of them must go"
                )));
            }
        };
        read.map(Some)
            .map_err(|error| RegistryError::Settings(format!("{name}: {error}")))
    }
}
