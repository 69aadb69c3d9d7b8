//! A server with arbitrary responses, for faults that no real registry has.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A response as bytes.
pub enum Answer {
    /// These bytes, then the connection ends.
    Bytes(Vec<u8>),
    /// These bytes, then others again and again, with a pause between.
    Endless(Vec<u8>, Vec<u8>, Duration),
}

/// A running server, which ends with the test's runtime.
pub struct Server {
    /// Its address: `http://127.0.0.1:PORT`, or by `https` where it speaks TLS.
    pub address: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts one on 127.0.0.1. Each request is read up to the end of its headers, and of the body
    /// whose length they tell.
    pub async fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Server {
        Server::start_on("127.0.0.1", answer).await
    }

    /// Starts one on another address of this machine.
    pub async fn start_on(
        ip: &str,
        answer: impl Fn(&str) -> Answer + Send + Sync + 'static,
    ) -> Server {
        Server::start_through(ip, "http", |stream| async { Ok(stream) }, answer).await
    }

    /// Starts one that first wraps each connection, in TLS for example.
    pub async fn start_through<S, Through>(
        ip: &str,
        scheme: &str,
        through: impl Fn(TcpStream) -> Through + Send + Sync + 'static,
        answer: impl Fn(&str) -> Answer + Send + Sync + 'static,
    ) -> Server
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
        Through: Future<Output = io::Result<S>> + Send,
    {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let address = format!("{scheme}://{}", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (answer, through, kept) = (Arc::new(answer), Arc::new(through), heard.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, through, kept) = (answer.clone(), through.clone(), kept.clone());
                // A client that hangs up early, or finds the certificate wrong, is what some of
                // the tests want.
                tokio::spawn(async move {
                    if let Ok(stream) = through(stream).await {
                        serve(stream, &*answer, &kept).await.ok();
                    }
                });
            }
        });
        Server { address, heard }
    }

    /// The requests that came, in order.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// The request lines in order, without the protocol's version.
    pub fn lines(&self) -> Vec<String> {
        let line = |head: &String| {
            head.lines()
                .next()
                .unwrap()
                .trim_end_matches(" HTTP/1.1")
                .to_owned()
        };
        self.heard().iter().map(line).collect()
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: &(impl Fn(&str) -> Answer + ?Sized),
    heard: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
        if !head[0].is_ascii_uppercase() {
            // TLS, as servers of plain HTTP answer to it.
            stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await?;
            return stream.shutdown().await;
        }
    }
    let mut head = String::from_utf8_lossy(&head).into_owned();
    if let Some(length) = header(&head, "content-length") {
        let mut body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body).await?;
        head.push_str(&String::from_utf8_lossy(&body));
    }
    heard.lock().unwrap().push(head.clone());
    match answer(&head) {
        Answer::Bytes(bytes) => stream.write_all(&bytes).await?,
        Answer::Endless(start, more, pause) => {
            stream.write_all(&start).await?;
            loop {
                stream.write_all(&more).await?;
                tokio::time::sleep(pause).await;
            }
        }
    }
    stream.shutdown().await
}

/// A response with a body, or only its head for `HEAD`.
pub fn reply(request: &str, status: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let headers: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let body_sent = if request.starts_with("HEAD ") {
        ""
    } else {
        body
    };
    let length = body.len();
    Answer::Bytes(
        format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body_sent}").into_bytes(),
    )
}

/// The value of a header of a request.
pub fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    request.lines().find_map(|line| {
        let (field, value) = line.split_once(": ")?;
        field.eq_ignore_ascii_case(name).then_some(value)
    })
}
