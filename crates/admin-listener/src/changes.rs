//! Changes go on to their end, whether or not whoever asked stays to hear of it: half of one would be worse than none.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

/// What is being changed at the moment.
#[derive(Clone)]
pub struct Changes(Arc<Semaphore>);

impl Default for Changes {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST as usize)))
    }
}

impl Changes {
    /// Makes a change. Once it has begun it ends, also where nobody waits for the answer any more. There is none if it panics.
    #[expect(clippy::disallowed_methods, reason = "`Changes::ended` awaits it")]
    pub async fn make<T: Send + 'static>(&self, change: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let place = self.0.clone().acquire_owned().await.ok()?;
        let made = tokio::spawn(async move {
            let made = change.await;
            drop(place);
            made
        });
        made.await.map_err(|error| tracing::error!(%error, "an admin request broke off")).ok()
    }

    /// Waits, for some seconds, until what has begun has ended.
    pub async fn ended(&self) {
        if tokio::time::timeout(PATIENCE, self.0.acquire_many(MOST)).await.is_err() {
            tracing::warn!("changes by the Admin API are cut off");
        }
    }
}

/// Changes at a time; more wait.
const MOST: u32 = 256;

/// How long a gateway that ends waits for changes.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_change_that_has_begun_ends_though_nobody_waits_for_it_any_more() {
        let changes = Changes::default();
        let (go_on, told) = oneshot::channel::<()>();
        let (done, is_done) = oneshot::channel();
        {
            let change = async move {
                told.await.unwrap();
                done.send("done").unwrap();
            };
            let mut making = pin!(changes.make(change));
            assert!(making.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }

        go_on.send(()).unwrap();
        changes.ended().await;

        assert_eq!(is_done.await, Ok("done"));
        assert_eq!(changes.make(async { 7 }).await, Some(7));
    }
}
