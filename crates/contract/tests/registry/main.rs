//! The registry client against a server that says what the test wants.

mod hostile;
mod options;

use std::io::Write;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use tapline_contract::registry::{
    Credentials, Definition, Reference, Registered, Registry, RegistryError, SchemaKind, Settings,
    Version,
};
use tapline_contract::schema::Schema;
use tapline_contract::wire::Guid;
use tapline_pipe::io::stop::{Signal, Stop};

use tapline_testkit::http::{Act, ScriptedHttp, json};
use tapline_testkit::{LIMIT, wait_until};

/// A client of that one server.
fn client(script: &ScriptedHttp) -> Registry {
    registry(&[&script.address], Duration::from_secs(10))
}

fn registry(addresses: &[&str], timeout: Duration) -> Registry {
    Registry::new(Settings {
        addresses: addresses.iter().map(|it| it.parse().unwrap()).collect(),
        credentials: None,
        ca_file: None,
        client_files: None,
        timeout,
        stop: Stop::manual().unwrap(),
    })
    .unwrap()
}

/// A schema that refers to none.
fn plain(text: &str) -> Definition<'_> {
    Definition {
        text,
        references: &[],
        normalize: true,
    }
}

/// An address that nothing listens on.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn a_schema_is_looked_up_and_the_id_kept() {
    let script = ScriptedHttp::new([json(200, r#"{"subject":"a/b c-value","id":7,"version":3}"#)]);
    let registry = client(&script);
    for _ in 0..3 {
        let found = registry.look_up("a/b c-value", plain(r#"{"type": "object"}"#));
        assert_eq!(
            found,
            Ok(Registered {
                id: 7,
                version: Some(3)
            })
        );
    }
    let requests = script.requests();
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert!(
        request.starts_with("POST /subjects/a%2Fb%20c-value?normalize=true HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request
            .to_ascii_lowercase()
            .contains("content-type: application/vnd.schemaregistry.v1+json\r\n"),
        "{request}"
    );
    assert!(
        request.ends_with(r#"{"schema":"{\"type\": \"object\"}","schemaType":"JSON"}"#),
        "{request}"
    );
}

#[test]
fn registering_normalises_in_the_same_way() {
    let script = ScriptedHttp::new([json(200, r#"{"id":1}"#)]);
    let registered = client(&script).register("t-value", plain("{}"));
    assert_eq!(
        registered,
        Ok(Registered {
            id: 1,
            version: None
        })
    );
    let request = &script.requests()[0];
    assert!(
        request.starts_with("POST /subjects/t-value/versions?normalize=true "),
        "{request}"
    );
}

#[test]
fn schemas_are_fetched_by_id_guid_and_version() {
    let script = ScriptedHttp::new([
        json(
            200,
            r#"{"schemaType":"JSON","schema":"{}","references":[{"name":"o.json","subject":"o","version":2}]}"#,
        ),
        json(200, r#"{"schema":"\"string\""}"#),
        json(
            200,
            r#"{"subject":"s","version":4,"id":9,"schemaType":"THRIFT","schema":"x"}"#,
        ),
        json(
            200,
            r#"{"subject":"s","version":5,"id":10,"schemaType":"PROTOBUF","schema":"x"}"#,
        ),
    ]);
    let registry = client(&script);
    for _ in 0..2 {
        let schema = registry.by_id(1).unwrap();
        assert_eq!(
            (&schema.kind, schema.text.as_str()),
            (&SchemaKind::Json, "{}")
        );
        assert_eq!(
            schema.references,
            [Reference {
                name: "o.json".into(),
                subject: "o".into(),
                version: 2
            }]
        );
        let schema = registry.by_guid(Guid([0xab; 16])).unwrap();
        assert_eq!(schema.kind, SchemaKind::Avro);
    }
    let schema = registry.version("s", Version::Latest).unwrap();
    assert_eq!(
        (schema.id, schema.version, schema.kind.to_string().as_str()),
        (Some(9), Some(4), "THRIFT")
    );
    let schema = registry.version("s", Version::Number(5)).unwrap();
    assert_eq!(schema.kind, SchemaKind::Protobuf);
    let lines: Vec<_> = script
        .requests()
        .iter()
        .map(|request| request.lines().next().unwrap().to_owned())
        .collect();
    assert_eq!(
        lines,
        [
            "GET /schemas/ids/1 HTTP/1.1",
            "GET /schemas/guids/abababab-abab-abab-abab-abababababab HTTP/1.1",
            "GET /subjects/s/versions/latest HTTP/1.1",
            "GET /subjects/s/versions/5 HTTP/1.1",
        ]
    );
}

#[test]
fn what_is_not_there_is_told_in_the_registrys_words_and_remembered_for_a_while() {
    let script = ScriptedHttp::new([
        json(
            404,
            r#"{"error_code":40403,"message":"Schema 7 not found"}"#,
        ),
        json(
            404,
            r#"{"error_code":40401,"message":"Subject 't-value' not found."}"#,
        ),
    ]);
    let registry = client(&script);
    for _ in 0..1000 {
        let error = registry.by_id(7).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "schema registry {}: schema 7: not found: Schema 7 not found (code 40403)",
                script.address
            )
        );
    }
    let error = registry.look_up("t-value", plain("{}")).unwrap_err();
    assert!(matches!(
        error,
        RegistryError::NotFound {
            code: Some(40401),
            ..
        }
    ));
    assert_eq!(script.requests().len(), 2);
}

#[test]
fn refusals_are_told_apart_and_not_repeated() {
    let script = ScriptedHttp::new([
        json(
            409,
            r#"{"error_code":409,"message":"Schema being registered is incompatible with an earlier schema; details: [PROPERTY_REMOVED]"}"#,
        ),
        json(
            422,
            r#"{"error_code":42201,"message":"Input schema is an invalid schema"}"#,
        ),
        json(401, r#"{"error_code":401,"message":"Unauthorized"}"#),
        Act::Answer(403, "text/plain", "no entry".into()),
    ]);
    let registry = client(&script);
    let told = || registry.register("t-value", plain("{}")).unwrap_err();
    let error = told();
    assert!(matches!(error, RegistryError::Incompatible { .. }));
    assert!(
        error.to_string().contains(
            r#"registering the schema under subject "t-value": not compatible: Schema being registered is incompatible with an earlier schema; details: [PROPERTY_REMOVED] (code 409)"#
        ),
        "{error}"
    );
    for (status, words) in [
        (
            422,
            "refused (422): Input schema is an invalid schema (code 42201)",
        ),
        (401, "refused (401): Unauthorized (code 401)"),
        (403, r#"refused (403): text/plain, "no entry""#),
    ] {
        let error = told();
        assert!(
            matches!(error, RegistryError::Refused { status: found, .. } if found == status),
            "{error:?}"
        );
        assert!(error.to_string().ends_with(words), "{error}");
    }
    assert_eq!(script.requests().len(), 4);
}

#[test]
fn a_server_in_trouble_is_asked_again() {
    let script = ScriptedHttp::new([
        json(
            500,
            r#"{"error_code":50001,"message":"Error in the backend data store"}"#,
        ),
        Act::HangUp,
        json(200, r#"{"id":3}"#),
    ]);
    assert_eq!(client(&script).register("t", plain("{}")).unwrap().id, 3);
    assert_eq!(script.requests().len(), 3);
}

#[test]
fn a_server_that_stays_in_trouble_is_given_up() {
    let script = ScriptedHttp::new(vec![
        json(
            503,
            r#"{"error_code":50302,"message":"no leader"}"#
        );
        4
    ]);
    let error = client(&script).by_id(1).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "schema registry: schema 1: no answer after 4 attempts: {}: answered 503: no leader",
            script.address
        )
    );
}

#[test]
fn a_server_that_hangs_is_left_in_time() {
    let script = ScriptedHttp::new(vec![Act::Hang; 8]);
    let registry = registry(&[&script.address], Duration::from_millis(300));
    let start = Instant::now();
    let error = registry.by_id(1).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(30));
    assert!(error.to_string().contains("no answer in time"), "{error}");
}

#[test]
fn a_signal_ends_a_call_whose_answer_does_not_come() {
    for act in [Act::Hang, Act::Drip] {
        let script = ScriptedHttp::new([act]);
        let stop = Stop::manual().unwrap();
        let registry = Registry::new(Settings {
            addresses: vec![script.address.parse().unwrap()],
            credentials: None,
            ca_file: None,
            client_files: None,
            timeout: Duration::from_hours(1),
            stop: stop.clone(),
        })
        .unwrap();
        let asking = thread::spawn(move || registry.by_id(1).unwrap_err());
        wait_until(LIMIT, "it is asked", || script.requests().len() == 1);
        stop.request(Signal::Terminate);
        wait_until(LIMIT, "the call ends", || asking.is_finished());
        let error = asking.join().unwrap();
        assert!(matches!(error, RegistryError::Stopped { .. }), "{error:?}");
    }
}

#[test]
fn another_address_answers_for_one_that_does_not_and_is_asked_first_from_then_on() {
    let hanging = ScriptedHttp::new([Act::Hang]);
    let script = ScriptedHttp::new([
        json(200, r#"{"schema":"1"}"#),
        json(200, r#"{"schema":"2"}"#),
    ]);
    let registry = registry(
        &[&nowhere(), &hanging.address, &script.address],
        Duration::from_secs(6),
    );
    assert_eq!(registry.by_id(1).unwrap().text, "1");
    assert_eq!(registry.by_id(2).unwrap().text, "2");
    assert_eq!(hanging.requests().len(), 1);
}

#[test]
fn nobody_there_is_told_with_the_address() {
    let address = nowhere();
    let error = registry(&[&address], Duration::from_secs(10))
        .by_id(1)
        .unwrap_err();
    assert!(matches!(
        error,
        RegistryError::Unavailable { attempts: 4, .. }
    ));
    let error = error.to_string();
    assert!(
        error.contains(&address) && error.contains("refused"),
        "{error}"
    );
}

#[test]
fn what_is_no_registry_is_told() {
    for (act, words) in [
        (
            Act::Answer(200, "text/html", "<!doctype html>\n<html>Welcome".into()),
            r#"what answers is no schema registry: text/html, "<!doctype html>\\n<html>Welcome" (expected value at line 1 column 1)"#,
        ),
        (
            Act::Answer(200, "application/json", "{}".into()),
            r#"what answers is no schema registry: application/json, "{}" (missing field `schema` at line 1 column 2)"#,
        ),
        (
            Act::Answer(200, "application/json", String::new()),
            "what answers is no schema registry: application/json, an empty answer (EOF while parsing a value at line 1 column 0)",
        ),
        (
            Act::Answer(404, "text/html", "<html>404".into()),
            r#"answered 404, but not as a registry does: text/html, "<html>404"; is the path right?"#,
        ),
        (Act::Babble, "what answers doesn't speak HTTP"),
    ] {
        let script = ScriptedHttp::new([act]);
        let error = client(&script).by_id(1).unwrap_err();
        assert!(matches!(error, RegistryError::Answer { .. }), "{error:?}");
        let error = error.to_string();
        assert!(error.contains(words), "{error}");
        assert_eq!(script.requests().len(), 1, "{error}");
    }
}

#[test]
fn credentials_are_sent_with_every_request_and_never_told() {
    let script = ScriptedHttp::new([
        json(200, r#"{"schema":"1"}"#),
        json(401, r#"{"error_code":401,"message":"Unauthorized"}"#),
    ]);
    let registry = Registry::new(Settings {
        addresses: vec![script.address.parse().unwrap()],
        credentials: Some(Credentials::new("user:geheim").unwrap()),
        ca_file: None,
        client_files: None,
        timeout: Duration::from_secs(10),
        stop: Stop::manual().unwrap(),
    })
    .unwrap();
    registry.by_id(1).unwrap();
    let error = registry.register("t", plain("{}")).unwrap_err();
    for text in [format!("{error} {error:?}"), format!("{registry:?}")] {
        assert!(!text.contains("geheim"), "{text}");
        assert!(!text.contains("dXNlcjpnZWhlaW0="), "{text}");
    }
    for request in script.requests() {
        let request = request.to_ascii_lowercase();
        assert!(
            request.contains("authorization: basic dxnlcjpnzwhlaw0=\r\n"),
            "{request}"
        );
    }
}

#[test]
fn references_are_sent_and_followed() {
    let site = Reference {
        name: "site.json".into(),
        subject: "site".into(),
        version: 2,
    };
    let script = ScriptedHttp::new([
        json(200, r#"{"id":9}"#),
        json(
            200,
            r#"{"schemaType":"JSON","schema":"{\"$ref\":\"point.json\"}","references":[{"name":"point.json","subject":"point","version":1},{"name":"site.json","subject":"site","version":2}]}"#,
        ),
        json(
            200,
            r#"{"schemaType":"JSON","schema":"{\"type\":\"array\"}"}"#,
        ),
    ]);
    let registry = client(&script);
    let definition = Definition {
        text: r#"{"$ref":"site.json"}"#,
        references: std::slice::from_ref(&site),
        normalize: false,
    };
    registry.register("t-value", definition).unwrap();
    let found = registry.resolve(std::slice::from_ref(&site)).unwrap();
    let named = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    assert_eq!(
        found,
        [
            named("site.json", r#"{"$ref":"point.json"}"#),
            named("point.json", r#"{"type":"array"}"#)
        ]
    );
    let requests = script.requests();
    assert!(
        requests[0].starts_with("POST /subjects/t-value/versions?normalize=false "),
        "{}",
        requests[0]
    );
    assert!(
        requests[0].contains(r#""references":[{"name":"site.json","subject":"site","version":2}]"#),
        "{}",
        requests[0]
    );
    assert_eq!(requests.len(), 3);
    let schema = Schema::from_text("t", definition.text, &found).unwrap();
    assert!(schema.validator().check(b"[]").is_ok());
    assert!(schema.validator().check(b"{}").is_err());
}

#[test]
fn https_to_a_server_without_tls_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
        // Open until the client has read it.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let error = registry(&[&address], Duration::from_secs(10))
        .by_id(1)
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("what answers doesn't speak TLS: should it be http://?"),
        "{error}"
    );
}
