//! Text with fields in braces: `emergency_generator/{generatorID}`.

use std::str::FromStr;

use crate::field::{Field, FieldError, FieldSyntaxError};

/// A text in which fields of a record are filled in. `{{` is a brace, `}}` another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
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
            let field = name
                .parse()
                .map_err(|error| TemplateError::Field(text.to_owned(), error))?;
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(Part::Field(field));
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
    /// A field by itself, or a template: what options that name a field also take.
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
        Ok(Self(vec![Part::Field(field)]))
    }

    /// The text, if no field is in it.
    #[must_use]
    pub fn constant(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The fields in it, in order.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.0.iter().filter_map(|part| match part {
            Part::Field(field) => Some(field),
            Part::Text(_) => None,
        })
    }

    /// The texts around the fields, in order.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Field(_) => None,
        })
    }

    /// The text with the same text for each field.
    #[must_use]
    pub fn filled(&self, field: &str) -> String {
        let texts = self.0.iter().map(|part| match part {
            Part::Text(text) => text,
            Part::Field(_) => field,
        });
        texts.collect()
    }

    /// Appends the text for this record.
    ///
    /// # Errors
    ///
    /// [`FieldError`] of the first field that has no text; `out` is then of no use.
    pub fn render(&self, record: &[u8], out: &mut String) -> Result<(), FieldError> {
        self.render_checked(record, out, |_, _| Ok(()))
    }

    /// Appends the text for this record, and lets `check` refuse the text of a field.
    ///
    /// # Errors
    ///
    /// As [`render`](Self::render), and what `check` says.
    pub fn render_checked<E: From<FieldError>>(
        &self,
        record: &[u8],
        out: &mut String,
        check: impl Fn(&Field, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Field(field) => {
                    let text = field.scalar(record)?;
                    check(field, &text)?;
                    out.push_str(&text);
                }
            }
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn render(template: &str, record: &str) -> Result<String, String> {
        let template: Template = template
            .parse()
            .map_err(|error: TemplateError| error.to_string())?;
        let mut out = String::new();
        template
            .render(record.as_bytes(), &mut out)
            .map_err(|error| error.to_string())?;
        Ok(out)
    }

    #[test]
    fn fields_are_filled_in_and_doubled_braces_are_braces() {
        let record = r#"{"id":"g4","n":1.10,"site":{"id":7}}"#;
        for (template, want) in [
            ("a/{id}/b", "a/g4/b"),
            ("{id}{n}", "g41.10"),
            ("{/site/id}", "7"),
            ("{{{id}}}", "{g4}"),
            ("{{x}}", "{x}"),
            ("", ""),
        ] {
            assert_eq!(render(template, record).as_deref(), Ok(want), "{template}");
        }
        assert_eq!(render("{none}", record).unwrap_err(), "has no field 'none'");
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for template in ["{", "a{b", "}", "a}b", "{}", "{a}}", "{/a~}"] {
            assert!(template.parse::<Template>().is_err(), "{template}");
        }
    }

    #[test]
    fn a_bare_name_is_a_field_where_an_option_names_one() {
        assert_eq!(Template::field_or_template("id"), "{id}".parse());
        assert_eq!(Template::field_or_template("x-{id}"), "x-{id}".parse());
        assert_eq!("x".parse::<Template>().unwrap().constant(), Some("x"));
        assert_eq!("{id}".parse::<Template>().unwrap().constant(), None);
    }

    #[test]
    fn a_named_template_may_hold_the_sign() {
        let (name, template) = parse_named("unit={u}=x").unwrap();
        let mut text = String::new();
        template.render(br#"{"u":"kPa"}"#, &mut text).unwrap();
        assert_eq!((name.as_str(), text.as_str()), ("unit", "kPa=x"));
        for wrong in ["", "unit", "=x", "unit={"] {
            assert!(parse_named(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back_when_its_braces_are_doubled(text in ".*") {
            let doubled = text.replace('{', "{{").replace('}', "}}");
            prop_assert_eq!(render(&doubled, "{}"), Ok(text));
        }

        #[test]
        fn any_field_text_comes_back(text in ".*", name in "[^{}/~]+") {
            let record = serde_json::json!({ name.as_str(): text }).to_string();
            prop_assert_eq!(render(&format!("{{{name}}}"), &record), Ok(text));
        }
    }
}
