//! Tests of templates.

use super::*;
use crate::envelope::Envelope;
use crate::reject::{Reason, Rejection};
use proptest::prelude::*;

fn parse(template: &str) -> Template {
    template
        .parse()
        .unwrap_or_else(|error| panic!("{template}: {error}"))
}

fn render(template: &str, record: &str) -> Result<String, String> {
    let from = Variables::plain(record.as_bytes());
    let mut out = String::new();
    let template: Template = template
        .parse()
        .map_err(|error: TemplateError| error.to_string())?;
    template
        .render(&from, &mut out)
        .map_err(|error| error.to_string())?;
    Ok(out)
}

/// The text and the bytes of a template for this envelope.
fn from_envelope(template: &str, line: &str) -> Result<(String, Vec<u8>), Rejection> {
    let envelope = Envelope::read(line.as_bytes()).unwrap();
    let from = Variables {
        value: envelope.value.bytes(),
        envelope: Some(&envelope),
    };
    let (mut text, mut bytes) = (String::new(), Vec::new());
    let template = parse(template);
    let rendered = template.render(&from, &mut text);
    template.render_bytes(&from, &mut bytes)?;
    rendered?;
    Ok((text, bytes))
}

const KAFKA: &str = r#"{"source":"kafka","topic":"tele.x","timestamp":"2026-11-21T20:42:12+01:00","key":"k 1",
    "headers":[["a","1"],["b",null],["a","2"],["A","3"],["x",{"base64":"/w=="}]],"value_text":"ON","partition":3,"offset":42}"#;

const MQTT: &str =
    r#"{"source":"mqtt","topic":"/tele//DVES 1/SENSOR","qos":1,"value":{"n":21.50,"t":"a/b"}}"#;

#[test]
fn members_name_where_the_value_came_from() {
    for (line, template, want) in [
        (KAFKA, "{$topic}|{$topic/0}", "tele.x|tele.x"),
        (KAFKA, "{$key}/{$partition}/{$offset}", "k 1/3/42"),
        (KAFKA, "{$timestamp}", "2026-11-21T19:42:12.000Z"),
        (KAFKA, "{$header:a}{$header:A}", "23"),
        (MQTT, "{$topic}", "/tele//DVES 1/SENSOR"),
        (MQTT, "{+$topic}", "/tele//DVES 1/SENSOR"),
        (MQTT, "<{$topic/0}{$topic/2}>{$topic/1}", "<>tele"),
        (MQTT, "{$topic/3}={n}@{$qos}", "DVES 1=21.50@1"),
        (MQTT, "{+t} {t}", "a/b a/b"),
    ] {
        let (text, bytes) = from_envelope(template, line).unwrap();
        assert_eq!(text, want, "{template}");
        assert_eq!(bytes, want.as_bytes(), "{template}");
    }
}

#[test]
fn a_value_that_is_not_json_is_in_the_way_of_fields_only() {
    assert_eq!(from_envelope("{$key}", KAFKA).unwrap().0, "k 1");
    let rejection = from_envelope("{$key}{id}", KAFKA).unwrap_err();
    assert_eq!(rejection.reason, Reason::NotJson);
    let dead = r#"{"topic":"a/b","tombstone":true}"#;
    assert_eq!(from_envelope("{$topic/1}", dead).unwrap().0, "b");
    let rejection = from_envelope("{id}", dead).unwrap_err();
    assert_eq!(rejection.reason, Reason::MissingField);
    assert_eq!(rejection.detail, "a tombstone has no field 'id'");
}

