//! The tasks of a node beside serving: each goes on for as long as the node does.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use telemetry::metrics::{Counter, Family};
use tokio::task::{AbortHandle, JoinSet};

/// The tasks of a node. They end with this.
pub(crate) struct Tasks {
    set: JoinSet<()>,
    panics: Family<Counter>,
}

impl Tasks {
    /// None yet; panics are counted here, by task.
    pub(crate) fn new(panics: Family<Counter>) -> Self {
        Self { set: JoinSet::new(), panics }
    }

    /// Begins a task, and begins it again whenever it panics.
    pub(crate) fn keep<F>(&mut self, name: &str, begin: impl Fn() -> F + Send + 'static) -> AbortHandle
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.set.spawn(kept(name.to_owned(), self.panics.with(&[name]), begin))
    }

    /// Ends all of them.
    pub(crate) fn abort_all(&mut self) {
        self.set.abort_all();
    }
}

/// Runs a task to its end, if need be several times: one that panics is told of and counted, and does not stay away.
pub(crate) async fn kept<F: Future<Output = ()>>(name: String, panics: Counter, begin: impl Fn() -> F) {
    while let Err(panic) = AssertUnwindSafe(begin()).catch_unwind().await {
        panics.add(1);
        tracing::error!(task = name, why = said(&*panic), "a task of the node panicked; it begins again");
        tokio::time::sleep(PAUSE).await;
    }
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}

/// What panics at once each time must not do so all the time.
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use telemetry::metrics::Registry;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_counted_and_begins_again() {
        let registry = Registry::new(10);
        let mut tasks = Tasks::new(watch::Vitals::new(&registry).task_panics);
        let begun = Arc::new(AtomicU32::new(0));
        let counted = begun.clone();
        let task = tasks.keep("follow", move || {
            let begun = counted.fetch_add(1, Ordering::SeqCst) + 1;
            async move {
                assert!(begun > 2, "on purpose");
                std::future::pending::<()>().await;
            }
        });

        tokio::time::sleep(PAUSE * 5).await;

        assert_eq!(begun.load(Ordering::SeqCst), 3);
        assert!(!task.is_finished());
        let metrics = registry.render(None).body;
        assert!(metrics.contains("vestibule_task_panics_total{task=\"follow\"} 2"), "{metrics}");
    }
}
