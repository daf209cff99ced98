//! A schema registry in memory, with the part of Confluent's interface that clients use: to
//! register, to look up, to read by id, GUID and version.
//!
//! What it is not: it never asks whether a new version is compatible (its level is `NONE`, and it
//! says so), it forgets nothing but everything at its end, and it has no users and no TLS. JSON
//! Schemas are checked against their meta-schema.

pub(crate) mod http;
pub(crate) mod schema;

use std::collections::BTreeMap;

use schema::Schema;

/// What the registry doesn't do, in Confluent's form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The status, alone or with two digits after it.
    pub(crate) code: u32,
    pub(crate) message: String,
}

impl Refusal {
    fn new(code: u32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// A schema at its place in a subject.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Registered<'a> {
    pub(crate) subject: &'a str,
    pub(crate) version: usize,
    pub(crate) id: usize,
    pub(crate) guid: &'a str,
    pub(crate) schema: &'a Schema,
}

/// Schemas by id, which is one more than their index, and subjects with the ids of their versions.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    schemas: Vec<(String, Schema)>,
    subjects: BTreeMap<String, Vec<usize>>,
}

impl Registry {
    /// All subjects, in order.
    fn subjects(&self) -> Vec<&str> {
        self.subjects.keys().map(String::as_str).collect()
    }

    /// How many versions a subject has: they are counted from 1.
    fn versions(&self, subject: &str) -> Result<usize, Refusal> {
        self.ids(subject).map(|(_, ids)| ids.len())
    }

