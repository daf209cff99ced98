//! Points in line protocol: `measurement,tag=value field=value time`.
//!
//! The format has escapes for commas, equals signs and spaces, and quotes for the text of a field. What it has no form
//! for is refused here, because the database would take it for something else: it would drop a line that begins with
//! `#`, and join a value that ends in a backslash with what follows it.

/// The longest name of a series, that is of measurement and tags together, in bytes.
pub const LONGEST_SERIES: usize = 65_535;

/// Why a text can't be in a point.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// There is nothing.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// Line protocol ends there.
    #[error("{0} has a line break in it, which line protocol can't write")]
    LineBreak(&'static str),
    /// The backslash would belong to what follows.
    #[error(
        "{0} has a backslash at its end, or before a comma, equals sign, space or quote, which InfluxDB can't tell from an escape"
    )]
    Backslash(&'static str),
    /// The database would take it for something else.
    #[error("{what} begins with {with}, which InfluxDB would not read as a part of it")]
    Begin {
        /// What it is.
        what: &'static str,
        /// With what it begins.
        with: &'static str,
    },
    /// The database has it for itself.
    #[error("{what} '{name}' is InfluxDB's own")]
    Reserved {
        /// What it is.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A whole number beyond 64 bits.
    #[error("a whole number of InfluxDB has 64 bits, with its sign")]
    Overflow,
    /// A number that a double can't hold.
    #[error("a number of InfluxDB is a finite double")]
    Infinite,
    /// Measurement and tags are too long together.
    #[error("measurement and tags have {0} bytes together, and InfluxDB takes {LONGEST_SERIES}")]
    Long(usize),
}

/// The value of a field. Numbers as JSON writes them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FieldValue<'a> {
    /// A whole number of 64 bits.
    Integer(&'a str),
    /// A double.
    Float(&'a str),
    /// True or false.
    Boolean(bool),
    /// Text.
    Text(&'a str),
}

/// A point that is being written: measurement, tags, fields and time, in this order.
#[derive(Clone, Debug, Default)]
pub struct Point {
    line: Vec<u8>,
    /// Where measurement and tags end.
    series: usize,
}

const MEASUREMENT: &str = "the measurement";
const TAG_NAME: &str = "the name of a tag";
const FIELD_NAME: &str = "the name of a field";

impl Point {
    /// Nothing yet; the memory is kept.
    pub fn clear(&mut self) {
        self.line.clear();
        self.series = 0;
    }

    /// Begins a point.
    ///
    /// # Errors
    ///
    /// [`Unfit`]; the point is then of no use. So for the others.
    pub fn measurement(&mut self, name: &str) -> Result<(), Unfit> {
        check(MEASUREMENT, name)?;
        check_begin(
            MEASUREMENT,
            name,
            &[('#', "'#'"), ('\t', "a tab"), ('\0', "a NUL")],
        )?;
        self.clear();
        escape(&mut self.line, name, |byte| matches!(byte, b',' | b' '));
        self.series = self.line.len();
        Ok(())
    }

    /// Adds a tag. Tags in the order of their names spare the database the sorting.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn tag(&mut self, name: &str, value: &str) -> Result<(), Unfit> {
        check_tag_name(name)?;
        check("its value", value)?;
        self.line.push(b',');
        escape(&mut self.line, name, is_special);
        self.line.push(b'=');
        escape(&mut self.line, value, is_special);
        self.series = self.line.len();
        if self.series > LONGEST_SERIES {
            return Err(Unfit::Long(self.series));
        }
        Ok(())
    }

    /// Adds a field.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn field(&mut self, name: &str, value: FieldValue<'_>) -> Result<(), Unfit> {
        check_field_name(name)?;
        self.line.push(if self.has_fields() { b',' } else { b' ' });
        escape(&mut self.line, name, is_special);
        self.line.push(b'=');
        match value {
            FieldValue::Integer(digits) => {
                digits.parse::<i64>().map_err(|_| Unfit::Overflow)?;
                self.line.extend_from_slice(digits.as_bytes());
                self.line.push(b'i');
            }
            FieldValue::Float(text) => {
                let value: f64 = text.parse().map_err(|_| Unfit::Infinite)?;
                if !value.is_finite() {
                    return Err(Unfit::Infinite);
                }
                self.line.extend_from_slice(text.as_bytes());
            }
            FieldValue::Boolean(value) => {
                let word: &[u8] = if value { b"true" } else { b"false" };
                self.line.extend_from_slice(word);
            }
            FieldValue::Text(text) => {
                self.line.push(b'"');
                escape(&mut self.line, text, |byte| matches!(byte, b'"' | b'\\'));
                self.line.push(b'"');
            }
        }
        Ok(())
    }

    /// Whether a field was added.
    #[must_use]
    pub fn has_fields(&self) -> bool {
        self.line.len() > self.series
    }

    /// Ends the point with its time, in the precision that the client writes in.
    pub fn finish(&mut self, time: i64) {
        self.line.push(b' ');
        let mut digits = itoa::Buffer::new();
        self.line.extend_from_slice(digits.format(time).as_bytes());
        self.line.push(b'\n');
    }

    /// The whole line, with its end.
    #[must_use]
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// Measurement and tags, as the line has them: points of one series have the same.
    #[must_use]
    pub fn series(&self) -> &[u8] {
        &self.line[..self.series]
    }
}

/// Looks whether a tag can have this name.
///
/// # Errors
///
/// [`Unfit`].
pub fn check_tag_name(name: &str) -> Result<(), Unfit> {
    check(TAG_NAME, name)?;
    reserved("tag", name, &["time", "_measurement", "_field"])
}

/// Looks whether a field can have this name.
///
/// # Errors
///
/// [`Unfit`].
pub fn check_field_name(name: &str) -> Result<(), Unfit> {
    check(FIELD_NAME, name)?;
    // The database skips white space before the fields.
    check_begin(FIELD_NAME, name, &[('\t', "a tab"), ('\0', "a NUL")])?;
    reserved("field", name, &["time"])
}

/// What the database would not read as the beginning.
fn check_begin(
    what: &'static str,
    text: &str,
    never: &[(char, &'static str)],
) -> Result<(), Unfit> {
    match never.iter().find(|(first, _)| text.starts_with(*first)) {
        Some((_, with)) => Err(Unfit::Begin { what, with }),
        None => Ok(()),
    }
}

fn reserved(what: &'static str, name: &str, names: &[&str]) -> Result<(), Unfit> {
    if names.contains(&name) {
        return Err(Unfit::Reserved {
            what,
            name: name.to_owned(),
        });
    }
    Ok(())
}

/// What no name and no value of a tag can be.
fn check(what: &'static str, text: &str) -> Result<(), Unfit> {
    match text.as_bytes() {
        [] => Err(Unfit::Empty(what)),
        // The database's reader and its storage don't agree on what is escaped then.
        bytes if joins(bytes) => Err(Unfit::Backslash(what)),
        bytes if memchr::memchr(b'\n', bytes).is_some() => Err(Unfit::LineBreak(what)),
        _ => Ok(()),
    }
}

/// Whether a backslash stands before something that is escaped, or would.
fn joins(text: &[u8]) -> bool {
    let mut backslashes = memchr::memchr_iter(b'\\', text);
    backslashes.any(|at| {
        text.get(at + 1)
            .is_none_or(|next| is_special(*next) || *next == b'"')
    })
}

fn is_special(byte: u8) -> bool {
    matches!(byte, b',' | b'=' | b' ')
}

fn escape(out: &mut Vec<u8>, text: &str, is_special: impl Fn(u8) -> bool) {
    if !text.bytes().any(&is_special) {
        return out.extend_from_slice(text.as_bytes());
    }
    for byte in text.bytes() {
        if is_special(byte) {
            out.push(b'\\');
        }
        out.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use influxdb_line_protocol::{EscapedStr, FieldValue as Parsed, parse_lines};
    use proptest::prelude::*;

    fn line(
        measurement: &str,
        tag: (&str, &str),
        fields: &[(&str, FieldValue<'_>)],
    ) -> Result<String, Unfit> {
        let mut point = Point::default();
        point.measurement(measurement)?;
        point.tag(tag.0, tag.1)?;
        for (name, value) in fields {
            point.field(name, *value)?;
        }
        point.finish(-5);
        Ok(String::from_utf8(point.line().to_vec()).unwrap())
    }

    #[test]
    fn a_point_is_a_line() {
        let fields = [
            ("whole", FieldValue::Integer("-901")),
            ("n,=", FieldValue::Float("21.50")),
            ("is", FieldValue::Boolean(true)),
            ("text", FieldValue::Text("say \"\\\", twice\nhere")),
        ];
        assert_eq!(
            line("a, b=c", ("t g", "x=,\\y 🚨"), &fields).unwrap(),
            "a\\,\\ b=c,t\\ g=x\\=\\,\\y\\ 🚨 whole=-901i,n\\,\\==21.50,is=true,text=\"say \\\"\\\\\\\", twice\nhere\" -5\n"
        );
    }

    #[test]
    fn what_has_no_form_is_refused() {
        let one = [("f", FieldValue::Boolean(true))];
        for (measurement, tag, fields) in [
            ("", ("t", "v"), one),
            ("#m", ("t", "v"), one),
            ("\tm", ("t", "v"), one),
            ("m\\", ("t", "v"), one),
            ("m\nm", ("t", "v"), one),
            ("m\\ m", ("t", "v"), one),
            ("m", ("t", "v\\=v"), one),
            ("m", ("", "v"), one),
            ("m", ("t", ""), one),
            ("m", ("t", "v\\"), one),
            ("m", ("t", "v\nm f=1"), one),
            ("m", ("time", "v"), one),
            ("m", ("_field", "v"), one),
            ("m", ("t", "v"), [("time", FieldValue::Boolean(true))]),
            ("m", ("t", "v"), [("", FieldValue::Boolean(true))]),
            ("m", ("t", "v"), [("\tf", FieldValue::Boolean(true))]),
            ("m", ("t", "v"), [("f\\,g", FieldValue::Boolean(true))]),
            (
                "m",
                ("t", "v"),
                [("f", FieldValue::Integer("9223372036854775808"))],
            ),
            ("m", ("t", "v"), [("f", FieldValue::Float("1e999"))]),
        ] {
            assert!(
                line(measurement, tag, &fields).is_err(),
                "{measurement:?} {tag:?} {fields:?}"
            );
        }
        let long = "x".repeat(LONGEST_SERIES);
        assert_eq!(
            line("m", ("t", &long), &one),
            Err(Unfit::Long(LONGEST_SERIES + 4))
        );
    }

    #[test]
    fn the_series_is_what_stands_before_the_fields() {
        let mut point = Point::default();
        point.measurement("m").unwrap();
        point.tag("t", "v").unwrap();
        assert!(!point.has_fields());
        point.field("f", FieldValue::Integer("1")).unwrap();
        point.finish(7);
        assert_eq!(
            (point.series(), point.line()),
            (&b"m,t=v"[..], &b"m,t=v f=1i 7\n"[..])
        );
        point.measurement("n").unwrap();
        assert_eq!(point.line(), b"n");
    }

    fn value() -> impl Strategy<Value = (String, u8)> {
        prop_oneof![
            any::<i64>().prop_map(|number| (number.to_string(), 0)),
            prop::num::f64::NORMAL.prop_map(|number| (format!("{number:?}"), 1)),
            any::<bool>().prop_map(|is| (is.to_string(), 2)),
            "[ -~é🚨,=\"\\\\\n]{0,12}".prop_map(|text| (text, 3)),
        ]
    }

    proptest! {
        #[test]
        fn anothers_parser_reads_what_was_meant(
            measurement in "[a-zé🚨,= \"]{1,9}",
            tag in "[a-zé🚨,= \"\\\\]{0,8}[a-z]",
            tag_value in "[a-zé🚨,= \"]{1,9}",
            name in "[a-zé🚨,= \"]{1,9}",
            (text, kind) in value(),
        ) {
            let field = match kind {
                0 => FieldValue::Integer(&text),
                1 => FieldValue::Float(&text),
                2 => FieldValue::Boolean(text == "true"),
                _ => FieldValue::Text(&text),
            };
            // The parser's own limits: it ends a quoted field at a line's end, and unescapes backslashes of names.
            prop_assume!(!tag.contains('\\') && tag != "time" && name != "time");
            let line = line(&measurement, (&tag, &tag_value), &[(&name, field)]).unwrap();
            let parsed: Vec<_> = parse_lines(&line).collect();
            prop_assert_eq!(parsed.len(), 1);
            let parsed = parsed[0].as_ref().map_err(|error| TestCaseError::fail(format!("{error}: {line}")))?;
            prop_assert_eq!(parsed.series.measurement.as_str(), &measurement);
            prop_assert_eq!(parsed.tag_value(&tag).map(EscapedStr::as_str), Some(tag_value.as_str()));
            prop_assert_eq!(parsed.timestamp, Some(-5));
            match (parsed.field_value(&name), field) {
                (Some(Parsed::I64(got)), FieldValue::Integer(_)) => prop_assert_eq!(got.to_string(), text),
                (Some(Parsed::F64(got)), FieldValue::Float(_)) => prop_assert_eq!(got.to_bits(), text.parse::<f64>().unwrap().to_bits()),(Some(Parsed::Boolean(got)), FieldValue::Boolean(is)) => prop_assert_eq!(*got, is),
                (Some(Parsed::String(got)), FieldValue::Text(text)) => prop_assert_eq!(got.as_str(), text),
                (got, _) => prop_assert!(false, "{:?}", got),
            }
        }
    }
}
