//! The topics that records name: each is looked up before its first record is sent, or created.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tapline_kafka::{
    ClientError, NewTopics, Settings, TopicAnswer, TopicLookup, check_topic_name,
    is_topic_character,
};
use tapline_pipe::console::Console;
use tapline_pipe::publish::SendError;
use tapline_pipe::reject::{Reason, Rejection};
use tapline_pipe::template::{Placeholder, Template, Variables};

use crate::args::Args;

/// A topic that could not be used is asked for again after this time: somebody may have created it.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// How long to wait between two looks for an answer.
const LOOK: Duration = Duration::from_millis(2);

/// A broker that has not answered for so long needs no such haste.
const UNREACHED: Duration = Duration::from_secs(1);

/// Fills in the topic of a record.
///
/// # Errors
///
/// The template has no text for it, or one that no topic can have.
pub(crate) fn render(
    template: &Template,
    from: &Variables<'_>,
    name: &mut String,
) -> Result<(), Rejection> {
    name.clear();
    template.render_checked(from, name, check)?;
    check_topic_name(name).map_err(|why| {
        let detail = format!("the topic made of it is none: {why}");
        Rejection::new(Reason::BadField, detail)
    })
}

fn check(placeholder: &Placeholder, text: &str) -> Result<(), Rejection> {
    match text.chars().find(|c| !is_topic_character(*c)) {
        None => Ok(()),
        Some(found) => Err(placeholder.refuse(format!(
            "{placeholder} holds {found:?}, which the name of a Kafka topic cannot"
        ))),
    }
}

/// Reads the template of an address.
///
/// # Errors
///
/// It is none, or no record can make a topic of it.
pub(crate) fn parse(text: &str) -> anyhow::Result<Template> {
    let template: Template = text.parse()?;
    if let Some(name) = template.constant() {
        anyhow::bail!("'{name}' is not the name of a topic: names hold no braces");
    }
    for part in template.texts() {
        if let Some(found) = part.chars().find(|c| !is_topic_character(*c)) {
            anyhow::bail!("'{text}': the name of a Kafka topic cannot hold {found:?}");
        }
    }
    check_topic_name(&template.filled("x")).map_err(|why| anyhow::anyhow!("'{text}': {why}"))?;
    if let Some(levels) = template
        .placeholders()
        .find(|placeholder| placeholder.is_reserved())
    {
        anyhow::bail!("'{levels}': the name of a Kafka topic has no levels, so it takes no '+'");
    }
    Ok(template)
}

/// What is known of the topics that records have named.
#[derive(Debug)]
pub(crate) struct Destinations {
    lookup: TopicLookup,
    known: HashMap<Box<str>, Known>,
    /// Topics that records may go to.
    most: usize,
    /// How many of the known ones there are.
    usable: usize,
    /// The topic that is asked for.
    asked: Option<String>,
    /// Since when no question was answered.
    unanswered: Option<Instant>,
    /// The partition that all records go to.
    partition: Option<i32>,
    delivery_timeout: Option<Duration>,
    console: Console,
}

#[derive(Debug)]
enum Known {
    Usable,
    /// Why it can't be used, and when to ask again.
    Unusable(Rejection, Instant),
}

impl Destinations {
    /// Knows no topic yet.
    ///
    /// # Errors
    ///
    /// The system has no thread.
    pub(crate) fn new(
        args: &Args,
        settings: &Settings,
        console: &Console,
    ) -> std::io::Result<Self> {
        let new = args.create_topic.then_some(NewTopics {
            partitions: args.partitions,
            replication: args.replication_factor,
        });
        Ok(Self {
            lookup: TopicLookup::start(settings.clone(), new)?,
            known: HashMap::new(),
            most: args.max_topics,
            usable: 0,
            asked: None,
            unanswered: None,
            partition: args.partition,
            delivery_timeout: args.delivery_timeout,
            console: console.clone(),
        })
    }

    /// How long to wait at most before the record at hand is offered again, which is longer when no broker answers.
    pub(crate) fn patience(&self) -> Duration {
        match self.unanswered {
            Some(since) if since.elapsed() < UNREACHED => LOOK,
            _ => Duration::MAX,
        }
    }

    /// Whether records can go to this topic: `Full` while that is not known yet.
    ///
    /// # Errors
    ///
    /// They can't, or nothing more can be looked up.
    pub(crate) fn find(&mut self, name: &str) -> Result<(), SendError> {
        self.hear()?;
        match self.known.get(name) {
            Some(Known::Usable) => return Ok(()),
            Some(Known::Unusable(why, until)) if Instant::now() < *until => {
                return Err(SendError::Reject(why.clone()));
            }
            _ => {}
        }
        if self.usable >= self.most {
            let most = self.most;
            let detail =
                format!("topic '{name}': {most} topics are the most that --max-topics allows");
            return Err(Rejection::new(Reason::Refused, detail).into());
        }
        self.ask(name)
    }

    /// A topic is gone: it is looked up again before the next record is sent there.
    pub(crate) fn forget(&mut self, name: &str) {
        if let Some(Known::Usable) = self.known.remove(name) {
            self.usable -= 1;
        }
    }

    fn ask(&mut self, name: &str) -> Result<(), SendError> {
        let since = *self.unanswered.get_or_insert_with(Instant::now);
        // One question at a time: without a broker they would pile up.
        if self.asked.is_none() {
            self.lookup.ask(name);
            self.asked = Some(name.to_owned());
        }
        match self.delivery_timeout {
            Some(timeout) if since.elapsed() >= timeout => {
                let detail = format!(
                    "not delivered within --delivery-timeout: no broker says whether topic '{name}' exists"
                );
                Err(Rejection::new(Reason::NotDelivered, detail).into())
            }
            _ => Err(SendError::Full),
        }
    }

