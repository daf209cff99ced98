//! From a record to a point: its measurement, tags and fields.

use tapline_influx::point::{FieldValue, Point, Unfit, check_field_name, check_tag_name};
use tapline_pipe::console::Console;
use tapline_pipe::field::{Field, FieldError};
use tapline_pipe::json::{member::members, string::unescape};
use tapline_pipe::publish::Outgoing;
use tapline_pipe::reject::{Reason, Rejection};
use tapline_pipe::template::{Template, Variable};

use crate::args::Args;

/// What the name of the field is of a record that is no object.
const VALUE: &str = "value";

/// What the arguments say about every point.
#[derive(Debug)]
pub(crate) struct Composer {
    measurement: Template,
    /// In the order of their names.
    tags: Vec<(String, Template)>,
    fields: Fields,
    float: bool,
    console: Console,
    /// It was told that a member is left out.
    has_told: bool,
    /// A text that is filled in, kept for its memory.
    text: String,
}

/// What becomes a field.
#[derive(Debug)]
enum Fields {
    /// Every scalar member but these.
    AllBut(Vec<String>),
    Named(Vec<(String, Field)>),
}

impl Composer {
    /// # Errors
    ///
    /// A sentence for the person who typed the arguments.
    pub(crate) fn new(args: &Args, console: &Console) -> Result<Self, String> {
        let measurement = match &args.measurement {
            Some(measurement) => measurement.clone(),
            None if args.publish.envelope => "{$topic}".parse().expect("that is a template"),
            None => {
                return Err(
                    "--measurement is required: plain lines have no topic to take it from"
                        .to_owned(),
                );
            }
        };
        let templates = args.tags.iter().map(|(_, template)| ("--tag", template));
        for (option, template) in templates.chain([("--measurement", &measurement)]) {
            let required = template.require_envelope(args.publish.envelope);
            required.map_err(|error| format!("{option}: {error}"))?;
        }
        let mut tags = args.tags.clone();
        tags.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (name, _) in &tags {
            check_tag_name(name).map_err(|error| format!("--tag: {error}"))?;
        }
        for (name, _) in &args.fields {
            check_field_name(name).map_err(|error| format!("--field: {error}"))?;
        }
        let names = |list: Vec<&str>| {
            let mut list = list;
            list.sort_unstable();
            list.windows(2)
                .find(|pair| pair[0] == pair[1])
                .map(|pair| pair[0].to_owned())
        };
        let tag_names = names(tags.iter().map(|(name, _)| name.as_str()).collect());
        let field_names = names(args.fields.iter().map(|(name, _)| name.as_str()).collect());
        for (option, twice) in [("--tag", tag_names), ("--field", field_names)] {
            if let Some(name) = twice {
                return Err(format!(
                    "{option}: '{name}' is given twice; NAME={name} renames one of them"
                ));
            }
        }
        Ok(Self {
            fields: fields(args, &tags),
            measurement,
            tags,
            float: args.float,
            console: console.clone(),
            has_told: false,
            text: String::new(),
        })
    }

    /// The names of the tags, in their order.
    pub(crate) fn tag_names(&self) -> impl Iterator<Item = &str> {
        self.tags.iter().map(|(name, _)| name.as_str())
    }

    /// The templates that make the series.
    pub(crate) fn templates(&self) -> impl Iterator<Item = &Template> {
        let tags = self.tags.iter().map(|(_, template)| template);
        tags.chain([&self.measurement])
    }

    /// Makes the point, but for its time; `value_of_tag` is called with each tag's value.
    ///
    /// # Errors
    ///
    /// Why the record can't be one.
    pub(crate) fn compose(
        &mut self,
        record: &Outgoing<'_>,
        point: &mut Point,
        mut value_of_tag: impl FnMut(usize, &str),
    ) -> Result<(), Rejection> {
        let from = record.variables();
        let text = &mut self.text;
        text.clear();
        self.measurement.render(&from, text)?;
        let begun = point.measurement(text);
        begun.map_err(|error| unfit(&error, &self.measurement))?;
        for (number, (name, template)) in self.tags.iter().enumerate() {
            text.clear();
            template.render(&from, text)?;
            let added = point.tag(name, text);
            added.map_err(|error| {
                let mut rejection = unfit(&error, template);
                rejection.detail = format!("tag '{name}': {}", rejection.detail);
                rejection
            })?;
            value_of_tag(number, text);
        }
        let Some(value) = record.value() else {
            let why = "a tombstone has no fields";
            return Err(Rejection::new(Reason::MissingField, why));
        };
        self.add_fields(value, point)?;
        if point.has_fields() {
            return Ok(());
        }
        let why = "none of its members can be a field, and a point needs at least one";
        Err(Rejection::new(Reason::MissingField, why))
    }

