//! Stdout as the tap writes to it: with the line ends that the output puts behind the records, or without.

use std::{
    cell::RefCell,
    collections::VecDeque,
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, BorrowedFd},
    rc::Rc,
};

/// Lengths of records that say themselves where they end, in the order of writing, from their composing to their
/// writing.
pub type Lengths = Rc<RefCell<VecDeque<usize>>>;

/// A file that takes what an [`Output`](tapline_pipe::output::Output) writes.
#[derive(Debug)]
pub struct Stdout {
    file: File,
    /// The lengths of the records, if their line ends are to be left out, and what is left of the one at hand.
    bare: Option<(Lengths, Option<usize>)>,
}

impl Stdout {
    /// Lines to `file`, as they come.
    pub fn lines(file: File) -> Self {
        Self { file, bare: None }
    }

    /// Records to `file` without the line end behind each, given their lengths.
    pub fn bare(file: File, lengths: Lengths) -> Self {
        Self {
            file,
            bare: Some((lengths, None)),
        }
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some((lengths, left)) = &mut self.bare else {
            return self.file.write(bytes);
        };
        let next = || lengths.borrow_mut().pop_front();
        // What has no length is none of the records.
        let rest = left.take().or_else(next).unwrap_or(usize::MAX);
        if rest == 0 {
            // The line end, which counts as written.
            return Ok(bytes.len().min(1));
        }
        let written = match self.file.write(&bytes[..bytes.len().min(rest)]) {
            Ok(written) => written,
            Err(error) => {
                *left = Some(rest);
                return Err(error);
            }
        };
        *left = Some(rest - written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl AsFd for Stdout {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek};
    use tapline_pipe::output::Output;

    #[test]
    fn bare_records_follow_each_other_whatever_the_pieces() {
        let records = [&b"a\n"[..], b"", b"\n\n", &[b'x'; 10_000], b"", b"end"];
        let mut file = tempfile::tempfile().unwrap();
        let lengths = Lengths::default();
        let bare = Stdout::bare(file.try_clone().unwrap(), Rc::clone(&lengths));
        let mut output = Output::new("stdout", bare, false);
        for (at, record) in records.iter().enumerate() {
            output.push(|out| out.extend_from_slice(record));
            lengths.borrow_mut().push_back(record.len());
            if at % 2 == 0 {
                output.flush().unwrap();
            }
        }
        output.flush().unwrap();
        let mut written = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut written).unwrap();
        assert_eq!(written, records.concat());
    }
}
