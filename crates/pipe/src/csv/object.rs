//! A row of CSV as a JSON object.

use std::io::Read;
use std::os::fd::AsFd;

use super::header::{Column, Header};
use super::rows::Rows;
use crate::json::number::is_number;
use crate::json::string::write_string;
use crate::reject::{Reason, Rejection};

/// How a cell stands in the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As it is written: a number, `true` or `false`.
    Literal,
    /// As a string.
    Text,
    /// As null.
    Null,
    /// Not at all.
    Missing,
}

/// What a cell looks like, which decides on the forms that it can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    /// Nothing.
    Empty,
    /// A number that can't be anything else: `74`, `1.10`, `-2.5e-07`.
    Number,
    /// A number with neither a decimal point nor a sign in its exponent, `3946E1`: identifiers look like that.
    Identifier,
    /// `true` or `false`.
    Boolean,
    /// Everything else: `007`, `+1`, `.5`, `NaN`, `1e999`, ` 1`.
    Text,
}

impl Looks {
    /// What this cell looks like. Numbers are those of JSON which a double can hold.
    #[inline]
    #[must_use]
    pub fn of(cell: &str) -> Self {
        match cell.as_bytes() {
            [] => Self::Empty,
            [b'-' | b'0'..=b'9', ..] if is_number(cell.as_bytes()) => match cell.find(['e', 'E']) {
                Some(at)
                    if !cell[..at].contains('.') && cell.as_bytes()[at + 1].is_ascii_digit() =>
                {
                    Self::Identifier
                }
                _ => Self::Number,
            },
            b"true" | b"false" => Self::Boolean,
            _ => Self::Text,
        }
    }

    /// The forms that such a cell can have in its column, the first the best.
    #[inline]
    #[must_use]
    pub fn forms(self, column: &Column) -> &'static [Form] {
        match self {
            Self::Empty => &[Form::Null, Form::Text, Form::Missing],
            Self::Number | Self::Boolean if !column.text => &[Form::Literal, Form::Text],
            Self::Identifier if !column.text => &[Form::Text, Form::Literal],
            _ => &[Form::Text],
        }
    }
}

/// Appends the row that `rows` has found last as an object, each cell in the form that `form` says, which is given
/// the cell's column and text.
///
/// # Errors
///
/// The row isn't one of this header.
pub fn write_object<R: Read + AsFd>(
    rows: &Rows<R>,
    header: &Header,
    mut form: impl FnMut(usize, &str) -> Form,
    out: &mut Vec<u8>,
) -> Result<(), Rejection> {
    let bad = |detail: String| Rejection::new(Reason::BadRow, detail + &spread(rows));
    let cells = rows.cells();
    let columns = header.columns();
    if !header.fits(cells.len()) {
        let (cells, columns) = (cells.len(), columns.len());
        return Err(bad(format!("{cells} cells under a header of {columns}")));
    }
    out.push(b'{');
    let begin = out.len();
    for (at, (column, cell)) in columns.iter().zip(cells).enumerate() {
        let Some(name) = &column.name else {
            if cell.is_empty() {
                continue;
            }
            let place = at + 1;
            return Err(bad(format!(
                "cell {place} is under a header without a name"
            )));
        };
        let Ok(cell) = std::str::from_utf8(cell) else {
            return Err(bad(format!("the cell {name:?} is not UTF-8")));
        };
        let form = form(at, cell);
        if form == Form::Missing {
            continue;
        }
        if out.len() > begin {
            out.push(b',');
        }
        out.extend_from_slice(&column.member);
        match form {
            Form::Literal => out.extend_from_slice(cell.as_bytes()),
            Form::Text => write_string(cell, out),
            _ => out.extend_from_slice(b"null"),
        }
    }
    out.push(b'}');
    Ok(())
}

/// The rejection of a row that is longer than a record may be.
#[must_use]
pub fn too_long<R: Read + AsFd>(rows: &Rows<R>) -> Rejection {
    let detail = "a row is over --max-record".to_owned() + &spread(rows);
    Rejection::new(Reason::TooLong, detail)
}

/// A hint for a row that goes over several lines.
fn spread<R: Read + AsFd>(rows: &Rows<R>) -> String {
    match rows.lines() {
        (first, last) if first == last => String::new(),
        (_, last) => format!(" (it goes on to line {last}: is a quote not closed?)"),
    }
}
