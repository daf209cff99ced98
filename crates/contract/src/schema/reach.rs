//! How many ways a schema has to apply itself to one value: each `$ref`, `allOf`, `anyOf`, `oneOf`, `not`, `if` and
//! `dependentSchemas` is another. Forty schemas that refer to the next one twice have 2⁴⁰, and no record could be
//! checked against them.
//!
//! References in a circle are cut where the circle closes: the validator cuts them there, too, and counts its steps.

use std::collections::HashMap;
use std::fmt;
use std::ptr;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// More ways than this are refused.
pub(super) const MAX_WAYS: u64 = 100_000;

/// So many schemas may apply themselves within each other to one value. The validator's stack grows with them, and
/// with how deep a record nests (127 at most): both together take about 2 MiB of the 8 MiB that a process has.
pub(super) const MAX_DEPTH: u32 = 64;

/// How a schema applies itself to one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reach {
    ways: u64,
    depth: u32,
}

/// What a schema has too many of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Excess {
    /// Ways to apply itself to one value.
    Ways,
    /// Schemas that apply themselves within each other.
    Depth,
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Excess::Ways => write!(
                f,
                "applies schemas to one value in more than {MAX_WAYS} ways, through $ref, allOf, anyOf, oneOf, not, \
                 if and dependentSchemas; refer to each schema once"
            ),
            Excess::Depth => write!(
                f,
                "leads through more than {MAX_DEPTH} schemas in a row for one value; shorten the chain of $ref, allOf, \
                 anyOf, oneOf, not and if"
            ),
        }
    }
}

/// The first schema of `document` that has too many, by its JSON Pointer. `others` are the schemas that it may refer
/// to, by name; of one of those the pointer is empty.
pub(super) fn excess(document: &Value, others: &[(String, Value)]) -> Option<(String, Excess)> {
    let mut places = Places::default();
    places.add("", document);
    for (name, other) in others {
        places.add(name, other);
    }
    let mut survey = Survey {
        places: &places,
        known: HashMap::new(),
    };
    for schema in &places.schemas {
        if let Some((found, excess)) = survey.visit(schema) {
            return Some((pointer_to(document, found).unwrap_or_default(), excess));
        }
    }
    None
}

/// Where references lead.
#[derive(Default)]
struct Places<'a> {
    /// All objects that may be schemas.
    schemas: Vec<&'a Value>,
    /// By their name or `$id`.
    resources: Vec<(&'a str, &'a Value)>,
    anchors: HashMap<&'a str, &'a Value>,
    /// The resource that an object with a reference is part of.
    homes: HashMap<*const Value, &'a Value>,
}

impl<'a> Places<'a> {
    fn add(&mut self, name: &'a str, document: &'a Value) {
        if !name.is_empty() {
            self.resources.push((name, document));
        }
        let mut left = vec![(document, document)];
        while let Some((value, mut home)) = left.pop() {
            match value {
                Value::Object(members) => {
                    if let Some(id) = text(members, "$id").or_else(|| text(members, "id")) {
                        if let Some(anchor) = id.strip_prefix('#') {
                            self.anchors.entry(anchor).or_insert(value);
                        } else {
                            home = value;
                            self.resources.push((id.trim_end_matches('#'), value));
                        }
                    }
                    for keyword in ["$anchor", "$dynamicAnchor"] {
                        if let Some(anchor) = text(members, keyword) {
                            self.anchors.entry(anchor).or_insert(value);
                        }
                    }
                    if REFERENCES.iter().any(|it| members.contains_key(*it)) {
                        self.homes.insert(ptr::from_ref(value), home);
                    }
                    self.schemas.push(value);
                    left.extend(members.values().map(|member| (member, home)));
                }
                Value::Array(elements) => left.extend(elements.iter().map(|it| (it, home))),
                _ => {}
            }
        }
    }

