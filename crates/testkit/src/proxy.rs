//! A TCP proxy that is a bad network on command: it delays, cuts, holds and refuses.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::net::sockopt::set_socket_linger;

use crate::Peer;

/// How soon a command takes effect on a connection.
const REACTION: Duration = Duration::from_millis(5);

/// A proxy on a free port of loopback.
#[derive(Debug)]
pub struct Proxy {
    peer: Peer,
    link: Arc<Link>,
}

/// The state of the link, and how many connections have been made to wait for each command.
#[derive(Debug)]
struct Link {
    target: SocketAddr,
    state: Mutex<State>,
    open: AtomicUsize,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// Connections of an earlier number are to be cut.
    age: usize,
    delay: Duration,
    held: bool,
    /// Of the connections that come, every n-th is refused.
    refused: Option<usize>,
}

impl Proxy {
    /// Passes connections on to `target`.
    #[must_use]
    pub fn to(target: SocketAddr) -> Self {
        let state = Mutex::default();
        let link = Arc::new(Link {
            target,
            state,
            open: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&link);
        let peer = Peer::attending(move |client, number| shared.attend(&client, number));
        Self { peer, link }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.peer.address()
    }

    /// How many connections there have been.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.peer.accepted()
    }

    /// How many connections are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.link.open.load(Ordering::SeqCst)
    }

    /// Breaks every open connection, with a reset on both sides.
    pub fn cut(&self) {
        self.link.change(|state| state.age += 1);
    }

    /// Carries nothing from now on and keeps every connection open, also new ones, as a half-open
    /// peer does; or carries on, with what has been held back.
    pub fn hold(&self, held: bool) {
        self.link.change(|state| state.held = held);
    }

    /// Delays every piece, in both directions.
    pub fn delay(&self, delay: Duration) {
        self.link.change(|state| state.delay = delay);
    }

    /// Resets every `n`-th new connection as soon as it is there: all with 1, half of them with 2,
    /// none with `None`.
    pub fn refuse(&self, every: Option<usize>) {
        self.link.change(|state| state.refused = every);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        self.refuse(Some(1));
    }
}

impl Link {
    fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn attend(&self, client: &TcpStream, number: usize) {
        let State { age, refused, .. } = self.state();
        self.open.fetch_add(1, Ordering::SeqCst);
        if refused.is_some_and(|every| number.is_multiple_of(every)) {
            reset(client);
        } else if self.wait_while_held(age) {
            if let Ok(server) = TcpStream::connect(self.target) {
                self.join(client, &server, age);
            }
        } else {
            reset(client);
        }
        self.open.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether the connection may go on.
    fn wait_while_held(&self, age: usize) -> bool {
        loop {
            let state = self.state();
            if state.age != age {
                return false;
            }
            if !state.held {
                return true;
            }
            thread::sleep(REACTION);
        }
    }

    fn join(&self, client: &TcpStream, server: &TcpStream, age: usize) {
        for stream in [client, server] {
            // Without these it would only be slower.
            let _ = stream.set_nodelay(true);
            let _ = stream.set_read_timeout(Some(REACTION));
        }
        thread::scope(|scope| {
            scope.spawn(|| self.carry(client, server, age));
            self.carry(server, client, age);
        });
        if self.state().age != age {
            reset(client);
            reset(server);
        }
    }

    /// Carries one direction until it ends or is cut. An end is passed on; a break ends both.
    fn carry(&self, mut from: &TcpStream, mut to: &TcpStream, age: usize) {
        let mut piece = vec![0; 64 * 1024];
        while self.wait_while_held(age) {
            match from.read(&mut piece) {
                Ok(0) => {
                    let _ = to.shutdown(Shutdown::Write);
                    return;
                }
                Ok(size) => {
                    thread::sleep(self.state().delay);
                    if !self.wait_while_held(age) || to.write_all(&piece[..size]).is_err() {
                        break;
                    }
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => break,
            }
        }
        let _ = from.shutdown(Shutdown::Read);
        let _ = to.shutdown(Shutdown::Both);
    }
}

/// Makes the stream's close a reset.
fn reset(stream: &TcpStream) {
    // If it is gone already, that is as good.
    let _ = set_socket_linger(stream, Some(Duration::ZERO));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LIMIT, wait_until};

    fn echo() -> Peer {
        Peer::attending(|mut stream, _| {
            let mut piece = [0; 1024];
            while let Ok(size @ 1..) = stream.read(&mut piece) {
                stream.write_all(&piece[..size]).unwrap();
            }
        })
    }

    fn connect(proxy: &Proxy) -> TcpStream {
        let stream = TcpStream::connect(proxy.address()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    fn round_trip(stream: &mut TcpStream) -> std::io::Result<()> {
        stream.write_all(b"ping")?;
        stream.read_exact(&mut [0; 4])
    }

    #[test]
    fn it_carries_both_ways_and_passes_the_end_on() {
        let echo = echo();
        let proxy = Proxy::to(echo.address());
        let mut stream = connect(&proxy);
        round_trip(&mut stream).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
        wait_until(LIMIT, "the connection is closed", || proxy.open() == 0);
    }

    #[test]
    fn a_cut_breaks_what_is_open_and_nothing_later() {
        let echo = echo();
        let proxy = Proxy::to(echo.address());
        let mut stream = connect(&proxy);
        round_trip(&mut stream).unwrap();
        proxy.cut();
        wait_until(LIMIT, "the connection is broken", || {
            round_trip(&mut stream).is_err()
        });
        round_trip(&mut connect(&proxy)).unwrap();
    }

    #[test]
    fn a_held_link_keeps_what_is_sent_until_it_goes_on() {
        let echo = echo();
        let proxy = Proxy::to(echo.address());
        let mut stream = connect(&proxy);
        round_trip(&mut stream).unwrap();
        proxy.hold(true);
        stream.write_all(b"ping").unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        assert!(stream.read(&mut [0; 4]).is_err());
        proxy.hold(false);
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.read_exact(&mut [0; 4]).unwrap();
    }

    #[test]
    fn half_of_the_connections_can_be_refused() {
        let echo = echo();
        let proxy = Proxy::to(echo.address());
        proxy.refuse(Some(2));
        let passed = (0..10)
            .filter(|_| round_trip(&mut connect(&proxy)).is_ok())
            .count();
        assert_eq!(passed, 5);
    }
}
