//! The tape's parser: RFC 8259, less what it leaves to `serde_json` (see the parent module).

use tapline_pipe::json::{Lexer, MAX_DEPTH, Quoted};

use super::Entry;

/// Appends the entries of `text`. `None`: not ours to decide.
pub(super) fn parse(
    text: &str,
    entries: &mut Vec<Entry>,
    names: &mut Vec<(u32, u32)>,
) -> Option<()> {
    // Offsets and counts are kept in 32 bits.
    u32::try_from(text.len()).ok()?;
    let mut parser = Parser {
        text,
        lexer: Lexer::new(text),
        entries,
        names,
    };
    parser.lexer.skip_space();
    parser.value(0)?;
    parser.lexer.skip_space();
    (parser.lexer.at() == text.len()).then_some(())
}

struct Parser<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    entries: &'a mut Vec<Entry>,
    names: &'a mut Vec<(u32, u32)>,
}

impl Parser<'_> {
    fn value(&mut self, depth: u32) -> Option<()> {
        match self.lexer.peek()? {
            b'"' => {
                let quoted = self.lexer.string()?;
                self.entries.push(string(quoted));
                Some(())
            }
            b'-' | b'0'..=b'9' => self.number(),
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b't' => self.word("true", Entry::Bool(true)),
            b'f' => self.word("false", Entry::Bool(false)),
            b'n' => self.word("null", Entry::Null),
            _ => None,
        }
    }

    fn array(&mut self, depth: u32) -> Option<()> {
        let opened = self.open(depth)?;
        let mut len = 0;
        if self.lexer.peek()? == b']' {
            self.lexer.advance();
        } else {
            loop {
                self.lexer.skip_space();
                self.value(depth + 1)?;
                len += 1;
                self.lexer.skip_space();
                match self.lexer.peek()? {
                    b',' => self.lexer.advance(),
                    b']' => break self.lexer.advance(),
                    _ => return None,
                }
            }
        }
        let next = offset(self.entries.len());
        self.entries[opened] = Entry::Array { len, next };
        Some(())
    }

    fn object(&mut self, depth: u32) -> Option<()> {
        let opened = self.open(depth)?;
        let first_name = self.names.len();
        let mut len = 0;
        if self.lexer.peek()? == b'}' {
            self.lexer.advance();
        } else {
            loop {
                self.lexer.skip_space();
                self.name()?;
                self.lexer.skip_space();
                self.lexer.expect(b':')?;
                self.lexer.skip_space();
                self.value(depth + 1)?;
                len += 1;
                self.lexer.skip_space();
                match self.lexer.peek()? {
                    b',' => self.lexer.advance(),
                    b'}' => break self.lexer.advance(),
                    _ => return None,
                }
            }
        }
        if repeats(self.text.as_bytes(), &mut self.names[first_name..]) {
            return None;
        }
        self.names.truncate(first_name);
        let next = offset(self.entries.len());
        self.entries[opened] = Entry::Object { len, next };
        Some(())
    }

    /// Steps into a container; gives the index of the entry that is to describe it.
    fn open(&mut self, depth: u32) -> Option<usize> {
        if depth >= MAX_DEPTH {
            return None;
        }
        self.lexer.advance();
        self.entries.push(Entry::Null);
        self.lexer.skip_space();
        Some(self.entries.len() - 1)
    }

    fn name(&mut self) -> Option<()> {
        if self.lexer.peek()? != b'"' {
            return None;
        }
        let quoted = self.lexer.string()?;
        if quoted.escaped {
            return None;
        }
        self.names.push((offset(quoted.start), offset(quoted.end)));
        self.entries.push(string(quoted));
        Some(())
    }

    fn word(&mut self, word: &str, entry: Entry) -> Option<()> {
        self.lexer.word(word)?;
        self.entries.push(entry);
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        let start = self.lexer.at();
        let negative = self.lexer.peek()? == b'-';
        if negative {
            self.lexer.advance();
        }
        let leading = self.lexer.peek()?;
        let mut digits = 0_u64;
        let integer = self.lexer.digits(&mut digits)?;
        if integer > 1 && leading == b'0' {
            return None;
        }
        let mut fraction = 0;
        if self.lexer.peek() == Some(b'.') {
            self.lexer.advance();
            fraction = self.lexer.digits(&mut digits)?;
        }
        let exponent = matches!(self.lexer.peek(), Some(b'e' | b'E'));
        if exponent {
            self.lexer.advance();
            if let Some(b'+' | b'-') = self.lexer.peek() {
                self.lexer.advance();
            }
            self.lexer.digits(&mut 0)?;
        }
        // 19 digits always fit into 64 bits.
        let fits = integer + fraction <= 19;
        let entry = if fraction == 0 && !exponent {
            if !fits {
                return None;
            }
            whole(digits, negative)?
        } else if fits && !exponent && digits < 1 << 53 {
            Entry::Float(decimal(digits, fraction, negative))
        } else {
            let float: f64 = self.text[start..self.lexer.at()].parse().ok()?;
            if !float.is_finite() {
                return None;
            }
            Entry::Float(float)
        };
        self.entries.push(entry);
        Some(())
    }
}

fn string(quoted: Quoted) -> Entry {
    Entry::String {
        start: offset(quoted.start),
        end: offset(quoted.end),
        escaped: quoted.escaped,
    }
}

/// A number without fraction and exponent, typed as `serde_json` types it.
fn whole(digits: u64, negative: bool) -> Option<Entry> {
    match (negative, digits) {
        (false, digits) => Some(Entry::Unsigned(digits)),
        (true, 0) => Some(Entry::Float(-0.0)),
        (true, digits) => Some(Entry::Signed(0_i64.checked_sub_unsigned(digits)?)),
    }
}

/// `digits` / 10^`fraction`, rounded once: both operands are exact (digits below 2^53, a power of
/// ten up to 10^22), so the division gives the nearest double (Clinger's fast path).
fn decimal(digits: u64, fraction: usize, negative: bool) -> f64 {
    const POWERS: [f64; 20] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
        1e17, 1e18, 1e19,
    ];
    #[expect(clippy::cast_precision_loss, reason = "below 2^53, so exact")]
    let float = digits as f64 / POWERS[fraction];
    if negative { -float } else { float }
}

/// Whether a name is there twice. Reorders `names` if there are many.
fn repeats(bytes: &[u8], names: &mut [(u32, u32)]) -> bool {
    let text = |&(start, end): &(u32, u32)| &bytes[start as usize..end as usize];
    if names.len() > 16 {
        names.sort_unstable_by(|a, b| text(a).cmp(text(b)));
        return names
            .windows(2)
            .any(|pair| text(&pair[0]) == text(&pair[1]));
    }
    names.iter().enumerate().any(|(index, name)| {
        names[..index]
            .iter()
            .any(|other| other.1 - other.0 == name.1 - name.0 && text(other) == text(name))
    })
}

/// An offset into the record or the tape: `parse` made sure that the record is below 4 GiB, and
/// there are no more entries than bytes.
fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("the record is below 4 GiB")
}
