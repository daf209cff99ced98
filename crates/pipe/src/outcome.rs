//! How a run ended: the counts, the closing line, the exit code.

use std::{fmt::Display, process::ExitCode, time::Duration};

use serde::Serialize;

use crate::{
    args::SummaryFormat,
    console::Console,
    io::stop::{Signal, Stop},
    units::grouped,
};

/// What a tool calls its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Words {
    /// Records are read, and delivered or rejected.
    Delivered,
    /// Records are made, or read again, and written; some of a recording may be rejected.
    Written,
    /// Records are read, and valid or invalid.
    Valid,
    /// Records are written, and acknowledged when the last stage has them.
    Acknowledged,
}

/// The counts of a run. `read = delivered + rejected` holds for every tool, always.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// The tool's name.
    pub tool: &'static str,
    /// For the sentence; the members of the JSON object are the same for all tools.
    #[serde(skip)]
    pub words: Words,
    /// Records read (or, by a generator, made); blank lines are none.
    pub read: u64,
    /// Records handled: delivered, written or found valid, as the tool's work is.
    pub delivered: u64,
    /// Records that were not.
    pub rejected: u64,
    /// Blank lines passed over.
    pub blank: u64,
    /// Bytes of the records read, terminators not counted.
    pub bytes: u64,
    /// How long it took.
    #[serde(serialize_with = "seconds")]
    pub seconds: Duration,
}

fn seconds<S: serde::Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    // Milliseconds are as fine as a run is worth; the rest of the digits would be noise.
    to.serialize_f64((time.as_secs_f64() * 1000.0).round() / 1000.0)
}

impl Summary {
    /// All zero.
    #[must_use]
    pub fn new(tool: &'static str, words: Words) -> Self {
        Self {
            tool,
            words,
            read: 0,
            delivered: 0,
            rejected: 0,
            blank: 0,
            bytes: 0,
            seconds: Duration::ZERO,
        }
    }

    /// `1,000 read, 998 delivered, 2 rejected in 0.5 s (2,000/s)`, in the tool's words.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "{} in {:.1} s ({}/s)",
            self.counts(),
            self.seconds.as_secs_f64(),
            grouped(per_second(self.read, self.seconds)),
        )
    }

    /// The counts in the tool's words.
    #[must_use]
    pub fn counts(&self) -> String {
        let [read, delivered, rejected] = [self.read, self.delivered, self.rejected].map(grouped);
        match self.words {
            Words::Delivered => format!("{read} read, {delivered} delivered, {rejected} rejected"),
            Words::Valid => format!("{read} read, {delivered} valid, {rejected} invalid"),
            Words::Written if self.rejected == 0 => format!("{delivered} written"),
            Words::Written => format!("{delivered} written, {rejected} rejected"),
            Words::Acknowledged => format!("{read} written, {delivered} acknowledged"),
        }
    }

    /// The same as one JSON object (`schemas/summary.schema.json`).
    ///
    /// # Panics
    ///
    /// Never: numbers and a name always serialise.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("numbers and a name always serialise")
    }
}

impl Summary {
    /// The closing line, in the form that was asked for. Nobody asks for JSON by default, so `--quiet`
    /// keeps only the sentence back.
    pub fn tell(&self, console: &Console, format: SummaryFormat) {
        match format {
            SummaryFormat::Text => console.info(self.text()),
            SummaryFormat::Json => console.line(self.json()),
        }
    }
}

/// Whole events per second.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people"
)]
pub fn per_second(count: u64, time: Duration) -> u64 {
    if time.is_zero() {
        0
    } else {
        (count as f64 / time.as_secs_f64()) as u64
    }
}

/// Why a run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The input ended, or what was asked for is done.
    Complete,
    /// `--strict`, and a record was rejected.
    Strict,
    /// The reader of stdout went away: the tool ends quietly.
    ReaderGone,
    /// A signal, after the drain.
    Signal(Signal),
}

impl Ending {
    /// The exit code of a run that ended like this with so many rejects; 2 is for runs that could not be.
    #[must_use]
    pub fn exit_code(self, rejected: u64) -> u8 {
        match self {
            Self::Signal(signal) => signal.exit_code(),
            Self::ReaderGone => 0,
            Self::Complete | Self::Strict => u8::from(rejected > 0),
        }
    }
}

/// Does a tool's work and gives its exit code: the error is told, and a signal is the reason that a shell looks for,
/// whatever else went wrong after it.
///
/// SIGINT and SIGTERM end the process at once until the work calls [`Stop::defer`].
pub fn conclude<E: Display>(
    console: &Console,
    work: impl FnOnce(&Stop) -> Result<u8, E>,
) -> ExitCode {
    let stop = match Stop::install() {
        Ok(stop) => stop,
        Err(error) => {
            console.error(format_args!("signals: {error}"));
            return ExitCode::from(COULD_NOT_RUN);
        }
    };
    let code = work(&stop).unwrap_or_else(|error| {
        console.error(format_args!("{error:#}"));
        COULD_NOT_RUN
    });
    ExitCode::from(stop.requested().map_or(code, Signal::exit_code))
}

/// The exit code of a run that could not be: usage, configuration, connection, I/O.
pub const COULD_NOT_RUN: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        let seconds = Duration::from_micros(500_123);
        Summary {
            read: 1000,
            delivered: 998,
            rejected: 2,
            bytes: 104_000,
            seconds,
            ..Summary::new("t", Words::Delivered)
        }
    }

    #[test]
    fn the_closing_line_and_its_json_say_the_same() {
        assert_eq!(
            summary().text(),
            "1,000 read, 998 delivered, 2 rejected in 0.5 s (1,999/s)"
        );
        assert_eq!(
            summary().json(),
            r#"{"tool":"t","read":1000,"delivered":998,"rejected":2,"blank":0,"bytes":104000,"seconds":0.5}"#
        );
    }

    #[test]
    fn each_tool_counts_in_its_own_words() {
        let with = |words, rejected| Summary {
            words,
            rejected,
            ..summary()
        };
        for (words, rejected, want) in [
            (Words::Written, 0, "998 written"),
            (Words::Written, 2, "998 written, 2 rejected"),
            (Words::Valid, 2, "1,000 read, 998 valid, 2 invalid"),
            (Words::Acknowledged, 2, "1,000 written, 998 acknowledged"),
        ] {
            assert_eq!(with(words, rejected).counts(), want);
        }
    }

    #[test]
    fn exit_codes() {
        assert_eq!(Ending::Complete.exit_code(0), 0);
        assert_eq!(Ending::Complete.exit_code(3), 1);
        assert_eq!(Ending::Strict.exit_code(1), 1);
        assert_eq!(Ending::ReaderGone.exit_code(3), 0);
        assert_eq!(Ending::Signal(Signal::Interrupt).exit_code(0), 130);
        assert_eq!(Ending::Signal(Signal::Terminate).exit_code(3), 143);
    }
}
