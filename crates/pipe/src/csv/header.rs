//! The header of a CSV file: the names of its columns.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::os::fd::AsFd;

use super::rows::Rows;
use crate::json::string::write_string;

/// How many names an error tells.
const SHOWN: usize = 20;

/// The columns of a CSV file.
///
/// Spreadsheets write columns without a name behind, and between, those that have one. These hold nothing, and are no
/// part of the object; a row that has something in one is refused. Only the first column may go without a name and
/// still count: data frames write their index so. It is the member `""`.
#[derive(Debug)]
pub struct Header {
    columns: Vec<Column>,
    /// Cells of a row without the nameless ones at its end.
    named: usize,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// What the header calls it; `None` for nothing.
    pub name: Option<String>,
    /// Its name as a member's, with a colon: `"name":`.
    pub(super) member: Vec<u8>,
    /// Its cells are text, whatever they look like.
    pub text: bool,
}

/// Why a CSV file can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// There isn't even a first row.
    #[error("no header: CSV begins with a row of column names")]
    Missing,
    /// The first row is longer than a record may be.
    #[error("line {0}: the header is over --max-record")]
    TooLong(u64),
    /// A name's bytes aren't text.
    #[error("line {0}: the header is not UTF-8")]
    NotUtf8(u64),
    /// No column has a name.
    #[error("line {0}: the header has no names")]
    NoNames(u64),
    /// Two columns have one name.
    #[error("line {0}: the header has the column {1:?} twice; a JSON object can't")]
    Twice(u64, String),
    /// A column that an option names isn't there.
    #[error("line {line}: the header has no column {name:?} ({option}), but {columns}")]
    NoColumn {
        /// The header's line.
        line: u64,
        /// The column.
        name: String,
        /// The option.
        option: &'static str,
        /// The columns that are there, or the first of them.
        columns: String,
    },
}

impl Header {
    /// Of the row that `rows` has found last. The columns in `text` hold text, whatever their cells look like.
    ///
    /// # Errors
    ///
    /// [`HeaderError`].
    pub fn read<R: Read + AsFd>(rows: &Rows<R>, text: &[String]) -> Result<Self, HeaderError> {
        let (line, _) = rows.lines();
        let cells: Result<Vec<&str>, _> = rows.cells().map(std::str::from_utf8).collect();
        let cells = cells.map_err(|_| HeaderError::NotUtf8(line))?;
        let named = cells.iter().rposition(|name| !name.is_empty());
        let named = named.ok_or(HeaderError::NoNames(line))? + 1;
        let mut seen = HashSet::new();
        let column = |(at, name): (usize, &&str)| {
            let name = (at == 0 || !name.is_empty()).then(|| (*name).to_owned());
            let mut member = Vec::new();
            write_string(name.as_deref().unwrap_or_default(), &mut member);
            member.push(b':');
            Column {
                name,
                member,
                text: false,
            }
        };
        let mut header = Self {
            columns: cells.iter().enumerate().map(column).collect(),
            named,
        };
        for name in header.names() {
            if !seen.insert(name) {
                return Err(HeaderError::Twice(line, name.to_owned()));
            }
        }
        let places: HashMap<&str, usize> = if text.is_empty() {
            HashMap::new()
        } else {
            header.places().collect()
        };
        let mut texts = Vec::new();
        for name in text {
            let place = places.get(name.as_str());
            texts.push(*place.ok_or_else(|| header.no_column(line, name, "--text"))?);
        }
        for place in texts {
            header.columns[place].text = true;
        }
        Ok(header)
    }

    /// The columns, in order.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Whether a row may have so many cells: as many as the header, or as many as have names.
    #[must_use]
    pub(super) fn fits(&self, cells: usize) -> bool {
        (self.named..=self.columns.len()).contains(&cells)
    }

    /// Where the column of this name is.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<usize> {
        let mut places = self.places();
        places.find(|(is, _)| *is == name).map(|(_, at)| at)
    }

    /// The error for a column that `option` names in vain.
    #[must_use]
    pub fn no_column(&self, line: u64, name: &str, option: &'static str) -> HeaderError {
        let shown: Vec<_> = self.names().take(SHOWN).collect();
        let more = self.names().count() - shown.len();
        let more = match more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        HeaderError::NoColumn {
            line,
            name: name.to_owned(),
            option,
            columns: shown.join(", ") + &more,
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().filter_map(|it| it.name.as_deref())
    }

    fn places(&self) -> impl Iterator<Item = (&str, usize)> {
        let columns = self.columns.iter().enumerate();
        columns.filter_map(|(at, column)| Some((column.name.as_deref()?, at)))
    }
}
