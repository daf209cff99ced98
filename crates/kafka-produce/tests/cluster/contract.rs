//! Schemas and the registry.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::{Arc, Mutex};

use tapline_testkit::{Peer, TempDir, temp_dir};

use crate::Cluster;

const SCHEMA: &str = r#"{"title":"Reading","type":"object","required":["fuel"],"properties":{"fuel":{"type":"integer"}}}"#;

/// A registry that gives each request the same answer, and the requests it got: method and path, then the body.
fn registry(answer: &'static str) -> (Peer, Arc<Mutex<Vec<String>>>) {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&requests);
    let peer = Peer::attending(move |stream, _| {
        let mut reader = BufReader::new(&stream);
        let (mut line, mut request, mut length) = (String::new(), String::new(), 0);
        while reader.read_line(&mut line).is_ok_and(|count| count > 0) && line.trim() != "" {
            if request.is_empty() {
                request.clone_from(&line);
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        kept.lock().unwrap().push(format!(
            "{} {}",
            request.trim(),
            String::from_utf8(body).unwrap()
        ));
        let mut stream = &stream;
        let _ = stream.write_all(answer.as_bytes());
    });
    (peer, requests)
}

fn schema() -> (TempDir, String) {
    let dir = temp_dir();
    let path = dir.path().join("reading.schema.json");
    fs::write(&path, SCHEMA).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

#[test]
fn records_are_checked_and_what_does_not_conform_is_rejected() {
    let cluster = Cluster::with("t", 1);
    let (_dir, path) = schema();
    let finished = cluster
        .tool("t", &["-s", &path])
        .finish_with("{\"fuel\": 1}\n{\"fuel\":\"x\"}\n{}\nbroken\n");
    finished.assert_code(1).assert_stderr("line 2: /fuel:");
    assert_eq!(cluster.values("t"), ["{\"fuel\": 1}"]);
}

#[test]
fn records_are_framed_with_the_id_of_the_registry() {
    let cluster = Cluster::with("readings", 1);
    let (_dir, path) = schema();
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 22\r\nconnection: close\r\n\r\n{\"id\":258,\"version\":1}";
    let (peer, requests) = registry(answer);
    let url = format!("http://{}", peer.address());
    for options in [&[] as &[&str], &["--register"]] {
        let arguments = [&["-s", &path, "--registry", &url], options].concat();
        cluster
            .tool("readings", &arguments)
            .finish_with("{\"fuel\": 1}\n")
            .assert_code(0);
    }
    for record in cluster.read("readings") {
        assert_eq!(record.value.unwrap(), b"\0\0\0\x01\x02{\"fuel\": 1}");
    }
    let requests = requests.lock().unwrap();
    assert!(
        requests[0].starts_with("POST /subjects/readings-value?"),
        "{requests:?}"
    );
    assert!(
        requests[1].starts_with("POST /subjects/readings-value/versions?"),
        "{requests:?}"
    );
    assert!(
        requests[0].contains("\"schemaType\":\"JSON\""),
        "{requests:?}"
    );
}

#[test]
fn a_schema_that_is_not_registered_is_an_error_with_a_hint() {
    let cluster = Cluster::with("t", 1);
    let (_dir, path) = schema();
    let answer = "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: 56\r\nconnection: close\r\n\r\n{\"error_code\":40403,\"message\":\"Schema not found, sorry\"}";
    let (peer, _) = registry(answer);
    let url = format!("http://{}", peer.address());
    let finished = cluster
        .tool("t", &["-s", &path, "--registry", &url])
        .finish_with("{\"fuel\":1}\n");
    finished
        .assert_code(2)
        .assert_stderr("--register")
        .assert_stderr("t-value");
    assert!(cluster.read("t").is_empty());
}
