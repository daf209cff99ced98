//! CSV: what its cells are, by the schema and by --text.

use serde_json::{Value, json};
use tapline_testkit::Run;

use super::{check, command, feed, parts};

/// What a report says of CSV under a schema, with these arguments: the exit code, stdout, stderr.
fn report(schema: &Value, csv: impl AsRef<[u8]>, arguments: &[&str]) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("schema.json");
    std::fs::write(&path, schema.to_string()).unwrap();
    let mut command = command();
    command.args(["-q", "--format", "csv", "-s"]).arg(path);
    let output = feed(command.args(arguments), csv);
    let (code, stdout, stderr) = parts(&output);
    (code, stdout.to_owned(), stderr.to_owned())
}

#[track_caller]
fn assert_report(schema: &Value, csv: &str, want: &str) {
    let (code, stdout, stderr) = report(schema, csv, &[]);
    assert_eq!(
        (stdout.as_str(), stderr.as_str()),
        (want, ""),
        "{schema}\n{csv}"
    );
    assert_eq!(code, i32::from(!want.is_empty()));
}

#[test]
fn a_cell_is_text_where_the_schema_wants_text_wherever_it_says_so() {
    let string = json!({"type": "string"});
    let tag = json!({"properties": {"tag": string}});
    for schema in [
        tag.clone(),
        json!({"additionalProperties": string}),
        json!({"patternProperties": {"^t": string}}),
        json!({"unevaluatedProperties": string}),
        json!({"properties": {"tag": {"$ref": "#/$defs/t", "minLength": 1}}, "$defs": {"t": string}}),
        json!({"$ref": "#/$defs/r", "$defs": {"r": tag}, "required": ["tag"]}),
        json!({"allOf": [{"required": ["tag"]}, tag]}),
        json!({"oneOf": [tag, {"required": ["none"]}]}),
        json!({"anyOf": [{"required": ["none"]}, tag]}),
        json!({"properties": {"tag": {"oneOf": [{"type": "null"}, string]}}}),
        json!({"properties": {"tag": {"anyOf": [{"type": "boolean"}, {"type": "string", "maxLength": 5}]}}}),
        json!({"if": {"required": ["tag"]}, "then": tag}),
        json!({"if": {"required": ["none"]}, "then": {}, "else": tag}),
        json!({"dependentSchemas": {"tag": tag}}),
        json!({"properties": {"tag": {"enum": ["42", "true", "1.5"]}}}),
        json!({"properties": {"tag": {"pattern": "^[0-9a-z.]+$", "type": ["string", "null"]}}}),
        json!({"properties": {"tag": {"not": {"type": ["number", "boolean"]}}}}),
        json!({"not": {"properties": {"tag": {"type": ["number", "boolean"]}}}}),
        json!({"propertyNames": {"maxLength": 3}, "additionalProperties": string}),
    ] {
        assert_report(&schema, "tag\n42\ntrue\n1.5\n42\n", "");
    }
}

#[test]
fn a_cell_is_a_number_where_that_will_do_and_is_judged_as_one() {
    let both = json!({"properties": {"n": {"type": ["string", "number"], "maximum": 40}}});
    assert_report(
        &both,
        "n\n7\nx\n42\n",
        "<stdin>:4: /n: 42 is greater than the maximum of 40\n",
    );
    let untyped = json!({"properties": {"n": {"maximum": 40}}});
    assert_report(
        &untyped,
        "n\n7\n42\n",
        "<stdin>:3: /n: 42 is greater than the maximum of 40\n",
    );
    let integer = json!({"properties": {"n": {"type": "integer"}}});
    assert_report(
        &integer,
        "n\n7.5\n7\nhot\n007\n4E2\n",
        "<stdin>:2: /n: 7.5 is not of type \"integer\"\n\
         <stdin>:4: /n: \"hot\" is not of type \"integer\"\n\
         <stdin>:5: /n: \"007\" is not of type \"integer\"\n",
    );
    let short = json!({"properties": {"n": {"type": "string", "maxLength": 1}}});
    assert_report(
        &short,
        "n\n7\n42\n",
        "<stdin>:3: /n: \"42\" is longer than 1 character\n",
    );
    let boolean = json!({"properties": {"n": {"type": "boolean"}}});
    assert_report(
        &boolean,
        "n\ntrue\n42\nTRUE\n42\n",
        "<stdin>:3: /n: 42 is not of type \"boolean\"\n\
         <stdin>:4: /n: \"TRUE\" is not of type \"boolean\"\n\
         <stdin>:5: /n: 42 is not of type \"boolean\"\n",
    );
}

/// A reading whose values have other types in each kind; further kinds have none.
fn kinds() -> Value {
    json!({"oneOf": [
        {"properties": {"kind": {"const": "a"}, "v": {"type": "string"}, "w": {"type": "string"}}},
        {"properties": {"kind": {"const": "b"}, "v": {"type": "number"}, "w": {"type": "string"}}},
        {"properties": {"kind": {"const": "c"}, "v": {"maximum": 40}, "w": {"type": "number"}}},
    ]})
}

#[test]
fn a_column_can_have_another_type_in_each_row() {
    let rows = ["a,1,2", "b,1,2", "c,1,2", "a,x,y", "b,50,y"];
    let mut order = rows.to_vec();
    for _ in 0..rows.len() {
        order.rotate_left(1);
        assert_report(&kinds(), &format!("kind,v,w\n{}\n", order.join("\n")), "");
    }
}

