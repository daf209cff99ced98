//! The real InfluxDB of `scripts/brokers`, which tests share, each with a bucket of its own; and one that a test has
//! for itself, to stop and to start.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::mosquitto::free_address;
use crate::real::{self, unique};
use crate::{LIMIT, Run, Running, Signal, TempDir, temp_dir, wait_until};

/// Organisation and token of every InfluxDB here.
#[derive(Debug, Clone)]
struct Access {
    /// `http://127.0.0.1:PORT`.
    url: String,
    org: String,
    token: String,
}

/// A bucket, which no other test has.
#[derive(Debug, Clone)]
pub struct Bucket {
    access: Access,
    /// Its name.
    pub name: String,
}

/// The value of a variable of `scripts/brokers env` that InfluxDB is reached with.
///
/// # Panics
///
/// When it can't be started, or there is no such variable.
#[must_use]
#[track_caller]
pub fn variable(name: &str) -> &'static str {
    static VARIABLES: OnceLock<std::collections::BTreeMap<String, String>> = OnceLock::new();
    let variables = VARIABLES.get_or_init(|| real::start(&["influxdb"]));
    let value = variables.get(name);
    value.unwrap_or_else(|| panic!("scripts/brokers env doesn't tell {name}"))
}

fn shared() -> Access {
    let (address, _) = variable("INFLUX_URL")
        .rsplit_once('/')
        .expect("it has a bucket");
    Access {
        url: address.replace("influx://", "http://"),
        org: variable("INFLUX_ORG").to_owned(),
        token: variable("INFLUX_TOKEN").to_owned(),
    }
}

impl Access {
    /// A request of the API; the answer's body.
    #[track_caller]
    fn ask(&self, path: &str, kind: &str, body: &str) -> String {
        let (token, kind) = (
            format!("Authorization: Token {}", self.token),
            format!("Content-Type: {kind}"),
        );
        let mut curl =
            Run::new("curl").args(["-sS", "--fail-with-body", "-H", &token, "-H", &kind]);
        if !body.is_empty() {
            curl = curl.args(["--data-binary", "@-"]);
        }
        let answer = curl.arg(format!("{}{path}", self.url)).finish_with(body);
        assert_eq!(
            answer.code,
            Some(0),
            "{path}: {} {}",
            answer.text(),
            answer.stderr
        );
        answer.text().to_owned()
    }

    #[track_caller]
    fn bucket(&self, name: &str) -> Bucket {
        let orgs: Value = serde_json::from_str(&self.ask(
            &format!("/api/v2/orgs?org={}", self.org),
            "application/json",
            "",
        ))
        .expect("JSON");
        let bucket = json!({"orgID": orgs["orgs"][0]["id"], "name": name, "retentionRules": []});
        self.ask("/api/v2/buckets", "application/json", &bucket.to_string());
        Bucket {
            access: self.clone(),
            name: name.to_owned(),
        }
    }
}

/// A new bucket of the shared database.
///
/// # Panics
///
/// When it can't be made.
#[must_use]
#[track_caller]
pub fn bucket(name: &str) -> Bucket {
    shared().bucket(&unique(name))
}

impl Bucket {
    /// Its address: `influx://127.0.0.1:PORT/NAME`.
    #[must_use]
    pub fn address(&self) -> String {
        format!(
            "{}/{}",
            self.access.url.replace("http://", "influx://"),
            self.name
        )
    }

    /// Adds what influx-write needs to know, but for the address.
    #[must_use]
    pub fn grant(&self, run: Run) -> Run {
        run.env("INFLUX_ORG", &self.access.org)
            .env("INFLUX_TOKEN", &self.access.token)
    }

    /// `influx-write` to this bucket.
    #[must_use]
    pub fn writer(&self) -> Run {
        self.grant(Run::tool("influx-write").arg(self.address()))
    }

    /// Writes lines with the API, and nothing of ours.
    ///
    /// # Panics
    ///
    /// When the database refuses them.
    #[track_caller]
    pub fn write(&self, lines: &str) {
        let path = format!("/api/v2/write?org={}&bucket={}", self.access.org, self.name);
        self.access.ask(&path, "text/plain; charset=utf-8", lines);
    }

