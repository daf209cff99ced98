//! Runs a command as a person in a shell would.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use crate::{Finished, LIMIT, Running, tool};

/// A command that is about to run.
#[derive(Debug)]
pub struct Run {
    command: Command,
    name: String,
    limit: Duration,
    stdout: Option<File>,
}

impl Run {
    /// Runs the program at `path`: `Run::new(env!("CARGO_BIN_EXE_gen-sim"))`.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let name = path
            .file_name()
            .unwrap_or(path.as_os_str())
            .display()
            .to_string();
        Self {
            command: Command::new(path),
            name,
            limit: LIMIT,
            stdout: None,
        }
    }

    /// Runs a tool of this workspace by its name; see [`tool`].
    #[must_use]
    #[track_caller]
    pub fn tool(name: &str) -> Self {
        Self::new(tool(name))
    }

    /// Runs a script in a shell, with the workspace's tools first in `PATH`.
    ///
    /// # Panics
    ///
    /// When `PATH` can't be extended.
    #[must_use]
    #[track_caller]
    pub fn shell(script: &str) -> Self {
        let tools = PathBuf::from(
            tool("dev-brokers")
                .parent()
                .expect("a file is in a directory"),
        );
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(tools).chain(std::env::split_paths(&inherited));
        let path = std::env::join_paths(path).expect("no directory has a colon in its name");
        Self::new("/bin/sh").args(["-c", script]).env("PATH", path)
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn current_dir(mut self, path: impl AsRef<Path>) -> Self {
        self.command.current_dir(path);
        self
    }

    /// Sends stdout to a file, such as `/dev/full`, rather than keeping it.
    #[must_use]
    pub fn stdout_to(mut self, file: File) -> Self {
        self.stdout = Some(file);
        self
    }

    /// How long the command may take; [`LIMIT`] if this isn't called.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Starts it, with a pipe as stdin.
    ///
    /// # Panics
    ///
    /// When it can't be started.
    #[must_use]
    #[track_caller]
    pub fn start(mut self) -> Running {
        let stdout = self.stdout.map_or_else(Stdio::piped, Stdio::from);
        self.command
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(Stdio::piped());
        match Running::spawn(self.command, self.name.clone(), self.limit) {
            Ok(running) => running,
            Err(error) => panic!("{} can't be started: {error}", self.name),
        }
    }

    /// Runs it to its end with nothing on stdin.
    ///
    /// # Panics
    ///
    /// When it can't be started, or doesn't end within the limit.
    #[must_use]
    #[track_caller]
    pub fn finish(self) -> Finished {
        self.finish_with("")
    }

    /// Runs it to its end with `input` on stdin.
    ///
    /// # Panics
    ///
    /// When it can't be started, or doesn't end within the limit.
    #[must_use]
    #[track_caller]
    pub fn finish_with(self, input: impl Into<Vec<u8>>) -> Finished {
        let mut running = self.start();
        running.feed(input);
        running.wait()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Signal;

    fn sh(script: &str) -> Run {
        Run::new("/bin/sh").args(["-c", script])
    }

    #[test]
    fn what_goes_in_comes_out() {
        // More than a pipe holds, in both directions.
        let input = "0123456789abcde\n".repeat(100_000);
        let finished = sh("cat; echo done >&2; exit 3").finish_with(input.clone());
        finished.assert_code(3).assert_stderr("done");
        assert_eq!(finished.text(), input);
    }

    #[test]
    fn lines_are_seen_as_they_come() {
        let mut running = sh("cat").start();
        running.write("one\n");
        running.wait_for_lines(1);
        running.write("two\n");
        running.wait_for_lines(2);
        assert_eq!(running.wait().lines(), ["one", "two"]);
    }

    #[test]
    fn a_signal_reaches_it() {
        let mut running = sh("trap 'exit 9' TERM; echo up; while :; do sleep 0.01; done").start();
        running.wait_for_lines(1);
        running.signal(Signal::TERM);
        running.wait().assert_code(9);
    }

    #[test]
    fn one_that_a_signal_ends_has_no_code() {
        let finished = sh("kill -KILL $$").finish();
        assert_eq!((finished.code, finished.signal), (None, Some(9)));
    }

    #[test]
    #[should_panic(expected = "did not end within")]
    fn one_that_does_not_end_is_told() {
        let _ = Run::new("/bin/sleep")
            .arg("600")
            .limit(Duration::from_millis(50))
            .finish();
    }

    #[test]
    #[should_panic(expected = "ended before stdout has 2 lines")]
    fn waiting_for_what_cannot_come_is_told_at_once() {
        sh("echo one; echo why >&2").start().wait_for_lines(2);
    }
}
