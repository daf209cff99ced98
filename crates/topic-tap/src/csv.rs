//! `--csv`: fields of JSON values as the cells of a row (RFC 4180).

use std::borrow::Cow;

use csv_core::Writer;
use tapline_pipe::field::{Field, FieldError};

/// Which fields make a row.
#[derive(Debug)]
pub struct Columns {
    fields: Vec<Field>,
    writer: Writer,
}

impl Columns {
    /// A column for each field.
    pub fn new(fields: Vec<Field>) -> Self {
        Self {
            fields,
            writer: Writer::new(),
        }
    }

    /// The row with the names of the fields, without a line end.
    pub fn header(&mut self) -> Vec<u8> {
        let names: Vec<String> = self.fields.iter().map(Field::to_string).collect();
        write_row(&mut self.writer, names.iter().map(String::as_str))
    }

    /// The row of a value, without a line end: numbers and booleans as they stand, the text of strings, the JSON of
    /// objects and arrays; nothing for null and for what is missing. A tombstone, `None`, has nothing at all.
    ///
    /// # Errors
    ///
    /// [`FieldError::NotJson`].
    pub fn row(&mut self, value: Option<&[u8]>) -> Result<Vec<u8>, FieldError> {
        let cell = |field| value.map_or(Ok(Cow::Borrowed("")), |value| cell(field, value));
        let cells: Vec<_> = self.fields.iter().map(cell).collect::<Result<_, _>>()?;
        Ok(write_row(&mut self.writer, cells.iter().map(AsRef::as_ref)))
    }
}

fn cell<'a>(field: &Field, value: &'a [u8]) -> Result<Cow<'a, str>, FieldError> {
    match field.scalar(value) {
        Ok(text) => Ok(text),
        Err(FieldError::Missing(_) | FieldError::NotScalar { kind: "null", .. }) => {
            Ok(Cow::Borrowed(""))
        }
        Err(FieldError::NotScalar { .. }) => {
            let json = field.raw(value)?;
            Ok(json.map_or(Cow::Borrowed(""), Cow::Borrowed))
        }
        Err(error) => Err(error),
    }
}

fn write_row<'a>(writer: &mut Writer, cells: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut row = Vec::new();
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            append(&mut row, 2, |room| writer.delimiter(room).1);
        }
        // At the worst each byte is a quote, which is doubled, and the cell is quoted.
        append(&mut row, 2 * cell.len() + 2, |room| {
            writer.field(cell.as_bytes(), room).2
        });
    }
    append(&mut row, 4, |room| writer.terminator(room).1);
    // The output ends the line.
    row.pop();
    row
}

/// Gives `write` room for so many bytes and keeps those that it says it wrote.
fn append(row: &mut Vec<u8>, room: usize, write: impl FnOnce(&mut [u8]) -> usize) {
    let begin = row.len();
    row.resize(begin + room, 0);
    let written = write(&mut row[begin..]);
    row.truncate(begin + written);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(fields: &[&str]) -> Columns {
        Columns::new(fields.iter().map(|field| field.parse().unwrap()).collect())
    }

    fn row(fields: &[&str], value: &str) -> String {
        let row = columns(fields).row(Some(value.as_bytes())).unwrap();
        String::from_utf8(row).unwrap()
    }

    #[test]
    fn cells_are_what_stands_in_the_record() {
        let fields = ["n", "/a/b", "/a/0", "t", "x", "o"];
        let value =
            r#"{"n":1.10,"a":{"b":12345678901234567890},"t":true,"x":null,"o":{"k":[1, 2]}}"#;
        let want = r#"1.10,12345678901234567890,,true,,"{""k"":[1, 2]}""#;
        assert_eq!(row(&fields, value), want);
        assert_eq!(columns(&["a", "b"]).row(None).unwrap(), b",");
        // A value that is JSON but no object has no fields.
        assert_eq!(row(&["a", "b"], "7"), ",");
    }

    #[test]
    fn cells_that_need_it_are_quoted() {
        for (text, cell) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \\\"x\\\"", "\"say \"\"x\"\"\""),
            ("\\\"\\\"", "\"\"\"\"\"\""),
            ("two\\nlines", "\"two\nlines\""),
            ("\\r", "\"\r\""),
            ("\u{e4}\\u00e4", "\u{e4}\u{e4}"),
        ] {
            assert_eq!(
                row(&["f"], &format!("{{\"f\":\"{text}\"}}")),
                cell,
                "{text}"
            );
        }
        // A single empty cell is quoted: an empty line would be no row.
        assert_eq!(row(&["f"], "{}"), "\"\"");
        assert_eq!(columns(&["a", "/b,c"]).header(), b"a,\"/b,c\"");
    }

    #[test]
    fn what_is_not_json_has_no_row_and_the_next_one_is_whole() {
        let mut columns = columns(&["a", "b"]);
        let error = columns.row(Some(b"{\"a\":1,")).unwrap_err();
        assert!(matches!(error, FieldError::NotJson(_)), "{error}");
        assert_eq!(columns.row(Some(b"{\"a\":1,\"b\":2}")).unwrap(), b"1,2");
    }
}
