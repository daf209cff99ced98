//! Tells what happens to connections: of one each loss once, however many attempts follow, and of a
//! fleet that lost its broker the first loss and the last return.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tapline_mqtt::{Event, OnEvent};
use tapline_pipe::console::Console;

/// Tells of all connections to a broker.
#[derive(Clone)]
pub(crate) struct Teller {
    console: Console,
    broker: String,
    /// Clients that had a connection and have none, or want one in vain.
    away: Arc<AtomicUsize>,
    told_expiry: Arc<AtomicBool>,
    told_repeated: Arc<AtomicBool>,
}

impl Teller {
    pub(crate) fn new(console: Console, broker: String) -> Self {
        Self {
            console,
            broker,
            away: Arc::default(),
            told_expiry: Arc::default(),
            told_repeated: Arc::default(),
        }
    }

    /// The events of one client; `client_id` is given where there are several.
    pub(crate) fn of_client(&self, client_id: Option<&str>) -> OnEvent {
        let who = match client_id {
            Some(id) => format!("{}: client {}", self.broker, id.escape_debug()),
            None => self.broker.clone(),
        };
        let one = One {
            all: self.clone(),
            who,
            is_fleet: client_id.is_some(),
            away: AtomicBool::new(false),
        };
        Arc::new(move |event| one.tell(event))
    }
}

/// Tells of one connection.
struct One {
    all: Teller,
    who: String,
    is_fleet: bool,
    away: AtomicBool,
}

impl One {
    fn tell(&self, event: Event) {
        let (console, who) = (&self.all.console, &self.who);
        match event {
            Event::Connected {
                again,
                session_present,
            } => {
                let last = self.is_back();
                let session = if session_present {
                    "the session was kept"
                } else {
                    "a new session"
                };
                match (again, last) {
                    (false, _) => console.verbose(format_args!("{who}: connected")),
                    (true, true) if !self.is_fleet => {
                        console.info(format_args!("{who}: connected again, {session}"));
                    }
                    (true, _) => {
                        console.verbose(format_args!("{who}: connected again, {session}"));
                    }
                }
                if last && self.is_fleet {
                    let broker = &self.all.broker;
                    console.info(format_args!("{broker}: all clients are connected again"));
                }
            }
            Event::Lost {
                why,
                retry_in,
                repeated,
            } => {
                let known = self.away.swap(true, Ordering::Relaxed);
                let first = !known && self.all.away.fetch_add(1, Ordering::Relaxed) == 0;
                // Why it goes on is told once, of all clients.
                if first || repeated && !self.all.told_repeated.swap(true, Ordering::Relaxed) {
                    console.warn(format_args!("{who}: {why}; trying again"));
                } else {
                    console.verbose(format_args!("{who}: {why}; trying again in {retry_in:.1?}"));
                }
            }
            Event::Failed(error) => {
                self.is_back();
                if self.is_fleet {
                    console.verbose(format_args!("{who}: {error}"));
                }
            }
            Event::Closed => {
                self.is_back();
            }
            Event::BirthRefused(why) => {
                console.warn(format_args!("{who}: --birth-topic: {why}"));
            }
            Event::ExpiresSooner { asked, granted } => {
                // It is the same for all of a fleet.
                if !self.all.told_expiry.swap(true, Ordering::Relaxed) {
                    let broker = &self.all.broker;
                    console.warn(format_args!(
                        "{broker}: the broker keeps sessions for {granted:?}, not for the {asked:?} of --session-expiry"
                    ));
                }
            }
            Event::Downgraded { .. } => {}
        }
    }

    /// Counts the client as one that is not missing; true if it was the last.
    fn is_back(&self) -> bool {
        self.away.swap(false, Ordering::Relaxed)
            && self.all.away.fetch_sub(1, Ordering::Relaxed) == 1
    }
}
