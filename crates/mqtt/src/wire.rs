//! The two buffers of a connection and the stream behind them.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::transport::Stream;

/// Room for a read at first; doubled whenever a read fills it. A thousand idle connections must not
/// hold a thousand large buffers.
const FIRST_READ: usize = 2 << 10;
pub(crate) const LARGEST_READ: usize = 128 << 10;
/// Time for the last bytes and the broker's FIN at the end, all in all and from one read to the next.
const CLOSING: Duration = Duration::from_secs(5);
const LINGER: Duration = Duration::from_secs(1);

/// A stream with an input and an output buffer.
pub(crate) struct Wire {
    stream: Box<dyn Stream>,
    /// What was read and not taken yet.
    pub(crate) input: BytesMut,
    /// What is to be written.
    pub(crate) output: BytesMut,
    /// The position in the stream up to which it has accepted the output.
    pub(crate) written: u64,
    flushed: bool,
    read_size: usize,
}

impl Wire {
    pub(crate) fn new(stream: Box<dyn Stream>, input: BytesMut) -> Self {
        Self {
            stream,
            input,
            output: BytesMut::new(),
            written: 0,
            flushed: true,
            read_size: FIRST_READ,
        }
    }

    /// The position in the stream behind the last byte of the output.
    pub(crate) fn appended(&self) -> u64 {
        self.written + self.output.len() as u64
    }

    /// Writes what the stream takes; true if it took something.
    pub(crate) fn poll_output(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        if self.output.is_empty() {
            if !self.flushed
                && let Poll::Ready(result) = Pin::new(&mut self.stream).poll_flush(cx)
            {
                result?;
                self.flushed = true;
            }
            return Ok(false);
        }
        match Pin::new(&mut self.stream).poll_write(cx, &self.output) {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(0)) => Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(count)) => {
                self.output.advance(count);
                self.written += count as u64;
                self.flushed = false;
                Ok(true)
            }
            Poll::Ready(Err(error)) => Err(error),
        }
    }

    /// Reads what is there; true if it was something.
    pub(crate) fn poll_input(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let input = &mut self.input;
        if input.capacity() - input.len() < self.read_size / 2 {
            input.reserve(self.read_size);
        }
        let room = input.capacity() - input.len();
        // `read_buf` takes nothing from the stream unless it is ready, so it can be begun anew.
        match pin!(self.stream.read_buf(input)).poll(cx) {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(0)) => Err(io::ErrorKind::UnexpectedEof.into()),
            Poll::Ready(Ok(count)) => {
                if count == room {
                    self.read_size = (self.read_size * 2).min(LARGEST_READ);
                }
                Ok(true)
            }
            Poll::Ready(Err(error)) => Err(error),
        }
    }

    /// Gives memory back that a quiet connection does not need.
    pub(crate) fn shrink(&mut self) {
        for buffer in [&mut self.input, &mut self.output] {
            if buffer.is_empty() && buffer.capacity() > FIRST_READ {
                *buffer = BytesMut::new();
            }
        }
        self.read_size = FIRST_READ;
    }

    /// The last bytes, and the end of the stream. What the broker still sends is read, because
    /// closing a socket with unread input would destroy what is on its way to the broker.
    pub(crate) async fn close(&mut self) {
        let farewell = async {
            self.stream.write_all_buf(&mut self.output).await?;
            self.stream.flush().await?;
            self.stream.shutdown().await?;
            loop {
                self.input.clear();
                let read = timeout(LINGER, self.stream.read_buf(&mut self.input));
                if read.await?? == 0 {
                    return io::Result::Ok(());
                }
            }
        };
        // The broker may hang up on DISCONNECT in any way it likes.
        let _ = timeout(CLOSING, farewell).await;
    }
}
