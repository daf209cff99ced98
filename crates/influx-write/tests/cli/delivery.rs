//! What the database says, and what becomes of the run.

use std::fs;
use std::time::Duration;

use tapline_testkit::http::{Act, ScriptedHttp, json, status};
use tapline_testkit::{LIMIT, Signal, temp_dir, wait_until};

use crate::{bucket, database, envelope, points, tool};

#[test]
fn what_would_mix_up_points_ends_the_run() {
    let two_topics = [envelope(1, "a", 0, 0, "1"), envelope(2, "b", 0, 0, "1")].concat();
    let lines = (0..20).map(|n| format!("{{\"kind\":\"k{}\",\"id\":{n},\"f\":1}}", n % 2));
    let many = lines.collect::<Vec<_>>().join("\n");
    for (arguments, input, message) in [
        (
            vec!["-J", "--measurement", "m"],
            two_topics.as_str(),
            "records of 'b' could replace those of 'a'",
        ),
        (
            vec!["-J"],
            &envelope(1, "t", 64, 0, "1"),
            "partition 64 of topic 't' is beyond --partitions 64",
        ),
        (
            vec![
                "--measurement",
                "m",
                "--tag",
                "kind",
                "--tag",
                "id",
                "--max-series",
                "10",
            ],
            &many,
            "more series than --max-series 10: tag 'id' alone has 10 values",
        ),
    ] {
        let server = database();
        let address = bucket(&server);
        let finished =
            tool(&[&[address.as_str()], arguments.as_slice()].concat()).finish_with(input);
        finished.assert_code(2).assert_stderr(message);
    }
    let server = database();
    let finished = tool(&[
        &bucket(&server),
        "-J",
        "--measurement",
        "m",
        "--tag",
        "from={$topic}",
    ])
    .finish_with(two_topics);
    finished.assert_code(0);
}

#[test]
fn what_the_database_refuses_is_rejected_and_the_rest_is_written() {
    let server = ScriptedHttp::answering(|request| {
        let bad = request.contains("f=\"x\"");
        let message = r#"{"code":"unprocessable entity","message":"failure writing points to database: partial write: field type conflict: input field \"f\" on measurement \"m\" is type string, already exists as type integer dropped=1"}"#;
        if bad { json(422, message) } else { status(204) }
    });
    let input: String = (0..100)
        .map(|n| {
            if n == 42 {
                "{\"f\":\"x\"}\n".to_owned()
            } else {
                format!("{{\"f\":{n}}}\n")
            }
        })
        .collect();
    let finished = tool(&[
        &bucket(&server),
        "--measurement",
        "m",
        "--report",
        "/dev/stdout",
    ])
    .finish_with(input);
    finished
        .assert_code(1)
        .assert_stderr("100 read, 99 delivered, 1 rejected");
    finished.assert_stderr(
        "line 43: failure writing points to database: partial write: field type conflict",
    );
    let report = finished.json_lines();
    assert_eq!(report.len(), 101);
    assert_eq!(report[1]["series"], "m");
    assert!(report[1]["time"].is_i64());
    assert_eq!(report[43]["reason"], "refused");
}

#[test]
fn no_redirect_and_no_other_address_gets_the_token() {
    let other = database();
    let target = other.address.clone();
    let server =
        ScriptedHttp::answering(move |_| Act::Redirect(307, format!("{target}/api/v2/write")));
    let finished = tool(&[&bucket(&server), "--measurement", "m"]).finish_with("{\"f\":1}\n");
    finished
        .assert_code(2)
        .assert_stderr("which is not followed");
    assert!(other.requests().is_empty());
}

#[test]
fn a_token_that_others_can_read_is_warned_of() {
    let server = database();
    // Reached by another name than a loopback's.
    let address = bucket(&server).replace("127.0.0.1", "0.0.0.0");
    let finished = tool(&[&address, "--measurement", "m"]).finish_with("{\"f\":1}\n");
    finished
        .assert_code(0)
        .assert_stderr("warning: ")
        .assert_stderr("the token goes over plain HTTP");
    let finished = tool(&[&bucket(&server), "--measurement", "m"]).finish_with("{\"f\":1}\n");
    assert!(!finished.assert_code(0).stderr.contains("plain HTTP"));
}

#[test]
fn a_file_with_the_token_goes_before_the_variable() {
    let server = database();
    let folder = temp_dir();
    fs::write(folder.path().join("token"), "other==\n").unwrap();
    let finished = tool(&[
        &bucket(&server),
        "--measurement",
        "m",
        "--token-file",
        "token",
    ])
    .current_dir(folder.path())
    .finish_with("{\"f\":1}\n");
    finished.assert_code(0);
    let told = |request: &String| {
        request
            .to_ascii_lowercase()
            .contains("authorization: token other==\r\n")
    };
    assert!(server.requests().iter().all(told));
}

#[test]
fn a_signal_ends_a_run_whose_database_asks_to_wait() {
    let server = ScriptedHttp::answering(|request| {
        if request.ends_with("\r\n\r\n") {
            status(204)
        } else {
            Act::Respond(
                503,
                vec![("Retry-After", "60".to_owned())],
                "full".to_owned(),
            )
        }
    });
    let mut running = tool(&[
        &bucket(&server),
        "--measurement",
        "m",
        "--drain-timeout",
        "300ms",
    ])
    .start();
    running.write("{\"f\":1}\n{\"f\":2}\n");
    running.wait_for_stderr("it answers 503 (full); retrying");
    running.signal(Signal::TERM);
    let finished = running.wait();
    finished
        .assert_code(143)
        .assert_stderr("2 read, 0 delivered, 2 rejected");
    assert!(
        finished.took < Duration::from_secs(30),
        "{:?}",
        finished.took
    );
}

#[test]
fn a_database_that_comes_back_gets_what_waits_for_it() {
    let mut answers = 0;
    let server = ScriptedHttp::answering(move |_| {
        answers += 1;
        // The second and third are the first batch.
        if (2..4).contains(&answers) {
            status(500)
        } else {
            status(204)
        }
    });
    let mut running = tool(&[&bucket(&server), "--measurement", "m"]).start();
    running.write("{\"f\":1}\n");
    running.wait_for_stderr("retrying");
    running.wait_for_stderr("writing again after");
    wait_until(LIMIT, "it is written", || points(&server).len() == 3);
    running.close_stdin();
    running
        .wait()
        .assert_code(0)
        .assert_stderr("1 read, 1 delivered, 0 rejected");
}
