//! A log that several nodes write by turns, in a server: one script a step, by the server's clock.
//!
//! All keys have one hash tag, so that a cluster of servers keeps them on one of them. What is acknowledged is as durable as
//! the server's append-only file, which has to be on; [`RedisLog::durability`] says how far that goes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use redis::aio::MultiplexedConnection;
use redis::{Client, FromRedisValue, RedisResult, Script, ScriptInvocation};
use store::{Base, Behind, Cursor, CursorKept, LogReaders, Place, Reads, SharedLog, Then, Turn, Unavailable, Wrote};
use tokio::sync::Mutex;

use crate::log_scripts::Scripts;
use crate::{BadAddress, Settings, connect};

/// A shared log in a server.
pub struct RedisLog {
    client: Client,
    settings: Settings,
    scripts: Scripts,
    connection: Mutex<Option<MultiplexedConnection>>,
    /// How much later it is here than the server's clock says, in milliseconds: none, but in tests.
    ahead: AtomicU64,
    lease: Duration,
    grace: Duration,
    read_lease: Duration,
}

/// What a loss of the server may take with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing that was acknowledged: the server's disk has it before (`appendfsync always`).
    Disk,
    /// Up to a second or two before its machine lost power (`appendfsync everysec`), or more (`no`).
    Moments,
    /// Everything: it writes nothing down (`appendonly no`).
    Nothing,
    /// The server does not say, as some that are rented do not.
    Unknown,
}

/// The server answers what it should not.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("Redis does not answer: {0}")]
    Redis(#[from] redis::RedisError),
    #[error("Redis has a log of waiting rooms that was not written by this program")]
    Unreadable,
}

impl From<Trouble> for Unavailable {
    fn from(trouble: Trouble) -> Self {
        Self::because(trouble)
    }
}

impl RedisLog {
    /// The log of this name in the server of these settings, which is looked for when it is asked.
    pub fn open(settings: Settings) -> Result<Self, BadAddress> {
        Ok(Self {
            client: connect::client(&settings)?,
            settings,
            scripts: Scripts::default(),
            connection: Mutex::default(),
            ahead: AtomicU64::new(0),
            lease: LEASE,
            grace: GRACE,
            read_lease: READ_LEASE,
        })
    }

    /// What a loss of the server may take with it.
    pub async fn durability(&self) -> Result<Durability, Unavailable> {
        let setting = async |name: &str| -> Result<Option<String>, Trouble> {
            let mut connection = self.connected().await?;
            let said: RedisResult<Vec<String>> =
                redis::cmd("CONFIG").arg("GET").arg(name).query_async(&mut connection).await;
            match said {
                Ok(pair) => Ok(pair.into_iter().nth(1)),
                Err(error) if error.is_io_error() || error.is_timeout() => Err(error.into()),
                Err(_refused) => Ok(None),
            }
        };
        let Some(append) = setting("appendonly").await? else { return Ok(Durability::Unknown) };
        if append != "yes" {
            return Ok(Durability::Nothing);
        }
        Ok(match setting("appendfsync").await?.as_deref() {
            Some("always") => Durability::Disk,
            Some(_) => Durability::Moments,
            None => Durability::Unknown,
        })
    }

    fn key(&self, part: &str) -> String {
        format!("{}{{rooms}}:{part}", self.settings.prefix)
    }

    fn piece_key(&self, place: Place, number: u32) -> String {
        self.key(&format!("base:{place}:{number}"))
    }

    /// A script with what all have in common.
    fn script<'a>(&self, script: &'a Script) -> ScriptInvocation<'a> {
        let mut invocation = script.key(self.key("state"));
        invocation.key(self.key("log")).key(self.key("wanting")).key(self.key("base:*"));
        invocation.key(self.key("readers"));
        invocation.arg(self.ahead.load(Ordering::Relaxed));
        invocation
    }

    async fn ask<T: FromRedisValue>(&self, invocation: &ScriptInvocation<'_>) -> Result<T, Trouble> {
        let mut connection = self.connected().await?;
        let answer = invocation.invoke_async(&mut connection).await;
        self.look_at(answer).await
    }

    async fn command<T: FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, Trouble> {
        let mut connection = self.connected().await?;
        let answer = command.query_async(&mut connection).await;
        self.look_at(answer).await
    }

    /// After a failure it is connected anew.
    async fn look_at<T>(&self, answer: RedisResult<T>) -> Result<T, Trouble> {
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
        let made = connect::connection(&self.client, &self.settings).await?;
        *connection = Some(made.clone());
        Ok(made)
    }
}

#[async_trait]
impl SharedLog for RedisLog {
    async fn read(&self, known: Place) -> Result<Behind, Unavailable> {
        let told = self.ask(self.script(&self.scripts.read).arg(known.to_string())).await?;
        Ok(behind(told)?)
    }

