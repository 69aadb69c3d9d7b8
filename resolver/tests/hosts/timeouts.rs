//! Timeouts of hosts, and the fallback to plain HTTP.

use std::time::Duration;

use resolver::{ConnectFailure, Endpoint, Failure, HostFailure, Keyring, Options, Resolver};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::support::server::{Answer, Server, reply};
use crate::support::{ask_for, configure, key, options, resolver_of};
use crate::{IMAGE, INDEX, MANIFEST, MIRRORED, digest, folder, manifest};

#[tokio::test]
async fn hanging_mirror_leaves_time_for_the_next() {
    let hanging =
        Server::start(|_| Answer::Endless(Vec::new(), Vec::new(), Duration::from_millis(50))).await;
    let registry = Server::start(manifest).await;
    let folder = folder(&[(&hanging.address, ""), (&registry.address, "")]);
    let resolver = Resolver::new(Options {
        registry_config: Some(folder.path().to_owned()),
        deadline: Duration::from_secs(3),
        ..options()
    })
    .unwrap();
    let resolved = ask_for(&resolver, IMAGE, &Keyring::new()).await.unwrap();
    assert_eq!(resolved.digest, digest());
    assert_eq!(hanging.lines(), [MIRRORED]);
}

#[tokio::test]
async fn plain_http_is_the_fallback_of_tls() {
    let registry = Server::start(manifest).await;
    let host = key(&registry.address);
    let folder = TempDir::new().unwrap();
    let name = host.replace(':', "_") + "_";
    configure(folder.path(), &name, "# the registry itself\n");
    let image = format!("{host}/team/app:v1");
    let resolver = resolver_of(folder.path());
    let resolved = ask_for(&resolver, &image, &Keyring::new()).await.unwrap();
    assert_eq!(resolved.endpoint.to_string(), registry.address);
    assert_eq!(registry.lines().last().unwrap(), MANIFEST);
}

#[tokio::test]
async fn plain_http_is_tried_if_tls_is_not_answered() {
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", mute.local_addr().unwrap());
    tokio::spawn(async move {
        let (tls, _) = mute.accept().await?;
        let (mut plain, _) = mute.accept().await?;
        let mut head = [0; 4];
        plain.read_exact(&mut head).await?;
        let digest = digest();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 19\r\nContent-Type: {INDEX}\r\nDocker-Content-Digest: {digest}\r\n\r\n"
        );
        plain.write_all(answer.as_bytes()).await?;
        drop(tls);
        plain.shutdown().await
    });
    let folder = folder(&[(&address, "skip_verify = true")]);
    let resolver = Resolver::new(Options {
        registry_config: Some(folder.path().to_owned()),
        deadline: Duration::from_secs(3),
        ..options()
    })
    .unwrap();
    let resolved = ask_for(&resolver, IMAGE, &Keyring::new()).await.unwrap();
    assert_eq!(
        (resolved.digest, resolved.endpoint.to_string()),
        (digest(), address)
    );
}

#[tokio::test]
async fn dial_timeout_is_applied() {
    // A listener whose queue is full lets nobody in and turns nobody away.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let at = full.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(connected) =
        tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(at)).await
    {
        queue.push(connected.unwrap());
        assert!(queue.len() < 100, "the queue fills up");
    }
    let failing = Server::start(|request| reply(request, "500 Oops", &[], "")).await;
    let address = format!("http://{at}");
    let folder = folder(&[
        (&address, "dial_timeout = \"250ms\""),
        (&failing.address, ""),
    ]);
    let error = ask_for(&resolver_of(folder.path()), IMAGE, &Keyring::new())
        .await
        .unwrap_err();
    let failure = Failure::ConnectionFailed {
        host: at.to_string(),
        cause: ConnectFailure::DialTimeout(Duration::from_millis(250)),
    };
    let endpoint = Endpoint::parse(&address).unwrap();
    assert_eq!(error.also_asked, [HostFailure { endpoint, failure }]);
}
