//! Leases that several nodes share: one script a step, by the server's clock.
//!
//! All keys have one hash tag, so a cluster of servers keeps them on one of them; the groups of a lease have nothing else in
//! common. A lease is a hash; sorted sets say which of them count, are listed, end, are due, or are kept.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex as Now;
use redis::aio::MultiplexedConnection;
use redis::{Client, FromRedisValue, Script, ScriptInvocation, Value, from_redis_value};
use store::{
    Done, Lease, LeaseId, LeaseListing, Leases, NewLease, Opened, Taken, Unavailable, UnixMicros, WhenFull, Which,
};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::lease_scripts::Scripts;
use crate::{BadAddress, Settings, connect};

/// How long nobody looks for a server that was just found away.
const REST: Duration = Duration::from_millis(200);

/// Leases in a server.
pub struct RedisLeases {
    client: Client,
    settings: Settings,
    scripts: Scripts,
    connection: Mutex<Option<MultiplexedConnection>>,
    /// When the server was last found away.
    away: Now<Option<Instant>>,
    /// How much later it is here than the server's clock says: none, but in tests.
    ahead: AtomicU64,
}

/// The server does not answer.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("Redis was away a moment ago")]
    Away,
    #[error("Redis does not answer: {0}")]
    Redis(#[from] redis::RedisError),
    #[error("Redis has a lease that was not written by this program")]
    Unreadable,
}

impl From<Trouble> for Unavailable {
    fn from(trouble: Trouble) -> Self {
        Self::because(trouble)
    }
}

impl RedisLeases {
    /// Leases in the server of these settings, which is looked for when it is asked.
    pub fn open(settings: Settings) -> Result<Self, BadAddress> {
        Ok(Self {
            client: connect::client(&settings)?,
            settings,
            scripts: Scripts::default(),
            connection: Mutex::default(),
            away: Now::default(),
            ahead: AtomicU64::new(0),
        })
    }

    /// A script with what all have in common.
    fn script<'a>(&self, script: &'a Script) -> ScriptInvocation<'a> {
        let mut invocation = script.key(format!("{}{{leases}}", self.settings.prefix));
        invocation.arg(self.ahead.load(Ordering::Relaxed));
        invocation
    }

    async fn ask<T: FromRedisValue>(&self, invocation: &ScriptInvocation<'_>) -> Result<T, Trouble> {
        let mut connection = self.connected().await?;
        let answer = invocation.invoke_async(&mut connection).await;
        if answer.is_err() {
            *self.connection.lock().await = None;
        }
        Ok(answer?)
    }

    async fn connected(&self) -> Result<MultiplexedConnection, Trouble> {
        let mut connection = self.connection.lock().await;
        if let Some(connection) = &*connection {
            return Ok(connection.clone());
        }
        if self.away.lock().is_some_and(|away| away.elapsed() < REST) {
            return Err(Trouble::Away);
        }
        match connect::connection(&self.client, &self.settings).await {
            Ok(made) => {
                *connection = Some(made.clone());
                Ok(made)
            }
            Err(cause) => {
                *self.away.lock() = Some(Instant::now());
                Err(cause.into())
            }
        }
    }

    async fn done(&self, invocation: &ScriptInvocation<'_>) -> Result<Done, Unavailable> {
        let done: u8 = self.ask(invocation).await?;
        Ok(if done == 1 { Done::Now } else { Done::Gone })
    }

    async fn one(&self, invocation: &ScriptInvocation<'_>) -> Result<Option<Lease>, Unavailable> {
        match self.ask::<Value>(invocation).await? {
            Value::Nil => Ok(None),
            found => Ok(Some(lease(found)?)),
        }
    }

    async fn many(&self, invocation: &ScriptInvocation<'_>) -> Result<Vec<Lease>, Unavailable> {
        let found: Vec<Value> = self.ask(invocation).await?;
        Ok(found.into_iter().map(lease).collect::<Result<_, _>>()?)
    }
}

#[async_trait]
impl Leases for RedisLeases {
    async fn take(&self, lease: &NewLease) -> Result<Taken, Unavailable> {
        let mut script = self.script(&self.scripts.take);
        script.arg(lease.id.as_str()).arg(micros(lease.ttl)).arg(micros(lease.life)).arg(&lease.about);
        match lease.when_full {
            WhenFull::Refuse => script.arg(""),
            WhenFull::Oust { claim } => script.arg(micros(claim)),
        };
        for group in &lease.groups {
            script.arg(&group.name).arg(group.most.map_or_else(String::new, |most| most.to_string()));
        }
        let (full, ousted): (Option<String>, Vec<Value>) = self.ask(&script).await?;
        if let Some(group) = full {
            return Ok(Taken::Full { group });
        }
        Ok(Taken::Granted { ousted: ousted.into_iter().map(self::lease).collect::<Result<_, _>>()? })
    }

    async fn open(&self, taken: &LeaseId, opened: &Opened) -> Result<Done, Unavailable> {
        let Opened { id, ending, about, body } = opened;
        let mut script = self.script(&self.scripts.open);
        script.arg(taken.as_str()).arg(id.as_str()).arg(ending.as_str()).arg(about).arg(body.as_slice());
        self.done(&script).await
    }

