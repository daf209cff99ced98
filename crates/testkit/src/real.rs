//! The real brokers of `scripts/brokers`: three Apache Kafka brokers and a schema registry, shared by the tests of a
//! process, and had alone by those that kill some of them; and Mosquitto's listeners, which nobody kills (see
//! [`crate::Mosquitto`] for that).

use std::{
    collections::BTreeMap,
    ops::Deref,
    path::{Path, PathBuf},
    sync::{
        OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

use serde_json::Value;

use crate::{Finished, Run, wait_until};

/// The nodes of the Kafka cluster.
pub const NODES: [u8; 3] = [1, 2, 3];

/// How long a part may take to do what it is told on a slow and busy machine.
const PATIENCE: Duration = Duration::from_mins(5);

/// Those who share the brokers are readers; who kills some is the writer.
static BROKERS: RwLock<()> = RwLock::new(());

/// What `scripts/brokers env` said when Kafka and the registry ran, and when Mosquitto did.
static VARIABLES: OnceLock<BTreeMap<String, String>> = OnceLock::new();
static MOSQUITTO: OnceLock<BTreeMap<String, String>> = OnceLock::new();

/// The real brokers, running, for as long as this is kept.
///
/// They are started by the first test that wants them and not ended with the last: that is for
/// whoever runs the tests (`scripts/brokers down`).
#[derive(Debug)]
pub struct RealBrokers {
    variables: &'static BTreeMap<String, String>,
    _access: Access,
}

/// Kept, not used.
#[derive(Debug)]
enum Access {
    Shared {
        _guard: RwLockReadGuard<'static, ()>,
    },
    Alone {
        _guard: RwLockWriteGuard<'static, ()>,
    },
}

impl RealBrokers {
    /// The brokers together with other tests, none of which disturbs them meanwhile.
    ///
    /// # Panics
    ///
    /// When they can't be started.
    #[must_use]
    #[track_caller]
    pub fn shared() -> Self {
        // A test that failed has left nothing behind that this lock protects.
        let guard = BROKERS.read().unwrap_or_else(PoisonError::into_inner);
        Self {
            variables: VARIABLES.get_or_init(|| start(&["kafka", "registry"])),
            _access: Access::Shared { _guard: guard },
        }
    }

    /// The value of a variable of `scripts/brokers env`.
    ///
    /// # Panics
    ///
    /// When there is none of this name.
    #[must_use]
    #[track_caller]
    pub fn variable(&self, name: &str) -> &'static str {
        let value = self.variables.get(name);
        value.unwrap_or_else(|| panic!("scripts/brokers env doesn't tell {name}"))
    }

    /// The brokers as `bootstrap.servers` has them: the plain listeners.
    #[must_use]
    pub fn servers(&self) -> &'static str {
        self.variable("KAFKA_URL").trim_start_matches("kafka://")
    }

    /// The address of one node in a list of the cluster's, such as the value of `KAFKA_TLS_URL`.
    ///
    /// # Panics
    ///
    /// When the list has no such node.
    #[must_use]
    #[track_caller]
    pub fn node(&self, variable: &str, node: u8) -> &'static str {
        let list = self.variable(variable).trim_start_matches("kafka://");
        let found = list.split(',').nth(usize::from(node) - 1);
        found.unwrap_or_else(|| panic!("no node {node} in {list}"))
    }

    /// The ports of these nodes' plain listeners.
    ///
    /// # Panics
    ///
    /// When there is no such node.
    #[must_use]
    #[track_caller]
    pub fn ports(&self, nodes: &[u8]) -> Vec<u16> {
        let port = |node: &u8| {
            let (_, port) = self.node("KAFKA_URL", *node).rsplit_once(':')?;
            port.parse().ok()
        };
        let ports = nodes.iter().map(port);
        ports.collect::<Option<_>>().expect("addresses with ports")
    }

    /// The address of a topic on the plain listeners.
    #[must_use]
    pub fn kafka_topic(&self, topic: &str) -> String {
        format!("{}/{topic}", self.variable("KAFKA_URL"))
    }

    /// The address of a topic on the listeners for TLS with a password.
    #[must_use]
    pub fn tls_topic(&self, topic: &str) -> String {
        format!("{}/{topic}", self.variable("KAFKA_TLS_URL"))
    }

    /// The address of a topic on the listeners for mutual TLS.
    #[must_use]
    pub fn mtls_topic(&self, topic: &str) -> String {
        format!("{}/{topic}", self.variable("KAFKA_MTLS_URL"))
    }

    /// The registry that is open to all.
    #[must_use]
    pub fn registry(&self) -> &'static str {
        self.variable("SCHEMA_REGISTRY_URL")
    }

    /// One of Kafka's own tools, by the name of its class.
    #[must_use]
    pub fn java(&self, class: &str) -> Run {
        let jars = format!("{}/*", self.variable("KAFKA_JARS"));
        Run::new("java")
            .args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", &jars, class])
            .limit(PATIENCE)
    }

    /// `kcat`, with the plain listeners as its brokers.
    #[must_use]
    pub fn kcat(&self) -> Run {
        Run::new("kcat")
            .args(["-b", self.servers()])
            .limit(PATIENCE)
    }

    /// The node that leads a topic's partition, and those that are in sync with it.
    ///
    /// # Panics
    ///
    /// When `kcat` can't tell.
    #[must_use]
    #[track_caller]
    pub fn leader(&self, topic: &str, partition: u64) -> (u8, Vec<u8>) {
        let listed = self
            .kcat()
            .args(["-L", "-J", "-m", "60", "-t", topic])
            .finish();
        listed.assert_code(0);
        let listed: Value = serde_json::from_slice(&listed.stdout).expect("kcat writes JSON");
        let found = listed["topics"][0]["partitions"]
            .as_array()
            .and_then(|all| all.iter().find(|one| one["partition"] == partition));
        let found = found.unwrap_or_else(|| panic!("no partition {partition} in {listed}"));
        let node = |value: &Value| value.as_u64().and_then(|id| u8::try_from(id).ok());
        let replicas = found["isrs"].as_array().map_or(&[][..], Vec::as_slice);
        let in_sync = replicas.iter().filter_map(|replica| node(&replica["id"]));
        // Without a leader librdkafka says -1, which is no node.
        (node(&found["leader"]).unwrap_or(0), in_sync.collect())
    }
}

