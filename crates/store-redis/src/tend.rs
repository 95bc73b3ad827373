//! The task that finds the server, and does what nobody waits for.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, RedisResult};
use tokio::sync::mpsc;

use crate::{Debt, Errand, Here, connect};

/// How often the server is looked for while it is away.
const AGAIN: Duration = Duration::from_millis(200);

/// Goes on until it is aborted.
pub(crate) async fn tend(client: Client, here: Arc<Here>, mut errands: mpsc::Receiver<Errand>) {
    let mut is_first = true;
    loop {
        if here.connection.load().is_none() {
            match find(&client, &here).await {
                Ok(connection) => {
                    here.connection.store(Some(Arc::new(connection)));
                    if here.is_doubtful.swap(false, Ordering::Relaxed) {
                        tracing::info!("Redis answers again, and knows what was granted meanwhile");
                    }
                    // What went into debt between the payment and now.
                    pay_rest(&here).await;
                    is_first = false;
                }
                Err(cause) if is_first => {
                    here.doubt(&cause);
                    is_first = false;
                }
                Err(_) => {}
            }
        }
        let wait = tokio::time::timeout(AGAIN, errands.recv()).await;
        match wait {
            Ok(Some(errand)) => run(&here, errand).await,
            Ok(None) => return,
            Err(_) if here.debts.lock().is_empty() => {}
            Err(_) => pay_rest(&here).await,
        }
    }
}

/// Connects, and pays what is owed: whoever asks next finds all of it counted.
async fn find(client: &Client, here: &Here) -> RedisResult<MultiplexedConnection> {
    let mut connection = connect::connection(client, &here.settings).await?;
    redis::cmd("PING").query_async::<()>(&mut connection).await?;
    pay(here, &mut connection).await?;
    Ok(connection)
}

async fn pay_rest(here: &Here) {
    if let Some(connection) = here.connection.load_full() {
        let mut connection = MultiplexedConnection::clone(&connection);
        if let Err(cause) = pay(here, &mut connection).await {
            here.doubt(&cause);
        }
    }
}

/// Pays all debts. One whose payment is not confirmed is paid again: better too much counted than too little.
async fn pay(here: &Here, connection: &mut MultiplexedConnection) -> RedisResult<()> {
    let debts: Vec<_> = here.debts.lock().iter().map(|(place, debt)| (place.clone(), *debt)).collect();
    for ((counter, window), Debt { n, known }) in debts {
        let key = here.counter(&counter, window);
        let before = known.saturating_sub(n.unsigned_abs());
        let before = if n < 0 { known } else { before };
        here.scripts.pay(&key, n, before, window).invoke_async::<()>(connection).await?;
        let mut debts = here.debts.lock();
        let place = (counter, window);
        if let Some(debt) = debts.get_mut(&place) {
            debt.n -= n;
            if debt.n == 0 {
                debts.remove(&place);
            }
        }
    }
    Ok(())
}

async fn run(here: &Here, errand: Errand) {
    // What is not given back is lost to whoever had it; nobody gets more than he may.
    let _done = match errand {
        Errand::Return { counter, window, n } => {
            here.ask::<()>(&here.scripts.give_back(&here.counter(&counter, window), n)).await
        }
        Errand::StepBack { name, returned } => {
            here.ask::<()>(&here.scripts.step_back(&here.key("rate", &name), returned)).await
        }
    };
}
