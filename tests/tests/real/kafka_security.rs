//! Who may in, with what, and what the tools say when they may not.

use std::fs;
use std::path::PathBuf;

use e2e::counts;
use e2e::real::{envelopes, new_topic, producer, python, tapped};
use tapline_testkit::{Finished, RealBrokers, Run, TempDir, temp_dir, unique};

/// A file for `--config`, and the folder that holds it.
fn config(lines: &[&str]) -> (TempDir, String) {
    let folder = temp_dir();
    let path: PathBuf = folder.path().join("client.properties");
    fs::write(&path, lines.join("\n")).expect("our own folder");
    let path = path.to_str().expect("a path of ours is UTF-8").to_owned();
    (folder, path)
}

/// The lines for SASL over TLS.
fn password(brokers: &RealBrokers, mechanism: &str, user: &str, password: &str) -> Vec<String> {
    vec![
        "security.protocol=SASL_SSL".to_owned(),
        format!("sasl.mechanism={mechanism}"),
        format!("sasl.username={user}"),
        format!("sasl.password={password}"),
        format!("ssl.ca.location={}", brokers.variable("CA_FILE")),
    ]
}

/// The lines for mutual TLS; `pair` is a prefix of the variables' names.
fn certificate(brokers: &RealBrokers, pair: &str) -> Vec<String> {
    let variable = |end: &str| brokers.variable(&format!("{pair}CLIENT_{end}"));
    vec![
        "security.protocol=SSL".to_owned(),
        format!("ssl.ca.location={}", brokers.variable("CA_FILE")),
        format!("ssl.certificate.location={}", variable("CERT_FILE")),
        format!("ssl.key.location={}", variable("KEY_FILE")),
    ]
}

/// Both tools at an address: what they did.
fn both(address: &str, lines: &[String]) -> [Finished; 2] {
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let (_folder, config) = config(&lines);
    let produced = producer(address, &["--config", &config]).finish_with("1\n");
    let tapped = Run::tool("topic-tap")
        .args([address, "--from", "beginning", "--until-end"])
        .args(["--config", &config])
        .finish();
    [produced, tapped]
}

#[test]
fn a_password_or_a_certificate_lets_in() {
    let brokers = RealBrokers::shared();
    let topic = new_topic(&brokers, "secured", 3);
    let (user, secret) = (
        brokers.variable("TEST_USERNAME"),
        brokers.variable("TEST_PASSWORD"),
    );
    for (address, lines) in [
        (
            brokers.tls_topic(&topic),
            password(&brokers, "PLAIN", user, secret),
        ),
        (
            brokers.tls_topic(&topic),
            password(&brokers, "SCRAM-SHA-512", user, secret),
        ),
        (brokers.mtls_topic(&topic), certificate(&brokers, "")),
    ] {
        let [produced, tapped] = both(&address, &lines);
        produced.assert_code(0);
        tapped.assert_code(0);
        assert_eq!(counts(&produced).delivered, 1);
    }
    assert_eq!(
        tapped(&brokers.kafka_topic(&topic), &[]).lines(),
        ["1", "1", "1"]
    );
}

#[test]
fn the_wrong_password_is_told_in_the_brokers_words_and_not_repeated() {
    let brokers = RealBrokers::shared();
    let topic = new_topic(&brokers, "secured", 1);
    let user = brokers.variable("TEST_USERNAME");
    for (mechanism, word) in [
        ("PLAIN", "Invalid username or password"),
        ("SCRAM-SHA-512", "invalid credentials"),
    ] {
        let lines = password(&brokers, mechanism, user, "s3cr3t-guess");
        for ran in both(&brokers.tls_topic(&topic), &lines) {
            ran.assert_code(2)
                .assert_stderr(brokers.node("KAFKA_TLS_URL", 1))
                .assert_stderr("uthentication failed")
                .assert_stderr(word);
            assert!(!ran.stderr.contains("s3cr3t"), "{}", ran.stderr);
        }
    }
}

