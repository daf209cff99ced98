//! How a tap ended: what is told of it, and the exit code.

use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

use tapline_pipe::{
    console::Console,
    io::stop::Signal,
    outcome::{COULD_NOT_RUN, Ending},
    units::grouped,
};

/// Why the loop was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Count, time or end of all sources.
    Done,
    /// A signal came.
    Signal,
    /// The reader of the output went away.
    ReaderGone,
    /// The drain was over before all was written.
    GivenUp,
}

/// What is known at the end of a run that did not fail.
#[derive(Debug)]
pub struct Report<'a> {
    /// Why it ended.
    pub left: Left,
    /// How the command ended, where there is one and it has.
    pub status: Option<ExitStatus>,
    /// Records that were written and are not safe, or do not have the form.
    pub rejected: u64,
    /// Of these, those that do not have the form.
    pub unfit: u64,
    /// What the command is called, where there is one.
    pub command: Option<&'a str>,
    /// Acks, or the command, say what is safe.
    pub has_acks: bool,
    /// The signal that stopped the run.
    pub signal: Option<Signal>,
}

impl Report<'_> {
    /// Tells what is not acknowledged, and why; gives the exit code.
    pub fn tell(&self, console: &Console) -> u8 {
        let quiet = self.left == Left::ReaderGone && self.command.is_none();
        if self.unfit > 0 {
            let count = grouped(self.unfit);
            let what = "records do not have the wanted form and were not written";
            console.error(format_args!("{count} {what}"));
        }
        let unvouched = self.rejected.saturating_sub(self.unfit);
        if unvouched > 0 && !quiet {
            let (count, why) = (grouped(unvouched), self.why());
            console.error(format_args!(
                "{count} records were written but are not acknowledged: {why}"
            ));
        }
        if let Some(signal) = self.signal {
            return signal.exit_code();
        }
        let Some(status) = self.status else {
            return if quiet {
                0
            } else {
                Ending::Complete.exit_code(self.rejected)
            };
        };
        match status.code() {
            // It is a part of the bridge, so the bridge has not come to its end.
            Some(0) if self.left == Left::ReaderGone => {
                if unvouched == 0 {
                    let name = self.command.unwrap_or_default();
                    console.error(format_args!("{name} ended before its input did"));
                }
                1
            }
            Some(0) => Ending::Complete.exit_code(self.rejected),
            // It ran to its end and rejected records: so it says, and so do we.
            Some(1) => 1,
            _ => {
                let name = self.command.unwrap_or_default();
                console.error(format_args!("{name} ended with {}", describe(status)));
                COULD_NOT_RUN
            }
        }
    }

    fn why(&self) -> String {
        let Some(name) = self.command else {
            return if self.has_acks {
                "the last stage did not acknowledge them".to_owned()
            } else {
                "the reader of stdout did not take them within --drain-timeout".to_owned()
            };
        };
        match self.status {
            None => format!("{name} did not end within --drain-timeout"),
            Some(status) if self.left == Left::ReaderGone && status.success() => {
                format!("{name} ended before it had read all its input, and sent no acks for them")
            }
            Some(status) => format!(
                "{name} ended with {} and sent no acks for them",
                describe(status)
            ),
        }
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no exit code".to_owned(),
    }
}
