//! A proxy that opens tunnels to fixed addresses of names.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A running proxy, which ends with the test's runtime.
pub struct Tunnels {
    /// Host and port: `127.0.0.1:PORT`.
    pub host: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Tunnels {
    /// Starts one with the addresses of these names. With `tls` it requires TLS itself.
    pub async fn start(names: &[(&str, &str)], tls: Option<TlsAcceptor>) -> Tunnels {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let owned = |(name, at): &(&str, &str)| (name.to_string(), at.to_string());
        let names: Arc<BTreeMap<_, _>> = Arc::new(names.iter().map(owned).collect());
        let kept = heard.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (names, kept, tls) = (names.clone(), kept.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => tunnel(tls.accept(stream).await?, &names, &kept).await,
                        None => tunnel(stream, &names, &kept).await,
                    }
                });
            }
        });
        Tunnels { host, heard }
    }

    /// The heads of the requests that came, in order.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

async fn tunnel(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    names: &BTreeMap<String, String>,
    heard: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    heard.lock().unwrap().push(head.clone());
    let target = head.split(' ').nth(1).unwrap_or_default();
    let Some(at) = names.get(target) else {
        return stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await;
    };
    let mut there = TcpStream::connect(at).await?;
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    tokio::io::copy_bidirectional(&mut stream, &mut there).await?;
    Ok(())
}
