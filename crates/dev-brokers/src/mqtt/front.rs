//! The one MQTT port: takes a connection, waits for its CONNECT, and joins it to the broker's
//! listener for that protocol level.

use std::{io, net::SocketAddr, time::Duration};

use tapline_pipe::console::Console;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    time::{sleep, timeout},
};

use super::connect::{Opening, examine};

/// How long a client may take over its CONNECT.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// The broker's own listeners.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Behind {
    /// For MQTT 3.1.1.
    pub(crate) v4: SocketAddr,
    /// For MQTT 5.
    pub(crate) v5: SocketAddr,
}

/// Serves connections for as long as the runtime lives.
pub(crate) async fn serve(listener: TcpListener, behind: Behind, console: Console) {
    loop {
        match listener.accept().await {
            Ok((client, address)) => {
                let console = console.clone();
                tokio::spawn(async move {
                    // A connection that fails has only itself to tell, by ending.
                    match attend(client, behind, |what| tell(&console, address, what)).await {
                        Ok(()) => tell(&console, address, "closed"),
                        Err(error) => tell(&console, address, &error.to_string()),
                    }
                });
            }
            Err(error) => {
                // Out of descriptors: the next try would fail at once, too.
                console.warn(format_args!(
                    "mqtt: a connection could not be taken: {error}"
                ));
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn tell(console: &Console, client: SocketAddr, what: &str) {
    console.verbose(format_args!("mqtt: {client}: {what}"));
}

async fn attend(
    mut client: TcpStream,
    behind: Behind,
    tell: impl Fn(&'static str),
) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut received = Vec::with_capacity(1024);
    let opening = timeout(CONNECT_LIMIT, opening(&mut client, &mut received));
    let address = match opening.await?? {
        Opening::V4 => {
            tell("connected with MQTT 3.1.1");
            behind.v4
        }
        Opening::V5 => {
            tell("connected with MQTT 5");
            behind.v5
        }
        Opening::Unsupported(reply) => {
            tell("refused: neither MQTT 3.1.1 nor 5");
            return client.write_all(reply).await;
        }
        Opening::NotMqtt => {
            tell("refused: what it says is not MQTT");
            return Ok(());
        }
        Opening::Incomplete => return Ok(()),
    };
    let mut broker = TcpStream::connect(address).await?;
    broker.set_nodelay(true)?;
    broker.write_all(&received).await?;
    drop(received);
    join(&mut client, &mut broker).await
}

/// Reads until it is known what the client speaks; `Incomplete` when it left before that.
async fn opening(client: &mut TcpStream, received: &mut Vec<u8>) -> io::Result<Opening> {
    loop {
        if client.read_buf(received).await? == 0 {
            return Ok(Opening::Incomplete);
        }
        match examine(received) {
            Opening::Incomplete => {}
            known => return Ok(known),
        }
    }
}

/// Carries bytes both ways until either side is done.
///
/// An end from the broker ends the connection. An end from the client is passed on, and what the
/// broker still says is delivered; a connection that breaks is broken on the other side, too, so
/// that the broker publishes the last will.
async fn join(client: &mut TcpStream, broker: &mut TcpStream) -> io::Result<()> {
    let (client_in, mut client_out) = client.split();
    let (broker_in, mut broker_out) = broker.split();
    let up = async {
        carry(client_in, &mut broker_out).await?;
        broker_out.shutdown().await
    };
    let down = carry(broker_in, &mut client_out);
    tokio::pin!(down);
    tokio::select! {
        done = &mut down => done,
        left = up => {
            left?;
            down.await
        }
    }
}

/// Carries bytes one way until the source ends.
async fn carry(mut from: ReadHalf<'_>, to: &mut WriteHalf<'_>) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let size = from.read(&mut buffer).await?;
        if size == 0 {
            return Ok(());
        }
        // rumqttd leaves Nagle's algorithm on, and so do some clients: they hold a small packet
        // back until the one before it was acknowledged, which the kernel here would put off for
        // 40 ms.
        #[cfg(target_os = "linux")]
        rustix::net::sockopt::set_tcp_quickack(from.as_ref(), true)?;
        to.write_all(&buffer[..size]).await?;
    }
}