#[test]
fn a_record_that_lacks_a_member_is_rejected_by_its_name() {
    for (line, template, detail, path) in [
        (MQTT, "{$key}", "its envelope has no key", "/key"),
        (
            MQTT,
            "{$partition}",
            "its envelope has no partition",
            "/partition",
        ),
        (MQTT, "{$offset}", "its envelope has no offset", "/offset"),
        (
            MQTT,
            "{$timestamp}",
            "its envelope has no timestamp",
            "/timestamp",
        ),
        (
            MQTT,
            "{$header:a}",
            "its envelope has no header 'a'",
            "/headers",
        ),
        (KAFKA, "{$qos}", "its envelope has no qos", "/qos"),
        (
            KAFKA,
            "{$header:c}",
            "its envelope has no header 'c'",
            "/headers",
        ),
        (
            MQTT,
            "{$topic/5}",
            "its topic has no level 5; the last is 4",
            "/topic",
        ),
        (
            r#"{"value":1}"#,
            "{$topic}",
            "its envelope has no topic",
            "/topic",
        ),
        (
            r#"{"value":1}"#,
            "{$topic/0}",
            "its envelope has no topic",
            "/topic",
        ),
    ] {
        let rejection = from_envelope(template, line).unwrap_err();
        assert_eq!(rejection.reason, Reason::MissingMember, "{template}");
        assert_eq!(rejection.detail, detail);
        assert_eq!(rejection.path.as_deref(), Some(path));
    }
    let rejection = from_envelope("{$header:b}", KAFKA).unwrap_err();
    assert_eq!(rejection.reason, Reason::BadMember);
    assert_eq!(rejection.detail, "header 'b' is null, not a text");
}

#[test]
fn bytes_that_are_no_text_stand_where_any_bytes_may() {
    for (template, detail) in [
        (
            "<{$key}>",
            "its key is not UTF-8, and only text can stand here",
        ),
        (
            "<{$header:x}>",
            "its header 'x' is not UTF-8, and only text can stand here",
        ),
    ] {
        let line = r#"{"key_base64":"/w==","headers":[["x",{"base64":"/w=="}]],"value":1}"#;
        let envelope = Envelope::read(line.as_bytes()).unwrap();
        let from = Variables {
            value: None,
            envelope: Some(&envelope),
        };
        let mut bytes = Vec::new();
        parse(template).render_bytes(&from, &mut bytes).unwrap();
        assert_eq!(bytes, b"<\xff>");
        let rejection: Rejection = parse(template)
            .render(&from, &mut String::new())
            .unwrap_err()
            .into();
        assert_eq!(rejection.reason, Reason::BadMember);
        assert_eq!(rejection.detail, detail);
    }
}

#[test]
fn a_template_says_before_any_record_that_it_needs_envelopes() {
    assert_eq!(parse("{a}-{+b}").require_envelope(false), Ok(()));
    assert_eq!(parse("{a}-{$topic/1}").require_envelope(true), Ok(()));
    let error = parse("{a}-{$topic/1}-{$key}")
        .require_envelope(false)
        .unwrap_err();
    assert!(
        error.to_string().starts_with("'{$topic/1}' is a member"),
        "{error}"
    );
}

#[test]
fn a_field_with_a_sign_of_the_grammar_in_front_is_a_pointer_or_stands_alone() {
    let record = r#"{"$topic":"x","+a":"y","$x/y~z":"z"}"#;
    assert_eq!(render("{/$topic}{/+a}", record).as_deref(), Ok("xy"));
    for (name, want) in [("$topic", "x"), ("+a", "y"), ("$x/y~z", "z")] {
        let template = Template::field_or_template(name).unwrap();
        assert_eq!(
            render(&template.to_string(), record).as_deref(),
            Ok(want),
            "{name}"
        );
    }
    let error = "{$site}".parse::<Template>().unwrap_err().to_string();
    assert!(error.contains("'/$site'"), "{error}");
}

#[test]
fn fields_are_filled_in_and_doubled_braces_are_braces() {
    let record = r#"{"id":"g4","n":1.10,"site":{"id":7}}"#;
    for (template, want) in [
        ("a/{id}/b", "a/g4/b"),
        ("{id}{n}", "g41.10"),
        ("{/site/id}", "7"),
        ("{{{id}}}", "{g4}"),
        ("{{x}}", "{x}"),
        ("", ""),
    ] {
        assert_eq!(render(template, record).as_deref(), Ok(want), "{template}");
    }
    assert_eq!(render("{none}", record).unwrap_err(), "has no field 'none'");
}

#[test]
fn what_is_no_template_is_refused() {
    for template in [
        "{",
        "a{b",
        "}",
        "a}b",
        "{}",
        "{a}}",
        "{/a~}",
        "{+}",
        "{$}",
        "{+$}",
        "{$topics}",
        "{$topic/}",
        "{$topic/-1}",
        "{$topic/+1}",
        "{$topic/01}",
        "{$topic/x}",
        "{$topic/1/2}",
        "{$topic/99999999999999999999}",
        "{$header}",
        "{$header:}",
        "{$Topic}",
        "{$value}",
        "{++a}}",
    ] {
        assert!(template.parse::<Template>().is_err(), "{template}");
    }
}

