//! What these tools write others read, and the other way round: `mosquitto_pub` and `mosquitto_sub`, paho-mqtt.

use std::collections::BTreeMap;

use e2e::mqtt::{end, publish, tapping};
use e2e::real::{PATIENCE, python};
use serde_json::{Value, json};
use tapline_testkit::{LIMIT, Mosquitto, Run, wait_until};

/// A message with every property that there is, one with none, and one that isn't text.
const ENVELOPES: &str = concat!(
    r#"{"topic":"a/all","qos":2,"retain":true,"headers":[["a","1"],["a","2"],["größe","ß"]],"content_type":"application/json","message_expiry":3600,"response_topic":"a/answers","correlation_data":"aWQgNw==","payload_format":1,"value":{"n":1.10}}"#,
    "\n",
    r#"{"topic":"a/none","qos":0,"value_text":"zwölf"}"#,
    "\n",
    r#"{"topic":"a/binary","qos":1,"value_base64":"AP8="}"#,
    "\n",
    r#"{"topic":"a/empty","qos":1,"value_text":""}"#,
    "\n",
);

/// A broker that tells who has subscribed.
fn telling() -> Mosquitto {
    Mosquitto::start_with(&["log_type all"])
}

/// Host and port, as the peers want them.
fn place(broker: &Mosquitto) -> [String; 2] {
    let address = broker.address();
    [address.ip().to_string(), address.port().to_string()]
}

/// `mosquitto_pub` or `mosquitto_sub` in MQTT 5.
fn client(program: &str, broker: &Mosquitto) -> Run {
    let [host, port] = place(broker);
    Run::new(program)
        .args(["-h", &host, "-p", &port, "-V", "mqttv5"])
        .limit(PATIENCE)
}

/// Publishes [`ENVELOPES`], and one more by options alone, once somebody has subscribed.
fn publish_all(broker: &Mosquitto) {
    wait_until(LIMIT, "the peer has subscribed", || {
        broker.log().contains("Sending SUBACK to")
    });
    publish(&broker.topic(""), &["-J"], ENVELOPES);
    let options = [
        "-H",
        "site={s}",
        "--content-type",
        "text/plain",
        "--message-expiry",
        "2h",
    ];
    publish(&broker.topic("a/options"), &options, "{\"s\":\"Øst\"}\n");
}

/// What a peer saw of each message, by topic: with QoS 2 among them they come in any order.
fn by_topic(lines: Vec<Value>) -> BTreeMap<String, Value> {
    let topic = |line: &Value| line["topic"].as_str().unwrap_or_default().to_owned();
    lines.into_iter().map(|line| (topic(&line), line)).collect()
}

