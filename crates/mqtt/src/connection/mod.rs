//! One connection of a session: both directions are kept moving by one task, writes are gathered,
//! and neither side ever waits for the other.

mod input;
mod output;

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::channel::{Held, Status};
use crate::error::SessionError;
use crate::event::{Event, Limits};
use crate::handshake::Accepted;
use crate::heartbeat::Heartbeat;
use crate::message::Message;
use crate::packet::{self, Decoder, Encoder};
use crate::session::state::State;
use crate::wire::Wire;

/// How a connection ended.
pub(crate) enum End {
    /// With DISCONNECT, on request.
    Closed,
    /// The broker ended it; another may follow.
    HungUp(String),
    /// It broke; another may follow.
    Lost(String),
    /// No other will do better.
    Fatal(SessionError),
}

/// An answer that is due, `found` being whether the identifier is known.
enum Answer {
    PubRel { id: u16, found: bool },
    PubComp { id: u16, found: bool },
}

/// The most answers that wait for room in the output, and for the application. A broker that reads them never comes near:
/// it has no more packet identifiers. From one that doesn't nothing more is read.
const MOST_ANSWERS: usize = u16::MAX as usize;

/// A message of QoS 0 in the output.
struct Unwritten {
    /// The position in the stream behind its last byte.
    end: u64,
    ticket: u64,
    message: Message,
}

/// A connection and what belongs to it alone.
pub(crate) struct Connection<'a> {
    state: &'a mut State,
    wire: Wire,
    decoder: Decoder,
    encoder: Encoder,
    limits: Limits,
    unwritten: VecDeque<Unwritten>,
    deliveries: Vec<Held>,
    /// Bytes of the input that were taken since the last delivery.
    taken: usize,
    /// Answers that don't wait for the application.
    answers: VecDeque<Answer>,
    reading: bool,
    /// The SUBSCRIBE that waits for its SUBACK, and until when it may.
    subscribing: Option<(u16, Instant)>,
    session_present: bool,
    heartbeat: Heartbeat,
    tick: Pin<Box<Sleep>>,
    /// Until when nothing is published because the broker is busy, and how long that was last.
    paused_until: Option<Instant>,
    pause: Duration,
    /// Whether a message is on trial, see `may_transmit`.
    is_trial: bool,
    seen: Seen,
}

/// What has happened on a connection so far.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Anything but the CONNACK came.
    answer: bool,
    /// A message was acknowledged, or came.
    progress: bool,
    /// A message of QoS 0 was written, which nothing is ever said of.
    fired: bool,
}

