//! One connection of a session: both directions are kept moving by one task, writes are gathered,
//! and neither side ever waits for the other.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::error::{ConnectError, SessionError};
use crate::handshake::Accepted;
use crate::heartbeat::Heartbeat;
use crate::ledger::{Acked, Received, Reply, Transmit};
use crate::message::{Delivery, Message, Qos};
use crate::options::{Event, Limits};
use crate::packet::{self, AckKind, Decoded, Decoder, Encoder};
use crate::reason::Reason;
use crate::session::State;
use crate::shared::Status;
use crate::wire::Wire;

/// How a connection ended.
pub(crate) enum End {
    /// With DISCONNECT, on request.
    Closed,
    /// It broke; another may follow.
    Lost(String),
    /// No other will do better.
    Fatal(SessionError),
}

/// Bytes that are gathered before a write; more only if one packet is larger.
const OUTPUT_BYTES: usize = 128 << 10;

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
    deliveries: Vec<Delivery>,
    reading: bool,
    /// The SUBSCRIBE that waits for its SUBACK, and until when it may.
    subscribing: Option<(u16, Instant)>,
    session_present: bool,
    heartbeat: Heartbeat,
    tick: Pin<Box<Sleep>>,
    useful: bool,
}

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
            reading: true,
            subscribing: None,
            session_present: accepted.session_present,
            heartbeat,
            tick: Box::pin(sleep(tick)),
            useful: false,
        }
    }

    /// Whether anything but the CONNACK came from the broker.
    pub(crate) fn was_useful(&self) -> bool {
        self.useful
    }

    /// Gives back to the session what did not get out.
    pub(crate) fn salvage(mut self) {
        self.settle_written();
        let unsent = self.unwritten.drain(..);
        self.state
            .outgoing
            .disconnected(unsent.map(|entry| (entry.ticket, entry.message)));
        self.state.post();
        self.state.shared.deliver(&mut self.deliveries);
    }

    /// Runs until the end.
    pub(crate) async fn run(&mut self) -> End {
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
                return End::Lost(describe(&error));
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

    /// Handles the packets that are there, as far as the inbox has room.
    fn read_packets(&mut self) -> Result<(), End> {
        let options = &self.state.options;
        let (mut messages, mut bytes) = self
            .state
            .shared
            .room(options.inbox_messages, options.inbox_bytes);
        let was_reading = self.reading;
        loop {
            self.reading = messages > 0 && bytes > 0;
            if !self.reading {
                // So that the application's next `receive` wakes this task.
                let options = &self.state.options;
                self.state.shared.deliver(&mut self.deliveries);
                (messages, bytes) = self
                    .state
                    .shared
                    .room(options.inbox_messages, options.inbox_bytes);
                if messages == 0 || bytes == 0 {
                    break;
                }
                continue;
            }
            match self.decoder.next(&mut self.wire.input) {
                Ok(Some(packet)) => {
                    let before = self.deliveries.len();
                    self.handle(packet)?;
                    if let Some(delivery) = self.deliveries.get(before) {
                        messages -= 1;
                        bytes = bytes.saturating_sub(delivery.topic.len() + delivery.payload.len());
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    return Err(End::Lost(format!("the broker sent {error}")));
                }
            }
        }
        if self.reading && !was_reading {
            self.heartbeat.resumed(Instant::now());
        }
        Ok(())
    }

    fn handle(&mut self, packet: Decoded) -> Result<(), End> {
        match packet {
            // Of a kept session that another one has subscribed: it stays with the broker, unanswered. Nobody
            // would take it out of the inbox.
            Decoded::Publish { .. } if self.state.options.subscriptions.is_empty() => {}
            Decoded::Publish {
                id,
                topic,
                payload,
                qos,
                retain,
                dup,
                properties,
            } => {
                if let Received::Deliver(token) = self.state.incoming.receive(id, qos) {
                    self.deliveries.push(Delivery {
                        topic,
                        payload,
                        qos,
                        retain,
                        dup,
                        properties,
                        token,
                    });
                }
            }
            Decoded::Ack {
                kind,
                id,
                reason,
                text,
            } => self.acknowledged(kind, id, reason, text),
            Decoded::PubRel { id } => {
                let found = self.state.incoming.release(id);
                self.encoder.pub_comp(&mut self.wire.output, id, found);
            }
            Decoded::SubAck { id, reasons } => self.subscribed(id, &reasons)?,
            Decoded::PingResp => {}
            Decoded::Disconnect { reason, text } => return Err(self.disconnected(reason, text)),
            Decoded::ConnAck { .. } => {
                return Err(End::Lost("the broker sent a second CONNACK".to_owned()));
            }
        }
        self.useful = true;
        Ok(())
    }

    fn acknowledged(&mut self, kind: AckKind, id: u16, reason: Reason, text: Option<String>) {
        let outgoing = &mut self.state.outgoing;
        let acked = match kind {
            AckKind::PubAck => outgoing.pub_ack(id, reason),
            AckKind::PubRec => outgoing.pub_rec(id, reason),
            AckKind::PubComp => outgoing.pub_comp(id, reason),
        };
        match acked {
            Acked::Settled {
                ticket,
                size,
                reason,
            } => {
                let outcome = if reason.is_failure() {
                    Err(Box::new(crate::Refusal::Broker { reason, text }))
                } else {
                    Ok(reason)
                };
                self.state.settle(ticket, size, outcome);
            }
            // A PUBREC wants its answer even if nothing is known of it (section 4.3.3).
            Acked::Unknown if kind == AckKind::PubRec && !reason.is_failure() => {
                self.encoder.pub_rel(&mut self.wire.output, id, false);
            }
            Acked::Released | Acked::Unknown => {}
        }
    }

    fn subscribed(&mut self, id: u16, reasons: &[Reason]) -> Result<(), End> {
        if !self.state.outgoing.subscribed(id) {
            return Ok(());
        }
        self.subscribing = None;
        for (subscription, &reason) in self.state.options.subscriptions.iter().zip(reasons) {
            let filter = subscription.filter.clone();
            if reason.is_failure() {
                let refused = ConnectError::SubscriptionRefused { filter, reason };
                return Err(End::Fatal(self.state.refused(refused)));
            }
            let granted = Qos::from_level(reason.0).unwrap_or_default();
            if granted < subscription.qos {
                self.state.tell(Event::Downgraded {
                    filter,
                    asked: subscription.qos,
                    granted,
                });
            }
        }
        if !self.session_present {
            self.online();
        }
        Ok(())
    }

    fn disconnected(&self, reason: Reason, text: Option<String>) -> End {
        if reason == Reason::SESSION_TAKEN_OVER {
            let client_id = self.state.options.client_id.clone();
            return End::Fatal(SessionError::TakenOver { client_id });
        }
        if reason.ends_session() {
            return End::Fatal(SessionError::Disconnected { reason, text });
        }
        End::Lost(format!("the broker disconnected: {reason}"))
    }

    /// Appends what is due to the output, answers first, until it holds enough for a write.
    fn write_packets(&mut self) {
        while self.wire.output.len() < OUTPUT_BYTES {
            match self.state.incoming.next_reply() {
                Some(Reply::PubAck(id)) => Encoder::pub_ack(&mut self.wire.output, id),
                Some(Reply::PubRec(id)) => Encoder::pub_rec(&mut self.wire.output, id),
                None => break,
            }
        }
        while self.wire.output.len() < OUTPUT_BYTES && self.subscribing.is_none() && self.transmit()
        {
        }
    }

    /// Appends one packet of the outgoing ledger; false if none is due.
    fn transmit(&mut self) -> bool {
        let refused = match self.state.outgoing.next() {
            None => return false,
            Some(Transmit::PubRel { id }) => {
                self.encoder.pub_rel(&mut self.wire.output, id, true);
                None
            }
            Some(Transmit::Publish { id, dup, message }) => self
                .encoder
                .publish(&mut self.wire.output, message, id, dup)
                .err()
                .map(|refusal| (id, refusal)),
            Some(Transmit::Fire { ticket, message }) => {
                match self
                    .encoder
                    .publish(&mut self.wire.output, &message, 0, false)
                {
                    Ok(()) => {
                        let end = self.wire.appended();
                        self.unwritten.push_back(Unwritten {
                            end,
                            ticket,
                            message,
                        });
                    }
                    Err(refusal) => {
                        self.state
                            .settle(ticket, message.size(), Err(Box::new(refusal)));
                    }
                }
                None
            }
        };
        if let Some((id, refusal)) = refused
            && let Some((ticket, size)) = self.state.outgoing.withdraw(id)
        {
            self.state.settle(ticket, size, Err(Box::new(refusal)));
        }
        true
    }

    /// Messages of QoS 0 are delivered, as far as anyone can tell, when the system has them.
    fn settle_written(&mut self) {
        while self
            .unwritten
            .front()
            .is_some_and(|entry| entry.end <= self.wire.written)
        {
            if let Some(Unwritten {
                ticket, message, ..
            }) = self.unwritten.pop_front()
            {
                self.state
                    .settle(ticket, message.size(), Ok(Reason::SUCCESS));
            }
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
        self.heartbeat
            .check(now, self.reading, self.wire.written)
            .map_err(|silence| End::Lost(silence.to_string()))?;
        if self.heartbeat.is_due(now, self.reading) {
            Encoder::ping(&mut self.wire.output);
            self.heartbeat.pinged(self.wire.appended());
        }
        Ok(())
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

fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the broker closed the connection".to_owned(),
        io::ErrorKind::ConnectionReset => "the broker reset the connection".to_owned(),
        _ => error.to_string(),
    }
}
