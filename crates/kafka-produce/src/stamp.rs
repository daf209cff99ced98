//! The contract of the values: each is checked against the schema and framed with its id in the registry.

use anyhow::{Context, bail};
use tapline_contract::registry::RegistryError;
use tapline_contract::schema::Schema;
use tapline_contract::subject::Part;
use tapline_contract::validator::{Invalid, Validator};
use tapline_contract::wire;
use tapline_pipe::console::Console;

use crate::args::Args;

/// Checks values and frames them.
#[derive(Debug, Default)]
pub(crate) struct Stamp {
    validator: Option<Validator>,
    /// The schema's id in the registry.
    id: Option<u32>,
    frame: Vec<u8>,
}

impl Stamp {
    /// The contract that the arguments ask for: reads the schema's file, and looks it up or registers it. `auth` is
    /// the registry's `user:password`.
    ///
    /// # Errors
    ///
    /// The file is no schema, or the registry does not have it, or refuses it.
    pub(crate) fn open(
        args: &Args,
        topic: &str,
        auth: Option<&str>,
        console: &Console,
    ) -> anyhow::Result<Self> {
        let registry = args.registry.open(auth)?;
        let Some(path) = &args.schema else {
            if registry.is_some() {
                bail!("--registry needs --schema, the schema to look up there");
            }
            return Ok(Self::default());
        };
        let schema = Schema::from_file(path)?;
        let mut stamp = Self {
            validator: Some(schema.validator()),
            ..Self::default()
        };
        if let Some(registry) = registry {
            let named = args.subject.subject(topic, Part::Value, schema.title());
            let subject = named.with_context(|| path.display().to_string())?;
            let registered = if args.register {
                registry.register(&subject, schema.text())?
            } else {
                match registry.look_up(&subject, schema.text()) {
                    Err(error @ RegistryError::NotFound { .. }) => {
                        return Err(error)
                            .context("the schema is not registered (--register does that)");
                    }
                    other => other?,
                }
            };
            let id = registered.id;
            console.verbose(format_args!("subject {subject}: schema {id}"));
            stamp.id = Some(id);
        }
        Ok(stamp)
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
