//! From a record to a message: its topic, its properties, its payload.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tapline_contract::validator::Validator;
use tapline_mqtt::text::disallowed;
use tapline_mqtt::{Message, Properties, Qos, Refusal, check_field, topic};
use tapline_pipe::envelope::{Envelope, Value};
use tapline_pipe::publish::Outgoing;
use tapline_pipe::reject::{Reason, Rejection};
use tapline_pipe::template::{Placeholder, Template, Variables};

/// Topics whose text is kept, so that the messages of a device share it.
const KNOWN_TOPICS: usize = 10_000;

/// What the arguments say about every message.
#[derive(Debug)]
pub(crate) struct Composer {
    /// `None`: each envelope has its own.
    pub(crate) topic: Option<Template>,
    /// `None`: what the envelope says, or 1.
    pub(crate) qos: Option<Qos>,
    pub(crate) retain: bool,
    pub(crate) headers: Vec<(String, Template)>,
    pub(crate) response_topic: Option<Template>,
    pub(crate) correlation_data: Option<Template>,
    pub(crate) content_type: Option<String>,
    /// Seconds.
    pub(crate) message_expiry: Option<u32>,
    pub(crate) validator: Option<Validator>,
    pub(crate) known_topics: HashSet<Arc<str>>,
    pub(crate) text: String,
}

impl Composer {
    /// The message of a record, or why it cannot be one.
    pub(crate) fn compose(&mut self, record: &Outgoing<'_>) -> Result<Message, Rejection> {
        let envelope = record.envelope.as_ref();
        // In MQTT an empty payload is what comes nearest to a tombstone: retained, it deletes.
        let value = record.value().unwrap_or_default();
        if let Some(validator) = &mut self.validator {
            validator.check(value)?;
        }
        let from = record.variables();
        let topic = self.topic(&from)?;
        let properties = self.properties(&from)?;
        let qos = envelope.map_or(Ok(None), envelope_qos)?;
        let retained = envelope.and_then(|envelope| envelope.retain);
        Ok(Message {
            topic,
            payload: payload(record),
            qos: self.qos.or(qos).unwrap_or(Qos::AtLeastOnce),
            retain: self.retain || retained.unwrap_or(false),
            properties,
        })
    }

    fn topic(&mut self, from: &Variables<'_>) -> Result<Arc<str>, Rejection> {
        let Some(template) = &self.topic else {
            let name = from
                .envelope
                .and_then(|envelope| envelope.topic.as_deref())
                .ok_or_else(|| {
                    let why = "neither the address nor the envelope has a topic";
                    Rejection::new(Reason::BadEnvelope, why)
                })?;
            topic::check_name(name)
                .map_err(|error| Rejection::new(Reason::BadEnvelope, error.to_string()))?;
            return Ok(share(&mut self.known_topics, name));
        };
        render_topic(template, from, &mut self.text)?;
        Ok(share(&mut self.known_topics, &self.text))
    }

    fn properties(&mut self, from: &Variables<'_>) -> Result<Option<Box<Properties>>, Rejection> {
        let mut properties = match from.envelope {
            Some(envelope) => envelope_properties(envelope)?,
            None => Properties::default(),
        };
        add_headers(&self.headers, from, &mut properties)?;
        if let Some(template) = &self.response_topic {
            let mut text = String::new();
            render_topic(template, from, &mut text)?;
            properties.response_topic = Some(text);
        }
        if let Some(template) = &self.correlation_data {
            let mut bytes = Vec::new();
            template.render_bytes(from, &mut bytes)?;
            properties.correlation_data = Some(bytes.into());
        }
        if let Some(content_type) = &self.content_type {
            properties.content_type = Some(content_type.clone());
        }
        properties.message_expiry = self.message_expiry.or(properties.message_expiry);
        let any = properties != Properties::default();
        Ok(any.then(|| Box::new(properties)))
    }
}

/// The quality of service that an envelope asks for, if it does.
fn envelope_qos(envelope: &Envelope<'_>) -> Result<Option<Qos>, Rejection> {
    let Some(level) = envelope.qos else {
        return Ok(None);
    };
    let qos = Qos::from_level(level).ok_or_else(|| {
        let detail = format!("qos {level}: the quality of service is 0, 1 or 2");
        Rejection::new(Reason::BadEnvelope, detail).at("/qos")
    })?;
    Ok(Some(qos))
}

/// Adds user properties with the fields of the record.
pub(crate) fn add_headers(
    headers: &[(String, Template)],
    from: &Variables<'_>,
    properties: &mut Properties,
) -> Result<(), Rejection> {
    for (name, template) in headers {
        let mut text = String::new();
        template.render_checked(from, &mut text, check_text)?;
        properties.user.push((name.clone(), text));
    }
    Ok(())
}

