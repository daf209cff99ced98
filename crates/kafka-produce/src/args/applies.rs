//! When each option applies.

use clap::CommandFactory;
use tapline_pipe::applies;

use super::{Args, Tombstone};

/// When an option applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// In each run, or where another option says so (clap's `requires`, `conflicts_with`).
    Always,
    /// Where the schema is found by its subject.
    Subject,
    /// To a registry of https.
    RegistryTls,
    /// Where a value can be what it looks for.
    Tombstone,
    /// Where records choose the topic.
    Topics,
}

/// All options.
pub(crate) const TABLE: &[(When, &[&str])] = &[
    (
        When::Always,
        &[
            "address",
            "key",
            "fixed_key",
            "headers",
            "timestamp_field",
            "timestamp_unit",
            "partition",
            "schema",
            "schema_id",
            "schema_version",
            "reference",
            "registry",
            "registry_auth_file",
            "registry_token_file",
            "register",
            "no_normalize",
            "create_topic",
            "partitions",
            "replication_factor",
            "transaction",
            "transaction_size",
            "compression",
            "delivery_timeout",
            "property",
            "config",
            "connect_timeout",
            "max_record",
            "envelope",
            "rate",
            "tee",
            "acks_to",
            "report",
            "checkpoint",
            "drain_timeout",
            "rejects",
            "strict",
            "summary",
            "quiet",
            "verbose",
        ],
    ),
    (When::Subject, &["subject"]),
    (
        When::RegistryTls,
        &[
            "registry_ca_file",
            "registry_cert_file",
            "registry_key_file",
        ],
    ),
    (When::Tombstone, &["tombstone"]),
    (When::Topics, &["max_topics"]),
];

/// Refuses an option that was typed and can't apply. `has_template`: the address's topic is chosen for each record.
///
/// # Errors
///
/// It is named, with the reason.
pub(crate) fn check(args: &Args, has_template: bool) -> Result<(), applies::DoesNotApply> {
    let why_not = |when| {
        let empty = |kind: &Tombstone| *kind == Tombstone::Empty;
        let (applies, why) = match when {
            When::Always => (true, ""),
            When::Subject => (args.schema_id.is_none(), "--schema-id names the schema"),
            When::RegistryTls => (args.registry.is_tls(), "no --registry is of https"),
            When::Tombstone => (
                args.publish.envelope || !args.tombstone.iter().all(empty),
                "without --envelope no value is empty, as blank lines are skipped",
            ),
            When::Topics => (has_template, "the address names one topic for all records"),
        };
        (!applies).then(|| why.to_owned())
    };
    applies::refuse(&args.typed, &Args::command(), TABLE, why_not)
}

impl Args {
    /// The process's arguments; usage errors, help and version end it here.
    pub(crate) fn get() -> Self {
        let read = applies::read::<Self>(std::env::args_os());
        let (args, typed) = read.unwrap_or_else(|error| error.exit());
        Self { typed, ..args }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    #[test]
    fn each_option_says_when_it_applies() {
        assert_eq!(
            applies::faults(&Args::command(), TABLE),
            Vec::<String>::new()
        );
    }

    fn checked(line: &str) -> Result<(), String> {
        let has_template = line.starts_with("kafka://a/{");
        let address = if has_template { "" } else { "kafka://a/t" };
        let line = format!("kafka-produce {address} {line}").replace("  ", " ");
        let line = line.split(' ').map(OsString::from);
        let (args, typed) = applies::read::<Args>(line).unwrap();
        check(&Args { typed, ..args }, has_template).map_err(|error| error.to_string())
    }

    #[test]
    fn what_can_not_apply_is_refused_by_its_name() {
        for (line, error) in [
            (
                "--registry http://r --schema-id 7 --subject topic",
                "--subject does not apply: --schema-id names the schema",
            ),
            (
                "--registry http://r -s f --registry-ca-file f",
                "--registry-ca-file does not apply: no --registry is of https",
            ),
            (
                "--tombstone empty",
                "--tombstone does not apply: without --envelope no value is empty, as blank lines are skipped",
            ),
            (
                "--max-topics 7",
                "--max-topics does not apply: the address names one topic for all records",
            ),
        ] {
            assert_eq!(checked(line).unwrap_err(), error);
        }
        for line in [
            "--registry http://r,https://s -s f --registry-ca-file f --subject topic",
            "--tombstone null,empty",
            "-J --tombstone empty",
            "kafka://a/{x} --max-topics 7",
        ] {
            checked(line).unwrap();
        }
    }
}
