//! Values in the registry's frames: one whose schema the registry refuses to be asked for takes no other along.

use tapline_testkit::{
    DevBrokers, Run,
    http::{ScriptedHttp, json},
    kafka::{RawRecord, produce},
};

#[test]
fn a_frame_of_a_schema_that_can_not_be_asked_for_passes_and_its_neighbours_go_on() {
    let brokers = DevBrokers::start_with(&["--topic", "t:1"]);
    let record = |value| RawRecord {
        value,
        headers: &[],
    };
    produce(
        brokers.kafka.trim_start_matches("kafka://"),
        "t",
        &[
            record(b"\0\0\0\0\x07{\"n\":1}"),
            record(b"\0\xff\xff\xff\xffodd"),
            record(b"\0\0\0\0\x07{\"n\":2}"),
        ],
    );
    for status in [400, 404, 422] {
        let registry = ScriptedHttp::answering(move |request| {
            if request.contains("/schemas/ids/7 ") {
                json(200, r#"{"schemaType":"JSON","schema":"{}"}"#)
            } else {
                json(status, r#"{"error_code":42201,"message":"no such number"}"#)
            }
        });
        let ran = Run::tool("topic-tap")
            .args([&brokers.kafka_topic("t"), "--until-end"])
            .args(["--registry", &registry.address])
            .finish();
        ran.assert_code(0);
        ran.assert_stderr("t [0] at offset 1");
        ran.assert_stderr("pass as they are");
        assert_eq!(
            ran.stdout, b"{\"n\":1}\n\0\xff\xff\xff\xffodd\n{\"n\":2}\n",
            "{status}"
        );
    }
}