#[test]
fn a_bare_name_is_a_field_where_an_option_names_one() {
    assert_eq!(Template::field_or_template("id"), "{id}".parse());
    assert_eq!(Template::field_or_template("x-{id}"), "x-{id}".parse());
    assert_eq!("x".parse::<Template>().unwrap().constant(), Some("x"));
    assert_eq!("{id}".parse::<Template>().unwrap().constant(), None);
}

#[test]
fn a_named_template_may_hold_the_sign() {
    let (name, template) = parse_named("unit={u}=x").unwrap();
    let mut text = String::new();
    let from = Variables::plain(br#"{"u":"kPa"}"#);
    template.render(&from, &mut text).unwrap();
    assert_eq!((name.as_str(), text.as_str()), ("unit", "kPa=x"));
    for wrong in ["", "unit", "=x", "unit={"] {
        assert!(parse_named(wrong).is_err(), "{wrong}");
    }
}

/// Texts that are templates, of all that the grammar has.
fn templates() -> impl Strategy<Value = String> {
    let literal = "[^{}]{0,5}|\\{\\{|\\}\\}";
    let field = "\\{\\+?[^{}/~+$][^}/~]{0,5}\\}|\\{\\+?(/[^}/~]{0,3}){1,3}\\}";
    let member = "\\{\\+?\\$(topic|topic/[1-9]?[0-9]|key|header:[^}]{1,5}|timestamp|partition|offset|qos)\\}";
    let part = prop_oneof![literal, field, member];
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn any_text_comes_back_when_its_braces_are_doubled(text in ".*") {
        let doubled = text.replace('{', "{{").replace('}', "}}");
        prop_assert_eq!(render(&doubled, "{}"), Ok(text));
    }

    #[test]
    fn any_field_text_comes_back(text in ".*", name in "[^{}/~+$][^{}/~]{0,9}") {
        let record = serde_json::json!({ name.as_str(): text }).to_string();
        prop_assert_eq!(render(&format!("{{{name}}}"), &record), Ok(text));
    }

    #[test]
    fn what_is_printed_is_read_again(text in templates()) {
        let template = parse(&text);
        prop_assert_eq!(template.to_string().parse::<Template>(), Ok(template));
    }

    #[test]
    fn no_text_makes_the_reading_panic(text in "[{}$+/~:a-z0-9]{0,20}|.*") {
        if let Ok(template) = text.parse::<Template>() {
            prop_assert_eq!(template.to_string().parse::<Template>(), Ok(template));
        }
        if let Ok(template) = Template::field_or_template(&text) {
            prop_assert!(template.to_string().parse::<Template>().is_ok());
        }
    }

    #[test]
    fn no_record_makes_the_rendering_panic(
        template in templates(),
        value in prop::option::of("[{}\\[\\]\":,a-z0-9]{0,20}|.*"),
        topic in prop::option::of(".{0,20}"),
        key in prop::option::of(prop::collection::vec(any::<u8>(), 0..5)),
        time in prop::option::of(any::<i64>()),
        has_envelope in any::<bool>(),
    ) {
        let mut envelope = Envelope::new(crate::envelope::Value::Tombstone);
        envelope.headers = vec![("h".into(), key.clone().map(Into::into))];
        envelope.topic = topic.map(Into::into);
        envelope.key = key.map(Into::into);
        envelope.timestamp = time;
        let from = Variables {
            value: value.as_deref().map(str::as_bytes),
            envelope: has_envelope.then_some(&envelope),
        };
        let (mut text, mut bytes) = (String::new(), Vec::new());
        let template = parse(&template);
        // Where there is a text, the bytes are the same.
        if template.render(&from, &mut text).is_ok() {
            prop_assert_eq!(template.render_bytes(&from, &mut bytes), Ok(()));
            prop_assert_eq!(text.as_bytes(), bytes);
        } else {
            let _ = template.render_bytes(&from, &mut bytes);
        }
    }
}
