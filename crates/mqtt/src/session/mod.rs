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

/// Drives a session from its first attempt to connect to its end. `attempts` bounds how many sessions
/// are connecting at a time.
pub(crate) async fn drive(options: SessionOptions, shared: Arc<Shared>, attempts: Arc<Semaphore>) {
    let mut backoff = Backoff::new(options.seed);
    let mut short_lived = 0;
    let mut state = State::new(options, shared);
    loop {
        let why = match connect(&mut state, &attempts).await {
            None => return state.finish(Ok(())),
            Some(Ok(accepted)) => {
                let mut connection = Connection::new(&mut state, accepted);
                let begun = Instant::now();
                let end = connection.run().await;
                short_lived = if begun.elapsed() < SHORT {
                    short_lived + 1
                } else {
                    0
                };
                if connection.was_useful() {
                    backoff.reset();
                }
                connection.salvage(&end);
                match end {
                    End::Closed => return state.finish(Ok(())),
                    End::Fatal(error) => return state.finish(Err(error)),
                    End::HungUp(why) | End::Lost(why) if short_lived < SUSPICIOUS => why,
                    End::HungUp(why) | End::Lost(why) => {
                        let id = state.options.client_id.escape_debug();
                        format!("{why}, as it did before: has another client the identifier {id}?")
                    }
                }
            }
            Some(Err(error)) if error.is_final() || !state.goes_on() => {
                let error = state.refused(error);
                return state.finish(Err(error));
            }
            Some(Err(error)) => error.to_string(),
        };
        if !state.goes_on() {
            // Lost between CONNACK and SUBACK of the first connection.
            let lost = ConnectError::Broken(std::io::Error::other(why));
            return state.finish(Err(SessionError::Connect(lost)));
        }
        if state.was_online {
            state.shared.set_status(Status::Offline);
        }
        let retry_in = backoff.next();
        state.tell(Event::Lost { why, retry_in });
        if !wait(&mut state, retry_in).await {
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
