//! Cuts a byte stream into lines without copying them: one read fills a block, and every line of the
//! block is a reference-counted slice of it.

use std::io::{self, Read};

use bytes::{Bytes, BytesMut};

/// How much one read asks for: the capacity of a Linux pipe.
const BLOCK: usize = 64 * 1024;

/// Less room than this at the end of a block is not worth a read.
const SMALLEST_READ: usize = 4 * 1024;

/// One line of the input, with its terminator (`\n` or `\r\n`) taken off and nothing else changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Number of the line in the input, from 1; blank lines count.
    pub line: u64,
    /// Bytes of the input up to and including this line's terminator: where a restart would go on.
    pub end: u64,
    /// The value, byte for byte.
    pub bytes: Bytes,
}

/// A line over the limit. Its bytes were not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong {
    /// Number of the line in the input, from 1.
    pub line: u64,
    /// Bytes of the input up to and including this line's terminator.
    pub end: u64,
    /// Length of the line in bytes, without its `\n`.
    pub length: u64,
}

/// What a [`LineReader`] finds. Blank lines are not told of: they are counted, see [`LineReader::blank`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A line within the limit.
    Record(Record),
    /// A line over the limit.
    TooLong(TooLong),
}

/// Reads lines from `R`, each at most `max_record` bytes.
///
/// A last line without a terminator counts. A line over the limit is passed over without being held in
/// memory: the reader never holds more than `max_record` plus one block.
#[derive(Debug)]
pub struct LineReader<R> {
    reader: R,
    max_record: usize,
    /// Complete lines, each with its terminator (but perhaps the last of the input).
    ready: Bytes,
    /// Bytes of a line whose end has not been seen.
    partial: BytesMut,
    /// Bytes of the line at hand that were passed over because it is too long.
    skipped: u64,
    at_end: bool,
    line: u64,
    position: u64,
    blank: u64,
}

impl<R: Read> LineReader<R> {
    /// A reader of lines of at most `max_record` bytes, terminator not counted.
    pub fn new(reader: R, max_record: usize) -> Self {
        Self {
            reader,
            max_record,
            ready: Bytes::new(),
            partial: BytesMut::new(),
            skipped: 0,
            at_end: false,
            line: 0,
            position: 0,
            blank: 0,
        }
    }

    /// Takes the numbers of lines and bytes up from an earlier run, whose input ended at `position`
    /// after `line` lines. The caller has placed the reader there.
    pub fn resume_at(&mut self, line: u64, position: u64) {
        self.line = line;
        self.position = position;
    }

    /// The next line that is already in memory.
    pub fn buffered(&mut self) -> Option<Line> {
        loop {
            if self.ready.is_empty() {
                // A too-long last line may end where a block does.
                let length = std::mem::take(&mut self.skipped);
                if !self.at_end || length == 0 {
                    self.skipped = length;
                    return None;
                }
                self.line += 1;
                self.position += length;
                return Some(self.too_long(length));
            }
            let (length, terminator) = match memchr::memchr(b'\n', &self.ready) {
                Some(at) => (at, 1),
                None => (self.ready.len(), 0),
            };
            let mut bytes = self.ready.split_to(length + terminator);
            bytes.truncate(length);
            self.line += 1;
            self.position += (length + terminator) as u64;
            if self.skipped > 0 {
                let length = self.skipped + length as u64;
                self.position += self.skipped;
                self.skipped = 0;
                return Some(self.too_long(length));
            }
            if bytes.last() == Some(&b'\r') && terminator == 1 {
                bytes.truncate(length - 1);
            }
            if bytes.is_empty() {
                self.blank += 1;
                continue;
            }
            if bytes.len() > self.max_record {
                return Some(self.too_long(length as u64));
            }
            return Some(Line::Record(Record {
                line: self.line,
                end: self.position,
                bytes,
            }));
        }
    }

    fn too_long(&self, length: u64) -> Line {
        Line::TooLong(TooLong {
            line: self.line,
            end: self.position,
            length,
        })
    }

