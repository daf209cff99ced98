//! Why a registry doesn't help.

/// Why a registry can't be used, or what it answered. Messages name the address and what was
/// asked, and give the registry's own words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// The settings can't be: an address, the authorities' file, the credentials.
    #[error("{0}")]
    Settings(String),
    /// 404: the registry has no such subject, version or schema.
    #[error("schema registry {address}: {asked}: not found: {message}{}", code_of(*.code))]
    NotFound {
        /// Who answered.
        address: String,
        /// What was asked, such as `schema 7`.
        asked: String,
        /// 40401 subject, 40402 version, 40403 schema.
        code: Option<u32>,
        /// The registry's words.
        message: String,
    },
    /// 409: the schema is not compatible with the subject's versions.
    #[error("schema registry {address}: {asked}: not compatible: {message}{}", code_of(*.code))]
    Incompatible {
        /// Who answered.
        address: String,
        /// What was asked.
        asked: String,
        /// The registry's own code.
        code: Option<u32>,
        /// The registry's words: what is not compatible with what.
        message: String,
    },
    /// Another 4xx: 401 and 403 (credentials), 422 (not a schema to this registry), …
    #[error("schema registry {address}: {asked}: refused ({status}): {message}{}", code_of(*.code))]
    Refused {
        /// Who answered.
        address: String,
        /// What was asked.
        asked: String,
        /// The HTTP status.
        status: u16,
        /// The registry's own code.
        code: Option<u32>,
        /// The registry's words.
        message: String,
    },
    /// No address gave an answer in time, or all of them 5xx.
    #[error("schema registry: {asked}: no answer after {attempts} {}: {reasons}", if *.attempts == 1 { "attempt" } else { "attempts" })]
    Unavailable {
        /// What was asked.
        asked: String,
        /// How often.
        attempts: u32,
        /// What each address said or did last.
        reasons: String,
    },
    /// A schema refers to more than can be loaded.
    #[error(
        "schema registry: reference {name:?} (subject {subject:?}, version {version}): {reason}"
    )]
    References {
        /// The reference that is too much.
        name: String,
        /// Its subject.
        subject: String,
        /// Its version.
        version: u32,
        /// What there is too much of.
        reason: String,
    },
    /// A signal came while the registry was asked, or before.
    #[error("schema registry: {asked}: a signal came before the answer")]
    Stopped {
        /// What was asked.
        asked: String,
    },
    /// What answers is no schema registry, or it can't be trusted.
    #[error("schema registry {address}: {asked}: {reason}")]
    Answer {
        /// Who answered.
        address: String,
        /// What was asked.
        asked: String,
        /// What was odd about the answer.
        reason: String,
    },
}

fn code_of(code: Option<u32>) -> String {
    code.map_or_else(String::new, |code| format!(" (code {code})"))
}
