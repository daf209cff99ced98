//! Tests of what a message is made of.

use super::*;

fn composer(topic: Option<&str>) -> Composer {
    Composer {
        topic: topic.map(|topic| topic.parse().unwrap()),
        qos: None,
        retain: false,
        headers: Vec::new(),
        response_topic: None,
        correlation_data: None,
        content_type: None,
        message_expiry: None,
        validator: None,
        known_topics: HashSet::new(),
        text: String::new(),
    }
}

fn plain(composer: &mut Composer, line: &'static [u8]) -> Result<Message, Rejection> {
    let bytes = Bytes::from_static(line);
    composer.compose(&Outgoing {
        line: 1,
        bytes: &bytes,
        envelope: None,
    })
}

fn enveloped(composer: &mut Composer, line: &'static [u8]) -> Result<Message, Rejection> {
    let bytes = Bytes::from_static(line);
    composer.compose(&Outgoing {
        line: 1,
        bytes: &bytes,
        envelope: Some(Envelope::read(line).unwrap()),
    })
}

#[test]
fn the_topic_has_the_fields_of_the_record_and_the_payload_is_the_line() {
    let mut composer = composer(Some("g/{id}/{/site/n}"));
    let message = plain(&mut composer, br#"{"id":"a b","site":{"n":1.10}}"#).unwrap();
    assert_eq!(&*message.topic, "g/a b/1.10");
    assert_eq!(&message.payload[..], br#"{"id":"a b","site":{"n":1.10}}"#);
    assert_eq!((message.qos, message.retain), (Qos::AtLeastOnce, false));
    assert_eq!(message.properties, None);
}

#[test]
fn a_fixed_topic_takes_any_bytes() {
    let mut composer = composer(Some("t"));
    let message = plain(&mut composer, b"\xff\x00not json").unwrap();
    assert_eq!(&message.payload[..], b"\xff\x00not json");
}

#[test]
fn a_device_cannot_choose_its_level() {
    let mut composer = composer(Some("g/{id}"));
    for line in [
        &br#"{"id":"a/b"}"#[..],
        br##"{"id":"#"}"##,
        br#"{"id":"+"}"#,
        br#"{"id":"\u0000"}"#,
    ] {
        let rejection = plain(&mut composer, line).unwrap_err();
        assert_eq!(rejection.reason, Reason::BadField, "{line:?}");
        assert_eq!(rejection.path.as_deref(), Some("/id"));
        assert!(!rejection.detail.contains('\0'));
    }
}

#[test]
fn a_topic_goes_in_with_its_levels_where_the_template_says_so() {
    let value = r#""value":{"t":"kitchen/sensor","n":1}"#;
    for (template, topic) in [
        ("x/{+t}", "x/kitchen/sensor"),
        ("{+$topic}", "zigbee2mqtt/a b"),
        ("{$topic/1}/{+/t}/{n}", "a b/kitchen/sensor/1"),
        ("{$key}", "k"),
    ] {
        let line = format!(r#"{{"topic":"zigbee2mqtt/a b","key":"k",{value}}}"#);
        let message = enveloped(&mut composer(Some(template)), line.leak().as_bytes());
        assert_eq!(&*message.unwrap().topic, topic, "{template}");
    }
}

#[test]
fn what_is_no_topic_is_rejected_with_the_place_that_it_came_from() {
    for (template, line, reason, path) in [
        (
            "{$topic}",
            r#"{"topic":"a/b","value":1}"#,
            Reason::BadMember,
            "/topic",
        ),
        (
            "{$topic/1}",
            r#"{"topic":"a","value":1}"#,
            Reason::MissingMember,
            "/topic",
        ),
        (
            "{$key}",
            r#"{"key":"a/b","value":1}"#,
            Reason::BadMember,
            "/key",
        ),
        (
            "{+$key}",
            r#"{"key":"a/+","value":1}"#,
            Reason::BadMember,
            "/key",
        ),
        (
            "{+$key}",
            r#"{"key":"a\u0000","value":1}"#,
            Reason::BadMember,
            "/key",
        ),
        (
            "{+$key}",
            r#"{"key_base64":"/w==","value":1}"#,
            Reason::BadMember,
            "/key",
        ),
        ("{+t}", r#"{"value":{"t":"a/#"}}"#, Reason::BadField, "/t"),
        ("{t}", r#"{"value":{"t":"a/b"}}"#, Reason::BadField, "/t"),
    ] {
        let rejection = enveloped(&mut composer(Some(template)), line.as_bytes()).unwrap_err();
        assert_eq!(rejection.reason, reason, "{template} {line}");
        assert_eq!(rejection.path.as_deref(), Some(path), "{template}");
    }
    let line = br#"{"topic":"a/b","value":1}"#;
    let rejection = enveloped(&mut composer(Some("{$topic}")), line).unwrap_err();
    let hint = "{$topic} holds '/', which a level of a topic cannot ({+$topic} lets it through)";
    assert_eq!(rejection.detail, hint);
}

#[test]
fn properties_can_say_where_the_value_came_from() {
    let composer = Composer {
        headers: vec![("from".to_owned(), "{$topic}@{$partition}".parse().unwrap())],
        response_topic: Some("re/{+$topic}".parse().unwrap()),
        correlation_data: Some("{$key}".parse().unwrap()),
        ..composer(Some("t"))
    };
    let line = br#"{"topic":"a/b","key_base64":"/w==","partition":3,"value_text":"ON"}"#;
    let properties = enveloped(&mut { composer }, line)
        .unwrap()
        .properties
        .unwrap();
    assert_eq!(properties.user, [("from".to_owned(), "a/b@3".to_owned())]);
    assert_eq!(properties.response_topic.as_deref(), Some("re/a/b"));
    assert_eq!(properties.correlation_data.as_deref(), Some(&b"\xff"[..]));
}

#[test]
fn what_a_broker_hangs_up_on_is_rejected_wherever_the_record_puts_it() {
    for found in [
        "\\u0001",
        "\\u007f",
        "\\u0085",
        "\\ufdd0",
        "\\uffff",
        "\\ud83f\\udffe",
    ] {
        let line: &'static str = format!("{{\"id\":\"x{found}\"}}").leak();
        let template = || Some("g/{id}".parse().unwrap());
        let mut composers = [
            Composer {
                topic: template(),
                ..composer(None)
            },
            Composer {
                response_topic: template(),
                ..composer(Some("t"))
            },
            Composer {
                headers: vec![("h".to_owned(), "{id}".parse().unwrap())],
                ..composer(Some("t"))
            },
        ];
        for composer in &mut composers {
            let rejection = plain(composer, line.as_bytes()).unwrap_err();
            assert_eq!(rejection.reason, Reason::BadField, "{line}");
            assert_eq!(rejection.path.as_deref(), Some("/id"));
            assert!(rejection.detail.contains("U+"), "{}", rejection.detail);
        }
        let envelope = format!("{{\"topic\":\"a/{found}\",\"value\":1}}");
        let rejection = enveloped(&mut composer(None), envelope.leak().as_bytes()).unwrap_err();
        assert_eq!(rejection.reason, Reason::BadEnvelope, "{found}");
    }
}

#[test]
fn a_topic_of_more_levels_than_brokers_take_is_rejected() {
    let line = format!("{{\"topic\":\"{}\",\"value\":1}}", "a/".repeat(300));
    let rejection = enveloped(&mut composer(None), line.leak().as_bytes()).unwrap_err();
    assert_eq!(rejection.reason, Reason::BadEnvelope);
    assert!(
        rejection.detail.contains("201 levels"),
        "{}",
        rejection.detail
    );
}

#[test]
fn an_envelope_with_a_quality_of_service_that_does_not_exist_is_rejected() {
    for level in [3, 7, 255] {
        let line = format!("{{\"topic\":\"a\",\"qos\":{level},\"value\":1}}");
        let rejection = enveloped(&mut composer(None), line.leak().as_bytes()).unwrap_err();
        assert_eq!(rejection.reason, Reason::BadEnvelope);
        assert_eq!(rejection.path.as_deref(), Some("/qos"));
    }
}

#[test]
fn headers_that_no_packet_can_hold_are_found_before_any_record() {
    let header = |name: &str, text: &str| vec![(name.to_owned(), text.parse().unwrap())];
    assert!(check_headers(&header("a b", "{x} ü")).is_ok());
    for (name, text) in [("a\u{1}", "x"), ("a", "\u{ffff}{x}")] {
        let refusal = check_headers(&header(name, text)).unwrap_err();
        assert!(matches!(refusal, Refusal::Character(_)), "{refusal}");
    }
}

#[test]
fn an_empty_topic_and_one_that_is_too_long_are_no_topics() {
    let mut composer = composer(Some("{id}"));
    let rejection = plain(&mut composer, br#"{"id":""}"#).unwrap_err();
    assert_eq!(rejection.reason, Reason::BadField);
    let long = format!("{{\"id\":\"{}\"}}", "x".repeat(65_536));
    let rejection = plain(&mut composer, long.leak().as_bytes()).unwrap_err();
    assert_eq!(rejection.reason, Reason::BadField);
}

#[test]
fn missing_fields_are_told_apart() {
    let mut composer = composer(Some("g/{id}"));
    let mut reason = |line| plain(&mut composer, line).unwrap_err().reason;
    assert_eq!(reason(br#"{"x":1}"#), Reason::MissingField);
    assert_eq!(reason(br#"{"id":{}}"#), Reason::NotScalar);
    assert_eq!(reason(b"{"), Reason::NotJson);
}

#[test]
fn an_envelope_without_an_address_topic_goes_where_it_came_from() {
    let mut composer = composer(None);
    let line = br#"{"topic":"a/b","qos":2,"retain":true,"headers":[["k","1"],["k","2"]],"content_type":"j","value":{"n": 1.10}}"#;
    let message = enveloped(&mut composer, line).unwrap();
    assert_eq!(&*message.topic, "a/b");
    assert_eq!(&message.payload[..], br#"{"n": 1.10}"#);
    assert_eq!((message.qos, message.retain), (Qos::ExactlyOnce, true));
    let properties = message.properties.unwrap();
    let pair = |value: &str| ("k".to_owned(), value.to_owned());
    assert_eq!(properties.user, [pair("1"), pair("2")]);
    assert_eq!(properties.content_type.as_deref(), Some("j"));
}

#[test]
fn the_address_and_the_flags_go_before_the_envelope() {
    let mut composer = composer(Some("to/{n}"));
    composer.qos = Some(Qos::AtMostOnce);
    composer.headers = vec![("h".to_owned(), "{n}!".parse().unwrap())];
    let line = br#"{"topic":"a/b","qos":2,"value":{"n":5}}"#;
    let message = enveloped(&mut composer, line).unwrap();
    assert_eq!((&*message.topic, message.qos), ("to/5", Qos::AtMostOnce));
    let properties = message.properties.unwrap();
    assert_eq!(properties.user, [("h".to_owned(), "5!".to_owned())]);
}

#[test]
fn envelopes_that_cannot_be_messages_are_rejected() {
    for line in [
        &br#"{"value":1}"#[..],
        br#"{"topic":"a/+","value":1}"#,
        br#"{"topic":"a","headers":[["k",{"base64":"/w=="}]],"value":1}"#,
    ] {
        let rejection = enveloped(&mut composer(None), line).unwrap_err();
        assert_eq!(rejection.reason, Reason::BadEnvelope, "{line:?}");
    }
}

#[test]
fn a_tombstone_is_an_empty_payload() {
    let mut composer = composer(Some("t"));
    let message = enveloped(&mut composer, br#"{"tombstone":true}"#).unwrap();
    assert!(message.payload.is_empty());
}

#[test]
fn wildcards_in_a_template_are_found_before_any_record() {
    let check = |text: &str| check_template(&text.parse().unwrap());
    assert!(check("a/{b}/c").is_ok());
    assert!(check("{b}").is_ok());
    assert_eq!(check("a/+/{b}"), Err(topic::TopicError::Wildcard));
    assert_eq!(check("#"), Err(topic::TopicError::Wildcard));
}

#[test]
fn messages_of_a_topic_share_its_text() {
    let mut composer = composer(Some("{id}"));
    let one = plain(&mut composer, br#"{"id":"a"}"#).unwrap();
    let two = plain(&mut composer, br#"{"id":"a","n":2}"#).unwrap();
    assert!(Arc::ptr_eq(&one.topic, &two.topic));
}