    /// Takes down the answer, if it is there.
    fn hear(&mut self) -> Result<(), SendError> {
        if self.asked.is_none() {
            return Ok(());
        }
        let answer = self.lookup.answer(Duration::ZERO);
        match answer.map_err(|error| SendError::Fatal(error.into()))? {
            Some(answer) => self.note(answer),
            None => Ok(()),
        }
    }

    fn note(&mut self, answer: TopicAnswer) -> Result<(), SendError> {
        let TopicAnswer {
            name,
            topic,
            is_new,
        } = answer;
        self.asked = None;
        let known = match topic {
            Ok(topic) => {
                let count = topic.partitions.len();
                if is_new {
                    self.console.info(format_args!(
                        "topic '{name}' was made with {count} partitions"
                    ));
                }
                match self.partition {
                    Some(partition) if usize::try_from(partition).is_ok_and(|at| at >= count) => {
                        unusable(format!("topic '{name}' has no partition {partition}"))
                    }
                    _ => Known::Usable,
                }
            }
            Err(error @ ClientError::UnknownTopic { .. }) => {
                unusable(format!("{error} (--create-topic makes it)"))
            }
            Err(error @ ClientError::Topic { .. }) => unusable(error.to_string()),
            Err(ClientError::Unreachable { .. }) => {
                // The producer tells of it, and the record waits as it would for its delivery.
                return Ok(());
            }
            Err(error) => return Err(SendError::Fatal(error.into())),
        };
        self.unanswered = None;
        self.remember(name, known);
        Ok(())
    }

    fn remember(&mut self, name: String, known: Known) {
        self.forget(&name);
        if let Known::Usable = known {
            self.usable += 1;
        } else if self.known.len() >= self.most.saturating_mul(2) {
            // Made-up names must not fill the memory.
            self.known.retain(|_, known| matches!(known, Known::Usable));
        }
        self.known.insert(name.into(), known);
    }
}

fn unusable(why: String) -> Known {
    Known::Unusable(
        Rejection::new(Reason::Refused, why),
        Instant::now() + ASK_AGAIN,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::sync::Arc;
    use tapline_kafka::{Address, Properties};
    use tapline_pipe::console::Level;

    fn rendered(template: &str, value: &str) -> Result<String, Rejection> {
        let mut name = String::new();
        let template = parse(template).unwrap();
        render(&template, &Variables::plain(value.as_bytes()), &mut name)?;
        Ok(name)
    }

    #[test]
    fn a_record_whose_topic_is_no_name_is_rejected() {
        assert_eq!(
            rendered("{a}", r#"{"a":"x.1-Y_"}"#).as_deref(),
            Ok("x.1-Y_")
        );
        assert_eq!(rendered(".{a}", r#"{"a":""}"#).unwrap_err().path, None);
        for value in ["a/b", "ä", " ", "a\\u0000", "a\\n"] {
            let rejection = rendered("t-{a}", &format!(r#"{{"a":"{value}"}}"#)).unwrap_err();
            assert_eq!(rejection.reason, Reason::BadField, "{value}");
            assert_eq!(rejection.path.as_deref(), Some("/a"), "{value}");
            assert!(
                !rejection.detail.contains(['\0', '\n']),
                "{}",
                rejection.detail
            );
        }
        let long = "x".repeat(248);
        for (template, value) in [("{a}", ""), ("{a}", "."), (".{a}", "."), ("t-{a}", &long)] {
            let rejection = rendered(template, &format!(r#"{{"a":"{value}"}}"#)).unwrap_err();
            assert_eq!(rejection.reason, Reason::BadField, "{value}");
        }
        let longest = rendered("t{a}", &format!(r#"{{"a":"{long}"}}"#)).unwrap();
        assert_eq!(longest.len(), 249);
    }

    #[test]
    fn names_that_devices_make_up_are_not_all_kept() {
        let args = [
            "kafka-produce",
            "kafka://127.0.0.1:1/{t}",
            "--max-topics",
            "10",
        ];
        let args = Args::parse_from(args);
        let (address, _) = Address::with_template(&args.address).unwrap();
        let sink = Arc::new(|_, _: &str| {});
        let settings = Settings::new(&address, Properties::new(), Duration::ZERO, sink);
        let console = Console::new("kafka-produce", Level::Quiet, std::io::sink(), false);
        let mut destinations = Destinations::new(&args, &settings, &console).unwrap();
        destinations.remember("there".to_owned(), Known::Usable);
        for n in 0..1000 {
            let unusable = unusable("it does not exist".to_owned());
            destinations.remember(format!("made-up-{n}"), unusable);
            assert!(destinations.known.len() <= 20);
        }
        assert!(destinations.find("there").is_ok());
        let why = destinations.find("made-up-999").unwrap_err();
        assert!(matches!(why, SendError::Reject(why) if why.reason == Reason::Refused));
        destinations.forget("there");
        assert_eq!(destinations.usable, 0);
    }

    #[test]
    fn what_can_make_no_topic_is_found_before_any_record() {
        for (template, part) in [
            ("{a", "not closed"),
            ("a}}b", "no braces"),
            ("a/{b}", "cannot hold '/'"),
            ("{a} ", "cannot hold ' '"),
            ("{+a}", "takes no '+'"),
            ("{$topics}", "not a member"),
        ] {
            let error = parse(template).unwrap_err().to_string();
            assert!(error.contains(part), "{template}: {error}");
        }
        let long = format!("{}{{a}}", "x".repeat(249));
        assert!(parse(&long).is_err());
    }
}