    /// The rows of a query in Flux, whose source is this bucket, as CSV without annotations: each by the names of its
    /// columns.
    ///
    /// # Panics
    ///
    /// When the database refuses it.
    #[must_use]
    #[track_caller]
    pub fn query(&self, pipeline: &str) -> Vec<Vec<(String, String)>> {
        let query = format!(
            "from(bucket: \"{}\") |> range(start: 1677-09-22T00:00:00Z, stop: 2262-04-11T00:00:00Z) {pipeline}",
            self.name
        );
        let body =
            json!({"query": query, "type": "flux", "dialect": {"annotations": [], "header": true}});
        let answer = self.access.ask(
            &format!("/api/v2/query?org={}", self.access.org),
            "application/json",
            &body.to_string(),
        );
        let mut rows = Vec::new();
        // A table with other columns begins behind an empty line, with a header of its own.
        for table in answer
            .split("\r\n\r\n")
            .filter(|table| !table.trim().is_empty())
        {
            let mut records = csv::ReaderBuilder::new()
                .has_headers(false)
                .from_reader(table.as_bytes())
                .into_records();
            let header = records.next().expect("a header").expect("CSV");
            for record in records {
                let record = record.expect("CSV");
                let cells = header
                    .iter()
                    .zip(&record)
                    .filter(|(name, _)| !name.is_empty());
                rows.push(
                    cells
                        .map(|(name, cell)| (name.to_owned(), cell.to_owned()))
                        .collect(),
                );
            }
        }
        rows
    }

    /// How many points have this field.
    ///
    /// # Panics
    ///
    /// When the database can't be asked.
    #[must_use]
    #[track_caller]
    pub fn count(&self, field: &str) -> u64 {
        let rows = self.query(&format!(
            "|> filter(fn: (r) => r._field == \"{field}\") |> group() |> count()"
        ));
        let count = rows.first().map(|row| cell(row, "_value").parse());
        count.map_or(0, |count| count.expect("a number"))
    }
}

/// The cell of a row in the column of this name.
///
/// # Panics
///
/// When there is none.
#[must_use]
#[track_caller]
pub fn cell<'a>(row: &'a [(String, String)], column: &str) -> &'a str {
    let found = row.iter().find(|(name, _)| name == column);
    &found.unwrap_or_else(|| panic!("no {column} in {row:?}")).1
}

/// An InfluxDB that a test has for itself.
#[derive(Debug)]
pub struct OwnInflux {
    program: PathBuf,
    data: TempDir,
    port: u16,
    running: Option<Running>,
    access: Access,
}

impl OwnInflux {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// When it doesn't answer.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        // One that no connection is given while the database is down.
        let port = free_address().port();
        let mut own = Self {
            program: Path::new(variable("INFLUXD")).to_owned(),
            data: temp_dir(),
            port,
            running: None,
            access: Access {
                url: format!("http://127.0.0.1:{port}"),
                ..shared()
            },
        };
        own.up();
        let first = json!({"username": "own", "password": "own-password", "org": own.access.org, "bucket": "first", "token": own.access.token});
        own.access
            .ask("/api/v2/setup", "application/json", &first.to_string());
        own
    }

    /// Starts it again, with the data that it had.
    ///
    /// # Panics
    ///
    /// When it doesn't answer.
    #[track_caller]
    pub fn up(&mut self) {
        let data = |name: &str| self.data.path().join(name);
        let run = Run::new(&self.program)
            .args(["run", "--reporting-disabled", "--log-level", "error"])
            .args(["--http-bind-address", &format!("127.0.0.1:{}", self.port)])
            .arg("--bolt-path")
            .arg(data("bolt"))
            .arg("--engine-path")
            .arg(data("engine"))
            .arg("--sqlite-path")
            .arg(data("sqlite"));
        self.running = Some(run.start());
        let health = format!("{}/health", self.access.url);
        wait_until(LIMIT, "InfluxDB answers", || {
            Run::new("curl")
                .args(["-fsS", "-m", "2", &health])
                .finish()
                .code
                == Some(0)
        });
    }

    /// Ends it with this signal; its data stays.
    ///
    /// # Panics
    ///
    /// When it doesn't run.
    #[track_caller]
    pub fn stop(&mut self, signal: Signal) {
        let mut running = self.running.take().expect("it runs");
        running.signal(signal);
        let _ = running.wait();
    }

    /// A new bucket.
    ///
    /// # Panics
    ///
    /// When it can't be made.
    #[must_use]
    #[track_caller]
    pub fn bucket(&self) -> Bucket {
        self.access.bucket(&unique("b"))
    }
}
