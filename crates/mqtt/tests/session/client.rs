//! The client's side of the tests: a session of its own reactor, and waiting with a limit.

use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tapline_mqtt::{
    Address, Capacity, Delivery, Event, Message, Qos, Reactor, Session, SessionOptions, Settled,
};

use tapline_testkit::LIMIT;
use tapline_testkit::scripted::{Peer, Scripted};

/// Of a session with this broker.
pub(crate) fn options(broker: &Scripted) -> SessionOptions {
    let address: Address = broker.url().parse().unwrap();
    SessionOptions::new(address.broker, "test")
}

/// A client whose CONNECT waits for its answer.
pub(crate) fn asking() -> (Scripted, Client, Peer) {
    let broker = Scripted::start();
    let client = Client::open(options(&broker));
    let mut peer = broker.accept();
    peer.expect(0x10);
    (broker, client, peer)
}

/// A client that was let in, with these properties of CONNACK.
pub(crate) fn connected(properties: &[u8]) -> (Scripted, Client, Peer) {
    let (broker, client, mut peer) = asking();
    peer.connack(false, 0, properties);
    (broker, client, peer)
}

/// A reactor, a session, and what it tells.
pub(crate) struct Client {
    pub(crate) session: Session,
    pub(crate) reactor: Reactor,
    events: Mutex<Receiver<Event>>,
    settled: Mutex<Vec<Settled>>,
}

impl Client {
    pub(crate) fn open(mut options: SessionOptions) -> Self {
        let (sender, events) = mpsc::channel();
        let sender = Mutex::new(sender);
        options.on_event = Arc::new(move |event| {
            let _ = sender.lock().unwrap().send(event);
        });
        let reactor = Reactor::start(Capacity::default()).unwrap();
        Self {
            session: reactor.open(options),
            reactor,
            events: Mutex::new(events),
            settled: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn publish(&self, ticket: u64, qos: Qos) {
        self.publish_to("t", ticket, qos);
    }

    pub(crate) fn publish_to(&self, topic: &str, ticket: u64, qos: Qos) {
        let message = Message {
            topic: Arc::from(topic),
            payload: Bytes::from(ticket.to_string()),
            qos,
            retain: false,
            properties: None,
        };
        self.session.publish(ticket, message).unwrap();
        self.session.flush();
    }

    /// Waits for the first event that `pick` takes.
    pub(crate) fn event<T>(&self, pick: impl Fn(Event) -> Option<T>) -> T {
        let events = self.events.lock().unwrap();
        let deadline = Instant::now() + LIMIT;
        loop {
            // However many others come.
            let left = deadline.saturating_duration_since(Instant::now());
            let event = events.recv_timeout(left).expect("the event never came");
            if let Some(found) = pick(event) {
                return found;
            }
        }
    }

    /// Waits for the next settled message.
    pub(crate) fn settled(&self) -> Settled {
        let mut settled = self.settled.lock().unwrap();
        let deadline = Instant::now() + LIMIT;
        while settled.is_empty() {
            assert!(Instant::now() < deadline, "nothing was settled");
            self.reactor.settled(Duration::from_secs(1), &mut settled);
        }
        settled.remove(0)
    }

    /// Waits for the next received message.
    pub(crate) fn receive(&self) -> Delivery {
        let mut deliveries = Vec::new();
        self.session.receive(LIMIT, 1, &mut deliveries).unwrap();
        deliveries.pop().expect("nothing was received")
    }

    pub(crate) fn failure(&self) -> String {
        self.event(|event| match event {
            Event::Failed(error) => Some(error.to_string()),
            _ => None,
        })
    }
}
