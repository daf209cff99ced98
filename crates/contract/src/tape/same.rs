//! Whether values on a tape are the same, as JSON Schema has it (`uniqueItems`): `1` and `1.0` are, and so are objects
//! whose members differ in their order only.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};

use jsonschema::JsonType;
use jsonschema::json::{Array, Json, JsonNumber, Node, Object, cmp};

use crate::budget;

/// Up to so many elements are compared each with each.
const FEW: usize = 16;

/// Whether no two of these elements are the same.
pub(super) fn is_unique<'a, F: Json, N: Node<'a, F>>(elements: impl Iterator<Item = N>) -> bool {
    let mut hashed: Vec<(u64, N)> = elements.map(|element| (0, element)).collect();
    if hashed.len() > FEW {
        for (hash, element) in &mut hashed {
            let mut state = DefaultHasher::new();
            add(element, &mut state);
            *hash = state.finish();
        }
        hashed.sort_unstable_by_key(|(hash, _)| *hash);
    }
    hashed.chunk_by(|one, other| one.0 == other.0).all(|alike| {
        (0..alike.len()).all(|at| (0..at).all(|before| !same(&alike[at].1, &alike[before].1)))
    })
}

fn same<'a, F: Json, N: Node<'a, F>>(one: &N, other: &N) -> bool {
    let kind = one.json_type();
    if kind != other.json_type() {
        return false;
    }
    match kind {
        JsonType::Array => match (one.as_array(), other.as_array()) {
            (Some(one), Some(other)) => {
                one.len() == other.len()
                    && one
                        .elements()
                        .zip(other.elements())
                        .all(|(one, other)| same(&one, &other))
            }
            _ => false,
        },
        JsonType::Object => match (one.as_object(), other.as_object()) {
            (Some(one), Some(other)) => {
                one.len() == other.len() && {
                    let (one, other) = (sorted::<F, N>(&one), sorted::<F, N>(&other));
                    one.iter()
                        .zip(&other)
                        .all(|(one, other)| one.0 == other.0 && same(&one.1, &other.1))
                }
            }
            _ => false,
        },
        JsonType::String => one.as_string() == other.as_string(),
        JsonType::Boolean => one.as_boolean() == other.as_boolean(),
        JsonType::Null => true,
        JsonType::Number | JsonType::Integer => match (one.as_number(), other.as_number()) {
            (Some(one), Some(other)) => cmp::equal_numbers(&one, &other.to_number()),
            _ => false,
        },
    }
}

/// The members of an object by their names, each of which is there once.
fn sorted<'a, F: Json, N: Node<'a, F>>(object: &N::Object) -> Vec<(Cow<'a, str>, N)> {
    budget::charge(object.len() as u64 * 4);
    let members = object.members();
    let mut members: Vec<_> = members
        .map(|(name, member)| (name.into(), member))
        .collect();
    members.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    members
}

/// Adds a value to a hash: what is the same adds the same.
fn add<'a, F: Json, N: Node<'a, F>>(value: &N, hash: &mut DefaultHasher) {
    if let Some(array) = value.as_array() {
        (0_u8, array.len()).hash(hash);
        for element in array.elements() {
            add(&element, hash);
        }
    } else if let Some(object) = value.as_object() {
        (1_u8, object.len()).hash(hash);
        // Whatever their order is.
        let sum = object.members().fold(0_u64, |sum, (name, member)| {
            let mut hasher = DefaultHasher::new();
            name.as_ref().hash(&mut hasher);
            add(&member, &mut hasher);
            sum.wrapping_add(hasher.finish())
        });
        hash.write_u64(sum);
    } else if let Some(number) = value.as_number() {
        if let Some(whole) = number.as_u64() {
            (2_u8, i128::from(whole)).hash(hash);
        } else if let Some(whole) = number.as_i64() {
            (2_u8, i128::from(whole)).hash(hash);
        } else if let Some(number) = number.as_f64() {
            add_float(number, hash);
        }
    } else {
        (
            value.json_type() as u8,
            value.as_string(),
            value.as_boolean(),
        )
            .hash(hash);
    }
}

/// As the integer that it is the same as, if it is one.
fn add_float(number: f64, hash: &mut DefaultHasher) {
    // 2⁶⁴: above it there is no entry of an integer.
    const END: f64 = 18_446_744_073_709_551_616.0;
    if number.fract() == 0.0 && number.abs() < END {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and below 2⁶⁴")]
        let whole = number as i128;
        (2_u8, whole).hash(hash);
    } else {
        (3_u8, number.to_bits()).hash(hash);
    }
}

#[cfg(test)]
mod tests {
    use jsonschema::json::{Array, Node as _};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use crate::tape::Tape;

    fn unique(text: &str) -> bool {
        let mut tape = Tape::default();
        let document = tape.fill(text.as_bytes()).unwrap();
        document.root().as_array().unwrap().is_unique()
    }

    #[test]
    fn numbers_and_orders_are_looked_through() {
        for (one, other, same) in [
            ("1", "1.0", true),
            ("0", "-0.0", true),
            ("18446744073709551615", "18446744073709551616", false),
            ("9223372036854775808", "9.223372036854775808e18", true),
            ("\"z\"", "\"\\u007a\"", true),
            ("{\"a\":1,\"b\":[2]}", "{\"b\":[2.0],\"a\":1}", true),
            ("{\"a\":1}", "{\"a\":1,\"b\":2}", false),
            ("[1,2]", "[2,1]", false),
            ("null", "false", false),
        ] {
            // Few are compared each with each, many by their hashes.
            let many = r#""a","b","c","d","e","f","g","h","i","j","k","l","m","n","o","p","q","#;
            assert_eq!(unique(&format!("[{one},{other}]")), !same, "{one} {other}");
            assert_eq!(
                unique(&format!("[{many}{one},{other}]")),
                !same,
                "{one} {other}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_unique_is_so_to_the_library_too(
            values in prop::collection::vec(
                prop_oneof![
                    (-3..3_i64).prop_map(Value::from),
                    (-3..3_i64).prop_map(|number| json!(f64::from(i32::try_from(number).unwrap()) / 2.0)),
                    "[ab]{0,2}".prop_map(Value::from),
                    prop::collection::vec(0..3_u8, 0..3).prop_map(|list| json!(list)),
                    prop::collection::btree_map("[ab]", 0..2_u8, 0..2).prop_map(|map| json!(map)),
                ],
                0..40,
            )
        ) {
            let expected = jsonschema::json::unique::is_unique(&values);
            prop_assert_eq!(unique(&Value::Array(values).to_string()), expected);
        }
    }
}
