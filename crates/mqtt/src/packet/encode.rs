//! Writing packets.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use rumqttc::mqttbytes::{Protocol, QoS as Qos4, v4};
use rumqttc::v5::mqttbytes::{QoS as Qos5, v5};

use crate::error::Refusal;
use crate::event::Limits;
use crate::message::{Message, Properties};
use crate::options::{RetainHandling, SessionOptions, Subscription, Will};
use crate::protocol::{Qos, Version};
use crate::reason::Reason;

/// Writes the packets of the publish flows.
#[derive(Debug)]
pub(crate) struct Encoder {
    version: Version,
    limits: Limits,
    /// Topics that have an alias on this connection, which is the only one that it holds for
    /// [MQTT-3.3.2-7]. The first that come get one, as many as the broker takes, and keep it.
    aliases: HashMap<Arc<str>, u16>,
    /// Properties of the packet at hand, kept for its memory.
    scratch: BytesMut,
}

impl Encoder {
    pub(crate) fn new(version: Version, limits: Limits) -> Self {
        Self {
            version,
            limits,
            aliases: HashMap::new(),
            scratch: BytesMut::new(),
        }
    }

    /// Appends a PUBLISH (section 3.3), or says why the broker would not take it; then nothing is
    /// appended. `id` is 0 at QoS 0.
    pub(crate) fn publish(
        &mut self,
        out: &mut BytesMut,
        message: &Message,
        id: u16,
        dup: bool,
    ) -> Result<(), Refusal> {
        if message.qos > self.limits.maximum_qos {
            let limit = self.limits.maximum_qos;
            return Err(Refusal::QosNotSupported { limit });
        }
        if message.retain && !self.limits.retain_available {
            return Err(Refusal::RetainNotSupported);
        }
        self.scratch.clear();
        if let Some(properties) = message.properties.as_deref()
            && self.version == Version::V5
        {
            put_properties(&mut self.scratch, properties)?;
        }
        let without_alias = self.scratch.len();
        let limit = self.limits.maximum_packet_size;
        let (topic, mut new_alias) = self.name_topic(&message.topic);
        let mut remaining = self.remaining(topic, message);
        if packet_size(remaining) > limit as usize && new_alias.take().is_some() {
            self.scratch.truncate(without_alias);
            remaining = self.remaining(topic, message);
        }
        let size = packet_size(remaining);
        if size > limit as usize {
            return Err(Refusal::TooLarge { size, limit });
        }
        let topic_length = u16::try_from(topic.len()).map_err(|_| Refusal::FieldTooLong)?;
        out.reserve(size);
        out.put_u8(0x30 | u8::from(dup) << 3 | message.qos.level() << 1 | u8::from(message.retain));
        put_variable(out, remaining);
        out.put_u16(topic_length);
        out.put_slice(topic.as_bytes());
        if message.qos > Qos::AtMostOnce {
            out.put_u16(id);
        }
        if self.version == Version::V5 {
            put_variable(out, self.scratch.len());
            out.put_slice(&self.scratch);
        }
        out.put_slice(&message.payload);
        if let Some(alias) = new_alias {
            self.aliases.insert(Arc::clone(&message.topic), alias);
        }
        Ok(())
    }

    /// The Remaining Length of a PUBLISH (section 2.1.4) with the properties at hand.
    fn remaining(&self, topic: &str, message: &Message) -> usize {
        let mut remaining = 2 + topic.len() + message.payload.len();
        if message.qos > Qos::AtMostOnce {
            remaining += 2;
        }
        if self.version == Version::V5 {
            remaining += variable_length(self.scratch.len()) + self.scratch.len();
        }
        remaining
    }

