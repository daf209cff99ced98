//! Text with placeholders in braces: `emergency_generator/{generatorID}`, `{$topic/1}`.
//!
//! A placeholder names a field of the record, `{generatorID}` or `{/site/id}`, or a member of the envelope that the
//! value came in, `{$topic}`. With a `+` in front, `{+topic}`, the text may hold what separates levels where the
//! template makes a topic (RFC 6570's reserved expansion). `{{` is a brace, `}}` another.
//!
//! ```
//! use tapline_pipe::{envelope::Envelope, template::{Template, Variables}};
//!
//! let template: Template = "{$topic/1}-{unit}".parse()?;
//! template.require_envelope(true)?; // before the first record: whether there will be an envelope
//!
//! let line = br#"{"topic":"tele/kitchen/SENSOR","value":{"unit":"C"}}"#;
//! let envelope = Envelope::read(line)?;
//! let from = Variables { value: envelope.value.bytes(), envelope: Some(&envelope) };
//! let mut text = String::new();
//! template.render(&from, &mut text)?; // an error becomes a `Rejection`
//! assert_eq!(text, "kitchen-C");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod grammar;
mod member;
mod render;

pub use grammar::{NoEnvelope, Placeholder, Template, TemplateError, Variable, parse_named};
pub use member::{Member, MemberError, MemberSyntaxError};
pub use render::{RenderError, Variables};

#[cfg(test)]
mod tests;
