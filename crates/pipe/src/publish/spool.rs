//! What waits for the end of a transaction, on disk: it may be as large as the input.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, Write},
};

/// Something that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting<'a> {
    /// A record that was settled well: its line, the record and its receipt (empty if there is none).
    Record(u64, &'a [u8], &'a str),
    /// The report's entry of a record that was rejected among them.
    Entry(&'a str),
}

/// Records in their order, in a temporary file without a name.
#[derive(Debug)]
pub(super) struct Spool {
    file: BufWriter<File>,
    /// What is in the file.
    count: u64,
    /// Records that were settled well, whether or not they are in the file.
    records: u64,
    has_failed: bool,
}

impl Spool {
    /// An empty one.
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self::over(tempfile::tempfile()?))
    }

    /// An empty one over a file that is.
    pub(super) fn over(file: File) -> Self {
        Self {
            file: BufWriter::new(file),
            count: 0,
            records: 0,
            has_failed: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0 && self.records == 0
    }

    /// Adds something. A record is counted whether or not it could be written; after an error nothing more is written.
    pub(super) fn push(&mut self, what: Waiting<'_>) -> io::Result<()> {
        self.records += u64::from(matches!(what, Waiting::Record(..)));
        if self.has_failed {
            return Ok(());
        }
        let (line, record, text) = match what {
            Waiting::Record(line, record, text) => (line, record, text),
            // Lines are numbered from 1.
            Waiting::Entry(text) => (0, &[][..], text),
        };
        let written = self
            .file
            .write_all(&line.to_le_bytes())
            .and_then(|()| write_bytes(&mut self.file, record))
            .and_then(|()| write_bytes(&mut self.file, text.as_bytes()));
        match written {
            Ok(()) => self.count += 1,
            Err(_) => self.has_failed = true,
        }
        written
    }

    /// Takes all out. If not all can be read back: how many records are left, and why.
    pub(super) fn drain(
        &mut self,
        mut each: impl FnMut(Waiting<'_>),
    ) -> Result<(), (u64, io::Error)> {
        let mut left = std::mem::take(&mut self.records);
        let drained = self.take_out(|what| {
            left -= u64::from(matches!(what, Waiting::Record(..)));
            each(what);
        });
        match drained {
            Ok(()) if left == 0 => Ok(()),
            Ok(()) => Err((left, io::ErrorKind::UnexpectedEof.into())),
            Err(error) => {
                self.has_failed = true;
                Err((left, error))
            }
        }
    }

    fn take_out(&mut self, mut each: impl FnMut(Waiting<'_>)) -> io::Result<()> {
        let count = std::mem::take(&mut self.count);
        self.file.flush()?;
        let file = self.file.get_mut();
        file.rewind()?;
        let mut reader = BufReader::new(&*file);
        let (mut record, mut text) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let mut line = [0; 8];
            reader.read_exact(&mut line)?;
            read_bytes(&mut reader, &mut record)?;
            read_bytes(&mut reader, &mut text)?;
            let text = std::str::from_utf8(&text).map_err(io::Error::other)?;
            each(match u64::from_le_bytes(line) {
                0 => Waiting::Entry(text),
                line => Waiting::Record(line, &record, text),
            });
        }
        file.rewind()?;
        file.set_len(0)
    }
}

fn write_bytes(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(&(bytes.len() as u64).to_le_bytes())?;
    to.write_all(bytes)
}

fn read_bytes(from: &mut impl Read, into: &mut Vec<u8>) -> io::Result<()> {
    let mut length = [0; 8];
    from.read_exact(&mut length)?;
    into.clear();
    let length = u64::from_le_bytes(length);
    let read = from.take(length).read_to_end(into)?;
    if read as u64 == length {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_once_and_it_can_be_used_again() {
        let mut spool = Spool::open().unwrap();
        for round in 0..3 {
            assert!(spool.is_empty());
            spool.push(Waiting::Record(7, b"a\xff\n", "{}")).unwrap();
            spool.push(Waiting::Entry("rejected")).unwrap();
            spool.push(Waiting::Record(9 + round, b"", "")).unwrap();
            let mut out = Vec::new();
            spool
                .drain(|what| match what {
                    Waiting::Record(line, record, text) => {
                        out.push((line, record.to_vec(), text.to_owned()));
                    }
                    Waiting::Entry(text) => out.push((0, vec![], text.to_owned())),
                })
                .unwrap();
            let want = [
                (7, b"a\xff\n".to_vec(), "{}".to_owned()),
                (0, vec![], "rejected".to_owned()),
                (9 + round, vec![], String::new()),
            ];
            assert_eq!(out, want);
        }
    }

    #[test]
    fn records_that_a_full_disk_does_not_take_are_counted() {
        let full = File::options()
            .read(true)
            .write(true)
            .open("/dev/full")
            .unwrap();
        let mut spool = Spool::over(full);
        let large = vec![b'x'; 100_000];
        let mut errors = 0;
        for line in 1..=5 {
            errors += u64::from(spool.push(Waiting::Record(line, &large, "")).is_err());
        }
        assert_eq!(errors, 1);
        let mut seen = 0;
        let (left, _) = spool.drain(|_| seen += 1).unwrap_err();
        assert_eq!((seen, left), (0, 5));
    }
}
