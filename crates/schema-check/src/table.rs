//! CSV with a header: each row becomes a JSON object, its cells typed as the schema wants their columns.

use std::io::Read;
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::Value;
use tapline_contract::schema::Schema;
use tapline_pipe::csv::rows::{Next, Rows};
use tapline_pipe::json::{number::is_number, string::write_string};
use tapline_pipe::outcome::Ending;
use tapline_pipe::reject::{Reason, Rejection};

use crate::judge::{Judge, Place};

/// Judges every row, until the input ends or a signal comes. `header` is the one that was passed on
/// before, if any was: files that a filter passes on as one must have the same.
pub(crate) fn check<R: Read + AsFd>(
    rows: &mut Rows<R>,
    schema: &Schema,
    header: &mut Option<Vec<u8>>,
    place: Place,
    judge: &mut Judge,
) -> Result<Ending> {
    let ending = check_rows(rows, schema, header, place, judge);
    judge.summary.blank += rows.blank();
    ending
}

fn check_rows<R: Read + AsFd>(
    rows: &mut Rows<R>,
    schema: &Schema,
    header: &mut Option<Vec<u8>>,
    place: Place,
    judge: &mut Judge,
) -> Result<Ending> {
    let mut columns: Option<Vec<Column>> = None;
    let mut json = Vec::new();
    loop {
        // The clock is looked at only before the input may have to be waited for.
        let patience = if rows.has_buffered() {
            Duration::ZERO
        } else {
            judge.idle()?;
            judge.patience()
        };
        let next = rows.next(patience)?;
        let place = Place {
            line: rows.lines().0,
            ..place
        };
        match (next, &columns) {
            (Next::Row, None) => {
                columns = Some(read_header(rows, schema)?);
                match header {
                    None => {
                        judge.pass_on(rows.raw())?;
                        *header = Some(rows.raw().to_owned());
                    }
                    Some(first) if first != rows.raw() && judge.is_filter() => {
                        bail!(
                            "its header is not that of the CSV before it, and --pass makes one of them"
                        );
                    }
                    Some(_) => {}
                }
            }
            (Next::TooLong, None) => bail!("its header is over --max-record"),
            (Next::Row, Some(columns)) => match write_object(rows, columns, &mut json) {
                Ok(()) => judge.record_as(place, &json, rows.raw())?,
                Err(rejection) => judge.reject(place, &rejection, Some(rows.raw()))?,
            },
            (Next::TooLong, Some(_)) => {
                let rejection = Rejection::new(Reason::TooLong, "a row is over --max-record");
                judge.reject(place, &rejection, None)?;
            }
            (Next::Idle, _) => {}
            (Next::End, _) => return Ok(Ending::Complete),
            (Next::Stopped(signal), _) => return Ok(Ending::Signal(signal)),
        }
    }
}

/// A column: its name and what its cells can be.
#[derive(Debug)]
struct Column {
    name: String,
    types: Types,
}

fn read_header<R: Read + AsFd>(rows: &Rows<R>, schema: &Schema) -> Result<Vec<Column>> {
    let mut columns: Vec<Column> = Vec::new();
    for cell in rows.cells() {
        let Ok(name) = std::str::from_utf8(cell) else {
            bail!("its header is not UTF-8");
        };
        if columns.iter().any(|column| column.name == name) {
            bail!("its header has the column {name:?} twice");
        }
        columns.push(Column {
            name: name.to_owned(),
            types: Types::of(schema.document(), name),
        });
    }
    Ok(columns)
}

/// Makes `json` the object that the row is.
fn write_object<R: Read + AsFd>(
    rows: &Rows<R>,
    columns: &[Column],
    json: &mut Vec<u8>,
) -> Result<(), Rejection> {
    let cells = rows.cells();
    if cells.len() != columns.len() {
        let (first, last) = rows.lines();
        let over = if last > first {
            format!("; a quote in it ends on line {last} only")
        } else {
            String::new()
        };
        let (cells, columns) = (cells.len(), columns.len());
        let detail = format!("{cells} cells under a header of {columns}{over}");
        return Err(Rejection::new(Reason::BadRow, detail));
    }
    json.clear();
    json.push(b'{');
    for (column, cell) in columns.iter().zip(cells) {
        let Ok(cell) = std::str::from_utf8(cell) else {
            let detail = format!("the cell {:?} is not UTF-8", column.name);
            return Err(Rejection::new(Reason::BadRow, detail));
        };
        let form = column.types.form(cell);
        if form == Cell::Missing {
            continue;
        }
        if json.len() > 1 {
            json.push(b',');
        }
        write_string(&column.name, json);
        json.push(b':');
        match form {
            Cell::Null => json.extend_from_slice(b"null"),
            Cell::Literal => json.extend_from_slice(cell.as_bytes()),
            _ => write_string(cell, json),
        }
    }
    json.push(b'}');
    Ok(())
}

/// How a cell goes into the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Missing,
    Null,
    /// As it stands: a number, `true` or `false`.
    Literal,
    String,
}

/// The types that the schema allows a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "a set of four")]
struct Types {
    null: bool,
    boolean: bool,
    number: bool,
    string: bool,
}

impl Types {
    /// A column that the schema says nothing of holds whatever its cells look like.
    const ANY: Types = Types {
        null: false,
        boolean: true,
        number: true,
        string: true,
    };

    /// What the schema allows a member of its objects.
    fn of(document: &Value, name: &str) -> Types {
        let mut types = None;
        let mut left = vec![document];
        let mut steps = 0;
        while let Some(schema) = left.pop() {
            let schema = resolve(document, schema);
            if let Some(property) = schema.get("properties").and_then(|it| it.get(name)) {
                types = types.or_else(|| Types::of_values(document, resolve(document, property)));
            }
            steps += 1;
            if steps < MAX_STEPS
                && let Some(Value::Array(parts)) = schema.get("allOf")
            {
                left.extend(parts);
            }
        }
        types.unwrap_or(Types::ANY)
    }

