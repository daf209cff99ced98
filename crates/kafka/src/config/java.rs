//! The Java client's property names, where they differ from librdkafka's and there is a plain equivalent.
//!
//! | Java | librdkafka |
//! | --- | --- |
//! | `key.serializer`, `value.serializer`, `key.deserializer`, `value.deserializer` | none needed: passed over |
//! | `sasl.jaas.config` of `PlainLoginModule`, `ScramLoginModule` | `sasl.username`, `sasl.password` |
//! | `ssl.truststore.type=PEM`, `ssl.truststore.location` | `ssl.ca.location` |
//! | `ssl.truststore.certificates` | `ssl.ca.pem` |
//! | `ssl.keystore.type=PEM`, `ssl.keystore.location` | `ssl.certificate.location`, `ssl.key.location` |
//! | `ssl.keystore.type=PKCS12`, `ssl.keystore.location` | the same, by `ssl.keystore.location` |
//! | `ssl.keystore.certificate.chain`, `ssl.keystore.key` | `ssl.certificate.pem`, `ssl.key.pem` |
//! | `ssl.endpoint.identification.algorithm=` (empty) | `none` |
//! | `max.request.size` | `message.max.bytes` |
//! | `buffer.memory` | `queue.buffering.max.kbytes` |
//! | `send.buffer.bytes`, `receive.buffer.bytes` | `socket.send.buffer.bytes`, `socket.receive.buffer.bytes` |
//! | `fetch.max.wait.ms` | `fetch.wait.max.ms` |
//! | `partitioner.class`, `interceptor.classes`, JKS stores | none: an error says so |

use std::collections::BTreeMap;

use super::entry::{Entry, PropertyError};

/// Properties that differ in nothing but their name.
const RENAMED: &[(&str, &str)] = &[
    ("ssl.truststore.certificates", "ssl.ca.pem"),
    ("ssl.keystore.certificate.chain", "ssl.certificate.pem"),
    ("ssl.keystore.key", "ssl.key.pem"),
    ("max.request.size", "message.max.bytes"),
    ("send.buffer.bytes", "socket.send.buffer.bytes"),
    ("receive.buffer.bytes", "socket.receive.buffer.bytes"),
    ("fetch.max.wait.ms", "fetch.wait.max.ms"),
];

/// Java classes that turn objects into bytes: there are no objects here.
const PASSED_OVER: &[&str] = &[
    "key.serializer",
    "value.serializer",
    "key.deserializer",
    "value.deserializer",
];

/// Renames the properties of one file from Java's names to librdkafka's.
///
/// # Errors
///
/// [`PropertyError::Java`] where there is no equivalent.
pub(crate) fn translate(entries: &mut BTreeMap<String, Entry>) -> Result<(), PropertyError> {
    for name in PASSED_OVER {
        entries.remove(*name);
    }
    for (java, ours) in RENAMED {
        if let Some(entry) = entries.remove(*java) {
            entries.insert((*ours).to_owned(), entry);
        }
    }
    if let Some(entry) = entries.get_mut("ssl.endpoint.identification.algorithm")
        && entry.value.is_empty()
    {
        "none".clone_into(&mut entry.value);
    }
    if let Some(mut entry) = entries.remove("buffer.memory") {
        let bytes: u64 = entry
            .value
            .parse()
            .map_err(|_| refuse(&entry, "buffer.memory", "not a number of bytes"))?;
        entry.value = (bytes / 1024).max(1).to_string();
        entries.insert("queue.buffering.max.kbytes".to_owned(), entry);
    }
    translate_truststore(entries)?;
    translate_keystore(entries)?;
    if let Some(entry) = entries.remove("sasl.jaas.config") {
        let (user, password) = read_jaas(&entry.value).ok_or_else(|| {
            let why = "only PlainLoginModule and ScramLoginModule with a username and a password can be understood; \
                       otherwise use librdkafka's sasl.* properties";
            refuse(&entry, "sasl.jaas.config", why)
        })?;
        let place = entry.place;
        entries.insert(
            "sasl.username".to_owned(),
            Entry {
                value: user,
                place: place.clone(),
                alias: None,
            },
        );
        entries.insert(
            "sasl.password".to_owned(),
            Entry {
                value: password,
                place,
                alias: None,
            },
        );
    }
    for name in ["partitioner.class", "interceptor.classes"] {
        if let Some(entry) = entries.get(name) {
            return Err(refuse(entry, name, "a Java class can't be used here"));
        }
    }
    Ok(())
}

fn refuse(entry: &Entry, name: &str, why: &str) -> PropertyError {
    PropertyError::Java {
        place: entry.place.clone(),
        name: name.to_owned(),
        why: why.to_owned(),
    }
}