#[test]
fn a_certificate_that_is_not_the_right_one_is_told_on_either_side() {
    let brokers = RealBrokers::shared();
    let topic = new_topic(&brokers, "secured", 1);
    let (user, secret) = (
        brokers.variable("TEST_USERNAME"),
        brokers.variable("TEST_PASSWORD"),
    );
    let (tls, mutual) = (brokers.tls_topic(&topic), brokers.mtls_topic(&topic));
    let known = password(&brokers, "PLAIN", user, secret);
    let mut unknown = known.clone();
    let other = brokers.variable("OTHER_CA_FILE");
    unknown[4] = format!("ssl.ca.location={other}");
    let nameless = tls.replace("127.0.0.1", "localhost");
    let none = certificate(&brokers, "")[..2].to_vec();
    let (tls_node, mutual_node) = (
        brokers.node("KAFKA_TLS_URL", 1),
        brokers.node("KAFKA_MTLS_URL", 1),
    );
    let nameless_node = tls_node.replace("127.0.0.1", "localhost");
    for (what, address, lines, words) in [
        (
            "wrong authority",
            &tls,
            unknown,
            ["broker's certificate is not accepted", tls_node],
        ),
        (
            "wrong host name",
            &nameless,
            known,
            ["broker's certificate is not accepted", &nameless_node],
        ),
        // These two are what the broker says: Java's alert for an expired one is `certificate unknown`.
        (
            "expired",
            &mutual,
            certificate(&brokers, "EXPIRED_"),
            ["certificate (certificate unknown)", mutual_node],
        ),
        (
            "another's",
            &mutual,
            certificate(&brokers, "OTHER_"),
            ["certificate (bad certificate)", mutual_node],
        ),
        (
            "none",
            &mutual,
            none,
            ["certificate (bad certificate)", mutual_node],
        ),
    ] {
        for ran in both(address, &lines) {
            assert_eq!(ran.code, Some(2), "{what}: {}", ran.stderr);
            for word in words {
                assert!(
                    ran.stderr.contains(word),
                    "{what}: {word:?} isn't in {}",
                    ran.stderr
                );
            }
        }
    }
    // Nothing has passed.
    assert!(tapped(&brokers.kafka_topic(&topic), &[]).stdout.is_empty());
}

#[test]
fn plain_text_to_a_secured_listener_says_what_may_be_missing() {
    let brokers = RealBrokers::shared();
    for ran in both(&brokers.tls_topic("any"), &[]) {
        ran.assert_code(2).assert_stderr("security.protocol");
    }
}

#[test]
fn an_account_that_may_not_use_a_topic_is_told_so() {
    let brokers = RealBrokers::shared();
    let forbidden = new_topic(&brokers, "forbidden", 1);
    let allowed = new_topic(&brokers, "allowed", 1);
    let limited = password(
        &brokers,
        "SCRAM-SHA-512",
        brokers.variable("TEST_LIMITED_USERNAME"),
        brokers.variable("TEST_PASSWORD"),
    );
    for ran in both(&brokers.tls_topic(&forbidden), &limited) {
        ran.assert_code(2)
            .assert_stderr(&format!("topic '{forbidden}'"))
            .assert_stderr("Topic authorization failed");
    }
    for ran in both(&brokers.tls_topic(&allowed), &limited) {
        ran.assert_code(0);
    }
}

#[test]
fn a_topic_that_may_not_be_made_is_told_so() {
    let brokers = RealBrokers::shared();
    let lines = password(
        &brokers,
        "PLAIN",
        brokers.variable("TEST_LIMITED_USERNAME"),
        brokers.variable("TEST_PASSWORD"),
    );
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let (_folder, config) = config(&lines);
    let address = brokers.tls_topic(&unique("forbidden"));
    producer(&address, &["--create-topic", "--config", &config])
        .finish_with("1\n")
        .assert_code(2)
        .assert_stderr("authorization failed");
}

#[test]
fn what_a_transaction_aborted_is_not_shown() {
    let brokers = RealBrokers::shared();
    let topic = new_topic(&brokers, "transactions", 1);
    let address = brokers.kafka_topic(&topic);
    let ran = python("transactions.py")
        .args([brokers.servers(), &topic])
        .finish();
    ran.assert_code(0);
    // It ends at the end, though the last offsets are the markers of transactions.
    assert_eq!(
        tapped(&address, &[]).lines(),
        ["committed 1", "committed 2"]
    );
    let all = envelopes(&address, &["-X", "isolation.level=read_uncommitted"]);
    let values: Vec<_> = all.iter().map(|one| one["value_text"].as_str()).collect();
    assert_eq!(
        values,
        [
            Some("committed 1"),
            Some("aborted"),
            Some("committed 2"),
            Some("aborted")
        ]
    );
}
