//! A record that was read.

use rdkafka::message::{BorrowedMessage, Headers as _, Message, Timestamp};

use crate::client::utf8;
use crate::producer::Header;

/// A record has a header whose name is not text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name of a header is not UTF-8 text")]
pub struct HeaderNotText;

/// What a record's timestamp tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampKind {
    /// When its producer made it.
    CreateTime,
    /// When the broker appended it.
    LogAppendTime,
}

/// A record as it lies in the client's memory.
pub struct Incoming<'a>(pub(crate) BorrowedMessage<'a>);

impl Incoming<'_> {
    /// The topic it is from.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.0.topic()
    }

    /// The partition it is from.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.0.partition()
    }

    /// Its place in the partition.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.0.offset()
    }

    /// In ms since 1970, UTC, and whose clock it was, if there is one.
    #[must_use]
    pub fn timestamp(&self) -> Option<(i64, TimestampKind)> {
        match self.0.timestamp() {
            Timestamp::CreateTime(ms) => Some((ms, TimestampKind::CreateTime)),
            Timestamp::LogAppendTime(ms) => Some((ms, TimestampKind::LogAppendTime)),
            Timestamp::NotAvailable => None,
        }
    }

    /// The key; `None` for null.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        self.0.key()
    }

    /// The payload; `None` for null, a tombstone.
    #[must_use]
    pub fn payload(&self) -> Option<&[u8]> {
        self.0.payload()
    }

    /// The headers in their order. A name that holds a NUL ends before it: librdkafka gives names as C strings.
    ///
    /// # Errors
    ///
    /// The name of one is not UTF-8. Key, payload and the rest can be had all the same.
    pub fn headers(&self) -> Result<Vec<Header<'_>>, HeaderNotText> {
        let Some(headers) = self.0.headers() else {
            return Ok(Vec::new());
        };
        let read = |at| {
            let header = headers.get(at);
            Header {
                name: header.key,
                value: header.value,
            }
        };
        utf8(|| (0..headers.count()).map(read).collect()).ok_or(HeaderNotText)
    }
}
