//! Kafka's protocol by hand, for what no client lets through: records with headers that are not text, and a broker
//! whose answers hold such names.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
};

use crate::Peer;

/// A record as bytes; nothing of it need be text.
#[derive(Debug, Clone, Copy, Default)]
pub struct RawRecord<'a> {
    /// Its value.
    pub value: &'a [u8],
    /// Names and values of its headers.
    pub headers: &'a [(&'a [u8], &'a [u8])],
}

/// Produces records to partition 0 of a topic: one batch, acknowledged by its leader.
///
/// # Panics
///
/// When none of the `servers` (`host:port,…`) takes it.
#[track_caller]
pub fn produce(servers: &str, topic: &str, records: &[RawRecord<'_>]) {
    let request = produce_request(topic, &batch(records));
    let took = servers.split(',').any(|server| {
        let mut stream = TcpStream::connect(server).expect("the broker listens");
        let answer = ask(&mut stream, &request).expect("the broker answers");
        // Correlation, one topic with its name, one partition with its number: then the error.
        let error = 4 + 4 + 2 + topic.len() + 4 + 4;
        answer[error..error + 2] == [0, 0]
    });
    assert!(took, "none of {servers} took the records");
}

fn ask(stream: &mut TcpStream, request: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(&length(request.len()))?;
    stream.write_all(request)?;
    read_framed(stream)
}

fn read_framed(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let mut rest = vec![0; u32::from_be_bytes(size) as usize];
    stream.read_exact(&mut rest)?;
    Ok(rest)
}

fn length(length: usize) -> [u8; 4] {
    let length = u32::try_from(length).expect("a test's request is small");
    length.to_be_bytes()
}

fn put_string(out: &mut Vec<u8>, text: &[u8]) {
    let length = u16::try_from(text.len()).expect("a test's name is short");
    out.extend(length.to_be_bytes());
    out.extend(text);
}

/// Produce, version 7: all in-sync replicas, within 30 seconds.
fn produce_request(topic: &str, batch: &[u8]) -> Vec<u8> {
    let mut out = vec![0, 0, 0, 7, 0, 0, 0, 1];
    put_string(&mut out, b"raw");
    out.extend((-1_i16).to_be_bytes());
    out.extend((-1_i16).to_be_bytes());
    out.extend(30_000_u32.to_be_bytes());
    out.extend(length(1));
    put_string(&mut out, topic.as_bytes());
    out.extend(length(1));
    out.extend(0_i32.to_be_bytes());
    out.extend(length(batch.len()));
    out.extend(batch);
    out
}

/// A record batch of magic 2.
fn batch(records: &[RawRecord<'_>]) -> Vec<u8> {
    let count = u32::try_from(records.len()).expect("a test has few records");
    let mut checked = vec![0, 0];
    checked.extend((count - 1).to_be_bytes());
    // 2023-11-14T22:13:20Z for all of them.
    checked.extend(1_700_000_000_000_i64.to_be_bytes());
    checked.extend(1_700_000_000_000_i64.to_be_bytes());
    checked.extend((-1_i64).to_be_bytes());
    checked.extend((-1_i16).to_be_bytes());
    checked.extend((-1_i32).to_be_bytes());
    checked.extend(count.to_be_bytes());
    for (at, record) in records.iter().enumerate() {
        let mut body = vec![0];
        put_varint(&mut body, 0);
        put_varint(&mut body, i64::try_from(at).expect("few"));
        put_varint(&mut body, -1);
        put_bytes(&mut body, record.value);
        put_varint(&mut body, i64::try_from(record.headers.len()).expect("few"));
        for (name, value) in record.headers {
            put_bytes(&mut body, name);
            put_bytes(&mut body, value);
        }
        put_bytes(&mut checked, &body);
    }
    let mut out = vec![0; 8];
    // The leader's epoch, the magic number and the checksum count.
    out.extend(length(checked.len() + 9));
    out.extend([0, 0, 0, 0, 2]);
    out.extend(crc32c(&checked).to_be_bytes());
    out.extend(checked);
    out
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, i64::try_from(bytes.len()).expect("short"));
    out.extend(bytes);
}

/// Zigzag, seven bits a byte, the lowest first.
fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = (value << 1 ^ value >> 63).cast_unsigned();
    loop {
        let [low, ..] = rest.to_le_bytes();
        rest >>= 7;
        if rest == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
        }
    }
    !crc
}

/// A broker that says of itself what it is told to: its host, and a topic of one partition.
///
/// It answers `ApiVersions` and `Metadata` and hangs up at all else.
#[must_use]
pub fn broker_named(host: Vec<u8>, topic: Vec<u8>) -> Peer {
    Peer::attending(move |mut stream, _| {
        while let Ok(request) = read_framed(&mut stream) {
            let Some((key, version, correlation)) = head(&request) else {
                return;
            };
            let mut answer = correlation.to_vec();
            match (key, version) {
                (18, 0) => answer.extend(api_versions(0)),
                // Not this version: it asks again with 0.
                (18, _) => answer.extend(api_versions(35)),
                (3, _) => answer.extend(metadata(&host, &topic)),
                _ => return,
            }
            let framed = [length(answer.len()).to_vec(), answer].concat();
            if stream.write_all(&framed).is_err() {
                return;
            }
        }
    })
}

/// What is asked for, in which version, and the number of the question.
fn head(request: &[u8]) -> Option<(u16, u16, [u8; 4])> {
    let (key, rest) = request.split_first_chunk()?;
    let (version, rest) = rest.split_first_chunk()?;
    let correlation = rest.first_chunk()?;
    Some((
        u16::from_be_bytes(*key),
        u16::from_be_bytes(*version),
        *correlation,
    ))
}

/// Version 0: an error, and each request with its lowest and highest version.
fn api_versions(error: u16) -> Vec<u8> {
    let known: [[u16; 3]; 5] = [[0, 0, 7], [1, 0, 4], [2, 0, 1], [3, 1, 1], [18, 0, 0]];
    let mut out = error.to_be_bytes().to_vec();
    out.extend(length(known.len()));
    out.extend(known.as_flattened().iter().flat_map(|n| n.to_be_bytes()));
    out
}

/// Version 1: one broker, and one topic that it leads.
fn metadata(host: &[u8], topic: &[u8]) -> Vec<u8> {
    let one = length(1);
    let mut out = one.to_vec();
    out.extend(one);
    put_string(&mut out, host);
    // No broker listens there, and nobody asks one.
    out.extend(9_u32.to_be_bytes());
    out.extend((-1_i16).to_be_bytes());
    out.extend(one);
    out.extend(one);
    out.extend(0_u16.to_be_bytes());
    put_string(&mut out, topic);
    out.push(0);
    out.extend(one);
    // No error, partition 0; its leader, one replica, one in sync: each time broker 1.
    out.extend([0; 6]);
    for _ in 0..5 {
        out.extend(one);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn numbers_are_zigzag() {
        let mut out = Vec::new();
        for number in [0, -1, 1, 64, -300] {
            put_varint(&mut out, number);
        }
        assert_eq!(out, [0, 1, 2, 0x80, 1, 0xd7, 4]);
    }
}
