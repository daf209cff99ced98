//! What an answer to a write means.

use std::time::Duration;

use serde::Deserialize;
use ureq::http::{HeaderMap, StatusCode};

/// The longest time that a server may ask us to wait.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// So much of a server's message is told.
const EXCERPT: usize = 400;

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// All of it is written.
    Written,
    /// Something in it is bad, and the rest may be written or not. Where the server says how many points it dropped,
    /// that many at least.
    Bad {
        /// The server's words.
        message: String,
        /// How many points were dropped.
        dropped: Option<usize>,
    },
    /// It is larger than the server takes.
    TooLarge(String),
    /// Nothing is known of it; the same again later.
    Later {
        /// When, if the server says it.
        wait: Option<Duration>,
        /// Why.
        why: String,
    },
    /// Neither this nor any other will be written.
    Never(String),
}

/// What the server says when it refuses. InfluxDB 2 has a message, InfluxDB 3 an error.
#[derive(Deserialize)]
struct Refusal {
    #[serde(alias = "error")]
    message: Option<String>,
}

impl Answer {
    /// Reads an answer, of whose body `body` is the beginning.
    pub(crate) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        // Others of the kind are no word of what became of the batch: any web server has them.
        if status == StatusCode::NO_CONTENT {
            return Self::Written;
        }
        let said = message(body);
        let code = status.as_u16();
        if status.is_success() {
            return Self::Never(format!(
                "it answers {code} ({said}), where a database that has the points answers 204"
            ));
        }
        if status.is_redirection() {
            let target = headers
                .get("location")
                .map(|target| String::from_utf8_lossy(target.as_bytes()));
            let target = target.map_or("nowhere".into(), |target| excerpt(&target));
            return Self::Never(format!(
                "it answers {code}, a redirect to {target}, which is not followed, since the token is for this address; give the address that leads there"
            ));
        }
        match code {
            400 | 422 => Self::Bad {
                dropped: dropped(&said),
                message: said,
            },
            413 => Self::TooLarge(said),
            401 => Self::Never(format!(
                "it answers 401 ({said}): the token is missing or not known there; it comes from INFLUX_TOKEN or --token-file"
            )),
            403 => Self::Never(format!(
                "it answers 403 ({said}): the token may not write to this bucket"
            )),
            404 => Self::Never(format!(
                "it answers 404 ({said}): check bucket and --org (INFLUX_ORG), and whether the token may see them"
            )),
            408 | 429 | 500.. => Self::Later {
                wait: retry_after(headers),
                why: format!("it answers {code} ({said})"),
            },
            _ => Self::Never(format!("it answers {code} ({said})")),
        }
    }
}

/// What the server says: the message of its JSON, or the text itself.
fn message(body: &[u8]) -> String {
    let refusal: Option<Refusal> = serde_json::from_slice(body).ok();
    match refusal.and_then(|refusal| refusal.message) {
        Some(message) => excerpt(&message),
        None if body.trim_ascii().is_empty() => "no reason given".to_owned(),
        None => excerpt(&String::from_utf8_lossy(body)),
    }
}

fn excerpt(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(EXCERPT) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// `dropped=N`, with which InfluxDB ends what it says of a batch that is written in part.
fn dropped(message: &str) -> Option<usize> {
    let (_, count) = message.rsplit_once("dropped=")?;
    let digits = count.bytes().take_while(u8::is_ascii_digit).count();
    count[..digits].parse().ok()
}

/// Seconds, as servers say it (RFC 9110, section 10.2.3). A date is taken for no word.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers
        .get("retry-after")?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, header: Option<(&'static str, &'static str)>, body: &str) -> Answer {
        let header = header.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        Answer::read(
            StatusCode::from_u16(status).unwrap(),
            &header.into_iter().collect(),
            body.as_bytes(),
        )
    }

    #[test]
    fn a_batch_that_is_written_in_part_says_how_much_was_dropped() {
        let body = r#"{"code":"unprocessable entity","message":"failure writing points to database: partial write: field type conflict: input field \"t\" on measurement \"m\" is type string, already exists as type float dropped=12"}"#;
        let Answer::Bad { dropped, message } = read(422, None, body) else {
            panic!("it is bad");
        };
        assert_eq!(dropped, Some(12));
        assert!(message.starts_with("failure writing"), "{message}");
        assert!(matches!(
            read(
                400,
                None,
                r#"{"code":"invalid","message":"unable to parse 'x': missing fields"}"#
            ),
            Answer::Bad { dropped: None, .. }
        ));
        assert!(
            matches!(read(400, None, r#"{"error":"partial write"}"#), Answer::Bad { message, .. } if message == "partial write")
        );
    }

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        let wait = |seconds| Some(Duration::from_secs(seconds));
        for (status, retry_after, want) in [
            (429, Some("3"), wait(3)),
            (503, None, None),
            (500, Some("soon"), None),
            (503, Some("86400"), wait(60)),
        ] {
            let header = retry_after.map(|value| ("retry-after", value));
            assert!(
                matches!(read(status, header, ""), Answer::Later { wait, .. } if wait == want),
                "{status}"
            );
        }
        for status in [200, 202, 401, 403, 404, 405, 302] {
            assert!(
                matches!(read(status, None, ""), Answer::Never(_)),
                "{status}"
            );
        }
        assert_eq!(read(204, None, ""), Answer::Written);
        assert_eq!(
            read(413, None, "<html>too large</html>"),
            Answer::TooLarge("<html>too large</html>".to_owned())
        );
    }

    #[test]
    fn a_redirect_is_told_and_not_followed() {
        let Answer::Never(why) = read(307, Some(("location", "http://evil/")), "") else {
            panic!("it is not followed");
        };
        assert!(
            why.contains("redirect to http://evil/, which is not followed"),
            "{why}"
        );
    }

    #[test]
    fn a_long_message_is_cut() {
        assert!(
            matches!(read(413, None, &"é".repeat(1000)), Answer::TooLarge(text) if text.chars().count() == EXCERPT + 1)
        );
    }
}
