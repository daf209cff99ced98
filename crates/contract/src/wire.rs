//! How a record on Kafka names its schema: Confluent's two framings.
//!
//! - In the payload: `00`, the schema's id as four bytes big-endian, then the record
//!   ([`encode`], [`decode`]). Message indexes are Protobuf's alone and never there for JSON.
//! - In a header, `__value_schema_id` or `__key_schema_id`: `01` and the schema's GUID in 16 bytes
//!   ([`decode_header`]); the payload is then the record alone.

use std::fmt;

/// The first byte of a payload that carries a schema id.
pub const MAGIC_ID: u8 = 0;
/// The first byte of a header that carries a schema's GUID.
pub const MAGIC_GUID: u8 = 1;
/// How many bytes come before the record.
pub const PREFIX_BYTES: usize = 5;
/// The header that names the value's schema.
pub const VALUE_HEADER: &str = "__value_schema_id";
/// The header that names the key's schema.
pub const KEY_HEADER: &str = "__key_schema_id";

/// A schema's GUID: the same in every registry that holds the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Guid(pub [u8; 16]);

/// 8-4-4-4-12 hexadecimal digits.
impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// What a header names a schema by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SchemaName {
    /// The id that one registry gave it.
    Id(u32),
    /// Its GUID.
    Guid(Guid),
}

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Too short.
    #[error("{length} bytes, too short for {needed}")]
    Short {
        /// How many bytes there are.
        length: usize,
        /// What should be there.
        needed: &'static str,
    },
    /// The first byte is another.
    #[error("the first byte is {found:#04x}, not {expected}")]
    Magic {
        /// The first byte.
        found: u8,
        /// Which it should be.
        expected: &'static str,
    },
    /// A header has bytes after the GUID.
    #[error("{length} bytes, too long for a schema's GUID")]
    Long {
        /// How many bytes there are.
        length: usize,
    },
}

/// The bytes that go before a record to name its schema.
#[must_use]
pub fn prefix(id: u32) -> [u8; PREFIX_BYTES] {
    let [a, b, c, d] = id.to_be_bytes();
    [MAGIC_ID, a, b, c, d]
}

/// Appends the frame of `record` to `frame`.
pub fn encode(id: u32, record: &[u8], frame: &mut Vec<u8>) {
    frame.reserve(PREFIX_BYTES + record.len());
    frame.extend_from_slice(&prefix(id));
    frame.extend_from_slice(record);
}

/// Takes a payload apart: the schema's id and the record.
///
/// # Errors
/// When the payload doesn't begin with `00` and four bytes.
pub fn decode(payload: &[u8]) -> Result<(u32, &[u8]), WireError> {
    match payload {
        [MAGIC_ID, a, b, c, d, record @ ..] => Ok((u32::from_be_bytes([*a, *b, *c, *d]), record)),
        [] | [MAGIC_ID, ..] => Err(WireError::Short {
            length: payload.len(),
            needed: "a schema id (00 and four bytes)",
        }),
        [found, ..] => Err(WireError::Magic {
            found: *found,
            expected: "00",
        }),
    }
}

/// Reads the value of the header [`VALUE_HEADER`] or [`KEY_HEADER`]. Besides the GUID, `00` and an
/// id are taken, as Confluent's clients do.
///
/// # Errors
/// When it is neither.
pub fn decode_header(header: &[u8]) -> Result<SchemaName, WireError> {
    match header {
        [MAGIC_GUID, guid @ ..] => match <[u8; 16]>::try_from(guid) {
            Ok(guid) => Ok(SchemaName::Guid(Guid(guid))),
            Err(_) if guid.len() < 16 => Err(WireError::Short {
                length: header.len(),
                needed: "a schema's GUID (01 and 16 bytes)",
            }),
            Err(_) => Err(WireError::Long {
                length: header.len(),
            }),
        },
        [MAGIC_ID, ..] => match decode(header)? {
            (id, []) => Ok(SchemaName::Id(id)),
            _ => Err(WireError::Long {
                length: header.len(),
            }),
        },
        [] => Err(WireError::Short {
            length: 0,
            needed: "a schema's GUID (01 and 16 bytes)",
        }),
        [found, ..] => Err(WireError::Magic {
            found: *found,
            expected: "01",
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_frame_is_a_zero_the_id_big_endian_and_the_record() {
        let mut frame = Vec::new();
        encode(0x0102_0304, b"{}", &mut frame);
        assert_eq!(frame, [0, 1, 2, 3, 4, b'{', b'}']);
        assert_eq!(decode(&frame), Ok((0x0102_0304, &b"{}"[..])));
    }

    #[test]
    fn what_is_no_frame_is_told() {
        assert_eq!(
            decode(b"{\"a\":1}").unwrap_err().to_string(),
            "the first byte is 0x7b, not 00"
        );
        assert_eq!(
            decode(&[0, 0, 0, 1]).unwrap_err().to_string(),
            "4 bytes, too short for a schema id (00 and four bytes)"
        );
        assert!(decode(b"").is_err());
        assert_eq!(decode(&[0, 0, 0, 0, 9]), Ok((9, &b""[..])));
    }

    #[test]
    fn a_header_holds_a_guid() {
        let mut header = vec![1];
        header.extend(0..16);
        let name = decode_header(&header).unwrap();
        let SchemaName::Guid(guid) = name else {
            panic!("{name:?}")
        };
        assert_eq!(guid.to_string(), "00010203-0405-0607-0809-0a0b0c0d0e0f");
        header.push(0);
        assert_eq!(decode_header(&header), Err(WireError::Long { length: 18 }));
        assert!(matches!(
            decode_header(&header[..16]),
            Err(WireError::Short { length: 16, .. })
        ));
    }

    #[test]
    fn a_header_may_hold_an_id() {
        assert_eq!(decode_header(&[0, 0, 0, 1, 0]), Ok(SchemaName::Id(256)));
        assert!(decode_header(&[0, 0, 0, 1, 0, 0]).is_err());
        assert!(decode_header(&[2, 0, 0, 1, 0]).is_err());
        assert!(decode_header(&[]).is_err());
    }

    proptest! {
        #[test]
        fn a_record_comes_back_from_its_frame(id: u32, record: Vec<u8>, before: Vec<u8>) {
            let mut frame = before.clone();
            encode(id, &record, &mut frame);
            prop_assert_eq!(decode(&frame[before.len()..]), Ok((id, record.as_slice())));
            prop_assert_eq!(&frame[..before.len()], before.as_slice());
        }

        #[test]
        fn no_bytes_are_too_odd_to_be_told(bytes: Vec<u8>) {
            let _ = decode(&bytes);
            let _ = decode_header(&bytes);
        }
    }
}