    /// Finds or adds the schema: its id is the same in every subject, and a subject holds it once.
    fn register(&mut self, subject: &str, schema: Schema) -> Result<Registered<'_>, Refusal> {
        for reference in &schema.references {
            self.version(&reference.subject, &reference.version.to_string())
                .map_err(|_| {
                    Refusal::new(
                        42201,
                        format!(
                            "Invalid schema: no version {} of subject '{}', which '{}' refers to",
                            reference.version, reference.subject, reference.name
                        ),
                    )
                })?;
        }
        let known = self.schemas.iter().position(|(_, known)| *known == schema);
        let index = known.unwrap_or_else(|| {
            self.schemas.push((schema.guid(), schema));
            self.schemas.len() - 1
        });
        let ids = self.subjects.entry(subject.to_owned()).or_default();
        let version = ids
            .iter()
            .position(|&id| id == index + 1)
            .unwrap_or_else(|| {
                ids.push(index + 1);
                ids.len() - 1
            });
        let (subject, ids) = self.ids(subject)?;
        Ok(self.registered(subject, ids, version))
    }

    /// Finds the schema in the subject.
    fn look_up(&self, subject: &str, schema: &Schema) -> Result<Registered<'_>, Refusal> {
        let (subject, ids) = self.ids(subject)?;
        ids.iter()
            .position(|&id| self.schemas[id - 1].1 == *schema)
            .map(|version| self.registered(subject, ids, version))
            .ok_or_else(|| Refusal::new(40403, "Schema not found"))
    }

    /// A version by its number, or `latest`.
    fn version(&self, subject: &str, version: &str) -> Result<Registered<'_>, Refusal> {
        let (subject, ids) = self.ids(subject)?;
        let number = match version {
            "latest" | "-1" => ids.len(),
            _ => version
                .parse()
                .ok()
                .filter(|&number| number > 0)
                .ok_or_else(|| {
                    Refusal::new(
                        42202,
                        format!(
                            "The specified version '{version}' is not a valid version id. Allowed \
                         values are between [1, 2^31-1] and the string \"latest\""
                        ),
                    )
                })?,
        };
        if number > ids.len() {
            return Err(Refusal::new(40402, format!("Version {number} not found.")));
        }
        Ok(self.registered(subject, ids, number - 1))
    }

    /// A schema by the id that its records bear.
    fn by_id(&self, id: &str) -> Result<&Schema, Refusal> {
        let known = id
            .parse()
            .ok()
            .and_then(|id: usize| self.schemas.get(id.checked_sub(1)?));
        known
            .map(|(_, schema)| schema)
            .ok_or_else(|| Refusal::new(40403, format!("Schema {id} not found")))
    }

    /// A schema by the GUID that its records bear.
    fn by_guid(&self, guid: &str) -> Result<&Schema, Refusal> {
        let known = self
            .schemas
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(guid));
        known
            .map(|(_, schema)| schema)
            .ok_or_else(|| Refusal::new(40403, format!("Schema {guid} not found")))
    }

    /// The subjects and versions that have the schema with this id.
    fn places(&self, id: &str) -> Result<Vec<(&str, usize)>, Refusal> {
        self.by_id(id)?;
        let places = self.subjects.iter().filter_map(|(subject, ids)| {
            let version = ids.iter().position(|known| known.to_string() == id)?;
            Some((subject.as_str(), version + 1))
        });
        Ok(places.collect())
    }

    fn ids(&self, subject: &str) -> Result<(&str, &[usize]), Refusal> {
        self.subjects
            .get_key_value(subject)
            .map(|(subject, ids)| (subject.as_str(), ids.as_slice()))
            .ok_or_else(|| Refusal::new(40401, format!("Subject '{subject}' not found.")))
    }

    fn registered<'a>(&'a self, subject: &'a str, ids: &[usize], version: usize) -> Registered<'a> {
        let id = ids[version];
        let (guid, schema) = &self.schemas[id - 1];
        Registered {
            subject,
            version: version + 1,
            id,
            guid,
            schema,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        schema::{Language, Reference},
        *,
    };

    fn schema(text: &str) -> Schema {
        Schema::new(Language::Json, text, Vec::new(), false).unwrap()
    }

    #[test]
    fn a_schema_has_one_id_and_a_version_in_each_subject() {
        let mut registry = Registry::default();
        let mut register = |subject: &str, text: &str| {
            let registered = registry.register(subject, schema(text)).unwrap();
            (registered.id, registered.version)
        };
        assert_eq!(register("a-value", "true"), (1, 1));
        assert_eq!(register("a-value", "false"), (2, 2));
        assert_eq!(register("a-value", "true"), (1, 1));
        assert_eq!(register("b-value", " false "), (2, 1));
        assert_eq!(registry.subjects(), ["a-value", "b-value"]);
        assert_eq!(registry.versions("a-value"), Ok(2));
        assert_eq!(
            registry.places("2"),
            Ok(vec![("a-value", 2), ("b-value", 1)])
        );
    }

    #[test]
    fn what_is_registered_is_found_in_every_way() {
        let mut registry = Registry::default();
        registry.register("a-value", schema("true")).unwrap();
        let guid = registry
            .register("a-value", schema("false"))
            .unwrap()
            .guid
            .to_owned();
        let found = registry.look_up("a-value", &schema("false")).unwrap();
        assert_eq!((found.id, found.version), (2, 2));
        assert_eq!(registry.version("a-value", "latest").unwrap(), found);
        assert_eq!(registry.version("a-value", "2").unwrap(), found);
        assert_eq!(registry.by_id("2").unwrap(), found.schema);
        assert_eq!(
            registry.by_guid(&guid.to_uppercase()).unwrap(),
            found.schema
        );
    }

    #[test]
    fn what_is_not_there_is_refused_with_its_code() {
        let mut registry = Registry::default();
        assert_eq!(registry.versions("a").unwrap_err().code, 40401);
        registry.register("a", schema("true")).unwrap();
        assert_eq!(
            registry.look_up("a", &schema("false")).unwrap_err().code,
            40403
        );
        assert_eq!(registry.version("a", "2").unwrap_err().code, 40402);
        assert_eq!(registry.version("b", "1").unwrap_err().code, 40401);
        for bad in ["0", "x", "-2", "1.0"] {
            assert_eq!(registry.version("a", bad).unwrap_err().code, 42202);
        }
        for bad in ["0", "2", "x", "-1"] {
            assert_eq!(registry.by_id(bad).unwrap_err().code, 40403);
        }
    }

    #[test]
    fn a_reference_must_lead_to_a_version() {
        let mut registry = Registry::default();
        registry.register("site", schema("true")).unwrap();
        let refers = |version| Schema {
            references: vec![Reference {
                name: "site.json".into(),
                subject: "site".into(),
                version,
            }],
            ..schema(r#"{"$ref":"site.json"}"#)
        };
        assert_eq!(registry.register("a", refers(2)).unwrap_err().code, 42201);
        assert_eq!(registry.versions("a").unwrap_err().code, 40401);
        assert_eq!(registry.register("a", refers(1)).unwrap().id, 2);
    }
}
