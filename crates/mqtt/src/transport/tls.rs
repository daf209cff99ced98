//! TLS below MQTT: its files, its settings and its handshake.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, Error as RustlsError, RootCertStore};

use super::is_hang_up;
use crate::address::Broker;
use crate::error::ConnectError;

/// Files for TLS, all PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Authorities to trust; the system's if there is no file.
    pub ca: Option<PathBuf>,
    /// The client's certificate chain; goes with `key`.
    pub cert: Option<PathBuf>,
    /// The client's private key.
    pub key: Option<PathBuf>,
}

/// Why the files for TLS are of no use.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why. Not a source: the text has it already.
        error: io::Error,
    },
    /// A file has nothing of the kind in it.
    #[error("{}: no {what} in PEM form", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
    },
    /// Certificate without key, or the other way.
    #[error("a client certificate needs its key and a key its certificate")]
    Pair,
    /// The key is another certificate's.
    #[error("the private key does not belong to the client certificate")]
    Mismatch,
    /// A certificate or the key is broken.
    #[error("{0}")]
    Invalid(String),
    /// The system has no authorities.
    #[error("the system has no certificate authorities: give a file with the broker's")]
    NoRoots,
}

/// Settings for TLS, loaded and checked; cheap to clone and to share between sessions.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
}

impl Tls {
    /// Reads the files: authorities (the system's if there are none), and certificate and key of
    /// the client. `alpn` are protocol names to offer.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, has nothing of use in it, or does not fit the others.
    pub fn load(files: &TlsFiles, alpn: &[String]) -> Result<Self, TlsError> {
        let invalid = |error: &dyn std::fmt::Display| TlsError::Invalid(error.to_string());
        // The provider is named so that nothing else in the process can change it.
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| invalid(&error))?
            .with_root_certificates(load_roots(files.ca.as_deref())?);
        let mut config = match (&files.cert, &files.key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(cert), Some(key)) => {
                let chain = load_certificates(cert)?;
                let key = load_key(key)?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| match error {
                        RustlsError::InconsistentKeys(_) => TlsError::Mismatch,
                        error => invalid(&error),
                    })?
            }
            _ => return Err(TlsError::Pair),
        };
        config.alpn_protocols = alpn.iter().map(|name| name.clone().into_bytes()).collect();
        Ok(Self {
            config: Arc::new(config),
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::Read {
        path: path.to_owned(),
        error,
    })
}

fn load_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<_, _>>()
        .unwrap_or_default();
    if certificates.is_empty() {
        return Err(TlsError::Empty {
            path: path.to_owned(),
            what: "certificate",
        });
    }
    Ok(certificates)
}

fn load_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|_| TlsError::Empty {
        path: path.to_owned(),
        what: "private key",
    })
}

fn load_roots(ca: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca else {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        return if roots.is_empty() {
            Err(TlsError::NoRoots)
        } else {
            Ok(roots)
        };
    };
    for certificate in load_certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| TlsError::Invalid(format!("{}: {error}", path.display())))?;
    }
    Ok(roots)
}

/// Without `tls` the system's authorities are trusted.
pub(super) async fn open(
    tls: Option<&Tls>,
    broker: &Broker,
    tcp: TcpStream,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, ConnectError> {
    let tls = match tls {
        Some(tls) => tls.clone(),
        None => Tls::load(&TlsFiles::default(), &[])
            .map_err(|error| ConnectError::Tls(error.to_string()))?,
    };
    let name = ServerName::try_from(broker.host.clone())
        .map_err(|_| ConnectError::Tls(format!("{} is no server name", broker.host)))?;
    TlsConnector::from(tls.config)
        .connect(name, tcp)
        .await
        .map_err(|error| ConnectError::Tls(describe_tls(&error)))
}

/// What rustls calls a corrupt message in a handshake is a peer without TLS, nearly always.
fn describe_tls(error: &io::Error) -> String {
    let text = error.to_string();
    if text.contains("corrupt message") || text.contains("InvalidContentType") {
        return "the peer does not speak TLS".to_owned();
    }
    if is_hang_up(error) {
        return "the peer closed the connection in the handshake: not a TLS port?".to_owned();
    }
    text
}
