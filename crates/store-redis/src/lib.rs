//! What several nodes share in Redis or Valkey: counts of quotas and rates, leases, and a log that they write by turns; one
//! script a step.
//!
//! No request waits for longer than [`Settings::patience`]; after one that did, none waits at all until the server answers
//! again. What nodes granted by themselves meanwhile is added then, before anybody asks again. Rates go by the server's
//! clock, which is one for all. Deliberately not here: what an answer means to a request.

mod connect;
mod lease_scripts;
mod leases;
mod log_scripts;
mod scripts;
mod shared_log;
mod stream;
mod tend;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use limits::{Asked, Away, Decision, Draw, Drawn, Fallback, Gcra, Shared, Terms, Window};
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisResult, ScriptInvocation};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use self::connect::{BadAddress, Settings};
pub use self::leases::RedisLeases;
use self::scripts::Scripts;
pub use self::shared_log::{Durability, RedisLog};
pub use self::stream::{NotAdded, Stream};

/// What nobody waits for, and may wait to be done.
const ERRANDS: usize = 10_000;
/// Counters that may be owed to at a time.
const DEBTS: usize = 1_000_000;

/// Counts in a server.
pub struct RedisCounts {
    here: Arc<Here>,
    errands: mpsc::Sender<Errand>,
    tending: JoinHandle<()>,
}

/// What requests and the task that tends the connection have in common.
struct Here {
    settings: Settings,
    scripts: Scripts,
    /// The connection, if the server is there.
    connection: ArcSwapOption<MultiplexedConnection>,
    /// Whether anybody found it away since it was there last.
    is_doubtful: AtomicBool,
    debts: Mutex<HashMap<(String, Window), Debt>>,
    asked: AtomicU64,
    unanswered: AtomicU64,
}

/// What was granted while the server was away.
#[derive(Clone, Copy, Debug, Default)]
struct Debt {
    n: i64,
    /// What there was in all, as far as this node knew.
    known: u64,
}

/// What is done without anybody waiting for it.
enum Errand {
    Return { counter: String, window: Window, n: u32 },
    StepBack { name: String, returned: u64 },
}

/// How the server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Whether it is there.
    pub is_there: bool,
    /// Questions.
    pub asked: u64,
    /// Those that got no answer.
    pub unanswered: u64,
    /// Counters that something is owed to.
    pub debts: usize,
}

impl RedisCounts {
    /// Counts in the server of these settings, which is looked for in the background: until it is there, it is away.
    #[expect(clippy::disallowed_methods, reason = "it is aborted when it is dropped")]
    pub fn open(settings: Settings) -> Result<Self, BadAddress> {
        let client = connect::client(&settings)?;
        let (errands, waiting) = mpsc::channel(ERRANDS);
        let here = Arc::new(Here {
            settings,
            scripts: Scripts::default(),
            connection: ArcSwapOption::empty(),
            is_doubtful: AtomicBool::new(false),
            debts: Mutex::default(),
            asked: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
        });
        let tending = tokio::spawn(tend::tend(client, here.clone(), waiting));
        Ok(Self { here, errands, tending })
    }

    /// How the server does.
    pub fn reading(&self) -> Reading {
        Reading {
            is_there: self.here.connection.load().is_some(),
            asked: self.here.asked.load(Ordering::Relaxed),
            unanswered: self.here.unanswered.load(Ordering::Relaxed),
            debts: self.here.debts.lock().len(),
        }
    }

    /// Waits until the server is there, but no longer than this. Whether it is.
    pub async fn is_there_within(&self, patience: Duration) -> bool {
        const STEP: Duration = Duration::from_millis(10);
        let there = async {
            while self.here.connection.load().is_none() {
                tokio::time::sleep(STEP).await;
            }
        };
        tokio::time::timeout(patience, there).await.is_ok()
    }

    fn send(&self, errand: Errand) {
        // If so much waits, what is not given back is lost to whoever had it; nobody gets more than he may.
        if self.errands.try_send(errand).is_err() {
            tracing::debug!("something that was to be given back was not");
        }
    }
}

impl Drop for RedisCounts {
    fn drop(&mut self) {
        self.tending.abort();
    }
}

impl Here {
    fn key(&self, kind: &str, name: &str) -> String {
        [&self.settings.prefix, kind, ":", name].concat()
    }

    fn counter(&self, counter: &str, window: Window) -> String {
        format!("{}:{}", self.key("count", counter), window.start)
    }

    /// Asks a script, if the server is there.
    async fn ask<T: FromRedisValue>(&self, invocation: &ScriptInvocation<'_>) -> Result<T, Away> {
        let Some(connection) = self.connection.load_full() else { return Err(Away) };
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut connection = MultiplexedConnection::clone(&connection);
        let answer: RedisResult<T> = invocation.invoke_async(&mut connection).await;
        answer.map_err(|error| {
            self.unanswered.fetch_add(1, Ordering::Relaxed);
            self.doubt(&error);
            Away
        })
    }

    /// Takes the server for away until it is found again.
    #[cold]
    fn doubt(&self, cause: &redis::RedisError) {
        self.connection.store(None);
        if !self.is_doubtful.swap(true, Ordering::Relaxed) {
            tracing::warn!(%cause, "Redis does not answer; limits go by what this node knows until it does");
        }
    }
}

impl Shared for RedisCounts {
    fn draw(&self, draw: Draw) -> Asked<'_, Drawn> {
        let here = &*self.here;
        Box::pin(async move {
            let key = here.counter(&draw.counter, draw.window);
            let (is_granted, consumed): (u8, u64) = here.ask(&here.scripts.draw(&key, &draw)).await?;
            Ok(Drawn { is_granted: is_granted == 1, consumed })
        })
    }

    fn return_to(&self, counter: &str, window: Window, n: u32) {
        if self.here.connection.load().is_none() {
            return self.owe(counter, window, -i64::from(n), 0);
        }
        self.send(Errand::Return { counter: counter.to_owned(), window, n });
    }

    fn step(&self, name: String, cost: u32, rule: Gcra) -> Asked<'_, Decision> {
        let here = &*self.here;
        Box::pin(async move {
            let key = here.key("rate", &name);
            let (is_granted, ahead, wait): (u8, u64, u64) =
                here.ask(&here.scripts.step(&key, cost, rule.terms())).await?;
            Ok(rule.told(is_granted == 1, ahead, wait, cost))
        })
    }

    fn step_back(&self, name: &str, cost: u32, rule: Gcra, held: Duration) {
        let returned = Terms::returned(&rule.terms(), cost, held);
        if 0 < returned {
            self.send(Errand::StepBack { name: name.to_owned(), returned });
        }
    }

    fn owe(&self, counter: &str, window: Window, n: i64, known: u64) {
        let mut debts = self.here.debts.lock();
        if debts.len() < DEBTS || debts.contains_key(&(counter.to_owned(), window)) {
            let debt = debts.entry((counter.to_owned(), window)).or_default();
            debt.n = debt.n.saturating_add(n);
            debt.known = debt.known.max(known);
        }
    }

    fn fallback(&self) -> Fallback {
        self.here.settings.fallback
    }
}

#[cfg(test)]
mod tests;
