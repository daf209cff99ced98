//! JSON text is UTF-8 (RFC 8259, section 8.1).

use super::error::{JsonError, Wrong};

/// The text of these bytes.
///
/// # Errors
///
/// Where they stop being UTF-8.
pub fn utf8(bytes: &[u8]) -> Result<&str, JsonError> {
    std::str::from_utf8(bytes)
        .map_err(|error| JsonError::at(bytes, error.valid_up_to(), Wrong::Utf8))
}
