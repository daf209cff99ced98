//! Tests of the publishing loop with a client that answers by a script.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Write as _, pipe},
    os::fd::BorrowedFd,
    time::SystemTime,
};

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    acks::AckWriter,
    checkpoint::Checkpoint,
    console::{Captured, Level},
    io::{output::Output, stop::Stop},
    ledger::Ticket,
    reject::Rejects,
    report::Report,
};

/// What the client does with the next record that it is offered.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Answer {
    Deliver,
    Refuse,
    Reject,
    FullOnce,
    /// Is given up after a while.
    TimeOut,
    /// Never settles.
    Keep,
    Fatal,
}

#[derive(Serialize)]
pub(super) struct Receipt {
    at: Ticket,
}

#[derive(Default)]
pub(super) struct Scripted {
    script: VecDeque<Answer>,
    in_flight: Vec<(Ticket, Answer)>,
    pub(super) sent: Vec<String>,
    abandoned: bool,
    /// Settle the newest first.
    backwards: bool,
    /// Ask for a stop when so many were sent.
    stop_after: Option<(usize, Stop)>,
    /// Ask for a stop when it was polled so often.
    pub(super) stop_after_polls: Option<(usize, Stop)>,
}

impl Publisher for Scripted {
    type Receipt = Receipt;

    const MOST_KEPT: usize = 1 << 14;

    fn send(&mut self, ticket: Ticket, record: &Outgoing<'_>) -> Result<(), SendError> {
        let answer = self.script.pop_front().unwrap_or(Answer::Deliver);
        match answer {
            Answer::FullOnce => return Err(SendError::Full),
            Answer::Reject => return Err(Rejection::new(Reason::MissingField, "none").into()),
            Answer::Fatal => return Err(SendError::Fatal("the client is broken".into())),
            Answer::Deliver | Answer::Refuse | Answer::TimeOut | Answer::Keep => {}
        }
        self.in_flight.push((ticket, answer));
        self.sent
            .push(String::from_utf8_lossy(record.value().unwrap_or_default()).into_owned());
        if let Some((after, stop)) = &self.stop_after
            && self.sent.len() == *after
        {
            stop.request(crate::io::stop::Signal::Terminate);
        }
        Ok(())
    }

    fn poll(&mut self, _: Duration, settled: &mut Vec<Settled<Receipt>>) -> Result<(), Fatal> {
        if let Some((left, stop)) = &mut self.stop_after_polls {
            *left = left.saturating_sub(1);
            if *left == 0 {
                stop.request(crate::io::stop::Signal::Terminate);
            }
        }
        if self.backwards {
            self.in_flight.reverse();
        }
        self.in_flight.retain(|(ticket, answer)| {
            match answer {
                Answer::Deliver => settled.push((*ticket, Ok(Receipt { at: *ticket }))),
                Answer::Refuse => {
                    settled.push((*ticket, Err(Rejection::new(Reason::Refused, "no"))));
                }
                Answer::TimeOut => {
                    settled.push((*ticket, Err(Rejection::new(Reason::NotDelivered, "late"))));
                }
                _ => return true,
            }
            false
        });
        Ok(())
    }

    fn abandon(&mut self) {
        self.abandoned = true;
    }
}

pub(super) struct Ran {
    pub(super) summary: Summary,
    pub(super) ending: Result<Ending, String>,
    pub(super) tee: String,
    pub(super) messages: String,
    pub(super) rejects: String,
    pub(super) acks: String,
    pub(super) report: String,
    /// The line of the checkpoint; 0 if none was reached.
    pub(super) checkpoint: u64,
}

pub(super) fn publish(
    client: &mut Scripted,
    lines: &[u8],
    stop: Stop,
    change: impl FnOnce(&mut Plan<File>),
) -> Ran {
    publish_with(client, lines, stop, change)
}

