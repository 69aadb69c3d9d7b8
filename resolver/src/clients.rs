//! Who speaks to a host: one client, with its connections, for each way to trust and to dial.
//!
//! So what was connected under one trust is never used under another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::header::HeaderValue;
use tokio::time::Instant;

use crate::address::Networks;
use crate::connect::Connector;
use crate::exchange::Exchange;
use crate::proxy::Proxies;
use crate::trust::{Mark, Tls, Trust};

/// The most clients that are kept. People bring authorities of their own, so without a bound they
/// would never end.
const KEPT_MAX: usize = 64;

type Way = (Mark, Option<Duration>);

/// The clients.
pub(crate) struct Clients {
    tls: Tls,
    /// For proxies: whom everybody trusts.
    common: Arc<rustls::ClientConfig>,
    networks: Arc<Networks>,
    proxies: Arc<Proxies>,
    user_agent: HeaderValue,
    kept: Mutex<HashMap<Way, (Exchange, Instant)>>,
}

impl Clients {
    pub(crate) fn new(
        tls: Tls,
        networks: Networks,
        proxies: Proxies,
        user_agent: HeaderValue,
    ) -> Clients {
        Clients {
            common: Arc::new(tls.config(&Trust::default())),
            tls,
            networks: Arc::new(networks),
            proxies: Arc::new(proxies),
            user_agent,
            kept: Mutex::default(),
        }
    }

    /// The client for a host that is trusted so, and whose connections may take so long to come
    /// about.
    pub(crate) fn under(&self, trust: &Trust, dial_timeout: Option<Duration>) -> Exchange {
        let way = (trust.as_mark(), dial_timeout);
        let now = Instant::now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((exchange, used)) = kept.get_mut(&way) {
            *used = now;
            return exchange.clone();
        }
        if kept.len() >= KEPT_MAX {
            let oldest = kept.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(oldest) = oldest.map(|(way, _)| *way) {
                kept.remove(&oldest);
            }
        }
        let connector = Connector::new(
            self.networks.clone(),
            self.proxies.clone(),
            self.common.clone(),
            dial_timeout,
        );
        let exchange = Exchange::new(
            self.tls.config(trust),
            connector,
            self.proxies.clone(),
            self.user_agent.clone(),
        );
        kept.insert(way, (exchange.clone(), now));
        exchange
    }
}
