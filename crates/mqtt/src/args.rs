//! The options for connecting to an MQTT broker, which every tool with an MQTT side flattens.

#![expect(
    clippy::doc_markdown,
    reason = "doc comments here are the text of --help"
)]

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tapline_pipe::units::parse_duration;

use crate::address::Broker;
use crate::check::check_field;
use crate::error::Refusal;
use crate::options::{Credentials, SessionOptions};
use crate::protocol::Version;
use crate::transport::{Tls, TlsError, TlsFiles};

/// How to connect to an MQTT broker.
#[derive(Args, Clone, Debug)]
pub struct ConnectArgs {
    /// Version of MQTT: 5 or 3.1.1
    #[arg(long, value_name = "VERSION", default_value_t, help_heading = "MQTT")]
    pub mqtt_version: Version,

    /// Client identifier; one that is kept is what makes a session last [default: a random one]
    #[arg(long, value_name = "ID", help_heading = "MQTT")]
    pub client_id: Option<String>,

    /// Send something at least this often, so that each side notices the loss of the other; 0s turns
    /// it off. The broker may ask for another time
    #[arg(long, value_name = "TIME", value_parser = parse_keep_alive, default_value = "60s", help_heading = "MQTT")]
    pub keep_alive: Duration,

    /// Have the broker keep the session for this time after the connection ends; needs --client-id
    #[arg(long, value_name = "TIME", value_parser = parse_duration, requires = "client_id", help_heading = "MQTT")]
    pub session_expiry: Option<Duration>,

    /// User name; the password comes from --password-file or the variable MQTT_PASSWORD
    #[arg(
        long,
        value_name = "NAME",
        env = "MQTT_USERNAME",
        hide_env_values = true,
        help_heading = "MQTT"
    )]
    pub username: Option<String>,

    /// File whose first line is the password [default: the variable MQTT_PASSWORD]
    #[arg(
        long,
        value_name = "FILE",
        requires = "username",
        help_heading = "MQTT"
    )]
    pub password_file: Option<PathBuf>,

    /// PEM file with the certificate authorities to trust for mqtts and wss [default: the system's]
    #[arg(long, value_name = "FILE", help_heading = "MQTT")]
    pub ca_file: Option<PathBuf>,

    /// PEM file with the client's certificate chain
    #[arg(
        long,
        value_name = "FILE",
        requires = "key_file",
        help_heading = "MQTT"
    )]
    pub cert_file: Option<PathBuf>,

    /// PEM file with the private key of the client's certificate
    #[arg(
        long,
        value_name = "FILE",
        requires = "cert_file",
        help_heading = "MQTT"
    )]
    pub key_file: Option<PathBuf>,

    /// Protocol name to offer in the TLS handshake (ALPN), such as mqtt; can be repeated, the first is liked best
    #[arg(long, value_name = "PROTOCOL", value_parser = parse_alpn, value_delimiter = ',', help_heading = "MQTT")]
    pub alpn: Vec<String>,

    /// Path of the request for ws and wss
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/mqtt",
        help_heading = "MQTT"
    )]
    pub websocket_path: String,
}

/// Why the options cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArgsError {
    /// The password file.
    #[error("--password-file {}: {error}", path.display())]
    PasswordFile {
        /// The file.
        path: PathBuf,
        /// Why. Not a source: the text has it already.
        error: io::Error,
    },
    /// The files for TLS.
    #[error("TLS: {0}")]
    Tls(TlsError),
    /// The client identifier or the user name can't be in a packet.
    #[error("{option}: {why}")]
    Text {
        /// The option.
        option: &'static str,
        /// Why not.
        why: Refusal,
    },
}

impl ConnectArgs {
    /// The options of a session with `broker`.
    ///
    /// `tool` begins a random client identifier. `password` is the value of `MQTT_PASSWORD`, which
    /// the tool reads; the file goes before it.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or used.
    pub fn options(
        &self,
        broker: Broker,
        tool: &str,
        connect_timeout: Duration,
        password: Option<String>,
    ) -> Result<SessionOptions, ArgsError> {
        // Each `RandomState` has keys of its own: enough to tell clients apart, and no secret.
        let seed = RandomState::new().hash_one(tool);
        let texts = [
            ("--client-id", &self.client_id),
            ("--username", &self.username),
        ];
        for (option, text) in texts {
            check_field(text.as_deref().unwrap_or_default())
                .map_err(|why| ArgsError::Text { option, why })?;
        }
        let client_id = match &self.client_id {
            Some(id) if !id.is_empty() => id.clone(),
            // At most 23 characters, which every broker takes [MQTT-3.1.3-5].
            _ => format!("{tool:.12}-{:010x}", seed >> 24),
        };
        let tls = if broker.scheme.is_tls() {
            Some(Tls::load(&self.tls_files(), &self.alpn).map_err(ArgsError::Tls)?)
        } else {
            None
        };
        let mut options = SessionOptions::new(broker, client_id);
        options.version = self.mqtt_version;
        options.credentials = self.credentials(password)?;
        options.tls = tls;
        options.websocket_path.clone_from(&self.websocket_path);
        options.keep_alive = self.keep_alive;
        options.connect_timeout = connect_timeout;
        options.clean_start = self.session_expiry.is_none();
        options.session_expiry = self.session_expiry;
        options.seed = seed;
        Ok(options)
    }

