//! The writer against a server that follows a script.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tapline_influx::time::Precision;
use tapline_influx::writer::{Event, Limits, Settled, Writer};
use tapline_influx::{Client, ClientError, Settings, Token};
use tapline_testkit::LIMIT;
use tapline_testkit::http::{Act, ScriptedHttp, json, status};

fn client(server: &ScriptedHttp, gzip: bool) -> Client {
    let address = server.address.replace("http://", "influx://");
    Client::new(&Settings {
        address: format!("{address}/b").parse().unwrap(),
        org: Some("o".to_owned()),
        token: Some(Token::new("geheim", "test").unwrap()),
        precision: Precision::Ns,
        gzip,
        tls: tapline_http::Tls::default(),
    })
    .unwrap()
}

const LIMITS: Limits = Limits {
    points: 8,
    bytes: 1000,
    linger: Duration::from_millis(20),
    in_flight: 1,
};

/// The lines of a request.
fn body(request: &str) -> Vec<&str> {
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    body.lines().collect()
}

/// Polls until so many points are settled.
fn settled(writer: &mut Writer, count: usize) -> (Vec<Settled>, Vec<Event>) {
    let (mut settled, mut events) = (Vec::new(), Vec::new());
    let deadline = Instant::now() + LIMIT;
    while settled.len() < count {
        assert!(Instant::now() < deadline, "{settled:?} {events:?}");
        writer.poll(Duration::from_millis(5), &mut settled, &mut events);
    }
    (settled, events)
}

fn push_all(writer: &mut Writer, lines: &[&str]) {
    for (ticket, line) in (0..).zip(lines) {
        assert!(writer.push(ticket, 0, format!("{line}\n").as_bytes()));
    }
}

