//! A TCP server whose every word is the test's: one that speaks garbage, says nothing, or plays a
//! broker's part from a script.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// A server on a free port of loopback; it stops accepting when this is dropped.
#[derive(Debug)]
pub struct Peer {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    closed: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Peer {
    /// Hands each connection, and its number from 0, to `attend`, on a thread of its own. The
    /// connection closes when `attend` drops it.
    ///
    /// # Panics
    ///
    /// When there is no free port.
    #[must_use]
    pub fn attending(attend: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let accepted = Arc::new(AtomicUsize::new(0));
        let closed = Arc::new(AtomicBool::new(false));
        let attend = Arc::new(attend);
        let (count, is_closed) = (Arc::clone(&accepted), Arc::clone(&closed));
        let acceptor = thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if is_closed.load(Ordering::SeqCst) {
                    return;
                }
                let number = count.fetch_add(1, Ordering::SeqCst);
                let attend = Arc::clone(&attend);
                thread::spawn(move || attend(stream, number));
            }
        });
        Self {
            address,
            accepted,
            closed,
            acceptor: Some(acceptor),
        }
    }

    /// Says `greeting` to whoever connects, then reads on until the other side leaves. With an
    /// empty greeting it is a server that never answers.
    #[must_use]
    pub fn saying(greeting: impl Into<Vec<u8>>) -> Self {
        let greeting = greeting.into();
        Self::attending(move |mut stream, _| {
            let _ = stream.write_all(&greeting);
            let mut piece = [0; 4096];
            while let Ok(1..) = stream.read(&mut piece) {}
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections there have been.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        // A last connection makes the acceptor look.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_its_greeting_to_everyone() {
        let peer = Peer::saying("220 hello\r\n");
        for _ in 0..3 {
            let mut stream = TcpStream::connect(peer.address()).unwrap();
            let mut greeting = [0; 11];
            stream.read_exact(&mut greeting).unwrap();
            assert_eq!(&greeting, b"220 hello\r\n");
        }
        assert_eq!(peer.accepted(), 3);
    }

    #[test]
    fn nothing_listens_once_it_is_dropped() {
        let address = Peer::saying("").address();
        assert!(TcpStream::connect(address).is_err());
    }
}