fn translate_truststore(entries: &mut BTreeMap<String, Entry>) -> Result<(), PropertyError> {
    let kind = entries.remove("ssl.truststore.type");
    let location = entries.remove("ssl.truststore.location");
    let password = entries.remove("ssl.truststore.password");
    let pem = kind
        .as_ref()
        .is_some_and(|kind| kind.value.eq_ignore_ascii_case("PEM"));
    match location {
        Some(location) if pem => {
            entries.insert("ssl.ca.location".to_owned(), location);
            Ok(())
        }
        Some(location) => {
            let why = "only PEM can be read: export the certificates (keytool -exportcert -rfc) and set ssl.ca.location";
            Err(refuse(&location, "ssl.truststore.location", why))
        }
        // The type alone, or a password for what isn't there, asks for nothing; PEM given inline needs the type in Java.
        None => password.map_or(Ok(()), |password| {
            Err(refuse(
                &password,
                "ssl.truststore.password",
                "there is no ssl.truststore.location beside it",
            ))
        }),
    }
}

fn translate_keystore(entries: &mut BTreeMap<String, Entry>) -> Result<(), PropertyError> {
    let Some(kind) = entries.remove("ssl.keystore.type") else {
        return Ok(());
    };
    match kind.value.to_ascii_uppercase().as_str() {
        "PKCS12" => Ok(()),
        "PEM" => {
            if let Some(location) = entries.remove("ssl.keystore.location") {
                entries.insert("ssl.certificate.location".to_owned(), location.clone());
                entries.insert("ssl.key.location".to_owned(), location);
            }
            Ok(())
        }
        _ => {
            let why = "only PEM and PKCS12 can be read: convert it (keytool -importkeystore -deststoretype PKCS12)";
            Err(refuse(&kind, "ssl.keystore.type", why))
        }
    }
}

/// The user and password of `…PlainLoginModule required username="alice" password="…";`.
fn read_jaas(text: &str) -> Option<(String, String)> {
    let (module, options) = text
        .trim()
        .trim_end_matches(';')
        .split_once(char::is_whitespace)?;
    if !module.ends_with(".PlainLoginModule") && !module.ends_with(".ScramLoginModule") {
        return None;
    }
    let value = |name: &str| {
        let (_, rest) = options.split_once(&format!("{name}="))?;
        let mut chars = rest.strip_prefix('"')?.chars();
        let mut value = String::new();
        loop {
            match chars.next()? {
                '"' => return Some(value),
                '\\' => value.push(chars.next()?),
                c => value.push(c),
            }
        }
    };
    Some((value("username")?, value("password")?))
}

#[cfg(test)]
mod tests {
    use crate::config::Properties;

    fn read(text: &str) -> Result<Properties, String> {
        let mut properties = Properties::new();
        properties
            .add_text("client.properties", text)
            .map_err(|error| error.to_string())?;
        Ok(properties)
    }

    #[test]
    fn a_java_clients_file_works_as_it_is() {
        let properties = read(
            "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\n\
             sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\\n    \
             username=\"alice\" \\\n    password=\"a\\\"b c\";\n\
             ssl.truststore.type=PEM\nssl.truststore.location=/etc/ca.pem\n\
             key.serializer=org.apache.kafka.common.serialization.StringSerializer\n\
             max.request.size=2000000\nbuffer.memory=33554432\nenable.idempotence=true\n",
        )
        .unwrap();
        for (name, value) in [
            ("sasl.mechanisms", "SCRAM-SHA-512"),
            ("sasl.username", "alice"),
            ("sasl.password", "a\"b c"),
            ("ssl.ca.location", "/etc/ca.pem"),
            ("message.max.bytes", "2000000"),
            ("queue.buffering.max.kbytes", "32768"),
        ] {
            assert_eq!(properties.get(name), Some(value), "{name}");
        }
    }

    #[test]
    fn a_key_and_its_certificate_in_one_pem_file() {
        let properties =
            read("ssl.keystore.type=PEM\nssl.keystore.location=/etc/me.pem\n").unwrap();
        assert_eq!(
            properties.get("ssl.certificate.location"),
            Some("/etc/me.pem")
        );
        assert_eq!(properties.get("ssl.key.location"), Some("/etc/me.pem"));
        let properties =
            read("ssl.keystore.type=PKCS12\nssl.keystore.location=/etc/me.p12\n").unwrap();
        assert_eq!(properties.get("ssl.keystore.location"), Some("/etc/me.p12"));
    }

    #[test]
    fn what_has_no_equivalent_is_refused_with_a_way_out() {
        for (text, word) in [
            (
                "\nssl.truststore.location=/a.jks",
                "client.properties:2: ssl.truststore.location: only PEM",
            ),
            ("ssl.keystore.type=JKS", "PKCS12"),
            (
                "partitioner.class=com.example.Mine",
                "partitioner.class: a Java class",
            ),
            (
                "sasl.jaas.config=com.sun.security.auth.module.Krb5LoginModule required;",
                "sasl.* properties",
            ),
            (
                "sasl.jaas.config=x.PlainLoginModule required username=\"a\" password=hunter2;",
                "sasl.* properties",
            ),
            ("buffer.memory=lots", "not a number"),
            (
                "max.poll.records=500",
                "No such configuration property: \"max.poll.records\"",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(
                error.contains(word) && !error.contains("hunter2"),
                "{text}: {error}"
            );
        }
    }
}
