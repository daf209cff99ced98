//! A message of a client about itself: its last will or its birth message.

use std::sync::Arc;

use anyhow::{Context, bail};
use tapline_mqtt::{Message, Properties, Qos, check_field};
use tapline_pipe::reject::{Reason, Rejection};
use tapline_pipe::template::{Template, Variables};

use crate::compose::{add_headers, check_headers, check_template, render_topic};

/// A message of a client about itself.
#[derive(Debug)]
pub(crate) struct Notice {
    pub(crate) topic: Template,
    pub(crate) payload: Option<Template>,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) headers: Vec<(String, Template)>,
    /// The others.
    pub(crate) properties: Properties,
}

impl Notice {
    /// What is wrong before any record is read; `name` is what its options begin with.
    pub(crate) fn check(&self, name: &str, fleet: bool, envelope: bool) -> anyhow::Result<()> {
        let headers = self
            .headers
            .iter()
            .map(|(_, template)| ("header", template));
        let texts = [("topic", &self.topic)].into_iter();
        let texts = texts.chain(self.payload.iter().map(|template| ("payload", template)));
        for (what, template) in texts.chain(headers) {
            if !fleet && template.constant().is_none() {
                bail!("--{name}-{what}: {{fields}} need --client-per; '{{{{' stands for a brace");
            }
            template
                .require_envelope(envelope)
                .with_context(|| format!("--{name}-{what}"))?;
        }
        check_template(&self.topic).with_context(|| format!("--{name}-topic"))?;
        check_headers(&self.headers).with_context(|| format!("--{name}-header"))?;
        check_field(self.properties.content_type.as_deref().unwrap_or_default())
            .with_context(|| format!("--{name}-content-type"))?;
        let payload = self.payload.as_ref().and_then(Template::constant);
        if payload.is_some_and(|text| text.len() > usize::from(u16::MAX)) {
            bail!("--{name}-payload: it has more than 65535 bytes");
        }
        Ok(())
    }

    pub(crate) fn message(&self, from: &Variables<'_>) -> Result<Message, Rejection> {
        let mut topic = String::new();
        render_topic(&self.topic, from, &mut topic)?;
        let mut payload = Vec::new();
        if let Some(template) = &self.payload {
            template.render_bytes(from, &mut payload)?;
        }
        // So long is a will (section 3.1.3.4), and a birth message has no reason to be longer.
        if payload.len() > usize::from(u16::MAX) {
            let detail = "the last will or birth message made of it has more than 65535 bytes";
            return Err(Rejection::new(Reason::BadField, detail));
        }
        let mut properties = self.properties.clone();
        add_headers(&self.headers, from, &mut properties)?;
        properties
            .check()
            .map_err(|why| Rejection::new(Reason::BadField, format!("last will: {why}")))?;
        Ok(Message {
            topic: Arc::from(topic),
            payload: payload.into(),
            qos: self.qos,
            retain: self.retain,
            properties: Some(Box::new(properties)),
        })
    }
}
