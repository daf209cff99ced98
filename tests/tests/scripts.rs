//! The scripts: where they look for what cargo built, and whose ports they take.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::Path,
    process,
};

use tapline_testkit::{Run, TempDir, real::workspace, temp_dir};

/// The scripts in a folder of their own, so that neither state nor locks are those of this checkout.
fn scripts() -> TempDir {
    let folder = temp_dir();
    let copied = Run::new("cp")
        .arg("-r")
        .args([workspace().join("scripts"), folder.path().to_owned()])
        .finish();
    copied.assert_code(0);
    folder
}

/// A package that is built in a moment, with a program by the name that the scripts look for.
fn package(folder: &Path) {
    fs::create_dir(folder.join("src")).expect("our own folder");
    for (file, text) in [
        (
            "Cargo.toml",
            "[package]\nname = \"dev-brokers\"\nversion = \"0.0.0\"\n[workspace]\n",
        ),
        (
            "Cargo.lock",
            "version = 4\n[[package]]\nname = \"dev-brokers\"\nversion = \"0.0.0\"\n",
        ),
        ("src/main.rs", "fn main() {}\n"),
    ] {
        fs::write(folder.join(file), text).expect("our own folder");
    }
}

#[test]
fn what_cargo_built_is_found_wherever_cargo_puts_it() {
    let folder = scripts();
    package(folder.path());
    let configured = folder.path().join(".cargo");
    fs::create_dir(&configured).expect("our own folder");
    let find = |name: &str, value: &str| {
        let ran = Run::new("bash")
            .args(["-euc", ". scripts/need.sh; build_tools; echo \"$tools\""])
            .env(name, value)
            .current_dir(folder.path())
            .finish();
        ran.assert_code(0);
        ran.text().trim_end().to_owned()
    };
    let path = |inside: &str| folder.path().join(inside).display().to_string();
    let elsewhere = path("else where");
    assert_eq!(
        find("CARGO_TARGET_DIR", &elsewhere),
        path("else where/release")
    );
    fs::write(
        configured.join("config.toml"),
        "[build]\ntarget-dir = \"configured\"\n",
    )
    .expect("our own folder");
    // The tests themselves may run with the variable set, which comes before the file.
    let unset = Run::new("bash")
        .args([
            "-euc",
            "unset CARGO_TARGET_DIR; . scripts/need.sh; build_tools; echo \"$tools\"",
        ])
        .current_dir(folder.path())
        .finish();
    unset.assert_code(0);
    assert_eq!(unset.text().trim_end(), path("configured/release"));
}

#[test]
fn no_script_says_itself_where_cargo_puts_programs() {
    for script in [
        "demo",
        "bench",
        "bench.d/kafka.sh",
        "bench.d/mqtt.sh",
        "bench.d/influx.sh",
    ] {
        let text = fs::read_to_string(workspace().join("scripts").join(script)).expect("a script");
        assert!(!text.contains("target/release"), "{script}");
    }
}

#[test]
fn a_port_in_use_is_named_with_who_uses_it_before_anything_starts() {
    let folder = scripts();
    // One of the bases has Mosquitto's last port free; that port is taken here.
    let taken = (20..=31).find_map(|thousand| {
        let base = thousand * 1000;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, base + 890)).ok()?;
        let others = base + 883..base + 890;
        let free = others
            .into_iter()
            .all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
        free.then_some((base, listener))
    });
    let (base, _listener) = taken.expect("a base with free ports");
    let ran = Run::new(folder.path().join("scripts/brokers"))
        .args(["up", "mosquitto"])
        .env("TAPLINE_PORT_BASE", base.to_string())
        .finish();
    ran.assert_code(2)
        .assert_stderr(&format!("mosquitto: port {} is in use by", base + 890))
        .assert_stderr(&format!("process {} (", process::id()))
        .assert_stderr("TAPLINE_PORT_BASE");
    let state = folder.path().join("target/brokers/state");
    assert!(!state.exists(), "something was begun");
}

#[test]
fn every_port_counts_from_the_base() {
    let folder = scripts();
    let ran = Run::new("bash")
        .args([
            "-euc",
            "state=state jars=jars certs=certs user=u limited_user=l password=p token=t\n\
             . scripts/need.sh; . scripts/ports.sh\n\
             for part in kafka registry mosquitto influxdb victoriametrics; do . scripts/brokers.d/$part.sh; done\n\
             assign() { echo \"$2\"; }\n\
             for node in 1 2 3; do kafka_configure $node; done\n\
             mosquitto_configure; kafka_env; registry_env; mosquitto_env; influxdb_env; victoriametrics_env; influxdb_prepare\n\
             cat state/influxdb/nginx.conf; declare -f registry_start registry_answers",
        ])
        .env("TAPLINE_PORT_BASE", "27000")
        .current_dir(folder.path())
        .finish();
    ran.assert_code(0);
    let text = ran.text();
    let numbers = text.split(|letter: char| !letter.is_ascii_digit());
    let ports: Vec<u32> = numbers
        .filter(|number| number.len() == 5)
        .map(|number| number.parse().expect("digits"))
        .filter(|port| (20_000..32_000).contains(port))
        .collect();
    assert!(ports.len() > 50, "{ports:?}");
    for port in ports {
        assert!((27_000..28_000).contains(&port), "{port} in {text}");
    }
}

#[test]
fn a_base_that_cannot_be_used_is_refused() {
    let folder = scripts();
    for base in ["", "0", "ports", "1000", "31001", "99999"] {
        let ran = Run::new(folder.path().join("scripts/brokers"))
            .arg("status")
            .env("TAPLINE_PORT_BASE", base)
            .finish();
        // An empty variable is one that is not set.
        let code = if base.is_empty() { 1 } else { 2 };
        ran.assert_code(code);
        if code == 2 {
            ran.assert_stderr("from 20000 to 31000");
        }
    }
}

#[test]
fn what_influxdb_is_built_with_is_asked_for_by_name() {
    let folder = scripts();
    let programs = folder.path().join("programs");
    fs::create_dir(&programs).expect("our own folder");
    let build_tools = || {
        Run::new("bash")
            .args([
                "-euc",
                "port_base=27000; . scripts/need.sh; . scripts/brokers.d/influxdb.sh\n\
                 for name in sed sort head; do ln -sf \"$(command -v $name)\" programs; done\n\
                 need() { :; }; cargo() { :; }\n\
                 PATH=programs; influxdb_build_tools",
            ])
            .current_dir(folder.path())
            .finish()
    };
    build_tools()
        .assert_code(2)
        .assert_stderr("influxdb: missing: go. Install Go 1.24 or newer");
    let go = programs.join("go");
    for (version, code) in [("go1.9.7", 2), ("go1.24", 0), ("go1.26.8", 0)] {
        fs::write(&go, format!("#!/bin/sh\necho {version}\n")).expect("our own folder");
        fs::set_permissions(&go, fs::Permissions::from_mode(0o755)).expect("our own file");
        let asked = build_tools();
        asked.assert_code(code);
        if code == 2 {
            asked.assert_stderr("influxdb: Go 1.9.7 is too old: 1.24 or newer is needed");
        }
    }
}
