//! Which members of a flat object a schema would rather have of another type, by the errors that it gives: what CSV
//! needs, whose cells have no types of their own.

use std::collections::BTreeSet;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;
use tapline_pipe::json::pointer;

/// So many ways to mend a record are looked at; a schema with `oneOf` in `oneOf` could have any number.
const MAX_WAYS: usize = 32;

/// Names of members.
pub type Names = BTreeSet<String>;

/// What of an object's types a schema objects to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mistyped {
    /// Members that are wrong in any case.
    pub certain: Names,
    /// Sets of members of which one could be the one to change: `certain`, with what one branch of each `oneOf` and
    /// `anyOf` objects to. The smallest first.
    pub ways: Vec<Names>,
    /// Those of `certain` that would be wrong in any record, whatever their values are: the schema never allows them
    /// this type.
    pub always: Names,
    /// There is an error that names no member, such as `not` at the top.
    pub opaque: bool,
}

impl Mistyped {
    /// By the errors of one record.
    pub(crate) fn of<'a>(errors: impl Iterator<Item = ValidationError<'a>>) -> Self {
        let mut mistyped = Self {
            ways: vec![Names::new()],
            ..Self::default()
        };
        for error in errors {
            mistyped.add(&error);
        }
        mistyped.ways.sort_by_key(BTreeSet::len);
        mistyped.ways.dedup();
        mistyped
    }

    fn add(&mut self, error: &ValidationError) {
        match ways(error) {
            Ways::Names(names) => {
                if is_unconditional(error) {
                    self.always.extend(names.iter().cloned());
                }
                for way in &mut self.ways {
                    way.extend(names.iter().cloned());
                }
                self.certain.extend(names);
            }
            Ways::Branches(branches) => self.cross(&branches),
            Ways::Opaque => self.opaque = true,
            Ways::None => {}
        }
    }

    /// Each way so far with each of these.
    fn cross(&mut self, branches: &[Names]) {
        if branches.is_empty() {
            return;
        }
        let crossed: BTreeSet<Names> = self
            .ways
            .iter()
            .flat_map(|way| {
                let with = |branch: &Names| way.union(branch).cloned().collect();
                branches.iter().map(with)
            })
            .collect();
        self.ways = crossed.into_iter().take(MAX_WAYS).collect();
    }
}

/// How an error could go away.
enum Ways {
    /// If these members had other types.
    Names(Names),
    /// If those of one of these sets had.
    Branches(Vec<Names>),
    /// Perhaps if some member had another type.
    Opaque,
    /// Not by a type.
    None,
}

fn ways(error: &ValidationError) -> Ways {
    let path = pointer::tokens(error.instance_path().as_str()).unwrap_or_default();
    let member = match path.as_slice() {
        [] => None,
        [name] => Some(Names::from([name.clone()])),
        // A cell holds neither an object nor an array.
        _ => return Ways::None,
    };
    match error.kind() {
        ValidationErrorKind::Type { .. }
        | ValidationErrorKind::Enum { .. }
        | ValidationErrorKind::Constant { .. }
        | ValidationErrorKind::FalseSchema
        | ValidationErrorKind::Not { .. }
        | ValidationErrorKind::OneOfMultipleValid { .. } => {
            member.map_or(Ways::Opaque, Ways::Names)
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected }
            if member.is_none() =>
        {
            Ways::Names(unexpected.iter().cloned().collect())
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            Ways::Branches(
                context
                    .iter()
                    .flat_map(|branch| of_branch(branch))
                    .collect(),
            )
        }
        _ => Ways::None,
    }
}

/// How all errors of a branch could go away together; nothing if one of them can't.
fn of_branch(errors: &[ValidationError]) -> Vec<Names> {
    let mut ways_so_far = Mistyped {
        ways: vec![Names::new()],
        ..Mistyped::default()
    };
    for error in errors {
        match ways(error) {
            Ways::None | Ways::Opaque => return Vec::new(),
            Ways::Branches(branches) if branches.is_empty() => return Vec::new(),
            _ => ways_so_far.add(error),
        }
    }
    ways_so_far.ways
}

/// Whether any value of this type, in any record, is wrong at this member.
fn is_unconditional(error: &ValidationError) -> bool {
    let any_value = match error.kind() {
        // 74.5 is no integer, but 74 is one.
        ValidationErrorKind::Type { kind } if error.instance().is_number() => match kind {
            TypeKind::Single(allowed) => *allowed != JsonType::Integer,
            TypeKind::Multiple(allowed) => !allowed.contains(JsonType::Integer),
        },
        ValidationErrorKind::Type { .. } | ValidationErrorKind::FalseSchema => true,
        ValidationErrorKind::Constant { expected_value } => !same_type(error, expected_value),
        ValidationErrorKind::Enum { options } => {
            let mut options = options.as_array().into_iter().flatten();
            !options.any(|option| same_type(error, option))
        }
        _ => false,
    };
    any_value && leads_always(error.evaluation_path().as_str())
}

fn same_type(error: &ValidationError, value: &Value) -> bool {
    std::mem::discriminant(error.instance().as_ref()) == std::mem::discriminant(value)
}

