//! Rows as objects, from the text of a file.

use std::fs::File;
use std::io::{Seek, Write};
use std::time::Duration;

use proptest::prelude::*;

use super::header::Header;
use super::object::{Form, Looks, write_object};
use super::rows::{Next, Rows};
use crate::io::stop::Stop;

/// The rows of `text`, at the header.
fn rows(text: &str) -> Rows<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.rewind().unwrap();
    let mut rows = Rows::new(file, 1 << 24, Stop::manual().unwrap());
    assert_eq!(rows.next(Duration::ZERO).unwrap(), Next::Row);
    rows
}

fn header(text: &str, as_text: &[&str]) -> Result<Header, String> {
    let as_text: Vec<_> = as_text.iter().map(|name| (*name).to_owned()).collect();
    Header::read(&rows(text), &as_text).map_err(|error| error.to_string())
}

/// Each row's object or what is wrong with it, with the best form for each cell.
fn objects(text: &str, as_text: &[&str]) -> Vec<String> {
    let header = header(text, as_text).unwrap();
    let mut rows = rows(text);
    let mut objects = Vec::new();
    while rows.next(Duration::ZERO).unwrap() == Next::Row {
        let mut out = Vec::new();
        let form = |at: usize, cell: &str| Looks::of(cell).forms(&header.columns()[at])[0];
        objects.push(match write_object(&rows, &header, form, &mut out) {
            Ok(()) => String::from_utf8(out).unwrap(),
            Err(rejection) => rejection.detail,
        });
    }
    objects
}

fn value(cell: &str) -> String {
    let quoted = cell.replace('"', "\"\"");
    let object = objects(&format!("a,b\n\"{quoted}\",\n"), &[]).remove(0);
    let value = object.strip_prefix("{\"a\":").unwrap();
    value.strip_suffix(",\"b\":null}").unwrap().to_owned()
}

#[test]
fn numbers_keep_every_byte() {
    for number in [
        "0",
        "-0",
        "74",
        "74.93588199999998",
        "1.10",
        "12345678901234567890",
        "1e+5",
        "1E-5",
        "1.5e5",
        "-0.0e-07",
    ] {
        assert_eq!(value(number), number);
    }
    assert_eq!(
        (value("true"), value("false")),
        ("true".into(), "false".into())
    );
}

#[test]
fn what_may_be_meant_otherwise_is_text() {
    for text in [
        "007",
        "00",
        "+1",
        ".5",
        "5.",
        "1.e5",
        "1e",
        "1e+",
        "-",
        "--1",
        "NaN",
        "Infinity",
        "0x1F",
        "1_000",
        "1 ",
        " 1",
        "1,5",
        "TRUE",
        "null",
        "2013-12-02 21:15:00",
        // Identifiers of aircraft and goods, and what a double can't hold.
        "888E050011",
        "3946E1",
        "1e5",
        "1e400",
        "1.0e+400",
        &"9".repeat(400),
    ] {
        assert_eq!(value(text), format!("\"{text}\""));
    }
}

#[test]
fn an_empty_cell_is_null() {
    assert_eq!(value(""), "null");
}

#[test]
fn a_text_column_has_text_whatever_its_cells_look_like() {
    assert_eq!(
        objects("id,n,u\n0042,1,2\n1234,1,2\ntrue,1,2\n,1,\n", &["id", "u"]),
        [
            r#"{"id":"0042","n":1,"u":"2"}"#,
            r#"{"id":"1234","n":1,"u":"2"}"#,
            r#"{"id":"true","n":1,"u":"2"}"#,
            r#"{"id":null,"n":1,"u":null}"#,
        ]
    );
    assert_eq!(
        header("id,n\n", &["n", "x"]).unwrap_err(),
        "line 1: the header has no column \"x\" (--text), but id, n"
    );
}

#[test]
fn columns_without_a_name_hold_nothing() {
    assert_eq!(
        objects(
            "a,,b,,\n1,,2,,\n1,,2\n1,,2,\n1,,2,,3\n1,9,2,,\n1,\n1,,2,,,\n",
            &[]
        ),
        [
            r#"{"a":1,"b":2}"#,
            r#"{"a":1,"b":2}"#,
            r#"{"a":1,"b":2}"#,
            "cell 5 is under a header without a name",
            "cell 2 is under a header without a name",
            "2 cells under a header of 5",
            "6 cells under a header of 5",
        ]
    );
    // A data frame's index.
    assert_eq!(
        objects(",a\n0,x\n,y\n", &[]),
        [r#"{"":0,"a":"x"}"#, r#"{"":null,"a":"y"}"#]
    );
    for text in [",,\n", "\"\"\n"] {
        assert_eq!(
            header(text, &[]).unwrap_err(),
            "line 1: the header has no names"
        );
    }
}

#[test]
fn a_name_stands_once_in_a_header() {
    assert_eq!(
        header("\na,b,a\n", &[]).unwrap_err(),
        "line 2: the header has the column \"a\" twice; a JSON object can't"
    );
}

#[test]
fn a_missing_cell_takes_its_comma_along() {
    let mut rows = rows("a,b,c\n1,2,3\n");
    let header = Header::read(&rows, &[]).unwrap();
    rows.next(Duration::ZERO).unwrap();
    for (missing, want) in [
        ([true, false, false], r#"{"b":2,"c":3}"#),
        ([false, true, false], r#"{"a":1,"c":3}"#),
        ([false, false, true], r#"{"a":1,"b":2}"#),
        ([true, true, true], "{}"),
    ] {
        let mut out = Vec::new();
        let form = |at: usize, _: &str| {
            if missing[at] {
                Form::Missing
            } else {
                Form::Literal
            }
        };
        write_object(&rows, &header, form, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }
}

proptest! {
    #[test]
    fn every_cell_comes_back_from_its_json(cell in any::<String>()) {
        match serde_json::from_str(&value(&cell)).unwrap() {
            serde_json::Value::String(text) => prop_assert_eq!(text, cell),
            serde_json::Value::Null => prop_assert_eq!("", cell),
            _ => prop_assert_ne!(Looks::of(&cell), Looks::Text),
        }
    }
}