    /// What the reference in `schema` leads to, if that is known here.
    fn resolve(&self, schema: &'a Value, reference: &'a str) -> Option<&'a Value> {
        let (address, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let resource = if address.is_empty() {
            self.homes.get(&ptr::from_ref(schema)).copied()?
        } else {
            let address = address.trim_start_matches("./");
            let found = self.resources.iter().find(|(id, _)| *id == address);
            let found = found.or_else(|| {
                let ends = |id: &str| {
                    let before = id.strip_suffix(address);
                    before.is_some_and(|before| before.ends_with('/'))
                };
                self.resources.iter().find(|(id, _)| ends(id))
            });
            found?.1
        };
        if fragment.is_empty() {
            Some(resource)
        } else if fragment.starts_with('/') {
            resource.pointer(&percent_decode_str(fragment).decode_utf8_lossy())
        } else {
            self.anchors.get(fragment).copied()
        }
    }

    /// The schemas that `schema` applies to the value that it is applied to itself.
    fn applied(&self, schema: &'a Value) -> Vec<&'a Value> {
        let mut applied = Vec::new();
        let Value::Object(members) = schema else {
            return applied;
        };
        for (keyword, value) in members {
            match (keyword.as_str(), value) {
                ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(reference)) => {
                    applied.extend(self.resolve(schema, reference));
                }
                ("allOf" | "anyOf" | "oneOf", Value::Array(schemas)) => applied.extend(schemas),
                ("not" | "if" | "then" | "else", _) => applied.push(value),
                ("dependentSchemas" | "dependencies", Value::Object(schemas)) => {
                    applied.extend(schemas.values());
                }
                _ => {}
            }
        }
        applied
    }
}

const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    members.get(name)?.as_str()
}

/// Adds up what schemas reach, each once.
struct Survey<'a, 'p> {
    places: &'p Places<'a>,
    /// `None` while it is being added up.
    known: HashMap<*const Value, Option<Reach>>,
}

/// A schema that is being added up.
struct Step<'a> {
    schema: &'a Value,
    left: Vec<&'a Value>,
    reach: Reach,
}

impl<'a> Survey<'a, '_> {
    /// Adds up `schema` and all that it applies; gives the first that has too many. Without recursion: references can
    /// make longer chains than a stack is high.
    fn visit(&mut self, schema: &'a Value) -> Option<(&'a Value, Excess)> {
        let mut steps = Vec::new();
        self.enter(schema, &mut steps);
        while let Some(step) = steps.last_mut() {
            if let Some(next) = step.left.pop() {
                match self.known.get(&ptr::from_ref(next)) {
                    // In a circle.
                    Some(None) => step.reach.ways = step.reach.ways.saturating_add(1),
                    Some(Some(reach)) => step.reach.add(*reach),
                    None => self.enter(next, &mut steps),
                }
                continue;
            }
            let Step { schema, reach, .. } = steps.pop()?;
            if reach.ways > MAX_WAYS {
                return Some((schema, Excess::Ways));
            }
            if reach.depth > MAX_DEPTH {
                return Some((schema, Excess::Depth));
            }
            self.known.insert(ptr::from_ref(schema), Some(reach));
            if let Some(step) = steps.last_mut() {
                step.reach.add(reach);
            }
        }
        None
    }

    fn enter(&mut self, schema: &'a Value, steps: &mut Vec<Step<'a>>) {
        if self.known.contains_key(&ptr::from_ref(schema)) {
            return;
        }
        self.known.insert(ptr::from_ref(schema), None);
        steps.push(Step {
            schema,
            left: self.places.applied(schema),
            reach: Reach { ways: 1, depth: 1 },
        });
    }
}

impl Reach {
    fn add(&mut self, applied: Reach) {
        self.ways = self.ways.saturating_add(applied.ways);
        self.depth = self.depth.max(applied.depth.saturating_add(1));
    }
}

