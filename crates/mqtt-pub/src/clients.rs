//! The connections that the messages go over: one, or with `--client-per` one for each device.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tapline_mqtt::{
    Limits, Message, PublishError, Reactor, Session, SessionError, SessionOptions, Settled,
};
use tapline_pipe::publish::SendError;
use tapline_pipe::reject::{Reason, Rejection};
use tapline_pipe::template::Variables;

use crate::identity::Identity;
use crate::standstill::{Sight, Standstills, Wait};
use crate::teller::Teller;

/// How often it is looked for clients that have come to a standstill.
const LOOK: Duration = Duration::from_secs(1);

/// How long and up to how many messages are gathered before they are set under way, so that those of one
/// device go out together: to send each alone is what a fleet would spend most time on, here and in the
/// broker. One that comes alone doesn't wait.
const GATHERING: Duration = Duration::from_millis(30);
const GATHERED: usize = 10_000;

/// Bounds on a fleet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Clients at a time.
    pub(crate) clients: usize,
    /// Why there can be no more, for the person who wants them.
    pub(crate) because: &'static str,
    /// How long a client may be at a standstill while others get on.
    pub(crate) standstill: Duration,
    /// How long the messages of a client that has failed are rejected before another attempt.
    pub(crate) retry: Duration,
}

/// The clients of a run.
pub(crate) struct Clients {
    // The sessions go before the reactor that drives them.
    all: Vec<Client>,
    /// How many were opened so far.
    opened: u64,
    /// By name: the place in `all`.
    places: HashMap<Box<str>, usize>,
    /// Those with messages that were not flushed.
    unflushed: Vec<usize>,
    reactor: Reactor,
    options: SessionOptions,
    identity: Identity,
    bounds: Bounds,
    teller: Teller,
    /// The limits of the first connection, once it is there.
    limits: Option<Limits>,
    looked: Instant,
    standstills: Standstills,
    /// Messages that were given to clients since the last flush, and when that was.
    gathered: usize,
    flushed: Instant,
    /// The name at hand, kept for its memory.
    name: String,
}

#[derive(Debug)]
struct Client {
    session: Session,
    failure: Option<Failure>,
    /// Whether the broker had let it in before it failed.
    was_let_in: bool,
    is_flushed: bool,
    /// Messages that its session was given.
    given: u64,
    wait: Wait,
}

/// Why a client's messages are rejected.
#[derive(Clone, Debug)]
struct Failure {
    reason: Reason,
    why: String,
    /// `None`: for good.
    until: Option<Instant>,
}

impl Clients {
    /// No client yet. `options` are what all have in common.
    pub(crate) fn new(
        reactor: Reactor,
        options: SessionOptions,
        identity: Identity,
        bounds: Bounds,
        teller: Teller,
    ) -> Self {
        Self {
            all: Vec::new(),
            opened: 0,
            places: HashMap::new(),
            unflushed: Vec::new(),
            reactor,
            options,
            identity,
            bounds,
            teller,
            limits: None,
            looked: Instant::now(),
            standstills: Standstills::new(bounds.standstill, Instant::now()),
            gathered: 0,
            flushed: Instant::now(),
            name: String::new(),
        }
    }

    /// Whether there is one for each device.
    pub(crate) fn is_fleet(&self) -> bool {
        self.identity.is_fleet()
    }

    /// The client for this record, opened if there is none yet.
    pub(crate) fn place(&mut self, from: &Variables<'_>) -> Result<usize, Rejection> {
        self.identity.name(from, &mut self.name)?;
        if let Some(&place) = self.places.get(self.name.as_str()) {
            if self.is_due_again(place) {
                self.all[place] = self.open(from, self.all[place].was_let_in)?;
            }
            return Ok(place);
        }
        let free = self.free_place()?;
        let client = self.open(from, false)?;
        let place = free.unwrap_or(self.all.len());
        if free.is_some() {
            self.places.retain(|_, taken| *taken != place);
            self.all[place] = client;
        } else {
            self.all.push(client);
        }
        self.places.insert(self.name.as_str().into(), place);
        Ok(place)
    }

