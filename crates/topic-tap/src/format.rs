//! The form of what is written for each record.

use std::{io::Write, os::fd::AsFd};

use tapline_kafka::HeaderNotText;
use tapline_pipe::{
    io::output::Output,
    reject::{Reason, Rejection},
};

use crate::{args::OutputArgs, csv::Columns, line::Arrived, tokens::Tokens};

/// The form of what is written.
#[derive(Debug)]
pub enum Format {
    /// The value, byte for byte.
    Plain,
    /// The value with all that is known of it.
    Envelope,
    /// The key alone.
    Key,
    /// A text with tokens, which itself says where a record ends.
    Tokens(Tokens),
    /// A row of fields.
    Csv(Box<Columns>),
}

impl Format {
    /// The form that the options ask for.
    pub fn of(args: &OutputArgs) -> Self {
        match (&args.format, &args.csv) {
            (Some(tokens), _) => Self::Tokens(tokens.clone()),
            (None, Some(fields)) => Self::Csv(Box::new(Columns::new(fields.clone()))),
            (None, None) if args.envelope => Self::Envelope,
            (None, None) if args.key_only => Self::Key,
            (None, None) => Self::Plain,
        }
    }

    /// Puts what goes before the first record into `output`.
    pub fn begin<W: Write + AsFd>(&mut self, output: &mut Output<W>) {
        if let Self::Csv(columns) = self {
            let header = columns.header();
            output.push(|out| out.extend_from_slice(&header));
        }
    }

    /// Puts a record into `output`.
    ///
    /// # Errors
    ///
    /// The record has no such form; nothing was put.
    pub fn put<W: Write + AsFd>(
        &mut self,
        arrived: &Arrived<'_>,
        seq: u64,
        output: &mut Output<W>,
    ) -> Result<(), Rejection> {
        match self {
            Self::Plain => {
                output.push(|out| out.extend_from_slice(arrived.value().unwrap_or_default()));
            }
            Self::Envelope => {
                let envelope = arrived.envelope(seq).map_err(not_text)?;
                output.push(|out| envelope.write(out));
            }
            Self::Key => {
                output.push(|out| out.extend_from_slice(arrived.key().unwrap_or_default()));
            }
            Self::Tokens(tokens) => {
                let mut result = Ok(());
                output.push_bare(|out| {
                    let before = out.len();
                    result = tokens.write(arrived, out);
                    if result.is_err() {
                        out.truncate(before);
                    }
                });
                result.map_err(not_text)?;
            }
            Self::Csv(columns) => {
                let row = columns.row(arrived.value())?;
                output.push(|out| out.extend_from_slice(&row));
            }
        }
        Ok(())
    }
}

fn not_text(error: HeaderNotText) -> Rejection {
    Rejection::new(Reason::BadField, error.to_string())
}
