//! Sealed secrets in a table, for a vault that all nodes share.
//!
//! A vault is asked by threads that may wait. A thread of its own, with a runtime of its own, asks the database for them: so no
//! runtime waits for itself.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use secrets::{Held, Shelf, Trouble as SecretsTrouble};
use tokio::runtime;
use tokio_postgres::Client;

use crate::connect::{self, Settings};
use crate::trouble::Trouble;
use crate::{OpenError, bounded};

/// The table of sealed secrets.
pub struct Sealed {
    asking: mpsc::Sender<Asked>,
    /// Held by whoever changes something in this process.
    alone: Mutex<()>,
}

/// What the thread is asked, and where it answers.
struct Asked {
    question: Question,
    answer: mpsc::Sender<Result<Answer, Trouble>>,
}

enum Question {
    Read(String),
    Write(String, Vec<u8>),
    Names,
    Lock,
    Unlock,
}

enum Answer {
    Content(Option<Vec<u8>>),
    Names(Vec<String>),
    Done,
}

impl Sealed {
    /// The table of a database whose tables are made.
    pub fn open(settings: Settings) -> Result<Self, OpenError> {
        let (asking, asked) = mpsc::channel::<Asked>();
        let unavailable = |error: std::io::Error| OpenError::Unavailable(store::Unavailable::because(error));
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(unavailable)?;
        let work = move || {
            let mut kept = None;
            while let Ok(Asked { question, answer }) = asked.recv() {
                // Nobody may wait for the answer any more; then it is nobody's.
                drop(answer.send(runtime.block_on(bounded(reply(&settings, &mut kept, question)))));
            }
        };
        thread::Builder::new().name("sealed".to_owned()).spawn(work).map_err(unavailable)?;
        Ok(Self { asking, alone: Mutex::default() })
    }

    fn ask(&self, question: Question) -> Result<Answer, SecretsTrouble> {
        let (answer, answered) = mpsc::channel();
        let gone = |what: &str| format!("the thread that asks the database {what}");
        self.asking.send(Asked { question, answer }).map_err(|_gone| gone("is gone"))?;
        Ok(answered.recv().map_err(|_gone| gone("gave up"))??)
    }
}

/// A connection, and whether it holds the lock of all nodes. With its end the lock is let go.
struct Kept {
    client: Client,
    lock: LockOf,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LockOf {
    Us,
    Nobody,
}

/// Answers a question on a connection that is kept for the next one.
async fn reply(settings: &Settings, kept: &mut Option<Kept>, question: Question) -> Result<Answer, Trouble> {
    // A connection on which anything failed may be in any state.
    let Kept { client, mut lock } = match kept.take().filter(|kept| !kept.client.is_closed()) {
        Some(kept) => kept,
        None => Kept { client: connected(settings).await?, lock: LockOf::Nobody },
    };
    if matches!(question, Question::Write(..) | Question::Unlock) && lock == LockOf::Nobody {
        // The connection that held it is lost, and somebody else may have changed what this one has read.
        *kept = Some(Kept { client, lock });
        return Err(Trouble::LockLost);
    }
    let answer = match question {
        Question::Read(name) => {
            let found = client.query_opt("SELECT content FROM sealed WHERE name = $1", &[&name]).await?;
            Answer::Content(found.map(|row| row.try_get(0)).transpose()?)
        }
        Question::Write(name, content) => {
            const SQL: &str = "INSERT INTO sealed VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET content = $2";
            client.execute(SQL, &[&name, &content]).await?;
            Answer::Done
        }
        Question::Names => {
            let found = client.query("SELECT name FROM sealed", &[]).await?;
            Answer::Names(found.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
        }
        Question::Lock => {
            client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await?;
            lock = LockOf::Us;
            Answer::Done
        }
        Question::Unlock => {
            client.execute("SELECT pg_advisory_unlock($1)", &[&LOCK]).await?;
            lock = LockOf::Nobody;
            Answer::Done
        }
    };
    *kept = Some(Kept { client, lock });
    Ok(answer)
}

#[expect(clippy::disallowed_methods, reason = "the connection ends with its client")]
async fn connected(settings: &Settings) -> Result<Client, Trouble> {
    let unusable = |error: OpenError| store::StoreError::from(store::Unavailable::because(error));
    let (config, tls) = connect::pieces(settings).map_err(unusable)?;
    let (client, connection) = config.connect(tls).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection of the vault is lost");
        }
    });
    Ok(client)
}

impl Shelf for Sealed {
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, SecretsTrouble> {
        match self.ask(Question::Read(name.to_owned()))? {
            Answer::Content(content) => Ok(content),
            Answer::Names(_) | Answer::Done => Ok(None),
        }
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), SecretsTrouble> {
        self.ask(Question::Write(name.to_owned(), content.to_vec())).map(drop)
    }