    async fn take(&self, who: &str, known: Place) -> Result<Turn, Unavailable> {
        let mut script = self.script(&self.scripts.take);
        let told: Vec<Vec<u8>> = self.ask(script.arg(known.to_string()).arg(who).arg(millis(self.lease))).await?;
        if told.first().is_some_and(|word| word == b"theirs") {
            return Ok(Turn::Theirs);
        }
        Ok(Turn::Ours(behind(told)?))
    }

    async fn write(
        &self,
        who: &str,
        (after, place): (Place, Place),
        batch: &[u8],
        then: Then,
    ) -> Result<Wrote, Unavailable> {
        let mut script = self.script(&self.scripts.write);
        script.arg(who).arg(after.to_string()).arg(place.to_string()).arg(batch);
        script.arg(match then {
            Then::Keep => "keep",
            Then::Pass => "pass",
        });
        let told: String = self.ask(script.arg(millis(self.lease)).arg(millis(self.grace))).await?;
        Ok(match told.as_str() {
            "kept" => Wrote::Kept,
            "passed" => Wrote::Passed,
            _ => Wrote::Refused,
        })
    }

    async fn pass(&self, who: &str) -> Result<(), Unavailable> {
        Ok(self.ask(self.script(&self.scripts.pass).arg(who).arg(millis(self.grace))).await?)
    }

    async fn base(&self) -> Result<Base, Unavailable> {
        let command = redis::cmd("HMGET").arg(self.key("state")).arg("base").arg("pieces").to_owned();
        let (place, pieces): (Option<String>, Option<u32>) = self.command(&command).await?;
        let place = place.map_or(Ok(Place::default()), |place| place.parse().map_err(|_word| Trouble::Unreadable))?;
        Ok(Base { place, pieces: pieces.unwrap_or(0) })
    }

    async fn piece(&self, place: Place, number: u32) -> Result<Option<Vec<u8>>, Unavailable> {
        Ok(self.command(redis::cmd("GET").arg(self.piece_key(place, number))).await?)
    }

    async fn lay_piece(&self, place: Place, number: u32, piece: &[u8]) -> Result<(), Unavailable> {
        let mut command = redis::cmd("SET");
        // It goes by itself if it never becomes part of the base.
        command.arg(self.piece_key(place, number)).arg(piece).arg("EX").arg(ABANDONED.as_secs());
        Ok(self.command(&command).await?)
    }

    async fn rebase(&self, base: Base) -> Result<(), Unavailable> {
        let mut script = self.script(&self.scripts.rebase);
        let outcome: String = self.ask(script.arg(base.place.to_string()).arg(base.pieces).arg(MOST_UNREAD)).await?;
        match outcome.as_str() {
            // Another node was faster.
            "done" | "late" => Ok(()),
            "strange" => Err(Unavailable::because("the log does not have the place of its new base")),
            _ => Err(Unavailable::because("the log does not have all of its new base: it may be short of memory")),
        }
    }
}

#[async_trait]
impl LogReaders for RedisLog {
    async fn hold(&self, reader: &str, who: &str) -> Result<Reads, Unavailable> {
        let mut script = self.script(&self.scripts.hold);
        let told: Option<(String, u32)> = self.ask(script.arg(reader).arg(who).arg(millis(self.read_lease))).await?;
        let Some((place, records)) = told else { return Ok(Reads::Elsewhere) };
        let place = place.parse().map_err(|_word| Trouble::Unreadable)?;
        Ok(Reads::Here(Cursor { place, records }))
    }

    async fn after(&self, place: Place) -> Result<Vec<(Place, Vec<u8>)>, Unavailable> {
        let mut command = redis::cmd("XRANGE");
        command.arg(self.key("log")).arg(format!("({place}")).arg("+").arg("COUNT").arg(READ_AT_ONCE);
        let entries: Vec<(String, (Vec<u8>, Vec<u8>))> = self.command(&command).await?;
        let entry = |(place, (_, batch)): (String, (Vec<u8>, Vec<u8>))| Some((place.parse().ok()?, batch));
        let batches: Option<Vec<_>> = entries.into_iter().map(entry).collect();
        Ok(batches.ok_or(Trouble::Unreadable)?)
    }

    async fn remember(&self, reader: &str, who: &str, upto: Cursor, bytes: u64) -> Result<CursorKept, Unavailable> {
        let mut script = self.script(&self.scripts.remember);
        script.arg(reader).arg(who).arg(upto.place.to_string()).arg(upto.records);
        let told: String = self.ask(script.arg(bytes).arg(millis(self.read_lease))).await?;
        Ok(if told == "kept" { CursorKept::Here } else { CursorKept::Elsewhere })
    }
}

