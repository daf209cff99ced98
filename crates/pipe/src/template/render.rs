//! What a template becomes for one record.

use std::borrow::Cow;

use super::grammar::{Part, Placeholder, Template, Variable};
use super::member::MemberError;
use crate::envelope::Envelope;
use crate::field::{Field, FieldError};
use crate::reject::{Reason, Rejection};

/// What a template is filled in from.
#[derive(Debug, Clone, Copy)]
pub struct Variables<'a> {
    /// The record's value; `None` for a tombstone, which has no fields. It need not be JSON where the template names
    /// members only.
    pub value: Option<&'a [u8]>,
    /// The envelope that it came in; `None` for a plain line.
    pub envelope: Option<&'a Envelope<'a>>,
}

impl<'a> Variables<'a> {
    /// A plain line.
    #[must_use]
    pub fn plain(value: &'a [u8]) -> Self {
        Self {
            value: Some(value),
            envelope: None,
        }
    }
}

/// Why a template has no text for a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A field.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// A member of the envelope.
    #[error(transparent)]
    Member(#[from] MemberError),
    /// A field of a tombstone.
    #[error("a tombstone has no field '{0}'")]
    Tombstone(Field),
}

impl From<RenderError> for Rejection {
    fn from(error: RenderError) -> Self {
        let detail = error.to_string();
        match error {
            RenderError::Field(error) => error.into(),
            RenderError::Tombstone(field) => {
                Self::new(Reason::MissingField, detail).at(field.pointer())
            }
            RenderError::Member(error) => {
                let (reason, pointer) = match &error {
                    MemberError::Missing(member) => (Reason::MissingMember, member.pointer()),
                    MemberError::NoLevel { .. } => (Reason::MissingMember, "/topic"),
                    MemberError::Null(_) => (Reason::BadMember, "/headers"),
                    MemberError::NotText(member) => (Reason::BadMember, member.pointer()),
                };
                Self::new(reason, detail).at(pointer)
            }
        }
    }
}

impl Placeholder {
    /// A rejection of what this record has for it: `detail` says what is wrong.
    #[must_use]
    pub fn refuse(&self, detail: impl Into<String>) -> Rejection {
        match self.variable() {
            Variable::Field(field) => Rejection::new(Reason::BadField, detail).at(field.pointer()),
            Variable::Member(member) => {
                Rejection::new(Reason::BadMember, detail).at(member.pointer())
            }
        }
    }

    fn text<'a>(&self, from: &Variables<'a>) -> Result<Cow<'a, str>, RenderError> {
        match self.variable() {
            Variable::Field(field) => scalar(field, from),
            Variable::Member(member) => {
                let envelope = from
                    .envelope
                    .ok_or_else(|| MemberError::Missing(member.clone()))?;
                Ok(member.text(envelope)?)
            }
        }
    }

    fn bytes<'a>(&self, from: &Variables<'a>) -> Result<Cow<'a, [u8]>, RenderError> {
        match self.variable() {
            Variable::Field(field) => match scalar(field, from)? {
                Cow::Borrowed(text) => Ok(Cow::Borrowed(text.as_bytes())),
                Cow::Owned(text) => Ok(Cow::Owned(text.into_bytes())),
            },
            Variable::Member(member) => {
                let envelope = from
                    .envelope
                    .ok_or_else(|| MemberError::Missing(member.clone()))?;
                Ok(member.bytes(envelope)?)
            }
        }
    }
}

fn scalar<'a>(field: &Field, from: &Variables<'a>) -> Result<Cow<'a, str>, RenderError> {
    match from.value {
        Some(value) => Ok(field.scalar(value)?),
        None => Err(RenderError::Tombstone(field.clone())),
    }
}

impl Template {
    /// Appends the text for this record.
    ///
    /// # Errors
    ///
    /// [`RenderError`] of the first placeholder that has no text; `out` is then of no use.
    pub fn render(&self, from: &Variables<'_>, out: &mut String) -> Result<(), RenderError> {
        self.render_checked(from, out, |_, _| Ok(()))
    }

    /// Appends the text for this record, and lets `check` refuse the text of a placeholder (see
    /// [`Placeholder::refuse`]).
    ///
    /// # Errors
    ///
    /// As [`render`](Self::render), and what `check` says.
    pub fn render_checked<E: From<RenderError>>(
        &self,
        from: &Variables<'_>,
        out: &mut String,
        check: impl Fn(&Placeholder, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        for part in self.parts() {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Placeholder(placeholder) => {
                    let text = placeholder.text(from)?;
                    check(placeholder, &text)?;
                    out.push_str(&text);
                }
            }
        }
        Ok(())
    }

    /// Appends the bytes for this record, where any may stand: a key or header that isn't UTF-8 goes in as it is.
    ///
    /// # Errors
    ///
    /// As [`render`](Self::render).
    pub fn render_bytes(&self, from: &Variables<'_>, out: &mut Vec<u8>) -> Result<(), RenderError> {
        for part in self.parts() {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Placeholder(placeholder) => out.extend_from_slice(&placeholder.bytes(from)?),
            }
        }
        Ok(())
    }
}
