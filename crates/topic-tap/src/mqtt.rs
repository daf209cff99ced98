//! The MQTT side: a session with one subscription, and the messages that are safe.

use std::{
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use tapline_mqtt::{
    Address, Capacity, Delivery, Event, Reactor, Session, Subscription, Token, topic::check_filter,
};
use tapline_pipe::{console::Console, stop::Stop};

use crate::{
    args::Args,
    line::Arrived,
    pending::Mark,
    source::{Found, TURN, Take},
};

/// How often a wait for the broker looks whether it should end.
const LOOK: Duration = Duration::from_millis(100);

/// A filter on an MQTT broker.
pub struct Source {
    // The session goes before the reactor that drives it.
    session: Session,
    _reactor: Reactor,
    address: String,
    inbox: Vec<Delivery>,
    /// The last message that is safe, and the last that the session knows of as such.
    safe: u64,
    passed_on: u64,
}

impl Source {
    /// Connects and subscribes.
    ///
    /// # Errors
    ///
    /// The address has no filter, an option is wrong, or the broker can't be reached or refuses.
    pub fn open(address: &Address, args: &Args, console: &Console, stop: &Stop) -> Result<Self> {
        let filter = address
            .require_topic()
            .with_context(|| address.to_string())?;
        check_filter(filter).with_context(|| address.to_string())?;
        if filter == "#" {
            console.warn(format_args!(
                "{address}: '#' alone taps every topic of the broker"
            ));
        }
        let password = std::env::var("MQTT_PASSWORD").ok();
        let timeout = args.kafka.connect_timeout;
        let mut options =
            args.mqtt
                .options(address.broker.clone(), "topic-tap", timeout, password)?;
        let mut subscription = Subscription::new(filter, args.qos);
        subscription.retain_as_published = true;
        options.subscriptions.push(subscription);
        options.on_event = on_event(console.clone(), address.to_string());
        let reactor = Reactor::start(Capacity::default()).context("MQTT")?;
        let session = reactor.open(options);
        wait_connected(&session, timeout, stop).with_context(|| address.to_string())?;
        Ok(Self {
            session,
            _reactor: reactor,
            address: address.to_string(),
            inbox: Vec::with_capacity(TURN),
            safe: 0,
            passed_on: 0,
        })
    }

    /// See [`crate::source::Source::poll`].
    pub fn poll(&mut self, wait: Duration, take: &mut Take<'_>) -> Result<Found> {
        if self.inbox.is_empty() {
            let received = self.session.receive(wait, TURN, &mut self.inbox);
            received.map_err(|error| anyhow!("{}: {error}", self.address))?;
        }
        if self.inbox.is_empty() {
            return Ok(Found::Nothing);
        }
        let mut taken = 0;
        for delivery in &self.inbox {
            taken += 1;
            if take(Arrived::Mqtt(delivery), Some(Mark::Mqtt(delivery.token.0)))
                == ControlFlow::Break(())
            {
                break;
            }
        }
        self.inbox.drain(..taken);
        Ok(Found::Records)
    }

    /// All messages up to this place are safe.
    pub fn acknowledge(&mut self, place: u64) {
        self.safe = self.safe.max(place);
    }

    /// Lets the session acknowledge what is safe.
    pub fn pass_on(&mut self) {
        if self.safe > self.passed_on {
            self.session.acknowledge(Token(self.safe));
            self.passed_on = self.safe;
        }
    }

    /// Sends the last acknowledgements, then DISCONNECT.
    pub fn close(mut self, wait: Duration) -> Result<()> {
        self.pass_on();
        if !self.session.close(wait) && self.session.failure().is_none() {
            bail!(
                "{}: no orderly end: some acknowledgements may not have arrived",
                self.address
            );
        }
        Ok(())
    }
}

/// Waits for the first connection; a signal ends the wait.
fn wait_connected(session: &Session, timeout: Duration, stop: &Stop) -> Result<()> {
    // The session bounds the attempt itself; this is for the case that it can't.
    let deadline = Instant::now() + timeout + Duration::from_secs(5);
    loop {
        match session.wait_connected(LOOK) {
            Some(result) => return result.map_err(|error| anyhow!("{error}")),
            None if stop.requested().is_some() => bail!("stopped before the broker answered"),
            None if Instant::now() > deadline => bail!("no answer within {timeout:?}"),
            None => {}
        }
    }
}

fn on_event(console: Console, address: String) -> Arc<dyn Fn(Event) + Send + Sync> {
    Arc::new(move |event| match event {
        Event::Connected { again: false, .. } => {
            console.verbose(format_args!("{address}: tapping"));
        }
        Event::Connected {
            again: true,
            session_present,
        } => {
            let session = if session_present {
                "the session goes on"
            } else {
                "a new session"
            };
            console.info(format_args!("{address}: connected again, {session}"));
        }
        Event::Downgraded {
            filter,
            asked,
            granted,
        } => {
            console.warn(format_args!(
                "{address}: {filter}: the broker grants QoS {granted}, not {asked}"
            ));
        }
        Event::Lost { why, retry_in } => {
            console.warn(format_args!(
                "{address}: connection lost: {why}; trying again in {retry_in:.1?}"
            ));
        }
        Event::ExpiresSooner { asked, granted } => {
            console.warn(format_args!(
                "{address}: the broker keeps the session for {granted:?}, not for the {asked:?} of --session-expiry"
            ));
        }
        // Told where it ends the run; and nothing is published here.
        Event::Failed(_) | Event::Closed | Event::BirthRefused(_) => {}
    })
}
