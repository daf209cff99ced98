//! A TCP proxy that is a bad network on command: it delays, cuts, holds, refuses and drops.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
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

/// The state of the link, and how many connections are open and were dropped.
#[derive(Debug)]
struct Link {
    target: SocketAddr,
    /// Whoever passes something on is a reader, so that a command has taken effect when it returns.
    state: RwLock<State>,
    open: AtomicUsize,
    dropped: AtomicUsize,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// Connections of an earlier number are to be cut.
    age: usize,
    delay: Duration,
    held: bool,
    /// Of the connections that come, every n-th is refused.
    refused: Option<usize>,
    /// Of the connections that come, half are dropped: this says which, and when.
    dropped: Option<u64>,
}

/// A connection: its two ends, and what is to become of it.
struct Connection {
    client: TcpStream,
    server: TcpStream,
    age: usize,
    /// Bytes that it still carries, in both directions.
    left: AtomicU64,
}

impl Proxy {
    /// Passes connections on to `target`.
    #[must_use]
    pub fn to(target: SocketAddr) -> Self {
        let state = RwLock::default();
        let link = Arc::new(Link {
            target,
            state,
            open: AtomicUsize::new(0),
            dropped: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&link);
        let peer = Peer::attending(move |client, number| shared.attend(client, number));
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

    /// How many connections have been dropped: see [`Proxy::drop_half`].
    #[must_use]
    pub fn dropped(&self) -> usize {
        self.link.dropped.load(Ordering::SeqCst)
    }

    /// Breaks every open connection, with a reset on both sides.
    pub fn cut(&self) {
        self.link.change(|state| state.age += 1);
    }

    /// Carries nothing from now on and keeps every connection open, also new ones, as a half-open
    /// peer does; or carries on, with what has been held back. Once this returns, nothing is on its way.
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

    /// Drops half of the connections that come from now on, each with a reset after at most a few thousand bytes; which
    /// ones and when is the seed's. None with `None`.
    pub fn drop_half(&self, seed: Option<u64>) {
        self.link.change(|state| state.dropped = seed);
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
        *self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn attend(&self, client: TcpStream, number: usize) {
        let State {
            age,
            refused,
            dropped,
            ..
        } = self.state();
        self.open.fetch_add(1, Ordering::SeqCst);
        if refused.is_some_and(|every| number.is_multiple_of(every)) || !self.wait_while_held(age) {
            reset(&client);
        } else if let Ok(server) = TcpStream::connect(self.target) {
            let left = dropped.map_or(u64::MAX, |seed| lifetime(seed, number));
            self.join(&Connection {
                client,
                server,
                age,
                left: AtomicU64::new(left),
            });
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

    fn join(&self, connection: &Connection) {
        let Connection { client, server, .. } = connection;
        for stream in [client, server] {
            // Without these it would only be slower.
            let _ = stream.set_nodelay(true);
            let _ = stream.set_read_timeout(Some(REACTION));
            let _ = stream.set_write_timeout(Some(REACTION));
        }
        thread::scope(|scope| {
            scope.spawn(|| self.carry(connection, client, server));
            self.carry(connection, server, client);
        });
        let dropped = connection.left.load(Ordering::SeqCst) == 0;
        self.dropped
            .fetch_add(usize::from(dropped), Ordering::SeqCst);
        if dropped || self.state().age != connection.age {
            reset(client);
            reset(server);
        }
    }

    /// Carries one direction until it ends or is cut. An end is passed on; a break ends both.
    fn carry(&self, connection: &Connection, mut from: &TcpStream, to: &TcpStream) {
        let mut piece = vec![0; 64 * 1024];
        while self.wait_while_held(connection.age) {
            match from.read(&mut piece) {
                Ok(0) => {
                    let _ = to.shutdown(Shutdown::Write);
                    return;
                }
                Ok(size) => {
                    thread::sleep(self.state().delay);
                    if !self.pass_on(connection, &piece[..size], to) {
                        break;
                    }
                }
                Err(error) if is_timeout(&error) => {}
                Err(_) => break,
            }
        }
        let _ = from.shutdown(Shutdown::Read);
        let _ = to.shutdown(Shutdown::Both);
    }

    /// Writes all of a piece; false if the connection is over before that.
    fn pass_on(&self, connection: &Connection, mut piece: &[u8], mut to: &TcpStream) -> bool {
        while !piece.is_empty() {
            if !self.wait_while_held(connection.age) {
                return false;
            }
            // Kept while it writes, which is not long: see `hold`.
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            if state.held || state.age != connection.age {
                continue;
            }
            let left = connection.left.load(Ordering::SeqCst);
            let size = usize::try_from(left).map_or(piece.len(), |left| piece.len().min(left));
            match to.write(&piece[..size]) {
                Ok(0) => return false,
                Ok(written) => {
                    piece = &piece[written..];
                    connection.spend(written as u64);
                }
                Err(error) if is_timeout(&error) => {}
                Err(_) => return false,
            }
        }
        true
    }
}

impl Connection {
    fn spend(&self, bytes: u64) {
        let spend = |left: u64| (left != u64::MAX).then(|| left.saturating_sub(bytes));
        // One that isn't to be dropped spends nothing.
        let _ = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend);
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// How many bytes a connection carries: half of them as many as they like, the others up to 4096.
fn lifetime(seed: u64, number: usize) -> u64 {
    // SplitMix64, whose every output tells nothing of the next.
    let mut dice = seed.wrapping_add((number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    dice = (dice ^ (dice >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    dice = (dice ^ (dice >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    dice ^= dice >> 31;
    if dice & 1 == 0 { u64::MAX } else { dice >> 52 }
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

    #[test]
    fn half_of_the_connections_can_be_dropped_the_same_ones_for_a_seed() {
        let lifetimes = |seed| (0..1000).map(move |number| lifetime(seed, number));
        let lasting = lifetimes(7).filter(|left| *left == u64::MAX).count();
        assert!((400..600).contains(&lasting), "{lasting} of 1000");
        assert!(lifetimes(7).all(|left| left == u64::MAX || left < 4096));
        assert!(lifetimes(7).ne(lifetimes(8)));

        let echo = echo();
        let proxy = Proxy::to(echo.address());
        proxy.drop_half(Some(7));
        for left in lifetimes(7).take(20) {
            let mut stream = connect(&proxy);
            let mut round_trips = 0_u64;
            while round_trips < 1024 && round_trip(&mut stream).is_ok() {
                round_trips += 1;
            }
            // Four bytes each way. The last may be lost on its way, or be answered before it is counted.
            let wanted = (left / 8).min(1024);
            assert!(
                round_trips.abs_diff(wanted) <= 1,
                "{round_trips} of {left} bytes"
            );
        }
    }
}
