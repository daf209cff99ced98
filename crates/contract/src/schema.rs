//! Loads a JSON Schema from a file or text, and says precisely why it can't be one.

pub(crate) mod lean;
mod reach;
mod references;

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use jsonschema::{PatternOptions, ReferencingError, Retrieve, ValidationError, ValidationOptions};
use serde_json::Value;
use tapline_pipe::json::{self, JsonError, Wrong};

use self::references::{Others, find_reference};

use crate::compiled::Compiled;
use crate::excerpt::excerpt;
use crate::tape::{TapeJson, read_value};
use crate::validator::Validator;

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
    compiled: Arc<Compiled>,
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
    #[error("{schema}:{}: not JSON: {}", .error.line, .error.wrong)]
    NotJson {
        /// Where the schema came from.
        schema: String,
        /// What is wrong and where.
        error: JsonError,
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
    /// Records could not be checked against it in any time.
    #[error("{schema}: {}{reason}", place(.pointer))]
    Unbounded {
        /// Where the schema came from.
        schema: String,
        /// JSON Pointer to the innermost part that has too much; empty for the whole, and in a referred schema.
        pointer: String,
        /// What it has too much of.
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
    /// Loads a schema from a file of at most 64 MiB. `references` are the schemas that it refers to, each by the
    /// name that its `$ref` has and its text.
    ///
    /// # Errors
    /// When the file can't be read or isn't a JSON Schema. A JSON object without a single keyword
    /// of JSON Schema is refused: by the standard it would accept everything, in practice a record
    /// was given in place of its schema.
    pub fn from_file(path: &Path, references: &[(String, String)]) -> Result<Schema, SchemaError> {
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
            error: JsonError::at(
                error.as_bytes(),
                error.utf8_error().valid_up_to(),
                Wrong::Utf8,
            ),
        })?;
        let schema = Schema::from_text(name, text, references)?;
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

    /// Loads a schema from its text; `source` names it in messages (a path, a subject and version), and
    /// `references` are as for [`Schema::from_file`].
    ///
    /// # Errors
    /// When a text isn't a JSON Schema.
    pub fn from_text(
        source: impl Into<String>,
        text: impl Into<String>,
        references: &[(String, String)],
    ) -> Result<Schema, SchemaError> {
        let (source, text) = (source.into(), text.into());
        let others = Others::read(&source, references)?;
        let document = match read_value(text.as_bytes()) {
            Ok(document) => document,
            Err(error) => {
                return Err(SchemaError::NotJson {
                    schema: source,
                    error,
                });
            }
        };
        if let Some((pointer, excess)) = reach::excess(&document, others.list()) {
            return Err(SchemaError::Unbounded {
                schema: source,
                pointer,
                reason: excess.to_string(),
            });
        }
        let compiled = options(&others).build(&document);
        let full = compiled.map_err(|error| refusal(&source, &document, &error))?;
        let origin = document.clone();
        let lean = move || {
            let lean = lean::lean(&origin)?;
            let validator = options(&others).build(&lean).ok()?;
            Some((lean, validator))
        };
        let compiled = Arc::new(Compiled::new(&document, full, lean));
        Ok(Schema {
            source,
            text,
            document,
            compiled,
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
        Validator::new(Arc::clone(&self.compiled))
    }
}

/// How far a pattern that needs backtracking (it looks ahead or behind) may go back, for one string.
const MAX_BACKTRACKING: usize = 100_000;

/// How schemas are compiled.
fn options(others: &Others) -> ValidationOptions<'static, Arc<dyn Retrieve>, TapeJson> {
    jsonschema::options_for::<TapeJson>()
        .with_retriever(others.clone())
        .with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(MAX_BACKTRACKING))
        // Read without building its value.
        .with_content_media_type("application/json", |text| {
            json::check(text.as_bytes()).is_ok()
        })
}

