//! The schema registry: what it has, what it refuses, and what happens when it is not well.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use e2e::counts;
use e2e::real::{envelopes, new_topic, produce, producer, tapped};
use tapline_testkit::{Peer, RealBrokers, Run, TempDir, temp_dir, unique};

const SCHEMA: &str = r#"{"type":"object","properties":{"fuel":{"type":"integer"}},"required":["fuel"],"additionalProperties":false}"#;

/// A schema in a file, and the folder that holds it.
fn schema(text: &str) -> (TempDir, String) {
    let folder = temp_dir();
    let path = folder.path().join("reading.schema.json");
    fs::write(&path, text).expect("our own folder");
    let path = path.to_str().expect("a path of ours").to_owned();
    (folder, path)
}

/// A registry whose answer to a request depends on the request's number, from 0, and its first line.
pub(crate) fn answering(
    answer: impl Fn(usize, &str) -> String + Send + Sync + 'static,
) -> (Peer, String) {
    let peer = Peer::attending(move |stream, number| {
        if let Some(request) = take_request(&stream) {
            let _ = (&stream).write_all(answer(number, &request).as_bytes());
        }
    });
    let url = format!("http://{}", peer.address());
    (peer, url)
}

/// Reads a request to its end; its first line, if there was one.
fn take_request(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            reader.read_exact(&mut vec![0; length]).ok()?;
            return first;
        }
        first.get_or_insert(line);
    }
}

