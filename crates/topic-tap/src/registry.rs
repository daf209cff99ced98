//! Takes the registry's frames off Kafka values: by the prefix of the payload or by the header.

use std::collections::HashSet;

use anyhow::Result;
use tapline_contract::{
    registry::{Registry, RegistryError, SchemaKind},
    wire::{self, SchemaName},
};
use tapline_kafka::Incoming;
use tapline_pipe::console::Console;

use crate::line::Unframed;

/// Asks a registry what the schemas in the frames are. It caches them, so that each is asked for once.
pub struct Frames {
    registry: Registry,
    console: Console,
    /// Schemas that were told of: once each is enough.
    told: HashSet<String>,
}

impl Frames {
    /// Frames of the schemas in `registry`.
    pub fn new(registry: Registry, console: Console) -> Self {
        Self {
            registry,
            console,
            told: HashSet::new(),
        }
    }

    /// The value without its frame. What has no frame, or one of a schema that the registry doesn't know or
    /// refuses to be asked for, passes as it is. `None` if a signal came before the registry's answer: what the record
    /// is remains unknown.
    ///
    /// # Errors
    ///
    /// When the registry can't be asked: the record can't be told apart then, so the tap can't go on.
    pub fn take_off<'a>(&mut self, record: &'a Incoming<'a>) -> Result<Option<Unframed<'a>>> {
        let as_it_is = Unframed {
            value: record.payload(),
            schema_id: None,
            schema_type: None,
            binary: false,
        };
        let Some(payload) = record.payload() else {
            return Ok(Some(as_it_is));
        };
        // Of headers that are not text none is known to be the registry's: the payload's own prefix is looked at.
        let headers = record.headers().unwrap_or_default();
        let header = headers
            .iter()
            .find(|header| header.name == wire::VALUE_HEADER);
        let (name, value) = match header.and_then(|header| header.value) {
            Some(header) => match wire::decode_header(header) {
                Ok(name) => (name, payload),
                Err(error) => {
                    self.tell(record, &format!("header {}: {error}", wire::VALUE_HEADER));
                    return Ok(Some(as_it_is));
                }
            },
            None => match wire::decode(payload) {
                Ok((id, value)) => (SchemaName::Id(id), value),
                Err(_) => return Ok(Some(as_it_is)),
            },
        };
        let found = match name {
            SchemaName::Id(id) => self.registry.by_id(id),
            SchemaName::Guid(guid) => self.registry.by_guid(guid),
        };
        let schema_id = match (name, &found) {
            (SchemaName::Id(id), _) => Some(id),
            (SchemaName::Guid(_), Ok(schema)) => schema.id,
            (SchemaName::Guid(_), Err(_)) => None,
        };
        match found.map(|schema| schema.kind.clone()) {
            Ok(SchemaKind::Json) => Ok(Some(Unframed {
                value: Some(value),
                schema_id,
                schema_type: None,
                binary: false,
            })),
            Ok(kind) => {
                self.tell(
                    record,
                    &format!(
                        "schema {} is {kind}: its values pass as they are",
                        describe(name)
                    ),
                );
                Ok(Some(Unframed {
                    schema_id,
                    schema_type: kind.word(),
                    binary: true,
                    ..as_it_is
                }))
            }
            // Bytes that look like a frame can name a schema that the registry doesn't even want to be asked for.
            Err(
                error @ (RegistryError::NotFound { .. }
                | RegistryError::Refused {
                    status: 400 | 422, ..
                }),
            ) => {
                self.tell(record, &format!("{error}; its values pass as they are"));
                Ok(Some(Unframed {
                    schema_id,
                    binary: true,
                    ..as_it_is
                }))
            }
            Err(RegistryError::Stopped { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn tell(&mut self, record: &Incoming<'_>, what: &str) {
        if self.told.insert(what.to_owned()) {
            let (topic, partition, offset) = (record.topic(), record.partition(), record.offset());
            self.console.warn(format_args!(
                "{topic} [{partition}] at offset {offset}: {what}"
            ));
        }
    }
}

fn describe(name: SchemaName) -> String {
    match name {
        SchemaName::Id(id) => id.to_string(),
        SchemaName::Guid(guid) => guid.to_string(),
    }
}