    /// What a schema allows; `None` if it names no types.
    fn of_values(document: &Value, schema: &Value) -> Option<Types> {
        let mut types = Types::default();
        match schema.get("type") {
            Some(Value::String(word)) => types.add(word),
            Some(Value::Array(words)) => {
                for word in words.iter().filter_map(Value::as_str) {
                    types.add(word);
                }
            }
            _ => {
                let values = match (schema.get("const"), schema.get("enum")) {
                    (Some(value), _) => std::slice::from_ref(value),
                    (None, Some(Value::Array(values))) => values,
                    _ => return Types::of_branches(document, schema),
                };
                for value in values {
                    types.add(match value {
                        Value::Null => "null",
                        Value::Bool(_) => "boolean",
                        Value::Number(_) => "number",
                        _ => "string",
                    });
                }
            }
        }
        Some(types)
    }

    /// What the branches of `anyOf` or `oneOf` allow together.
    fn of_branches(document: &Value, schema: &Value) -> Option<Types> {
        let branches = schema.get("anyOf").or_else(|| schema.get("oneOf"))?;
        let mut types = Types::default();
        for branch in branches.as_array()? {
            let branch = resolve(document, branch);
            // One level is enough for "a number or null"; deeper ones are told by their looks.
            let word = branch.get("type")?;
            match word {
                Value::String(word) => types.add(word),
                _ => return None,
            }
        }
        Some(types)
    }

    fn add(&mut self, word: &str) {
        match word {
            "null" => self.null = true,
            "boolean" => self.boolean = true,
            "integer" | "number" => self.number = true,
            // Arrays and objects can't stand in a cell: as a string it is told that it is none.
            _ => self.string = true,
        }
    }

    fn form(self, cell: &str) -> Cell {
        if cell.is_empty() {
            return match self {
                Types { null: true, .. } => Cell::Null,
                Types { string: true, .. } => Cell::String,
                _ => Cell::Missing,
            };
        }
        let literal = (self.number && is_number(cell.as_bytes()))
            || (self.boolean && matches!(cell, "true" | "false"));
        if literal { Cell::Literal } else { Cell::String }
    }
}

/// So many schemas are looked into, and references followed, at most: a schema may go in circles.
const MAX_STEPS: usize = 32;

/// Follows `$ref`s within the schema.
fn resolve<'a>(document: &'a Value, mut schema: &'a Value) -> &'a Value {
    for _ in 0..MAX_STEPS {
        let reference = schema.get("$ref").and_then(Value::as_str);
        let Some(target) = reference
            .and_then(|reference| reference.strip_prefix('#'))
            .and_then(|pointer| document.pointer(pointer))
        else {
            break;
        };
        schema = target;
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn form(schema: &Value, cell: &str) -> Cell {
        let document =
            json!({"properties": {"a": schema}, "definitions": {"n": {"type": "number"}}});
        Types::of(&document, "a").form(cell)
    }

    #[test]
    fn a_cell_is_what_the_schema_asks_for() {
        for (schema, cell, expected) in [
            (json!({"type": "integer"}), "74", Cell::Literal),
            (json!({"type": "integer"}), "74.5", Cell::Literal),
            (json!({"type": "integer"}), "hot", Cell::String),
            (json!({"type": "integer"}), "007", Cell::String),
            (json!({"type": "integer"}), " 7", Cell::String),
            (json!({"type": "string"}), "74", Cell::String),
            (json!({"type": "string"}), "true", Cell::String),
            (json!({"type": ["string", "integer"]}), "74", Cell::Literal),
            (json!({"type": "boolean"}), "true", Cell::Literal),
            (json!({"type": "boolean"}), "TRUE", Cell::String),
            (json!({"type": "number"}), "true", Cell::String),
            (json!({"enum": ["1", "2"]}), "1", Cell::String),
            (json!({"enum": [1, 2]}), "1", Cell::Literal),
            (json!({"const": "1"}), "1", Cell::String),
            (json!({"minimum": 0}), "1", Cell::Literal),
            (json!({"$ref": "#/definitions/n"}), "1e5", Cell::Literal),
            (json!({"$ref": "#/properties/a"}), "1", Cell::Literal),
            (
                json!({"anyOf": [{"type": "string"}, {"type": "null"}]}),
                "1",
                Cell::String,
            ),
        ] {
            assert_eq!(form(&schema, cell), expected, "{schema} {cell}");
        }
    }

    #[test]
    fn an_empty_cell_is_null_or_empty_or_missing() {
        for (schema, expected) in [
            (json!({"type": "integer"}), Cell::Missing),
            (json!({"type": "string"}), Cell::String),
            (json!({"type": ["integer", "null"]}), Cell::Null),
            (json!({"type": ["string", "null"]}), Cell::Null),
            (
                json!({"oneOf": [{"type": "null"}, {"$ref": "#/definitions/n"}]}),
                Cell::Null,
            ),
            (json!({}), Cell::String),
        ] {
            assert_eq!(form(&schema, ""), expected, "{schema}");
        }
    }

    #[test]
    fn columns_are_found_in_parts_of_a_schema() {
        let document = json!({
            "allOf": [{"$ref": "#/definitions/part"}, {"allOf": [{"$ref": "#"}]}],
            "definitions": {"part": {"properties": {"a": {"type": "string"}}}}
        });
        assert_eq!(Types::of(&document, "a").form("1"), Cell::String);
        assert_eq!(Types::of(&document, "b").form("1"), Cell::Literal);
    }
}