/// Fills in the fields of a topic.
pub(crate) fn render_topic(
    template: &Template,
    from: &Variables<'_>,
    text: &mut String,
) -> Result<(), Rejection> {
    text.clear();
    template.render_checked(from, text, check_level)?;
    topic::check_name(text).map_err(|error| Rejection::new(Reason::BadField, error.to_string()))
}

/// A device must not choose its topic level, and cannot use what a topic name does not allow. Where the template says
/// so (`{+topic}`), what it sends may be a topic with its levels.
fn check_level(placeholder: &Placeholder, text: &str) -> Result<(), Rejection> {
    check_text(placeholder, text)?;
    let levels = placeholder.is_reserved();
    let wrong = |c: char| matches!(c, '+' | '#') || (c == '/' && !levels);
    let detail = match text.chars().find(|c| wrong(*c)) {
        None => return Ok(()),
        Some('/') => {
            let with_levels = placeholder.with_levels();
            format!(
                "{placeholder} holds '/', which a level of a topic cannot ({with_levels} lets it through)"
            )
        }
        Some(found) if levels => format!("{placeholder} holds '{found}', which a topic cannot"),
        Some(found) => format!("{placeholder} holds '{found}', which a level of a topic cannot"),
    };
    Err(placeholder.refuse(detail))
}

/// A device must not send what a broker hangs up on: that would be the end of its neighbours, too.
pub(crate) fn check_text(placeholder: &Placeholder, text: &str) -> Result<(), Rejection> {
    match disallowed(text) {
        None => Ok(()),
        Some(found) => {
            let code = u32::from(found);
            Err(placeholder.refuse(format!(
                "{placeholder} holds U+{code:04X}, a control character or non-character, which no text of MQTT can"
            )))
        }
    }
}

fn share(known: &mut HashSet<Arc<str>>, text: &str) -> Arc<str> {
    if let Some(topic) = known.get(text) {
        return Arc::clone(topic);
    }
    if known.len() >= KNOWN_TOPICS {
        known.clear();
    }
    let topic: Arc<str> = Arc::from(text);
    known.insert(Arc::clone(&topic));
    topic
}

/// What the envelope says of MQTT 5, and Kafka's headers as user properties; those are text.
fn envelope_properties(envelope: &Envelope<'_>) -> Result<Properties, Rejection> {
    let own = &envelope.properties;
    let text = |text: &Option<Cow<'_, str>>| text.as_deref().map(str::to_owned);
    let mut user = Vec::with_capacity(envelope.headers.len());
    for (name, value) in &envelope.headers {
        let value = std::str::from_utf8(value.as_deref().unwrap_or_default()).map_err(|_| {
            let detail = format!("header '{name}' is not UTF-8, which a user property has to be");
            Rejection::new(Reason::BadEnvelope, detail).at("/headers")
        })?;
        user.push((name.clone().into_owned(), value.to_owned()));
    }
    Ok(Properties {
        payload_format: own.payload_format,
        message_expiry: own.message_expiry,
        content_type: text(&own.content_type),
        response_topic: text(&own.response_topic),
        correlation_data: own.correlation_data.as_deref().map(Bytes::copy_from_slice),
        user,
        subscription_ids: Vec::new(),
    })
}

/// The value without copying it, where it stands in the line as it is.
fn payload(record: &Outgoing<'_>) -> Bytes {
    match record.envelope.as_ref().map(|envelope| &envelope.value) {
        None => record.bytes.clone(),
        Some(Value::Json(json)) => record.bytes.slice_ref(json),
        Some(value) => Bytes::copy_from_slice(value.bytes().unwrap_or_default()),
    }
}

/// Whole seconds, as properties have them.
pub(crate) fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

/// What the texts beside a template's fields, and a header's name, say is wrong before any record is read.
///
/// # Errors
///
/// A character that no text of MQTT can hold, or more bytes.
pub(crate) fn check_headers(headers: &[(String, Template)]) -> Result<(), Refusal> {
    headers.iter().try_for_each(|(name, template)| {
        check_field(name)?;
        template.texts().try_for_each(check_field)
    })
}

/// What the template says is wrong before any record is read.
///
/// # Errors
///
/// Wildcards, or a fixed topic that breaks another rule.
pub(crate) fn check_template(template: &Template) -> Result<(), topic::TopicError> {
    if let Some(fixed) = template.constant() {
        return topic::check_name(fixed);
    }
    template
        .texts()
        .filter(|text| !text.is_empty())
        .try_for_each(topic::check_name)
}

#[cfg(test)]
#[path = "compose_tests.rs"]
mod tests;