/// The JSON Pointer to `wanted`, which is itself a part of `document`.
fn pointer_to(document: &Value, wanted: &Value) -> Option<String> {
    let mut left = vec![(String::new(), document)];
    while let Some((pointer, value)) = left.pop() {
        if ptr::eq(value, wanted) {
            return Some(pointer);
        }
        match value {
            Value::Object(members) => left.extend(members.iter().map(|(name, member)| {
                let name = name.replace('~', "~0").replace('/', "~1");
                (format!("{pointer}/{name}"), member)
            })),
            Value::Array(elements) => left.extend(
                elements
                    .iter()
                    .enumerate()
                    .map(|(index, element)| (format!("{pointer}/{index}"), element)),
            ),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `count` schemas, each of which is made of the next one by `link`; the last one is of strings.
    fn chain(count: usize, link: impl Fn(Value) -> Value) -> Value {
        let mut schemas = Map::new();
        for number in 0..count {
            let next = json!({"$ref": format!("#/$defs/n{}", number + 1)});
            schemas.insert(format!("n{number}"), link(next));
        }
        schemas.insert(format!("n{count}"), json!({"type": "string"}));
        json!({"$defs": schemas, "$ref": "#/$defs/n0"})
    }

    fn found(document: &Value) -> Option<Excess> {
        excess(document, &[]).map(|(_, excess)| excess)
    }

    #[test]
    fn references_that_double_are_refused_and_named() {
        for keyword in ["allOf", "anyOf", "oneOf"] {
            let schema = |count| chain(count, |next| json!({keyword: [next, next]}));
            assert_eq!(found(&schema(10)), None);
            assert_eq!(found(&schema(40)), Some(Excess::Ways));
        }
        let both = chain(40, |next| json!({"if": next, "else": next}));
        assert_eq!(
            excess(&both, &[]),
            Some(("/$defs/n25".to_owned(), Excess::Ways))
        );
    }

    #[test]
    fn a_long_chain_is_refused_without_a_stack_overflow() {
        let schema = |count| chain(count, |next| next);
        assert_eq!(found(&schema(60)), None);
        assert_eq!(found(&schema(100_000)), Some(Excess::Depth));
    }

    #[test]
    fn what_applies_to_members_and_elements_is_another_value() {
        let schema = chain(
            1000,
            |next| json!({"properties": {"a": next, "b": next}, "items": next, "additionalProperties": next}),
        );
        assert_eq!(found(&schema), None);
    }

    #[test]
    fn circles_are_cut() {
        let expression = json!({"$defs": {
            "not": {"properties": {"args": {"items": {"$ref": "#/$defs/expression"}}}},
            "expression": {"anyOf": [{"$ref": "#/$defs/not"}, {"$ref": "#/$defs/expression"}, {"$ref": "#"}]}
        }, "oneOf": [{"$ref": "#/$defs/expression"}]});
        assert_eq!(found(&expression), None);
    }

    #[test]
    fn references_by_address_and_anchor_count_too() {
        let twice = |reference: &str| json!({"allOf": [{"$ref": reference}, {"$ref": reference}]});
        let mut schemas = Map::new();
        for number in 0..40 {
            let mut schema = match number % 3 {
                0 => twice(&format!("#n{}", number + 1)),
                1 => twice(&format!("https://example.com/n{}", number + 1)),
                _ => twice(&format!("other.json#/$defs/n{}", number + 1)),
            };
            match number % 3 {
                1 => schema["$anchor"] = json!(format!("n{number}")),
                2 => schema["$id"] = json!(format!("https://example.com/n{number}")),
                _ => {}
            }
            schemas.insert(format!("n{number}"), schema);
        }
        let other = json!({"$defs": schemas});
        let document = json!({"$ref": "other.json#/$defs/n0"});
        let others = [("other.json".to_owned(), other)];
        assert_eq!(
            excess(&document, &others),
            Some((String::new(), Excess::Ways))
        );
    }
}
