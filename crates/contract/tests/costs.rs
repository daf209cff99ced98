//! Records and schemas that are made to take memory and time: each has a verdict, and an error that says something.
//!
//! What they cost is counted in the validator's own steps, which end a check; without them each of these takes minutes
//! and gigabytes. `schema-check`'s tests measure the memory.

use std::fmt::Write as _;
use std::thread;

use serde_json::{Map, Value, json};
use tapline_contract::schema::{Schema, SchemaError};
use tapline_contract::validator::Invalid;

/// What a tool's main thread has, in bytes.
const MAIN_STACK: usize = 8 * 1024 * 1024;

/// What is told of a record that isn't valid.
#[track_caller]
fn told(schema: &Value, record: &str) -> String {
    let schema = Schema::from_text("s", schema.to_string(), &[]).unwrap();
    match schema.validator().check(record.as_bytes()) {
        Err(Invalid::Violations(violations)) => violations.to_string(),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn passes(schema: &Value, record: &str) {
    let schema = Schema::from_text("s", schema.to_string(), &[]).unwrap();
    assert_eq!(schema.validator().check(record.as_bytes()), Ok(()));
}

/// A language of expressions, such as OGC's CQL2: each operator has a branch of its own, and its arguments are
/// expressions again.
fn expressions() -> Value {
    let mut branches = vec![json!({"type": "number"})];
    for operator in ["and", "or", "not", "=", "<", ">", "+", "-", "*", "/"] {
        branches.push(json!({
            "type": "object",
            "required": ["op", "args"],
            "properties": {
                "op": {"const": operator},
                "args": {"type": "array", "items": {"$ref": "#/$defs/expression"}}
            }
        }));
    }
    json!({"$ref": "#/$defs/expression", "$defs": {"expression": {"oneOf": branches}}})
}

fn nested(depth: usize, innermost: &str) -> String {
    r#"{"op":"+","args":[1,"#.repeat(depth) + innermost + &"]}".repeat(depth)
}

#[test]
fn a_deep_expression_with_a_misspelt_operator_is_told() {
    passes(&expressions(), &nested(40, "2"));
    let wrong = nested(40, r#"{"op":"plus","args":[]}"#);
    let told = told(&expressions(), &wrong);
    assert!(
        told.contains(
            "is not valid under exactly one of the schemas listed in the 'oneOf' keyword"
        ),
        "{told}"
    );
}

#[test]
fn the_place_is_told_where_an_expression_is_a_part_of_the_record() {
    for draft in [
        "https://json-schema.org/draft/2020-12/schema",
        "http://json-schema.org/draft-04/schema#",
    ] {
        let mut schema = json!({
            "$schema": draft,
            "properties": {"id": {"type": "string"}, "filter": {"$ref": "#/definitions/e"}},
            "required": ["name"]
        });
        schema["definitions"] = json!({"e": expressions()["$defs"]["expression"]});
        let text = schema
            .to_string()
            .replace("#/$defs/expression", "#/definitions/e");
        let text = text.replace(r#""const":"and""#, r#""enum":["and"]"#);
        let record = format!(r#"{{"id":7,"filter":{}}}"#, nested(30, r#""x""#));
        let schema = Schema::from_text("s", text, &[]).unwrap();
        let Err(Invalid::Violations(violations)) = schema.validator().check(record.as_bytes())
        else {
            panic!("valid");
        };
        let pointers: Vec<_> = violations
            .list
            .iter()
            .map(|it| it.pointer.as_str())
            .collect();
        assert_eq!(pointers, ["", "/id", "/filter"], "{draft}");
        assert_eq!((violations.more, violations.too_many), (0, false));
    }
}

/// Resources of many kinds that contain resources, such as FHIR's.
#[test]
fn a_resource_of_forty_kinds_with_one_wrong_member_is_told() {
    let mut kinds = Map::new();
    for number in 0..40 {
        kinds.insert(
            format!("k{number}"),
            json!({
                "properties": {
                    "type": {"const": format!("k{number}")},
                    "active": {"type": "boolean"},
                    "contained": {"items": {"$ref": "#/$defs/resource"}},
                    "entry": {"items": {"properties": {"resource": {"$ref": "#/$defs/resource"}}}}
                },
                "additionalProperties": false
            }),
        );
    }
    let all: Vec<_> = kinds
        .keys()
        .map(|kind| json!({"$ref": format!("#/$defs/{kind}")}))
        .collect();
    kinds.insert("resource".to_owned(), json!({"oneOf": all}));
    let schema = json!({"$ref": "#/$defs/resource", "$defs": kinds});
    let record = |active: &str| {
        format!(
            r#"{{"type":"k1","contained":[{{"type":"k2","entry":[{{"resource":{{"type":"k3","contained":[{{"type":"k4","active":{active}}}]}}}}]}}]}}"#
        )
    };
    passes(&schema, &record("true"));
    let told = told(&schema, &record("\"yes\""));
    assert!(told.contains("'oneOf' keyword"), "{told}");
}

#[test]
fn schemas_that_all_refer_to_each_other_for_one_value_end() {
    let mut schemas = Map::new();
    for number in 0..9 {
        let others: Vec<_> = (0..9)
            .filter(|other| *other != number)
            .map(|other| json!({"$ref": format!("#/$defs/n{other}")}))
            .collect();
        schemas.insert(
            format!("n{number}"),
            json!({"anyOf": others, "type": "string"}),
        );
    }
    let told = told(&json!({"$ref": "#/$defs/n0", "$defs": schemas}), "1");
    assert!(told.contains("1 is not"), "{told}");
}

#[test]
fn references_that_double_refuse_the_schema() {
    let mut schemas = Map::new();
    for number in 0..40 {
        let next = json!({"$ref": format!("#/$defs/n{}", number + 1)});
        schemas.insert(format!("n{number}"), json!({"allOf": [next, next]}));
    }
    schemas.insert("n40".to_owned(), json!(true));
    let text = json!({"$ref": "#/$defs/n0", "$defs": schemas}).to_string();
    let error = Schema::from_text("s", text, &[]).unwrap_err();
    assert!(matches!(error, SchemaError::Unbounded { .. }), "{error:?}");
    let error = error.to_string();
    assert!(
        error
            .starts_with("s: at /$defs/n25: applies schemas to one value in more than 100000 ways"),
        "{error}"
    );
}

#[test]
fn a_verdict_that_would_take_for_ever_is_given_up() {
    // Each level has two ways to the next; no reference is in a circle, so that nothing is remembered.
    let mut schemas = Map::new();
    for number in 0..60 {
        let next = json!({"properties": {"a": {"$ref": format!("#/$defs/n{}", number + 1)}}});
        let other = json!({"properties": {"a": {"$ref": format!("#/$defs/n{}", number + 1)}}, "minProperties": 0});
        schemas.insert(format!("n{number}"), json!({"anyOf": [next, other]}));
    }
    schemas.insert("n60".to_owned(), json!({"type": "string"}));
    let schema = json!({"$ref": "#/$defs/n0", "$defs": schemas});
    let record = r#"{"a":"#.repeat(60) + "1" + &"}".repeat(60);
    assert_eq!(
        told(&schema, &record),
        "not checked: with this schema it would take too long"
    );
    passes(
        &schema,
        &(r#"{"a":"#.repeat(60) + "\"x\"" + &"}".repeat(60)),
    );
}

#[test]
fn very_many_errors_are_told_by_the_first() {
    let schema = json!({"items": {"type": "string"}});
    let record = format!("[{}0]", "0,".repeat(400_000));
    assert_eq!(
        told(&schema, &record),
        r#"/0: 0 is not of type "string" (and more errors, too many to list)"#
    );
}

#[test]
fn errors_below_a_long_name_do_not_repeat_it_without_end() {
    let schema = json!({"additionalProperties": {"items": {"type": "string"}}});
    let record = format!(
        r#"{{"{}":[{}0]}}"#,
        "n".repeat(500_000),
        "0,".repeat(100_000)
    );
    let told = told(&schema, &record);
    assert!(
        told.ends_with(r#"0 is not of type "string" (and more errors, too many to list)"#),
        "{told}"
    );
    // A few are listed.
    let record = format!(r#"{{"{}":[{}0]}}"#, "n".repeat(500_000), "0,".repeat(9));
    let told = self::told(&schema, &record);
    assert!(
        told.ends_with(r#"0 is not of type "string" (and 9 more errors)"#),
        "{told}"
    );
}

#[test]
fn a_long_pattern_is_not_copied_for_each_error_without_end() {
    let schema = json!({"items": {"pattern": "a".repeat(100_000)}});
    let record = format!("[{}\"\"]", "\"\",".repeat(10_000));
    let told = told(&schema, &record);
    assert!(
        told.ends_with("(and more errors, too many to list)"),
        "{told}"
    );
}

#[test]
fn large_values_are_compared_in_place() {
    let mut record = "[".to_owned();
    for number in 0..100_000 {
        write!(record, r#"{{"":{number}}},"#).unwrap();
    }
    passes(
        &json!({"uniqueItems": true}),
        &format!("{record}{{\"\":-1}}]"),
    );
    let told = told(
        &json!({"uniqueItems": true}),
        &format!("{record}{{\"\":7.0}}]"),
    );
    assert!(told.ends_with("has non-unique elements"), "{told}");
    let told = self::told(&json!({"enum": [[1], {"a": 1}]}), &format!("{record}0]"));
    assert!(told.contains("is not one of"), "{told}");
}

#[test]
fn json_in_a_string_is_read_without_being_built() {
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "contentMediaType": "application/json"
    });
    let inner =
        |end: &str| json!(format!("[{}{{}}{end}", r#"{"":{}},"#.repeat(100_000))).to_string();
    passes(&schema, &inner("]"));
    assert!(
        told(&schema, &inner(""))
            .ends_with(r#"is not compliant with "application/json" media type"#)
    );
}

#[test]
fn a_pattern_that_backtracks_without_end_is_given_up() {
    let schema = json!({"items": {"pattern": "^(?=(a+)+$)(?!x)(a+)+b$"}});
    let record = format!("[{}\"b\"]", format!("\"{}\",", "a".repeat(40)).repeat(100));
    let told = told(&schema, &record);
    assert!(told.starts_with("/0: "), "{told}");
}

#[test]
fn a_schema_nests_as_deep_as_a_record_without_a_stack_overflow() {
    // The longest chain that is taken, at each of the most levels.
    let mut schemas = Map::new();
    for number in 0..98 {
        let next = json!({"$ref": format!("#/$defs/n{}", number + 1)});
        let schema = if number % 2 == 0 {
            json!({"anyOf": [next]})
        } else {
            json!({"allOf": [next]})
        };
        schemas.insert(format!("n{number}"), schema);
    }
    schemas.insert(
        "n98".to_owned(),
        json!({"type": ["array", "string"], "items": {"$ref": "#/$defs/n0"}}),
    );
    let mut schema = json!({"$ref": "#/$defs/n0", "$defs": schemas});
    let mut depth = 98;
    while Schema::from_text("s", schema.to_string(), &[]).is_err() {
        depth -= 2;
        schema["$ref"] = json!(format!("#/$defs/n{}", 98 - depth));
        schema["$defs"]["n98"]["items"] = json!({"$ref": format!("#/$defs/n{}", 98 - depth)});
        for number in 0..98 - depth {
            schema["$defs"]
                .as_object_mut()
                .unwrap()
                .remove(&format!("n{number}"));
        }
    }
    let thread = thread::Builder::new().stack_size(MAIN_STACK / 2);
    let checks = thread.spawn(move || {
        passes(&schema, &("[".repeat(126) + "\"x\"" + &"]".repeat(126)));
        let told = told(&schema, &("[".repeat(126) + "1" + &"]".repeat(126)));
        assert!(told.contains("is not valid"), "{told}");
    });
    checks.unwrap().join().unwrap();
}
