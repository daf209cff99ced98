//! What records and schemas that are made for it can take of memory: at most 64 MiB beyond what the tool and the record's
//! tape take.

use std::fmt::Write as _;
use std::fs;

use serde_json::{Map, Value, json};
use tapline_testkit::{LIMIT, Run, temp_dir, wait_until};

const MIB: u64 = 1024 * 1024;

/// What the tool takes before it has read anything, and the tape of a record of 1 MiB, in bytes.
const BASE: u64 = 40 * MIB;

/// The most memory that checking these lines takes, of which none is valid.
#[track_caller]
fn peak(schema: &Value, lines: &[String]) -> u64 {
    let folder = temp_dir();
    let (file, rejects) = (folder.path().join("s.json"), folder.path().join("rejects"));
    fs::write(&file, schema.to_string()).unwrap();
    let mut tool = Run::new(env!("CARGO_BIN_EXE_schema-check"))
        .args(["--max-record", "64MiB", "--summary", "json", "--schema"])
        .arg(&file)
        .arg("--rejects")
        .arg(&rejects)
        .start();
    tool.write(lines.join("\n") + "\n1e999\n");
    // Of the last line, which is not JSON: all before it are done.
    wait_until(LIMIT, "the last line is told", || {
        String::from_utf8_lossy(&tool.stdout()).contains("number out of range")
    });
    let peak = tool.peak_memory().expect("a system that tells it");
    let finished = tool.wait();
    finished.assert_code(1);
    let counts: Value = serde_json::from_str(finished.stderr.lines().last().unwrap()).unwrap();
    assert_eq!(counts["rejected"], lines.len() + 1);
    assert_eq!(
        fs::read_to_string(rejects).unwrap().lines().count(),
        lines.len() + 1
    );
    peak
}

#[track_caller]
fn assert_small(schema: &Value, lines: &[String]) {
    let peak = peak(schema, lines);
    assert!(peak < BASE + 64 * MIB, "{} MiB", peak / MIB);
}

#[test]
fn an_expression_tree_with_a_wrong_leaf_takes_little_memory() {
    let mut branches = vec![json!({"type": "number"})];
    for operator in ["and", "or", "not", "=", "<", ">", "+", "-", "*", "/"] {
        branches.push(json!({
            "properties": {"op": {"const": operator}, "args": {"items": {"$ref": "#/$defs/e"}}},
            "required": ["op", "args"],
            "type": "object"
        }));
    }
    for keyword in ["oneOf", "anyOf"] {
        let schema = json!({"$ref": "#/$defs/e", "$defs": {"e": {keyword: branches}}});
        let record =
            |depth| r#"{"op":"+","args":[1,"#.repeat(depth) + "\"x\"" + &"]}".repeat(depth);
        assert_small(&schema, &[record(2), record(4), record(12), record(60)]);
    }
}

#[test]
fn schemas_that_refer_to_each_other_for_one_value_take_little_memory() {
    let mut schemas = Map::new();
    for number in 0..9 {
        let others: Vec<_> = (0..9)
            .filter(|other| *other != number)
            .map(|other| json!({"$ref": format!("#/$defs/n{other}")}))
            .collect();
        schemas.insert(
            format!("n{number}"),
            json!({"oneOf": others, "type": "string"}),
        );
    }
    let schema = json!({"$ref": "#/$defs/n0", "$defs": schemas});
    assert_small(
        &schema,
        &["1".to_owned(), "[]".to_owned(), "{\"a\":{}}".to_owned()],
    );
}

#[test]
fn very_many_errors_take_little_memory() {
    let wrong = json!({
        "additionalProperties": {"items": {"type": "string", "not": {"type": "number"}}},
        "items": {"additionalProperties": false, "maxProperties": 0}
    });
    let name = "n".repeat(500_000);
    let mut objects = "[".to_owned();
    for number in 0..60_000 {
        write!(objects, r#"{{"{number}":0}},"#).unwrap();
    }
    let lines = [
        format!(r#"{{"a":[{}0]}}"#, "0,".repeat(500_000)),
        format!(r#"{{"{name}":[{}0]}}"#, "0,".repeat(200_000)),
        objects + "{}]",
    ];
    assert_small(&wrong, &lines);
}

#[test]
fn comparing_large_values_takes_little_memory() {
    let schema = json!({"uniqueItems": true, "not": {"const": 1}, "enum": [[[1]]]});
    let small = "[{}0]".replace("{}", &r#"{"":0},"#.repeat(140_000));
    assert_small(&schema, &[small]);
}

#[test]
fn a_large_record_takes_its_tape_and_little_more() {
    let schema = json!({"items": {"required": ["b"]}});
    let record = format!("[{}0]", r#"{"a":1},"#.repeat(1_250_000));
    let peak = peak(&schema, &[record]);
    // Ten million bytes, which are kept twice for a moment, and 3.75 million entries of 16 bytes in a list that doubles.
    assert!(
        peak < BASE + 64 * MIB + 20 * MIB + 192 * MIB,
        "{} MiB",
        peak / MIB
    );
}

#[test]
fn a_schema_that_applies_itself_in_too_many_ways_is_a_usage_error() {
    let folder = temp_dir();
    let file = folder.path().join("s.json");
    let mut schemas = Map::new();
    for number in 0..40 {
        let next = json!({"$ref": format!("#/$defs/n{}", number + 1)});
        schemas.insert(format!("n{number}"), json!({"allOf": [next, next]}));
    }
    schemas.insert("n40".to_owned(), json!(true));
    let schema = json!({"$ref": "#/$defs/n0", "$defs": schemas});
    fs::write(&file, schema.to_string()).unwrap();
    let tool = Run::new(env!("CARGO_BIN_EXE_schema-check"))
        .arg("--schema")
        .arg(&file)
        .start();
    let finished = tool.wait();
    finished.assert_code(2);
    assert!(
        finished.stderr.contains("in more than 100000 ways"),
        "{}",
        finished.stderr
    );
}
