//! A record as the validator's hot path sees it: one flat list of entries over the record's own
//! bytes, kept and refilled from record to record, so that a valid record costs no allocation.
//!
//! The parser is strict and partial: it takes what almost every record is made of, and gives up
//! ([`Tape::fill`] answers `false`) on anything rare, whether wrong or merely unusual: a syntax
//! error, a repeated member, an escape in a member's name, a surrogate pair, an integer beyond 64
//! bits, a deep nest. `serde_json` then decides. So this parser need not be complete, only right
//! in what it takes; a property test holds it to `serde_json`.

mod node;
mod parse;

pub(crate) use node::{Document, TapeJson};

/// One value or member name. A container is followed by its contents, a member's name by its value.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Entry {
    Null,
    Bool(bool),
    Unsigned(u64),
    /// Below zero.
    Signed(i64),
    Float(f64),
    /// The bytes between the quotes; `escaped` when they hold a backslash.
    String {
        start: u32,
        end: u32,
        escaped: bool,
    },
    /// `next` is the index of the entry after the last of its contents.
    Array {
        len: u32,
        next: u32,
    },
    Object {
        len: u32,
        next: u32,
    },
}

/// Memory for one record at a time, reused for the next.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    entries: Vec<Entry>,
    /// Names of the objects that are being read, to find repeated ones.
    names: Vec<(u32, u32)>,
}

impl Tape {
    /// Reads the record; `None` if that is for `serde_json` to do.
    pub(crate) fn fill<'a>(&'a mut self, record: &'a [u8]) -> Option<Document<'a>> {
        // A huge record must not leave its memory behind for good.
        const KEPT_ENTRIES: usize = 64 * 1024;
        self.entries.clear();
        self.entries.shrink_to(KEPT_ENTRIES);
        self.names.clear();
        self.names.shrink_to(KEPT_ENTRIES);
        let text = std::str::from_utf8(record).ok()?;
        parse::parse(text, &mut self.entries, &mut self.names)?;
        Some(Document {
            text,
            entries: &self.entries,
        })
    }
}