/// What is behind a place, as scripts tell it: see `BEHIND` in [`crate::log_scripts`].
fn behind(told: Vec<Vec<u8>>) -> Result<Behind, Trouble> {
    read(told).ok_or(Trouble::Unreadable)
}

fn read(told: Vec<Vec<u8>>) -> Option<Behind> {
    let mut told = told.into_iter();
    let word = told.next()?;
    let place = |text: Vec<u8>| String::from_utf8(text).ok()?.parse::<Place>().ok();
    let last = place(told.next()?)?;
    if word == b"gone" {
        return Some(Behind::Gone(last));
    }
    let base = place(told.next()?)?;
    let mut batches = Vec::new();
    while let Some(id) = told.next() {
        batches.push((place(id)?, told.next()?));
    }
    Some(Behind::Known { batches, last, base })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// How long a turn holds that is used.
const LEASE: Duration = Duration::from_secs(1);
/// How long a turn holds that was passed on, before it is used.
const GRACE: Duration = Duration::from_millis(250);
/// How long a node reads for a reader from its last word on.
const READ_LEASE: Duration = Duration::from_secs(5);
/// Batches that a reader is given at once.
const READ_AT_ONCE: u32 = 16;
/// Bytes that stay in the server's memory for a reader that has not read them.
const MOST_UNREAD: u64 = 256 * 1024 * 1024;
/// How long pieces stay that do not become part of a base.
const ABANDONED: Duration = Duration::from_hours(1);

#[cfg(test)]
mod tests {
    use servers::Redis;
    use store::suite::shared_log::Bench;

    use super::*;

    /// A log in a real server, under a name that no other test has.
    struct OnBench {
        log: RedisLog,
        _server: Redis,
    }

    #[async_trait]
    impl Bench for OnBench {
        fn log(&self) -> &dyn SharedLog {
            &self.log
        }

        fn readers(&self) -> &dyn LogReaders {
            &self.log
        }

        async fn pass(&self, time: Duration) {
            self.log.ahead.fetch_add(millis(time), Ordering::Relaxed);
        }
    }

    fn open() -> OnBench {
        let server = Redis::shared();
        let settings = Settings {
            prefix: server.prefix().to_owned(),
            patience: Duration::from_secs(10),
            ..Settings::of(&server.address())
        };
        let mut log = RedisLog::open(settings).unwrap();
        // No test ends because the machine is slow.
        (log.lease, log.grace, log.read_lease) =
            (Duration::from_mins(10), Duration::from_mins(5), Duration::from_mins(10));
        OnBench { log, _server: server }
    }

    store::shared_log_suite!(in_a_server, Box::new(super::open()));

    #[tokio::test]
    async fn a_reader_that_was_told_what_a_server_forgot_is_told_what_came_instead() {
        let bench = open();
        let (log, place) = (&bench.log, |number, mark| Place { number, mark });
        assert!(matches!(log.hold("sink", "a").await.unwrap(), Reads::Here(_)));
        assert!(matches!(log.take("a", Place::default()).await.unwrap(), Turn::Ours(_)));
        for (after, to) in [(Place::default(), place(1, 1)), (place(1, 1), place(2, 2)), (place(2, 2), place(3, 3))] {
            log.write("a", (after, to), b"x", Then::Keep).await.unwrap();
        }
        let come_to = async |number, mark| {
            let upto = Cursor { place: place(number, mark), records: 0 };
            assert_eq!(log.remember("sink", "a", upto, 1).await.unwrap(), CursorKept::Here);
            match log.hold("sink", "a").await.unwrap() {
                Reads::Here(cursor) => cursor.place,
                Reads::Elsewhere => panic!(),
            }
        };
        assert_eq!(come_to(2, 2).await, place(2, 2));
        assert_eq!(come_to(7, 7).await, place(3, 3), "the log never came so far");
        assert_eq!(come_to(2, 9).await, place(0, 0), "there was another batch of this number");
    }

    #[tokio::test]
    async fn a_server_says_what_its_loss_would_take() {
        let server = Redis::start();
        let log = RedisLog::open(Settings { patience: Duration::from_secs(10), ..Settings::of(&server.address()) });
        let log = log.unwrap();
        let set = async |name: &str, value: &str| {
            let command = redis::cmd("CONFIG").arg("SET").arg(name).arg(value).to_owned();
            log.command::<()>(&command).await.unwrap();
        };
        assert_eq!(log.durability().await.unwrap(), Durability::Moments);
        set("appendfsync", "always").await;
        assert_eq!(log.durability().await.unwrap(), Durability::Disk);
        set("appendonly", "no").await;
        assert_eq!(log.durability().await.unwrap(), Durability::Nothing);
    }
}
