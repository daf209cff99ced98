//! What topic-tap writes of records, in each of its forms.

use e2e::{consumed, counts};
use tapline_testkit::{DevBrokers, Run};

/// A cluster whose topic `t`, of one partition, holds a record with everything, a tombstone and a plain text.
fn with_records() -> DevBrokers {
    let brokers = DevBrokers::start_with(&["--topic", "t:1"]);
    let input = concat!(
        r#"{"timestamp":"2026-03-01T12:00:00.5Z","key":"k1","headers":[["a","1"],["b",null]],"value":{"n":1.10,"s":"x,y"}}"#,
        "\n",
        r#"{"timestamp":"2026-03-01T12:00:01Z","key":"k2","tombstone":true}"#,
        "\n",
        r#"{"timestamp":"2026-03-01T12:00:02Z","value_text":"two\nlines"}"#,
        "\n",
    );
    let produce = Run::tool("kafka-produce").args([&brokers.kafka_topic("t"), "-J"]);
    produce.finish_with(input).assert_code(0);
    brokers
}

#[test]
fn a_form_is_filled_in_as_kcat_does_it() {
    let brokers = with_records();
    for (form, want) in [
        (
            "%k|%K|%S|%s\\n",
            &b"k1|2|20|{\"n\":1.10,\"s\":\"x,y\"}\nk2|2|-1|\n|-1|9|two\nlines\n"[..],
        ),
        ("%t %p %o,", b"t 0 0,t 0 1,t 0 2,"),
        (
            "%T %h;",
            b"1772366400500 a=1,b=NULL;1772366401000 ;1772366402000 ;",
        ),
        ("%R", b"\0\0\0\x14\xff\xff\xff\xff\0\0\0\x09"),
    ] {
        let written = consumed(&brokers, "t", &["--format", form]);
        assert_eq!(
            String::from_utf8_lossy(&written),
            String::from_utf8_lossy(want),
            "{form}"
        );
    }
}

#[test]
fn keys_alone_are_written() {
    let brokers = with_records();
    assert_eq!(consumed(&brokers, "t", &["--key-only"]), b"k1\nk2\n\n");
}

#[test]
fn fields_become_cells_and_what_has_none_is_told() {
    let brokers = with_records();
    let ran = Run::tool("topic-tap")
        .arg(brokers.kafka_topic("t"))
        .args(["--from", "beginning", "--until-end", "--csv", "s,/n,x"])
        .args(["--summary", "json"])
        .finish();
    ran.assert_code(1);
    assert_eq!(ran.text(), "s,/n,x\n\"x,y\",1.10,\n,,\n");
    let counts = counts(&ran);
    assert_eq!((counts.read, counts.delivered, counts.rejected), (3, 2, 1));
    ran.assert_stderr("t [0] at offset 2: not JSON");
}

#[test]
fn a_part_of_a_topic_is_read() {
    let brokers = with_records();
    let offsets = |arguments: &[&str]| {
        let ran = Run::tool("topic-tap")
            .args([&brokers.kafka_topic("t"), "--format", "%o "])
            .args(arguments)
            .finish();
        ran.assert_code(0);
        ran.text().to_owned()
    };
    assert_eq!(offsets(&["--until", "2"]), "0 1 ");
    assert_eq!(offsets(&["--from", "1", "--until", "-1"]), "1 ");
    assert_eq!(offsets(&["--until", "end", "--partition", "0"]), "0 1 2 ");
    assert_eq!(offsets(&["--from", "-1", "--until-end"]), "2 ");
}
