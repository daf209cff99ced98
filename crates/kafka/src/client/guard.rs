//! Text that came over the network, read through rdkafka.
//!
//! rdkafka takes names of headers, topics, hosts and groups for UTF-8 and panics where they aren't; Kafka itself keeps
//! whatever bytes a producer sent. The bytes can't be had without `unsafe`, which this workspace forbids, so the panic of
//! that one call is caught. What is read has no state that a panic could leave half changed.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

#[cfg(panic = "abort")]
compile_error!("panic=abort would let a record's header end the process: see client/guard.rs");

thread_local! {
    static READING: Cell<bool> = const { Cell::new(false) };
}

/// What `read` reads out of rdkafka, or `None` where it meets text that is not UTF-8.
///
/// `read` must call rdkafka's accessors and nothing that may panic for another reason.
pub(crate) fn utf8<T>(read: impl FnOnce() -> T) -> Option<T> {
    static QUIET: Once = Once::new();
    // A panic that is caught must not be told on stderr; all others are, as before.
    QUIET.call_once(|| {
        let tell = take_hook();
        set_hook(Box::new(move |info| {
            if !READING.get() {
                tell(info);
            }
        }));
    });
    let before = READING.replace(true);
    let result = catch_unwind(AssertUnwindSafe(read));
    READING.set(before);
    result.ok()
}

/// The same for what is only shown: U+FFFD stands for text that is not UTF-8.
pub(crate) fn shown<'a>(read: impl FnOnce() -> &'a str) -> &'a str {
    utf8(read).unwrap_or("\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_text_is_none_and_what_comes_after_is_read() {
        let text = |bytes: &'static [u8]| std::str::from_utf8(bytes).unwrap();
        assert_eq!(utf8(|| text(b"a\xff")), None);
        assert_eq!(utf8(|| text(b"a")), Some("a"));
        assert_eq!(shown(|| text(b"\xff")), "\u{fffd}");
        assert!(!READING.get());
    }
}
