//! A way to the API server that can be cut.

use std::io;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A forwarded port of 127.0.0.1, which ends with the test's runtime.
pub struct Proxy {
    /// Its address, host and port.
    pub address: String,
    is_cut: watch::Sender<bool>,
}

impl Proxy {
    /// Forwards to a host and port.
    pub async fn start(to: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (is_cut, state) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                let (to, state) = (to.clone(), state.clone());
                // A connection that breaks is what is wanted here.
                tokio::spawn(async move { forward(from, to, state).await.ok() });
            }
        });
        Self { address, is_cut }
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
