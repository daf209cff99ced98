//! The tape's parser: RFC 8259, less what it leaves to `serde_json` (see the parent module).

use super::Entry;

/// `serde_json` stops at 128; what nests deeper than this is its to judge.
const MAX_DEPTH: u32 = 64;

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
        bytes: text.as_bytes(),
        at: 0,
        entries,
        names,
    };
    parser.skip_space();
    parser.value(0)?;
    parser.skip_space();
    (parser.at == text.len()).then_some(())
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    entries: &'a mut Vec<Entry>,
    names: &'a mut Vec<(u32, u32)>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn word(&mut self, word: &[u8], entry: Entry) -> Option<()> {
        self.bytes[self.at..].starts_with(word).then(|| {
            self.at += word.len();
            self.entries.push(entry);
        })
    }

    fn value(&mut self, depth: u32) -> Option<()> {
        match self.peek()? {
            b'"' => {
                let (start, end, escaped) = self.string()?;
                self.entries.push(Entry::String {
                    start,
                    end,
                    escaped,
                });
                Some(())
            }
            b'-' | b'0'..=b'9' => self.number(),
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b't' => self.word(b"true", Entry::Bool(true)),
            b'f' => self.word(b"false", Entry::Bool(false)),
            b'n' => self.word(b"null", Entry::Null),
            _ => None,
        }
    }

    fn array(&mut self, depth: u32) -> Option<()> {
        let opened = self.open(depth)?;
        let mut len = 0;
        if self.peek()? == b']' {
            self.at += 1;
        } else {
            loop {
                self.skip_space();
                self.value(depth + 1)?;
                len += 1;
                self.skip_space();
                match self.peek()? {
                    b',' => self.at += 1,
                    b']' => break self.at += 1,
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
        if self.peek()? == b'}' {
            self.at += 1;
        } else {
            loop {
                self.skip_space();
                self.name()?;
                self.skip_space();
                self.expect(b':')?;
                self.skip_space();
                self.value(depth + 1)?;
                len += 1;
                self.skip_space();
                match self.peek()? {
                    b',' => self.at += 1,
                    b'}' => break self.at += 1,
                    _ => return None,
                }
            }
        }
        if repeats(self.bytes, &mut self.names[first_name..]) {
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
        self.at += 1;
        self.entries.push(Entry::Null);
        self.skip_space();
        Some(self.entries.len() - 1)
    }

    fn name(&mut self) -> Option<()> {
        if self.peek()? != b'"' {
            return None;
        }
        let (start, end, escaped) = self.string()?;
        if escaped {
            return None;
        }
        self.names.push((start, end));
        self.entries.push(Entry::String {
            start,
            end,
            escaped,
        });
        Some(())
    }

    /// Reads a string at its opening quote: where its contents begin and end, and whether any of
    /// it is escaped.
    fn string(&mut self) -> Option<(u32, u32, bool)> {
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                0..=0x1f => return None,
                _ => self.at += 1,
            }
        }
        let end = self.at;
        self.at += 1;
        Some((offset(start), offset(end), escaped))
    }

    fn escape(&mut self) -> Option<()> {
        match self.bytes.get(self.at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
            b'u' => {
                let digits = self.text.get(self.at + 2..self.at + 6)?;
                if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                    return None;
                }
                let unit = u16::from_str_radix(digits, 16).ok()?;
                // Surrogates must come in pairs: left to serde_json.
                if (0xd800..=0xdfff).contains(&unit) {
                    return None;
                }
                self.at += 6;
            }
            _ => return None,
        }
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        let start = self.at;
        let negative = self.peek()? == b'-';
        self.at += usize::from(negative);
        let first_digit = self.at;
        let mut digits = 0_u64;
        let integer = self.digits(&mut digits)?;
        if integer > 1 && self.bytes[first_digit] == b'0' {
            return None;
        }
        let mut fraction = 0;
        if self.peek() == Some(b'.') {
            self.at += 1;
            fraction = self.digits(&mut digits)?;
        }
        let exponent = matches!(self.peek(), Some(b'e' | b'E'));
        if exponent {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits(&mut 0)?;
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
            let float: f64 = self.text[start..self.at].parse().ok()?;
            if !float.is_finite() {
                return None;
            }
            Entry::Float(float)
        };
        self.entries.push(entry);
        Some(())
    }

    /// Reads one digit or more into `value` (wrapping when there are too many); how many there were.
    fn digits(&mut self, value: &mut u64) -> Option<usize> {
        let start = self.at;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            *value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        (self.at > start).then(|| self.at - start)
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
