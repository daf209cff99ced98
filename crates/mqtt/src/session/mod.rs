//! The life of a session over its connections: connect, run, wait, connect again.

pub(crate) mod state;

mod poison;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};

use crate::backoff::Backoff;
use crate::channel::{Shared, Status};
use crate::connection::{Connection, End};
use crate::error::{ConnectError, SessionError};
use crate::event::Event;
use crate::handshake::{self, Accepted};
use crate::options::SessionOptions;

use state::State;

/// Not every broker says that it gives a session to another client (Mosquitto 2.0 doesn't, it hangs up): so many
/// connections in a row that end so soon make one think of it.
const SUSPICIOUS: u32 = 3;
const SHORT: Duration = Duration::from_secs(5);

/// A connection held if it lasted for so many times the wait before it, too: that of two clients who take the session
/// from each other lasts as long as the other one waits.
const HELD: u32 = 4;

/// The longest wait after a connection that was short, but got messages through, and after one that ended a trial.
const AFTER_PROGRESS: Duration = Duration::from_secs(1);
const AFTER_TRIAL: Duration = Duration::from_millis(400);

/// Drives a session from its first attempt to connect to its end. `attempts` bounds how many sessions
/// are connecting at a time.
pub(crate) async fn drive(options: SessionOptions, shared: Arc<Shared>, attempts: Arc<Semaphore>) {
    let mut backoff = Backoff::new(options.seed);
    let begun = Instant::now();
    let (mut short_lived, mut waited) = (0, Duration::ZERO);
    let mut state = State::new(options, shared);
    loop {
        let (mut repeated, mut is_trial) = (false, false);
        let why = match connect(&mut state, &attempts).await {
            None => return state.finish(Ok(())),
            Some(Ok(accepted)) => {
                let mut connection = Connection::new(&mut state, accepted);
                let connected = Instant::now();
                let end = connection.run().await;
                if connected.elapsed() >= SHORT.max(waited * HELD) {
                    short_lived = 0;
                    backoff.reset();
                } else {
                    short_lived += 1;
                    if connection.has_progressed() {
                        backoff.limit(AFTER_PROGRESS);
                    }
                }
                is_trial = connection.salvage(&end);
                repeated = short_lived >= SUSPICIOUS && !is_trial;
                match end {
                    End::Closed => return state.finish(Ok(())),
                    End::Fatal(error) => return state.finish(Err(error)),
                    End::HungUp(why) | End::Lost(why) if !state.goes_on() => {
                        let lost = ConnectError::LostAtSubscribe(why);
                        return state.finish(Err(SessionError::Connect(lost)));
                    }
                    End::HungUp(why) | End::Lost(why) if repeated => {
                        let id = state.options.client_id.escape_debug();
                        format!(
                            "{why}, {short_lived} times in a row soon after it began: is another client using client ID \
                             '{id}'?"
                        )
                    }
                    End::HungUp(why) | End::Lost(why) => why,
                }
            }
            Some(Err(error)) => {
                let is_early = begun.elapsed() < state.options.connect_timeout;
                let goes_on = state.goes_on() || error.is_busy() && is_early;
                if error.is_final() || !goes_on {
                    let error = state.refused(error);
                    return state.finish(Err(error));
                }
                error.to_string()
            }
        };
        if state.was_online {
            state.shared.set_status(Status::Offline);
        }
        if is_trial {
            backoff.limit(AFTER_TRIAL);
        }
        waited = backoff.next();
        state.tell(Event::Lost {
            why,
            retry_in: waited,
            repeated,
        });
        if !wait(&mut state, waited).await {
            return state.finish(Ok(()));
        }
    }
}

/// Connects, unless the application closes the session first: `None`.
async fn connect(
    state: &mut State,
    attempts: &Semaphore,
) -> Option<Result<Accepted, ConnectError>> {
    let options = state.options.clone();
    let first = !state.was_online;
    let attempt = async {
        // Nobody closes it.
        let _permit = attempts.acquire().await;
        handshake::connect(&options, first).await
    };
    let mut attempt = std::pin::pin!(attempt);
    let shared = Arc::clone(&state.shared);
    loop {
        state.collect();
        if state.may_close() {
            return None;
        }
        tokio::select! {
            result = &mut attempt => return Some(result),
            () = shared.wake.notified() => {}
        }
    }
}

/// Waits until it is time to connect again; false if the session is to end.
async fn wait(state: &mut State, time: Duration) -> bool {
    let until = Instant::now() + time;
    let shared = Arc::clone(&state.shared);
    loop {
        state.collect();
        if state.may_close() {
            return false;
        }
        tokio::select! {
            () = sleep_until(until) => return true,
            () = shared.wake.notified() => {}
        }
    }
}
