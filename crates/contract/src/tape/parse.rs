//! Fills the tape, by the one grammar of JSON (`tapline_pipe::json`).

use std::borrow::Cow;

use tapline_pipe::json::lexer::{Lexer, Quoted};
use tapline_pipe::json::number::Number;
use tapline_pipe::json::{JsonError, Wrong, string::unescape, utf8};

use super::Entry;

/// Appends the entries of `record`; its text.
pub(super) fn parse<'a>(
    record: &'a [u8],
    entries: &mut Vec<Entry>,
    names: &mut Vec<Name>,
) -> Result<&'a str, JsonError> {
    let text = utf8(record)?;
    // Offsets and counts are kept in 32 bits.
    if u32::try_from(text.len()).is_err() {
        return Err(JsonError::at(record, 0, Wrong::Long));
    }
    let mut parser = Parser {
        lexer: Lexer::new(text),
        entries,
        names,
    };
    match parser.document() {
        Ok(()) => Ok(text),
        Err(wrong) => Err(JsonError::at(record, parser.lexer.at(), wrong)),
    }
}

/// A member's name in an object that is being read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name {
    /// Where its entry stands.
    index: u32,
    start: u32,
    end: u32,
    escaped: bool,
}

struct Parser<'a, 't> {
    lexer: Lexer<'a>,
    entries: &'t mut Vec<Entry>,
    names: &'t mut Vec<Name>,
}

impl Parser<'_, '_> {
    fn document(&mut self) -> Result<(), Wrong> {
        self.lexer.begin()?;
        self.value(0)?;
        self.lexer.finish()
    }

    fn value(&mut self, depth: u32) -> Result<(), Wrong> {
        let entry = match self.lexer.peek().ok_or(Wrong::End)? {
            b'"' => string(self.lexer.string()?),
            b'-' | b'0'..=b'9' => self.number()?,
            b'{' => return self.object(depth),
            b'[' => return self.array(depth),
            b't' => self.word("true", Entry::Bool(true))?,
            b'f' => self.word("false", Entry::Bool(false))?,
            b'n' => self.word("null", Entry::Null)?,
            _ => return Err(Wrong::Value),
        };
        self.entries.push(entry);
        Ok(())
    }

    fn array(&mut self, depth: u32) -> Result<(), Wrong> {
        let opened = self.open();
        let mut len = 0;
        let mut more = self.lexer.enter(depth, b']')?;
        while more {
            self.value(depth + 1)?;
            len += 1;
            more = self.lexer.more(b']')?;
        }
        let next = offset(self.entries.len());
        self.entries[opened] = Entry::Array { len, next };
        Ok(())
    }

    fn object(&mut self, depth: u32) -> Result<(), Wrong> {
        let opened = self.open();
        let first_name = self.names.len();
        let mut len = 0;
        // Whether two names may be the same. Bits of a hash, so that nearly no object has to be compared pair by pair.
        let mut seen = 0;
        let mut doubtful = false;
        let mut escaped = false;
        let mut more = self.lexer.enter(depth, b'}')?;
        while more {
            let name = self.lexer.name()?;
            escaped |= name.escaped;
            let bit = self.bit(name);
            doubtful |= seen & bit != 0;
            seen |= bit;
            self.names.push(Name {
                index: offset(self.entries.len()),
                start: offset(name.start),
                end: offset(name.end),
                escaped: name.escaped,
            });
            self.entries.push(string(name));
            self.value(depth + 1)?;
            len += 1;
            more = self.lexer.more(b'}')?;
        }
        if doubtful || escaped {
            len -= self.shadow_repeated(first_name, escaped);
        }
        self.names.truncate(first_name);
        let next = offset(self.entries.len());
        self.entries[opened] = Entry::Object { len, next };
        Ok(())
    }

    /// One of 64 bits, the same for names that are the same, unless they are escaped.
    #[inline]
    fn bit(&self, name: Quoted) -> u64 {
        // An empty name has quotes at both places.
        let (first, last) = (self.lexer.byte(name.start), self.lexer.byte(name.end - 1));
        let key = (name.end - name.start) as u64 ^ u64::from(first) << 8 ^ u64::from(last) << 16;
        1 << (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58)
    }

    /// Makes room for the entry that is to describe a container; its index.
    fn open(&mut self) -> usize {
        self.entries.push(Entry::Null);
        self.entries.len() - 1
    }

    fn word(&mut self, word: &str, entry: Entry) -> Result<Entry, Wrong> {
        self.lexer.word(word)?;
        Ok(entry)
    }

    fn number(&mut self) -> Result<Entry, Wrong> {
        let start = self.lexer.at();
        let scanned = self.lexer.number()?;
        let text = self.lexer.slice(start, self.lexer.at());
        Ok(match scanned.value(text.as_bytes()) {
            Number::Unsigned(number) => Entry::Unsigned(number),
            Number::Signed(number) => Entry::Signed(number),
            Number::Float(number) => Entry::Float(number),
        })
    }

    /// Of each name that the object has more than once, hides all members but the last; how many.
    #[inline(never)]
    fn shadow_repeated(&mut self, first_name: usize, escaped: bool) -> u32 {
        let lexer = &self.lexer;
        let names = &mut self.names[first_name..];
        if escaped || names.len() > 16 {
            return shadow_sorted(lexer, names, self.entries);
        }
        let text = |name: &Name| lexer.slice(name.start as usize, name.end as usize);
        let mut shadowed = 0;
        for (at, name) in names.iter().enumerate() {
            let length = name.end - name.start;
            let repeated = names[at + 1..]
                .iter()
                .any(|later| later.end - later.start == length && text(later) == text(name));
            if repeated {
                self.entries[name.index as usize] = Entry::Shadowed;
                shadowed += 1;
            }
        }
        shadowed
    }
}

/// The same for many names, or for such as are escaped. Reorders them.
#[cold]
fn shadow_sorted(lexer: &Lexer, names: &mut [Name], entries: &mut [Entry]) -> u32 {
    let text = |name: &Name| {
        let contents = lexer.slice(name.start as usize, name.end as usize);
        if name.escaped {
            unescape(contents)
        } else {
            Cow::Borrowed(contents)
        }
    };
    names.sort_unstable_by(|a, b| text(a).cmp(&text(b)).then(a.index.cmp(&b.index)));
    let mut shadowed = 0;
    for pair in names.windows(2) {
        if text(&pair[0]) == text(&pair[1]) {
            entries[pair[0].index as usize] = Entry::Shadowed;
            shadowed += 1;
        }
    }
    shadowed
}

fn string(quoted: Quoted) -> Entry {
    Entry::String {
        start: offset(quoted.start),
        end: offset(quoted.end),
        escaped: quoted.escaped,
    }
}

/// An offset into the record or the tape: `parse` made sure that the record is below 4 GiB, and
/// there are no more entries than bytes.
fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("the record is below 4 GiB")
}
