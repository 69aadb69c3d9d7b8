//! A real Prometheus that scrapes real operators with the chart's alert rules.
//!
//! To save time, minutes are seconds: each `for` and each range of the rules is divided by 60 ([`Pace::SIXTIETH`]), and
//! the scrape interval is 1 s. The operator's own delays, up to five minutes between two attempts, stay as they are. So
//! a test repeats what makes an alert fire while it waits.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::monitoring::files::{RULES, text};
use crate::support::registry::free_address;
use crate::support::{until, variable};

/// The job as the chart names it.
const JOB: &str = "dockercoins-operator";

/// How much sooner than in earnest alerts fire.
#[derive(Clone, Copy)]
pub struct Pace {
    /// By how much what must last is divided.
    lasts: u64,
    /// By how much the times over which is looked back are divided.
    ranges: u64,
}

impl Pace {
    /// Minutes are seconds.
    pub const SIXTIETH: Self = Self {
        lasts: 60,
        ranges: 60,
    };

    /// For what the operator does seldom, however often it is called upon: a registry that fails is left alone for
    /// longer than the ten seconds that ten minutes would be.
    pub const OF_REGISTRIES: Self = Self {
        lasts: 60,
        ranges: 15,
    };
}

/// The time after which what makes an alert fire is done again.
const AGAIN: Duration = Duration::from_secs(2);

/// A running Prometheus, which is killed when this is dropped. Its log is printed if the test fails.
pub struct Prometheus {
    process: Child,
    folder: TempDir,
    address: String,
}

impl Prometheus {
    /// Starts one that scrapes the operators at these addresses.
    pub async fn start(operators: &[&str], pace: Pace) -> Self {
        let folder = TempDir::new().unwrap();
        let config = json!({
            "global": { "scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s" },
            "rule_files": ["rules.yaml"],
            "scrape_configs": [{ "job_name": JOB, "static_configs": [{ "targets": operators }] }],
        });
        // YAML takes JSON.
        let config_file = folder.path().join("prometheus.yaml");
        std::fs::write(&config_file, config.to_string()).unwrap();
        std::fs::write(folder.path().join("rules.yaml"), hastened(pace).to_string()).unwrap();
        let address = free_address();
        let process = Command::new(variable("PROMETHEUS"))
            .arg(format!("--config.file={}", config_file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let prometheus = Self {
            process,
            folder,
            address,
        };
        until("Prometheus is ready", async || {
            match prometheus.get("/-/ready").await {
                Ok((200, _)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        prometheus
    }

    /// What it answers to a query of now: labels and values.
    pub async fn query(&self, query: &str) -> Vec<Value> {
        let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self.answer(&format!("/api/v1/query?query={query}")).await;
        answer["result"].as_array().unwrap().clone()
    }

    /// Waits until a query finds something, and gives the first value.
    pub async fn until_found(&self, query: &str) -> f64 {
        until(&format!("Prometheus finds {query}"), async || {
            let found = self.query(query).await;
            let value = found.first().and_then(|series| series["value"][1].as_str());
            value.map(|value| value.parse().unwrap()).ok_or("nothing")
        })
        .await
    }

    /// Waits until an alert with these labels fires, while `deed` is done again and again.
    pub async fn until_firing(
        &self,
        name: &str,
        labels: &[(&str, &str)],
        mut deed: impl AsyncFnMut(),
    ) {
        let mut done = None;
        let alert = until(&format!("{name} fires with {labels:?}"), async || {
            if done.is_none_or(|at: Instant| at.elapsed() >= AGAIN) {
                deed().await;
                done = Some(Instant::now());
            }
            let alerts = self.alerts(name, labels).await;
            let firing = alerts.iter().find(|alert| alert["state"] == "firing");
            firing.cloned().ok_or(format!("{alerts:#?}"))
        })
        .await;
        let said = alert["annotations"].to_string();
        for fault in ["<no value>", "error expanding", "%!"] {
            assert!(!said.contains(fault), "{said}");
        }
    }

    /// Waits until no alert with these labels fires, or is about to.
    pub async fn until_quiet(&self, name: &str, labels: &[(&str, &str)]) {
        until(
            &format!("{name} doesn't fire with {labels:?}"),
            async || {
                let alerts = self.alerts(name, labels).await;
                if alerts.is_empty() {
                    Ok(())
                } else {
                    Err(format!("{alerts:#?}"))
                }
            },
        )
        .await;
    }

    /// The alerts of this name and with these labels that fire or are about to.
    pub async fn alerts(&self, name: &str, labels: &[(&str, &str)]) -> Vec<Value> {
        let answer = self.answer("/api/v1/alerts").await;
        let all = answer["alerts"].as_array().unwrap().iter();
        let is = |alert: &&Value| {
            let of = &alert["labels"];
            of["alertname"] == name && labels.iter().all(|(label, value)| of[*label] == *value)
        };
        all.filter(is).cloned().collect()
    }

    async fn answer(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await.unwrap();
        assert_eq!(status, 200, "{path}: {body}");
        let mut answer: Value = serde_json::from_str(&body).unwrap();
        answer["data"].take()
    }

    async fn get(&self, path: &str) -> Result<(u16, String), String> {
        let client = Client::builder(TokioExecutor::new()).build_http::<String>();
        let address = format!("http://{}{path}", self.address).parse().unwrap();
        let response = client
            .get(address)
            .await
            .map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(|error| error.to_string())?;
        let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        Ok((status, body))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("log"));
            eprintln!("Prometheus' log:\n{}", log.unwrap_or_default());
        }
    }
}

/// The operator's rules at this pace.
fn hastened(pace: Pace) -> Value {
    let mut rules: Value = serde_saphyr::from_str(&text(RULES)).unwrap();
    for group in rules["groups"].as_array_mut().unwrap() {
        for rule in group["rules"].as_array_mut().unwrap() {
            if let Some(lasts) = rule.get("for") {
                rule["for"] = json!(fraction(lasts.as_str().unwrap(), pace.lasts));
            }
            let mut parts = rule["expr"].as_str().unwrap().split('[');
            let mut expr = parts.next().unwrap().to_owned();
            for part in parts {
                let (range, rest) = part.split_once(']').unwrap();
                expr += &format!("[{}]{rest}", fraction(range, pace.ranges));
            }
            rule["expr"] = json!(expr);
        }
    }
    rules
}

/// A fraction of a duration that is written in minutes or in hours.
fn fraction(duration: &str, divisor: u64) -> String {
    let (number, unit) = duration.split_at(duration.len() - 1);
    let number: u64 = number.parse().unwrap();
    match unit {
        "m" => format!("{}s", number * 60 / divisor),
        "h" => format!("{}s", number * 3600 / divisor),
        _ => panic!("write {duration} in minutes or in hours"),
    }
}
