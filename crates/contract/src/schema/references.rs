//! References that lead out of a schema: to others that it is given, or nowhere.

use std::sync::Arc;

use jsonschema::{Retrieve, Uri};
use serde_json::Value;

use super::SchemaError;
use crate::tape::read_value;

/// Answers every reference that leads out of the schema: nothing is fetched from files or addresses.
#[derive(Debug, Clone)]
pub(super) struct Others(Arc<[(String, Value)]>);

impl Others {
    pub(super) fn read(source: &str, references: &[(String, String)]) -> Result<Self, SchemaError> {
        let parse = |(name, text): &(String, String)| match read_value(text.as_bytes()) {
            Ok(document) => Ok((name.clone(), document)),
            Err(error) => Err(SchemaError::NotJson {
                schema: format!("{source}, reference {name}"),
                error,
            }),
        };
        references
            .iter()
            .map(parse)
            .collect::<Result<_, _>>()
            .map(Others)
    }
}

impl Others {
    /// Each by its name.
    pub(super) fn list(&self) -> &[(String, Value)] {
        &self.0
    }
}

impl Retrieve for Others {
    /// The name is what stands in the `$ref`, the URI what that becomes against the schema's own address.
    fn retrieve(
        &self,
        uri: &Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        let is_meant = |name: &str| {
            let before = uri.as_str().strip_suffix(name);
            before.is_some_and(|before| before.is_empty() || before.ends_with('/'))
        };
        let found = self.0.iter().find(|(name, _)| is_meant(name));
        found
            .map(|(_, document)| document.clone())
            .ok_or_else(|| "not in the schema".into())
    }
}

/// The first `$ref` that reads like `target`, which the library may have resolved against the
/// schema's own address: where it is and how it is written.
pub(super) fn find_reference(document: &Value, target: &str) -> Option<(String, String)> {
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
