//! The end of a client. librdkafka waits in it for its threads, and one of these may be resolving a broker's name, which
//! nothing interrupts.

use std::io::Read;
use std::ops::Deref;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

/// A client that is ended on a thread of its own when this is dropped, and waited for no longer than the limit. One that
/// takes longer ends with the process.
pub(crate) struct Farewell<T: Send + 'static> {
    client: Option<T>,
    limit: Duration,
}

impl<T: Send + 'static> Farewell<T> {
    pub(crate) fn new(client: T, limit: Duration) -> Self {
        Self {
            client: Some(client),
            limit,
        }
    }
}

impl<T: Send + 'static> Deref for Farewell<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.client.as_ref().expect("it is there until the drop")
    }
}

impl<T: Send + 'static> Drop for Farewell<T> {
    fn drop(&mut self) {
        let client = self.client.take();
        let Ok((mut done, ending)) = UnixStream::pair() else {
            return drop(client);
        };
        // Without a thread the closure is dropped here, with the client.
        let ended = thread::Builder::new()
            .name("farewell".into())
            .spawn(move || {
                drop(client);
                drop(ending);
            });
        if ended.is_ok() && done.set_read_timeout(Some(self.limit)).is_ok() {
            // Nothing is ever written: it is closed, or the time is up.
            let _ = done.read(&mut [0]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A client whose end takes until somebody allows it.
    struct Stuck(Receiver<()>, Sender<()>);

    impl Drop for Stuck {
        fn drop(&mut self) {
            let _ = self.0.recv();
            let _ = self.1.send(());
        }
    }

    #[test]
    fn an_end_that_hangs_is_left_and_another_is_waited_for() {
        let (allow, allowed) = channel();
        let (tell, told) = channel();
        drop(Farewell::new(
            Stuck(allowed, tell),
            Duration::from_millis(1),
        ));
        assert!(told.try_recv().is_err(), "it hangs");
        allow.send(()).unwrap();
        told.recv().unwrap();

        let (allow, allowed) = channel();
        let (tell, told) = channel();
        allow.send(()).unwrap();
        drop(Farewell::new(Stuck(allowed, tell), Duration::from_hours(1)));
        told.try_recv().expect("it has ended");
    }
}
