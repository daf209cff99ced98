//! The rows of a CSV file (RFC 4180), read in bounded memory and waited for together with a stop request.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::Duration;

use crate::io::input::wait_readable;
use crate::io::stop::{Signal, Stop};
use csv_core::{ReadRecordResult, Reader};

/// A byte order mark, as Windows programs write it before the first row.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// How much one read asks for.
const BLOCK: usize = 64 * 1024;

/// What [`Rows::next`] finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A row: see [`Rows::cells`].
    Row,
    /// A row over the limit, whose cells were not kept.
    TooLong,
    /// Nothing came within the time.
    Idle,
    /// The input has ended.
    End,
    /// A signal asks to stop.
    Stopped(Signal),
}

/// Reads rows of at most `max_record` bytes. Empty lines between rows are passed over and counted; a byte order mark at
/// the beginning belongs to no row.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "five facts that change independently of each other"
)]
pub struct Rows<R> {
    reader: R,
    stop: Stop,
    max_record: usize,
    core: Reader,
    block: Vec<u8>,
    /// What of the block is still to be cut into rows.
    from: usize,
    to: usize,
    /// The first bytes were looked at: they are a byte order mark, or none.
    begun: bool,
    /// So many bytes of a byte order mark stand at the beginning of the block.
    held: usize,
    ended: bool,
    /// No byte of the next row has been seen.
    fresh: bool,
    /// The row at hand is over the limit.
    too_long: bool,
    /// The row as it stands in the input, without its terminator.
    raw: Vec<u8>,
    text: Vec<u8>,
    text_used: usize,
    ends: Vec<usize>,
    ends_used: usize,
    newlines: u64,
    first_line: u64,
    blank: u64,
    /// The last thing before the next row was a line feed, so that another one makes an empty line.
    at_line_start: bool,
}

impl<R: Read + AsFd> Rows<R> {
    /// The rows of `reader`, until `stop`.
    pub fn new(reader: R, max_record: usize, stop: Stop) -> Self {
        Self {
            reader,
            stop,
            max_record,
            core: Self::core(),
            block: vec![0; BLOCK],
            from: 0,
            to: 0,
            begun: false,
            held: 0,
            ended: false,
            fresh: true,
            too_long: false,
            raw: Vec::new(),
            text: vec![0; 1024],
            text_used: 0,
            ends: vec![0; 64],
            ends_used: 0,
            newlines: 0,
            first_line: 1,
            blank: 0,
            at_line_start: true,
        }
    }

    /// A parser that takes a byte order mark for what it is after the beginning: text. It would remove one only if it
    /// came whole, so that is done here.
    fn core() -> Reader {
        let mut core = Reader::new();
        let (result, ..) = core.read_record(b"\n", &mut [0; 1], &mut [0; 1]);
        debug_assert_eq!(
            result,
            ReadRecordResult::InputEmpty,
            "an empty line is no row"
        );
        core
    }

    /// The next row; waits for its bytes at most `timeout` each time that none are there.
    ///
    /// # Errors
    ///
    /// Whatever reading says.
    pub fn next(&mut self, timeout: Duration) -> io::Result<Next> {
        loop {
            if self.fresh {
                self.begin();
            }
            if self.from == self.to && !self.ended {
                if let Some(wait) = self.fill(timeout)? {
                    return Ok(wait);
                }
                continue;
            }
            if self.fresh {
                return Ok(Next::End);
            }
            if self.cut() {
                self.fresh = true;
                return Ok(if self.too_long {
                    Next::TooLong
                } else {
                    Next::Row
                });
            }
        }
    }

    /// The cells of the row that was found last, without their quotes.
    #[must_use]
    pub fn cells(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let ends = &self.ends[..self.ends_used];
        ends.iter().enumerate().map(|(at, end)| {
            let start = if at == 0 { 0 } else { self.ends[at - 1] };
            &self.text[start..*end]
        })
    }

