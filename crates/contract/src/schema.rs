//! Loads a JSON Schema from a file or text, and says precisely why it can't be one.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use jsonschema::{ReferencingError, Retrieve, Uri, ValidationError};
use serde_json::Value;

use crate::excerpt::excerpt;
use crate::tape::TapeJson;
use crate::validator::{NotJson, Validator};

/// The largest schema file that is read, in bytes.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// A JSON Schema of draft 4, 6, 7, 2019-09 or 2020-12, checked against its meta-schema and
/// compiled.
///
/// The draft is the one that `$schema` names, else 2020-12. Formats (`"format": "date-time"`) are
/// checked up to draft 7 and are remarks from 2019-09 on, as the standard has it. References stay
/// within the schema: nothing is fetched from files or addresses.
#[derive(Debug, Clone)]
pub struct Schema {
    source: String,
    text: String,
    document: Value,
    fast: Arc<jsonschema::Validator<TapeJson>>,
    full: Arc<jsonschema::Validator>,
}

/// Why a schema can't be used. Each message names the schema and the place in it.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The file can't be read.
    #[error("{path}: {error}")]
    Read {
        /// The file's name.
        path: String,
        /// What the system says.
        error: io::Error,
    },
    /// The text isn't JSON.
    #[error("{schema}:{}: not JSON: {}", .error.line, .error.message)]
    NotJson {
        /// Where the schema came from.
        schema: String,
        /// What is wrong and where.
        error: NotJson,
    },
    /// It is JSON, but no JSON Schema.
    #[error("{schema}: not a JSON Schema: {}{reason}", place(.pointer))]
    NotASchema {
        /// Where the schema came from.
        schema: String,
        /// JSON Pointer to what is wrong; empty for the whole.
        pointer: String,
        /// What is wrong.
        reason: String,
    },
    /// It refers to something that is not in it.
    #[error("{schema}: {}$ref {reference:?}: {reason}", place(.pointer))]
    Reference {
        /// Where the schema came from.
        schema: String,
        /// JSON Pointer to the `$ref`'s schema, where it could be found.
        pointer: String,
        /// The reference as it is written, where it could be found, else as it was resolved.
        reference: String,
        /// Why it leads nowhere.
        reason: String,
    },
}

/// `at /a/b: `, or nothing for the whole.
fn place(pointer: &str) -> String {
    if pointer.is_empty() {
        String::new()
    } else {
        format!("at {}: ", excerpt(pointer, 200))
    }
}

impl Schema {
    /// Loads a schema from a file of at most 64 MiB.
    ///
    /// # Errors
    /// When the file can't be read or isn't a JSON Schema. A JSON object without a single keyword
    /// of JSON Schema is refused: by the standard it would accept everything, in practice a record
    /// was given in place of its schema.
    pub fn from_file(path: &Path) -> Result<Schema, SchemaError> {
        let name = path.display().to_string();
        let read = || -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            File::open(path)?
                .take(MAX_BYTES + 1)
                .read_to_end(&mut bytes)?;
            if bytes.len() as u64 > MAX_BYTES {
                return Err(io::Error::other("over 64 MiB, too large for a schema"));
            }
            Ok(bytes)
        };
        let bytes = read().map_err(|error| SchemaError::Read {
            path: name.clone(),
            error,
        })?;
        let text = String::from_utf8(bytes).map_err(|error| SchemaError::NotJson {
            schema: name.clone(),
            error: NotJson::of(error.as_bytes()),
        })?;
        let schema = Schema::from_text(name, text)?;
        if let Value::Object(members) = &schema.document
            && !members.is_empty()
            && !members.keys().any(|name| is_keyword(name))
        {
            let mut reason = "it has none of JSON Schema's keywords".to_owned();
            if let Some(name) = members.keys().next() {
                let _ = write!(reason, " (but {:?}); is it a record?", excerpt(name, 40));
            }
            return Err(SchemaError::NotASchema {
                schema: schema.source,
                pointer: String::new(),
                reason,
            });
        }
        Ok(schema)
    }

    /// Loads a schema from its text; `source` names it in messages (a path, a subject and version).
    ///
    /// # Errors
    /// When the text isn't a JSON Schema.
    pub fn from_text(
        source: impl Into<String>,
        text: impl Into<String>,
    ) -> Result<Schema, SchemaError> {
        let (source, text) = (source.into(), text.into());
        let document: Value = match serde_json::from_str(&text) {
            Ok(document) => document,
            Err(_) => {
                return Err(SchemaError::NotJson {
                    schema: source,
                    error: NotJson::of(text.as_bytes()),
                });
            }
        };
        let full = jsonschema::options()
            .with_retriever(Nothing)
            .build(&document);
        let full = full.map_err(|error| refusal(&source, &document, &error))?;
        let fast = jsonschema::options_for::<TapeJson>()
            .with_retriever(Nothing)
            .build(&document);
        let fast = fast.map_err(|error| refusal(&source, &document, &error))?;
        Ok(Schema {
            source,
            text,
            document,
            fast: Arc::new(fast),
            full: Arc::new(full),
        })
    }

    /// Where it came from, for messages.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Its text, byte for byte as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its text, parsed.
    #[must_use]
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// Its `title`, which names the record in the record and topic-record subject strategies.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.document.get("title")?.as_str()
    }

    /// A validator of records. Each thread needs its own; they share the compiled schema.
    #[must_use]
    pub fn validator(&self) -> Validator {
        Validator::new(Arc::clone(&self.fast), Arc::clone(&self.full))
    }
}

