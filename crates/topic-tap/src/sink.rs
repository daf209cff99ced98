//! Where the lines go, and who says that they are safe: a file or the reader of a pipe, acks, or a command.

use std::{fs::File, io, path::Path, process::ExitStatus};

use anyhow::{Context, Result};
use tapline_pipe::{
    acks::{AckReader, Writers},
    console::Console,
    io::output::{Output, unbuffered},
    io::stop::Stop,
    reject::Rejects,
};

use crate::{
    args::Args,
    exec::{Command, Started},
    format::Format,
    pending::Pending,
};

/// Where the lines go.
pub struct Sink {
    /// Takes them.
    pub output: Output<File>,
    /// Their form.
    pub format: Format,
    /// Where records go that do not have the form.
    pub rejects: Rejects,
    /// Says what is safe; without it, what was taken is.
    acks: Option<AckReader>,
    /// Reads the lines, with `--exec` and `--`.
    command: Option<Command>,
    /// All that was written was taken before the output was closed: its reader has seen the end of a whole input.
    whole: bool,
}

/// What is known of the last stage when nothing more is written to it.
#[derive(Debug, Clone, Copy)]
pub enum Last {
    /// It works on.
    Working,
    /// It has ended; `all`: everything is safe, whether it was acknowledged or not.
    Ended {
        /// Of a command: how.
        status: Option<ExitStatus>,
        /// All that was written is settled.
        all: bool,
    },
}

impl Sink {
    /// The sink that the options ask for; starts the command.
    ///
    /// # Errors
    ///
    /// There is no command of that name, or no FIFO for the acks.
    pub fn open(args: &Args, stop: &Stop, console: &Console) -> Result<Self> {
        let rejects =
            Rejects::open(console.clone(), args.rejects.as_deref()).with_context(|| {
                let path = args.rejects.as_deref().map(Path::display);
                path.map_or_else(String::new, |path| format!("--rejects {path}"))
            })?;
        // Before the command starts, since its end must be seen to.
        stop.defer(args.drain_timeout)
            .context("a thread for the deadline")?;
        let started = match &args.exec {
            Some(text) => Some(Command::shell(text)?),
            None if args.command.is_empty() => None,
            None => Some(Command::program(&args.command)?),
        };
        if let Some(started) = started {
            let Started {
                command,
                input,
                acks,
            } = started;
            return Ok(Self {
                output: Output::new(command.name(), input, false),
                format: Format::Envelope,
                rejects,
                acks: Some(acks),
                command: Some(command),
                whole: false,
            });
        }
        let stdout = io::stdout();
        let terminal = io::IsTerminal::is_terminal(&stdout);
        let unbuffered = unbuffered(&stdout).context("stdout")?;
        let acks = args.acks_from.as_ref().map(|path| {
            AckReader::open(path).with_context(|| format!("--acks-from {}", path.display()))
        });
        Ok(Self {
            output: Output::new("stdout", unbuffered, terminal),
            format: Format::of(&args.output),
            rejects,
            acks: acks.transpose()?,
            command: None,
            whole: false,
        })
    }

    /// Whether acks say what is safe.
    pub fn has_acks(&self) -> bool {
        self.acks.is_some()
    }

    /// What messages call the command, if there is one.
    pub fn command_name(&self) -> Option<&str> {
        self.command.as_ref().map(Command::name)
    }

    /// Looks how far the output is, and gives the highest `seq` that is safe.
    ///
    /// # Errors
    ///
    /// Acks that can't be read or be true.
    pub fn look(&mut self, pending: &mut Pending) -> Result<u64> {
        // What needs no acknowledgement isn't waited for, and the last stage knows better than the pipe to it.
        let by_reader = self.acks.is_none() && pending.count_waiting() > 0;
        let written = self.output.written();
        let taken = if by_reader {
            self.output.taken()
        } else {
            written
        };
        pending.reached(written, taken);
        match &mut self.acks {
            Some(acks) => acks
                .highest(pending.count_written())
                .context("acks: nothing more is acknowledged"),
            None => Ok(pending.count_taken()),
        }
    }

    /// Whether everything was written and taken, so that the output can be closed.
    pub fn is_all_taken(&mut self) -> bool {
        self.output.taken() == self.output.position()
    }

    /// Whether nobody will take what is left: the reader has gone, or the command has ended.
    ///
    /// # Errors
    ///
    /// The system doesn't say.
    pub fn is_deserted(&mut self) -> Result<bool> {
        let ended = match &mut self.command {
            Some(command) => command.ended()?.is_some(),
            None => false,
        };
        Ok(ended || self.output.is_reader_gone())
    }

    /// Lets the last stage see the end of its input. `whole`: it has taken all that was to be written.
    ///
    /// # Errors
    ///
    /// There is no /dev/null.
    pub fn close(&mut self, whole: bool) -> Result<()> {
        let null = File::options()
            .write(true)
            .open("/dev/null")
            .context("/dev/null")?;
        if self.command.is_none() {
            // Our copy of the descriptor is not the only one.
            rustix::stdio::dup2_stdout(&null).context("stdout")?;
        }
        self.whole = whole;
        self.output = Output::new("/dev/null", null, false);
        Ok(())
    }

    /// How a command ended, if there is one and it has. Looked at before the last acks are, none of them is missed.
    ///
    /// # Errors
    ///
    /// The system doesn't say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        match &mut self.command {
            Some(command) => command.ended(),
            None => Ok(None),
        }
    }

    /// What is known of the last stage, whose command has ended with `status`.
    ///
    /// Acks are the last word where there are any. Of a command that never opened them exit code 0 vouches, if it has
    /// read its input to the end: one that ended before we closed it has left early.
    pub fn judge(&self, status: Option<ExitStatus>) -> Last {
        let Some(acks) = &self.acks else {
            return Last::Ended {
                status: None,
                all: false,
            };
        };
        let opened = acks.writers() != Writers::Awaited;
        let all = self.whole && acks.is_ended();
        if let Some(status) = status {
            let all = all || (self.whole && !opened && status.success());
            return Last::Ended {
                status: Some(status),
                all,
            };
        }
        // A last stage that went away before it ever opened the FIFO will not do so now.
        let gone = acks.writers() == Writers::Gone || (!self.whole && !opened);
        if self.command.is_none() && (all || gone) {
            return Last::Ended { status: None, all };
        }
        Last::Working
    }
}