/// How long nothing is published when the broker is busy: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl<'a> Connection<'a> {
    /// Takes over an accepted connection and makes due what the session has left.
    pub(crate) fn new(state: &'a mut State, accepted: Accepted) -> Self {
        let limits = accepted.limits;
        state
            .outgoing
            .connected(accepted.session_present, limits.receive_maximum);
        state.outgoing.be_born(state.options.birth.clone());
        state.incoming.connected(accepted.session_present);
        let keep_alive = match limits.keep_alive {
            // [MQTT-3.1.2-21]
            Some(seconds) => Duration::from_secs(u64::from(seconds)),
            None => Duration::from_secs(u64::from(state.options.keep_alive_seconds())),
        };
        let is_trial = state.is_trying();
        let heartbeat = Heartbeat::new(keep_alive, Instant::now());
        let tick = heartbeat.tick();
        Self {
            encoder: Encoder::new(state.options.version, limits),
            state,
            wire: Wire::new(accepted.stream, accepted.input),
            decoder: accepted.decoder,
            limits,
            unwritten: VecDeque::new(),
            deliveries: Vec::new(),
            taken: 0,
            answers: VecDeque::new(),
            reading: true,
            subscribing: None,
            session_present: accepted.session_present,
            heartbeat,
            tick: Box::pin(sleep(tick)),
            paused_until: None,
            pause: Duration::ZERO,
            is_trial,
            seen: Seen::default(),
        }
    }

    /// Whether a message was acknowledged on it, or came.
    pub(crate) fn has_progressed(&self) -> bool {
        self.seen.progress
    }

    /// Publishes nothing for a while, and for longer each time in a row: the broker is busy.
    fn pause(&mut self, now: Instant) {
        if self.paused_until.is_some() {
            // What was sent before the pause.
            return;
        }
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        let until = now + self.pause;
        self.paused_until = Some(until);
        self.state.outgoing.pause(true);
        if until < self.tick.deadline() {
            self.tick.as_mut().reset(until);
        }
    }

    fn end_pause(&mut self) {
        if self
            .paused_until
            .is_some_and(|until| Instant::now() >= until)
        {
            self.paused_until = None;
            self.state.outgoing.pause(false);
        }
    }

    /// The first message that the broker has not answered.
    fn first_unanswered(&self) -> Option<u64> {
        let unwritten = self.unwritten.front().map(|entry| entry.ticket);
        self.state.outgoing.first_unanswered().or(unwritten)
    }

    /// Gives back to the session what did not get out, and asks what may have led to the end: whether a message is on
    /// trial for it, by a broker that otherwise listens.
    pub(crate) fn salvage(mut self, end: &End) -> bool {
        self.settle_written();
        let first = self.first_unanswered();
        let unsent = self.unwritten.drain(..);
        self.state
            .outgoing
            .disconnected(unsent.map(|entry| (entry.ticket, entry.message)));
        let mut is_trial = false;
        if let End::HungUp(why) = end {
            is_trial = self.state.hung_up(first, why);
        }
        self.state.post();
        self.state.shared.deliver(&mut self.deliveries);
        is_trial && (self.seen.answer || !self.is_trial)
    }

    /// Runs until the end.
    pub(crate) async fn run(&mut self) -> End {
        if self.is_trial {
            // The broker is to show that it listens, see `may_transmit`.
            self.ping();
        }
        if let Err(end) = self.subscribe() {
            return end;
        }
        loop {
            self.state.collect();
            if let Err(end) = self.read_packets() {
                return end;
            }
            self.write_packets();
            if let Err(end) = self.keep_alive() {
                return end;
            }
            self.settle_written();
            self.state.post();
            self.state.shared.deliver(&mut self.deliveries);
            if self.state.may_close() {
                if self.state.shared.is_hanging_up() {
                    return End::Closed;
                }
                if self.wire.output.is_empty() && self.subscribing.is_none() {
                    return self.close().await;
                }
            }
            if let Err(error) = self.step().await {
                return lost(&error);
            }
        }
    }

    /// Subscribes, unless the broker has kept the subscriptions of this very run.
    fn subscribe(&mut self) -> Result<(), End> {
        let kept = self.session_present && self.state.was_online;
        let subscriptions = &self.state.options.subscriptions;
        if subscriptions.is_empty() || kept {
            self.online();
            return Ok(());
        }
        let Some(id) = self.state.outgoing.subscribe_id() else {
            return Err(End::Lost("no packet identifier is free".to_owned()));
        };
        packet::subscribe(
            &mut self.wire.output,
            self.state.options.version,
            id,
            subscriptions,
        );
        let until = Instant::now() + self.state.options.connect_timeout;
        self.subscribing = Some((id, until));
        if self.session_present {
            // The messages of the kept session come first, and a broker whose window is full of them may say
            // nothing more, SUBACK included, until some are acknowledged.
            self.online();
        }
        Ok(())
    }

    fn online(&mut self) {
        let again = self.state.was_online;
        self.state.was_online = true;
        self.state.shared.set_status(Status::Online(self.limits));
        self.state.tell(Event::Connected {
            session_present: self.session_present,
            again,
        });
        let granted = self.limits.session_expiry.map(u64::from);
        if let (Some(asked), Some(granted)) = (self.state.options.session_expiry, granted)
            && granted < asked.as_secs()
        {
            let granted = Duration::from_secs(granted);
            self.state.tell(Event::ExpiresSooner { asked, granted });
        }
    }

    fn keep_alive(&mut self) -> Result<(), End> {
        let now = Instant::now();
        // While the inbox is full nothing is read, so the answer may be there already.
        if let Some((_, until)) = self.subscribing
            && self.reading
            && now >= until
        {
            return Err(End::Lost("no SUBACK came in time".to_owned()));
        }
        // Where nothing is read because the broker doesn't, its answer isn't either, and it is as good as gone.
        let listens = self.reading || self.answers.len() >= MOST_ANSWERS;
        self.heartbeat
            .check(now, listens, self.wire.written)
            .map_err(|silence| End::Lost(silence.to_string()))?;
        if self.heartbeat.is_due(now, self.reading) {
            self.ping();
        }
        Ok(())
    }

    fn ping(&mut self) {
        Encoder::ping(&mut self.wire.output);
        self.heartbeat.pinged(self.wire.appended());
    }

    /// Waits until something can be done, and does what input and output there is.
    async fn step(&mut self) -> io::Result<()> {
        let Self {
            state,
            wire,
            reading,
            heartbeat,
            tick,
            ..
        } = self;
        let mut wake = pin!(state.shared.wake.notified());
        poll_fn(|cx| {
            let mut progress = false;
            let output = wire.poll_output(cx);
            if *reading && wire.poll_input(cx)? {
                heartbeat.received(Instant::now());
                progress = true;
            }
            match output {
                Ok(false) => {}
                Ok(true) => {
                    heartbeat.sent(Instant::now());
                    progress = true;
                }
                // First what the broker said before it hung up: it may be why.
                Err(_) if progress => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            progress |= wake.as_mut().poll(cx).is_ready();
            if tick.as_mut().poll(cx).is_ready() {
                tick.as_mut().reset(Instant::now() + heartbeat.tick());
                if heartbeat.is_quiet() {
                    wire.shrink();
                }
                progress = true;
            }
            if progress {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            }
        })
        .await
    }

    async fn close(&mut self) -> End {
        let end_session = self.state.options.session_expiry.is_none();
        packet::disconnect(
            &mut self.wire.output,
            self.state.options.version,
            end_session,
        );
        self.wire.close().await;
        End::Closed
    }
}

fn lost(error: &io::Error) -> End {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => {
            End::HungUp("the broker closed the connection".to_owned())
        }
        io::ErrorKind::ConnectionReset => End::HungUp("the broker reset the connection".to_owned()),
        _ => End::Lost(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
