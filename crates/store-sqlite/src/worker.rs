//! A thread that owns a connection and does one job after another.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use store::{StoreError, Unavailable};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::trouble::Trouble;

/// Jobs that may wait; more callers wait for a place.
const QUEUE: usize = 256;

/// How long a caller waits for its answer.
const PATIENCE: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The way to a thread that owns a connection.
pub(crate) struct Worker {
    jobs: mpsc::Sender<Job>,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("no answer within {PATIENCE:?}")]
    TooSlow,
    #[error("its thread is gone")]
    Stopped,
    #[error("the job was given up")]
    GivenUp,
}

impl Worker {
    /// Starts the thread. It ends when this worker is dropped, after the jobs that wait.
    pub(crate) fn start(name: &str, mut connection: Connection) -> io::Result<Self> {
        let (jobs, mut waiting) = mpsc::channel::<Job>(QUEUE);
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            while let Some(job) = waiting.blocking_recv() {
                // A panic costs its own job only: its transaction is rolled back, its caller is told.
                if catch_unwind(AssertUnwindSafe(|| job(&mut connection))).is_err() {
                    tracing::error!("a job of the store panicked");
                }
            }
        })?;
        Ok(Self { jobs })
    }

    /// Has `work` done by the thread.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Nobody may wait for the answer any more; then it is nobody's.
            drop(reply.send(work(connection)));
        });
        let asked = async {
            self.jobs.send(job).await.map_err(|_closed| Unanswered::Stopped)?;
            answer.await.map_err(|_dropped| Unanswered::GivenUp)
        };
        match timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => answer.map_err(StoreError::from),
            Ok(Err(unanswered)) => Err(Unavailable::because(unanswered).into()),
            Err(_) => Err(Unavailable::because(Unanswered::TooSlow).into()),
        }
    }
}