    fn names(&self) -> Result<Vec<String>, SecretsTrouble> {
        match self.ask(Question::Names)? {
            Answer::Names(names) => Ok(names),
            Answer::Content(_) | Answer::Done => Ok(Vec::new()),
        }
    }

    fn lock(&self) -> Result<Box<dyn Held + '_>, SecretsTrouble> {
        let Some(alone) = self.alone.try_lock_for(LONGEST) else {
            return Err("another thread changes secrets, and does not come to an end".into());
        };
        self.ask(Question::Lock)?;
        Ok(Box::new(Locked { sealed: self, _alone: alone }))
    }
}

/// The lock of all nodes, held.
struct Locked<'a> {
    sealed: &'a Sealed,
    _alone: MutexGuard<'a, ()>,
}

impl Held for Locked<'_> {}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.sealed.ask(Question::Unlock) {
            // Then the connection is lost, and the lock with it.
            tracing::warn!(error, "the lock of secrets went with its connection");
        }
    }
}

/// Drawn by lot, and nobody else's.
const LOCK: i64 = 7_204_913_850_116_424_071;
/// How long another thread may change secrets.
const LONGEST: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use secrets::{Error, Masters, Vault};

    use super::*;

    fn vault(address: &str, masters: &[&str]) -> Result<Vault, Error> {
        let masters = Masters::Given(masters.iter().map(|key| (*key).to_owned()).collect());
        Vault::on(Box::new(Sealed::open(Settings::of(address)).unwrap()), masters)
    }

    fn put(vault: &Vault, name: &str, content: &[u8]) {
        vault.update::<_, Error>(name, |_| Ok(((), Some(content.to_vec())))).unwrap();
    }

    const OLD: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const NEW: &str = "HwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[tokio::test]
    async fn nodes_share_secrets_and_exchange_keys_while_others_read() {
        let opened = crate::tests::open().await;
        let address = opened.database.address();
        let (here, there) = (vault(&address, &[OLD]).unwrap(), vault(&address, &[OLD]).unwrap());
        put(&here, "a", b"plain text");
        assert_eq!(there.get("a").unwrap().unwrap(), b"plain text");
        assert_eq!(there.get("b").unwrap(), None);

        assert_eq!(there.rotate_data_key().unwrap(), 1);
        assert_eq!(here.get("a").unwrap().unwrap(), b"plain text");
        vault(&address, &[NEW, OLD]).unwrap().rotate_master_key().unwrap();
        assert_eq!(vault(&address, &[NEW]).unwrap().get("a").unwrap().unwrap(), b"plain text");
        assert!(matches!(vault(&address, &[OLD]).err(), Some(Error::WrongMasterKey(..))));

        let client = opened.client().await.unwrap();
        let found = client.query("SELECT content FROM sealed", &[]).await.unwrap();
        let all: Vec<u8> = found.iter().flat_map(|row| row.get::<_, Vec<u8>>(0)).collect();
        assert!(!all.windows(10).any(|window| window == b"plain text"));
    }

    #[tokio::test]
    async fn nothing_is_written_once_the_lock_is_lost() {
        const SQL: &str = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted \
                           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let opened = crate::tests::open().await;
        let address = opened.database.address();
        let vault = vault(&address, &[OLD]).unwrap();
        put(&vault, "a", b"old");
        let shelf = Sealed::open(Settings::of(&address)).unwrap();
        let content = shelf.read("a").unwrap().unwrap();
        let lock = shelf.lock().unwrap();
        // As when the server is restarted.
        let ended = opened.client().await.unwrap().query(SQL, &[]).await.unwrap();
        assert_eq!(ended.len(), 1);
        put(&vault, "a", b"of somebody else");

        assert!(shelf.write("a", &content).is_err());
        assert!(shelf.write("a", &content).is_err(), "nor on the next connection");
        drop(lock);

        assert_eq!(vault.get("a").unwrap().unwrap(), b"of somebody else");
        let _lock = shelf.lock().unwrap();
        shelf.write("a", &content).unwrap();
    }

    #[tokio::test]
    async fn changes_at_once_take_turns() {
        let opened = crate::tests::open().await;
        let address = opened.database.address();
        let vaults = [(); 3].map(|()| vault(&address, &[OLD]).unwrap());
        put(&vaults[0], "count", &[0]);

        thread::scope(|scope| {
            for vault in &vaults {
                scope.spawn(move || {
                    for _ in 0..20 {
                        let more = |before: Option<Vec<u8>>| Ok(((), before.map(|before| vec![before[0] + 1])));
                        vault.update::<_, Error>("count", more).unwrap();
                    }
                });
            }
        });

        assert_eq!(vaults[0].get("count").unwrap().unwrap(), [60]);
    }
}
