//! Delivered records on their way to the next stage. A reader that takes nothing holds up the reading of the input, and
//! neither the deliveries that are under way nor the answer to a signal.

use std::{
    io::Write,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use crate::io::{
    output::{Blocked, Output, OutputError},
    stop::Deadline,
};

/// So long a flush may wait for a reader that is slow, before the client has its turn.
const SHORT: Duration = Duration::from_millis(20);

/// How long a flush waits for the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Not at all.
    None,
    /// For a moment: other work waits meanwhile.
    Short,
    /// Until the drain is over.
    Long,
}

/// Lines to the next stage.
#[derive(Debug)]
pub(super) struct Tee<W> {
    output: Output<W>,
    /// Nothing more is written: it can't be, or nobody would take it.
    is_closed: bool,
    /// Lines that came since.
    lost: u64,
}

impl<W: Write + AsFd> Tee<W> {
    pub(super) fn new(output: Output<W>) -> Self {
        Self {
            output,
            is_closed: false,
            lost: 0,
        }
    }

    /// Adds a line and writes nothing.
    pub(super) fn push(&mut self, line: &[u8]) {
        if self.is_closed {
            self.lost += 1;
            return;
        }
        self.output.push(|out| out.extend_from_slice(line));
    }

    /// Whether no more should be added before a flush.
    pub(super) fn is_full(&self) -> bool {
        !self.is_closed && self.output.is_full()
    }

    /// How long until what is buffered is to be written; `None` if nothing is.
    pub(super) fn flush_in(&self) -> Option<Duration> {
        self.output.flush_in().filter(|_| !self.is_closed)
    }

    /// Where the lines that were added end.
    pub(super) fn position(&self) -> u64 {
        self.output.position()
    }

    /// Writes what the reader takes. `true` if nothing is left.
    pub(super) fn flush(
        &mut self,
        patience: Patience,
        drain: &mut Deadline,
    ) -> Result<bool, OutputError> {
        if self.is_closed {
            return Ok(true);
        }
        let until = Instant::now() + SHORT;
        let flushed = self.output.flush_unless(|| {
            let waits = match patience {
                Patience::None => false,
                Patience::Short => Instant::now() < until,
                Patience::Long => drain.passed().is_none(),
            };
            Ok(if waits {
                Blocked::Wait
            } else {
                Blocked::GiveUp
            })
        });
        self.is_closed |= flushed.is_err();
        flushed
    }

    /// Writes nothing more: the time for it is up.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    /// Whether the reader has left, found out without writing.
    pub(super) fn is_reader_gone(&mut self) -> bool {
        !self.is_closed && self.output.is_reader_gone()
    }

    /// Up to where the reader has taken lines, or a file has them.
    pub(super) fn taken(&mut self) -> u64 {
        self.output.taken()
    }

    /// Whether something that was added is not written.
    pub(super) fn has_left(&self) -> bool {
        self.lost > 0 || self.output.written() < self.output.position()
    }
}
