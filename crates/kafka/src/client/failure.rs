//! A failed connection, read from what librdkafka says of it.

use rdkafka::error::RDKafkaErrorCode;

/// A failed connection to a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Host and port, or the name of the role (`GroupCoordinator`).
    pub broker: String,
    /// Why, in a few words.
    pub why: String,
    /// Trying again will not help: wrong credentials, wrong certificates, not a Kafka broker.
    pub hopeless: bool,
}

impl Failure {
    /// Reads `sasl_ssl://host:9093/1: Connect to ipv4#… failed: Connection refused (after 0ms in state CONNECT)`.
    /// `connected` says that there was a connection to the cluster before.
    pub(crate) fn read(text: &str, code: Option<RDKafkaErrorCode>, connected: bool) -> Self {
        let (name, what) = text.split_once(": ").unwrap_or(("broker", text));
        let name = name.split_once("://").map_or(name, |(_, rest)| rest);
        let broker = name.split('/').next().unwrap_or(name);
        let what = what
            .split_once(" (after ")
            .map_or(what, |(what, _)| what)
            .trim_end_matches([':', ' ']);
        let why = of_another_protocol(text, what, connected)
            .or_else(|| of_certificates(what))
            .unwrap_or_else(|| in_few_words(what));
        Self {
            broker: broker.to_owned(),
            why,
            hopeless: is_hopeless(what, code),
        }
    }
}

fn is_hopeless(what: &str, code: Option<RDKafkaErrorCode>) -> bool {
    use RDKafkaErrorCode as Code;
    match code {
        Some(Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL) => {
            !what.contains("Disconnected")
        }
        _ => what.contains("Invalid response size") || what.contains("SSL routines"),
    }
}

/// The two sides don't speak the same protocol, as far as it can be told.
fn of_another_protocol(text: &str, what: &str, connected: bool) -> Option<String> {
    // Of a broker that was one before, this is how a restart looks.
    let asked =
        !connected && (text.contains("ApiVersion") || text.contains("in state APIVERSION_QUERY"));
    let disconnected = what.contains("Disconnected");
    let why = if what.contains("Invalid response size") {
        "what answers there does not speak Kafka's protocol"
    } else if what.to_lowercase().contains("timed out") && asked {
        "it does not answer Kafka's first request: not a Kafka broker, or one that wants TLS (security.protocol)"
    } else if disconnected && asked {
        "it hangs up at Kafka's first request: not a Kafka broker, or one that wants TLS (security.protocol)"
    } else if disconnected && !connected && text.contains("in state UP") {
        "it hangs up on the first requests: it may want a password (security.protocol, sasl.mechanism)"
    } else if what.contains("SSL routines::wrong version number") {
        "what answers there does not speak TLS (security.protocol)"
    } else {
        return None;
    };
    Some(why.to_owned())
}

/// One side refuses the other's certificate. OpenSSL does not say which of the reasons it was, and of the broker's there
/// is only an alert (RFC 8446, section 6.2), which Java chooses freely: for an expired one `certificate unknown`.
fn of_certificates(what: &str) -> Option<String> {
    if what.contains("certificate verify failed") {
        return Some(
            "the broker's certificate is not accepted: of an authority that is not trusted here (ssl.ca.location), \
             not for this host name, or out of its time"
                .to_owned(),
        );
    }
    let (_, alert) = what.split_once(" alert ")?;
    let alert = alert.split(':').next().unwrap_or(alert);
    (alert.contains("certificate") || alert == "unknown ca").then(|| {
        format!(
            "the broker does not accept this client's certificate ({alert}): there is none (ssl.certificate.location), \
             it is of an authority that is not trusted there, or out of its time"
        )
    })
}

fn in_few_words(what: &str) -> String {
    if what.contains("setup timed out") {
        return "no answer".to_owned();
    }
    match what
        .strip_prefix("Connect to ")
        .and_then(|what| what.split_once(" failed: "))
    {
        Some((_, why)) if why.contains("SSL routines") => format!("SSL handshake failed: {why}"),
        Some((_, why)) => lower_first(why),
        None => lower_first(what),
    }
}

/// `Connection refused` in the middle of a sentence; `SSL …` stays.
fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_in_plain_words() {
        for (text, broker, why) in [
            (
                "127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)",
                "127.0.0.1:1",
                "connection refused",
            ),
            (
                "sasl_ssl://b:9093/2: SASL authentication error: Authentication failed (after 3ms in state AUTH_REQ)",
                "b:9093",
                "SASL authentication error: Authentication failed",
            ),
            (
                "ssl://h:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: error:0A00010B:SSL routines::wrong version number",
                "h:1",
                "what answers there does not speak TLS (security.protocol)",
            ),
            (
                "h:80/bootstrap: Receive failed: Invalid response size 1213486160 (0..100000000): increase receive.message.max.bytes",
                "h:80",
                "what answers there does not speak Kafka's protocol",
            ),
            (
                "h:9/bootstrap: Connection setup timed out in state CONNECT (after 30s in state CONNECT)",
                "h:9",
                "no answer",
            ),
            (
                "ssl://h:1/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate could not be verified, verify that ssl.ca.location is correctly configured or root CA certificates are installed (install ca-certificates package) (after 3ms in state SSL_HANDSHAKE)",
                "h:1",
                "the broker's certificate is not accepted: of an authority that is not trusted here (ssl.ca.location), not for this host name, or out of its time",
            ),
            (
                "ssl://h:1/bootstrap: Receive failed: error:0A000416:SSL routines::ssl/tls alert certificate unknown: SSL alert number 46 (after 3ms in state APIVERSION_QUERY)",
                "h:1",
                "the broker does not accept this client's certificate (certificate unknown): there is none (ssl.certificate.location), it is of an authority that is not trusted there, or out of its time",
            ),
            (
                "x:9092/bootstrap: Failed to resolve 'x:9092': Name or service not known (after 1ms in state CONNECT)",
                "x:9092",
                "failed to resolve 'x:9092': Name or service not known",
            ),
        ] {
            let failure = Failure::read(text, None, false);
            assert_eq!(
                (failure.broker.as_str(), failure.why.as_str()),
                (broker, why),
                "{text}"
            );
        }
    }
}
