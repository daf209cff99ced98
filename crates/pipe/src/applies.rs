//! Which options apply to a run: one that was typed and can't apply is refused, not ignored.
//!
//! Each tool has a table of all its options and when they apply. What comes from the environment may be there for
//! other runs, so only what was typed counts, a default's value typed out included.

use std::{collections::BTreeSet, ffi::OsString, fmt::Debug};

use clap::{ArgMatches, Command, CommandFactory, FromArgMatches, parser::ValueSource};

/// The ids of the options that were typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Typed(BTreeSet<String>);

impl Typed {
    /// Those of a command line.
    #[must_use]
    pub fn of(matches: &ArgMatches) -> Self {
        let ids = matches.ids().map(clap::Id::as_str);
        let typed = ids.filter(|id| matches.value_source(id) == Some(ValueSource::CommandLine));
        Self(typed.map(str::to_owned).collect())
    }

    /// Whether this option was typed.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.0.contains(id)
    }
}

/// Reads a command line, the tool's name first.
///
/// # Errors
///
/// What clap says: a usage error, or a request for help or the version.
pub fn read<A: CommandFactory + FromArgMatches>(
    line: impl IntoIterator<Item = OsString>,
) -> Result<(A, Typed), clap::Error> {
    let matches = A::command().try_get_matches_from(line)?;
    let args = A::from_arg_matches(&matches)?;
    Ok((args, Typed::of(&matches)))
}

/// A typed option can't apply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{option} does not apply: {why}")]
pub struct DoesNotApply {
    /// As it is typed.
    pub option: String,
    /// Why it can't.
    pub why: String,
}

/// Refuses the first option of the table that was typed and does not apply. `why_not` gives the reason for a kind of
/// option, and `None` where it applies.
///
/// # Errors
///
/// [`DoesNotApply`].
pub fn refuse<K: Copy>(
    typed: &Typed,
    command: &Command,
    table: &[(K, &[&str])],
    mut why_not: impl FnMut(K) -> Option<String>,
) -> Result<(), DoesNotApply> {
    for (kind, ids) in table {
        let Some(id) = ids.iter().find(|id| typed.has(id)) else {
            continue;
        };
        if let Some(why) = why_not(*kind) {
            let option = name(command, id);
            return Err(DoesNotApply { option, why });
        }
    }
    Ok(())
}

/// An option as it is typed.
fn name(command: &Command, id: &str) -> String {
    let arg = command.get_arguments().find(|arg| arg.get_id() == id);
    let long = arg.and_then(clap::Arg::get_long);
    let short = arg.and_then(clap::Arg::get_short);
    match (long, short) {
        (Some(long), _) => format!("--{long}"),
        (None, Some(short)) => format!("-{short}"),
        (None, None) => id.to_uppercase(),
    }
}

/// For tests: what is wrong with a tool's options and its table. An option without an entry, an entry without an option,
/// and a variable whose value `--help` would show.
#[must_use]
pub fn faults<K: Debug>(command: &Command, table: &[(K, &[&str])]) -> Vec<String> {
    let mut faults = Vec::new();
    let listed = || table.iter().flat_map(|(_, ids)| *ids).copied();
    for arg in command.get_arguments() {
        let id = arg.get_id().as_str();
        match listed().filter(|listed| *listed == id).count() {
            1 => {}
            0 => faults.push(format!("{id}: when does it apply?")),
            _ => faults.push(format!("{id}: several entries")),
        }
        if arg.get_env().is_some() && !arg.is_hide_env_values_set() {
            faults.push(format!("{id}: --help shows the value of its variable"));
        }
    }
    for listed in listed() {
        let known = command.get_arguments().any(|arg| arg.get_id() == listed);
        if !known {
            faults.push(format!("{listed}: no such option"));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Tool {
        #[arg(long = "depth", default_value_t = 3)]
        deep: u8,
        #[arg(short = 'X')]
        property: Vec<String>,
        #[arg(long, env = "TAPLINE_NO_SUCH_VARIABLE", hide_env_values = true)]
        file: Option<String>,
    }

    const TABLE: &[(bool, &[&str])] = &[(true, &["file"]), (false, &["deep", "property"])];

    fn refused(line: &[&str]) -> Option<String> {
        let line = [&["t"], line].concat();
        let (_, typed) = read::<Tool>(line.into_iter().map(OsString::from)).unwrap();
        let why_not = |applies: bool| (!applies).then(|| "nothing is deep".to_owned());
        let result = refuse(&typed, &Tool::command(), TABLE, why_not);
        result.err().map(|error| error.to_string())
    }

    #[test]
    fn what_was_typed_and_can_not_apply_is_refused_by_its_name() {
        assert_eq!(refused(&[]), None);
        assert_eq!(refused(&["--file", "f"]), None);
        assert_eq!(
            refused(&["--depth", "3"]).as_deref(),
            Some("--depth does not apply: nothing is deep")
        );
        assert!(refused(&["-X", "a=b"]).unwrap().starts_with("-X does not"));
    }

    #[test]
    fn a_table_that_does_not_fit_the_options_is_at_fault() {
        assert_eq!(faults(&Tool::command(), TABLE), Vec::<String>::new());
        let short: &[(bool, &[&str])] = &[(true, &["file", "deep", "gone"]), (true, &["deep"])];
        assert_eq!(
            faults(&Tool::command(), short),
            [
                "deep: several entries",
                "property: when does it apply?",
                "gone: no such option"
            ]
        );
        let shown = Tool::command().mut_arg("file", |arg| arg.hide_env_values(false));
        assert_eq!(faults(&shown, TABLE).len(), 1);
    }
}
