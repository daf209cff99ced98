//! `--exec`: a command in a shell that is fed envelopes and says what is safe.

use std::{
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
    /// Holds the FIFO for as long as the command may write to it.
    _folder: TempDir,
}

impl Command {
    /// Starts `text` in a shell; gives its standard input and its acks, too.
    ///
    /// # Errors
    ///
    /// There is no place for a FIFO, or no shell.
    pub fn start(text: &str) -> Result<(Self, File, AckReader)> {
        let folder = tempfile::Builder::new()
            .prefix("topic-tap-")
            .tempdir()
            .context("a folder for the acks")?;
        let path = folder.path().join("acks");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .context("a FIFO for the acks")?;
        let acks = AckReader::open(&path).context("the FIFO for the acks")?;
        let mut child = std::process::Command::new("sh")
            .args(["-c", text])
            .env(ACKS_VARIABLE, &path)
            .stdin(Stdio::piped())
            .spawn()
            .context("sh")?;
        let input = child.stdin.take().expect("it was asked for");
        let command = Self {
            child,
            _folder: folder,
        };
        Ok((command, File::from(OwnedFd::from(input)), acks))
    }

    /// How the command ended, if it has.
    ///
    /// # Errors
    ///
    /// The system doesn't say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("--exec")
    }
}
