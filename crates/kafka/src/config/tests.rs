//! Tests of the properties.

use super::*;

fn read(text: &str) -> Result<Properties, String> {
    let mut properties = Properties::new();
    properties
        .add_text("f", text)
        .map_err(|error| error.to_string())?;
    Ok(properties)
}

#[test]
fn files_of_kcat_and_java_are_read() {
    let properties = read(
        "\u{feff}# a comment\n! another\r\n\n  acks = all \nclient.id: probe\nlinger.ms 7\r\n\
         bootstrap.servers=elsewhere:9092\nsasl.username=al=ice\nsasl.password=a\\b#c : d\n\
         ssl.cipher.suites=\\\n   AES128 \\\n   AES256\ntopic.partitioner=murmur2\n",
    )
    .unwrap();
    for (name, value) in [
        ("acks", "all"),
        ("request.required.acks", "all"),
        ("client.id", "probe"),
        ("queue.buffering.max.ms", "7"),
        ("sasl.username", "al=ice"),
        ("sasl.password", "a\\b#c : d"),
        ("ssl.cipher.suites", "AES128 AES256"),
        ("partitioner", "murmur2"),
    ] {
        assert_eq!(properties.get(name), Some(value), "{name}");
    }
    assert_eq!(properties.get("bootstrap.servers"), None);
}

#[test]
fn only_an_odd_number_of_backslashes_continues_a_line() {
    let properties = read(
        "sasl.password=secret\\\\\nclient.id=probe\nsasl.username=a\\\n   b\\\\\\\n\tc\n\
         ssl.cipher.suites=A:\\\n  B \\\n  # C\nlinger.ms=7\\",
    )
    .unwrap();
    for (name, value) in [
        ("sasl.password", "secret\\\\"),
        ("client.id", "probe"),
        ("sasl.username", "ab\\\\c"),
        ("ssl.cipher.suites", "A:B # C"),
        ("linger.ms", "7"),
    ] {
        assert_eq!(properties.get(name), Some(value), "{name}");
    }
}

#[test]
fn an_argument_wins_over_a_file_even_under_another_name() {
    let mut properties = read("linger.ms=1\n").unwrap();
    properties.add_argument("queue.buffering.max.ms=2").unwrap();
    properties.add_argument("client.id=a=b").unwrap();
    assert_eq!(properties.get("linger.ms"), Some("2"));
    assert_eq!(properties.get("client.id"), Some("a=b"));
    let config = properties.over(&[("linger.ms", "5".to_owned()), ("acks", "all".to_owned())]);
    assert_eq!(config.get("queue.buffering.max.ms"), Some("2"));
    assert_eq!(config.get("request.required.acks"), Some("all"));
}

#[test]
fn what_librdkafka_does_not_know_or_take_is_named_with_its_place() {
    for (text, message) in [
        (
            "\n\nno.such.thing=1",
            "f:3: No such configuration property: \"no.such.thing\"",
        ),
        (
            "linger.ms=soon",
            "f:1: Invalid value for configuration property \"linger.ms\"",
        ),
        ("linger.ms", "f:1: not of the form property=value"),
        ("=x", "f:1: not of the form property=value"),
        (
            "enable.auto.commit=true",
            "f:1: enable.auto.commit: offsets are committed only after",
        ),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.starts_with(message), "{text}: {error}");
    }
    let error = Properties::new()
        .add_argument("nonsense=1")
        .unwrap_err()
        .to_string();
    assert_eq!(error, "-X: No such configuration property: \"nonsense\"");
}

#[test]
fn secrets_are_not_taken_as_arguments_nor_repeated() {
    for name in [
        "sasl.password",
        "ssl.key.password",
        "ssl.key.pem",
        "ssl.keystore.password",
        "ssl.keystore.key",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.assertion.private.key.passphrase",
        "sasl.jaas.config",
    ] {
        let error = Properties::new()
            .add_argument(&format!("{name}=hunter2"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(name) && error.contains("--config") && !error.contains("hunter2"),
            "{error}"
        );
    }
    assert!(!format!("{:?}", read("sasl.password=hunter2").unwrap()).contains("hunter2"));
    let error = Properties::new()
        .add_argument("hunter2")
        .unwrap_err()
        .to_string();
    assert!(!error.contains("hunter2"));
}

#[test]
fn the_address_names_the_brokers() {
    let error = Properties::new()
        .add_argument("bootstrap.servers=a:1")
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "-X: bootstrap.servers: the address names the brokers"
    );
}

#[test]
fn a_file_that_is_not_there_or_no_text_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing.properties");
    let error = Properties::new()
        .add_file(&missing)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("missing.properties: No such file"),
        "{error}"
    );
    assert!(
        Properties::new().add_file(dir.path()).is_err(),
        "a directory"
    );
    let binary = dir.path().join("binary");
    std::fs::write(&binary, [0xff, 0xfe]).unwrap();
    assert!(
        Properties::new()
            .add_file(&binary)
            .unwrap_err()
            .to_string()
            .contains("not UTF-8")
    );
}

#[test]
fn unchecked_tls_is_told() {
    assert!(read("").unwrap().unchecked_tls().is_none());
    assert!(
        read("ssl.endpoint.identification.algorithm=\n")
            .unwrap()
            .unchecked_tls()
            .is_some()
    );
    assert!(
        read("enable.ssl.certificate.verification=false")
            .unwrap()
            .unchecked_tls()
            .is_some()
    );
}
