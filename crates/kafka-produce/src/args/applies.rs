//! When each option applies.

use clap::CommandFactory;
use tapline_pipe::applies;

use super::Args;

/// When an option applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// In each run, or where another option says so (clap's `requires`, `conflicts_with`).
    Always,
    /// Where the schema is found by its subject.
    Subject,
}

/// All options.
pub(crate) const TABLE: &[(When, &[&str])] = &[
    (
        When::Always,
        &[
            "address",
            "key",
            "fixed_key",
            "tombstone",
            "headers",
            "timestamp_field",
            "timestamp_unit",
            "partition",
            "schema",
            "schema_id",
            "schema_version",
            "reference",
            "registry",
            "registry_ca_file",
            "registry_auth_file",
            "registry_token_file",
            "registry_cert_file",
            "registry_key_file",
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
];

/// Refuses an option that was typed and can't apply.
///
/// # Errors
///
/// It is named, with the reason.
pub(crate) fn check(args: &Args) -> Result<(), applies::DoesNotApply> {
    let why_not = |when| {
        let unused = when == When::Subject && args.schema_id.is_some();
        unused.then(|| "--schema-id names the schema".to_owned())
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

    #[test]
    fn a_strategy_for_subjects_is_refused_where_the_id_names_the_schema() {
        let line = "kafka-produce kafka://a/t --registry http://r --schema-id 7 --subject topic";
        let line = line.split(' ').map(OsString::from);
        let (args, typed) = applies::read::<Args>(line).unwrap();
        let error = check(&Args { typed, ..args }).unwrap_err().to_string();
        assert_eq!(
            error,
            "--subject does not apply: --schema-id names the schema"
        );
    }
}
