//! A schema as the validator uses it.

use std::fmt;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

use crate::tape::TapeJson;

/// A schema that is compiled once and shared by all its validators.
pub(crate) struct Compiled {
    /// The schema as it stands.
    full: Validator<TapeJson>,
    full_error: u64,
    lean: LazyLock<Option<Lean>, Box<dyn FnOnce() -> Option<Lean> + Send>>,
}

/// The schema's lean form (see `schema::lean`).
struct Lean {
    validator: Validator<TapeJson>,
    error: u64,
}

impl Compiled {
    /// `lean` gives the schema's lean form and compiles it, should records need it.
    pub(crate) fn new(
        document: &Value,
        full: Validator<TapeJson>,
        lean: impl FnOnce() -> Option<(Value, Validator<TapeJson>)> + Send + 'static,
    ) -> Self {
        let lean = move || {
            let (document, validator) = lean()?;
            let error = error_size(&document);
            Some(Lean { validator, error })
        };
        Self {
            full,
            full_error: error_size(document),
            lean: LazyLock::new(Box::new(lean)),
        }
    }

    /// The schema as it stands.
    pub(crate) fn full(&self) -> &Validator<TapeJson> {
        &self.full
    }

    /// What an error of it takes in memory at most, in bytes, without what it says of the record.
    pub(crate) fn full_error(&self) -> u64 {
        self.full_error
    }

    /// The form whose errors hold no others, and the size of its errors; as it stands if there is no such form.
    pub(crate) fn lean(&self) -> (&Validator<TapeJson>, u64) {
        match &*self.lean {
            Some(lean) => (&lean.validator, lean.error),
            None => (&self.full, self.full_error),
        }
    }
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiled").finish_non_exhaustive()
    }
}

/// What an error takes without any text of the schema or of the record.
const PLAIN_ERROR: u64 = 400;

/// What an error takes that quotes what is longest in the schema: errors hold copies of patterns, required names and
/// what stands under `not`.
fn error_size(document: &Value) -> u64 {
    let mut longest = 0;
    let mut left = vec![document];
    while let Some(value) = left.pop() {
        match value {
            Value::Object(members) => {
                for (keyword, member) in members {
                    longest = longest.max(match (keyword.as_str(), member) {
                        ("pattern" | "format" | "contentMediaType", Value::String(text)) => {
                            text.len()
                        }
                        ("required", Value::Array(names)) => names
                            .iter()
                            .filter_map(Value::as_str)
                            .map(str::len)
                            .max()
                            .unwrap_or(0),
                        // As a value it takes several times its text.
                        ("not", schema) => schema.to_string().len() * 16,
                        _ => 0,
                    });
                }
                left.extend(members.values());
            }
            Value::Array(elements) => left.extend(elements),
            _ => {}
        }
    }
    PLAIN_ERROR + longest as u64
}
