//! Topics that records name as they come: each is looked up once, on a thread of its own, since a producer's caller must
//! not wait.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use crate::client::{ClientError, Settings};

use super::topics::{self, Probe, TopicInfo};

/// A connection that was not needed for so long is given up: nobody serves it meanwhile.
const IDLE: Duration = Duration::from_secs(5);

/// How topics that don't exist are created: `None` for what the cluster is set to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewTopics {
    /// Partitions.
    pub partitions: Option<u16>,
    /// Copies of each.
    pub replication: Option<u16>,
}

/// What is known of a topic that was asked for.
#[derive(Debug)]
pub struct TopicAnswer {
    /// Its name.
    pub name: String,
    /// The topic, or why it can't be used: [`ClientError::UnknownTopic`] where it doesn't exist.
    pub topic: Result<TopicInfo, ClientError>,
    /// It was created for this.
    pub is_new: bool,
}

/// Looks topics up, one after the other.
#[derive(Debug)]
pub struct TopicLookup {
    questions: Sender<String>,
    answers: Receiver<TopicAnswer>,
}

impl TopicLookup {
    /// Starts the thread; it connects with the first question. With `new` topics that don't exist are created.
    ///
    /// # Errors
    ///
    /// The system has no thread.
    pub fn start(settings: Settings, new: Option<NewTopics>) -> io::Result<Self> {
        let (questions, asked) = mpsc::channel();
        let (told, answers) = mpsc::channel();
        thread::Builder::new()
            .name("topics".to_owned())
            .spawn(move || serve(&settings, new, &asked, &told))?;
        Ok(Self { questions, answers })
    }

    /// Asks for a topic.
    pub fn ask(&self, name: &str) {
        // A thread that has ended gives no answers either.
        let _ = self.questions.send(name.to_owned());
    }

    /// The next answer, in the order of the questions, if it is there within `wait`.
    ///
    /// # Errors
    ///
    /// The thread has ended, so no answer will come.
    pub fn answer(&self, wait: Duration) -> Result<Option<TopicAnswer>, ClientError> {
        match self.answers.recv_timeout(wait) {
            Ok(answer) => Ok(Some(answer)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(ClientError::Fatal {
                what: "topics cannot be looked up",
                reason: "the thread for that has ended".to_owned(),
            }),
        }
    }
}

fn serve(
    settings: &Settings,
    new: Option<NewTopics>,
    asked: &Receiver<String>,
    told: &Sender<TopicAnswer>,
) {
    let mut probe = None;
    loop {
        let name = match &probe {
            Some(_) => asked.recv_timeout(IDLE),
            None => asked.recv().map_err(RecvTimeoutError::from),
        };
        let name = match name {
            Ok(name) => name,
            Err(RecvTimeoutError::Timeout) => {
                probe = None;
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut topic = ask(settings, &mut probe, &name);
        let mut is_new = false;
        if let (Some(new), Err(ClientError::UnknownTopic { .. })) = (new, &topic) {
            topic = topics::create(settings, &name, new.partitions, new.replication);
            is_new = topic.is_ok();
        }
        if let Err(ClientError::Unreachable { .. }) = topic {
            probe = None;
        }
        let answer = TopicAnswer {
            name,
            topic,
            is_new,
        };
        if told.send(answer).is_err() {
            return;
        }
    }
}

fn ask(
    settings: &Settings,
    probe: &mut Option<Probe>,
    name: &str,
) -> Result<TopicInfo, ClientError> {
    let probe = match probe {
        Some(probe) => probe,
        None => probe.insert(topics::probe(settings, false)?.0),
    };
    topics::ask(settings, probe, name)
}
