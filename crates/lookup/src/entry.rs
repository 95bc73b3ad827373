//! What is remembered about one question.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::{Lasting, Terms, Ties};

/// What is remembered about one question.
pub(crate) struct Entry<V> {
    /// The last answer, and when it came.
    answer: Option<(Option<Arc<V>>, Instant)>,
    /// How long that is as good as new, if not as long as others.
    fresh: Option<Duration>,
    pub(crate) flight: Option<Flight>,
    /// When the source gave no answer, unless it has since.
    pub(crate) failed: Option<Instant>,
}

/// A question that is being asked.
pub(crate) struct Flight {
    pub(crate) began: Instant,
    /// Its sender goes when it is over, however it ended.
    pub(crate) ended: watch::Receiver<()>,
}

/// What an answer is good for at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// It is as good as new.
    pub(crate) is_fresh: bool,
    /// It should be asked for again.
    pub(crate) is_due: bool,
    /// It may be served.
    pub(crate) can_serve: bool,
}

impl<V> Default for Entry<V> {
    fn default() -> Self {
        Self { answer: None, fresh: None, flight: None, failed: None }
    }
}

impl<V> Entry<V> {
    /// Takes an answer that the source gave at this time.
    pub(crate) fn learn(&mut self, mut answer: Option<Lasting<V>>, at: Instant, ties: &Ties<V>) {
        if let Some((Some(before), _)) = &self.answer {
            match &mut answer {
                Some(answer) => (ties.succeed)(&mut answer.value, before),
                None => (ties.end)(before),
            }
        }
        self.fresh = answer.as_ref().and_then(|answer| answer.fresh);
        self.answer = Some((answer.map(|answer| Arc::new(answer.value)), at));
        self.failed = None;
    }

    pub(crate) fn answer(&self) -> Option<&Option<Arc<V>>> {
        self.answer.as_ref().map(|(answer, _)| answer)
    }

    pub(crate) fn age(&self, now: Instant) -> Option<Duration> {
        self.answer.as_ref().map(|(_, at)| now.saturating_duration_since(*at))
    }

    pub(crate) fn state(&self, terms: &Terms, now: Instant) -> State {
        let age = self.age(now).unwrap_or_default();
        match &self.answer {
            None => State { is_fresh: false, is_due: true, can_serve: false },
            Some((Some(_), _)) => State {
                is_fresh: age < self.fresh.unwrap_or(terms.fresh),
                is_due: age >= self.fresh.map_or(terms.refresh_after, |fresh| fresh * 4 / 5),
                can_serve: age < self.fresh.unwrap_or(terms.fresh) + terms.stale,
            },
            // That there was nothing is no reason to refuse anybody once it may have changed.
            Some((None, _)) => {
                let holds = age < terms.absent;
                State { is_fresh: holds, is_due: !holds, can_serve: holds }
            }
        }
    }

    /// The question under way, if it is.
    pub(crate) fn running(&self) -> Option<&Flight> {
        self.flight.as_ref().filter(|flight| flight.ended.has_changed().is_ok())
    }

    /// Whether the source was in trouble so shortly ago that it is not asked again.
    pub(crate) fn is_left_alone(&self, terms: &Terms, now: Instant) -> bool {
        self.failed.is_some_and(|failed| now.saturating_duration_since(failed) < terms.pause)
    }
}
