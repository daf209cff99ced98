//! How the services that speak HTTP are reached: a schema registry, a database.
//!
//! ```
//! use tapline_http::{Tls, agent};
//!
//! // Over TLS, by the system's authorities, and without a certificate of our own.
//! let agent = agent(Some(&Tls::default()))?;
//! # Ok::<(), tapline_http::TlsError>(())
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ureq::Agent;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

/// Files for TLS, all PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Authorities to trust in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// This client's certificate chain and its private key, for mutual TLS.
    pub client_files: Option<(PathBuf, PathBuf)>,
}

/// Why the files for TLS are of no use.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("{}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why. Not a source: the text has it already.
        error: io::Error,
    },
    /// A file has nothing of the kind in it.
    #[error("{}: no {what} in it (PEM)", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
    },
}

/// An agent that keeps our rules: it follows no redirect, because credentials stay with the address that they were
/// given for; it uses no proxy, because brokers, which no HTTP proxy leads to, are beside these services; and a status
/// is an answer, not an error. Without `tls`, for plain HTTP, no file is read.
///
/// # Errors
///
/// When a file can't be used.
pub fn agent(tls: Option<&Tls>) -> Result<Agent, TlsError> {
    let tls = tls.map(tls_config).transpose()?;
    Ok(Agent::config_builder()
        .http_status_as_error(false)
        .tls_config(tls.unwrap_or_default())
        .proxy(None)
        .max_redirects(0)
        .user_agent(concat!("tapline/", env!("CARGO_PKG_VERSION")))
        .build()
        .into())
}

fn tls_config(tls: &Tls) -> Result<TlsConfig, TlsError> {
    let roots = match &tls.ca_file {
        Some(path) => RootCerts::from(certificates(path)?),
        None => system_roots(),
    };
    let client = match &tls.client_files {
        Some((certificate, key)) => Some(ClientCert::new_with_certs(
            &certificates(certificate)?,
            private_key(key)?,
        )),
        None => None,
    };
    Ok(TlsConfig::builder()
        .root_certs(roots)
        .client_cert(client)
        .build())
}

/// What may be done about an error of TLS, as rustls words it; empty if that is not known.
#[must_use]
pub fn tls_hint(error: &str) -> &'static str {
    if error.contains("UnknownIssuer") {
        "; give the certificate of its authority as the CA file"
    } else if error.contains("CertificateRequired") {
        "; it wants a client's certificate and key"
    } else if error.contains("corrupt message") {
        "; the server does not speak TLS"
    } else {
        ""
    }
}

/// The system's authorities. One that can't be read is left out: a server that it would vouch for is then refused.
fn system_roots() -> RootCerts {
    let found = rustls_native_certs::load_native_certs().certs;
    let certificates = found
        .iter()
        .map(|certificate| Certificate::from_der(certificate));
    RootCerts::from(
        certificates
            .map(|certificate| certificate.to_owned())
            .collect::<Vec<_>>(),
    )
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::Read {
        path: path.to_owned(),
        error,
    })
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, TlsError> {
    let pem = read(path)?;
    let certificates = parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<_> = certificates.collect();
    if certificates.is_empty() {
        return Err(TlsError::Empty {
            path: path.to_owned(),
            what: "certificate",
        });
    }
    Ok(certificates)
}

fn private_key(path: &Path) -> Result<PrivateKey<'static>, TlsError> {
    PrivateKey::from_pem(&read(path)?).map_err(|_| TlsError::Empty {
        path: path.to_owned(),
        what: "private key",
    })
}
