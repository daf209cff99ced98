//! A schema that says the same as another, but whose errors don't hold those of every branch of `anyOf` and `oneOf`:
//! the validator collects these eagerly, and where branches refer to their schema again they are without number.
//!
//! `"anyOf": […]` becomes `"allOf": [{"if": {"anyOf": […]}, "else": {"not": {"$comment": "anyOf"}}}]`. A condition is
//! only decided, which is cheap; the error of its `else` says which keyword it stands for. `if` keeps the annotations
//! that `unevaluatedProperties` looks at.

use serde_json::{Map, Value, json};

/// Keywords whose value is a schema (or, for `items`, may be a list of them).
const SCHEMA: [&str; 12] = [
    "additionalItems",
    "additionalProperties",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// Keywords whose members are schemas.
const MEMBERS: [&str; 6] = [
    "$defs",
    "definitions",
    "dependencies",
    "dependentSchemas",
    "patternProperties",
    "properties",
];

/// Keywords whose elements are schemas.
const LIST: [&str; 2] = ["allOf", "prefixItems"];

/// The lean form of a schema. `None` if a reference leads into one of the branches, which would not be where it looks
/// for them.
pub(super) fn lean(document: &Value) -> Option<Value> {
    let mut left = vec![document];
    while let Some(value) = left.pop() {
        match value {
            Value::Object(members) => {
                for keyword in ["$ref", "$dynamicRef", "$recursiveRef"] {
                    let reference = members.get(keyword).and_then(Value::as_str);
                    if reference.is_some_and(|it| it.contains("anyOf") || it.contains("oneOf")) {
                        return None;
                    }
                }
                left.extend(members.values());
            }
            Value::Array(elements) => left.extend(elements),
            _ => {}
        }
    }
    let draft = document.get("$schema").and_then(Value::as_str);
    // `if` came with draft 7.
    let conditions =
        !draft.is_some_and(|it| it.contains("/draft-04/") || it.contains("/draft-06/"));
    Some(schema(document, conditions))
}

fn schema(value: &Value, conditions: bool) -> Value {
    let members = match value {
        Value::Object(members) => members,
        Value::Array(elements) => return list(elements, conditions),
        other => return other.clone(),
    };
    let mut lean = Map::new();
    let mut choices = Vec::new();
    for (keyword, value) in members {
        let value = match (keyword.as_str(), value) {
            ("anyOf" | "oneOf", Value::Array(branches)) => {
                choices.push((keyword, list(branches, conditions)));
                continue;
            }
            (name, _) if SCHEMA.contains(&name) => schema(value, conditions),
            (name, Value::Object(schemas)) if MEMBERS.contains(&name) => schemas
                .iter()
                .map(|(name, value)| (name.clone(), schema(value, conditions)))
                .collect(),
            (name, Value::Array(schemas)) if LIST.contains(&name) => list(schemas, conditions),
            _ => value.clone(),
        };
        lean.insert(keyword.clone(), value);
    }
    if !choices.is_empty() {
        let choices = choices.into_iter().map(|(keyword, branches)| {
            let choice = json!({keyword: branches});
            if conditions {
                json!({"if": choice, "else": {"not": {"$comment": keyword}}})
            } else {
                json!({"not": {"not": choice}})
            }
        });
        // Behind what is there: references may lead to that.
        match lean.entry("allOf").or_insert_with(|| json!([])) {
            Value::Array(all) => all.extend(choices),
            _ => unreachable!("the schema was found to be one"),
        }
    }
    Value::Object(lean)
}

fn list(schemas: &[Value], conditions: bool) -> Value {
    schemas
        .iter()
        .map(|value| schema(value, conditions))
        .collect()
}

/// `anyOf` or `oneOf`, if a record that `not` forbids is one that these were to allow.
pub(crate) fn choice(not: &Value) -> Option<&'static str> {
    let keyword = if let Some(comment) = not.get("$comment") {
        comment.as_str()?
    } else {
        let choice = not.get("not")?.as_object()?;
        choice.keys().next().filter(|_| choice.len() == 1)?
    };
    ["anyOf", "oneOf"].into_iter().find(|it| *it == keyword)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_become_conditions_beside_what_is_there() {
        let schema = json!({
            "properties": {"anyOf": {"oneOf": [true, {"anyOf": [false]}]}},
            "allOf": [{"type": "object"}],
            "enum": [{"anyOf": [1]}]
        });
        assert_eq!(
            lean(&schema),
            Some(json!({
                "properties": {"anyOf": {"allOf": [{
                    "if": {"oneOf": [true, {"allOf": [
                        {"if": {"anyOf": [false]}, "else": {"not": {"$comment": "anyOf"}}}
                    ]}]},
                    "else": {"not": {"$comment": "oneOf"}}
                }]}},
                "allOf": [{"type": "object"}],
                "enum": [{"anyOf": [1]}]
            }))
        );
    }

    #[test]
    fn before_draft_7_there_are_no_conditions() {
        let draft = "http://json-schema.org/draft-04/schema#";
        let schema = json!({"$schema": draft, "anyOf": [true]});
        let wanted = json!({"$schema": draft, "allOf": [{"not": {"not": {"anyOf": [true]}}}]});
        assert_eq!(lean(&schema), Some(wanted));
        assert_eq!(choice(&json!({"not": {"anyOf": [true]}})), Some("anyOf"));
    }

    #[test]
    fn a_schema_with_references_into_branches_stays() {
        let schema = json!({"anyOf": [{"$ref": "#/anyOf/1"}, true]});
        assert_eq!(lean(&schema), None);
    }
}
