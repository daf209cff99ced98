//! The options for reaching an InfluxDB, which every tool with that side flattens.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments here are the text of --help"
)]

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tapline_http::Tls;
use tapline_pipe::units::parse_duration;

use crate::client::{ClientError, Token};

/// The variable that holds the token: no argument may hold a secret.
pub const TOKEN_VARIABLE: &str = "INFLUX_TOKEN";

/// How to reach an InfluxDB.
#[derive(Args, Clone, Debug)]
pub struct ConnectArgs {
    /// Organisation that the bucket belongs to
    #[arg(
        long,
        value_name = "NAME",
        env = "INFLUX_ORG",
        hide_env_values = true,
        help_heading = "InfluxDB"
    )]
    pub org: Option<String>,

    /// File that holds the API token [default: the variable INFLUX_TOKEN]
    #[arg(long, value_name = "FILE", help_heading = "InfluxDB")]
    pub token_file: Option<PathBuf>,

    /// PEM file with the certificate authorities to trust for influxs [default: the system's]
    #[arg(long, value_name = "FILE", help_heading = "InfluxDB")]
    pub ca_file: Option<PathBuf>,

    /// PEM file with the client's certificate chain
    #[arg(
        long,
        value_name = "FILE",
        requires = "key_file",
        help_heading = "InfluxDB"
    )]
    pub cert_file: Option<PathBuf>,

    /// PEM file with the private key of the client's certificate
    #[arg(
        long,
        value_name = "FILE",
        requires = "cert_file",
        help_heading = "InfluxDB"
    )]
    pub key_file: Option<PathBuf>,

    /// How long to wait for the database's first answer before giving up
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "10s", help_heading = "Connection")]
    pub connect_timeout: Duration,
}

impl ConnectArgs {
    /// The token: the file's, or else that of `variable`, the value of [`TOKEN_VARIABLE`].
    ///
    /// # Errors
    ///
    /// When the file can't be read, or it is no token.
    pub fn token(&self, variable: Option<String>) -> Result<Option<Token>, ClientError> {
        match (&self.token_file, variable.filter(|token| !token.is_empty())) {
            (Some(path), _) => Token::from_file(path).map(Some),
            (None, Some(token)) => Token::new(&token, TOKEN_VARIABLE).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// The files for TLS.
    #[must_use]
    pub fn tls(&self) -> Tls {
        Tls {
            ca_file: self.ca_file.clone(),
            client_files: self.cert_file.clone().zip(self.key_file.clone()),
        }
    }
}
