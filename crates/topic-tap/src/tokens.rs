//! `--format`: a text with kcat's tokens, filled in for each record.

use std::{io::Write, str::FromStr};

use tapline_kafka::HeaderNotText;

use crate::line::Arrived;

/// A text with tokens, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens(Vec<Token>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// As it stands, escapes resolved.
    Text(Vec<u8>),
    Value,
    ValueLength,
    ValueLengthBinary,
    Key,
    KeyLength,
    Headers,
    Timestamp,
    Topic,
    Partition,
    Offset,
}

impl FromStr for Tokens {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut tokens = Vec::new();
        let mut literal = Vec::new();
        let mut chars = text.chars();
        while let Some(char) = chars.next() {
            if char == '\\' {
                literal.push(read_escape(&mut chars)?);
                continue;
            }
            let token = (char == '%').then(|| read_token(chars.next()));
            let Some(token) = token.transpose()?.flatten() else {
                // `%%`, too, leaves its percent sign.
                literal.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            };
            if !literal.is_empty() {
                tokens.push(Token::Text(std::mem::take(&mut literal)));
            }
            tokens.push(token);
        }
        if !literal.is_empty() {
            tokens.push(Token::Text(literal));
        }
        Ok(Self(tokens))
    }
}

/// What stands behind `%`; `None` for `%%`.
fn read_token(letter: Option<char>) -> Result<Option<Token>, String> {
    Ok(Some(match letter {
        Some('%') => return Ok(None),
        Some('s') => Token::Value,
        Some('S') => Token::ValueLength,
        Some('R') => Token::ValueLengthBinary,
        Some('k') => Token::Key,
        Some('K') => Token::KeyLength,
        Some('h') => Token::Headers,
        Some('T') => Token::Timestamp,
        Some('t') => Token::Topic,
        Some('p') => Token::Partition,
        Some('o') => Token::Offset,
        Some(other) => return Err(format!("there is no token %{other}; %% is a percent sign")),
        None => return Err("a % at the end; %% is a percent sign".to_owned()),
    }))
}

/// What stands behind a backslash.
fn read_escape(chars: &mut std::str::Chars<'_>) -> Result<u8, String> {
    match chars.next() {
        Some('n') => Ok(b'\n'),
        Some('r') => Ok(b'\r'),
        Some('t') => Ok(b'\t'),
        Some('0') => Ok(0),
        Some('\\') => Ok(b'\\'),
        Some('x') => {
            let digits = chars.as_str();
            let count = digits
                .bytes()
                .take(2)
                .take_while(u8::is_ascii_hexdigit)
                .count();
            let (hex, rest) = digits.split_at(count);
            *chars = rest.chars();
            u8::from_str_radix(hex, 16)
                .map_err(|_| "\\x is followed by one or two hexadecimal digits".to_owned())
        }
        Some(other) => Err(format!("there is no escape \\{other}; \\\\ is a backslash")),
        None => Err("a backslash at the end; \\\\ is one".to_owned()),
    }
}

impl Tokens {
    /// Appends the text for a record.
    ///
    /// # Errors
    ///
    /// A header that is asked for has a name that is not text. What was appended until then is to be thrown away.
    pub fn write(&self, arrived: &Arrived<'_>, out: &mut Vec<u8>) -> Result<(), HeaderNotText> {
        for token in &self.0 {
            match token {
                Token::Text(text) => out.extend_from_slice(text),
                Token::Value => out.extend_from_slice(arrived.value().unwrap_or_default()),
                Token::ValueLength => number(length(arrived.value()), out),
                Token::ValueLengthBinary => out.extend(length(arrived.value()).to_be_bytes()),
                Token::Key => out.extend_from_slice(arrived.key().unwrap_or_default()),
                Token::KeyLength => number(length(arrived.key()), out),
                Token::Headers => write_headers(arrived, out)?,
                Token::Timestamp => number(arrived.timestamp().unwrap_or(-1), out),
                Token::Topic => out.extend_from_slice(arrived.topic().as_bytes()),
                Token::Partition => arrived.place().map_or((), |place| number(place.0, out)),
                Token::Offset => arrived.place().map_or((), |place| number(place.1, out)),
            }
        }
        Ok(())
    }
}

/// -1 for null; lengths of Kafka and MQTT fit.
fn length(bytes: Option<&[u8]>) -> i32 {
    bytes.map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap_or(i32::MAX))
}

fn number(number: impl std::fmt::Display, out: &mut Vec<u8>) {
    write!(out, "{number}").expect("a vector takes it");
}

fn write_headers(arrived: &Arrived<'_>, out: &mut Vec<u8>) -> Result<(), HeaderNotText> {
    let mut first = true;
    arrived.each_header(|name, value| {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        out.extend_from_slice(value.unwrap_or(b"NULL"));
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::tests::delivery;

    fn written(form: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let tokens: Tokens = form.parse().unwrap();
        let delivery = delivery(b"\xff 1.10");
        tokens.write(&Arrived::Mqtt(&delivery), &mut out).unwrap();
        out
    }

    #[test]
    fn tokens_are_filled_in() {
        for (form, text) in [
            ("", &b""[..]),
            ("%t: %s\\n", b"a/b: \xff 1.10\n"),
            ("%S %K", b"6 -1"),
            ("%R%s", b"\0\0\0\x06\xff 1.10"),
            ("[%p|%o|%k]", b"[||]"),
            ("%h", b"a=1,a=2"),
            ("100%% gr\u{f6}\u{df}e", "100% gr\u{f6}\u{df}e".as_bytes()),
            ("\\t\\r\\n\\0\\\\\\x41\\x7fz\\xAg", b"\t\r\n\0\\A\x7fz\x0ag"),
        ] {
            assert_eq!(written(form), text, "{form}");
        }
        let time: i64 = String::from_utf8(written("%T")).unwrap().parse().unwrap();
        assert!(time > 1_600_000_000_000, "{time}");
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for (form, why) in [
            ("%", "at the end"),
            ("%s%", "at the end"),
            ("%x", "no token %x"),
            ("%5s", "no token %5"),
            ("\\", "backslash"),
            ("\\q", "no escape \\q"),
            ("\\x", "hexadecimal"),
            ("\\xg1", "hexadecimal"),
        ] {
            let error = form.parse::<Tokens>().unwrap_err();
            assert!(error.contains(why), "{form}: {error}");
        }
    }
}