#[test]
fn what_mqtt_pub_writes_is_read_by_mosquitto_sub_field_by_field() {
    let broker = telling();
    // In hexadecimal too, since its %j cuts a payload off at NUL.
    let subscriber = client("mosquitto_sub", &broker)
        .args(["-t", "a/#", "-q", "2", "-C", "5"])
        .args(["--retain-as-published", "-F", "%j\\n%x"])
        .start();
    publish_all(&broker);
    let ran = subscriber.wait();
    ran.assert_code(0);
    let lines = ran.lines();
    let messages = lines.chunks(2).map(|pair| {
        let mut seen: Value = serde_json::from_str(pair[0]).expect("%j is JSON");
        let members = seen.as_object_mut().expect("%j is an object");
        // Of its own, or in hexadecimal.
        for name in ["tst", "mid", "payload"] {
            members.remove(name);
        }
        members.insert("hex".to_owned(), pair[1].into());
        seen
    });
    let seen = by_topic(messages.collect());
    let wanted = by_topic(vec![
        json!({"topic": "a/all", "qos": 2, "retain": 1, "payloadlen": 10, "hex": hex(b"{\"n\":1.10}"), "properties": {
            "payload-format-indicator": 1, "message-expiry-interval": 3600, "content-type": "application/json",
            "response-topic": "a/answers", "correlation-data": "id 7",
            // Of one name only the last is left by the parser here.
            "user-properties": {"a": "2", "größe": "ß"}}}),
        json!({"topic": "a/none", "qos": 0, "retain": 0, "payloadlen": 6, "hex": hex("zwölf".as_bytes())}),
        json!({"topic": "a/binary", "qos": 1, "retain": 0, "payloadlen": 2, "hex": "00ff"}),
        json!({"topic": "a/empty", "qos": 1, "retain": 0, "payloadlen": 0, "hex": ""}),
        json!({"topic": "a/options", "qos": 1, "retain": 0, "payloadlen": 12, "hex": hex("{\"s\":\"Øst\"}".as_bytes()),
            "properties": {"content-type": "text/plain", "message-expiry-interval": 7200,
            "user-properties": {"site": "Øst"}}}),
    ]);
    assert_eq!(seen, wanted);
    assert!(
        ran.text()
            .contains(r#""user-properties":{"a":"1","a":"2","größe":"ß"}"#),
        "both of one name, in their order"
    );
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[test]
fn what_mqtt_pub_writes_is_read_by_paho_field_by_field() {
    let broker = telling();
    let [host, port] = place(&broker);
    let subscriber = python("paho_subscribe.py")
        .args([&host, &port, "a/#", "5"])
        .start();
    publish_all(&broker);
    let ran = subscriber.wait();
    ran.assert_code(0);
    let wanted = by_topic(vec![
        json!({"topic": "a/all", "qos": 2, "retain": true, "payload": hex(b"{\"n\":1.10}"), "properties": {
            "PayloadFormatIndicator": 1, "MessageExpiryInterval": 3600, "ContentType": "application/json",
            "ResponseTopic": "a/answers", "CorrelationData": hex(b"id 7"),
            "UserProperty": [["a", "1"], ["a", "2"], ["größe", "ß"]]}}),
        json!({"topic": "a/none", "qos": 0, "retain": false, "payload": hex("zwölf".as_bytes()), "properties": {}}),
        json!({"topic": "a/binary", "qos": 1, "retain": false, "payload": "00ff", "properties": {}}),
        json!({"topic": "a/empty", "qos": 1, "retain": false, "payload": "", "properties": {}}),
        json!({"topic": "a/options", "qos": 1, "retain": false, "payload": hex("{\"s\":\"Øst\"}".as_bytes()),
            "properties": {"ContentType": "text/plain", "MessageExpiryInterval": 7200,
            "UserProperty": [["site", "Øst"]]}}),
    ]);
    assert_eq!(by_topic(ran.json_lines()), wanted);
}

#[test]
fn what_mosquitto_pub_and_paho_write_is_read_by_topic_tap_field_by_field() {
    let broker = telling();
    let mut tap = tapping(&broker.topic("a/+"), &["-J", "--qos", "2"]);
    let properties = [
        ["content-type", "application/json"],
        ["message-expiry-interval", "3600"],
        ["response-topic", "answers"],
        ["correlation-data", "id 7"],
        ["payload-format-indicator", "1"],
    ];
    let options = properties
        .iter()
        .flat_map(|pair| ["-D", "publish", pair[0], pair[1]]);
    client("mosquitto_pub", &broker)
        .args(["-t", "a/b", "-q", "2", "-r", "-m", "{\"n\":1.10}"])
        .args(options)
        .args(["-D", "publish", "user-property", "a", "1"])
        .args(["-D", "publish", "user-property", "a", "2"])
        .finish()
        .assert_code(0);
    let given = json!({
        "ContentType": "text/plain", "MessageExpiryInterval": 3600, "ResponseTopic": "answers",
        "CorrelationData": "00ff", "PayloadFormatIndicator": 1, "UserProperty": [["a", "1"], ["a", "2"]],
    });
    let [host, port] = place(&broker);
    for (qos, properties) in [("1", given.to_string()), ("0", "{}".to_owned())] {
        python("paho_publish.py")
            .args([&host, &port, "a/b", qos, &properties])
            .finish_with("zwölf\n")
            .assert_code(0);
    }
    tap.wait_for_lines(3);
    let mut seen = end(tap).json_lines();
    for envelope in &mut seen {
        let members = envelope.as_object_mut().expect("an envelope is an object");
        assert!(
            members
                .remove("timestamp")
                .is_some_and(|time| time.is_string())
        );
        // The broker takes off what has passed, in whole seconds [MQTT-3.3.2-6].
        if let Some(left) = members.get_mut("message_expiry") {
            assert!(
                left.as_u64()
                    .is_some_and(|left| (3500..=3600).contains(&left))
            );
            *left = json!(3600);
        }
    }
    let [full, like_it, bare] = <[Value; 3]>::try_from(seen).expect("three of them");
    assert_eq!(
        full,
        json!({"seq": 1, "source": "mqtt", "topic": "a/b", "headers": [["a", "1"], ["a", "2"]], "value": {"n": 1.10},
            "qos": 2, "retain": true, "dup": false, "payload_format": 1, "message_expiry": 3600,
            "content_type": "application/json", "response_topic": "answers", "correlation_data": "aWQgNw=="})
    );
    assert_eq!(
        like_it,
        json!({"seq": 2, "source": "mqtt", "topic": "a/b", "headers": [["a", "1"], ["a", "2"]], "value_text": "zwölf",
            "qos": 1, "retain": false, "dup": false, "payload_format": 1, "message_expiry": 3600,
            "content_type": "text/plain", "response_topic": "answers", "correlation_data": "AP8="})
    );
    assert_eq!(
        bare,
        json!({"seq": 3, "source": "mqtt", "topic": "a/b", "value_text": "zwölf", "qos": 0, "retain": false,
            "dup": false})
    );
}