    fn add_fields(&mut self, value: &[u8], point: &mut Point) -> Result<(), Rejection> {
        let add =
            |point: &mut Point, name: &str, raw: &str| add_field(point, name, raw, self.float);
        match &self.fields {
            Fields::Named(fields) => {
                for (name, field) in fields {
                    match field.raw(value)? {
                        None | Some("null") => {}
                        Some(raw) => {
                            let added = add(point, name, raw);
                            if !added
                                .map_err(|error| bad_field(&error, name).at(field.pointer()))?
                            {
                                return Err(FieldError::NotScalar {
                                    field: field.clone(),
                                    kind: if raw.starts_with('{') {
                                        "an object"
                                    } else {
                                        "an array"
                                    },
                                }
                                .into());
                            }
                        }
                    }
                }
            }
            Fields::AllBut(others) => {
                let found = members(value).map_err(FieldError::from)?;
                // A value by itself, as many sensors send it.
                let alone = || {
                    std::str::from_utf8(value)
                        .map(str::trim_ascii)
                        .unwrap_or_default()
                };
                let found = found.unwrap_or_else(|| vec![(VALUE.into(), alone())]);
                for (name, raw) in found {
                    if raw == "null" || others.iter().any(|other| *other == name) {
                        continue;
                    }
                    let added = add(point, &name, raw);
                    let added = added.map_err(|error| {
                        bad_field(&error, &name)
                            .at(format!("/{}", name.replace('~', "~0").replace('/', "~1")))
                    })?;
                    if !added && !std::mem::replace(&mut self.has_told, true) {
                        self.console.warn(format_args!(
                            "member '{name}' is an object or array, which a field can't hold; such members are left out; --field NAME=/{name}/… writes what is in it"
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

/// What becomes a field: what was named, or else all that is neither a tag nor the time.
fn fields(args: &Args, tags: &[(String, Template)]) -> Fields {
    if !args.fields.is_empty() {
        return Fields::Named(args.fields.clone());
    }
    let of_tags = tags.iter().filter_map(|(_, template)| {
        let mut placeholders = template.placeholders();
        match (placeholders.next()?.variable(), placeholders.next()) {
            // Nothing else is in it.
            (Variable::Field(field), None) if template.texts().next().is_none() => Some(field),
            _ => None,
        }
    });
    let taken = of_tags.chain(&args.timestamp_field);
    Fields::AllBut(
        taken
            .filter_map(|field| field.top_level())
            .map(str::to_owned)
            .collect(),
    )
}

/// Adds the value of this JSON text; `false` for an array or object, which no field can be.
fn add_field(point: &mut Point, name: &str, raw: &str, float: bool) -> Result<bool, Unfit> {
    let value = match raw.as_bytes()[0] {
        b'{' | b'[' => return Ok(false),
        b'"' => {
            return point
                .field(name, FieldValue::Text(&unescape(&raw[1..raw.len() - 1])))
                .map(|()| true);
        }
        b't' => FieldValue::Boolean(true),
        b'f' => FieldValue::Boolean(false),
        _ if float || raw.contains(['.', 'e', 'E']) => FieldValue::Float(raw),
        _ => FieldValue::Integer(raw),
    };
    point.field(name, value).map(|()| true)
}

fn bad_field(error: &Unfit, name: &str) -> Rejection {
    let hint = match error {
        Unfit::Overflow => "; --float writes it as a double",
        Unfit::Reserved { .. } => {
            "; --field NAME=time writes it under another name, --timestamp-field time takes it for the time"
        }
        _ => "",
    };
    Rejection::new(Reason::BadField, format!("field '{name}': {error}{hint}"))
}

fn unfit(error: &Unfit, template: &Template) -> Rejection {
    match template.placeholders().next() {
        Some(placeholder) => placeholder.refuse(error.to_string()),
        None => Rejection::new(Reason::BadField, error.to_string()),
    }
}
