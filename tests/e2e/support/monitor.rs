//! The operator's metrics and probes over HTTP.

use std::collections::BTreeMap;
use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::registry::free_address;
use super::{Namespace, Operator, until};

/// An operator that tells of itself.
pub struct Monitored {
    _operator: Operator,
    address: String,
}

/// The samples of a scrape: each series with its value.
pub type Samples = BTreeMap<String, f64>;

impl Monitored {
    /// Starts one for a namespace. It may ask registries on this machine.
    pub fn start(namespace: &Namespace) -> Self {
        Self::start_by(namespace, super::rights::suite())
    }

    /// Starts one that reaches the API server by this kubeconfig.
    pub fn start_by(namespace: &Namespace, kubeconfig: &Path) -> Self {
        let address = free_address();
        let options = [
            "--allow-registry-network",
            "127.0.0.0/8",
            "--http-address",
            address.as_str(),
        ];
        let operator = Operator::start_as(kubeconfig, &[namespace], &options);
        Self {
            _operator: operator,
            address,
        }
    }

    /// A page's status and body.
    pub async fn get(&self, path: &str) -> std::io::Result<(u16, String)> {
        get(&self.address, path).await
    }

    /// Waits until a page has this status and a body that `is` wants, and gives the body.
    pub async fn until_page(&self, path: &str, status: u16, is: impl Fn(&str) -> bool) -> String {
        let what = format!("{path} answers {status} as expected");
        until(&what, async || match self.get(path).await {
            Ok((told, body)) if told == status && is(&body) => Ok(body),
            Ok(other) => Err(format!("{other:?}")),
            Err(error) => Err(error.to_string()),
        })
        .await
    }

    /// What the metrics are now.
    pub async fn scrape(&self) -> Samples {
        let (status, body) = self.get("/metrics").await.unwrap();
        assert_eq!(status, 200, "{body}");
        samples(&body)
    }

    /// Waits until the metrics are so that `is` wants them, and gives them.
    pub async fn until_scraped(&self, is: impl Fn(&Samples) -> bool) -> Samples {
        let body = self
            .until_page("/metrics", 200, |body| is(&samples(body)))
            .await;
        samples(&body)
    }
}

/// The status and body of a page at an address.
pub async fn get(address: &str, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: operator\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let cut_off = || std::io::Error::other(format!("no whole answer: {text:?}"));
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(cut_off)?;
    let status = head.split(' ').nth(1).expect("it has a status");
    Ok((status.parse().unwrap(), body.to_owned()))
}

fn samples(text: &str) -> Samples {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a series and its value");
            (series.to_owned(), value.parse().unwrap())
        })
        .collect()
}
