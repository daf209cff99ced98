//! Records that wait for the end of their transaction, on disk: it may be as large as the input.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, Write},
};

/// Records in their order, in a temporary file without a name.
#[derive(Debug)]
pub(super) struct Spool {
    file: BufWriter<File>,
    count: u64,
}

impl Spool {
    /// An empty one.
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self {
            file: BufWriter::new(tempfile::tempfile()?),
            count: 0,
        })
    }

    /// Adds a record with the number of its line and, for the report, its receipt.
    pub(super) fn push(
        &mut self,
        line: u64,
        record: &[u8],
        receipt: Option<&str>,
    ) -> io::Result<()> {
        self.count += 1;
        self.file.write_all(&line.to_le_bytes())?;
        write_bytes(&mut self.file, record)?;
        write_bytes(&mut self.file, receipt.unwrap_or_default().as_bytes())
    }

    /// Takes all records out: line, record and receipt (empty if there was none).
    pub(super) fn drain<E: From<io::Error>>(
        &mut self,
        mut each: impl FnMut(u64, &[u8], &str) -> Result<(), E>,
    ) -> Result<(), E> {
        self.file.flush()?;
        let file = self.file.get_mut();
        file.rewind()?;
        let mut reader = BufReader::new(&*file);
        let (mut record, mut receipt) = (Vec::new(), Vec::new());
        for _ in 0..std::mem::take(&mut self.count) {
            let mut line = [0; 8];
            reader.read_exact(&mut line)?;
            read_bytes(&mut reader, &mut record)?;
            read_bytes(&mut reader, &mut receipt)?;
            let receipt = std::str::from_utf8(&receipt).map_err(io::Error::other)?;
            each(u64::from_le_bytes(line), &record, receipt)?;
        }
        file.rewind()?;
        Ok(file.set_len(0)?)
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
            spool.push(7, b"a\xff\n", Some("{}")).unwrap();
            spool.push(9 + round, b"", None).unwrap();
            let mut out = Vec::new();
            spool
                .drain(|line, record, receipt| {
                    out.push((line, record.to_vec(), receipt.to_owned()));
                    Ok::<_, io::Error>(())
                })
                .unwrap();
            let want = [
                (7, b"a\xff\n".to_vec(), "{}".to_owned()),
                (9 + round, vec![], String::new()),
            ];
            assert_eq!(out, want);
        }
    }
}
