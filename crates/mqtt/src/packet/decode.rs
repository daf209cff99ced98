//! Reading packets.

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use rumqttc::mqttbytes::{self as bytes4, v4};
use rumqttc::v5::mqttbytes::{Error as Error5, v5};

use super::AckKind;
use crate::event::Limits;
use crate::message::Properties;
use crate::protocol::{Qos, Version};
use crate::reason::Reason;

/// A packet from the broker.
#[derive(Debug)]
pub(crate) enum Decoded {
    ConnAck {
        session_present: bool,
        reason: Reason,
        text: Option<String>,
        limits: Limits,
    },
    Publish {
        id: u16,
        topic: Arc<str>,
        payload: Bytes,
        qos: Qos,
        retain: bool,
        dup: bool,
        properties: Option<Box<Properties>>,
    },
    Ack {
        kind: AckKind,
        id: u16,
        reason: Reason,
        text: Option<String>,
    },
    PubRel {
        id: u16,
    },
    SubAck {
        id: u16,
        reasons: Vec<Reason>,
    },
    PingResp,
    Disconnect {
        reason: Reason,
        text: Option<String>,
    },
}

/// The bytes are not what the standard allows.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("a malformed packet of type {kind}: {what}")]
    Malformed { kind: u8, what: String },
    #[error("a packet of type {0}, which a broker does not send")]
    Unexpected(u8),
    #[error("a packet of {size} bytes, more than the {limit} allowed")]
    TooLarge { size: usize, limit: u32 },
}

/// Reads packets of one version. Remembers the last topic, so that a run of messages on one topic
/// shares its text.
#[derive(Debug)]
pub(crate) struct Decoder {
    version: Version,
    max_packet: u32,
    last_topic: Arc<str>,
}

impl Decoder {
    pub(crate) fn new(version: Version, max_packet: u32) -> Self {
        Self {
            version,
            max_packet,
            last_topic: Arc::from(""),
        }
    }

    /// Takes the next packet from the front of `input`; `None` if it is not all there.
    pub(crate) fn next(&mut self, input: &mut BytesMut) -> Result<Option<Decoded>, DecodeError> {
        if let Some(ack) = short_ack(input) {
            return Ok(Some(ack));
        }
        let Some(&first) = input.first() else {
            return Ok(None);
        };
        let kind = first >> 4;
        let header = match v5::check(input.iter(), Some(self.max_packet)) {
            Ok(header) => header,
            Err(Error5::InsufficientBytes(missing)) => {
                input.reserve(missing);
                return Ok(None);
            }
            Err(Error5::PayloadSizeLimitExceeded { pkt_size, max }) => {
                return Err(DecodeError::TooLarge {
                    size: pkt_size,
                    limit: max,
                });
            }
            Err(error) => return Err(malformed(kind)(error)),
        };
        let frame = input.split_to(header.frame_length()).freeze();
        let header_length = 1
            + frame[1..]
                .iter()
                .take_while(|&&byte| byte & 0x80 != 0)
                .count()
            + 1;
        let body = frame.slice(header_length..);
        let decoded = match kind {
            2 => self.conn_ack(body)?,
            3 => self.publish(header, &frame)?,
            4 => self.ack(AckKind::PubAck, kind, body)?,
            5 => self.ack(AckKind::PubRec, kind, body)?,
            6 => Decoded::PubRel {
                id: body_id(kind, &body)?,
            },
            7 => self.ack(AckKind::PubComp, kind, body)?,
            9 => self.sub_ack(body)?,
            13 => Decoded::PingResp,
            14 if self.version == Version::V5 => disconnect(body)?,
            kind => return Err(DecodeError::Unexpected(kind)),
        };
        Ok(Some(decoded))
    }

    fn conn_ack(&self, mut body: Bytes) -> Result<Decoded, DecodeError> {
        let malformed = malformed(2);
        if body.len() < 2 {
            return Err(malformed(Error5::MalformedPacket));
        }
        let session_present = body.get_u8() & 1 != 0;
        let code = body.get_u8();
        // A broker that speaks 3.1.1 alone answers a CONNECT of version 5 in its own form, which
        // has no properties.
        if self.version == Version::V311 || body.is_empty() {
            return Ok(Decoded::ConnAck {
                session_present,
                reason: if code < 0x80 {
                    Reason::from_return_code(code)
                } else {
                    Reason(code)
                },
                text: None,
                limits: Limits::default(),
            });
        }
        let properties = v5::ConnAckProperties::read(&mut body).map_err(malformed)?;
        let mut limits = Limits::default();
        let mut text = None;
        if let Some(properties) = properties {
            limits = limits_of(&properties);
            text = properties.reason_string;
        }
        Ok(Decoded::ConnAck {
            session_present,
            reason: Reason(code),
            text,
            limits,
        })
    }

