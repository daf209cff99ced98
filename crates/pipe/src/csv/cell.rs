//! CSV cells as JSON values: a number where the cell is one, byte for byte; else a string; nothing is null.

use crate::json::{number::is_number, string::write_string};

/// Appends the JSON value of a cell to `out`.
///
/// A cell whose text is a JSON number (RFC 8259, section 6) is written as it stands, so `74.93588199999998`, `1.10`
/// and `1e5` keep every byte. Everything else is a string: `007`, `+1`, `.5`, `NaN`, `0x1F`, `true`, ` 1`. An
/// empty cell is `null`: there was no value.
pub fn write_value(cell: &str, out: &mut Vec<u8>) {
    if cell.is_empty() {
        out.extend_from_slice(b"null");
    } else if is_number(cell.as_bytes()) {
        out.extend_from_slice(cell.as_bytes());
    } else {
        write_string(cell, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(cell: &str) -> String {
        let mut out = Vec::new();
        write_value(cell, &mut out);
        String::from_utf8(out).unwrap()
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
            "1e5",
            "1E+5",
            "-0.0e-07",
        ] {
            assert_eq!(value(number), number);
        }
    }

    #[test]
    fn what_is_not_a_json_number_is_a_string() {
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
            "1e400",
            "true",
            "null",
            "2013-12-02 21:15:00",
        ] {
            assert_eq!(value(text), format!("\"{text}\""));
        }
    }

    #[test]
    fn an_empty_cell_is_null() {
        assert_eq!(value(""), "null");
    }

    proptest! {
        #[test]
        fn every_cell_comes_back_from_its_json(cell in any::<String>()) {
            match serde_json::from_str(&value(&cell)).unwrap() {
                serde_json::Value::String(text) => prop_assert_eq!(text, cell),
                serde_json::Value::Null => prop_assert_eq!("", cell),
                _ => prop_assert!(is_number(cell.as_bytes())),
            }
        }
    }
}