    async fn renew(&self, used: &[LeaseId]) -> Result<Vec<LeaseId>, Unavailable> {
        let mut gone = Vec::new();
        for some in used.chunks(AT_ONCE) {
            let mut script = self.script(&self.scripts.renew);
            for id in some {
                script.arg(id.as_str());
            }
            let ids: Vec<String> = self.ask(&script).await?;
            gone.extend(ids.into_iter().filter_map(|id| id.parse().ok()));
        }
        Ok(gone)
    }

    async fn release(&self, id: &LeaseId) -> Result<Done, Unavailable> {
        self.done(self.script(&self.scripts.release).arg(id.as_str())).await
    }

    async fn end(&self, id: &LeaseId) -> Result<Option<Lease>, Unavailable> {
        self.one(self.script(&self.scripts.end).arg(id.as_str())).await
    }

    async fn find(&self, id: &LeaseId) -> Result<Option<Lease>, Unavailable> {
        self.one(self.script(&self.scripts.find).arg(id.as_str())).await
    }

    async fn list(&self, listing: &LeaseListing) -> Result<Vec<Lease>, Unavailable> {
        let LeaseListing { group, which, after, limit } = listing;
        let which = match which {
            Which::Current => "current",
            Which::Closed => "closed",
        };
        let (opened, id) = after.as_ref().map_or((0, ""), |(opened, id)| (opened.0, id.as_str()));
        let mut script = self.script(&self.scripts.list);
        self.many(script.arg(group).arg(which).arg(opened).arg(id).arg(*limit)).await
    }

    async fn count(&self, group: &str) -> Result<u32, Unavailable> {
        Ok(self.ask(self.script(&self.scripts.count).arg(group)).await?)
    }

    async fn claim(&self, limit: usize, how_long: Duration) -> Result<Vec<Lease>, Unavailable> {
        self.many(self.script(&self.scripts.claim).arg(limit).arg(micros(how_long))).await
    }

    async fn closed(&self, id: &LeaseId, claim: u32, note: &str, keep: Duration) -> Result<Done, Unavailable> {
        let mut script = self.script(&self.scripts.closed);
        self.done(script.arg(id.as_str()).arg(claim).arg(note).arg(micros(keep))).await
    }

    async fn retry(&self, id: &LeaseId, claim: u32, note: &str, pause: Duration) -> Result<Done, Unavailable> {
        let mut script = self.script(&self.scripts.retry);
        self.done(script.arg(id.as_str()).arg(claim).arg(note).arg(micros(pause))).await
    }
}

/// A lease as scripts give it: see `lease` in [`crate::lease_scripts`].
fn lease(found: Value) -> Result<Lease, Trouble> {
    let fields: Vec<Option<Vec<u8>>> = from_redis_value(found).map_err(redis::RedisError::from)?;
    read(fields).ok_or(Trouble::Unreadable)
}

fn read(fields: Vec<Option<Vec<u8>>>) -> Option<Lease> {
    let mut fields = fields.into_iter();
    let mut text = || Some(String::from_utf8(fields.next()??).ok());
    let mut next = || text().flatten();
    let (id, state, ending) = (next()?.parse().ok()?, next()?.parse().ok()?, next()?.parse().ok()?);
    let mut time = || next()?.parse().ok().map(UnixMicros);
    let (opened, renewed, ends, latest, due) = (time()?, time()?, time()?, time()?, time()?);
    let (attempts, about, note) = (next()?.parse().ok()?, next()?, next()?);
    let ended = match (next()?.as_str(), next()?.as_str()) {
        ("", _) => None,
        (at, why) => Some((UnixMicros(at.parse().ok()?), why.parse().ok()?)),
    };
    let body = fields.next()??;
    Some(Lease { id, state, ending, opened, renewed, ends, latest, about, body, ended, attempts, due, note })
}

/// What a script can add to any time of this era without losing a unit.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).min(LONGEST)
}

/// A hundred years.
const LONGEST: u64 = 100 * 366 * 24 * 3600 * 1_000_000;

/// Leases that one script renews: nobody else is answered meanwhile.
const AT_ONCE: usize = 100;

#[cfg(test)]
mod tests {
    use servers::Redis;
    use store::suite::leases::Bench;

    use super::*;

    /// Leases in a real server, under a name that no other test has.
    struct OnBench {
        leases: RedisLeases,
        _server: Redis,
    }

    #[async_trait]
    impl Bench for OnBench {
        fn leases(&self) -> &dyn Leases {
            &self.leases
        }

        async fn pass(&self, time: Duration) {
            self.leases.ahead.fetch_add(micros(time), Ordering::Relaxed);
        }
    }

    fn open() -> OnBench {
        let server = Redis::shared();
        let settings = Settings {
            prefix: server.prefix().to_owned(),
            patience: Duration::from_secs(10),
            ..Settings::of(&server.address())
        };
        OnBench { leases: RedisLeases::open(settings).unwrap(), _server: server }
    }

    store::leases_suite!(in_a_server, Box::new(super::open()));
}