pub(super) fn publish_with<P: Publisher>(
    client: &mut P,
    lines: &[u8],
    stop: Stop,
    change: impl FnOnce(&mut Plan<File>),
) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("input"), lines).unwrap();
    let mut input = Input::new(File::open(file("input")).unwrap(), 100, stop);
    let messages = Captured::default();
    let tee = File::create(file("tee")).unwrap();
    let console = Console::new("t", Level::Normal, messages.clone(), false);
    let mut plan = Plan {
        envelope: false,
        strict: false,
        rate: None,
        drain_timeout: Duration::ZERO,
        rejects: Rejects::open(console.clone(), Some(&file("rejects"))).unwrap(),
        tee: Some(Output::new("stdout", tee, false)),
        acks: Some(AckWriter::open(&file("acks")).unwrap()),
        checkpoint: Some(Checkpoint::open(&file("checkpoint")).unwrap()),
        report: Some(Report::open(&file("report")).unwrap()),
        started: SystemTime::UNIX_EPOCH,
    };
    change(&mut plan);
    let (summary, ending) = run(client, &mut input, plan, &console);
    let read = |name| std::fs::read_to_string(file(name)).unwrap_or_default();
    Ran {
        summary,
        ending: ending.map_err(|error| error.to_string()),
        tee: read("tee"),
        messages: messages.text(),
        rejects: read("rejects"),
        acks: read("acks"),
        report: read("report"),
        checkpoint: Checkpoint::open(&file("checkpoint")).unwrap().start().line,
    }
}

fn script(answers: &[Answer]) -> Scripted {
    Scripted {
        script: answers.iter().copied().collect(),
        ..Scripted::default()
    }
}

