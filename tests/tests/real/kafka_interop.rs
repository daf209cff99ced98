//! What these tools write others read, and the other way round: Confluent's client for Python, Kafka's console tools,
//! kcat.

use e2e::real::{envelopes, new_topic, produce, python, read_by_kcat, text};
use e2e::{counts, readings};
use serde_json::{Value, json};
use tapline_testkit::real::workspace;
use tapline_testkit::{RealBrokers, Run};

use crate::registry::{answering, response};

/// Between records, where a peer can be told: no byte of any record of ours.
const RECORD_SEPARATOR: u8 = 0x1e;

const SCHEMA: &str = "schemas/generator.schema.json";

/// Readings, and beside each the key that `-k generatorID` gives it.
fn keyed_readings(count: u32) -> (Vec<u8>, Vec<(String, String)>) {
    let readings = readings(20, count);
    let text = str::from_utf8(&readings).expect("readings are text");
    let keyed = text.lines().map(|line| {
        let reading: Value = serde_json::from_str(line).expect("readings are JSON");
        let key = reading["generatorID"].as_str().expect("readings have it");
        (key.to_owned(), line.to_owned())
    });
    let keyed = keyed.collect();
    (readings, keyed)
}

/// `key`, a tab and the value, for each record; sorted, since partitions come in any order.
fn framed(schema: u32, keyed: &[(String, String)]) -> Vec<Vec<u8>> {
    let mut records: Vec<Vec<u8>> = keyed
        .iter()
        .map(|(key, line)| {
            let frame = [&[0], schema.to_be_bytes().as_slice()].concat();
            [key.as_bytes(), b"\t", &frame, line.as_bytes()].concat()
        })
        .collect();
    records.sort();
    records
}