    /// The topic as it is to be written: nothing where an alias stands for it, whose property is then
    /// among the others (section 3.3.2.3.4). With it the alias that the topic gets by this packet.
    fn name_topic<'a>(&mut self, topic: &'a Arc<str>) -> (&'a str, Option<u16>) {
        let possible = self.version == Version::V5 && self.limits.topic_alias_maximum > 0;
        // Nothing is won with a topic that is as short as the property.
        if !possible || topic.len() <= ALIAS_PROPERTY {
            return (topic, None);
        }
        let known = self.aliases.get(topic).copied();
        let next = u16::try_from(self.aliases.len() + 1).ok();
        let new = next.filter(|&next| known.is_none() && next <= self.limits.topic_alias_maximum);
        if let Some(alias) = known.or(new) {
            self.scratch.put_u8(0x23);
            self.scratch.put_u16(alias);
        }
        (if known.is_some() { "" } else { topic }, new)
    }

    /// Appends a PUBACK with success.
    pub(crate) fn pub_ack(out: &mut BytesMut, id: u16) {
        Self::answer(out, 0x40, id);
    }

    /// Appends a PUBREC with success.
    pub(crate) fn pub_rec(out: &mut BytesMut, id: u16) {
        Self::answer(out, 0x50, id);
    }

    /// Appends a PUBREL; `found` is whether the identifier is known.
    pub(crate) fn pub_rel(&self, out: &mut BytesMut, id: u16, found: bool) {
        self.answer_found(out, 0x62, id, found);
    }

    /// Appends a PUBCOMP; `found` is whether the identifier is known.
    pub(crate) fn pub_comp(&self, out: &mut BytesMut, id: u16, found: bool) {
        self.answer_found(out, 0x70, id, found);
    }

    fn answer(out: &mut BytesMut, first: u8, id: u16) {
        out.put_slice(&[first, 2]);
        out.put_u16(id);
    }

    fn answer_found(&self, out: &mut BytesMut, first: u8, id: u16, found: bool) {
        if found || self.version == Version::V311 {
            Self::answer(out, first, id);
        } else {
            out.put_slice(&[first, 3]);
            out.put_u16(id);
            out.put_u8(Reason::PACKET_IDENTIFIER_NOT_FOUND.0);
        }
    }

    /// Appends a PINGREQ.
    pub(crate) fn ping(out: &mut BytesMut) {
        out.put_slice(&[0xc0, 0]);
    }
}

/// The bytes of the property Topic Alias.
const ALIAS_PROPERTY: usize = 3;

fn packet_size(remaining: usize) -> usize {
    1 + variable_length(remaining) + remaining
}

/// The bytes of a Variable Byte Integer (section 1.5.5).
fn variable_length(value: usize) -> usize {
    match value {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the value is masked to seven bits"
)]
fn put_variable(out: &mut BytesMut, mut value: usize) {
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.put_u8(byte);
            return;
        }
        out.put_u8(byte | 0x80);
    }
}

fn put_field(out: &mut BytesMut, bytes: &[u8]) -> Result<(), Refusal> {
    let length = u16::try_from(bytes.len()).map_err(|_| Refusal::FieldTooLong)?;
    out.put_u16(length);
    out.put_slice(bytes);
    Ok(())
}

/// Section 3.3.2.3. Subscription Identifiers are not for a client to send [MQTT-3.3.4-6].
fn put_properties(out: &mut BytesMut, properties: &Properties) -> Result<(), Refusal> {
    properties.check()?;
    if let Some(format) = properties.payload_format {
        out.put_slice(&[0x01, format]);
    }
    if let Some(expiry) = properties.message_expiry {
        out.put_u8(0x02);
        out.put_u32(expiry);
    }
    if let Some(topic) = &properties.response_topic {
        out.put_u8(0x08);
        put_field(out, topic.as_bytes())?;
    }
    if let Some(data) = &properties.correlation_data {
        out.put_u8(0x09);
        put_field(out, data)?;
    }
    for (name, value) in &properties.user {
        out.put_u8(0x26);
        put_field(out, name.as_bytes())?;
        put_field(out, value.as_bytes())?;
    }
    if let Some(content_type) = &properties.content_type {
        out.put_u8(0x03);
        put_field(out, content_type.as_bytes())?;
    }
    Ok(())
}

fn qos5(qos: Qos) -> Qos5 {
    match qos {
        Qos::AtMostOnce => Qos5::AtMostOnce,
        Qos::AtLeastOnce => Qos5::AtLeastOnce,
        Qos::ExactlyOnce => Qos5::ExactlyOnce,
    }
}

fn qos4(qos: Qos) -> Qos4 {
    match qos {
        Qos::AtMostOnce => Qos4::AtMostOnce,
        Qos::AtLeastOnce => Qos4::AtLeastOnce,
        Qos::ExactlyOnce => Qos4::ExactlyOnce,
    }
}