#[test]
fn what_was_acknowledged_before_the_client_broke_is_delivered() {
    let mut client = script(&[Answer::Deliver, Answer::Keep, Answer::Fatal]);
    let ran = publish(&mut client, b"a\nb\nc\n", Stop::manual().unwrap(), |_| ());
    assert_eq!(ran.ending, Err("the client is broken".to_owned()));
    let summary = ran.summary;
    assert_eq!(
        (summary.read, summary.delivered, summary.rejected),
        (3, 1, 2)
    );
    assert_eq!(ran.tee, "a\n");
    assert!(!ran.rejects.contains(r#""line":1,"#), "{}", ran.rejects);
}

#[test]
fn the_tee_has_what_was_delivered_in_the_order_of_the_input() {
    let mut client = script(&[
        Answer::Deliver,
        Answer::Refuse,
        Answer::FullOnce,
        Answer::Deliver,
        Answer::Reject,
    ]);
    client.backwards = true;
    let ran = publish(
        &mut client,
        b"a\nb\n\nc\nd\ne",
        Stop::manual().unwrap(),
        |_| (),
    );
    assert_eq!(ran.tee, "a\nc\ne\n");
    assert_eq!(ran.ending, Ok(Ending::Complete));
    let summary = ran.summary;
    assert_eq!(
        (
            summary.read,
            summary.delivered,
            summary.rejected,
            summary.blank,
            summary.bytes
        ),
        (5, 3, 2, 1, 5)
    );
    assert!(
        ran.rejects.contains(r#""line":2,"reason":"refused""#),
        "{}",
        ran.rejects
    );
    assert!(
        ran.rejects.contains(r#""line":5,"reason":"missing-field""#),
        "{}",
        ran.rejects
    );
    let mut reported: Vec<_> = ran.report.lines().collect();
    let begin = r#"{"run":{"tool":"t","started":"1970-01-01T00:00:00.000Z","input":"stdin"}}"#;
    assert_eq!(reported.remove(0), begin);
    assert_eq!(reported[0], r#"{"line":1,"at":0}"#);
    assert!(reported[1].starts_with(r#"{"line":2,"reason":"refused""#));
    assert_eq!(reported.len(), 5);
}

#[test]
fn a_full_client_costs_a_paced_record_no_slot() {
    let mut client = script(&[Answer::FullOnce, Answer::FullOnce]);
    let stop = Stop::manual().unwrap();
    client.stop_after_polls = Some((1000, stop.clone()));
    // The next slot would be in an hour.
    let ran = publish(&mut client, b"a\n", stop, |plan| {
        plan.rate = Some(1.0 / 3600.0);
    });
    assert_eq!(ran.ending, Ok(Ending::Complete));
    assert_eq!(ran.tee, "a\n");
}

#[test]
fn a_line_over_the_limit_takes_no_neighbour_with_it() {
    let input = [b"a\n", "x".repeat(101).as_bytes(), b"\nb\n"].concat();
    let ran = publish(
        &mut Scripted::default(),
        &input,
        Stop::manual().unwrap(),
        |_| (),
    );
    assert_eq!(ran.tee, "a\nb\n");
    assert_eq!((ran.summary.read, ran.summary.rejected), (3, 1));
    assert!(
        ran.rejects.contains(r#""line":2,"reason":"too-long""#),
        "{}",
        ran.rejects
    );
}

#[test]
fn envelopes_give_their_value_and_their_seq_is_acknowledged() {
    let input =
        b"{\"seq\":7,\"value\":1.10}\n{\"seq\":8,\"n\":1}\n{\"seq\":9,\"tombstone\":true}\n";
    let mut client = Scripted::default();
    let ran = publish(&mut client, input, Stop::manual().unwrap(), |plan| {
        plan.envelope = true;
    });
    assert_eq!(client.sent, ["1.10", ""]);
    assert_eq!((ran.summary.delivered, ran.summary.rejected), (2, 1));
    assert!(ran.rejects.contains("bad-envelope"), "{}", ran.rejects);
    assert_eq!((ran.acks.as_str(), ran.checkpoint), ("9\nend\n", 3));
}

#[test]
fn a_seq_alone_is_settled_and_passed_on_and_sent_nowhere() {
    let input = b"{\"seq\":1}\n{\"seq\":2,\"value\":2}\n{\"seq\":3}\n";
    let mut client = Scripted::default();
    let ran = publish(&mut client, input, Stop::manual().unwrap(), |plan| {
        plan.envelope = true;
    });
    assert_eq!(client.sent, ["2"]);
    let counts = (
        ran.summary.read,
        ran.summary.delivered,
        ran.summary.rejected,
    );
    assert_eq!((counts, ran.rejects.as_str()), ((1, 1, 0), ""));
    assert_eq!(ran.tee.as_bytes(), input);
    assert_eq!((ran.acks.as_str(), ran.checkpoint), ("3\nend\n", 3));
    assert_eq!(
        ran.report
            .lines()
            .filter(|line| line.contains("\"line\":"))
            .count(),
        1
    );
}

#[test]
fn nothing_behind_an_open_record_is_acknowledged() {
    let stop = Stop::manual().unwrap();
    let mut client = script(&[Answer::Deliver, Answer::Keep]);
    client.stop_after = Some((3, stop.clone()));
    let input = b"{\"seq\":1,\"value\":1}\n{\"seq\":2,\"value\":2}\n{\"seq\":3,\"value\":3}\n";
    let ran = publish(&mut client, input, stop, |plan| {
        plan.envelope = true;
        plan.tee = None;
    });
    assert_eq!(
        ran.ending,
        Ok(Ending::Signal(crate::io::stop::Signal::Terminate))
    );
    assert!(client.abandoned);
    // The second was given up, the third is delivered: neither may be taken for safe.
    assert_eq!((ran.acks.lines().last(), ran.checkpoint), (Some("1"), 1));
    assert_eq!(
        (ran.summary.delivered, ran.summary.rejected),
        (2, 1),
        "{}",
        ran.messages
    );
    assert!(
        ran.rejects.contains(r#""line":2,"reason":"not-delivered""#),
        "{}",
        ran.rejects
    );
    assert!(
        ran.messages.contains("t: SIGTERM: ")
            && ran.messages.contains("1 records were not delivered"),
        "{}",
        ran.messages
    );
}

#[test]
fn strict_stops_at_the_first_reject() {
    let many = "1\n".repeat(2000);
    let mut client = script(&[Answer::Deliver, Answer::Reject]);
    let ran = publish(
        &mut client,
        many.as_bytes(),
        Stop::manual().unwrap(),
        |plan| plan.strict = true,
    );
    assert_eq!(ran.ending, Ok(Ending::Strict));
    assert_eq!(ran.summary.rejected, 1);
    assert!(
        ran.summary.read <= u64::from(BETWEEN_POLLS) + 2,
        "{:?}",
        ran.summary
    );
    assert_eq!(ran.summary.read, ran.summary.delivered + 1);
}

#[test]
fn a_client_that_breaks_leaves_every_record_accounted_for() {
    let mut client = script(&[Answer::Keep, Answer::Fatal]);
    let ran = publish(&mut client, b"a\nb\nc\n", Stop::manual().unwrap(), |_| ());
    assert_eq!(ran.ending, Err("the client is broken".to_owned()));
    assert_eq!((ran.summary.read, ran.summary.rejected), (2, 2));
    assert_eq!(ran.rejects.lines().count(), 2);
}

#[test]
fn a_record_that_is_given_up_ends_a_run_that_must_vouch_for_it() {
    let input = b"{\"seq\":1,\"value\":1}\n{\"seq\":2,\"value\":2}\n{\"seq\":3,\"value\":3}\n";
    let answers = [Answer::Deliver, Answer::TimeOut, Answer::Deliver];
    let ran = publish(
        &mut script(&answers),
        input,
        Stop::manual().unwrap(),
        |plan| {
            plan.envelope = true;
        },
    );
    assert!(
        ran.ending
            .unwrap_err()
            .starts_with("line 2 was not delivered")
    );
    assert_eq!((ran.acks.lines().last(), ran.checkpoint), (Some("1"), 1));
    assert_eq!((ran.summary.delivered, ran.summary.rejected), (2, 1));
    let ran = publish(
        &mut script(&answers),
        input,
        Stop::manual().unwrap(),
        |plan| {
            plan.acks = None;
            plan.checkpoint = None;
        },
    );
    assert_eq!(ran.ending, Ok(Ending::Complete));
}

#[test]
fn a_reader_that_goes_away_ends_the_run_quietly() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("input");
    File::create(&path)
        .unwrap()
        .write_all(&b"line\n".repeat(100_000))
        .unwrap();
    let mut input = Input::new(File::open(&path).unwrap(), 100, Stop::manual().unwrap());
    let messages = Captured::default();
    let console = Console::new("t", Level::Normal, messages.clone(), false);
    let plan = Plan {
        envelope: false,
        strict: false,
        rate: None,
        drain_timeout: Duration::ZERO,
        rejects: Rejects::open(console.clone(), None).unwrap(),
        tee: Some(Output::new("stdout", writer, false)),
        acks: None,
        checkpoint: None,
        report: None,
        started: SystemTime::UNIX_EPOCH,
    };
    let (summary, ending) = run(&mut Scripted::default(), &mut input, plan, &console);
    assert_eq!(ending.unwrap(), Ending::ReaderGone);
    assert!(summary.read < 100_000, "{summary:?}");
    assert_eq!(summary.read, summary.delivered);
    assert_eq!(messages.text(), "");
}

/// Gives two lines, then an error.
struct Breaks(File, bool);

impl Read for Breaks {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if std::mem::replace(&mut self.1, true) {
            return Err(io::Error::other("the disk is gone"));
        }
        into[..4].copy_from_slice(b"a\nb\n");
        Ok(4)
    }
}

impl AsFd for Breaks {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[test]
fn an_input_that_breaks_ends_the_run_after_what_was_read_is_delivered() {
    let breaks = Breaks(tempfile::tempfile().unwrap(), false);
    let mut input = Input::new(breaks, 100, Stop::manual().unwrap());
    let console = Console::new("t", Level::Normal, Captured::default(), false);
    let plan = Plan::<File> {
        envelope: false,
        strict: false,
        rate: None,
        drain_timeout: Duration::ZERO,
        rejects: Rejects::open(console.clone(), None).unwrap(),
        tee: None,
        acks: None,
        checkpoint: None,
        report: None,
        started: SystemTime::UNIX_EPOCH,
    };
    let (summary, ending) = run(&mut Scripted::default(), &mut input, plan, &console);
    assert_eq!(ending.unwrap_err().to_string(), "stdin: the disk is gone");
    assert_eq!((summary.read, summary.delivered), (2, 2));
}

proptest! {
    #[test]
    fn read_is_delivered_plus_rejected_whatever_the_client_does(
        answers in vec(
            prop_oneof![
                6 => Just(Answer::Deliver),
                1 => Just(Answer::Refuse),
                1 => Just(Answer::Reject),
                1 => Just(Answer::FullOnce),
                1 => Just(Answer::Keep),
            ],
            0..40,
        ),
        backwards in any::<bool>(),
        stop_after in 0usize..40,
        fatal in proptest::option::of(0usize..40),
    ) {
        let stop = Stop::manual().unwrap();
        let mut client = script(&answers);
        if let Some(at) = fatal.filter(|at| *at < client.script.len()) {
            client.script[at] = Answer::Fatal;
        }
        client.backwards = backwards;
        // What never settles is only given up in a drain, so each of these runs is stopped.
        client.stop_after = Some((stop_after, stop.clone()));
        if stop_after == 0 || answers.len() < 40 {
            stop.request(crate::io::stop::Signal::Interrupt);
        }
        let input: String = (1..=40).fold(String::new(), |lines, seq| lines + &format!("{{\"seq\":{seq},\"value\":{seq}}}\n"));
        let ran = publish(&mut client, input.as_bytes(), stop, |plan| {
            plan.envelope = true;
            plan.drain_timeout = Duration::from_millis(5);
        });
        let summary = ran.summary;
        prop_assert_eq!(summary.read, summary.delivered + summary.rejected);
        prop_assert_eq!(summary.rejected, ran.rejects.lines().count() as u64);
        prop_assert_eq!(summary.delivered, ran.tee.lines().count() as u64);
        let seqs: Vec<u64> = ran.tee.lines().map(|line| Envelope::read(line.as_bytes()).unwrap().seq.unwrap()).collect();
        prop_assert!(seqs.is_sorted());
    }
}
