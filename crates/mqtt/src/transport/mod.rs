//! The byte stream below MQTT: TCP, TLS, WebSocket.

mod tls;
mod websocket;

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};

use crate::address::Broker;
use crate::error::ConnectError;

pub use tls::{Tls, TlsError, TlsFiles};

/// A byte stream in both directions.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Opens the stream that the address asks for. Not bounded in time; the caller does that.
pub(crate) async fn open(
    broker: &Broker,
    tls: Option<&Tls>,
    websocket_path: &str,
    largest_packet: u32,
) -> Result<Box<dyn Stream>, ConnectError> {
    let tcp = open_tcp(broker).await?;
    let stream: Box<dyn Stream> = if broker.scheme.is_tls() {
        Box::new(tls::open(tls, broker, tcp).await?)
    } else {
        Box::new(tcp)
    };
    if broker.scheme.is_websocket() {
        return websocket::open(broker, websocket_path, largest_packet, stream).await;
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

fn is_hang_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
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