/// Whether what stands at this place of a schema holds for the member whatever the rest of the record is.
fn leads_always(evaluation_path: &str) -> bool {
    let path = pointer::tokens(evaluation_path).unwrap_or_default();
    let mut keywords = path.iter().map(String::as_str);
    while let Some(keyword) = keywords.next() {
        match keyword {
            // A name, a pattern, an index follow.
            "properties" | "patternProperties" | "allOf" => {
                keywords.next();
            }
            "additionalProperties" | "$ref" | "type" | "const" | "enum" => {}
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn mistyped(schema: &Value, record: &Value) -> Mistyped {
        let validator = jsonschema::validator_for(schema).unwrap();
        Mistyped::of(validator.iter_errors(record))
    }

    fn names(names: &[&str]) -> Names {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_member_of_the_wrong_type_is_named_wherever_the_schema_says_so() {
        let string = json!({"type": "string"});
        for schema in [
            json!({"properties": {"a/b": string}}),
            json!({"additionalProperties": string}),
            json!({"patternProperties": {"^a": string}}),
            json!({"unevaluatedProperties": string}),
            json!({"properties": {"a/b": {"$ref": "#/$defs/s", "minLength": 1}}, "$defs": {"s": string}}),
            json!({"properties": {"a/b": {"enum": ["42"]}}}),
            json!({"properties": {"a/b": {"const": "42"}}}),
            json!({"properties": {"a/b": {"not": {"type": "number"}}}}),
            json!({"if": {"required": ["a/b"]}, "then": {"properties": {"a/b": string}}}),
            json!({"dependentSchemas": {"n": {"properties": {"a/b": string}}}}),
            json!({"allOf": [{"properties": {"a/b": string}}]}),
        ] {
            let found = mistyped(&schema, &json!({"a/b": 42, "n": 1}));
            assert!(found.certain.contains("a/b"), "{schema} {found:?}");
        }
    }

    #[test]
    fn what_is_wrong_but_its_type_is_not_named() {
        let schema = json!({"properties": {"a": {"maximum": 7}}, "required": ["b"]});
        let found = mistyped(&schema, &json!({"a": 42}));
        assert_eq!((found.certain, found.ways), (names(&[]), vec![names(&[])]));
    }

    #[test]
    fn each_branch_is_a_way_by_itself_unless_it_has_other_errors() {
        let branch = |kind: &str, a: &str, b: &str| json!({"properties": {"k": {"const": kind}, "a": {"type": a}, "b": {"type": b}}});
        let too_large = json!({"properties": {"a": {"maximum": 7}, "b": {"type": "string"}}});
        let schema = json!({"oneOf": [
            branch("x", "string", "string"),
            branch("y", "string", "number"),
            too_large,
        ]});
        let found = mistyped(&schema, &json!({"a": 42, "b": 42, "k": "y"}));
        assert_eq!(found.ways, [names(&["a"]), names(&["a", "b", "k"])]);
        assert_eq!(found.certain, names(&[]));
    }

    #[test]
    fn ways_multiply_up_to_a_bound() {
        let two = json!({"anyOf": [{"properties": {"a": {"type": "string"}}}, {"properties": {"b": {"type": "string"}}}]});
        let schema = json!({"allOf": vec![two; 40]});
        let found = mistyped(&schema, &json!({"a": 1, "b": 2}));
        assert!(
            !found.ways.is_empty() && found.ways.len() <= MAX_WAYS,
            "{found:?}"
        );
    }

    #[test]
    fn what_no_record_can_have_is_told_from_what_this_one_can_not() {
        let string = json!({"type": "string"});
        for (schema, always) in [
            (json!({"properties": {"then": string}}), true),
            (json!({"additionalProperties": string}), true),
            (
                json!({"allOf": [{"patternProperties": {"^t": string}}]}),
                true,
            ),
            (
                json!({"$ref": "#/$defs/r", "$defs": {"r": {"properties": {"then": string}}}}),
                true,
            ),
            (
                json!({"properties": {"then": {"enum": ["42", null]}}}),
                true,
            ),
            (json!({"properties": {"then": {"enum": [41, "42"]}}}), false),
            (json!({"properties": {"then": {"const": 41}}}), false),
            (json!({"properties": {"then": {"type": "integer"}}}), false),
            (
                json!({"properties": {"then": {"type": ["integer", "null"]}}}),
                false,
            ),
            (
                json!({"then": {"properties": {"then": string}}, "if": {}}),
                false,
            ),
            (
                json!({"dependentSchemas": {"then": {"properties": {"then": string}}}}),
                false,
            ),
            (json!({"unevaluatedProperties": string}), false),
        ] {
            let found = mistyped(&schema, &json!({"then": 42.5}));
            assert!(found.certain.contains("then"), "{schema}");
            assert_eq!(found.always.contains("then"), always, "{schema}");
        }
    }

    #[test]
    fn an_error_that_names_nothing_is_told() {
        let schema = json!({"not": {"properties": {"a": {"type": "number"}}}});
        assert!(mistyped(&schema, &json!({"a": 1})).opaque);
    }
}
