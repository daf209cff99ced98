//! CONNECT and CONNACK, and what to make of a peer that answers something else.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::error::ConnectError;
use crate::event::Limits;
use crate::options::SessionOptions;
use crate::packet::{self, Decoded, Decoder};
use crate::reason::Reason;
use crate::transport::{self, Stream};
use crate::wire::Wire;

/// A connection that the broker has accepted.
pub(crate) struct Accepted {
    pub(crate) stream: Box<dyn Stream>,
    /// What came behind the CONNACK.
    pub(crate) input: BytesMut,
    pub(crate) decoder: Decoder,
    pub(crate) limits: Limits,
    pub(crate) session_present: bool,
}

/// Connects; `first` is whether the session begins with it.
pub(crate) async fn connect(
    options: &SessionOptions,
    first: bool,
) -> Result<Accepted, ConnectError> {
    if first && options.clears_first() {
        let mut clearing = options.clone();
        (clearing.session_expiry, clearing.will) = (None, None);
        let accepted = attempt(&clearing, first).await?;
        let mut wire = Wire::new(accepted.stream, accepted.input);
        packet::disconnect(&mut wire.output, options.version, true);
        wire.close().await;
    }
    attempt(options, first).await
}

async fn attempt(options: &SessionOptions, first: bool) -> Result<Accepted, ConnectError> {
    let after = options.connect_timeout;
    let started = tokio::time::Instant::now();
    let open = transport::open(
        &options.broker,
        options.tls.as_ref(),
        &options.websocket_path,
        options.max_incoming_packet,
    );
    let stream = timeout(after, open)
        .await
        .map_err(|_| timed_out("connection", after))??;
    let left = after.saturating_sub(started.elapsed());
    timeout(left, exchange(options, first, stream))
        .await
        .map_err(|_| timed_out("CONNACK (is it an MQTT broker?)", after))?
}

fn timed_out(stage: &'static str, after: Duration) -> ConnectError {
    ConnectError::TimedOut { stage, after }
}

async fn exchange(
    options: &SessionOptions,
    first: bool,
    mut stream: Box<dyn Stream>,
) -> Result<Accepted, ConnectError> {
    let connect = packet::connect(options, first);
    stream.write_all(&connect).await.map_err(broken)?;
    stream.flush().await.map_err(broken)?;
    let mut decoder = Decoder::new(options.version, options.max_incoming_packet);
    let mut input = BytesMut::with_capacity(256);
    loop {
        let read = stream.read_buf(&mut input).await.map_err(broken)?;
        // A CONNACK and nothing else is first [MQTT-3.2.0-1].
        if input.first().is_some_and(|&byte| byte != 0x20) {
            return Err(ConnectError::NotMqtt(show_start(input.chunk())));
        }
        if read == 0 {
            return Err(ConnectError::NoAnswer);
        }
        let packet = decoder
            .next(&mut input)
            .map_err(|error| ConnectError::NotMqtt(error.to_string()))?;
        if let Some(packet) = packet {
            let accepted = accept(options, packet, stream, input, decoder)?;
            if accepted.session_present && options.clean(first) {
                return Err(ConnectError::UnexpectedSession);
            }
            return Ok(accepted);
        }
    }
}

fn accept(
    options: &SessionOptions,
    packet: Decoded,
    stream: Box<dyn Stream>,
    input: BytesMut,
    decoder: Decoder,
) -> Result<Accepted, ConnectError> {
    let Decoded::ConnAck {
        session_present,
        reason,
        text,
        limits,
    } = packet
    else {
        return Err(ConnectError::NotMqtt(
            "something else than CONNACK".to_owned(),
        ));
    };
    if reason == Reason::UNSUPPORTED_PROTOCOL_VERSION {
        return Err(ConnectError::WrongVersion(options.version));
    }
    if reason != Reason::SUCCESS {
        return Err(ConnectError::Refused { reason, text });
    }
    Ok(Accepted {
        stream,
        input,
        decoder,
        limits,
        session_present,
    })
}

/// Some peers hang up on a CONNECT so fast that the system reports a reset.
fn broken(error: io::Error) -> ConnectError {
    match error.kind() {
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => ConnectError::NoAnswer,
        _ => ConnectError::Broken(error),
    }
}

/// The first line of an answer, or its first bytes, fit to be shown.
fn show_start(bytes: &[u8]) -> String {
    const SHOWN: usize = 40;
    if bytes.starts_with(&[0x15, 0x03]) {
        return "with a TLS alert: use mqtts:// for this port".to_owned();
    }
    let line = bytes.split(|&byte| byte == b'\r' || byte == b'\n').next();
    let line = line.unwrap_or(bytes);
    let shown = &line[..line.len().min(SHOWN)];
    let more = if line.len() > SHOWN { "…" } else { "" };
    format!("\"{}{more}\"", shown.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_protocol_is_shown_by_its_first_line() {
        assert_eq!(
            show_start(b"HTTP/1.1 400 Bad Request\r\nX: y"),
            "\"HTTP/1.1 400 Bad Request\""
        );
        assert_eq!(show_start(&[0, 0xff, b'a']), "\"\\x00\\xffa\"");
        assert_eq!(show_start(&[b'x'; 99]), format!("\"{}…\"", "x".repeat(40)));
    }

    #[test]
    fn a_tls_alert_leads_to_mqtts() {
        assert!(show_start(&[0x15, 0x03, 0x01, 0, 2, 2, 10]).contains("mqtts://"));
    }
}
