//! A schema as the registry keeps it: checked, and in the form by which it is found again.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The languages that a registry knows. JSON Schemas are checked; of the others, Avro must be JSON
/// text and Protobuf is taken as it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Language {
    /// What a request without `schemaType` means.
    #[default]
    Avro,
    /// JSON Schema.
    Json,
    /// Protocol Buffers.
    Protobuf,
}

/// A schema that another one refers to by `name`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reference {
    /// What the schema's text calls it.
    pub(crate) name: String,
    /// Where it is registered.
    pub(crate) subject: String,
    /// Its version there.
    pub(crate) version: usize,
}

/// A checked schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schema {
    pub(crate) language: Language,
    /// The text without insignificant space and, if it was normalised, with sorted names.
    pub(crate) text: String,
    pub(crate) references: Vec<Reference>,
}

impl Schema {
    /// Checks `text` and brings it into canonical form.
    ///
    /// # Errors
    ///
    /// Why it isn't a schema.
    pub(crate) fn new(
        language: Language,
        text: &str,
        references: Vec<Reference>,
        normalize: bool,
    ) -> Result<Self, String> {
        let text = match language {
            Language::Protobuf => text.to_owned(),
            Language::Avro | Language::Json => {
                let value: Value =
                    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
                if language == Language::Json {
                    jsonschema::meta::options()
                        .validate(&value)
                        .map_err(|error| {
                            format!("not a JSON Schema: {}: {error}", error.instance_path())
                        })?;
                }
                if normalize {
                    sorted(&value)
                } else {
                    without_space(text)
                }
            }
        };
        Ok(Self {
            language,
            text,
            references,
        })
    }

    /// A name for the schema's content, in the form of a UUID: the 128-bit FNV-1a hash of it.
    pub(crate) fn guid(&self) -> String {
        let content = serde_json::json!([self.language, self.text, self.references]).to_string();
        let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
        for byte in content.bytes() {
            hash = (hash ^ u128::from(byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b);
        }
        let digits = format!("{hash:032x}");
        [
            &digits[..8],
            &digits[8..12],
            &digits[12..16],
            &digits[16..20],
            &digits[20..],
        ]
        .join("-")
    }
}

/// JSON text without the space between its tokens; everything else stays as it is.
fn without_space(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    json.chars()
        .filter(|&character| {
            let keep = in_string || !matches!(character, ' ' | '\t' | '\n' | '\r');
            match character {
                '"' if !escaped => in_string = !in_string,
                '\\' if in_string && !escaped => {
                    escaped = true;
                    return keep;
                }
                _ => {}
            }
            escaped = false;
            keep
        })
        .collect()
}

/// JSON text with each object's names in order.
fn sorted(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|&(name, _)| name);
            let mut text = String::from("{");
            for (index, (name, value)) in members.into_iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                let name = Value::from(name.as_str());
                // Writing to a string can't fail.
                let _ = write!(text, "{comma}{name}:{}", sorted(value));
            }
            text.push('}');
            text
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(sorted).collect();
            format!("[{}]", items.join(","))
        }
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str, normalize: bool) -> Result<Schema, String> {
        Schema::new(Language::Json, text, Vec::new(), normalize)
    }

    #[test]
    fn space_between_tokens_is_dropped_and_nothing_else() {
        let text = "{ \"title\" : \"a \\\" b\\\\\" ,\n\t\"const\": 1.10, \"enum\": [ \" \" ] }";
        let kept = json(text, false).unwrap().text;
        assert_eq!(kept, r#"{"title":"a \" b\\","const":1.10,"enum":[" "]}"#);
    }

    #[test]
    fn normalising_sorts_the_names_at_every_depth() {
        let text = r#"{"type":"object","properties":{"b":{"type":"string"},"a":{}},"allOf":[{"title":"t","if":true}]}"#;
        let sorted = json(text, true).unwrap().text;
        assert_eq!(
            sorted,
            r#"{"allOf":[{"if":true,"title":"t"}],"properties":{"a":{},"b":{"type":"string"}},"type":"object"}"#
        );
    }

    #[test]
    fn what_is_not_a_schema_is_told_why() {
        assert!(json("{", false).unwrap_err().contains("not JSON"));
        assert!(
            json(r#"{"type":"number of things"}"#, false)
                .unwrap_err()
                .contains("/type")
        );
        assert!(json("[]", false).is_err());
        assert!(json(r#"{"$schema":"http://127.0.0.1:1/none"}"#, false).is_err());
        assert!(Schema::new(Language::Avro, "not", Vec::new(), false).is_err());
    }

    #[test]
    fn the_guid_tells_contents_apart() {
        let one = json("true", false).unwrap();
        let other = Schema {
            text: "false".into(),
            ..one.clone()
        };
        assert_eq!(one.guid(), one.clone().guid());
        assert_ne!(one.guid(), other.guid());
        assert_eq!(one.guid().len(), 36);
    }
}
