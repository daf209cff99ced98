//! The sinks of `docs/acks.md`, as they stand there.

use std::{fs, path::Path};

use e2e::counts;
use tapline_testkit::{DevBrokers, Run, temp_dir};

/// The block of the page that is fenced as `language`.
fn block(language: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/acks.md");
    let page = fs::read_to_string(page).expect("the page");
    let fence = format!("```{language}\n");
    let (_, rest) = page.split_once(&fence).expect("it has such a block");
    let (block, _) = rest.split_once("```").expect("it ends");
    block.to_owned()
}

#[test]
fn the_sinks_of_the_manual_settle_what_they_have_written() {
    let brokers = DevBrokers::start_with(&["--topic", "t:1"]);
    let records: String = (0..300).fold(String::new(), |all, n| all + &format!("{{\"n\":{n}}}\n"));
    let produce = Run::tool("kafka-produce").arg(brokers.kafka_topic("t"));
    produce.finish_with(records).assert_code(0);
    for (program, language) in [("python3", "python"), ("sh", "sh")] {
        let found = Run::shell(&format!("command -v {program}")).finish();
        if found.code != Some(0) {
            println!("{program} is not installed");
            continue;
        }
        let folder = temp_dir();
        fs::write(folder.path().join("sink"), block(language)).expect("a file of our own");
        let tap = |more: &[&str]| {
            let ran = Run::tool("topic-tap")
                .arg(brokers.kafka_topic("t"))
                .args(["--group", language, "--from", "beginning"])
                .args(["-X", "session.timeout.ms=6000", "--summary", "json"])
                .args(more)
                .current_dir(folder.path())
                .finish();
            ran.assert_code(0);
            let counts = counts(&ran);
            assert_eq!(counts.read, counts.delivered, "{}", ran.stderr);
            counts.delivered
        };
        assert_eq!(tap(&["--count", "200", "--", program, "sink"]), 200);
        // A filter that drops the rest leaves their seq.
        let filter = format!("sed 's/^\\({{\"seq\":[0-9]*\\),.*/\\1}}/' | {program} sink");
        assert_eq!(tap(&["--until-end", "--exec", &filter]), 100);
        let archive = fs::read_to_string(folder.path().join("archive")).expect("it was written");
        assert_eq!(archive.lines().count(), 200);
        assert!(
            archive
                .lines()
                .last()
                .is_some_and(|line| line.contains("{\"n\":199}"))
        );
    }
}
