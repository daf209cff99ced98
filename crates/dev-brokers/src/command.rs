//! Runs a command with the addresses in its environment, and ends with it.

use std::{
    ffi::OsString,
    os::unix::process::ExitStatusExt,
    process::{Child, Command},
};

use anyhow::{Context, anyhow};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::{
    consts::{SIGCHLD, SIGINT, SIGTERM},
    iterator::{SignalsInfo, exfiltrator::WithOrigin},
    low_level::siginfo::{Cause, Origin},
};

use tapline_pipe::io::stop::Stop;

use crate::addresses::Addresses;

/// Runs `command` to its end and returns its exit code; 128 and the signal's number if it was
/// killed by one.
pub(crate) fn run(command: &[OsString], addresses: &Addresses, stop: &Stop) -> anyhow::Result<u8> {
    let (program, arguments) = command.split_first().context("no command")?;
    // Before the start, so that no signal in between is missed.
    let mut signals = SignalsInfo::<WithOrigin>::new([SIGCHLD, SIGINT, SIGTERM])?;
    stop.release();
    let mut child = Command::new(program)
        .args(arguments)
        .envs(addresses.variables())
        .spawn()
        .map_err(|error| anyhow!("{}: {error}", program.display()))?;
    for origin in &mut signals {
        if origin.signal == SIGCHLD {
            if let Some(status) = child.try_wait()? {
                let code = status
                    .code()
                    .or_else(|| status.signal().map(|signal| 128 + signal));
                return Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(2));
            }
        } else {
            forward(&origin, &child)?;
        }
    }
    unreachable!("the signals are never closed")
}

/// Passes a signal on to the command, but for one that came from the terminal: the kernel has sent
/// that to the command as well, and a second one would cut its drain short.
fn forward(origin: &Origin, child: &Child) -> anyhow::Result<()> {
    if matches!(origin.cause, Cause::Kernel) {
        return Ok(());
    }
    let signal = if origin.signal == SIGINT {
        Signal::INT
    } else {
        Signal::TERM
    };
    // The child wasn't waited for, so its number can't be another's.
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .context("no process id")?;
    match kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error).context("the signal could not be passed on"),
    }
}