/// What a peer wrote, in the form of [`framed`].
fn separated(output: &[u8]) -> Vec<Vec<u8>> {
    let mut records: Vec<Vec<u8>> = output
        .split(|byte| *byte == RECORD_SEPARATOR)
        .filter(|record| !record.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    records.sort();
    records
}

#[test]
fn what_kafka_produce_writes_is_read_by_python_the_console_consumer_and_kcat() {
    let brokers = RealBrokers::shared();
    let topic = new_topic(&brokers, "written", 3);
    let address = brokers.kafka_topic(&topic);
    let (input, keyed) = keyed_readings(500);
    let schema = workspace().join(SCHEMA);
    let schema = schema.to_str().expect("a path of ours");
    let options = [
        "-k",
        "generatorID",
        "-s",
        schema,
        "--register",
        "--registry",
        brokers.registry(),
    ];
    produce(&address, &options, input);
    let ours = envelopes(&address, &["--registry", brokers.registry()]);
    let id = ours[0]["schema_id"]
        .as_u64()
        .and_then(|id| u32::try_from(id).ok());
    let wanted = framed(id.expect("the registry knows it"), &keyed);

    let kcat = read_by_kcat(&brokers, &topic, "%k\\t%s\\x1e");
    assert_eq!(separated(&kcat), wanted, "kcat");

    let console = brokers
        .java("org.apache.kafka.tools.consumer.ConsoleConsumer")
        .args(["--bootstrap-server", brokers.servers(), "--topic", &topic])
        .args(["--from-beginning", "--max-messages", "500"])
        .args(["--formatter-property", "print.key=true"])
        .args([
            "--formatter-property",
            &format!("line.separator={}", RECORD_SEPARATOR as char),
        ])
        .finish();
    console.assert_code(0);
    assert_eq!(separated(&console.stdout), wanted, "the console consumer");

    let python = python("deserialize.py")
        .args([brokers.servers(), &topic, brokers.registry(), "500"])
        .finish();
    python.assert_code(0);
    let mut got: Vec<String> = python.json_lines().iter().map(Value::to_string).collect();
    let parsed = |line: &str| serde_json::from_str::<Value>(line).expect("JSON");
    let mut wanted: Vec<String> = keyed
        .iter()
        .map(|(key, line)| json!([key, parsed(line)]).to_string())
        .collect();
    got.sort();
    wanted.sort();
    assert_eq!(got, wanted, "confluent-kafka-python");
}

#[test]
fn what_confluents_serialiser_writes_is_read_by_topic_tap() {
    let brokers = RealBrokers::shared();
    let topic = new_topic(&brokers, "python", 3);
    let (input, keyed) = keyed_readings(500);
    let python = python("serialize.py")
        .args([
            brokers.servers(),
            &topic,
            brokers.registry(),
            SCHEMA,
            "generatorID",
        ])
        .finish_with(input);
    python.assert_code(0);
    let tapped = envelopes(
        &brokers.kafka_topic(&topic),
        &["--registry", brokers.registry()],
    );
    assert_eq!(tapped.len(), keyed.len());
    let mut got: Vec<String> = tapped
        .iter()
        .map(|one| {
            assert!(one["schema_id"].is_u64(), "{one}");
            json!([one["key"], one["value"]]).to_string()
        })
        .collect();
    let mut wanted: Vec<String> = keyed
        .iter()
        .map(|(key, line)| {
            let reading: Value = serde_json::from_str(line).expect("JSON");
            json!([key, reading]).to_string()
        })
        .collect();
    got.sort();
    wanted.sort();
    assert_eq!(got, wanted);
}

#[test]
fn what_confluents_serialiser_names_in_a_header_is_read_by_topic_tap() {
    let brokers = RealBrokers::shared();
    let topic = new_topic(&brokers, "header", 1);
    let guid = "89791762-2336-186f-9674-4b90a8e2d2c4";
    // Apicurio knows no GUIDs; this is all that Confluent's own says to either side.
    let schema = std::fs::read_to_string(workspace().join(SCHEMA)).expect("the schema");
    let known =
        json!({"id": 7, "version": 1, "guid": guid, "schemaType": "JSON", "schema": schema});
    let known = known.to_string();
    let (_peer, registry) = answering(move |_, request| {
        if request.contains("/subjects/") || request.contains("/schemas/") {
            response("200 OK", "application/json", &known)
        } else {
            // What else its client asks for, such as associations, older registries don't have.
            response(
                "404 Not Found",
                "application/json",
                r#"{"error_code":404,"message":"no"}"#,
            )
        }
    });
    let (input, keyed) = keyed_readings(3);
    let python = python("serialize.py")
        .args([
            brokers.servers(),
            &topic,
            &registry,
            SCHEMA,
            "generatorID",
            "header",
        ])
        .finish_with(input);
    python.assert_code(0);
    let tapped = envelopes(&brokers.kafka_topic(&topic), &["--registry", &registry]);
    assert_eq!(tapped.len(), keyed.len());
    for (envelope, (key, line)) in tapped.iter().zip(&keyed) {
        let reading: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(
            (&envelope["value"], &envelope["key"]),
            (&reading, &json!(key))
        );
        assert_eq!(envelope["headers"][0][0], "__value_schema_id", "{envelope}");
    }
}

#[test]
fn what_the_console_producer_writes_is_read_by_topic_tap() {
    let brokers = RealBrokers::shared();
    let topic = new_topic(&brokers, "console", 3);
    let java = brokers
        .java("org.apache.kafka.tools.ConsoleProducer")
        .args(["--bootstrap-server", brokers.servers(), "--topic", &topic])
        .args(["--reader-property", "parse.key=true"])
        .args(["--reader-property", "parse.headers=true"])
        .args(["--reader-property", "null.marker=NULL"])
        .env("JAVA_TOOL_OPTIONS", "-Dfile.encoding=UTF-8")
        .finish_with("a:1,b:zwölf\tk1\t{\"fuel\": 1.10}\na:2\tgrößer\tnot JSON\nc:3\tgone\tNULL\nd:4\tempty\t\n");
    java.assert_code(0);
    let mut got: Vec<_> = envelopes(&brokers.kafka_topic(&topic), &[])
        .iter()
        .map(|one| {
            let members = ["key", "headers", "value", "value_text", "tombstone"];
            members.map(|name| one[name].to_string()).join(" ")
        })
        .collect();
    got.sort();
    let mut wanted = [
        r#""k1" [["a","1"],["b","zwölf"]] {"fuel":1.10} null null"#,
        r#""größer" [["a","2"]] null "not JSON" null"#,
        r#""gone" [["c","3"]] null null true"#,
        r#""empty" [["d","4"]] null "" null"#,
    ];
    wanted.sort_unstable();
    // The first is a number that serde_json writes as 1.1.
    let wanted = wanted.map(|line| line.replace("1.10", "1.1"));
    assert_eq!(got, wanted);
}

#[test]
fn what_kcat_writes_is_read_by_topic_tap_byte_for_byte() {
    let brokers = RealBrokers::shared();
    let topic = new_topic(&brokers, "kcat", 3);
    let address = brokers.kafka_topic(&topic);
    let (_, keyed) = keyed_readings(500);
    let input = text(keyed.iter().map(|(key, line)| format!("{key}\t{line}")));
    let kcat = brokers
        .kcat()
        .args(["-P", "-t", &topic, "-K", "\\t", "-H", "from=kcat"])
        .finish_with(input.clone());
    kcat.assert_code(0);
    for envelope in envelopes(&address, &[]) {
        assert_eq!(envelope["key"], envelope["value"]["generatorID"]);
        assert_eq!(envelope["headers"], json!([["from", "kcat"]]));
    }
    let values = Run::tool("topic-tap")
        .args([&address, "--until-end", "--summary", "json"])
        .finish();
    assert_eq!(counts(&values).delivered, 500);
    let mut got = values.lines();
    let mut wanted: Vec<&str> = keyed.iter().map(|(_, line)| line.as_str()).collect();
    got.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(got, wanted);
}
