//! The registry client against a registry that wants its memory, its time or its credentials.

use std::fmt::Write as _;
use std::time::Duration;

use tapline_contract::registry::{
    Credentials, Reference, Registry, RegistryError, Settings, Version,
};
use tapline_pipe::io::stop::Stop;
use tapline_testkit::http::{Act, ScriptedHttp, json};

use crate::{client, registry};

fn reference(number: u32) -> Reference {
    Reference {
        name: format!("n{number}.json"),
        subject: format!("s{number}"),
        version: 1,
    }
}

/// A schema that refers to those with these numbers.
fn referring(numbers: impl IntoIterator<Item = u32>) -> Act {
    let mut references = String::new();
    for number in numbers {
        let comma = if references.is_empty() { "" } else { "," };
        write!(
            references,
            r#"{comma}{{"name":"n{number}.json","subject":"s{number}","version":1}}"#
        )
        .unwrap();
    }
    json(
        200,
        &format!(r#"{{"schemaType":"JSON","schema":"true","references":[{references}]}}"#),
    )
}

/// The number in `GET /subjects/s7/versions/1`.
fn number_of(request: &str) -> u32 {
    let subject = request.strip_prefix("GET /subjects/s").unwrap();
    subject.split('/').next().unwrap().parse().unwrap()
}

#[test]
fn references_without_end_are_refused_after_a_thousand() {
    let script = ScriptedHttp::answering(|request| {
        let number = number_of(request);
        referring([number * 2 + 1, number * 2 + 2])
    });
    let error = client(&script).resolve(&[reference(0)]).unwrap_err();
    assert!(
        matches!(error, RegistryError::References { .. }),
        "{error:?}"
    );
    let error = error.to_string();
    assert!(
        error.ends_with("the schema refers to more than 1000 others"),
        "{error}"
    );
    assert!(script.requests().len() <= 1000);
}

#[test]
fn a_list_of_references_without_measure_is_refused_at_once() {
    let script = ScriptedHttp::answering(|_| referring(1..100_000));
    let error = client(&script).resolve(&[reference(0)]).unwrap_err();
    assert!(
        matches!(error, RegistryError::References { .. }),
        "{error:?}"
    );
    assert_eq!(script.requests().len(), 1);
}

#[test]
fn references_in_a_circle_are_fetched_once_each() {
    let script = ScriptedHttp::answering(|request| referring([(number_of(request) + 1) % 10, 0]));
    let found = client(&script).resolve(&[reference(0)]).unwrap();
    assert_eq!(found.len(), 10);
    assert_eq!(script.requests().len(), 10);
}

#[test]
fn all_references_together_have_the_time_of_one_call() {
    // Each answer is in time for itself.
    let script = ScriptedHttp::answering(|request| {
        std::thread::sleep(Duration::from_millis(100));
        referring([number_of(request) + 1])
    });
    let registry = registry(&[&script.address], Duration::from_secs(1));
    let error = registry.resolve(&[reference(0)]).unwrap_err();
    assert!(
        matches!(error, RegistryError::Unavailable { .. }),
        "{error:?}"
    );
    assert!(script.requests().len() <= 10);
}

#[test]
fn an_answer_that_drips_is_left_in_time() {
    let script = ScriptedHttp::answering(|_| Act::Drip);
    let registry = registry(&[&script.address], Duration::from_millis(300));
    let error = registry.by_id(1).unwrap_err().to_string();
    assert!(error.contains("no answer in time"), "{error}");
}

#[test]
fn an_answer_without_end_is_refused() {
    for act in [
        Act::Endless(r#"{"schema":""#, b'a'),
        Act::Endless("", b'['),
        Act::Endless("", b' '),
    ] {
        let script = ScriptedHttp::new([act]);
        let error = client(&script).by_id(1).unwrap_err().to_string();
        assert!(
            error.ends_with("the answer is larger than 16 MiB"),
            "{error}"
        );
        assert_eq!(script.requests().len(), 1);
    }
}

#[test]
fn schemas_that_are_too_large_together_are_refused() {
    let text = "a".repeat(12 * 1024 * 1024);
    let script = ScriptedHttp::answering(move |request| {
        let number = number_of(request) + 1;
        json(
            200,
            &format!(
                r#"{{"schema":"{text}","references":[{{"name":"n{number}.json","subject":"s{number}","version":1}}]}}"#
            ),
        )
    });
    let error = client(&script).resolve(&[reference(0)]).unwrap_err();
    assert!(
        error.to_string().ends_with("over 32 MiB together"),
        "{error}"
    );
    assert_eq!(script.requests().len(), 3);
}

#[test]
fn a_redirect_is_not_followed_and_credentials_stay() {
    let other = ScriptedHttp::answering(|_| json(200, r#"{"schema":"true","id":1}"#));
    for status in [301, 302, 303, 307, 308] {
        let target = format!("{}/schemas/ids/1", other.address);
        let script = ScriptedHttp::answering(move |_| Act::Redirect(status, target.clone()));
        let registry = Registry::new(Settings {
            addresses: vec![script.address.parse().unwrap()],
            credentials: Some(Credentials::new("user:geheim").unwrap()),
            ca_file: None,
            client_files: None,
            timeout: Duration::from_secs(10),
            stop: Stop::manual().unwrap(),
        })
        .unwrap();
        let error = registry.version("s", Version::Latest).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains(&format!(
                "answered {status}, a redirect to \"{}",
                other.address
            )),
            "{error}"
        );
        assert!(registry.register("s", crate::plain("true")).is_err());
        assert_eq!(script.requests().len(), 2);
    }
    assert_eq!(other.requests().len(), 0);
}

#[test]
fn what_a_registry_says_does_not_reach_the_terminal_raw() {
    let script = ScriptedHttp::new([
        json(
            404,
            r#"{"error_code":40403,"message":"gone\u001b[2J\nkafka-produce: 5 read, 5 delivered"}"#,
        ),
        Act::Redirect(302, "http://a/\u{1b}[2J".to_owned()),
        json(200, r#"{"schemaType":"\u001b[2J","schema":"x"}"#),
    ]);
    let registry = client(&script);
    for id in 1..=2 {
        let error = registry.by_id(id).unwrap_err().to_string();
        assert!(!error.contains(char::is_control), "{error:?}");
    }
    let kind = registry.by_id(3).unwrap().kind.to_string();
    assert!(!kind.contains(char::is_control), "{kind:?}");
}