    fn tls_files(&self) -> TlsFiles {
        TlsFiles {
            ca: self.ca_file.clone(),
            cert: self.cert_file.clone(),
            key: self.key_file.clone(),
        }
    }

    fn credentials(&self, variable: Option<String>) -> Result<Option<Credentials>, ArgsError> {
        let Some(username) = self.username.clone() else {
            return Ok(None);
        };
        let password = match &self.password_file {
            None => variable,
            Some(path) => {
                let text = fs::read_to_string(path).map_err(|error| ArgsError::PasswordFile {
                    path: path.clone(),
                    error,
                })?;
                text.lines().next().map(str::to_owned)
            }
        };
        Ok(Some(Credentials { username, password }))
    }
}

/// A name has 1 to 255 bytes (RFC 7301, section 3.1).
fn parse_alpn(text: &str) -> Result<String, &'static str> {
    match text.len() {
        1..=255 => Ok(text.to_owned()),
        _ => Err("the name of a protocol has 1 to 255 bytes"),
    }
}

fn parse_keep_alive(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text)?;
    if time.subsec_nanos() != 0 || time.as_secs() > u64::from(u16::MAX) {
        return Err("keep alive is whole seconds, at most 65535s".to_owned());
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};
    use std::io::Write;

    #[derive(Parser)]
    struct Tool {
        #[command(flatten)]
        connect: ConnectArgs,
    }

    fn options(arguments: &[&str], password: Option<&str>) -> SessionOptions {
        try_options(arguments, password).unwrap()
    }

    fn try_options(
        arguments: &[&str],
        password: Option<&str>,
    ) -> Result<SessionOptions, ArgsError> {
        let tool = Tool::try_parse_from([&["tool"], arguments].concat()).unwrap();
        let broker = "mqtt://h/t".parse::<crate::Address>().unwrap().broker;
        let password = password.map(str::to_owned);
        tool.connect
            .options(broker, "tool", Duration::from_secs(1), password)
    }

    #[test]
    fn a_name_that_no_packet_can_hold_is_refused_with_its_option() {
        for option in ["--client-id", "--username"] {
            for name in ["a\u{1}", "a\u{85}", "\u{ffff}", &"x".repeat(65_536)] {
                let error = try_options(&[option, name], None).err().unwrap();
                assert!(error.to_string().starts_with(option), "{error}");
            }
        }
    }

    #[test]
    fn the_group_is_sound() {
        Tool::command().debug_assert();
    }

    #[test]
    fn a_random_client_id_differs_each_time_and_is_short_enough_for_every_broker() {
        let (one, two) = (options(&[], None), options(&[], None));
        assert_ne!(one.client_id, two.client_id);
        assert!(one.client_id.len() <= 23, "{}", one.client_id);
        assert!(one.client_id.starts_with("tool-"), "{}", one.client_id);
    }

    #[test]
    fn the_password_file_goes_before_the_variable_and_loses_its_newline() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "from file\r\nnot this").unwrap();
        let path = file.path().to_str().unwrap();
        let both = options(
            &["--username", "u", "--password-file", path],
            Some("variable"),
        );
        let password = |options: SessionOptions| options.credentials.unwrap().password;
        assert_eq!(password(both).as_deref(), Some("from file"));
        let variable = options(&["--username", "u"], Some("variable"));
        assert_eq!(password(variable).as_deref(), Some("variable"));
    }

    #[test]
    fn a_password_needs_a_name_and_a_certificate_its_key() {
        for arguments in [
            &["tool", "--password-file", "x"][..],
            &["tool", "--cert-file", "x"],
            &["tool", "--session-expiry", "1h"],
            &["tool", "--keep-alive", "1500ms"],
            &["tool", "--keep-alive", "65536s"],
            &["tool", "--mqtt-version", "4"],
            &["tool", "--alpn", "mqtt,"],
        ] {
            assert!(Tool::try_parse_from(arguments).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn debug_output_of_credentials_shows_nothing() {
        let credentials = options(&["--username", "u"], Some("secret")).credentials;
        assert!(!format!("{credentials:?}").contains("secret"));
    }
}
