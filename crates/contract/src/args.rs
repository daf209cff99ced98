//! The command-line options of every tool that uses a schema registry.

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
    /// Schema registry (Confluent API): http://HOST:PORT or https://HOST:PORT.
    ///
    /// Several, separated by commas or repeated, are taken for replicas of one and tried in turn.
    /// A user and password are never part of it: set the variable SCHEMA_REGISTRY_AUTH to
    /// user:password, or use --registry-auth-file. A call may take 10 s with all its attempts
    /// [default: no registry].
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub registry: Vec<String>,

    /// Authorities to trust for https, as a PEM file [default: Mozilla's].
    #[arg(long, value_name = "FILE", requires = "registry")]
    pub registry_ca_file: Option<PathBuf>,

    /// File with the registry's user:password [default: the variable SCHEMA_REGISTRY_AUTH].
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
