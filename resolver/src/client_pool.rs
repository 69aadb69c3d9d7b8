//! HTTP clients by trust and dial timeout, so that connections are never shared between trusts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::header::HeaderValue;
use tokio::time::Instant;

use crate::address::Networks;
use crate::connect::Connector;
use crate::http::HttpClient;
use crate::lock::lock;
use crate::proxy::Proxies;
use crate::trust::{Tls, Trust, TrustId};

/// The most clients in the pool: users bring their own certificate authorities.
const CLIENTS_MAX: usize = 64;

type PoolKey = (TrustId, Option<Duration>);

/// The pool.
pub(crate) struct ClientPool {
    tls: Tls,
    /// For TLS to proxies, with the common trust.
    proxy_tls: Arc<rustls::ClientConfig>,
    networks: Arc<Networks>,
    proxies: Arc<Proxies>,
    user_agent: HeaderValue,
    clients: Mutex<HashMap<PoolKey, (HttpClient, Instant)>>,
}

impl ClientPool {
    pub(crate) fn new(
        tls: Tls,
        networks: Networks,
        proxies: Proxies,
        user_agent: HeaderValue,
    ) -> ClientPool {
        ClientPool {
            proxy_tls: Arc::new(tls.config(&Trust::default())),
            tls,
            networks: Arc::new(networks),
            proxies: Arc::new(proxies),
            user_agent,
            clients: Mutex::default(),
        }
    }

    /// The client for this trust and dial timeout; replaces the least recently used one if the pool
    /// is full.
    pub(crate) fn get(&self, trust: &Trust, dial_timeout: Option<Duration>) -> HttpClient {
        let key = (trust.id(), dial_timeout);
        let now = Instant::now();
        let mut clients = lock(&self.clients);
        if let Some((client, used)) = clients.get_mut(&key) {
            *used = now;
            return client.clone();
        }
        if clients.len() >= CLIENTS_MAX {
            let oldest = clients.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                clients.remove(&oldest);
            }
        }
        let connector = Connector::new(
            self.networks.clone(),
            self.proxies.clone(),
            self.proxy_tls.clone(),
            dial_timeout,
        );
        let client = HttpClient::new(
            self.tls.config(trust),
            connector,
            self.proxies.clone(),
            self.user_agent.clone(),
        );
        clients.insert(key, (client.clone(), now));
        client
    }
}