/// An HTTP response.
pub(crate) fn response(status: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

#[test]
fn a_schema_is_registered_when_asked_for_and_looked_up_from_then_on() {
    let brokers = RealBrokers::shared();
    let topic = new_topic(&brokers, "registered", 1);
    let address = brokers.kafka_topic(&topic);
    let (_folder, path) = schema(SCHEMA);
    let look_up = ["-s", &path, "--registry", brokers.registry()];
    let unregistered = producer(&address, &look_up).finish_with("{\"fuel\":1}\n");
    unregistered
        .assert_code(2)
        .assert_stderr(&format!("{topic}-value"))
        .assert_stderr("not found")
        .assert_stderr("--register does that");
    produce(
        &address,
        &[&look_up[..], &["--register"]].concat(),
        "{\"fuel\":1}\n",
    );
    produce(&address, &look_up, "{\"fuel\": 2}\n");
    // What doesn't conform is not sent.
    let ran = producer(&address, &look_up).finish_with("{\"fuel\":\"3\"}\n{\"fuel\":4}\n");
    ran.assert_code(1).assert_stderr("line 1: /fuel:");
    let tapped = envelopes(&address, &["--registry", brokers.registry()]);
    let values: Vec<String> = tapped.iter().map(|one| one["value"].to_string()).collect();
    assert_eq!(values, [r#"{"fuel":1}"#, r#"{"fuel":2}"#, r#"{"fuel":4}"#]);
    assert!(
        tapped
            .iter()
            .all(|one| one["schema_id"] == tapped[0]["schema_id"]),
        "{tapped:?}"
    );
    assert!(tapped[0]["schema_id"].is_u64());
}

#[test]
fn an_incompatible_schema_is_refused_with_the_registrys_reasons() {
    let brokers = RealBrokers::shared();
    let topic = new_topic(&brokers, "incompatible", 1);
    let address = brokers.kafka_topic(&topic);
    let (_first, path) = schema(SCHEMA);
    let register = |path: &str| {
        producer(
            &address,
            &["-s", path, "--register", "--registry", brokers.registry()],
        )
        .finish_with("{\"fuel\":1}\n")
    };
    register(&path).assert_code(0);
    let rule = Run::new("curl")
        .args(["-fsS", "-X", "PUT", "-H", "content-type: application/json"])
        .args(["-d", r#"{"compatibility":"BACKWARD"}"#])
        .arg(format!("{}/config/{topic}-value", brokers.registry()))
        .finish();
    rule.assert_code(0);
    let (_second, path) = schema(&SCHEMA.replace("integer", "boolean"));
    register(&path)
        .assert_code(2)
        .assert_stderr("not compatible")
        .assert_stderr("/properties/fuel")
        .assert_stderr("code 409");
    assert_eq!(tapped(&address, &[]).lines().len(), 1);
}

#[test]
fn the_password_goes_to_a_registry_that_can_prove_who_it_is() {
    let brokers = RealBrokers::shared();
    let address = brokers.kafka_topic(&new_topic(&brokers, "secured", 1));
    let (_folder, path) = schema(SCHEMA);
    let secured = brokers.variable("SCHEMA_REGISTRY_TLS_URL");
    let elsewhere = secured.replace("127.0.0.1", "localhost");
    let (ca, other) = (
        brokers.variable("CA_FILE"),
        brokers.variable("OTHER_CA_FILE"),
    );
    let right = format!(
        "{}:{}",
        brokers.variable("TEST_USERNAME"),
        brokers.variable("TEST_PASSWORD")
    );
    let wrong = format!("{}:s3cr3t-guess", brokers.variable("TEST_USERNAME"));
    for (url, ca, auth, code, word) in [
        (secured, ca, right.as_str(), 0, "1 read"),
        (secured, ca, &wrong, 2, "refused (401)"),
        (secured, ca, "", 2, "refused (401)"),
        (secured, other, &right, 2, "UnknownIssuer"),
        (
            &elsewhere,
            ca,
            &right,
            2,
            "not valid for name \"localhost\"",
        ),
    ] {
        let ran = Run::tool("kafka-produce")
            .args([&address, "-s", &path, "--register"])
            .args(["--registry", url, "--registry-ca-file", ca])
            .env("SCHEMA_REGISTRY_AUTH", auth)
            .finish_with("{\"fuel\":1}\n");
        ran.assert_code(code).assert_stderr(word);
        assert!(!ran.stderr.contains("s3cr3t"), "{}", ran.stderr);
    }
    let tap = Run::tool("topic-tap")
        .args([
            &address,
            "--until-end",
            "--registry",
            secured,
            "--registry-ca-file",
            ca,
        ])
        .env("SCHEMA_REGISTRY_AUTH", right.as_str())
        .finish();
    tap.assert_code(0);
    assert_eq!(tap.lines(), ["{\"fuel\":1}"]);
}

#[test]
fn a_registry_that_is_not_well_ends_the_run_with_what_it_said() {
    let brokers = RealBrokers::shared();
    let address = brokers.kafka_topic(&new_topic(&brokers, "unwell", 1));
    let (_folder, path) = schema(SCHEMA);
    let html = "<html><body>Welcome to the proxy</body></html>";
    let (_broken, broken) = answering(|_, _| {
        let why = r#"{"error_code":50001,"message":"the store is on fire"}"#;
        response("500 Internal Server Error", "application/json", why)
    });
    let (_page, page) = answering(move |_, _| response("200 OK", "text/html", html));
    let (_gateway, gateway) = answering(move |_, _| response("502 Bad Gateway", "text/html", html));
    let (_nonsense, nonsense) =
        answering(|_, _| response("200 OK", "application/json", "{\"identity\":1}"));
    let silent = Peer::saying("");
    let silent_url = format!("http://{}", silent.address());
    for (url, words) in [
        ("http://127.0.0.1:1", ["no answer after", "refused"]),
        (&broken, ["500", "the store is on fire"]),
        (&page, ["text/html", "Welcome"]),
        (&gateway, ["502", "no answer after"]),
        (&nonsense, ["looking up the schema", "id"]),
        (&silent_url, ["no answer after", "127.0.0.1"]),
    ] {
        let ran =
            producer(&address, &["-s", &path, "--registry", url]).finish_with("{\"fuel\":1}\n");
        for word in words {
            ran.assert_code(2).assert_stderr(word);
        }
    }
    assert!(
        tapped(&address, &[]).stdout.is_empty(),
        "nothing was sent unstamped"
    );
}

#[test]
fn a_registry_that_is_slow_or_fails_for_a_while_is_waited_for() {
    let brokers = RealBrokers::shared();
    let address = brokers.kafka_topic(&new_topic(&brokers, "patient", 1));
    let (_folder, path) = schema(SCHEMA);
    let found = || response("200 OK", "application/json", "{\"id\":1234,\"version\":1}");
    let (slow_peer, slow) = answering(move |_, _| {
        std::thread::sleep(Duration::from_secs(2));
        found()
    });
    let (failing_peer, failing) = answering(move |number, _| {
        if number < 2 {
            response("503 Service Unavailable", "text/plain", "starting")
        } else {
            found()
        }
    });
    for url in [&slow, &failing] {
        produce(
            &address,
            &["-s", &path, "--registry", url],
            "{\"fuel\":1}\n",
        );
    }
    assert_eq!((slow_peer.accepted(), failing_peer.accepted()), (1, 3));
    assert_eq!(
        tapped(&address, &[]).stdout,
        b"\0\0\0\x04\xd2{\"fuel\":1}\n".repeat(2)
    );
}

#[test]
fn a_registry_that_is_dead_is_passed_over_for_its_replica() {
    let brokers = RealBrokers::shared();
    let address = brokers.kafka_topic(&new_topic(&brokers, "replica", 1));
    let (_folder, path) = schema(SCHEMA);
    let (_broken, broken) =
        answering(|_, _| response("500 Internal Server Error", "text/plain", "no"));
    for first in ["http://127.0.0.1:1", &broken] {
        let both = format!("{first},{}", brokers.registry());
        produce(
            &address,
            &["-s", &path, "--register", "--registry", &both],
            "{\"fuel\":1}\n",
        );
        let tapped = envelopes(&address, &["--registry", &both]);
        assert_eq!(tapped[0]["value"]["fuel"], 1);
    }
}

#[test]
fn a_tap_without_its_registry_commits_nothing_and_begins_again_with_it() {
    let brokers = RealBrokers::shared();
    let address = brokers.kafka_topic(&new_topic(&brokers, "undecoded", 1));
    let (_folder, path) = schema(SCHEMA);
    let options = ["-s", &path, "--register", "--registry", brokers.registry()];
    produce(&address, &options, "{\"fuel\":1}\n{\"fuel\":2}\n");
    let group = unique("group");
    let tap = |registry: &str| {
        Run::tool("topic-tap")
            .args([
                &address,
                "--group",
                &group,
                "--from",
                "beginning",
                "--count",
                "2",
            ])
            .args(["--registry", registry, "--summary", "json"])
            .finish()
    };
    let without = tap("http://127.0.0.1:1");
    without.assert_code(2).assert_stderr("no answer after");
    assert!(without.stdout.is_empty());
    let with = tap(brokers.registry());
    with.assert_code(0);
    assert_eq!(counts(&with).delivered, 2);
    assert_eq!(with.lines(), ["{\"fuel\":1}", "{\"fuel\":2}"]);
}

#[test]
fn the_schema_can_come_from_the_registry_by_version_or_id() {
    let brokers = RealBrokers::shared();
    let topic = new_topic(&brokers, "by-version", 1);
    let address = brokers.kafka_topic(&topic);
    let (_folder, path) = schema(SCHEMA);
    let registry = ["--registry", brokers.registry()];
    let first = [&registry[..], &["-s", &path, "--register"]].concat();
    produce(&address, &first, "{\"fuel\":1}\n");
    let latest = [&registry[..], &["--schema-version", "latest"]].concat();
    let ran = producer(&address, &latest).finish_with("{\"fuel\":2}\n{\"fuel\":\"x\"}\n");
    ran.assert_code(1).assert_stderr("line 2: /fuel:");
    let id = envelopes(&address, &registry)[0]["schema_id"].clone();
    let number = id.to_string();
    let by_id = [&registry[..], &["--schema-id", &number]].concat();
    let ran = producer(&address, &by_id).finish_with("{\"fuel\":3}\n{}\n");
    ran.assert_code(1).assert_stderr("line 2: ");
    let tapped = envelopes(&address, &registry);
    assert!(
        tapped.iter().all(|one| one["schema_id"] == id),
        "{tapped:?}"
    );
    assert_eq!(tapped.len(), 3);
    let none = [&registry[..], &["--schema-version", "99"]].concat();
    producer(&address, &none)
        .finish_with("{}\n")
        .assert_code(2)
        .assert_stderr("version 99 of subject");
}

#[test]
fn a_schema_may_refer_to_others_in_the_registry() {
    let brokers = RealBrokers::shared();
    let site_topic = new_topic(&brokers, "site", 1);
    let topic = new_topic(&brokers, "refers", 1);
    let registry = ["--registry", brokers.registry(), "--register"];
    let (_site, site) = schema(r#"{"type":"object","properties":{"id":{}},"required":["id"]}"#);
    let options = [&registry[..], &["-s", &site]].concat();
    produce(&brokers.kafka_topic(&site_topic), &options, "{\"id\":1}\n");
    let (_folder, path) = schema(r#"{"type":"object","properties":{"site":{"$ref":"site.json"}}}"#);
    let address = brokers.kafka_topic(&topic);
    let options = [&registry[..], &["-s", &path]].concat();
    producer(&address, &options)
        .finish_with("{}\n")
        .assert_code(2)
        .assert_stderr("site.json");
    let reference = format!("site.json={site_topic}-value:latest");
    let options = [&options[..], &["--reference", &reference]].concat();
    let lines = "{\"site\":{\"id\":1}}\n{\"site\":{}}\n";
    let ran = producer(&address, &options).finish_with(lines);
    ran.assert_code(1).assert_stderr("line 2: /site:");
    // Whoever takes the schema from there gets what it refers to, too.
    let latest = [
        "--registry",
        brokers.registry(),
        "--schema-version",
        "latest",
    ];
    let ran = producer(&address, &latest).finish_with(lines);
    ran.assert_code(1).assert_stderr("line 2: /site:");
}

#[test]
fn a_token_or_a_certificate_opens_the_registry() {
    let brokers = RealBrokers::shared();
    let topic = new_topic(&brokers, "let-in", 1);
    let address = brokers.kafka_topic(&topic);
    let (_folder, path) = schema(SCHEMA);
    let ca = ["--registry-ca-file", brokers.variable("CA_FILE")];
    let tls = ["--registry", brokers.variable("SCHEMA_REGISTRY_TLS_URL")];
    let options = [&ca[..], &tls, &["-s", &path, "--register"]].concat();
    producer(&address, &options)
        .env("SCHEMA_REGISTRY_TOKEN", brokers.variable("TEST_TOKEN"))
        .finish_with("{\"fuel\":1}\n")
        .assert_code(0);
    producer(&address, &options)
        .env("SCHEMA_REGISTRY_TOKEN", "another")
        .finish_with("{\"fuel\":1}\n")
        .assert_code(2)
        .assert_stderr("refused (401)");
    let mtls = ["--registry", brokers.variable("SCHEMA_REGISTRY_MTLS_URL")];
    let options = [&ca[..], &mtls, &["-s", &path]].concat();
    let certificate = [
        "--registry-cert-file",
        brokers.variable("CLIENT_CERT_FILE"),
        "--registry-key-file",
        brokers.variable("CLIENT_KEY_FILE"),
    ];
    let known = [&options[..], &certificate].concat();
    produce(&address, &known, "{\"fuel\":1}\n");
    producer(&address, &options)
        .finish_with("{\"fuel\":1}\n")
        .assert_code(2)
        .assert_stderr("schema registry");
    assert_eq!(tapped(&address, &[]).lines().len(), 2);
}
