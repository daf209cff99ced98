//! A client's CONNECT packet, as far as the front needs it: which protocol level it asks for, and
//! two fields that the broker behind gets wrong and that are therefore changed on the way.

/// The longest CONNECT that is waited for: each of its five texts can have 65,535 bytes, and as
/// much again is left for MQTT 5's properties.
const LONGEST: usize = 512 * 1024;

/// What the first bytes of a connection turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// The beginning of a CONNECT; more bytes are needed.
    Incomplete,
    /// A whole CONNECT of MQTT 3.1.1.
    V4,
    /// A whole CONNECT of MQTT 5.
    V5,
    /// A CONNECT of another protocol level, and the CONNACK that says so
    /// [MQTT-3.1.2-2 in both versions].
    Unsupported(&'static [u8]),
    /// Something else.
    NotMqtt,
}

/// Looks at the bytes received so far, which may go on past the CONNECT.
///
/// In a whole CONNECT two fields are changed in place, so that no length changes:
/// - a keep alive of 0 (none), which rumqttd refuses, becomes the longest there is, 18 hours;
/// - MQTT 5's topic alias maximum becomes 0 (none): rumqttd keeps one alias for each *filter*, so
///   that with a wildcard a client would be told the wrong topic.
pub(crate) fn examine(bytes: &mut [u8]) -> Opening {
    let (body, whole) = match body_length(bytes) {
        Ok(Some((start, length))) if bytes.len() >= start + length => {
            (&mut bytes[start..start + length], true)
        }
        Ok(_) => (&mut bytes[..0], false),
        Err(NotConnect) => return Opening::NotMqtt,
    };
    if !whole {
        return Opening::Incomplete;
    }
    // [MQTT-3.1.2-1]: the protocol's name, here with its length before it.
    let (level, fields) = match body {
        [0, 4, b'M', b'Q', b'T', b'T', level, fields @ ..]
        | [0, 6, b'M', b'Q', b'I', b's', b'd', b'p', level, fields @ ..] => (*level, fields),
        _ => return Opening::NotMqtt,
    };
    match level {
        4 => change(fields, false).map_or(Opening::NotMqtt, |()| Opening::V4),
        5 => change(fields, true).map_or(Opening::NotMqtt, |()| Opening::V5),
        0..=3 => Opening::Unsupported(&[0x20, 2, 0, 0x01]),
        6.. => Opening::Unsupported(&[0x20, 3, 0, 0x84, 0]),
    }
}

/// The bytes are not the beginning of a CONNECT.
struct NotConnect;

/// Where the packet's body starts and how long it is; `None` while that can't be told yet.
fn body_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, NotConnect> {
    match bytes.split_first() {
        None => Ok(None),
        Some((0x10, rest)) => match variable_length(rest) {
            Some((length, size)) if length <= LONGEST => Ok(Some((1 + size, length))),
            None if rest.len() < 4 => Ok(None),
            _ => Err(NotConnect),
        },
        Some(_) => Err(NotConnect),
    }
}

