//! The command-line options of every tool that uses a schema registry.

#![expect(
    clippy::doc_markdown,
    reason = "doc comments here are the text of --help"
)]

use std::path::PathBuf;
use std::time::Duration;

use crate::registry::{Credentials, Registry, RegistryError, Settings};

/// The variable that holds `user:password`; the tools read it, for no argument may hold a secret.
pub const AUTH_VARIABLE: &str = "SCHEMA_REGISTRY_AUTH";

/// The longest that a call to the registry may take, all its attempts together.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Which registry, and how it is reached.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Schema registry")]
pub struct RegistryArgs {
    /// Schema registry (Confluent API), as http://HOST:PORT or https://HOST:PORT [default: none]
    ///
    /// Several, separated by commas or repeated, are replicas of one and tried in turn; a call may take 10 s
    /// with all its attempts. User and password are no part of it: they belong into the variable
    /// SCHEMA_REGISTRY_AUTH (user:password) or into --registry-auth-file.
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub registry: Vec<String>,

    /// Authorities to trust for https, as a PEM file [default: Mozilla's]
    #[arg(long, value_name = "FILE", requires = "registry")]
    pub registry_ca_file: Option<PathBuf>,

    /// File with the registry's user:password [default: the variable SCHEMA_REGISTRY_AUTH]
    #[arg(long, value_name = "FILE", requires = "registry")]
    pub registry_auth_file: Option<PathBuf>,
}

impl RegistryArgs {
    /// The registry that was asked for; nothing is sent yet. `auth` is the variable
    /// [`AUTH_VARIABLE`], which a file given by option goes before.
    ///
    /// # Errors
    /// When an address, the file of authorities or the credentials can't be used.
    pub fn open(&self, auth: Option<&str>) -> Result<Option<Registry>, RegistryError> {
        if self.registry.is_empty() {
            return Ok(None);
        }
        // Parsed here, not by clap, which would repeat an address with a password in its message.
        let addresses = self
            .registry
            .iter()
            .map(|address| address.trim().parse())
            .collect::<Result<_, _>>()?;
        let credentials = match (&self.registry_auth_file, auth) {
            (Some(path), _) => Some(Credentials::from_file(path)?),
            (None, Some(auth)) if !auth.is_empty() => {
                Some(Credentials::new(auth).map_err(|error| {
                    RegistryError::Settings(format!("{AUTH_VARIABLE}: {error}"))
                })?)
            }
            (None, _) => None,
        };
        Registry::new(Settings {
            addresses,
            credentials,
            ca_file: self.registry_ca_file.clone(),
            timeout: TIMEOUT,
        })
        .map(Some)
    }
}
