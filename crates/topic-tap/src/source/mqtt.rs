//! The MQTT side: a session with its subscriptions, and the messages that are safe.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use tapline_mqtt::{
    Address, Capacity, Delivery, Event, Qos, Reactor, RetainHandling, Session, Subscription, Token,
    Version, topic::check_filter,
};
use tapline_pipe::console::Console;

use crate::{
    args::{Args, Retained},
    line::Arrived,
    pending::Mark,
    source::turn::{Found, TURN, Take},
};

/// Filters on an MQTT broker, and the session that they share.
pub struct Source {
    // The session goes before the reactor that drives it.
    session: Session,
    _reactor: Reactor,
    /// The address, or of several filters the broker's.
    name: String,
    /// Take only messages whose retain flag is this.
    retained: Option<bool>,
    inbox: Vec<Delivery>,
    /// Places in the order of receipt: of the last message that was looked at, that was taken, that is safe, and that
    /// the session knows of as such.
    seen: u64,
    taken: u64,
    safe: u64,
    passed_on: u64,
}

impl Source {
    /// Connects and subscribes to the filters of `addresses`, which have one broker.
    ///
    /// # Errors
    ///
    /// An address has no filter, an option is wrong, or the broker can't be reached or refuses.
    pub fn open(addresses: &[Address], args: &Args, console: &Console) -> Result<Self> {
        let broker = &addresses[0].broker;
        let name = match addresses {
            [address] => address.to_string(),
            _ => broker.to_string(),
        };
        let password = std::env::var("MQTT_PASSWORD").ok();
        let timeout = args.kafka.connect_timeout();
        let mut options = args
            .mqtt
            .options(broker.clone(), "topic-tap", timeout, password)?;
        for address in addresses {
            let subscription =
                subscription(address, args, console).with_context(|| address.to_string())?;
            options.subscriptions.push(subscription);
        }
        let names = addresses.iter().map(Address::to_string).collect();
        options.on_event = on_event(console.clone(), name.clone(), names);
        let reactor = Reactor::start(Capacity::default()).context("MQTT")?;
        let session = reactor.open(options);
        wait_connected(&session, timeout).with_context(|| name.clone())?;
        Ok(Self {
            session,
            _reactor: reactor,
            name,
            retained: wanted_flag(args),
            inbox: Vec::with_capacity(TURN),
            seen: 0,
            taken: 0,
            safe: 0,
            passed_on: 0,
        })
    }

    /// See [`crate::source::Source::poll`].
    pub fn poll(&mut self, wait: Duration, take: &mut Take<'_>) -> Result<Found> {
        if self.inbox.is_empty() {
            let received = self.session.receive(wait, TURN, &mut self.inbox);
            received.map_err(|error| anyhow!("{}: {error}", self.name))?;
        }
        if self.inbox.is_empty() {
            return Ok(Found::Nothing);
        }
        let mut looked_at = 0;
        for delivery in &self.inbox {
            looked_at += 1;
            self.seen = delivery.token.0;
            if self.retained.is_some_and(|flag| delivery.retain != flag) {
                continue;
            }
            self.taken = self.seen;
            let mark = Mark::Mqtt(self.taken, delivery.qos != Qos::AtMostOnce);
            if take(Arrived::Mqtt(delivery), Some(mark)) == ControlFlow::Break(()) {
                break;
            }
        }
        self.inbox.drain(..looked_at);
        Ok(Found::Records)
    }

    /// All messages up to this place are safe.
    pub fn acknowledge(&mut self, place: u64) {
        self.safe = self.safe.max(place);
    }

    /// Lets the session acknowledge what is safe.
    pub fn pass_on(&mut self) {
        // What was passed over behind the last safe message is nobody's, so the broker may forget it, too.
        let safe = if self.safe >= self.taken {
            self.seen
        } else {
            self.safe
        };
        if safe > self.passed_on {
            self.session.acknowledge(Token(safe));
            self.passed_on = safe;
        }
    }

    /// Sends the last acknowledgements, then DISCONNECT.
    pub fn close(mut self, wait: Duration) -> Result<()> {
        self.pass_on();
        if !self.session.close(wait) && self.session.failure().is_none() {
            bail!(
                "{}: no orderly end: some acknowledgements may not have arrived",
                self.name
            );
        }
        Ok(())
    }
}

/// What is asked of the broker for an address.
fn subscription(address: &Address, args: &Args, console: &Console) -> Result<Subscription> {
    let filter = address.require_topic()?;
    check_filter(filter)?;
    let wanted = &args.subscription;
    let shared = filter.starts_with("$share/");
    if shared && wanted.no_local {
        bail!("--no-local is not for a shared subscription [MQTT-3.8.3-4]");
    }
    if shared && wanted.retained == Retained::Only {
        bail!("--retained only: a shared subscription gets no retained messages");
    }
    if filter == "#" {
        console.warn(format_args!(
            "{address}: '#' alone taps every topic of the broker"
        ));
    }
    let mut subscription = Subscription::new(filter, wanted.qos);
    subscription.no_local = wanted.no_local;
    // The flag as it was published is what a copy wants, unless it is to tell what the broker had kept.
    subscription.retain_as_published = wanted.retained != Retained::Only;
    if wanted.retained == Retained::Hide {
        subscription.retain_handling = RetainHandling::Never;
    }
    Ok(subscription)
}

/// The retain flag of what is wanted, where the flag says what the broker had kept: in MQTT 3.1.1 it always does
/// [MQTT-3.3.1-9], in MQTT 5 without Retain As Published. What is to be hidden MQTT 5 doesn't send at all.
fn wanted_flag(args: &Args) -> Option<bool> {
    match (args.subscription.retained, args.mqtt.mqtt_version) {
        (Retained::Only, _) => Some(true),
        (Retained::Hide, Version::V311) => Some(false),
        (Retained::Hide | Retained::Show, _) => None,
    }
}

/// Waits for the first connection.
fn wait_connected(session: &Session, timeout: Duration) -> Result<()> {
    // The session bounds the attempt itself; this is for the case that it can't.
    match session.wait_connected(timeout + Duration::from_secs(5)) {
        Some(result) => result.map_err(|error| anyhow!("{error}")),
        None => bail!("no answer within {timeout:?}"),
    }
}

fn on_event(
    console: Console,
    name: String,
    addresses: Vec<String>,
) -> Arc<dyn Fn(Event) + Send + Sync> {
    Arc::new(move |event| match event {
        Event::Connected {
            again: false,
            session_present,
        } => {
            let kept = if session_present {
                ", in a session that the broker had kept"
            } else {
                ""
            };
            for address in &addresses {
                console.verbose(format_args!("{address}: tapping{kept}"));
            }
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
            console.info(format_args!("{name}: connected again, {session}"));
        }
        Event::Downgraded {
            filter,
            asked,
            granted,
        } => {
            console.warn(format_args!(
                "{name}: {filter}: the broker grants QoS {granted}, not {asked}"
            ));
        }
        Event::Lost { why, retry_in, .. } => {
            console.warn(format_args!(
                "{name}: connection lost: {why}; trying again in {retry_in:.1?}"
            ));
        }
        Event::ExpiresSooner { asked, granted } => {
            console.warn(format_args!(
                "{name}: the broker keeps the session for {granted:?}, not for the {asked:?} of --session-expiry"
            ));
        }
        // Told where it ends the run; and nothing is published here.
        Event::Failed(_) | Event::Closed | Event::BirthRefused(_) => {}
    })
}
