//! dev-brokers from outside: arguments, exit codes, what it prints, the command that it runs, and
//! a word with each of the brokers.

#[path = "cli/kafka.rs"]
mod kafka;
#[path = "cli/mqtt.rs"]
mod mqtt;
#[path = "cli/registry.rs"]
mod registry;

use std::{fs::File, net::TcpListener};

use tapline_testkit::{Run, Running, Signal, mosquitto::free_address};

fn dev_brokers() -> Run {
    Run::new(env!("CARGO_BIN_EXE_dev-brokers"))
}

/// A running instance with its addresses, as `host:port`.
struct Instance {
    process: Running,
    mqtt: String,
    kafka: String,
    registry: String,
}

fn start(arguments: &[&str]) -> Instance {
    started(dev_brokers().args(arguments))
}

fn started(command: Run) -> Instance {
    let mut process = command.start();
    process.wait_for_lines(3);
    let stdout = String::from_utf8(process.stdout()).unwrap();
    let value = |start: &str| {
        let line = stdout
            .lines()
            .find_map(|line| line.strip_prefix(start)?.strip_suffix('\''));
        line.unwrap_or_else(|| panic!("no {start} in {stdout}"))
            .to_owned()
    };
    Instance {
        mqtt: value("MQTT_URL='mqtt://"),
        kafka: value("KAFKA_URL='kafka://"),
        registry: value("SCHEMA_REGISTRY_URL='http://"),
        process,
    }
}

#[test]
fn help_and_version_are_data() {
    let help = dev_brokers().arg("--help").finish();
    help.assert_code(0);
    for word in [
        "MQTT_URL",
        "KAFKA_URL",
        "SCHEMA_REGISTRY_URL",
        "--mqtt-port",
        "128MiB",
        "5 MB",
    ] {
        assert!(help.text().contains(word), "{word} in {}", help.text());
    }
    assert!(
        dev_brokers()
            .arg("--version")
            .finish()
            .text()
            .starts_with("dev-brokers ")
    );
}

#[test]
fn wrong_arguments_are_refused_before_anything_starts() {
    let wrong: [&[&str]; 8] = [
        &["--mqtt-port", "0"],
        &["--registry-port", "65536"],
        &["--kafka-brokers", "0"],
        &["--kafka-brokers", "17"],
        &["--topic", "a/b"],
        &["--topic", "a:0"],
        &["--mqtt-buffer", "lots"],
        &["sh"],
    ];
    for arguments in wrong {
        let finished = dev_brokers().args(arguments).finish();
        finished.assert_code(2).assert_stderr(arguments[0]);
        assert_eq!(finished.text(), "");
    }
}

#[test]
fn the_addresses_are_three_assignments_that_a_shell_reads() {
    let mut instance = start(&[]);
    let script = String::from_utf8(instance.process.stdout()).unwrap()
        + r#"printf '%s\n' "$MQTT_URL" "$KAFKA_URL" "$SCHEMA_REGISTRY_URL""#;
    let read = Run::new("/bin/sh").args(["-c", &script]).finish();
    let Instance {
        mqtt,
        kafka,
        registry,
        ..
    } = &instance;
    assert_eq!(
        read.lines(),
        [
            format!("mqtt://{mqtt}"),
            format!("kafka://{kafka}"),
            format!("http://{registry}")
        ]
    );
    assert_eq!(kafka.split(',').count(), 3);
    instance.process.signal(Signal::TERM);
    let finished = instance.process.wait();
    finished.assert_code(143);
    assert_eq!(finished.lines().len(), 3);
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
}

#[test]
fn an_interrupt_ends_it_with_its_own_code_and_quiet_is_quiet() {
    let mut instance = start(&["--quiet", "--kafka-brokers", "1"]);
    assert_eq!(instance.kafka.split(',').count(), 1);
    instance.process.signal(Signal::INT);
    let finished = instance.process.wait();
    finished.assert_code(130);
    assert_eq!(finished.stderr, "");
}

#[test]
fn the_libraries_speak_only_when_asked_twice() {
    let mut instance = start(&["-vv"]);
    instance.process.wait_for_stderr("dev-brokers: rumqttd");
}

#[test]
fn two_instances_do_not_collide() {
    let (one, other) = (start(&[]), start(&[]));
    assert_ne!(one.mqtt, other.mqtt);
    assert_ne!(one.registry, other.registry);
    assert_ne!(one.kafka, other.kafka);
}

#[test]
fn a_port_that_was_asked_for_is_used_or_named() {
    let busy = TcpListener::bind(free_address()).unwrap();
    let port = busy.local_addr().unwrap().port().to_string();
    for option in ["--mqtt-port", "--registry-port"] {
        let finished = dev_brokers().args([option, &port]).finish();
        finished
            .assert_code(2)
            .assert_stderr(&format!("port {port} is in use"));
        finished.assert_stderr(option);
        assert_eq!(finished.text(), "");
    }
    drop(busy);
    assert_eq!(
        start(&["--mqtt-port", &port]).mqtt,
        format!("127.0.0.1:{port}")
    );
}

#[test]
fn addresses_that_cannot_be_told_end_it() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let finished = dev_brokers().stdout_to(full).finish();
    finished
        .assert_code(2)
        .assert_stderr("dev-brokers: stdout:");
}

#[test]
fn a_command_finds_ready_brokers_and_decides_the_exit_code() {
    let script = r#"
        printf '%s\n' "$MQTT_URL" "$KAFKA_URL" "$SCHEMA_REGISTRY_URL" "$1"
        cat
        exit 7"#;
    let finished = dev_brokers()
        .args(["--", "sh", "-c", script, "sh", "-v"])
        .finish_with("in\n");
    finished.assert_code(7);
    let lines = finished.lines();
    assert_eq!(lines.len(), 5, "{lines:?}");
    for (line, start) in
        lines
            .iter()
            .zip(["mqtt://127.", "kafka://127.", "http://127.", "-v", "in"])
    {
        assert!(line.starts_with(start), "{line}");
    }
    assert_eq!(finished.stderr, "");
}

#[test]
fn a_command_that_a_signal_ends_gives_128_and_its_number() {
    dev_brokers()
        .args(["--", "sh", "-c", "kill -KILL $$"])
        .finish()
        .assert_code(137);
}

#[test]
fn a_command_that_cannot_run_is_named() {
    let finished = dev_brokers().args(["--", "/no/such/command"]).finish();
    finished
        .assert_code(2)
        .assert_stderr("dev-brokers: /no/such/command: ");
}

#[test]
fn signals_are_passed_on_and_the_command_decides() {
    let script = "trap 'echo int' INT; trap 'echo term; exit 5' TERM; echo up; \
                  while :; do sleep 0.01; done";
    let mut running = dev_brokers().args(["--", "sh", "-c", script]).start();
    running.wait_for_lines(1);
    running.signal(Signal::INT);
    running.wait_for_lines(2);
    running.signal(Signal::TERM);
    let finished = running.wait();
    finished.assert_code(5);
    assert_eq!(finished.lines(), ["up", "int", "term"]);
}
