//! Where long bodies are judged: on threads beside the worker's own, and not too many at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

/// Bytes that a worker's thread judges by itself. While it judges, nobody else of the worker is served.
pub(crate) const INLINE: usize = 4 * 1024;

/// Judgements that may wait for a thread. Beyond that a request cannot be judged, and its route says what becomes of it.
const WAITING: usize = 256;

/// Judges long bodies, as many at a time as there are processors.
pub(crate) struct Workshop {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// Why something was not judged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unjudged {
    #[error("too many bodies wait to be inspected")]
    Busy,
    #[error("the inspection of a body ended without a verdict")]
    Failed,
}

impl Default for Workshop {
    fn default() -> Self {
        let places = std::thread::available_parallelism().map_or(1, usize::from);
        Self { places: Arc::new(Semaphore::new(places)), waiting: AtomicUsize::new(0) }
    }
}

impl Workshop {
    /// Does work that would hold a worker's thread for too long, and gives what comes of it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unjudged> {
        let queue = Queued::enter(&self.waiting).ok_or(Unjudged::Busy)?;
        let place = self.places.clone().acquire_owned().await.map_err(|_closed| Unjudged::Failed)?;
        drop(queue);
        let work = move || {
            // Whoever asked may go away; the work goes on, and has its place until it is done.
            let _place = place;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|_panicked| Unjudged::Failed)
    }
}

/// A place in the queue, given back when its owner goes on or away.
struct Queued<'a>(&'a AtomicUsize);

impl<'a> Queued<'a> {
    fn enter(waiting: &'a AtomicUsize) -> Option<Self> {
        let entered = Self(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < WAITING).then_some(entered)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_elsewhere_and_what_panics_is_no_verdict() {
        let workshop = Workshop::default();
        let here = std::thread::current().id();
        assert_ne!(workshop.run(move || std::thread::current().id()).await.unwrap(), here);
        let failed: Result<(), Unjudged> = workshop.run(|| panic!("no verdict")).await;
        assert!(matches!(failed, Err(Unjudged::Failed)));
        assert_eq!(workshop.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn work_has_its_place_until_it_is_done_also_when_nobody_waits_for_it_any_more() {
        let workshop = Workshop { places: Arc::new(Semaphore::new(1)), waiting: AtomicUsize::new(0) };
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
        let work = workshop.run(move || {
            begun.send(()).unwrap();
            // It ends also if the test does.
            may_go_on.recv().ok();
        });
        tokio::select! {
            biased;
            _ = work => panic!("it cannot be done"),
            begun = has_begun => begun.unwrap(),
        }
        assert_eq!(workshop.places.available_permits(), 0);

        go_on.send(()).unwrap();

        workshop.run(|| ()).await.unwrap();
    }

    #[tokio::test]
    async fn those_who_find_the_queue_full_are_told_at_once() {
        let workshop = Workshop::default();
        workshop.waiting.store(WAITING, Ordering::Relaxed);
        assert!(matches!(workshop.run(|| ()).await, Err(Unjudged::Busy)));
        assert_eq!(workshop.waiting.load(Ordering::Relaxed), WAITING);
    }
}
