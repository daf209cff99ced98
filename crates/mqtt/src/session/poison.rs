//! Which message may be why the broker hangs up.

/// A message that may be why the broker hangs up: the first that it had not answered when it did. A broker of MQTT
/// 3.1.1 can't refuse a message in another way [MQTT-3.3.5-2], one of MQTT 5 may say DISCONNECT, and a message that is
/// sent again and again would hold up all behind it for ever.
///
/// A broker or a link in trouble hangs up, too, and must not cost a good record. So the suspect is put on trial: on each
/// further connection it is sent only when the broker has answered a PINGREQ and all that goes before it, and nothing is
/// sent behind it; only an end that follows on that counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suspect {
    pub(super) ticket: u64,
    /// Connections in a row that ended like that.
    pub(super) hang_ups: u32,
}

/// From so many on the suspect is on trial, and with so many it is found to be the reason.
const TRIAL: u32 = 2;
const GUILTY: u32 = 5;

impl Suspect {
    /// Whether it is sent with care.
    pub(super) fn is_on_trial(self) -> bool {
        self.hang_ups >= TRIAL
    }

    /// Whether it is found to be the reason.
    pub(super) fn is_guilty(self) -> bool {
        self.hang_ups >= GUILTY
    }
}
