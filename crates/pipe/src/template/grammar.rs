//! How a template is written: its parts, read and printed.

use std::{fmt, str::FromStr};

use super::member::{Member, MemberSyntaxError};
use crate::field::{Field, FieldSyntaxError};

/// A text in which fields of a record and members of its envelope are filled in. `{{` is a brace, `}}` another. What is
/// printed is read again as the same template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Placeholder(Placeholder),
}

/// What stands in braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placeholder {
    variable: Variable,
    reserved: bool,
}

/// What a placeholder names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variable {
    /// A field of the record's value.
    Field(Field),
    /// A member of the envelope.
    Member(Member),
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A `{` without its `}`.
    #[error("'{0}': a brace is not closed ('{{{{' stands for a brace)")]
    Open(String),
    /// A `}` that closes nothing.
    #[error("'{0}': a '}}' closes nothing ('}}}}' stands for a brace)")]
    Close(String),
    /// What stands between braces is not a field.
    #[error("'{0}': {1}")]
    Field(String, FieldSyntaxError),
    /// What stands between braces begins with `$` and is not a member of the envelope.
    #[error("'{0}': {1}")]
    Member(String, MemberSyntaxError),
}

/// A template names a member of the envelope, and there is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{{{0}}}' is a member of the envelope, and plain lines have none: use --envelope (-J), with topic-tap -J in front"
)]
pub struct NoEnvelope(Member);

impl Placeholder {
    /// Reads what stands between the braces of `template`.
    fn read(text: &str, template: &str) -> Result<Self, TemplateError> {
        let (reserved, name) = match text.strip_prefix('+') {
            Some(name) => (true, name),
            None => (false, text),
        };
        let variable = match name.strip_prefix('$') {
            Some(member) => member
                .parse()
                .map(Variable::Member)
                .map_err(|error| TemplateError::Member(template.to_owned(), error)),
            None => name
                .parse()
                .map(Variable::Field)
                .map_err(|error| TemplateError::Field(template.to_owned(), error)),
        };
        Ok(Self {
            variable: variable?,
            reserved,
        })
    }

    /// What it names.
    #[must_use]
    pub fn variable(&self) -> &Variable {
        &self.variable
    }

    /// Written with a `+`: in a topic its text goes in with its levels.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.reserved
    }

    /// The same with a `+`.
    #[must_use]
    pub fn with_levels(&self) -> Self {
        Self {
            variable: self.variable.clone(),
            reserved: true,
        }
    }
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.reserved { "{+" } else { "{" })?;
        match &self.variable {
            // A bare name that would be read as something else.
            Variable::Field(field) if field.as_str().starts_with(['+', '$']) => {
                f.write_str(&field.pointer())
            }
            Variable::Field(field) => f.write_str(field.as_str()),
            Variable::Member(member) => write!(f, "{member}"),
        }?;
        f.write_str("}")
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(&text.replace('{', "{{").replace('}', "}}")),
            Part::Placeholder(placeholder) => write!(f, "{placeholder}"),
        })
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                literal.push_str(brace);
                rest = after;
                continue;
            }
            if brace == "}" {
                return Err(TemplateError::Close(text.to_owned()));
            }
            let (name, after) = rest
                .split_once('}')
                .ok_or_else(|| TemplateError::Open(text.to_owned()))?;
            let placeholder = Placeholder::read(name, text)?;
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(Part::Placeholder(placeholder));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self(parts))
    }
}

impl Template {
    /// A field by itself, or a template: what options that name a field also take. A text without braces is a field,
    /// whatever it begins with.
    ///
    /// # Errors
    ///
    /// As [`Template::from_str`].
    pub fn field_or_template(text: &str) -> Result<Self, TemplateError> {
        if text.contains(['{', '}']) {
            return text.parse();
        }
        let field = text
            .parse()
            .map_err(|error| TemplateError::Field(text.to_owned(), error))?;
        Ok(Self(vec![Part::Placeholder(Placeholder {
            variable: Variable::Field(field),
            reserved: false,
        })]))
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.0
    }

    /// The text, if no placeholder is in it.
    #[must_use]
    pub fn constant(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The placeholders in it, in order.
    pub fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.0.iter().filter_map(|part| match part {
            Part::Placeholder(placeholder) => Some(placeholder),
            Part::Text(_) => None,
        })
    }

    /// The fields in it, in order: with none, the value need not be JSON, and may be a tombstone.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.placeholders()
            .filter_map(|placeholder| match &placeholder.variable {
                Variable::Field(field) => Some(field),
                Variable::Member(_) => None,
            })
    }

    /// The members of the envelope in it, in order.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.placeholders()
            .filter_map(|placeholder| match &placeholder.variable {
                Variable::Member(member) => Some(member),
                Variable::Field(_) => None,
            })
    }

    /// Looks, before any record is read, whether there will be what the template names: `envelope` says whether lines
    /// are envelopes.
    ///
    /// # Errors
    ///
    /// [`NoEnvelope`] with the first member.
    pub fn require_envelope(&self, envelope: bool) -> Result<(), NoEnvelope> {
        match self.members().next() {
            Some(member) if !envelope => Err(NoEnvelope(member.clone())),
            _ => Ok(()),
        }
    }

    /// The texts around the placeholders, in order.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Placeholder(_) => None,
        })
    }

    /// The text with the same text for each placeholder.
    #[must_use]
    pub fn filled(&self, placeholder: &str) -> String {
        let texts = self.0.iter().map(|part| match part {
            Part::Text(text) => text,
            Part::Placeholder(_) => placeholder,
        });
        texts.collect()
    }
}

/// Reads `NAME=TEMPLATE`, the value of an option that names what it fills in, such as a header. The
/// template may hold the sign.
///
/// # Errors
///
/// A sentence for the person who typed it.
pub fn parse_named(text: &str) -> Result<(String, Template), String> {
    let (name, template) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| format!("'{text}' is not NAME=TEMPLATE"))?;
    let template = template
        .parse()
        .map_err(|error: TemplateError| error.to_string())?;
    Ok((name.to_owned(), template))
}