/// Answers every reference that leads out of the schema.
struct Nothing;

impl Retrieve for Nothing {
    fn retrieve(&self, _: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Err("not in the schema".into())
    }
}

/// Says why `document` was refused.
fn refusal(schema: &str, document: &Value, error: &ValidationError) -> SchemaError {
    use jsonschema::error::ValidationErrorKind;
    let schema = schema.to_owned();
    let ValidationErrorKind::Referencing(reason) = error.kind() else {
        return SchemaError::NotASchema {
            schema,
            pointer: error.instance_path().as_str().to_owned(),
            reason: crate::validator::message(error, &excerpt(&error.instance(), 80)),
        };
    };
    let (target, why) = match reason {
        ReferencingError::Unretrievable { uri, .. } => (
            uri.as_str(),
            "it is not in the schema, and nothing is fetched from files or addresses; \
             put it under $defs (or definitions)",
        ),
        ReferencingError::PointerToNowhere { pointer }
        | ReferencingError::InvalidPercentEncoding { pointer, .. }
        | ReferencingError::InvalidArrayIndex { pointer, .. } => {
            (pointer.as_str(), "nothing is there")
        }
        ReferencingError::NoSuchAnchor { anchor } | ReferencingError::InvalidAnchor { anchor } => {
            (anchor.as_str(), "there is no such anchor")
        }
        ReferencingError::UnknownSpecification { specification } => {
            return SchemaError::NotASchema {
                schema,
                pointer: "/$schema".to_owned(),
                reason: format!(
                    "{specification:?} is not a draft that is known here (4, 6, 7, 2019-09, 2020-12)"
                ),
            };
        }
        other => {
            return SchemaError::NotASchema {
                schema,
                pointer: String::new(),
                reason: excerpt(other, 200),
            };
        }
    };
    let (pointer, reference) =
        find_reference(document, target).unwrap_or_else(|| (String::new(), target.to_owned()));
    SchemaError::Reference {
        schema,
        pointer,
        reference,
        reason: why.to_owned(),
    }
}

/// The first `$ref` that reads like `target`, which the library may have resolved against the
/// schema's own address: where it is and how it is written.
fn find_reference(document: &Value, target: &str) -> Option<(String, String)> {
    let target = target.trim_end_matches('#');
    let mut left = vec![(String::new(), document)];
    while let Some((pointer, value)) = left.pop() {
        match value {
            Value::Object(members) => {
                let reference = ["$ref", "$dynamicRef", "$recursiveRef"]
                    .iter()
                    .find_map(|keyword| members.get(*keyword)?.as_str());
                if let Some(reference) = reference {
                    let address = reference.split('#').next().unwrap_or_default();
                    let fragment = reference.split('#').nth(1).unwrap_or_default();
                    if (!address.is_empty() && target.ends_with(address))
                        || (!fragment.is_empty() && target.ends_with(fragment))
                    {
                        return Some((pointer, reference.to_owned()));
                    }
                }
                // Reversed, for the stack gives them back in order.
                left.extend(members.iter().rev().map(|(name, member)| {
                    let name = name.replace('~', "~0").replace('/', "~1");
                    (format!("{pointer}/{name}"), member)
                }));
            }
            Value::Array(elements) => left.extend(
                elements
                    .iter()
                    .enumerate()
                    .rev()
                    .map(|(index, element)| (format!("{pointer}/{index}"), element)),
            ),
            _ => {}
        }
    }
    None
}

/// Whether any draft gives the name a meaning at the top of a schema.
fn is_keyword(name: &str) -> bool {
    const KEYWORDS: &[&str] = &[
        "additionalItems",
        "additionalProperties",
        "allOf",
        "anyOf",
        "const",
        "contains",
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
        "default",
        "definitions",
        "dependencies",
        "dependentRequired",
        "dependentSchemas",
        "deprecated",
        "description",
        "else",
        "enum",
        "examples",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "id",
        "if",
        "items",
        "maxContains",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minContains",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
        "not",
        "oneOf",
        "pattern",
        "patternProperties",
        "prefixItems",
        "properties",
        "propertyNames",
        "readOnly",
        "required",
        "then",
        "title",
        "type",
        "unevaluatedItems",
        "unevaluatedProperties",
        "uniqueItems",
        "writeOnly",
    ];
    name.starts_with('$') || KEYWORDS.contains(&name)
}
