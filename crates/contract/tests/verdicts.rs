//! Verdicts through the tape, with a budget, are those of the plain validator on `serde_json`'s values.

use proptest::prelude::*;
use serde_json::{Value, json};
use tapline_contract::schema::Schema;

/// A value of a record, small enough that schemas often meet it.
fn record() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2..3).prop_map(Value::from),
        Just(json!(1.0)),
        "[ab]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[ab]", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A schema that may refer to the three definitions, and with them to itself, for the same value or for parts of it.
fn schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        (0..3).prop_map(|number| json!({"$ref": format!("#/$defs/d{number}")})),
        prop::sample::select(vec![
            "null", "boolean", "integer", "string", "array", "object"
        ])
        .prop_map(|name| json!({"type": name})),
        record().prop_map(|value| json!({"const": value})),
        Just(json!({"minimum": 0, "maxLength": 1, "maxItems": 1, "maxProperties": 1})),
        Just(json!({"pattern": "^a", "required": ["a"], "uniqueItems": true})),
        any::<bool>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        let some = prop::collection::vec(inner.clone(), 1..4);
        let three = (inner.clone(), inner.clone(), inner.clone());
        prop_oneof![
            (prop::sample::select(vec!["oneOf", "anyOf", "allOf"]), some)
                .prop_map(|(keyword, schemas)| json!({keyword: schemas})),
            inner.clone().prop_map(|it| json!({"not": it})),
            three
                .clone()
                .prop_map(|(one, two, three)| json!({"if": one, "then": two, "else": three})),
            three.prop_map(|(one, two, three)| {
                json!({"properties": {"a": one}, "additionalProperties": two, "items": three})
            }),
            (inner.clone(), inner.clone()).prop_map(|(one, two)| {
                json!({"anyOf": [{"properties": {"a": one}}, true], "unevaluatedProperties": two})
            }),
            inner.prop_map(|it| json!({"propertyNames": it, "contains": true, "minContains": 0})),
        ]
    })
}

proptest! {
    #[test]
    fn a_verdict_is_that_of_the_plain_validator(
        definitions in prop::collection::vec(schema(), 3),
        records in prop::collection::vec(record(), 1..8),
    ) {
        let [d0, d1, d2] = definitions.as_slice() else { unreachable!("three") };
        let document = json!({"$ref": "#/$defs/d0", "$defs": {"d0": d0, "d1": d1, "d2": d2}});
        let ours = Schema::from_text("s", document.to_string(), &[]).expect("a schema");
        let plain = jsonschema::validator_for(&document).expect("a schema");
        let mut validator = ours.validator();
        for record in records {
            let text = record.to_string();
            let expected = plain.is_valid(&record);
            prop_assert_eq!(validator.is_valid(text.as_bytes()), expected, "{} {}", &document, &text);
            prop_assert_eq!(validator.check(text.as_bytes()).is_ok(), expected, "{} {}", &document, &text);
        }
    }
}
