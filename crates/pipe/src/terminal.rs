//! The terminal that messages go to, and whether nobody else writes or types there.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{
    fs::{FileType, fstat},
    process::getpgrp,
    termios::{isatty, tcgetpgrp},
};

/// A terminal for progress, and whether it is this tool's alone.
///
/// It is if records are not typed there, if the tool's output goes to a file (not to a terminal, and not to a pipe, whose
/// reader may write to the same terminal), and while the tool runs in the foreground (in the background it would write into
/// what is being typed).
#[derive(Debug)]
pub struct Terminal(Option<OwnedFd>);

impl Terminal {
    /// The terminal at `messages`, for a tool that reads records from `input` and writes data to `output`, if it does.
    pub fn of(
        messages: impl AsFd,
        input: Option<BorrowedFd<'_>>,
        output: Option<BorrowedFd<'_>>,
    ) -> Self {
        let is_ours = isatty(&messages)
            && input.is_none_or(|input| !isatty(input))
            && output.is_none_or(is_private);
        // Without a descriptor more there is no progress, which is all.
        let duplicate = || messages.as_fd().try_clone_to_owned().ok();
        Self(is_ours.then(duplicate).flatten())
    }

    /// Whether progress may be shown now.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        let terminal = self.0.as_ref();
        terminal.is_some_and(|terminal| tcgetpgrp(terminal).is_ok_and(|group| group == getpgrp()))
    }
}

/// Whether what is written there shows nowhere: in a file or /dev/null.
fn is_private(output: BorrowedFd<'_>) -> bool {
    let kind = fstat(output).map(|status| FileType::from_raw_mode(status.st_mode));
    match kind {
        Ok(FileType::RegularFile) => true,
        Ok(FileType::CharacterDevice) => !isatty(output),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_to_a_file_shows_nowhere_and_what_goes_into_a_pipe_may() {
        let file = tempfile::tempfile().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        let (_reader, writer) = std::io::pipe().unwrap();
        assert!(is_private(file.as_fd()));
        assert!(is_private(null.as_fd()));
        assert!(!is_private(writer.as_fd()));
        assert!(!Terminal::of(&file, None, None).is_ours());
    }
}
