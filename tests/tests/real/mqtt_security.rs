//! Mosquitto's listeners: who may in, over what, and what the tools say when they may not.

use std::path::Path;

use e2e::mqtt::{publisher, tap};
use tapline_testkit::{LIMIT, Run, real::mosquitto, unique, wait_until};

/// Options for both tools, and the password.
#[derive(Clone, Default)]
struct Identity {
    options: Vec<String>,
    password: Option<&'static str>,
}

impl Identity {
    /// Trusts the authority of this variable.
    fn trusting(authority: &str) -> Self {
        Self::default().with("--ca-file", mosquitto(authority))
    }

    fn with(mut self, option: &str, value: &str) -> Self {
        self.options.extend([option.to_owned(), value.to_owned()]);
        self
    }

    /// Shows the client's certificate whose variables begin like this.
    fn showing(self, pair: &str) -> Self {
        let variable = |end: &str| mosquitto(&format!("{pair}CLIENT_{end}"));
        self.with("--cert-file", variable("CERT_FILE"))
            .with("--key-file", variable("KEY_FILE"))
    }

    fn saying(mut self, password: &'static str) -> Self {
        self.password = Some(password);
        self.with("--username", mosquitto("TEST_USERNAME"))
    }

    fn apply(&self, run: Run) -> Run {
        let run = run.args(&self.options);
        match self.password {
            Some(password) => run.env("MQTT_PASSWORD", password),
            None => run,
        }
    }
}

#[test]
fn every_listener_lets_in_who_may_in_both_versions() {
    let trusting = Identity::trusting("CA_FILE");
    let known = mosquitto("TEST_PASSWORD");
    for (listener, identity) in [
        ("MQTT_URL", Identity::default()),
        ("MQTT_TLS_URL", trusting.clone()),
        ("MQTT_MTLS_URL", trusting.clone().showing("")),
        ("MQTT_WS_URL", Identity::default()),
        ("MQTT_WSS_URL", trusting.clone()),
        ("MQTT_PASSWORD_URL", Identity::default().saying(known)),
        ("MQTT_TLS_PASSWORD_URL", trusting.saying(known)),
    ] {
        for version in ["5", "3.1.1"] {
            let address = format!("{}/{}", mosquitto(listener), unique("listener"));
            let options = ["--mqtt-version", version, "--qos", "2"];
            let mut tap = identity
                .apply(tap(&address, &options).args(["--count", "2"]))
                .start();
            tap.wait_for_stderr(": tapping");
            let ran = identity
                .apply(publisher(&address, &options))
                .finish_with("1\nzwölf\n");
            ran.assert_code(0);
            let tapped = tap.wait();
            tapped.assert_code(0);
            assert_eq!(tapped.lines(), ["1", "zwölf"], "{listener}, MQTT {version}");
        }
    }
}

/// Both tools at an address, neither of which gets in: they say where and why, and end with 2.
#[track_caller]
fn assert_refused(what: &str, address: &str, identity: &Identity, why: &str) {
    let place = address.split("://").last().unwrap_or_default();
    let address = format!("{address}/{}", unique("refused"));
    for ran in [
        identity.apply(publisher(&address, &[])).finish_with("1\n"),
        identity.apply(tap(&address, &[])).finish(),
    ] {
        let stderr = &ran.stderr;
        assert_eq!(ran.code, Some(2), "{what}: {stderr}");
        for word in [place, why] {
            assert!(stderr.contains(word), "{what}: {word:?} isn't in {stderr}");
        }
        assert!(!stderr.contains("s3cr3t"), "{stderr}");
    }
}

#[test]
fn whoever_may_not_in_is_told_why_and_where() {
    let trusting = Identity::trusting("CA_FILE");
    let showing = |pair| Identity::trusting("CA_FILE").showing(pair);
    let (tls, mutual) = (mosquitto("MQTT_TLS_URL"), mosquitto("MQTT_MTLS_URL"));
    let nameless = tls.replace("127.0.0.1", "localhost");
    let account = mosquitto("MQTT_PASSWORD_URL");
    let expired = mosquitto("MQTT_TLS_EXPIRED_URL");
    let wrong = Identity::default().saying("s3cr3t-guess");
    let other = Identity::trusting("OTHER_CA_FILE");
    let refused = "refused the connection: Not authorized (0x87)";
    assert_refused("wrong password", account, &wrong, refused);
    assert_refused("no password", account, &Identity::default(), refused);
    assert_refused("wrong authority", tls, &other, "UnknownIssuer");
    let name = "not valid for name \"localhost\"";
    assert_refused("wrong host name", &nameless, &trusting, name);
    assert_refused("expired server", expired, &trusting, "certificate expired");
    assert_refused("none", mutual, &trusting, "CertificateRequired");
    let expired = showing("EXPIRED_");
    assert_refused("expired", mutual, &expired, "CertificateExpired");
    assert_refused("another's", mutual, &showing("OTHER_"), "UnknownCA");
}

#[test]
fn the_server_chooses_among_the_protocols_that_are_offered() {
    // Mosquitto doesn't look at them; OpenSSL says what it was offered and what it took.
    let identity = Identity::trusting("CA_FILE");
    let pair = Path::new(mosquitto("CA_FILE")).with_file_name("server.pem");
    for (offered, told, why) in [
        (
            "other,x-amzn-mqtt-ca",
            "selected: x-amzn-mqtt-ca",
            "CONNACK",
        ),
        (
            "other",
            "advertised by the client: other",
            "NoApplicationProtocol",
        ),
    ] {
        let server = Run::new("openssl")
            .args([
                "s_server",
                "-accept",
                "127.0.0.1:0",
                "-alpn",
                "x-amzn-mqtt-ca",
            ])
            .args(["-naccept", "1", "-cert"])
            .arg(&pair)
            .start();
        let mut place = None;
        wait_until(LIMIT, "it says where it listens", || {
            let said = String::from_utf8_lossy(&server.stdout()).into_owned();
            place = said
                .lines()
                .find_map(|line| Some(line.strip_prefix("ACCEPT ")?.to_owned()));
            place.is_some()
        });
        let address = format!("mqtts://{}/t", place.unwrap_or_default());
        let options = ["--alpn", offered, "--connect-timeout", "1s"];
        let ran = identity
            .apply(publisher(&address, &options))
            .finish_with("1\n");
        ran.assert_code(2).assert_stderr(why);
        let said = server.wait();
        let stdout = String::from_utf8_lossy(&said.stdout);
        assert!(stdout.contains(told), "{offered}: {stdout}{}", said.stderr);
    }
}

#[test]
fn a_port_that_speaks_something_else_is_told() {
    let (nobody, trusting) = (Identity::default(), Identity::trusting("CA_FILE"));
    let plain = mosquitto("MQTT_URL");
    let tls = mosquitto("MQTT_TLS_URL").replace("mqtts", "mqtt");
    assert_refused("no TLS", &tls, &nobody, "or a TLS port");
    let secured = plain.replace("mqtt", "mqtts");
    assert_refused("TLS", &secured, &trusting, "not a TLS port?");
    let bare = mosquitto("MQTT_WS_URL").replace("ws", "mqtt");
    assert_refused("no WebSocket", &bare, &nobody, "not an MQTT broker");
    let framed = plain.replace("mqtt", "ws");
    assert_refused("WebSocket", &framed, &nobody, "not a WebSocket port?");
}
