//! How the registry names the schema of a topic's keys or values: Confluent's three strategies.

/// Which part of a Kafka record a schema is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The key.
    Key,
    /// The value.
    Value,
}

/// How a subject is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, clap::ValueEnum)]
pub enum SubjectStrategy {
    /// `<topic>-value`: one schema, and its versions, for a topic (`TopicNameStrategy`).
    #[default]
    Topic,
    /// The schema's title: the same in every topic (`RecordNameStrategy`).
    Record,
    /// `<topic>-<title>`: several kinds of records in a topic (`TopicRecordNameStrategy`).
    TopicRecord,
}

/// The schema has no title, so there is no subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the schema has no \"title\", which the subject strategies record and topic-record need")]
pub struct NoTitle;

impl SubjectStrategy {
    /// The subject for a topic's `part` with a schema of this title.
    ///
    /// # Errors
    /// When the strategy needs a title and there is none.
    pub fn subject(self, topic: &str, part: Part, title: Option<&str>) -> Result<String, NoTitle> {
        let title = || title.filter(|title| !title.is_empty()).ok_or(NoTitle);
        Ok(match self {
            SubjectStrategy::Topic => match part {
                Part::Key => format!("{topic}-key"),
                Part::Value => format!("{topic}-value"),
            },
            SubjectStrategy::Record => title()?.to_owned(),
            SubjectStrategy::TopicRecord => format!("{topic}-{}", title()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_those_of_confluents_clients() {
        use {Part::*, SubjectStrategy::*};
        let title = Some("Generator");
        for (strategy, part, subject) in [
            (Topic, Value, "t-value"),
            (Topic, Key, "t-key"),
            (Record, Value, "Generator"),
            (Record, Key, "Generator"),
            (TopicRecord, Value, "t-Generator"),
        ] {
            assert_eq!(strategy.subject("t", part, title).unwrap(), subject);
        }
        assert_eq!(Topic.subject("t", Value, None).unwrap(), "t-value");
    }

    #[test]
    fn without_a_title_there_is_no_record_subject() {
        for strategy in [SubjectStrategy::Record, SubjectStrategy::TopicRecord] {
            for title in [None, Some("")] {
                assert_eq!(strategy.subject("t", Part::Value, title), Err(NoTitle));
            }
        }
    }
}
