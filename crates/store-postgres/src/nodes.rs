//! The nodes of a database, and the word that goes round when something has changed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use store::{Heard, Nodes, Revision, SILENCE, Straggler, Unavailable};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_postgres::{AsyncMessage, Row};

use crate::connect::{self, Settings};
use crate::rows::signed;
use crate::{OpenError, PostgresStore, bounded};

/// Where changes of entities are told.
pub(crate) const CHANNEL: &str = "vestibule_changes";

/// How long it takes until the next attempt to listen.
const AGAIN: Duration = Duration::from_millis(500);

/// Hears when something has changed, on a connection of its own, for as long as it is there.
pub struct Notices {
    store: Arc<PostgresStore>,
    heard: Arc<Notify>,
    listening: JoinHandle<()>,
}

impl Notices {
    /// Begins to listen.
    #[expect(clippy::disallowed_methods, reason = "it is aborted when it is dropped")]
    pub fn of(store: Arc<PostgresStore>) -> Self {
        let heard = Arc::new(Notify::new());
        let listening = tokio::spawn(listen(store.settings.clone(), heard.clone()));
        Self { store, heard, listening }
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

#[async_trait]
impl Nodes for Notices {
    async fn changed(&self) {
        self.heard.notified().await;
    }

    async fn follows(&self, node: &str, revision: Revision) -> Result<(), Unavailable> {
        const SQL: &str = "INSERT INTO nodes VALUES ($1, $2, now()) \
                           ON CONFLICT (name) DO UPDATE SET revision = $2, seen = now()";
        let follows = async {
            let client = self.store.client().await?;
            let statement = client.prepare_cached(SQL).await?;
            client.execute(&statement, &[&node, &signed(revision.0)]).await?;
            Ok(())
        };
        Ok(bounded(follows).await?)
    }

    async fn behind(&self, revision: Revision) -> Result<Vec<Straggler>, Unavailable> {
        const SQL: &str = "SELECT name, now() - make_interval(secs => $2) < seen FROM nodes \
                           WHERE revision < $1 AND now() - interval '1 day' < seen ORDER BY name";
        let behind = async {
            let client = self.store.client().await?;
            let statement = client.prepare_cached(SQL).await?;
            let found = client.query(&statement, &[&signed(revision.0), &SILENCE.as_secs_f64()]).await?;
            let straggler = |row: &Row| {
                let heard = if row.try_get(1)? { Heard::JustNow } else { Heard::Before };
                Ok(Straggler { node: row.try_get(0)?, heard })
            };
            found.iter().map(straggler).collect()
        };
        Ok(bounded(behind).await?)
    }

    async fn leaves(&self, node: &str) -> Result<(), Unavailable> {
        // Those that died are forgotten on the way.
        const SQL: &str = "DELETE FROM nodes WHERE name = $1 OR seen < now() - interval '1 day'";
        let leaves = async {
            let client = self.store.client().await?;
            client.execute(SQL, &[&node]).await?;
            Ok(())
        };
        Ok(bounded(leaves).await?)
    }
}

/// Listens for as long as anybody wants to hear, and begins anew when the connection is lost.
async fn listen(settings: Settings, heard: Arc<Notify>) {
    let mut is_well = true;
    loop {
        match hear(&settings, &heard, &mut is_well).await {
            Err(cause) if is_well => {
                let cause: &dyn std::error::Error = &cause;
                tracing::warn!(cause, "changes by other nodes are not heard of; they are looked for every second");
                is_well = false;
            }
            Ok(()) | Err(_) => {}
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Listens until the connection is lost.
async fn hear(settings: &Settings, heard: &Notify, is_well: &mut bool) -> Result<(), OpenError> {
    let lost = |error: tokio_postgres::Error| OpenError::Unavailable(Unavailable::because(error));
    let (config, tls) = connect::pieces(settings)?;
    let (client, mut connection) = config.connect(tls).await.map_err(lost)?;
    let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
    let ask = async {
        let asked = client.batch_execute(&format!("LISTEN {CHANNEL}")).await;
        // What was told while nobody listened.
        heard.notify_one();
        asked
    };
    let hear = async {
        while let Some(message) = messages.next().await {
            if let AsyncMessage::Notification(_) = message.map_err(lost)? {
                heard.notify_one();
            }
        }
        Ok(())
    };
    let asked = async {
        ask.await.map_err(lost)?;
        if !*is_well {
            tracing::info!("changes by other nodes are heard of again");
        }
        *is_well = true;
        // The connection ends with its client.
        std::future::pending().await
    };
    tokio::select! {
        ended = asked => ended,
        ended = hear => ended,
    }
}

#[cfg(test)]
mod tests {
    use store::{Commit, EntityId, Kind, Registry, Write};
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn company(name: &str) -> store::Row {
        store::Row {
            id: EntityId::new(Kind::Company, name),
            parent: None,
            refers_to: Vec::new(),
            label: None,
            body: "{}".to_owned(),
        }
    }

    async fn heard(notices: &Notices) {
        timeout(SOON, notices.changed()).await.expect("it is heard");
    }

    #[tokio::test]
    async fn what_one_node_commits_another_hears() {
        let opened = crate::tests::open().await;
        let store = Arc::new(PostgresStore::open(Settings::of(&opened.database.address())).await.unwrap());
        let notices = Notices::of(store);
        heard(&notices).await;

        for name in ["acme", "zeta"] {
            opened.commit(Commit::of(Write::Create(company(name)))).await.unwrap();
            heard(&notices).await;
        }
    }

    #[tokio::test]
    async fn a_node_is_behind_until_it_has_followed_or_left() {
        let opened = crate::tests::open().await;
        let store = Arc::new(PostgresStore::open(Settings::of(&opened.database.address())).await.unwrap());
        let nodes = Notices::of(store);
        let behind = async |revision| {
            let behind = nodes.behind(Revision(revision)).await.unwrap();
            behind.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(behind(1).await, [""; 0]);

        nodes.follows("one", Revision(3)).await.unwrap();
        nodes.follows("two", Revision(1)).await.unwrap();
        assert_eq!(behind(3).await, ["two"]);
        assert_eq!(behind(4).await, ["one", "two"]);
        nodes.follows("two", Revision(4)).await.unwrap();
        assert_eq!(behind(4).await, ["one"]);
        nodes.leaves("one").await.unwrap();
        assert_eq!(behind(4).await, [""; 0]);

        nodes.follows("one", Revision(3)).await.unwrap();
        let client = opened.client().await.unwrap();
        client.execute("UPDATE nodes SET seen = seen - interval '23 hours' WHERE name = 'one'", &[]).await.unwrap();
        assert_eq!(behind(9).await, ["one (silent)", "two"], "one may be cut off and serve");
        client.execute("UPDATE nodes SET seen = seen - interval '1 day'", &[]).await.unwrap();
        assert_eq!(behind(9).await, [""; 0]);
    }

    #[tokio::test]
    async fn a_server_that_comes_back_is_listened_to_again() {
        let mut database = servers::Postgres::start().database();
        let store = Arc::new(PostgresStore::open(Settings::of(&database.address())).await.unwrap());
        let notices = Notices::of(store.clone());
        heard(&notices).await;

        database.server().stop();
        assert!(store.revision().await.is_err());
        database.server().start_again();
        heard(&notices).await;

        store.commit(Commit::of(Write::Create(company("acme")))).await.unwrap();
        heard(&notices).await;
    }
}