    /// Reads once. `false` at the end of the input, after which [`buffered`](Self::buffered) still
    /// gives a last line without a terminator.
    ///
    /// # Errors
    ///
    /// Whatever the reader says, but an interrupted read is tried again.
    pub fn fill(&mut self) -> io::Result<bool> {
        if self.at_end {
            return Ok(false);
        }
        debug_assert!(self.ready.is_empty(), "take the buffered lines first");
        let held = self.partial.len();
        // What is left of the block is used up first: a slow pipe that gives a line at a time must not
        // pin a block for each of them.
        let room = match self.partial.capacity() - held {
            spare if spare >= SMALLEST_READ => spare,
            _ => BLOCK,
        };
        self.partial.resize(held + room, 0);
        let read = loop {
            match self.reader.read(&mut self.partial[held..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.partial.truncate(held + *read.as_ref().unwrap_or(&0));
        if read? == 0 {
            self.at_end = true;
            self.ready = self.partial.split().freeze();
            return Ok(false);
        }
        if let Some(at) = memchr::memrchr(b'\n', &self.partial[held..]) {
            self.ready = self.partial.split_to(held + at + 1).freeze();
        } else if self.partial.len() > self.max_record + 1 {
            self.skipped += self.partial.len() as u64;
            self.partial.clear();
        }
        Ok(true)
    }

    /// The next line, or `None` at the end; blocks as long as the reader does.
    ///
    /// # Errors
    ///
    /// Whatever the reader says.
    pub fn next_line(&mut self) -> io::Result<Option<Line>> {
        loop {
            if let Some(line) = self.buffered() {
                return Ok(Some(line));
            }
            if !self.fill()? {
                return Ok(self.buffered());
            }
        }
    }

    /// Whether [`buffered`](Self::buffered) has a line (or a blank one to pass over).
    #[must_use]
    pub fn has_buffered(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Blank lines passed over so far.
    #[must_use]
    pub fn blank(&self) -> u64 {
        self.blank
    }

    /// Bytes of the input up to the last line given.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The reader beneath, which only somebody may read from who then [resumes](Self::resume_at).
    pub(crate) fn get_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    /// The reader beneath.
    #[must_use]
    pub fn get_ref(&self) -> &R {
        &self.reader
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn records(input: &[u8], max: usize) -> Vec<(u64, Result<Vec<u8>, u64>)> {
        let mut reader = LineReader::new(input, max);
        let mut found = Vec::new();
        while let Some(line) = reader.next_line().unwrap() {
            found.push(match line {
                Line::Record(record) => (record.line, Ok(record.bytes.to_vec())),
                Line::TooLong(long) => (long.line, Err(long.length)),
            });
        }
        assert_eq!(reader.position(), input.len() as u64);
        found
    }

    fn ok(line: u64, text: &str) -> (u64, Result<Vec<u8>, u64>) {
        (line, Ok(text.as_bytes().to_vec()))
    }

    #[test]
    fn terminators_are_taken_off_and_a_last_line_without_one_counts() {
        assert_eq!(
            records(b"a\r\nb\nc", 9),
            [ok(1, "a"), ok(2, "b"), ok(3, "c")]
        );
        assert_eq!(records(b"a\r", 9), [ok(1, "a\r")]);
        assert_eq!(records(b"", 9), []);
    }

    #[test]
    fn blank_lines_are_counted_and_numbered() {
        let mut reader = LineReader::new(&b"\n\r\nx\n\n"[..], 9);
        let Some(Line::Record(record)) = reader.next_line().unwrap() else {
            panic!("a record")
        };
        assert_eq!((record.line, record.end), (3, 5));
        assert_eq!(reader.next_line().unwrap(), None);
        assert_eq!(reader.blank(), 3);
    }

    #[test]
    fn a_line_of_the_limit_passes_and_one_byte_more_does_not() {
        assert_eq!(
            records(b"12345\n123456\n12345\r\n1", 5),
            [ok(1, "12345"), (2, Err(6)), ok(3, "12345"), ok(4, "1")]
        );
    }

    #[test]
    fn a_huge_line_is_passed_over_without_being_held() {
        let huge = vec![b'x'; 10 * BLOCK];
        for (end, after) in [("", None), ("\n", None), ("\nafter", Some(ok(2, "after")))] {
            let input = [&huge, end.as_bytes()].concat();
            let want: Vec<_> = [(1, Err(10 * BLOCK as u64))]
                .into_iter()
                .chain(after)
                .collect();
            assert_eq!(records(&input, 1000), want);
        }
        let mut reader = LineReader::new(&huge[..], 1000);
        while reader.fill().unwrap() && reader.ready.is_empty() {
            assert!(reader.partial.capacity() <= 2 * BLOCK + 1001);
        }
    }

    /// A reader that gives a few bytes at a time.
    struct Dribble<'a>(&'a [u8], usize);

    impl Read for Dribble<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(self.0.len()).min(into.len());
            into[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    #[test]
    fn lines_that_come_one_at_a_time_share_a_block() {
        let input = b"0123456789\n".repeat(1000);
        let mut reader = LineReader::new(Dribble(&input, 11), 100);
        let mut lines = Vec::new();
        while let Some(Line::Record(record)) = reader.next_line().unwrap() {
            lines.push(record.bytes);
        }
        let span = lines[999].as_ptr() as usize - lines[0].as_ptr() as usize;
        assert_eq!(lines.len(), 1000);
        assert!(
            span < BLOCK,
            "a thousand short lines lie in one block, not {span} bytes apart"
        );
    }

    proptest! {
        #[test]
        fn every_byte_is_accounted_for_however_it_arrives(
            input in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..400),
            step in 1usize..50,
            max in 1usize..40,
        ) {
            let mut reader = LineReader::new(Dribble(&input, step), max);
            let mut position = 0;
            let mut lines = 0;
            while let Some(line) = reader.next_line().unwrap() {
                let end = match line {
                    Line::Record(record) => {
                        prop_assert!(record.bytes.len() <= max);
                        let end = usize::try_from(record.end).unwrap();
                        let raw = &input[..end];
                        let raw = raw.strip_suffix(b"\n").map_or(raw, |r| r.strip_suffix(b"\r").unwrap_or(r));
                        prop_assert!(raw.ends_with(&record.bytes));
                        record.end
                    }
                    Line::TooLong(long) => {
                        prop_assert!(long.length > max as u64);
                        long.end
                    }
                };
                prop_assert!(end > position);
                position = end;
                lines += 1;
            }
            prop_assert_eq!(reader.position(), input.len() as u64);
            let all = input.split(|b| *b == b'\n').count() as u64 - u64::from(input.is_empty() || input.ends_with(b"\n"));
            prop_assert_eq!(lines + reader.blank(), all);
        }
    }
}
