//! Proxies before the API server: one that can drop connections, and one that can silence a watch.

use std::convert::Infallible;
use std::io;
use std::path::Path;

use futures::StreamExt as _;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tempfile::NamedTempFile;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::variable;

/// The API server's host and port.
pub fn api_server() -> String {
    let kubeconfig = std::fs::read_to_string(variable("KUBECONFIG")).unwrap();
    let server = kubeconfig.split("server: https://").nth(1).unwrap();
    server.split_whitespace().next().unwrap().to_owned()
}

/// A forwarded port of 127.0.0.1, which ends with the test's runtime.
pub struct Proxy {
    /// Its address, host and port.
    pub address: String,
    is_cut: watch::Sender<bool>,
    breaks: watch::Sender<()>,
}

impl Proxy {
    /// Forwards to a host and port.
    pub async fn start(to: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (is_cut, state) = watch::channel(false);
        let (breaks, broken) = watch::channel(());
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                let (to, state, mut broken) = (to.clone(), state.clone(), broken.clone());
                broken.mark_unchanged();
                // A connection that breaks is what is wanted here.
                tokio::spawn(async move {
                    tokio::select! {
                        _ = forward(from, to, state) => {}
                        _ = broken.changed() => {}
                    }
                });
            }
        });
        Self {
            address,
            is_cut,
            breaks,
        }
    }

    /// Breaks every connection that there is.
    pub fn break_off(&self) {
        self.breaks.send_replace(());
    }

    /// From now on nothing comes through, and no one is told: as when a cable is pulled.
    pub fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// From now on everything comes through again, on new connections.
    pub fn mend(&self) {
        self.is_cut.send_replace(false);
    }
}

async fn forward(
    mut from: TcpStream,
    to: String,
    mut is_cut: watch::Receiver<bool>,
) -> io::Result<()> {
    if !*is_cut.borrow() {
        let mut to = TcpStream::connect(to).await?;
        tokio::select! {
            done = copy_bidirectional(&mut from, &mut to) => return done.map(drop),
            _ = is_cut.wait_for(|cut| *cut) => {}
        }
        // The API server is rid of it; whoever asked hears nothing.
        drop(to);
    }
    let _ = is_cut.wait_for(|cut| !*cut).await;
    Ok(())
}

/// A way to the API server that looks into the requests. It ends with the test's runtime.
pub struct Relay {
    address: String,
    /// The kind, in the plural, whose watches tell nothing.
    is_silent: watch::Sender<Option<&'static str>>,
}

impl Relay {
    /// Passes requests on as whoever this kubeconfig says.
    pub async fn start(kubeconfig: &Path) -> Self {
        let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let client = Client::try_from(config.unwrap()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (is_silent, state) = watch::channel(None);
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                let (client, state) = (client.clone(), state.clone());
                let pass = service_fn(move |request| pass(client.clone(), state.clone(), request));
                let connection = http1::Builder::new().serve_connection(TokioIo::new(from), pass);
                // One that breaks concerns whoever asked.
                tokio::spawn(async move { connection.await.ok() });
            }
        });
        Self { address, is_silent }
    }

    /// A kubeconfig for those who go this way.
    pub fn kubeconfig(&self) -> NamedTempFile {
        let config = serde_json::json!({
            "clusters": [{ "name": "relay", "cluster": { "server": format!("http://{}", self.address) } }],
            "contexts": [{ "name": "relay", "context": { "cluster": "relay", "user": "relay" } }],
            "users": [{ "name": "relay", "user": {} }],
            "current-context": "relay",
        });
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), config.to_string()).unwrap();
        file
    }

    /// From now on the watches of a kind bring nothing, and do not end, as behind a load balancer that has lost them.
    pub fn silence(&self, plural: &'static str) {
        self.is_silent.send_replace(Some(plural));
    }

    /// From now on they bring all that has happened.
    pub fn speak(&self) {
        self.is_silent.send_replace(None);
    }
}

async fn pass(
    client: Client,
    is_silent: watch::Receiver<Option<&'static str>>,
    request: Request<Incoming>,
) -> Result<Response<impl hyper::body::Body<Data = Bytes, Error = Infallible>>, kube::Error> {
    let (path, query) = (request.uri().path(), request.uri().query());
    let watched = match query.is_some_and(|query| query.contains("watch=true")) {
        true => path.rsplit('/').next().unwrap_or_default().to_owned(),
        false => String::new(),
    };
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes());
    let request = Request::from_parts(parts, Body::from(body.unwrap_or_default().to_vec()));
    let answer = client.send(request).await?;
    Ok(answer.map(|body| {
        let frames = body.into_data_stream().then(move |bytes| {
            let (mut is_silent, watched) = (is_silent.clone(), watched.clone());
            async move {
                let speaks = |silent: &Option<&str>| *silent != Some(watched.as_str());
                let _ = is_silent.wait_for(speaks).await;
                Ok::<_, Infallible>(Frame::data(bytes.unwrap_or_default()))
            }
        });
        StreamBody::new(frames)
    }))
}
