//! The contract of the values: each is checked against the schema and framed with its id in the registry.

use std::path::Path;

use anyhow::{Context, bail};
use tapline_contract::registry::{
    Definition, Reference, Registry, RegistryError, SchemaKind, StoredSchema, Version,
};
use tapline_contract::schema::{Schema, SchemaError};
use tapline_contract::subject::{Part, SubjectStrategy};
use tapline_contract::validator::{Invalid, Validator};
use tapline_contract::wire;
use tapline_pipe::console::Console;
use tapline_pipe::io::stop::Stop;

use crate::args::{Args, NamedReference};

/// Checks values and frames them.
#[derive(Debug, Default)]
pub(crate) struct Stamp {
    validator: Option<Validator>,
    /// The schema's id in the registry.
    id: Option<u32>,
    frame: Vec<u8>,
}

impl Stamp {
    /// The contract that the arguments ask for: reads the schema's file, and looks it up or registers it, or takes the
    /// schema from the registry. `topic` is `None` where records choose it. `variable` gives the environment's values.
    ///
    /// # Errors
    ///
    /// There is no such schema, it is none, or the registry refuses it.
    pub(crate) fn open(
        args: &Args,
        topic: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
        stop: &Stop,
        console: &Console,
    ) -> anyhow::Result<Self> {
        let registry = args.registry.open(variable, stop)?;
        let is_named = args.schema_id.is_some() || args.subject == SubjectStrategy::Record;
        if topic.is_none() && registry.is_some() && !is_named {
            bail!(
                "--registry: the subject is named after the topic, which each record chooses: use --schema-id or \
                 --subject record"
            );
        }
        // Where there is none it is not asked for.
        let topic = topic.unwrap_or_default();
        let (schema, id) = match (&registry, &args.schema) {
            (None, None) => return Ok(Self::default()),
            (None, Some(path)) => (Schema::from_file(path, &[])?, None),
            (Some(registry), Some(path)) => {
                let (schema, id) = from_file(registry, path, args, topic, console)?;
                (schema, Some(id))
            }
            (Some(registry), None) => {
                let (schema, id) = from_registry(registry, args, topic, console)?;
                (schema, Some(id))
            }
        };
        Ok(Self {
            validator: Some(schema.validator()),
            id,
            frame: Vec::new(),
        })
    }

    /// Checks a value, and returns it as it is to be sent.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn apply<'a>(&'a mut self, value: &'a [u8]) -> Result<&'a [u8], Invalid> {
        if let Some(validator) = &mut self.validator {
            validator.check(value)?;
        }
        let Some(id) = self.id else { return Ok(value) };
        self.frame.clear();
        wire::encode(id, value, &mut self.frame);
        Ok(&self.frame)
    }
}

/// The schema of a file, and the id that the registry has for it.
fn from_file(
    registry: &Registry,
    path: &Path,
    args: &Args,
    topic: &str,
    console: &Console,
) -> anyhow::Result<(Schema, u32)> {
    let references = args
        .reference
        .iter()
        .map(|reference| pin(registry, reference))
        .collect::<Result<Vec<_>, _>>()
        .context("--reference")?;
    let others = registry.resolve(&references).context("--reference")?;
    let schema = match Schema::from_file(path, &others) {
        Err(error @ SchemaError::Reference { .. }) => {
            return Err(error).context(
                "a schema that is in the registry, too, is named by --reference NAME=SUBJECT:VERSION",
            );
        }
        other => other?,
    };
    let named = args.subject.subject(topic, Part::Value, schema.title());
    let subject = named.with_context(|| path.display().to_string())?;
    let definition = Definition {
        text: schema.text(),
        references: &references,
        normalize: !args.no_normalize,
    };
    let registered = if args.register {
        registry.register(&subject, definition)?
    } else {
        match registry.look_up(&subject, definition) {
            Err(error @ RegistryError::NotFound { .. }) => {
                return Err(error).context("the schema is not registered (--register does that)");
            }
            other => other?,
        }
    };
    let id = registered.id;
    console.verbose(format_args!("subject {subject}: schema {id}"));
    Ok((schema, id))
}

/// A reference with the number of its version.
fn pin(registry: &Registry, reference: &NamedReference) -> anyhow::Result<Reference> {
    let NamedReference {
        name,
        subject,
        version,
    } = reference.clone();
    let version = match version {
        Version::Number(number) => number,
        Version::Latest => registry
            .version(&subject, version)?
            .version
            .with_context(|| format!("the registry gives no version for subject {subject:?}"))?,
    };
    Ok(Reference {
        name,
        subject,
        version,
    })
}

/// The schema that the arguments choose in the registry, and its id.
fn from_registry(
    registry: &Registry,
    args: &Args,
    topic: &str,
    console: &Console,
) -> anyhow::Result<(Schema, u32)> {
    let (name, stored, id) = match (args.schema_id, args.schema_version) {
        (Some(id), _) => {
            let stored = registry.by_id(id)?;
            (format!("schema {id}"), StoredSchema::clone(&stored), id)
        }
        (None, Some(version)) => {
            if args.subject != SubjectStrategy::Topic {
                bail!(
                    "--schema-version: with --subject record and topic-record the subject is named after the \
                     schema's title, which isn't known before the schema: use --schema or --schema-id"
                );
            }
            let subject = args.subject.subject(topic, Part::Value, None)?;
            let stored = registry.version(&subject, version)?;
            let id = stored.id.with_context(|| {
                format!("the registry gives no id for version {version} of subject {subject:?}")
            })?;
            console.verbose(format_args!(
                "subject {subject}, version {version}: schema {id}"
            ));
            (format!("subject {subject}, version {version}"), stored, id)
        }
        (None, None) => bail!(
            "--registry needs --schema, a schema to look up there, or --schema-version or --schema-id"
        ),
    };
    if stored.kind != SchemaKind::Json {
        bail!(
            "{name} is {}: only JSON Schema can be used here",
            stored.kind
        );
    }
    let others = registry.resolve(&stored.references)?;
    Ok((Schema::from_text(name, stored.text, &others)?, id))
}