    /// The place that a new client takes over, `None` for one behind all. Clients that the broker has never let in are
    /// remembered as long as there is room: made-up names must not keep devices out.
    fn free_place(&self) -> Result<Option<usize>, Rejection> {
        if self.all.len() < self.bounds.clients {
            return Ok(None);
        }
        let refused = self.all.iter().enumerate();
        let refused = refused.filter(|(_, client)| client.is_forgettable());
        // The one that failed first.
        let until = |client: &Client| client.failure.as_ref().map(|failure| failure.until);
        if let Some((place, _)) = refused.min_by_key(|(_, client)| until(client)) {
            return Ok(Some(place));
        }
        let (count, because) = (self.all.len(), self.bounds.because);
        let detail = format!("{count} clients are the most that {because}");
        Err(Rejection::new(Reason::Refused, detail))
    }

    /// Opens a client with the name at hand; `was_let_in` says whether an earlier session of it had a connection.
    fn open(&mut self, from: &Variables<'_>, was_let_in: bool) -> Result<Client, Rejection> {
        let mut options = self.options.clone();
        self.identity.fill(&self.name, from, &mut options)?;
        // Once one connection was there, an attempt that fails does so for a reason of its own, or for one that
        // passes.
        options.patient = self.limits.is_some();
        options.known = was_let_in;
        options.seed ^= self.opened;
        self.opened += 1;
        let client_id = self.identity.is_fleet().then_some(&*options.client_id);
        options.on_event = self.teller.of_client(client_id);
        Ok(Client {
            session: self.reactor.open(options),
            failure: None,
            was_let_in,
            is_flushed: true,
            given: 0,
            wait: Wait::default(),
        })
    }

    /// Whether the client has failed, and has rested since.
    fn is_due_again(&self, place: usize) -> bool {
        let client = &self.all[place];
        let until = client.failure.as_ref().and_then(|failure| failure.until);
        // Until it has ended, some of its messages may not be settled.
        until.is_some_and(|until| Instant::now() >= until) && client.session.has_ended()
    }

    /// Waits at most `wait` for the first connection: what the broker takes, `None` if it is not there yet,
    /// or why there is none.
    pub(crate) fn wait_first(
        &mut self,
        wait: Duration,
    ) -> Result<Option<Limits>, Arc<SessionError>> {
        if self.limits.is_none()
            && let Some(first) = self.all.first()
            && let Some(result) = first.session.wait_connected(wait)
        {
            result?;
            // It may be gone again by now: then nothing is known of its limits.
            self.limits = Some(first.session.limits().unwrap_or_default());
        }
        Ok(self.limits)
    }

    /// Gives a message to the client at this place.
    pub(crate) fn publish(
        &mut self,
        place: usize,
        ticket: u64,
        message: Message,
    ) -> Result<(), Unsent> {
        let client = &mut self.all[place];
        if let Some(failure) = &client.failure {
            return Err(Unsent::Other(SendError::Reject(failure.rejection())));
        }
        match client.session.publish(ticket, message) {
            Ok(()) => {}
            Err(PublishError::Full(message)) => return Err(Unsent::Full(message)),
            Err(PublishError::Ended(error)) if self.identity.is_fleet() => {
                let failure = Failure::of(&error, self.bounds.retry);
                let rejection = failure.rejection();
                client.fail(failure);
                return Err(Unsent::Other(SendError::Reject(rejection)));
            }
            Err(PublishError::Ended(error)) => return Err(Unsent::Ended(error)),
        }
        client.given += 1;
        self.gathered += 1;
        if std::mem::take(&mut client.is_flushed) {
            self.unflushed.push(place);
        }
        Ok(())
    }

