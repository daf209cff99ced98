//! The MQTT broker: rumqttd behind one port for both protocol versions.
//!
//! What it is not, by rumqttd 0.20's own source; none of it is told to the client:
//! - A message goes out with its subscription's `QoS`, not the lower of the two: what was published
//!   at 0 reaches a subscriber at 1 with 1.
//! - It keeps no more than a fixed amount of messages for each filter (`--mqtt-buffer`). A
//!   subscriber that is further behind loses the oldest of them. That is noticed and told.
//! - Up to 100 messages are under way to a subscriber at `QoS` 1 and 2, whatever its receive
//!   maximum: a client that keeps to a smaller one (mosquitto's has 20) may give up. An
//!   acknowledgement out of order ends the connection; a PUBREL with a reason or properties is not
//!   answered. Of the retained messages a subscription at `QoS` 1 or 2 gets at most 100, one at 0
//!   at most 1000.
//! - A session lasts if clean session / clean start is off, for as long as the process, whatever
//!   its expiry; with it on, it never lasts. A persistent session must not share a subscription
//!   (`$share`).
//! - No local, retain as published and retain handling are ignored, and so are a client's maximum
//!   packet size and the request for problem information. Filters under `$` are refused.
//! - A client id with one of `+$#/` in it is refused, by closing the connection. There are no
//!   users and no TLS.
//! - Two subscriptions of one client that overlap deliver a message twice.

pub(crate) mod connect;
pub(crate) mod front;

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};
use serde_json::json;

use front::Behind;

/// The log of a filter is kept in this many pieces, of which the oldest is dropped at once.
const SEGMENTS: usize = 16;

/// The largest packet that is taken from a client, in bytes.
const LARGEST_PACKET: usize = 64 * 1024 * 1024;

/// What goes wrong while the broker runs.
pub(crate) enum Trouble {
    /// A subscriber lost messages, which the text says.
    Overrun(String),
    /// The broker is no more.
    Died,
}

/// Starts the broker on ports of its own on loopback.
///
/// `buffer` is how many bytes of messages are kept for each filter. `on_trouble` is called from a
/// thread of its own.
pub(crate) fn start(
    buffer: usize,
    on_trouble: impl Fn(Trouble) + Send + 'static,
) -> anyhow::Result<Behind> {
    let behind = free_ports().context("mqtt: no free port on 127.0.0.1")?;
    let mut broker = Broker::new(config(buffer, behind)?);
    let alerts = broker.alerts().context("mqtt: the broker did not start")?;
    thread::Builder::new().name("mqtt".into()).spawn(move || {
        // It returns when every listener has died; the router's own end is seen below.
        let _ = broker.start();
    })?;
    thread::Builder::new()
        .name("mqtt-alerts".into())
        .spawn(move || {
            while let Ok(alerts) = alerts.router_rx.recv() {
                for alert in alerts {
                    if let Some(message) = overrun(&json!(alert)) {
                        on_trouble(Trouble::Overrun(message));
                    }
                }
            }
            on_trouble(Trouble::Died);
        })?;
    Ok(behind)
}

/// Waits until the port answers a CONNECT of either version.
pub(crate) fn wait_until_ready(address: SocketAddr, limit: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + limit;
    let v4: &[u8] = b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0";
    let v5: &[u8] = b"\x10\x0d\0\x04MQTT\x05\x02\0\x3c\0\0\0";
    for connect in [v4, v5] {
        loop {
            match answers(address, connect) {
                Ok(()) => break,
                Err(error) if Instant::now() >= deadline => {
                    bail!("mqtt: no answer from the broker behind {address}: {error}")
                }
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        }
    }
    Ok(())
}

fn answers(address: SocketAddr, connect: &[u8]) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(connect)?;
    let mut connack = [0; 4];
    stream.read_exact(&mut connack)?;
    // The fourth byte is the return code, in both versions.
    if connack[0] != 0x20 || connack[3] != 0 {
        return Err(io::Error::other(format!("refused: {connack:02x?}")));
    }
    // DISCONNECT
    stream.write_all(&[0xe0, 0])
}

/// What a subscriber that lost messages is told of with, if the alert is of that kind.
fn overrun(alert: &serde_json::Value) -> Option<String> {
    let filter = alert.pointer("/kind/CursorJump/filter")?.as_str()?;
    let client = alert.get("client_id")?.as_str()?;
    Some(format!(
        "mqtt: client {client} fell behind on {filter} by more than --mqtt-buffer: it lost the oldest messages"
    ))
}

/// Two loopback addresses that nothing listens on at this moment: rumqttd binds its own listeners
/// and can't be asked which ports it got.
fn free_ports() -> io::Result<Behind> {
    let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let v5 = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(Behind {
        v4: v4.local_addr()?,
        v5: v5.local_addr()?,
    })
}

fn config(buffer: usize, behind: Behind) -> anyhow::Result<Config> {
    let server = |name: &str, listen| {
        let settings = ServerSettings {
            name: name.into(),
            listen,
            tls: None,
            next_connection_delay_ms: 0,
            connections: ConnectionSettings {
                connection_timeout_ms: 10_000,
                max_payload_size: LARGEST_PACKET,
                // How many packets are taken from a connection at a time.
                max_inflight_count: 200,
                auth: None,
                external_auth: None,
                dynamic_filters: false,
            },
        };
        Some(HashMap::from([(name.to_owned(), settings)]))
    };
    Ok(Config {
        router: RouterConfig {
            max_connections: 10_000,
            max_outgoing_packet_count: 1000,
            max_segment_size: (buffer / SEGMENTS).max(1024),
            max_segment_count: SEGMENTS,
            ..RouterConfig::default()
        },
        v4: server("mqtt-3.1.1", behind.v4),
        v5: server("mqtt-5", behind.v5),
        // Seconds. The meters aren't used, but its timer fails without their interval.
        metrics: Some(serde_json::from_value(json!({
            "alerts": { "push_interval": 1 },
            "meters": { "push_interval": 3600 },
        }))?),
        ..Config::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_that_lost_messages_is_named() {
        let alert = json!({
            "timestamp": 1, "sequence": 0, "client_id": "tap",
            "kind": { "CursorJump": { "filter": "a/+", "lost": 0 } },
        });
        let message = overrun(&alert).unwrap();
        assert!(
            message.contains("client tap") && message.contains("a/+"),
            "{message}"
        );
        assert_eq!(
            overrun(&json!({ "kind": { "BadPublish": { "topic": "t" } } })),
            None
        );
    }
}
