//! What DockerCoins keeps in Redis: how many hashes were made, and the coins found among them.

use std::{fmt, time::Duration};

use redis::{AsyncConnectionConfig, Client, FromRedisValue, Pipeline, aio::MultiplexedConnection};
use thiserror::Error;
use tokio::{sync::Mutex, time::timeout};

use crate::program::{Failure, setting};

/// The key of the number of hashes made: a counter.
const HASHES: &str = "hashes";
/// The key of the coins: a hash from each coin's digest in hexadecimal to the bytes that gave it.
const WALLET: &str = "wallet";

/// The books of a DockerCoins, over one connection that is made when needed, and made anew after an
/// error. Questions take turns on it.
pub struct Ledger {
    client: Client,
    connection: Mutex<Option<MultiplexedConnection>>,
    answer_within: Duration,
}

/// What the books say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals {
    /// The coins in the wallet.
    pub coins: u64,
    /// The counter as Redis keeps it, which is as a string; `None` before the first write.
    pub hashes: Option<String>,
}

/// Redis could not be asked, or refused.
#[derive(Debug, Error)]
#[error("redis at {address}")]
pub struct LedgerError {
    /// The host and port that were asked.
    address: String,
    /// What went wrong.
    #[source]
    problem: Problem,
}

/// What can go wrong with Redis.
#[derive(Debug, Error)]
pub enum Problem {
    /// No connection, or an answer that is an error.
    #[error(transparent)]
    Redis(redis::RedisError),
    /// No answer within the time allowed.
    #[error("no answer within {0:?}")]
    NoAnswer(Duration),
}

impl Ledger {
    /// The books in the Redis at the URL in `REDIS_URL`, or else at `redis:6379`. No connection is
    /// made yet. Every question, waiting for its turn and a
    /// new connection included, gets `answer_within` to be answered.
    ///
    /// # Errors
    /// When `REDIS_URL` is not a URL of Redis. It is not repeated, since it may hold a password.
    pub fn from_setting(answer_within: Duration) -> Result<Self, Failure> {
        let url = setting("REDIS_URL", "redis://redis:6379")?;
        let client = Client::open(url).map_err(|error| {
            format!("REDIS_URL: {error}; write redis://[user:password@]host[:port][/database]")
        })?;
        Ok(Self {
            client,
            connection: Mutex::new(None),
            answer_within,
        })
    }

    /// Adds `units` to the number of hashes made.
    ///
    /// # Errors
    /// When Redis doesn't take it in time. It may have counted them all the same.
    pub async fn count(&self, units: u64) -> Result<(), LedgerError> {
        self.ask(redis::pipe().cmd("INCRBY").arg(HASHES).arg(units).ignore())
            .await
    }

    /// Puts the coin with the digest `digest`, in hexadecimal, into the wallet, with the bytes that
    /// it is the digest of. Returns whether it is new there.
    ///
    /// # Errors
    /// When Redis doesn't take it in time.
    pub async fn store(&self, digest: &str, bytes: &[u8]) -> Result<bool, LedgerError> {
        let (new,) = self
            .ask(redis::pipe().cmd("HSET").arg(WALLET).arg(digest).arg(bytes))
            .await?;
        Ok(new)
    }

    /// Reads the books.
    ///
    /// # Errors
    /// When Redis doesn't answer in time.
    pub async fn totals(&self) -> Result<Totals, LedgerError> {
        let (coins, hashes) = self
            .ask(redis::pipe().cmd("HLEN").arg(WALLET).cmd("GET").arg(HASHES))
            .await?;
        Ok(Totals { coins, hashes })
    }

    async fn ask<T: FromRedisValue>(&self, question: &Pipeline) -> Result<T, LedgerError> {
        let within = self.answer_within;
        let exchange = async {
            let mut kept = self.connection.lock().await;
            // Taken out, and put back only after an answer: when Redis is late, or refuses, or the
            // caller gives up, the next question starts with a new connection.
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => self.connect().await?,
            };
            let answer = question.query_async(&mut connection).await?;
            *kept = Some(connection);
            Ok(answer)
        };
        let problem = match timeout(within, exchange).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => Problem::Redis(error),
            Err(_elapsed) => Problem::NoAnswer(within),
        };
        Err(LedgerError {
            address: self.address(),
            problem,
        })
    }

    async fn connect(&self) -> redis::RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        self.client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    }

    fn address(&self) -> String {
        self.client.get_connection_info().addr().to_string()
    }
}

impl fmt::Debug for Ledger {
    /// Shows the address only: the client knows a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("redis", &self.address())
            .field("answer_within", &self.answer_within)
            .finish()
    }
}