    /// Sets messages under way and appends those that are settled; waits for the first at most `wait`.
    pub(crate) fn poll(&mut self, wait: Duration, settled: &mut Vec<Settled>) {
        let is_time = self.gathered >= GATHERED || self.flushed.elapsed() >= GATHERING;
        if is_time || !self.identity.is_fleet() {
            self.flush();
        }
        self.reactor.settled(wait, settled);
        if self.identity.is_fleet() && self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            self.notice_failures();
            self.end_standstills();
        }
    }

    /// Sets all messages under way.
    fn flush(&mut self) {
        if self.unflushed.is_empty() {
            return;
        }
        (self.gathered, self.flushed) = (0, Instant::now());
        for &place in &self.unflushed {
            self.all[place].is_flushed = true;
        }
        let places = self.unflushed.drain(..);
        self.reactor
            .flush(places.map(|place| &self.all[place].session));
    }

    /// Why no message can be delivered any more.
    pub(crate) fn failure(&self) -> Option<Arc<SessionError>> {
        if self.identity.is_fleet() {
            return None;
        }
        self.all.first()?.session.failure()
    }

    /// Takes down which sessions have failed, also of clients that get no further message.
    fn notice_failures(&mut self) {
        for client in &mut self.all {
            if client.failure.is_none()
                && let Some(error) = client.session.failure()
            {
                client.fail(Failure::of(&error, self.bounds.retry));
            }
        }
    }

    /// Hangs up clients that have come to a standstill, so that they don't hold up the others: what is behind
    /// a message in the input is kept until it is settled, and there is a bound on what is kept.
    fn end_standstills(&mut self) {
        let own = self.options.keep_alive;
        let clients = self.all.iter_mut().enumerate();
        let clients = clients.filter(|(_, client)| client.failure.is_none());
        let sights = clients.map(|(place, client)| (place, client.sight(own), &mut client.wait));
        let still = self.standstills.look(self.looked, sights);
        for place in still {
            let client = &mut self.all[place];
            client.fail(Failure::standstill(
                self.standstills.limit(),
                self.bounds.retry,
            ));
            client.session.hang_up();
        }
    }

    /// Gives up what is not settled.
    pub(crate) fn abandon(&self) {
        for client in &self.all {
            client.session.abandon();
        }
    }

    /// Ends all sessions in an orderly way, at most for `wait` in all; how many did not come to it.
    pub(crate) fn close(&self, wait: Duration) -> usize {
        let deadline = Instant::now() + wait;
        let sessions = self.all.iter().map(|client| &client.session);
        let open: Vec<_> = sessions
            .filter(|session| session.failure().is_none())
            .collect();
        for session in &open {
            session.start_close();
        }
        let left = || deadline.saturating_duration_since(Instant::now());
        open.iter().filter(|session| !session.close(left())).count()
    }
}

impl Client {
    fn fail(&mut self, failure: Failure) {
        self.was_let_in |= match self.session.wait_connected(Duration::ZERO) {
            None => false,
            Some(Ok(())) => true,
            Some(Err(error)) => !matches!(*error, SessionError::Connect(_)),
        };
        self.failure = Some(failure);
    }

    /// Whether nothing is lost with it: it has failed, all that it was given is settled, and the broker has never let
    /// it in.
    fn is_forgettable(&self) -> bool {
        self.failure.is_some() && !self.was_let_in && self.session.settled() == self.given
    }

    /// How it stands; `own` is the keep alive that counts where the broker wants no other [MQTT-3.1.2-21].
    fn sight(&self, own: Duration) -> Sight {
        let limits = self.session.limits();
        let keep_alive = |limits: Limits| {
            let wanted = limits.keep_alive.map(u64::from);
            wanted.map_or(own, Duration::from_secs)
        };
        Sight {
            given: self.given,
            settled: self.session.settled(),
            connection: limits.map(keep_alive),
        }
    }
}

/// Why a message was not taken.
#[derive(Debug)]
pub(crate) enum Unsent {
    /// There is no room for it now.
    Full(Box<Message>),
    /// The only session is over.
    Ended(Arc<SessionError>),
    Other(SendError),
}

impl Failure {
    fn of(error: &SessionError, retry: Duration) -> Self {
        Self {
            // A client that the broker has never let in is no matter of time.
            reason: match error {
                SessionError::Connect(_) => Reason::Refused,
                _ => Reason::NotDelivered,
            },
            why: error.to_string(),
            until: match error {
                // Two that take the session from each other would go on for ever.
                SessionError::TakenOver { .. } => None,
                _ => Some(Instant::now() + retry),
            },
        }
    }

    fn standstill(time: Duration, retry: Duration) -> Self {
        Self {
            reason: Reason::NotDelivered,
            why: format!("none of its messages was acknowledged for {time:?}"),
            until: Some(Instant::now() + retry),
        }
    }

    fn rejection(&self) -> Rejection {
        Rejection::new(self.reason, format!("its client has failed: {}", self.why))
    }
}

#[cfg(test)]
#[path = "clients_tests.rs"]
mod tests;
