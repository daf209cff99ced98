//! The WebSocket below MQTT (section 6): the bytes of its binary messages as one stream [MQTT-6.0.0-2].

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_tungstenite::WebSocketStream;
use async_tungstenite::tokio::{TokioAdapter, client_async_with_config};
use async_tungstenite::tungstenite::client::IntoClientRequest;
use async_tungstenite::tungstenite::error::ProtocolError;
use async_tungstenite::tungstenite::http::HeaderValue;
use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use async_tungstenite::tungstenite::{Error as WsError, Message};
use bytes::{Buf, Bytes};
use futures_util::{Sink, Stream as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Stream, is_hang_up};
use crate::address::Broker;
use crate::error::ConnectError;

/// What is read at a time; by default it would be 128 KiB for each connection of a fleet. What is written is
/// gathered in front of it already.
const WEBSOCKET_BUFFER: usize = 4 << 10;

/// The most bytes of a message that is sent, and of what a peer that doesn't read leaves in the output: one of these
/// messages, and pongs for the rest. Past it tungstenite answers only the last of several pings, as it may (RFC 6455,
/// section 5.5.3).
const LARGEST_WRITE: usize = 128 << 10;
const MOST_UNWRITTEN: usize = 2 * LARGEST_WRITE;

/// A message is held until it is whole, so that it may not be much larger than an MQTT packet; several of these may
/// share one.
const SHARED_MESSAGE: usize = 1 << 20;

/// Frames that bring nothing (pings, empty messages) and are taken in a row before other tasks have their turn.
const FRAMES_AT_A_TIME: usize = 256;

pub(super) async fn open(
    broker: &Broker,
    path: &str,
    largest_packet: u32,
    stream: Box<dyn Stream>,
) -> Result<Box<dyn Stream>, ConnectError> {
    let failed = |error: WsError| ConnectError::WebSocket(describe_websocket(&error));
    let path = path.trim_start_matches('/');
    let mut request = format!("{broker}/{path}")
        .into_client_request()
        .map_err(failed)?;
    // [MQTT-6.0.0-3]
    request
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", HeaderValue::from_static("mqtt"));
    let largest = Some((largest_packet as usize).saturating_add(SHARED_MESSAGE));
    let config = WebSocketConfig::default()
        .read_buffer_size(WEBSOCKET_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(MOST_UNWRITTEN)
        .max_frame_size(largest)
        .max_message_size(largest);
    let (socket, _) = client_async_with_config(request, stream, Some(config))
        .await
        .map_err(failed)?;
    Ok(Box::new(Messages {
        socket,
        rest: Bytes::new(),
        owes_pong: false,
    }))
}

/// The messages of a WebSocket, read and written as a stream of bytes.
struct Messages {
    socket: WebSocketStream<TokioAdapter<Box<dyn Stream>>>,
    /// What was received and not taken yet.
    rest: Bytes,
    /// A ping came, and its answer may not be written.
    owes_pong: bool,
}

impl AsyncRead for Messages {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // A loop with a bound: a peer may send any number of frames that bring nothing.
        for _ in 0..FRAMES_AT_A_TIME {
            if !self.rest.is_empty() {
                let length = self.rest.len().min(into.remaining());
                into.put_slice(&self.rest[..length]);
                self.rest.advance(length);
                return Poll::Ready(Ok(()));
            }
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => self.rest = bytes,
                Some(Ok(Message::Ping(_))) => self.owes_pong = true,
                Some(Ok(Message::Pong(_) | Message::Frame(_))) => {}
                // [MQTT-6.0.0-1]
                Some(Ok(Message::Text(_))) => {
                    let why = "the broker sent a WebSocket message of text";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
                }
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(ended(error)),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl AsyncWrite for Messages {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.owes_pong {
            // So that there is room for a whole message.
            ready!(self.as_mut().poll_flush(cx))?;
        }
        ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(failed)?;
        let length = bytes.len().min(LARGEST_WRITE);
        let message = Message::Binary(Bytes::copy_from_slice(&bytes[..length]));
        Pin::new(&mut self.socket)
            .start_send(message)
            .map_err(failed)?;
        Poll::Ready(Ok(length))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.socket).poll_flush(cx)).map_err(failed)?;
        self.owes_pong = false;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(cx).map_err(failed)
    }
}

/// The end of the input: a peer that hangs up without a Close frame has ended it, too.
fn ended(error: WsError) -> io::Result<()> {
    match error {
        WsError::ConnectionClosed
        | WsError::AlreadyClosed
        | WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Ok(()),
        error => Err(failed(error)),
    }
}

fn failed(error: WsError) -> io::Error {
    match error {
        WsError::Io(error) => error,
        WsError::ConnectionClosed
        | WsError::AlreadyClosed
        | WsError::Protocol(ProtocolError::SendAfterClosing) => io::ErrorKind::BrokenPipe.into(),
        error => io::Error::other(format!("WebSocket: {error}")),
    }
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