/// A CONNECT (section 3.1) for the first or a later connection of a session.
pub(crate) fn connect(options: &SessionOptions, first: bool) -> BytesMut {
    let mut out = BytesMut::new();
    let written = match options.version {
        Version::V5 => connect5(options, first)
            .write(
                &options
                    .will
                    .as_ref()
                    .map(|will| will5(will, options.will_delay())),
                &options.credentials.as_ref().map(|credentials| {
                    let password = credentials.password.clone().unwrap_or_default();
                    v5::Login::new(credentials.username.clone(), password)
                }),
                &mut out,
            )
            .is_ok(),
        Version::V311 => connect4(options, first).write(&mut out).is_ok(),
    };
    debug_assert!(
        written,
        "a CONNECT is shorter than 256 MiB, each field has at most 64 KiB"
    );
    out
}

fn connect5(options: &SessionOptions, first: bool) -> v5::Connect {
    let mut properties = v5::ConnectProperties::new();
    let expiry = options.connect_expiry();
    properties.session_expiry_interval = (expiry > 0).then_some(expiry);
    properties.receive_maximum = Some(options.receive_maximum.max(1));
    properties.max_packet_size = Some(options.max_incoming_packet);
    v5::Connect {
        keep_alive: options.keep_alive_seconds(),
        client_id: options.client_id.clone(),
        clean_start: options.clean(first),
        properties: Some(properties),
    }
}

fn will5(will: &Will, delay: u32) -> v5::LastWill {
    let message = &will.message;
    let own = message.properties.as_deref().cloned().unwrap_or_default();
    let properties = v5::LastWillProperties {
        delay_interval: (delay > 0).then_some(delay),
        payload_format_indicator: own.payload_format,
        message_expiry_interval: own.message_expiry,
        content_type: own.content_type,
        response_topic: own.response_topic,
        correlation_data: own.correlation_data,
        user_properties: own.user,
    };
    v5::LastWill {
        topic: message.topic.as_bytes().to_vec().into(),
        message: message.payload.clone(),
        qos: qos5(message.qos),
        retain: message.retain,
        properties: Some(properties),
    }
}

fn connect4(options: &SessionOptions, first: bool) -> v4::Connect {
    v4::Connect {
        protocol: Protocol::V4,
        keep_alive: options.keep_alive_seconds(),
        client_id: options.client_id.clone(),
        clean_session: options.clean(first),
        last_will: options.will.as_ref().map(|will| v4::LastWill {
            topic: will.message.topic.to_string(),
            message: will.message.payload.clone(),
            qos: qos4(will.message.qos),
            retain: will.message.retain,
        }),
        login: options.credentials.as_ref().map(|credentials| {
            let password = credentials.password.clone().unwrap_or_default();
            v4::Login::new(credentials.username.clone(), password)
        }),
    }
}

/// Appends a SUBSCRIBE (section 3.8).
pub(crate) fn subscribe(
    out: &mut BytesMut,
    version: Version,
    id: u16,
    subscriptions: &[Subscription],
) {
    let written = match version {
        Version::V5 => {
            let filters = subscriptions.iter().map(|subscription| v5::Filter {
                path: subscription.filter.clone(),
                qos: qos5(subscription.qos),
                nolocal: subscription.no_local,
                preserve_retain: subscription.retain_as_published,
                retain_forward_rule: match subscription.retain_handling {
                    RetainHandling::Always => v5::RetainForwardRule::OnEverySubscribe,
                    RetainHandling::IfNew => v5::RetainForwardRule::OnNewSubscribe,
                    RetainHandling::Never => v5::RetainForwardRule::Never,
                },
            });
            let mut packet = v5::Subscribe::new_many(filters, None);
            packet.pkid = id;
            packet.write(out).is_ok()
        }
        Version::V311 => {
            let filters = subscriptions.iter().map(|subscription| {
                v4::SubscribeFilter::new(subscription.filter.clone(), qos4(subscription.qos))
            });
            let mut packet = v4::Subscribe::new_many(filters);
            packet.pkid = id;
            packet.write(out).is_ok()
        }
    };
    debug_assert!(written, "a SUBSCRIBE is shorter than 256 MiB");
}

/// Appends a DISCONNECT (section 3.14); `end_session` sets the expiry to zero, so that the broker
/// keeps nothing.
pub(crate) fn disconnect(out: &mut BytesMut, version: Version, end_session: bool) {
    if version == Version::V5 && end_session {
        // Reason 0x00, one property of five bytes: Session Expiry Interval 0.
        out.put_slice(&[0xe0, 7, 0x00, 5, 0x11, 0, 0, 0, 0]);
    } else {
        out.put_slice(&[0xe0, 0]);
    }
}