#[test]
fn a_batch_is_sent_with_what_the_api_wants() {
    let server = ScriptedHttp::new([status(204)]);
    let mut writer = Writer::start(&client(&server, true), LIMITS).unwrap();
    push_all(&mut writer, &["a f=1i 1", "b f=1i 2"]);
    let (settled, events) = settled(&mut writer, 2);
    assert_eq!((settled, events), (vec![(0, Ok(())), (1, Ok(()))], vec![]));
    let request = &server.requests()[0];
    let head = request.to_ascii_lowercase();
    assert!(
        request.starts_with("POST /api/v2/write?bucket=b&precision=ns&org=o HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        head.contains("authorization: token geheim\r\n"),
        "{request}"
    );
    assert!(head.contains("content-encoding: gzip\r\n"), "{request}");
    assert_eq!(body(request), ["a f=1i 1", "b f=1i 2"]);
}

#[test]
fn batches_are_full_or_have_waited_long_enough() {
    let server = ScriptedHttp::answering(|_| status(204));
    let mut writer = Writer::start(&client(&server, false), LIMITS).unwrap();
    let mut done = Vec::new();
    for ticket in 0..20 {
        while !writer.push(ticket, 0, b"m f=1i 1\n") {
            writer.poll(Duration::from_millis(1), &mut done, &mut Vec::new());
        }
    }
    let (rest, _) = settled(&mut writer, 20 - done.len());
    done.extend(rest);
    assert_eq!(
        done,
        (0..20).map(|ticket| (ticket, Ok(()))).collect::<Vec<_>>()
    );
    let sizes: Vec<_> = server
        .requests()
        .iter()
        .map(|request| body(request).len())
        .collect();
    assert_eq!(sizes, [8, 8, 4]);

    // By bytes; a line that is longer than a batch goes by itself.
    let long = format!("m f=\"{}\" 1", "x".repeat(600));
    push_all(&mut writer, &[&long]);
    settled(&mut writer, 1);
    let longer = format!("m f=\"{}\" 1\n", "x".repeat(2000));
    let server = ScriptedHttp::answering(|_| status(204));
    let mut writer = Writer::start(&client(&server, false), LIMITS).unwrap();
    for (ticket, line) in [
        (0, format!("{long}\n")),
        (1, format!("{long}\n")),
        (2, longer),
    ] {
        while !writer.push(ticket, 0, line.as_bytes()) {
            writer.poll(Duration::from_millis(1), &mut Vec::new(), &mut Vec::new());
        }
    }
    tapline_testkit::wait_until(LIMIT, "all are written", || {
        writer.poll(Duration::from_millis(1), &mut Vec::new(), &mut Vec::new());
        server.requests().len() == 3
    });
}

/// Refuses what holds a bad line as InfluxDB does.
fn refusing(refuse: impl Fn(&[&str]) -> Option<Act> + Send + 'static) -> ScriptedHttp {
    ScriptedHttp::answering(move |request| refuse(&body(request)).unwrap_or_else(|| status(204)))
}

#[test]
fn what_the_server_calls_bad_is_halved_until_it_stands_alone() {
    for code in [400, 413] {
        let server = refusing(move |lines| {
            let bad: Vec<_> = lines
                .iter()
                .filter(|line| line.starts_with("bad"))
                .collect();
            let message = format!(r#"{{"code":"invalid","message":"unable to parse '{bad:?}'"}}"#)
                .replace("\\\"", "");
            (!bad.is_empty()).then(|| json(code, &message.replace("[\"", "").replace("\"]", "")))
        });
        let mut writer = Writer::start(&client(&server, true), LIMITS).unwrap();
        push_all(
            &mut writer,
            &[
                "a f=1i 1", "bad1", "c f=1i 1", "d f=1i 1", "e f=1i 1", "bad2", "g f=1i 1",
                "h f=1i 1",
            ],
        );
        let (settled, _) = settled(&mut writer, 8);
        let tickets: Vec<_> = settled.iter().map(|(ticket, _)| *ticket).collect();
        assert_eq!(tickets, [0, 1, 2, 3, 4, 5, 6, 7]);
        for (ticket, outcome) in settled {
            match ticket {
                1 | 5 => assert!(outcome.unwrap_err().contains("unable to parse"), "{ticket}"),
                _ => assert_eq!(outcome, Ok(()), "{ticket}"),
            }
        }
        // Each of the others was in a part that was accepted as a whole.
        let written: BTreeSet<_> = server
            .requests()
            .iter()
            .map(|request| request.replace("\r\n\r\n", "\n\n"))
            .filter(|request| !request.contains("bad"))
            .flat_map(|request| {
                request
                    .split_once("\n\n")
                    .unwrap()
                    .1
                    .lines()
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(written.len(), 6, "{written:?}");
    }
}

#[test]
fn points_that_are_all_dropped_are_not_looked_for() {
    let server = refusing(|lines| {
        let dropped = lines.iter().filter(|line| line.contains("f=\"x\"")).count();
        let message =
            format!(r#"{{"message":"partial write: field type conflict dropped={dropped}"}}"#);
        (dropped > 0).then(|| json(422, &message))
    });
    let mut writer = Writer::start(&client(&server, true), LIMITS).unwrap();
    push_all(
        &mut writer,
        &[
            "a f=\"x\" 1",
            "b f=\"x\" 1",
            "c f=\"x\" 1",
            "d f=\"x\" 1",
            "e f=1i 1",
            "f f=1i 1",
            "g f=1i 1",
            "h f=1i 1",
        ],
    );
    let (settled, _) = settled(&mut writer, 8);
    let good: Vec<_> = settled
        .iter()
        .filter(|(_, outcome)| outcome.is_ok())
        .map(|(ticket, _)| *ticket)
        .collect();
    assert_eq!(good, [4, 5, 6, 7]);
    // The whole, its first half, which is dropped, and its second.
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn what_the_server_can_not_take_now_is_sent_again() {
    let retry = || {
        Act::Respond(
            429,
            vec![("Retry-After", "0".to_owned())],
            "slow down".to_owned(),
        )
    };
    let server = ScriptedHttp::new([retry(), status(503), Act::HangUp, status(204)]);
    let mut writer = Writer::start(&client(&server, true), LIMITS).unwrap();
    push_all(&mut writer, &["a f=1i 1"]);
    let (settled, events) = settled(&mut writer, 1);
    assert_eq!(settled, [(0, Ok(()))]);
    assert!(
        matches!(&events[..], [Event::Waiting(why), Event::Resumed(_)] if why == "it answers 429 (slow down)"),
        "{events:?}"
    );
    let requests = server.requests();
    assert!(
        requests.iter().all(|request| body(request) == ["a f=1i 1"]),
        "{requests:?}"
    );
    assert_eq!(requests.len(), 4);
}

#[test]
fn a_server_that_asks_to_wait_is_waited_for_and_a_writer_that_is_given_up_is_not() {
    let server = ScriptedHttp::answering(|_| {
        Act::Respond(503, vec![("Retry-After", "3600".to_owned())], String::new())
    });
    let mut writer = Writer::start(&client(&server, true), LIMITS).unwrap();
    push_all(&mut writer, &["a f=1i 1"]);
    let (mut settled, mut events) = (Vec::new(), Vec::new());
    tapline_testkit::wait_until(LIMIT, "it waits", || {
        writer.poll(Duration::from_millis(5), &mut settled, &mut events);
        !events.is_empty()
    });
    // What comes meanwhile fills the batches, and no more.
    let mut taken = 0;
    while writer.push(taken, 0, b"m f=1i 1\n") {
        writer.poll(Duration::from_millis(1), &mut settled, &mut events);
        taken += 1;
        assert!(taken < 1000, "there is no end");
    }
    assert_eq!(server.requests().len(), 1);
    writer.abandon();
    writer.poll(Duration::from_millis(5), &mut settled, &mut events);
    assert_eq!(settled, []);
}

#[test]
fn points_of_a_series_stay_in_their_order_over_several_connections() {
    let server = ScriptedHttp::answering(|_| status(204));
    let limits = Limits {
        in_flight: 4,
        ..LIMITS
    };
    let mut writer = Writer::start(&client(&server, false), limits).unwrap();
    let mut done = Vec::new();
    for ticket in 0..400 {
        let series = ticket % 7;
        while !writer.push(
            ticket,
            series,
            format!("s{series} f={ticket}i 1\n").as_bytes(),
        ) {
            writer.poll(Duration::from_millis(1), &mut done, &mut Vec::new());
        }
    }
    let (rest, _) = settled(&mut writer, 400 - done.len());
    done.extend(rest);
    let tickets: BTreeSet<_> = done.iter().map(|(ticket, _)| *ticket).collect();
    assert_eq!(tickets.len(), 400);
    for series in 0..7 {
        // The order in which requests were answered is that of a connection's own.
        let begin = format!("s{series} f=");
        let values: Vec<u64> = server
            .requests()
            .iter()
            .flat_map(|request| {
                body(request)
                    .into_iter()
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            })
            .filter_map(|line| line.strip_prefix(&begin)?.strip_suffix("i 1")?.parse().ok())
            .collect();
        assert!(values.is_sorted() && values.len() > 50, "{values:?}");
    }
}

#[test]
fn what_can_never_be_written_ends_the_writer() {
    for (act, why) in [
        (status(401), "the token is missing"),
        (status(404), "check bucket and --org"),
        (
            Act::Redirect(308, "http://127.0.0.1:1/".to_owned()),
            "a redirect to http://127.0.0.1:1/, which is not followed",
        ),
        (
            Act::Answer(200, "text/html", "<p>hello".to_owned()),
            "where a database that has the points answers 204",
        ),
    ] {
        let server = ScriptedHttp::answering(move |_| act.clone());
        let error = client(&server, true).connect(LIMIT).unwrap_err();
        assert!(matches!(error, ClientError::Refused { .. }));
        assert!(error.to_string().contains(why), "{error}");
        let mut writer = Writer::start(&client(&server, true), LIMITS).unwrap();
        push_all(&mut writer, &["a f=1i 1"]);
        let (mut settled, mut events) = (Vec::new(), Vec::new());
        tapline_testkit::wait_until(LIMIT, "it ends", || {
            writer.poll(Duration::from_millis(5), &mut settled, &mut events);
            !events.is_empty()
        });
        assert!(
            matches!(&events[..], [Event::Ended(told)] if told.contains(why)),
            "{events:?}"
        );
        assert_eq!((settled, server.requests().len()), (vec![], 2));
    }
}

#[test]
fn a_server_that_says_nothing_is_given_up_in_time() {
    let server = ScriptedHttp::answering(|_| Act::Hang);
    let error = client(&server, true)
        .connect(Duration::from_millis(300))
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("not reached within 0.3 s: no answer in time"),
        "{error}"
    );
    // One that finds nothing wrong with lines that aren't there, and one that misses them.
    for act in [
        status(204),
        json(400, r#"{"message":"writing requires points"}"#),
    ] {
        let server = ScriptedHttp::answering(move |_| act.clone());
        client(&server, true).connect(LIMIT).unwrap();
    }
}

#[test]
fn an_answer_without_end_is_read_no_further() {
    let server = ScriptedHttp::answering(|_| Act::Endless("no ", b'x'));
    // Its status, 200, is not that of a database that has the points.
    let error = client(&server, true).connect(LIMIT).unwrap_err();
    assert!(matches!(error, ClientError::Refused { .. }), "{error}");
    assert!(error.to_string().len() < 1000, "{error}");
}
