//! The command that is fed envelopes and says what is safe: `-- COMMAND ARG…`, or `--exec` in a shell.

use std::{
    ffi::OsString,
    fs::File,
    os::fd::OwnedFd,
    process::{Child, ExitStatus, Stdio},
};

use anyhow::{Context, Result};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tapline_pipe::acks::{ACKS_VARIABLE, AckReader};
use tempfile::TempDir;

/// A command that runs.
pub struct Command {
    child: Child,
    /// What messages call it.
    name: String,
    /// Holds the FIFO for as long as the command may write to it.
    _folder: TempDir,
}

/// What a command is started with.
pub struct Started {
    /// The command.
    pub command: Command,
    /// Its standard input.
    pub input: File,
    /// Its acks.
    pub acks: AckReader,
}

impl Command {
    /// Starts `text` in a shell.
    ///
    /// # Errors
    ///
    /// There is no place for a FIFO, or no shell.
    pub fn shell(text: &str) -> Result<Started> {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", text]);
        Self::start(shell, "sh").context("--exec")
    }

    /// Starts a program with its arguments, without a shell.
    ///
    /// # Errors
    ///
    /// There is no place for a FIFO, or no such program.
    pub fn program(line: &[OsString]) -> Result<Started> {
        let (program, arguments) = line.split_first().context("-- without a command")?;
        let mut command = std::process::Command::new(program);
        command.args(arguments);
        Self::start(command, &program.display().to_string())
    }

    fn start(mut command: std::process::Command, name: &str) -> Result<Started> {
        let folder = tempfile::Builder::new()
            .prefix("topic-tap-")
            .tempdir()
            .context("a folder for the acks")?;
        let path = folder.path().join("acks");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .context("a FIFO for the acks")?;
        let acks = AckReader::open(&path).context("the FIFO for the acks")?;
        let mut child = command
            .env(ACKS_VARIABLE, &path)
            .stdin(Stdio::piped())
            .spawn()
            .with_context(|| format!("{name} can't be started"))?;
        let input = child.stdin.take().expect("it was asked for");
        Ok(Started {
            command: Self {
                child,
                name: name.to_owned(),
                _folder: folder,
            },
            input: File::from(OwnedFd::from(input)),
            acks,
        })
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the command ended, if it has.
    ///
    /// # Errors
    ///
    /// The system doesn't say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| self.name.clone())
    }
}