/// Says why `document` was refused.
fn refusal(schema: &str, document: &Value, error: &ValidationError) -> SchemaError {
    use jsonschema::error::ValidationErrorKind;
    let schema = schema.to_owned();
    let ValidationErrorKind::Referencing(reason) = error.kind() else {
        return SchemaError::NotASchema {
            schema,
            pointer: error.instance_path().as_str().to_owned(),
            reason: crate::validator::message(error, &excerpt(error.instance(), 80)),
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn refused(text: &str) -> String {
        Schema::from_text("s.json", text, &[])
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn every_draft_is_known() {
        for draft in [
            "http://json-schema.org/draft-04/schema#",
            "http://json-schema.org/draft-06/schema#",
            "http://json-schema.org/draft-07/schema#",
            "https://json-schema.org/draft/2019-09/schema",
            "https://json-schema.org/draft/2020-12/schema",
        ] {
            let text = format!(r#"{{"$schema": "{draft}", "type": "integer", "title": "T"}}"#);
            let schema = Schema::from_text("s.json", text.as_str(), &[]).unwrap();
            assert_eq!((schema.title(), schema.text()), (Some("T"), text.as_str()));
            assert!(schema.validator().check(b"1").is_ok());
            assert!(schema.validator().check(b"\"1\"").is_err());
        }
    }

    #[test]
    fn true_and_false_and_nothing_are_schemas() {
        assert!(
            Schema::from_text("s", "true", &[])
                .unwrap()
                .validator()
                .check(b"1")
                .is_ok()
        );
        assert!(
            Schema::from_text("s", "false", &[])
                .unwrap()
                .validator()
                .check(b"1")
                .is_err()
        );
        assert!(
            Schema::from_text("s", "{}", &[])
                .unwrap()
                .validator()
                .check(b"1")
                .is_ok()
        );
    }

    #[test]
    fn what_is_no_schema_is_told_with_its_place() {
        for (text, message) in [
            (r#"{"type": "#, "s.json:1: not JSON: unexpected end"),
            ("", "s.json:1: not JSON: empty"),
            (
                "{\n  type: 1\n}",
                "s.json:2: not JSON: expected a member name in double quotes",
            ),
            (
                "42",
                r#"s.json: not a JSON Schema: 42 is not of types "boolean", "object""#,
            ),
            (
                r#"{"properties": {"a": {"type": "int"}}}"#,
                r#"s.json: not a JSON Schema: at /properties/a/type: "int" is not valid under any of the schemas listed in the 'anyOf' keyword"#,
            ),
            (
                r#"{"required": "a"}"#,
                r#"s.json: not a JSON Schema: at /required: "a" is not of type "array""#,
            ),
            (
                r#"{"pattern": "("}"#,
                r#"s.json: not a JSON Schema: at /pattern: "(" is not a "regex""#,
            ),
            (
                r#"{"$schema": "https://example.com/mine"}"#,
                r#"s.json: not a JSON Schema: at /$schema: "https://example.com/mine" is not a draft that is known here (4, 6, 7, 2019-09, 2020-12)"#,
            ),
        ] {
            assert_eq!(refused(text), message, "{text}");
        }
    }

    #[test]
    fn a_reference_that_leads_nowhere_is_named() {
        let outside = "it is not in the schema, and nothing is fetched from files or addresses; put it under $defs (or definitions)";
        for (text, message) in [
            (
                r#"{"properties": {"a": {"$ref": "other.json"}}}"#,
                format!(r#"s.json: at /properties/a: $ref "other.json": {outside}"#),
            ),
            (
                r#"{"$id": "https://example.com/s/a.json", "items": {"$ref": "b.json#/x"}}"#,
                format!(r#"s.json: at /items: $ref "b.json#/x": {outside}"#),
            ),
            (
                r#"{"items": {"$ref": "https://example.com/b"}}"#,
                format!(r#"s.json: at /items: $ref "https://example.com/b": {outside}"#),
            ),
            (
                r##"{"items": {"$ref": "#/$defs/gone"}, "$defs": {}}"##,
                r##"s.json: at /items: $ref "#/$defs/gone": nothing is there"##.to_owned(),
            ),
            (
                r##"{"items": {"$ref": "#gone"}}"##,
                r##"s.json: at /items: $ref "#gone": there is no such anchor"##.to_owned(),
            ),
        ] {
            assert_eq!(refused(text), message, "{text}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_a_schema_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let told = |path: &Path| Schema::from_file(path, &[]).unwrap_err().to_string();
        assert!(told(folder.path()).ends_with("Is a directory (os error 21)"));
        assert!(told(&folder.path().join("none")).contains("No such file"));
        let file = folder.path().join("s.json");
        fs::write(&file, b"{\"a\":\n\"\xff\"}").unwrap();
        assert_eq!(
            told(&file),
            format!("{}:2: not JSON: invalid UTF-8", file.display())
        );
        fs::write(&file, r#"{"generatorID":"generator4","lat":40.6}"#).unwrap();
        assert!(
            told(&file).ends_with(
                "it has none of JSON Schema's keywords (but \"generatorID\"); is it a record?"
            ),
            "{}",
            told(&file)
        );
        assert!(told(Path::new("/dev/zero")).ends_with("over 64 MiB, too large for a schema"));
    }
}
