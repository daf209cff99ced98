//! A file that is not there is told once, with its name and the system's reason, whichever option names it; so is a
//! full disk.

use std::fs::File;

use tapline_testkit::{DevBrokers, Run};

/// A path that is not there, in a folder that is not there: good for files that are read and for those that are written.
const MISSING: &str = "no-such-folder/no-such-file";

/// The options of a tool that take a file.
fn file_options(tool: &str) -> Vec<String> {
    let help = Run::tool(tool).arg("-h").finish();
    help.assert_code(0);
    let option = |line: &str| {
        let takes = line.contains(" <FILE>") || line.contains(" <PATH>");
        let begin = line.find("--").filter(|at| takes && *at <= 6)?;
        let name = line[begin..].split(' ').next()?;
        Some(name.to_owned())
    };
    let options = help.lines().into_iter().filter_map(option);
    // The path of a request.
    options
        .filter(|option| option != "--websocket-path")
        .collect()
}

/// What else the option needs, so that its file is what fails.
fn beside(option: &str) -> &'static [&'static str] {
    match option {
        "--password-file" => &["--username", "u"],
        "--cert-file" => &["--key-file", MISSING],
        "--key-file" => &["--cert-file", MISSING],
        "--registry-ca-file" | "--registry-auth-file" | "--registry-token-file" => {
            &["--registry", "https://127.0.0.1:1"]
        }
        "--registry-cert-file" => &[
            "--registry",
            "https://127.0.0.1:1",
            "--registry-key-file",
            MISSING,
        ],
        "--registry-key-file" => &[
            "--registry",
            "https://127.0.0.1:1",
            "--registry-cert-file",
            MISSING,
        ],
        "--acks-to" | "--acks-from" => &["--envelope"],
        _ => &[],
    }
}

fn assert_told_once(tool: &str, line: &[&str]) {
    let ran = Run::tool(tool).args(line).finish_with("{\"a\":1}\n");
    let stderr = &ran.stderr;
    assert_eq!(ran.code, Some(2), "{tool} {line:?}: {stderr}");
    let reason = stderr.matches("No such file or directory").count();
    assert_eq!(reason, 1, "{tool} {line:?}: {stderr}");
    assert!(stderr.contains(MISSING), "{tool} {line:?}: {stderr}");
    // Nor is the path said twice in one message.
    let twice = stderr.lines().any(|line| line.matches(MISSING).count() > 1);
    assert!(!twice, "{tool} {line:?}: {stderr}");
}

#[test]
fn each_option_tells_of_a_missing_file_once() {
    let brokers = DevBrokers::start_with(&["--topic", "t:1"]);
    let (kafka, mqtt) = (brokers.kafka_topic("t"), brokers.mqtt_topic("t"));
    let mqtts = mqtt.replacen("mqtt:", "mqtts:", 1);
    let schema = tapline_testkit::real::workspace().join("schemas/generator.schema.json");
    let schema = schema.to_str().expect("the workspace's path is text");
    for (tool, least) in [
        ("gen-sim", 2),
        ("schema-check", 2),
        ("mqtt-pub", 8),
        ("kafka-produce", 11),
        ("topic-tap", 11),
    ] {
        let options = file_options(tool);
        assert!(options.len() >= least, "{tool}: {options:?}");
        for option in &options {
            let of_tls = ["--ca-file", "--cert-file", "--key-file"].contains(&option.as_str());
            let of_mqtt = of_tls || option == "--password-file";
            let of_registry = option.starts_with("--registry");
            let mut line: Vec<&str> = match tool {
                "gen-sim" if option == "--replay" => vec!["--replay-format", "csv"],
                "gen-sim" => vec!["--replay", "/dev/null", "--replay-format", "ndjson"],
                "schema-check" if option == "--schema" => vec![],
                "schema-check" => vec!["--schema", schema],
                "mqtt-pub" if of_tls => vec![&mqtts],
                "mqtt-pub" => vec![&mqtt],
                "kafka-produce" if of_registry => vec![&kafka, "--schema", schema],
                "kafka-produce" => vec![&kafka],
                _ if of_tls => vec![&mqtts],
                _ if of_mqtt => vec![&mqtt],
                _ => vec![&kafka, "--until-end"],
            };
            line.extend([option, MISSING]);
            line.extend(beside(option));
            assert_told_once(tool, &line);
        }
    }
    assert_told_once("schema-check", &["--schema", schema, MISSING]);
}

#[test]
fn a_full_disk_is_told_once() {
    let brokers = DevBrokers::start_with(&["--topic", "t:1"]);
    let (kafka, mqtt) = (brokers.kafka_topic("t"), brokers.mqtt_topic("t"));
    let produced = Run::tool("kafka-produce").arg(&kafka).finish_with("1\n");
    produced.assert_code(0);
    let schema = tapline_testkit::real::workspace().join("schemas/machine-temperature.schema.json");
    let schema = schema.to_str().expect("the workspace's path is text");
    for (tool, line) in [
        ("gen-sim", &["--count", "5", "--speed", "max"][..]),
        ("schema-check", &["--schema", schema]),
        ("kafka-produce", &[&kafka, "--tee"]),
        ("mqtt-pub", &[&mqtt, "--tee"]),
        ("topic-tap", &[&kafka, "--from", "beginning", "--until-end"]),
        ("topic-tap", &[&kafka, "--list"]),
    ] {
        let full = File::options().write(true).open("/dev/full");
        let ran = Run::tool(tool)
            .args(line)
            .stdout_to(full.expect("Linux has /dev/full"))
            .finish_with("{\"a\":1}\n");
        let stderr = &ran.stderr;
        assert_eq!(ran.code, Some(2), "{tool} {line:?}: {stderr}");
        let told = |line: &str| line.matches("No space left on device").count();
        assert_eq!(
            stderr.lines().map(told).max(),
            Some(1),
            "{tool} {line:?}: {stderr}"
        );
    }
}
