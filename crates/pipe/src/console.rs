//! Messages for the person at the terminal: `tool: what: why`, one line each, on a writer that is passed in. Whatever a
//! message repeats from payloads, topics or brokers, it stays one line, and a terminal shows it and does nothing else.

use std::{
    fmt::{self, Display},
    io::Write,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{printable::printable, terminal::Terminal};

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Level {
    /// Errors only.
    Quiet,
    /// Errors, warnings and what one needs to know, the closing line among it.
    #[default]
    Normal,
    /// Also connections made, lost and made again, with what was agreed on them.
    Verbose,
    /// Also what the client libraries say.
    Debug,
}

/// Where messages go. Clones share the writer, so that lines of several threads stay whole.
#[derive(Clone)]
pub struct Console {
    tool: &'static str,
    level: Level,
    out: Arc<Mutex<Out>>,
}

struct Out {
    writer: Box<dyn Write + Send>,
    /// Whether progress may be shown now.
    shows: Box<dyn Fn() -> bool + Send>,
    /// A progress line stands on the terminal and must be wiped before the next message.
    progress: bool,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console")
            .field("tool", &self.tool)
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}

impl Console {
    /// Messages of `tool` at `level` to `writer`; on a terminal with progress.
    pub fn new(
        tool: &'static str,
        level: Level,
        writer: impl Write + Send + 'static,
        terminal: bool,
    ) -> Self {
        let out = Out {
            writer: Box::new(writer),
            shows: Box::new(move || terminal),
            progress: false,
        };
        Self {
            tool,
            level,
            out: Arc::new(Mutex::new(out)),
        }
    }

    /// Messages of `tool` at `level` to `writer`, with progress while `terminal` is this tool's alone.
    pub fn on(
        tool: &'static str,
        level: Level,
        writer: impl Write + Send + 'static,
        terminal: Terminal,
    ) -> Self {
        let out = Out {
            writer: Box::new(writer),
            shows: Box::new(move || terminal.is_ours()),
            progress: false,
        };
        Self {
            tool,
            level,
            out: Arc::new(Mutex::new(out)),
        }
    }

    /// The tool's name, as messages begin with it.
    #[must_use]
    pub fn tool(&self) -> &'static str {
        self.tool
    }

    /// How much is told.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// What went wrong; always told.
    pub fn error(&self, message: impl Display) {
        self.say(Level::Quiet, message);
    }

    /// What may go wrong, or did and was mended; begins with `warning:`.
    pub fn warn(&self, message: impl Display) {
        self.say(Level::Normal, format_args!("warning: {message}"));
    }

    /// What one needs to know.
    pub fn info(&self, message: impl Display) {
        self.say(Level::Normal, message);
    }

    /// What one wants to know with `-v`.
    pub fn verbose(&self, message: impl Display) {
        self.say(Level::Verbose, message);
    }

    /// What one wants to know with `-vv`.
    pub fn debug(&self, message: impl Display) {
        self.say(Level::Debug, message);
    }

    fn say(&self, level: Level, message: impl Display) {
        if level <= self.level {
            self.line(format_args!("{}: {message}", self.tool));
        }
    }

    /// A line without the tool's name, whatever the level: what was asked for by an option of its own.
    pub fn line(&self, line: impl Display) {
        let line = line.to_string();
        let line = printable(&line);
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let wipe = if std::mem::take(&mut out.progress) {
            "\r\x1b[K"
        } else {
            ""
        };
        // One write a line, so that two processes on one terminal don't mix theirs. A message that can't
        // be written has nowhere else to go.
        let _ = out.writer.write_all(format!("{wipe}{line}\n").as_bytes());
    }

    /// Whether progress is shown: on a terminal, unless quiet.
    #[must_use]
    pub fn shows_progress(&self) -> bool {
        let out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        self.level > Level::Quiet && (out.shows)()
    }

    /// Shows how far the work is, in place of the last such line.
    pub fn progress(&self, text: impl Display) {
        if !self.shows_progress() {
            return;
        }
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.progress = true;
        let text = text.to_string();
        let line = format!("\r{}: {}\x1b[K", self.tool, printable(&text));
        let _ = out.writer.write_all(line.as_bytes());
        let _ = out.writer.flush();
    }

    /// Wipes the progress line, if one stands there.
    pub fn wipe_progress(&self) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut out.progress) {
            let _ = out.writer.write_all(b"\r\x1b[K");
            let _ = out.writer.flush();
        }
    }
}

/// A writer that keeps what was written, to be looked at: for tests of what a console says.
#[derive(Debug, Clone, Default)]
pub struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    /// All that was written so far.
    #[must_use]
    pub fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_decides_what_is_told() {
        for (level, want) in [
            (Level::Quiet, "t: e\n"),
            (Level::Normal, "t: e\nt: warning: w\nt: i\n"),
            (Level::Verbose, "t: e\nt: warning: w\nt: i\nt: v\n"),
            (Level::Debug, "t: e\nt: warning: w\nt: i\nt: v\nt: d\n"),
        ] {
            let captured = Captured::default();
            let console = Console::new("t", level, captured.clone(), false);
            console.error("e");
            console.warn("w");
            console.info("i");
            console.verbose("v");
            console.debug("d");
            console.progress("not on a file");
            assert_eq!(captured.text(), want);
        }
    }

    #[test]
    fn a_message_is_one_line_whatever_it_repeats() {
        let captured = Captured::default();
        let console = Console::new("t", Level::Normal, captured.clone(), true);
        console.error("topic 'a\n\x1b[1At: 9 read, 9 delivered, 0 rejected\u{9b}2K'");
        console.progress("b\nc");
        let want = concat!(
            r"t: topic 'a\n\u{1b}[1At: 9 read, 9 delivered, 0 rejected\u{9b}2K'",
            "\n\rt: b",
            r"\nc",
            "\x1b[K"
        );
        assert_eq!(captured.text(), want);
    }

    #[test]
    fn a_message_wipes_the_progress_line() {
        let captured = Captured::default();
        let console = Console::new("t", Level::Normal, captured.clone(), true);
        console.progress("1 of 2");
        console.warn("w");
        console.warn("x");
        assert_eq!(
            captured.text(),
            "\rt: 1 of 2\x1b[K\r\x1b[Kt: warning: w\nt: warning: x\n"
        );
    }
}
