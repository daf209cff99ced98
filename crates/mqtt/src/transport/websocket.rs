//! The WebSocket below MQTT (section 6).

use async_tungstenite::tokio::client_async_with_config;
use async_tungstenite::tungstenite::Error as WsError;
use async_tungstenite::tungstenite::client::IntoClientRequest;
use async_tungstenite::tungstenite::http::HeaderValue;
use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use ws_stream_tungstenite::WsStream;

use super::{Stream, is_hang_up};
use crate::address::Broker;
use crate::error::ConnectError;

/// What is read at a time; by default it would be 128 KiB for each connection of a fleet. What is written is
/// gathered in front of it already.
const WEBSOCKET_BUFFER: usize = 4 << 10;

pub(super) async fn open(
    broker: &Broker,
    path: &str,
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
