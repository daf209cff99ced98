//! Ports behind which there is no Kafka broker.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use tapline_kafka::{Consumer, ConsumerOptions, Producer};

use crate::{options, settings_for};

#[test]
fn a_closed_port_is_told_within_the_timeout() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let (settings, _) = settings_for(&format!("127.0.0.1:{port}"), Duration::from_secs(1));
    let start = Instant::now();
    let error = Producer::connect(&settings, "t", &options())
        .unwrap_err()
        .to_string();
    assert!(
        start.elapsed() < Duration::from_secs(8),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(
        error,
        format!(
            "cannot connect to 127.0.0.1:{port} within 1s: 127.0.0.1:{port}: connection refused"
        )
    );
}

/// A server that answers whatever comes with `answer` and hangs up.
fn serve(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer);
        }
    });
    port
}

#[test]
fn a_port_that_speaks_another_protocol_is_told_as_such() {
    for (answer, word) in [
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(),
            "does not speak Kafka's protocol",
        ),
        (b"", "not a Kafka broker"),
    ] {
        let port = serve(answer);
        let (settings, _) = settings_for(&format!("127.0.0.1:{port}"), Duration::from_secs(2));
        let error = Producer::connect(&settings, "t", &options())
            .unwrap_err()
            .to_string();
        assert!(error.contains(word), "{error}");
        let error = Consumer::connect(
            &settings,
            &"t".parse().unwrap(),
            &ConsumerOptions::default(),
        )
        .unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn a_port_that_never_answers_is_told_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let servers = listener.local_addr().unwrap().to_string();
    let (settings, _) = settings_for(&servers, Duration::from_secs(4));
    let error = Producer::connect(&settings, "t", &options())
        .unwrap_err()
        .to_string();
    assert!(error.contains("does not answer"), "{error}");
}
