//! The HTTP client with which the worker asks rng and hasher.

use std::{fmt, io, time::Duration};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, StatusCode, Uri,
    body::Bytes,
    client::conn::http1,
    header::{CONNECTION, CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::{net::TcpStream, time::timeout};

use crate::program::{Failure, setting};

/// How long the peer's name may take to resolve and its port to accept.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long the answer may take. rng's queue is 0.1 s a worker, so this is room for 300 workers.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// The longest answer taken, in bytes; the longest expected is a digest of 64.
const LONGEST_ANSWER: usize = 4096;

/// One program that another asks over HTTP.
#[derive(Clone, Debug)]
pub struct Peer {
    name: &'static str,
    /// `host`, or `host:port`: what the Host header says.
    authority: String,
    /// `host:port`, an IPv6 host in brackets.
    address: String,
}

/// A peer that could not be asked, or whose answer was no use.
#[derive(Debug, Error)]
#[error("{peer} at {address}")]
pub struct PeerError {
    /// The peer's name, such as `rng`.
    peer: &'static str,
    /// The host and port that were asked.
    address: String,
    /// What went wrong.
    #[source]
    problem: Problem,
}

/// What can go wrong with a peer.
#[derive(Debug, Error)]
pub enum Problem {
    /// The name did not resolve, or nothing accepted the connection.
    #[error("can't connect")]
    Connect(#[source] io::Error),
    /// No connection within the time allowed.
    #[error("no connection within {CONNECT_WITHIN:?}")]
    NoConnection,
    /// The connection broke, or what came was not HTTP.
    #[error("the exchange failed")]
    Exchange(#[source] hyper::Error),
    /// The body broke off, or was too long.
    #[error("the answer can't be read")]
    Body(#[source] Failure),
    /// No answer within the time allowed.
    #[error("no answer within {ANSWER_WITHIN:?}")]
    NoAnswer,
    /// An answer with another status than 200.
    #[error("answered {0}")]
    Status(StatusCode),
    /// An answer of status 200 with a body that makes no sense.
    #[error("answered {0}")]
    Nonsense(String),
}

impl Peer {
    /// The peer `name`, at the URL in the environment variable `variable`, or else at
    /// `http://{name}`: the name of its Service in the same namespace.
    ///
    /// # Errors
    /// When the variable is set to something else than `http://host` or `http://host:port`. It is
    /// not repeated, since it may hold a password.
    pub fn from_setting(name: &'static str, variable: &'static str) -> Result<Self, Failure> {
        let url = setting(variable, &format!("http://{name}"))?;
        Self::at(name, &url).ok_or_else(|| {
            format!("{variable} is not the URL of a peer: write http://host or http://host:port")
                .into()
        })
    }

    fn at(name: &'static str, url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let authority = uri.authority()?;
        let plain = uri.scheme_str() == Some("http")
            && matches!(uri.path(), "" | "/")
            && uri.query().is_none()
            && !authority.as_str().contains('@');
        plain.then(|| Self {
            name,
            authority: authority.as_str().to_owned(),
            address: format!(
                "{}:{}",
                authority.host(),
                authority.port_u16().unwrap_or(80)
            ),
        })
    }

    /// The body of the answer to `GET {path}`.
    ///
    /// # Errors
    /// When there is no answer of status 200 in time.
    pub async fn get(&self, path: &str) -> Result<Bytes, PeerError> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    /// The body of the answer to `POST {path}` with `body`.
    ///
    /// # Errors
    /// When there is no answer of status 200 in time.
    pub async fn post(&self, path: &str, body: Bytes) -> Result<Bytes, PeerError> {
        self.ask(Method::POST, path, body).await
    }

    /// The error of an answer that came, but makes no sense; `what` says what came.
    pub fn nonsense(&self, what: impl fmt::Display) -> PeerError {
        self.error(Problem::Nonsense(what.to_string()))
    }

    fn error(&self, problem: Problem) -> PeerError {
        PeerError {
            peer: self.name,
            address: self.address.clone(),
            problem,
        }
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, PeerError> {
        let exchange = async {
            // A new connection each time. A Service chooses a replica for each connection, so a
            // worker that kept its connection would send all it asks to one replica of rng, and
            // scaling rng would not help until the workers were started anew.
            let stream = timeout(CONNECT_WITHIN, TcpStream::connect(&self.address))
                .await
                .map_err(|_elapsed| Problem::NoConnection)?
                .map_err(Problem::Connect)?;
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
                .await
                .map_err(Problem::Exchange)?;
            let answer = async {
                let response = sender
                    .send_request(self.request(method, path, body))
                    .await
                    .map_err(Problem::Exchange)?;
                if response.status() != StatusCode::OK {
                    return Err(Problem::Status(response.status()));
                }
                let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect();
                Ok(body.await.map_err(Problem::Body)?.to_bytes())
            };
            tokio::pin!(answer, connection);
            // Driven here rather than by a task of its own: who drops this drops the connection.
            tokio::select! {
                answer = &mut answer => answer,
                ended = &mut connection => match ended {
                    Ok(()) => answer.await,
                    Err(error) => Err(Problem::Exchange(error)),
                },
            }
        };
        match timeout(ANSWER_WITHIN, exchange).await {
            Ok(outcome) => outcome.map_err(|problem| self.error(problem)),
            Err(_elapsed) => Err(self.error(Problem::NoAnswer)),
        }
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> Request<Full<Bytes>> {
        Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.authority)
            .header(CONNECTION, "close")
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(Full::new(body))
            .expect("the authority was parsed, and the paths are the program's own")
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        task::JoinHandle,
    };

    use super::*;
    use crate::program::Chain;

    /// Accepts one connection for each answer; returns the requests that came on them.
    async fn server(answers: Vec<String>) -> (SocketAddr, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = tokio::spawn(async move {
            let mut requests = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap();
                requests.push(String::from_utf8_lossy(&request[..length]).into_owned());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            requests
        });
        (address, requests)
    }

    fn peer(address: SocketAddr) -> Peer {
        Peer::at("rng", &format!("http://{address}")).unwrap()
    }

    #[tokio::test]
    async fn every_request_has_a_connection_of_its_own() {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".to_owned();
        let (address, requests) = server(vec![answer.clone(), answer]).await;
        let peer = peer(address);
        assert_eq!(peer.get("/32").await.unwrap(), "hi");
        assert_eq!(peer.post("/", "abc".into()).await.unwrap(), "hi");
        let same = format!(
            "host: {address}\r\nconnection: close\r\ncontent-type: application/octet-stream\r\n"
        );
        assert_eq!(
            requests.await.unwrap(),
            [
                format!("GET /32 HTTP/1.1\r\n{same}\r\n"),
                format!("POST / HTTP/1.1\r\n{same}content-length: 3\r\n\r\nabc"),
            ]
        );
    }

    #[tokio::test]
    async fn answers_of_no_use_are_errors_that_say_why() {
        let long = "x".repeat(LONGEST_ANSWER + 1);
        for (answer, problem) in [
            (
                "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_owned(),
                "answered 500 Internal Server Error",
            ),
            (
                format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{long}",
                    long.len()
                ),
                "the answer can't be read: length limit exceeded",
            ),
            (
                "SSH-2.0\r\n".to_owned(),
                "the exchange failed: invalid HTTP version parsed",
            ),
            (
                String::new(),
                "the exchange failed: connection closed before message completed",
            ),
        ] {
            let (address, _requests) = server(vec![answer]).await;
            let error = peer(address).get("/").await.unwrap_err();
            assert_eq!(
                Chain(&error).to_string(),
                format!("rng at {address}: {problem}")
            );
        }
    }

    #[test]
    fn a_peer_is_a_host_and_perhaps_a_port() {
        let address = |url| Peer::at("rng", url).map(|peer| peer.address);
        assert_eq!(address("http://rng"), Some("rng:80".to_owned()));
        assert_eq!(
            address("http://rng.demo:8080/"),
            Some("rng.demo:8080".to_owned())
        );
        assert_eq!(address("http://[::1]:81"), Some("[::1]:81".to_owned()));
        for wrong in [
            "",
            "rng",
            "https://rng",
            "http://rng/32",
            "http://a:b@rng",
            "http://rng?x",
        ] {
            assert_eq!(address(wrong), None, "{wrong}");
        }
    }
}
