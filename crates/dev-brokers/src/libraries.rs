//! What the client libraries and rumqttd say, for `-vv`.

use log::{LevelFilter, Log, Metadata, Record, SetLoggerError};
use tapline_pipe::console::Console;

/// Tells it on the console from now on.
pub(crate) fn listen(console: Console) -> Result<(), SetLoggerError> {
    log::set_boxed_logger(Box::new(Libraries(console)))?;
    log::set_max_level(LevelFilter::Info);
    Ok(())
}

struct Libraries(Console);

impl Log for Libraries {
    /// Each of rumqttd's messages is announced by spans, which say nothing more.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !metadata.target().starts_with("tracing::span")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0
                .debug(format_args!("{}: {}", record.target(), record.args()));
        }
    }

    fn flush(&self) {}
}