    fn publish(&mut self, header: v5::FixedHeader, frame: &Bytes) -> Result<Decoded, DecodeError> {
        if self.version == Version::V5 {
            let packet = v5::Publish::read(header, frame.clone()).map_err(malformed(3))?;
            return Ok(Decoded::Publish {
                id: packet.pkid,
                topic: self.topic(&packet.topic)?,
                payload: packet.payload,
                qos: Qos::from_level(packet.qos as u8).unwrap_or_default(),
                retain: packet.retain,
                dup: packet.dup,
                properties: packet.properties.map(|own| Box::new(properties_of(own))),
            });
        }
        let header4 =
            bytes4::check(frame.iter(), usize::MAX).map_err(|error| malformed4(3, &error))?;
        let packet =
            v4::Publish::read(header4, frame.clone()).map_err(|error| malformed4(3, &error))?;
        Ok(Decoded::Publish {
            id: packet.pkid,
            topic: self.topic(packet.topic.as_bytes())?,
            payload: packet.payload,
            qos: Qos::from_level(packet.qos as u8).unwrap_or_default(),
            retain: packet.retain,
            dup: packet.dup,
            properties: None,
        })
    }

    fn topic(&mut self, bytes: &[u8]) -> Result<Arc<str>, DecodeError> {
        if self.last_topic.as_bytes() != bytes {
            let text =
                std::str::from_utf8(bytes).map_err(|_| malformed(3)(Error5::TopicNotUtf8))?;
            self.last_topic = Arc::from(text);
        }
        Ok(Arc::clone(&self.last_topic))
    }

    fn ack(&self, kind: AckKind, number: u8, mut body: Bytes) -> Result<Decoded, DecodeError> {
        let id = body_id(number, &body)?;
        body.advance(2);
        let (mut reason, mut text) = (Reason::SUCCESS, None);
        if self.version == Version::V5 && !body.is_empty() {
            reason = Reason(body.get_u8());
            if !body.is_empty() {
                // The properties of the three answers are the same two.
                text = v5::PubAckProperties::read(&mut body)
                    .map_err(malformed(number))?
                    .and_then(|properties| properties.reason_string);
            }
        }
        Ok(Decoded::Ack {
            kind,
            id,
            reason,
            text,
        })
    }

    fn sub_ack(&self, mut body: Bytes) -> Result<Decoded, DecodeError> {
        let id = body_id(9, &body)?;
        body.advance(2);
        if self.version == Version::V5 {
            v5::SubAckProperties::read(&mut body).map_err(malformed(9))?;
        }
        let reasons = body.iter().map(|&code| Reason(code)).collect();
        Ok(Decoded::SubAck { id, reasons })
    }
}

/// PUBACK, PUBREC and PUBCOMP of four bytes: an identifier, and success.
fn short_ack(input: &mut BytesMut) -> Option<Decoded> {
    let &[first, 2, high, low] = input.get(..4)? else {
        return None;
    };
    let kind = match first {
        0x40 => AckKind::PubAck,
        0x50 => AckKind::PubRec,
        0x70 => AckKind::PubComp,
        _ => return None,
    };
    input.advance(4);
    Some(Decoded::Ack {
        kind,
        id: u16::from_be_bytes([high, low]),
        reason: Reason::SUCCESS,
        text: None,
    })
}

fn body_id(kind: u8, body: &Bytes) -> Result<u16, DecodeError> {
    match body.get(..2) {
        Some(&[high, low]) => Ok(u16::from_be_bytes([high, low])),
        _ => Err(malformed(kind)(Error5::MalformedPacket)),
    }
}

fn disconnect(mut body: Bytes) -> Result<Decoded, DecodeError> {
    let (mut reason, mut text) = (Reason::SUCCESS, None);
    if !body.is_empty() {
        reason = Reason(body.get_u8());
        if !body.is_empty() {
            text = v5::DisconnectProperties::extract(&mut body)
                .map_err(malformed(14))?
                .and_then(|properties| properties.reason_string);
        }
    }
    Ok(Decoded::Disconnect { reason, text })
}

fn malformed(kind: u8) -> impl Fn(Error5) -> DecodeError {
    move |error| DecodeError::Malformed {
        kind,
        what: error.to_string(),
    }
}

fn malformed4(kind: u8, error: &bytes4::Error) -> DecodeError {
    DecodeError::Malformed {
        kind,
        what: error.to_string(),
    }
}

fn limits_of(properties: &v5::ConnAckProperties) -> Limits {
    let default = Limits::default();
    Limits {
        receive_maximum: properties.receive_max.unwrap_or(default.receive_maximum),
        maximum_qos: properties
            .max_qos
            .and_then(Qos::from_level)
            .unwrap_or(default.maximum_qos),
        retain_available: properties.retain_available != Some(0),
        maximum_packet_size: properties
            .max_packet_size
            .unwrap_or(default.maximum_packet_size),
        topic_alias_maximum: properties.topic_alias_max.unwrap_or(0),
        keep_alive: properties.server_keep_alive,
        session_expiry: properties.session_expiry_interval,
    }
}

fn properties_of(own: v5::PublishProperties) -> Properties {
    Properties {
        payload_format: own.payload_format_indicator,
        message_expiry: own.message_expiry_interval,
        content_type: own.content_type,
        response_topic: own.response_topic,
        correlation_data: own.correlation_data,
        user: own.user_properties,
        subscription_ids: own
            .subscription_identifiers
            .into_iter()
            .filter_map(|id| u32::try_from(id).ok())
            .collect(),
    }
}