/// Reads a variable byte integer [MQTT5 1.5.5]: its value and its size in bytes.
fn variable_length(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate().take(4) {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

/// Changes the two fields in what follows the protocol level: flags, keep alive and, in MQTT 5,
/// properties. `None` when they are cut short.
fn change(fields: &mut [u8], properties: bool) -> Option<()> {
    let keep_alive = fields.get_mut(1..3)?;
    if keep_alive == [0, 0] {
        keep_alive.fill(0xff);
    }
    if !properties {
        return Some(());
    }
    let (length, size) = variable_length(fields.get(3..)?)?;
    let mut properties = fields.get_mut(3 + size..3 + size + length)?;
    while let Some((identifier, rest)) = properties.split_first_mut() {
        let size = match identifier {
            // Request problem information, request response information.
            0x17 | 0x19 => 1,
            // Receive maximum, topic alias maximum.
            0x21 | 0x22 => 2,
            // Session expiry interval, maximum packet size.
            0x11 | 0x27 => 4,
            // Authentication method, authentication data.
            0x15 | 0x16 => text_size(rest, 0)?,
            // User property: a name and a value.
            0x26 => text_size(rest, text_size(rest, 0)?)?,
            _ => return None,
        };
        if *identifier == 0x22 {
            rest.get_mut(..2)?.fill(0);
        }
        properties = rest.get_mut(size..)?;
    }
    Some(())
}

/// The end of the length-prefixed text or data that begins at `start`.
fn text_size(bytes: &[u8], start: usize) -> Option<usize> {
    let prefix = bytes.get(start..start + 2)?;
    Some(start + 2 + usize::from(u16::from_be_bytes([prefix[0], prefix[1]])))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A CONNECT with this level, keep alive and properties, and the client id `a`.
    fn connect(level: u8, keep_alive: u16, properties: &[u8]) -> Vec<u8> {
        let mut body = b"\0\x04MQTT".to_vec();
        body.extend([level, 0x02]);
        body.extend(keep_alive.to_be_bytes());
        if level == 5 {
            body.push(u8::try_from(properties.len()).unwrap());
            body.extend(properties);
        }
        body.extend(b"\0\x01a");
        let mut packet = vec![0x10, u8::try_from(body.len()).unwrap()];
        packet.extend(body);
        packet
    }

    #[test]
    fn the_level_is_found_and_nothing_else_changes() {
        let mut packet = connect(4, 60, &[]);
        let before = packet.clone();
        assert_eq!(examine(&mut packet), Opening::V4);
        assert_eq!(packet, before);
        let mut packet = connect(5, 60, &[0x21, 0, 9]);
        packet.extend(b"\x82\x05more");
        let before = packet.clone();
        assert_eq!(examine(&mut packet), Opening::V5);
        assert_eq!(packet, before);
    }

    #[test]
    fn every_beginning_of_a_connect_is_incomplete() {
        for whole in [
            connect(4, 0, &[]),
            connect(5, 0, &[0x22, 0, 9, 0x11, 0, 0, 0, 1]),
        ] {
            for end in 0..whole.len() {
                let mut part = whole[..end].to_vec();
                assert_eq!(examine(&mut part), Opening::Incomplete, "{end} bytes");
                assert_eq!(part, whole[..end]);
            }
        }
    }

    #[test]
    fn a_keep_alive_of_none_becomes_the_longest() {
        let mut packet = connect(4, 0, &[]);
        assert_eq!(examine(&mut packet), Opening::V4);
        assert_eq!(packet, connect(4, u16::MAX, &[]));
    }

    #[test]
    fn the_topic_alias_maximum_is_set_to_none_wherever_it_stands() {
        let around: [&[u8]; 3] = [
            b"\x15\0\x02\x22\x22",
            b"\x26\0\x01\x22\0\x02\x22\x22",
            b"\x11\0\0\0\x22\x21\0\x22\x27\0\0\x22\x22\x17\x01\x19\x01",
        ];
        for before in around {
            for after in around {
                let with =
                    |maximum: u8| connect(5, 9, &[before, &[0x22, 0, maximum], after].concat());
                let mut packet = with(10);
                assert_eq!(examine(&mut packet), Opening::V5);
                assert_eq!(packet, with(0));
            }
        }
    }

    #[test]
    fn another_level_is_refused_in_its_own_words() {
        let old = b"\x10\x0e\0\x06MQIsdp\x03\x02\0\x3c\0\0";
        assert_eq!(
            examine(&mut old.to_vec()),
            Opening::Unsupported(&[0x20, 2, 0, 1])
        );
        assert_eq!(
            examine(&mut connect(6, 60, &[])),
            Opening::Unsupported(&[0x20, 3, 0, 0x84, 0])
        );
    }

    #[test]
    fn anything_else_is_not_mqtt() {
        let others: [&[u8]; 6] = [
            b"GET / HTTP/1.1\r\n",
            b"\x16\x03\x01\x02\0",
            b"\x10\xff\xff\xff\xff",
            b"\x10\xff\xff\xff\x7f",
            b"\x10\x06\0\x04MQTX",
            b"\x10\x0b\0\x04MQTT\x05\x02\0\x3c\x09",
        ];
        for other in others {
            assert_eq!(examine(&mut other.to_vec()), Opening::NotMqtt, "{other:?}");
        }
    }

    #[test]
    fn no_bytes_can_make_it_fail() {
        // Every single-byte change of a CONNECT with properties: examined without a panic.
        let whole = connect(5, 0, b"\x22\0\x0a\x26\0\x01a\0\x01b");
        for at in 0..whole.len() {
            for byte in 0..=u8::MAX {
                let mut packet = whole.clone();
                packet[at] = byte;
                examine(&mut packet);
            }
        }
    }
}
