//! What a client is to the broker: its identifier, its last will and its birth message, with the fields of the record that
//! it was opened for.

use std::time::Duration;

use anyhow::Context;
use tapline_mqtt::{Properties, SessionOptions, Will};
use tapline_pipe::reject::{Reason, Rejection};
use tapline_pipe::template::{Template, Variables};

use crate::args::Args;
use crate::compose::{check_text, seconds};
use crate::notice::Notice;

/// What client identifiers begin with if nothing else is asked for.
const PREFIX: &str = "mqtt-pub-";

/// The identities of one client, or with `per` of one for each of its texts.
#[derive(Debug)]
pub(crate) struct Identity {
    per: Option<Template>,
    /// With `per`: what the client identifiers begin with.
    prefix: String,
    will: Option<Notice>,
    will_delay: Duration,
    birth: Option<Notice>,
}

impl Identity {
    /// What the arguments ask for.
    pub(crate) fn new(args: &Args) -> anyhow::Result<Self> {
        let per = args.client_per.clone();
        if let Some(per) = &per {
            per.require_envelope(args.publish.envelope)
                .context("--client-per")?;
        }
        let will = args.will.notice().map(|notice| Notice {
            headers: args.will_header.clone(),
            properties: Properties {
                content_type: args.will_content_type.clone(),
                message_expiry: args.will_expiry.map(seconds),
                ..Properties::default()
            },
            ..notice
        });
        let birth = args.birth.notice();
        for (notice, name) in [(&will, "will"), (&birth, "birth")] {
            if let Some(notice) = notice {
                notice.check(name, per.is_some(), args.publish.envelope)?;
            }
        }
        let prefix = args.connect.client_id.as_deref().unwrap_or(PREFIX);
        Ok(Self {
            per,
            prefix: prefix.to_owned(),
            will,
            will_delay: args.will_delay.unwrap_or_default(),
            birth,
        })
    }

    /// Whether there is a client for each text of a field.
    pub(crate) fn is_fleet(&self) -> bool {
        self.per.is_some()
    }

    /// Puts the text into `name` that tells the client of this record from others: nothing if there is
    /// one client only.
    pub(crate) fn name(&self, from: &Variables<'_>, name: &mut String) -> Result<(), Rejection> {
        name.clear();
        let Some(per) = &self.per else {
            return Ok(());
        };
        per.render_checked(from, name, check_text)?;
        let most = usize::from(u16::MAX);
        let wrong = if name.is_empty() {
            "a client identifier cannot be made of nothing".to_owned()
        } else if self.prefix.len() + name.len() > most {
            format!("a client identifier has at most {most} bytes")
        } else {
            return Ok(());
        };
        Err(Rejection::new(Reason::BadField, wrong))
    }

    /// Fills in what the client of this name and record is.
    pub(crate) fn fill(
        &self,
        name: &str,
        from: &Variables<'_>,
        options: &mut SessionOptions,
    ) -> Result<(), Rejection> {
        if self.is_fleet() {
            options.client_id = format!("{}{name}", self.prefix);
        }
        options.will = match &self.will {
            Some(will) => Some(Will {
                message: will.message(from)?,
                delay: self.will_delay,
            }),
            None => None,
        };
        let birth = self.birth.as_ref().map(|birth| birth.message(from));
        options.birth = birth.transpose()?;
        Ok(())
    }
}
