//! Whether a broker can take the texts and properties of a message, looked at before it is handed over.

use crate::error::Refusal;
use crate::message::Properties;
use crate::text::disallowed;
use crate::topic::check_name;

impl Properties {
    /// Whether a broker can take them: it may well end the connection over one that it cannot, and the message
    /// would be the first on the next.
    ///
    /// # Errors
    ///
    /// A text that holds what none should ([`crate::text::disallowed`]) or is too long (section 1.5.4), a response
    /// topic that is no topic name [MQTT-3.3.2-14], or a payload format that is neither 0 nor 1 (section 3.3.2.3.2).
    pub fn check(&self) -> Result<(), Refusal> {
        if self.payload_format.is_some_and(|format| format > 1) {
            return Err(Refusal::PayloadFormat);
        }
        if let Some(topic) = &self.response_topic {
            check_name(topic).map_err(Refusal::ResponseTopic)?;
        }
        if self
            .correlation_data
            .as_ref()
            .is_some_and(|data| data.len() > LONGEST_FIELD)
        {
            return Err(Refusal::FieldTooLong);
        }
        let user = self.user.iter().flat_map(|(name, value)| [name, value]);
        user.chain(&self.content_type)
            .try_for_each(|text| check_field(text))
    }
}

/// Whether a text other than a topic can be in a packet.
///
/// # Errors
///
/// It is too long, or holds what none should ([`crate::text::disallowed`]).
pub fn check_field(text: &str) -> Result<(), Refusal> {
    if text.len() > LONGEST_FIELD {
        return Err(Refusal::FieldTooLong);
    }
    disallowed(text).map_or(Ok(()), |found| Err(Refusal::Character(found)))
}

/// The bytes of a text or of binary data (sections 1.5.4 and 1.5.6).
const LONGEST_FIELD: usize = u16::MAX as usize;
