//! How much goes into a write.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex,
};

use super::*;
use crate::channel::Shared;
use crate::mailbox::{Capacity, Mailbox};
use crate::options::{SessionOptions, Subscription};
use crate::protocol::Version;

/// A stream that counts its writes.
struct Counting {
    stream: DuplexStream,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Counting {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        self.writes.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

const COUNT: u16 = 1_000;

/// Runs a connection to its end; `broker` is the other end of it. Gives the number of writes.
async fn run<F: Future<Output = ()>>(
    shared: Arc<Shared>,
    broker: impl FnOnce(DuplexStream) -> F,
) -> usize {
    let address: crate::Address = "mqtt://h/t".parse().unwrap();
    let mut options = SessionOptions::new(address.broker, "me");
    options.subscriptions = vec![Subscription::new("t", crate::Qos::AtLeastOnce)];
    let mut state = State::new(options, shared);
    // The broker has kept the session, so that nothing is subscribed.
    state.was_online = true;
    let (stream, other) = duplex(1 << 20);
    let writes = Arc::new(AtomicUsize::new(0));
    let accepted = Accepted {
        stream: Box::new(Counting {
            stream,
            writes: Arc::clone(&writes),
        }),
        input: BytesMut::new(),
        decoder: Decoder::new(Version::V5, u32::MAX),
        limits: Limits::default(),
        session_present: true,
    };
    let mut connection = Connection::new(&mut state, accepted);
    let (end, ()) = tokio::join!(connection.run(), broker(other));
    assert!(matches!(end, End::Closed));
    writes.load(Ordering::Relaxed)
}

fn shared() -> Arc<Shared> {
    Arc::new(Shared::new(Arc::new(Mailbox::new(Capacity::default()))))
}

/// Reads `packets` packets of less than 128 bytes each.
async fn read_packets(stream: &mut DuplexStream, packets: u16) {
    for _ in 0..packets {
        let mut header = [0; 2];
        stream.read_exact(&mut header).await.unwrap();
        let mut rest = [0; 127];
        let rest = &mut rest[..usize::from(header[1])];
        stream.read_exact(rest).await.unwrap();
    }
}

#[tokio::test]
async fn a_thousand_messages_that_are_there_go_out_in_one_write() {
    let shared = shared();
    for ticket in 0..COUNT {
        let message = Message {
            topic: Arc::from("t"),
            payload: Bytes::from_static(b"12345"),
            qos: crate::Qos::AtLeastOnce,
            retain: false,
            properties: None,
        };
        assert!(shared.send(u64::from(ticket), message));
    }
    shared.request_close();
    let writes = run(shared, |mut stream| async move {
        read_packets(&mut stream, COUNT).await;
        let mut answers = Vec::new();
        for id in 1..=COUNT {
            answers.extend_from_slice(&[0x40, 2]);
            answers.extend_from_slice(&id.to_be_bytes());
        }
        stream.write_all(&answers).await.unwrap();
        // DISCONNECT.
        read_packets(&mut stream, 1).await;
    });
    assert_eq!(writes.await, 2, "the messages, and DISCONNECT");
}

#[tokio::test]
async fn what_was_read_in_one_piece_is_answered_in_one_write() {
    let shared = shared();
    let application = Arc::clone(&shared);
    let writes = run(shared, |mut stream| async move {
        let mut messages = Vec::new();
        for id in 1..=COUNT {
            messages.extend_from_slice(&[0x32, 6, 0, 1, b't']);
            messages.extend_from_slice(&id.to_be_bytes());
            messages.push(0);
        }
        stream.write_all(&messages).await.unwrap();
        let (mut taken, mut deliveries) = (0, Vec::new());
        while taken < usize::from(COUNT) {
            deliveries.clear();
            let room = usize::from(COUNT);
            taken += application
                .receive(Duration::ZERO, room, &mut deliveries)
                .unwrap();
            if let Some(last) = deliveries.last() {
                application.acknowledge(last.token.0);
            }
            tokio::task::yield_now().await;
        }
        read_packets(&mut stream, COUNT).await;
        application.request_close();
        // DISCONNECT.
        read_packets(&mut stream, 1).await;
    });
    let writes = writes.await;
    assert!(
        writes < 10,
        "{writes} writes for 8000 bytes in reads of 2 KiB and more"
    );
}