#[test]
fn the_verdict_on_a_row_does_not_depend_on_the_rows_before_it() {
    // As text, 50 would not be over the maximum.
    let alone = report(&kinds(), "kind,v,w\nc,50,2\n", &[]);
    assert_eq!(alone.0, 1, "{alone:?}");
    for before in ["a,1,2", "a,50,2", "b,50,2"] {
        let (code, stdout, _) = report(&kinds(), format!("kind,v,w\n{before}\nc,50,2\n"), &[]);
        assert_eq!((code, stdout), (1, alone.1.replace(":2:", ":3:")));
    }
    let conditional = json!({
        "if": {"properties": {"kind": {"const": "a"}}},
        "then": {"properties": {"v": {"type": "string"}}},
        "else": {"properties": {"v": {"maximum": 40}}}
    });
    assert_report(
        &conditional,
        "kind,v\na,50\nb,50\na,50\n",
        "<stdin>:3: /v: 50 is greater than the maximum of 40\n",
    );
}

#[test]
fn an_empty_cell_is_null_or_empty_or_missing_as_the_schema_allows() {
    for (schema, want) in [
        (json!({"type": ["string", "null"], "minLength": 1}), ""),
        (json!({"type": "string"}), ""),
        (
            json!({"type": "string", "minLength": 1}),
            "<stdin>:2: /v: \"\" is shorter than 1 character\n",
        ),
        (json!({"type": "integer"}), ""),
        (json!({"enum": ["x"]}), ""),
        (json!({"oneOf": [{"type": "null"}, {"type": "number"}]}), ""),
        (json!({}), ""),
    ] {
        assert_report(&json!({"properties": {"v": schema}}), "v,w\n,1\n", want);
    }
    let required = json!({"properties": {"v": {"type": "integer"}}, "required": ["v"]});
    assert_report(
        &required,
        "v,w\n,1\n",
        "<stdin>:2: \"v\" is a required property\n",
    );
    let closed = json!({"properties": {"w": {}}, "additionalProperties": false});
    assert_report(&closed, "v,w\n,1\n", "");
}

#[test]
fn text_columns_hold_text_whatever_the_schema_leaves_open() {
    let schema = json!({"properties": {"id": {"not": {"type": "number"}}}, "maxProperties": 2});
    let csv = "id,n\n0042,1\n1234,1\n3946E1,1\n888E050011,1\n1e+5,1\n";
    let (code, stdout, stderr) = report(&schema, csv, &["--text", "id"]);
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, "", ""));
    let number = json!({"properties": {"id": {"type": "number"}}});
    let (code, stdout, _) = report(&number, "id,n\n7,1\n", &["--text", "n,id"]);
    assert_eq!(
        (code, stdout.as_str()),
        (1, "<stdin>:2: /id: \"7\" is not of type \"number\"\n")
    );
    let (code, _, stderr) = report(&schema, csv, &["--text", "id,ID"]);
    assert_eq!(code, 2);
    assert_eq!(
        stderr,
        "schema-check: <stdin>: line 1: the header has no column \"ID\" (--text), but id, n\n"
    );
    let output = check(&["--text", "id"], "{}\n");
    let (code, _, stderr) = parts(&output);
    assert_eq!(code, 2);
    assert!(
        stderr.contains("--text") && stderr.contains("no input is CSV"),
        "{stderr}"
    );
}

#[test]
fn columns_without_a_name_are_no_part_of_the_record() {
    let schema = json!({"properties": {"a": {}, "b": {}}, "additionalProperties": false});
    assert_report(
        &schema,
        "\u{feff}a,b,,\n1,2,,\n1,2\n1,2,,x\n",
        "<stdin>:4: cell 4 is under a header without a name\n",
    );
}

#[test]
fn an_input_without_a_header_could_not_be_read() {
    for input in ["", "\n\r\n", "\u{feff}"] {
        let (code, stdout, stderr) = report(&json!({}), input, &["--pass"]);
        assert_eq!((code, stdout.as_str()), (2, ""));
        assert_eq!(
            stderr,
            "schema-check: <stdin>: no header: CSV begins with a row of column names\n"
        );
    }
    let (code, stdout, _) = report(&json!({}), "a,b", &["--pass"]);
    assert_eq!((code, stdout.as_str()), (0, "a,b\n"));
}

#[test]
fn a_million_columns_are_told_apart_in_no_time() {
    // Comparing each with each takes minutes.
    let names: Vec<String> = (0..1_000_000).map(|name| name.to_string()).collect();
    let begun = std::time::Instant::now();
    let (code, _, stderr) = report(&json!({}), names.join(","), &["--max-record", "16MiB"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let (code, _, stderr) = report(
        &json!({}),
        format!("{},7\n", names.join(",")),
        &["--max-record", "16MiB"],
    );
    assert_eq!(code, 2);
    assert!(stderr.contains("the column \"7\" twice"), "{stderr}");
    assert!(begun.elapsed() < std::time::Duration::from_mins(2));
}

#[test]
fn a_header_of_very_many_columns_is_read_in_linear_time() {
    // If each were compared with all before it, it would take minutes at the least.
    let columns = 1_000_000;
    let row = |cell: &dyn Fn(usize) -> String| (0..columns).map(cell).collect::<Vec<_>>().join(",");
    let csv = format!(
        "{}\n{}\n",
        row(&|at| format!("c{at}")),
        row(&|_| "1".to_owned())
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("schema.json");
    std::fs::write(&path, "{}").unwrap();
    let ran = Run::new(env!("CARGO_BIN_EXE_schema-check"))
        .args(["--format", "csv", "--max-record", "64MiB", "--pass", "-s"])
        .arg(path)
        .finish_with(csv.clone());
    ran.assert_code(0);
    assert!(ran.text() == csv);
}