/// The real brokers with no other test beside: some of them may be killed or paused. At the end all
/// run again.
#[derive(Debug)]
pub struct BrokersAlone(RealBrokers);

impl BrokersAlone {
    /// Waits until no other test has the brokers.
    ///
    /// # Panics
    ///
    /// When they can't be started.
    #[must_use]
    #[track_caller]
    pub fn take() -> Self {
        let guard = BROKERS.write().unwrap_or_else(PoisonError::into_inner);
        Self(RealBrokers {
            variables: VARIABLES.get_or_init(|| start(&["kafka", "registry"])),
            _access: Access::Alone { _guard: guard },
        })
    }

    /// SIGKILL to a node of the Kafka cluster, as if the power went; its data stays.
    ///
    /// # Panics
    ///
    /// When it doesn't run.
    #[track_caller]
    pub fn kill(&self, node: u8) {
        command(&["kill", &format!("kafka-{node}")]).assert_code(0);
    }

    /// SIGSTOP to a node: it keeps its connections and says nothing.
    ///
    /// # Panics
    ///
    /// When it doesn't run.
    #[track_caller]
    pub fn pause(&self, node: u8) {
        command(&["pause", &format!("kafka-{node}")]).assert_code(0);
    }

    /// SIGCONT to a node.
    ///
    /// # Panics
    ///
    /// When it doesn't run.
    #[track_caller]
    pub fn resume(&self, node: u8) {
        command(&["resume", &format!("kafka-{node}")]).assert_code(0);
    }

    /// Starts the nodes that don't run, and waits until all answer.
    ///
    /// # Panics
    ///
    /// When they don't.
    #[track_caller]
    pub fn up(&self) {
        command(&["up", "kafka"]).assert_code(0);
    }

    /// Waits until every node is in sync again with the leader of each partition of a topic.
    ///
    /// # Panics
    ///
    /// When they don't get there.
    #[track_caller]
    pub fn wait_until_in_sync(&self, topic: &str, partitions: u64) {
        for partition in 0..partitions {
            wait_until(PATIENCE, "all replicas are in sync", || {
                self.leader(topic, partition).1.len() == NODES.len()
            });
        }
    }
}

impl Deref for BrokersAlone {
    type Target = RealBrokers;

    fn deref(&self) -> &RealBrokers {
        &self.0
    }
}

impl Drop for BrokersAlone {
    fn drop(&mut self) {
        // The next test wants them all. If they don't come, it says so.
        let _ = command(&["up", "kafka"]);
    }
}

/// The value of a variable of `scripts/brokers env` that Mosquitto is reached with, such as `MQTT_TLS_URL`.
///
/// It is started by the first test that wants it, and shared by all: each has topics of its own.
///
/// # Panics
///
/// When it can't be started, or there is no such variable.
#[must_use]
#[track_caller]
pub fn mosquitto(variable: &str) -> &'static str {
    let variables = MOSQUITTO.get_or_init(|| start(&["mosquitto"]));
    let value = variables.get(variable);
    value.unwrap_or_else(|| panic!("scripts/brokers env doesn't tell {variable}"))
}

/// A name that no other topic, group or file has, of this run or an earlier one on the same brokers.
#[must_use]
pub fn unique(name: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    static BEGIN: OnceLock<u128> = OnceLock::new();
    let begin = BEGIN.get_or_init(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.map_or(0, |since| since.as_millis())
    });
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("{name}-{begin:x}-{number}")
}

/// The workspace's root.
///
/// # Panics
///
/// Never: this package lies in the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().nth(2);
    root.expect("this package lies in the workspace").to_owned()
}

#[track_caller]
fn command(arguments: &[&str]) -> Finished {
    Run::new(workspace().join("scripts/brokers"))
        .args(arguments)
        .limit(PATIENCE)
        .finish()
}

/// Starts these parts, unless they run already, and says what `scripts/brokers env` does.
///
/// # Panics
///
/// When they don't start.
#[must_use]
#[track_caller]
pub fn start(parts: &[&str]) -> BTreeMap<String, String> {
    command(&[&["up"], parts].concat()).assert_code(0);
    let said = command(&["env"]);
    said.assert_code(0);
    let assignment = |line: &str| {
        let (name, value) = line.split_once('=')?;
        Some((name.to_owned(), value.trim_matches('\'').to_owned()))
    };
    said.text().lines().filter_map(assignment).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_used_once() {
        assert_ne!(unique("topic"), unique("topic"));
        assert!(unique("topic").starts_with("topic-"));
    }

    #[test]
    fn the_workspace_is_where_the_scripts_are() {
        assert!(workspace().join("scripts/brokers").is_file());
    }
}