    /// The row that was found last as it stands in the input; of one over the limit, its beginning.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        let end = self
            .raw
            .iter()
            .rposition(|byte| !matches!(byte, b'\r' | b'\n'));
        &self.raw[..end.map_or(0, |at| at + 1)]
    }

    /// The first and the last line of the row that was found last, from 1.
    #[must_use]
    pub fn lines(&self) -> (u64, u64) {
        let ended_by_line_feed = u64::from(self.at_line_start);
        let last = self.newlines + 1 - ended_by_line_feed;
        (self.first_line, last.max(self.first_line))
    }

    /// Empty lines so far.
    #[must_use]
    pub fn blank(&self) -> u64 {
        self.blank
    }

    /// Whether some of the next row is in memory already.
    #[must_use]
    pub fn has_buffered(&self) -> bool {
        self.from < self.to
    }

    /// Passes over line ends up to the first byte of a row.
    fn begin(&mut self) {
        while let Some(byte @ (b'\r' | b'\n')) = self.block[self.from..self.to].first() {
            if *byte == b'\n' {
                self.newlines += 1;
                self.blank += u64::from(self.at_line_start);
                self.at_line_start = true;
            }
            self.from += 1;
        }
        if self.from < self.to {
            self.fresh = false;
            self.too_long = false;
            self.first_line = self.newlines + 1;
            self.raw.clear();
            self.text_used = 0;
            self.ends_used = 0;
        }
    }

    /// Reads a block; `Some` when that has to wait.
    fn fill(&mut self, timeout: Duration) -> io::Result<Option<Next>> {
        let signal = |stop: &Stop| stop.requested().map(Next::Stopped);
        if let Some(stopped) = signal(&self.stop) {
            return Ok(Some(stopped));
        }
        if !wait_readable(self.reader.as_fd(), &self.stop, timeout)? {
            return Ok(Some(signal(&self.stop).unwrap_or(Next::Idle)));
        }
        // Of the beginning, what could still become a byte order mark is kept.
        let kept = if self.begun { 0 } else { self.held };
        match self.reader.read(&mut self.block[kept..]) {
            Ok(read) => {
                let held = &self.block[..kept + read];
                let undecided = !self.begun && held.len() < MARK.len() && MARK.starts_with(held);
                if undecided && read > 0 {
                    self.held = held.len();
                    return Ok(None);
                }
                let mark = !self.begun && held.starts_with(MARK);
                self.begun = true;
                self.from = if mark { MARK.len() } else { 0 };
                self.to = kept + read;
                self.ended = kept + read == 0;
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes what the block has of the row at hand; true when that completes it.
    fn cut(&mut self) -> bool {
        let input = &self.block[self.from..self.to];
        let (result, read, text, ends) = self.core.read_record(
            input,
            &mut self.text[self.text_used..],
            &mut self.ends[self.ends_used..],
        );
        let input = &input[..read];
        self.newlines += memchr::memchr_iter(b'\n', input).count() as u64;
        if let Some(last) = input.last() {
            self.at_line_start = *last == b'\n';
        }
        self.from += read;
        self.text_used += text;
        self.ends_used += ends;
        if !self.too_long {
            self.raw.extend_from_slice(input);
            // With room for a terminator.
            self.too_long = self.raw.len() > self.max_record + 2;
        }
        if self.too_long {
            self.raw.truncate(self.max_record);
            self.text_used = 0;
            self.ends_used = 0;
        }
        match result {
            ReadRecordResult::InputEmpty => false,
            ReadRecordResult::OutputFull => {
                self.text.resize(self.text.len() * 2, 0);
                false
            }
            ReadRecordResult::OutputEndsFull => {
                self.ends.resize(self.ends.len() * 2, 0);
                false
            }
            ReadRecordResult::Record | ReadRecordResult::End => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Gives its bytes in pieces of at most `step`, and can always be read.
    struct Pieces<'a> {
        text: &'a [u8],
        step: usize,
        null: std::fs::File,
    }

    impl Read for Pieces<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let piece = self.step.min(into.len());
            self.text.read(&mut into[..piece])
        }
    }

    impl AsFd for Pieces<'_> {
        fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
            self.null.as_fd()
        }
    }

    /// A row: its first and last line, and its cells.
    type Found = (u64, u64, Vec<String>);

    /// All rows of `text` and its empty lines; a row that is too long has no cells.
    fn rows_in_pieces(text: &[u8], max_record: usize, step: usize) -> (Vec<Found>, u64) {
        let null = std::fs::File::open("/dev/null").unwrap();
        let pieces = Pieces { text, step, null };
        let mut rows = Rows::new(pieces, max_record, Stop::manual().unwrap());
        let mut found = Vec::new();
        loop {
            let (first, last) = match rows.next(Duration::from_mins(1)).unwrap() {
                Next::Row | Next::TooLong => rows.lines(),
                Next::End => break,
                other => panic!("{other:?}"),
            };
            let cells = rows
                .cells()
                .map(|cell| String::from_utf8_lossy(cell).into_owned());
            found.push((first, last, cells.collect()));
        }
        (found, rows.blank())
    }

    /// The same, which must not depend on where the pieces end.
    fn rows(text: &[u8], max_record: usize) -> (Vec<Found>, u64) {
        let whole = rows_in_pieces(text, max_record, usize::MAX);
        for step in 1..5 {
            assert_eq!(rows_in_pieces(text, max_record, step), whole, "{step}");
        }
        whole
    }

    proptest! {
        #[test]
        fn cells_come_back_from_their_csv(
            table in vec(vec(any::<String>(), 1..4), 0..6),
            step in 1_usize..40,
            mark: bool,
            end in prop::sample::select(vec!["\n", "\r\n", "\n\n"]),
        ) {
            let quoted = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
            let row = |cells: &Vec<String>| cells.iter().map(quoted).collect::<Vec<_>>().join(",") + end;
            let mut text = String::from(if mark { "\u{feff}" } else { "" });
            text.extend(table.iter().map(row));
            let (found, _) = rows_in_pieces(text.as_bytes(), 1 << 20, step);
            let cells: Vec<_> = found.into_iter().map(|(_, _, cells)| cells).collect();
            prop_assert_eq!(cells, table);
        }
    }

    fn row(first: u64, last: u64, cells: &[&str]) -> Found {
        (
            first,
            last,
            cells.iter().map(|cell| (*cell).to_owned()).collect(),
        )
    }

    #[test]
    fn rows_are_numbered_by_their_lines() {
        let expected = vec![
            row(1, 1, &["a", "b"]),
            row(3, 3, &["1", "2"]),
            row(4, 5, &["x\ny", "z"]),
            row(6, 6, &["3", ""]),
        ];
        assert_eq!(
            rows(b"a,b\n\n1,2\n\"x\ny\",z\n3,", 100),
            (expected.clone(), 1)
        );
        assert_eq!(
            rows(b"a,b\r\n\r\n1,2\r\n\"x\ny\",z\r\n3,\r\n\r\n", 100),
            (expected, 2)
        );
        assert_eq!(rows(b"", 100), (vec![], 0));
        assert_eq!(rows(b"\n\n", 100), (vec![], 2));
    }

    #[test]
    fn a_row_over_the_limit_is_passed_over_and_its_neighbours_are_whole() {
        let mut text = b"a,b\n".to_vec();
        text.extend_from_slice(&vec![b','; 100_000]);
        text.extend_from_slice(b"\n1,2\n");
        text.extend_from_slice(&vec![b'x'; 100_000]);
        text.extend_from_slice(b"\n3,4");
        let expected = vec![
            row(1, 1, &["a", "b"]),
            row(2, 2, &[]),
            row(3, 3, &["1", "2"]),
            row(4, 4, &[]),
            row(5, 5, &["3", "4"]),
        ];
        assert_eq!(rows(&text, 10), (expected, 0));
    }

    #[test]
    fn a_quote_that_is_not_closed_ends_with_the_input() {
        let (found, _) = rows(b"a,b\n1,\"2\n3,4\n", 100);
        assert_eq!(
            found,
            [row(1, 1, &["a", "b"]), row(2, 3, &["1", "2\n3,4\n"])]
        );
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_first_cell() {
        assert_eq!(rows(b"\xef\xbb\xbfa,b\n", 100).0, [row(1, 1, &["a", "b"])]);
        assert_eq!(
            rows(b"\xef\xbb\xbf\"a,b\",c\n", 100).0,
            [row(1, 1, &["a,b", "c"])]
        );
        assert_eq!(rows(b"\xef\xbb\xbf", 100).0, []);
        // One only, and only a whole one.
        let twice = "\u{feff}\u{feff}a\n\u{feff}b\n";
        assert_eq!(
            rows(twice.as_bytes(), 100).0,
            [row(1, 1, &["\u{feff}a"]), row(2, 2, &["\u{feff}b"])]
        );
        for part in [&b"\xef"[..], b"\xef\xbb", b"\xef\xbba,b", b"\xefa"] {
            let found = rows(part, 100).0;
            let text = String::from_utf8_lossy(part);
            assert_eq!(found[0].2.join(","), text);
        }
    }

    #[test]
    fn a_stop_ends_the_wait() {
        let (reader, _writer) = io::pipe().unwrap();
        let stop = Stop::manual().unwrap();
        let mut rows = Rows::new(reader, 100, stop.clone());
        assert_eq!(rows.next(Duration::ZERO).unwrap(), Next::Idle);
        stop.request(Signal::Terminate);
        let stopped = rows.next(Duration::from_mins(1)).unwrap();
        assert_eq!(stopped, Next::Stopped(Signal::Terminate));
    }
}
