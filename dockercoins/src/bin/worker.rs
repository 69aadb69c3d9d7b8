//! worker makes hashes, and keeps the coins that it finds among them.
//!
//! With `--flaw=slow` its own part of the work takes twenty times as long: the course's second version, which
//! starts well, is ready, and makes a seventh of the hashes.

use std::{mem, process::ExitCode, time::Duration};

use dockercoins::{
    ledger::Ledger,
    peer::{Peer, PeerError},
    program::{self, Chain, Failure},
};
use hyper::body::Bytes;
use tokio::time::{Instant, sleep};

/// The part of a unit of work that is the worker's own takes this long.
const WORK: Duration = Duration::from_millis(100);
/// How long it takes with the flaw.
const SLOW_WORK: Duration = Duration::from_secs(2);
/// How often the units done are counted in Redis.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// How long to wait after an error.
const RETRY_AFTER: Duration = Duration::from_secs(10);
/// How long Redis may take.
const LEDGER_WITHIN: Duration = Duration::from_secs(5);
/// Random bytes in a unit of work.
const BYTES: usize = 32;

fn main() -> ExitCode {
    program::run(async |mut stop| {
        let mut worker = Worker {
            rng: Peer::from_setting("rng", "RNG_URL")?,
            hasher: Peer::from_setting("hasher", "HASHER_URL")?,
            ledger: Ledger::from_setting(LEDGER_WITHIN)?,
            work: if program::has_flaw("slow")? {
                SLOW_WORK
            } else {
                WORK
            },
            units: 0,
        };
        // Whatever it is doing, it drops: at most a second's units go uncounted.
        tokio::select! {
            () = stop.requested() => Ok(()),
            () = worker.mine() => Ok(()),
        }
    })
}

struct Worker {
    rng: Peer,
    hasher: Peer,
    ledger: Ledger,
    /// How long its own part of a unit of work takes.
    work: Duration,
    /// Units done, and not yet counted in Redis.
    units: u64,
}

impl Worker {
    /// Works for ever.
    async fn mine(&mut self) {
        loop {
            let Err(failure) = self.mine_until_error().await;
            tracing::error!(
                "{}; trying again in {} s",
                Chain(failure.as_ref()),
                RETRY_AFTER.as_secs()
            );
            sleep(RETRY_AFTER).await;
        }
    }

    async fn mine_until_error(&mut self) -> Result<std::convert::Infallible, Failure> {
        // The first count comes before the first unit, so that a Redis that is away is told at once.
        let mut next_count = Instant::now();
        loop {
            if Instant::now() >= next_count {
                // Taken before it is known to be counted: a count that got lost is better than one
                // that was made twice.
                let units = mem::take(&mut self.units);
                tracing::info!("{units} units of work done, updating hash counter");
                self.ledger.count(units).await?;
                next_count = Instant::now() + COUNT_EVERY;
            }
            self.work().await?;
            self.units += 1;
        }
    }

    /// Does one unit of work.
    async fn work(&mut self) -> Result<(), Failure> {
        sleep(self.work).await;
        let bytes = self.random_bytes().await?;
        let digest = self.hash(bytes.clone()).await?;
        if digest.starts_with('0') {
            tracing::info!("coin found: {}…", &digest[..8]);
            if !self.ledger.store(&digest, &bytes).await? {
                tracing::info!("that coin was in the wallet already");
            }
        }
        Ok(())
    }

    async fn random_bytes(&self) -> Result<Bytes, PeerError> {
        let bytes = self.rng.get("/32").await?;
        if bytes.len() == BYTES {
            Ok(bytes)
        } else {
            Err(self
                .rng
                .nonsense(format_args!("{} bytes, not {BYTES}", bytes.len())))
        }
    }

    async fn hash(&self, bytes: Bytes) -> Result<String, PeerError> {
        let answer = self.hasher.post("/", bytes).await?;
        let is_digest = answer.len() == 64
            && answer
                .iter()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_digest {
            Ok(String::from_utf8_lossy(&answer).into_owned())
        } else {
            Err(self
                .hasher
                .nonsense("something else than 64 hexadecimal digits"))
        }
    }
}
