//! The byte stream below MQTT: TCP, TLS, WebSocket.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use async_tungstenite::tokio::client_async_with_config;
use async_tungstenite::tungstenite::Error as WsError;
use async_tungstenite::tungstenite::client::IntoClientRequest;
use async_tungstenite::tungstenite::http::HeaderValue;
use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, Error as RustlsError, RootCertStore};
use ws_stream_tungstenite::WsStream;

use crate::address::Broker;
use crate::error::{ConnectError, TlsError};
use crate::options::{SessionOptions, TlsFiles};

/// A byte stream in both directions.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

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

/// Opens the stream that the address asks for. Not bounded in time; the caller does that.
pub(crate) async fn open(options: &SessionOptions) -> Result<Box<dyn Stream>, ConnectError> {
    let broker = &options.broker;
    let tcp = open_tcp(broker).await?;
    let stream: Box<dyn Stream> = if broker.scheme.is_tls() {
        Box::new(open_tls(options, tcp).await?)
    } else {
        Box::new(tcp)
    };
    if broker.scheme.is_websocket() {
        return open_websocket(options, stream).await;
    }
    Ok(stream)
}

/// Tries each address of the host in turn; the error is that of the last.
async fn open_tcp(broker: &Broker) -> Result<TcpStream, ConnectError> {
    let addresses = lookup_host((broker.host.as_str(), broker.port))
        .await
        .map_err(ConnectError::Resolve)?;
    let mut last = ConnectError::Resolve(io::Error::other("it has no address"));
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Small packets must not wait for the answer to those before (Nagle).
                stream.set_nodelay(true).map_err(ConnectError::Tcp)?;
                return Ok(stream);
            }
            Err(error) => last = ConnectError::Tcp(error),
        }
    }
    Err(last)
}

async fn open_tls(
    options: &SessionOptions,
    tcp: TcpStream,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, ConnectError> {
    let broker = &options.broker;
    let tls = match &options.tls {
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

fn is_hang_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

/// What is read at a time; by default it would be 128 KiB for each connection of a fleet. What is written is
/// gathered in front of it already.
const WEBSOCKET_BUFFER: usize = 4 << 10;

async fn open_websocket(
    options: &SessionOptions,
    stream: Box<dyn Stream>,
) -> Result<Box<dyn Stream>, ConnectError> {
    let failed = |error: WsError| ConnectError::WebSocket(describe_websocket(&error));
    let broker = &options.broker;
    let path = options.websocket_path.trim_start_matches('/');
    let mut request = format!("{broker}/{path}")
        .into_client_request()
        .map_err(failed)?;
    // [MQTT-6.0.0-3]
    request
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", HeaderValue::from_static("mqtt"));
    let config = WebSocketConfig::default()
        .read_buffer_size(WEBSOCKET_BUFFER)
        .write_buffer_size(0);
    let (socket, _) = client_async_with_config(request, stream, Some(config))
        .await
        .map_err(failed)?;
    Ok(Box::new(WsStream::new(socket)))
}

fn describe_websocket(error: &WsError) -> String {
    match error {
        WsError::Http(response) => format!(
            "the peer answered HTTP {} to the request; is the path right?",
            response.status()
        ),
        WsError::Io(error) if is_hang_up(error) => {
            "the peer closed the connection in the handshake: not a WebSocket port?".to_owned()
        }
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn small_packets_do_not_wait_for_the_answer_to_those_before() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("mqtt://{}/t", listener.local_addr().unwrap());
        let address: crate::Address = address.parse().unwrap();
        let stream = open_tcp(&address.broker).await.unwrap();
        assert!(stream.nodelay().unwrap(), "TCP_NODELAY");
    }
}
