//! What a command left behind, and what a test says about it.

use std::time::Duration;

/// What a command left behind.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Its exit code, if no signal ended it.
    pub code: Option<i32>,
    /// The number of the signal that ended it.
    pub signal: Option<i32>,
    /// All that it wrote to stdout.
    pub stdout: Vec<u8>,
    /// All that it wrote to stderr.
    pub stderr: String,
    /// From its start to its end.
    pub took: Duration,
}

#[expect(
    clippy::must_use_candidate,
    reason = "the assertions return themselves to be chained"
)]
impl Finished {
    /// Stdout as text.
    ///
    /// # Panics
    ///
    /// When it isn't UTF-8.
    #[must_use]
    #[track_caller]
    pub fn text(&self) -> &str {
        str::from_utf8(&self.stdout).expect("stdout is UTF-8")
    }

    /// The lines of stdout.
    ///
    /// # Panics
    ///
    /// When it isn't UTF-8.
    #[must_use]
    #[track_caller]
    pub fn lines(&self) -> Vec<&str> {
        self.text().lines().collect()
    }

    /// The lines of stdout as JSON.
    ///
    /// # Panics
    ///
    /// When one isn't.
    #[must_use]
    #[track_caller]
    pub fn json_lines(&self) -> Vec<serde_json::Value> {
        json_lines(self.text())
    }

    /// Checks the exit code.
    ///
    /// # Panics
    ///
    /// When it is another, with what the command said.
    #[track_caller]
    pub fn assert_code(&self, code: i32) -> &Self {
        let (was, signal) = (self.code, self.signal);
        assert!(
            was == Some(code),
            "exit code {was:?}, signal {signal:?}: {}",
            self.stderr
        );
        self
    }

    /// Checks that stderr contains `text`.
    ///
    /// # Panics
    ///
    /// When it doesn't, with what it contains.
    #[track_caller]
    pub fn assert_stderr(&self, text: &str) -> &Self {
        assert!(
            self.stderr.contains(text),
            "{text:?} isn't in stderr: {}",
            self.stderr
        );
        self
    }
}

/// Lines of JSON, such as a file of rejects.
///
/// # Panics
///
/// When one isn't JSON.
#[must_use]
#[track_caller]
pub fn json_lines(text: &str) -> Vec<serde_json::Value> {
    let parse = |line: &str| match serde_json::from_str(line) {
        Ok(value) => value,
        Err(error) => panic!("not JSON: {error}: {line}"),
    };
    text.lines().map(parse).collect()
}
