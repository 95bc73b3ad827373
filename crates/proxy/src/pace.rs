//! How fast a client must be: a minimum rate, counted only while the client is waited for.

use std::task::{Context, Poll};

use alarm::Alarm;
use model::limits::Settled;

/// A client came or took below the minimum rate for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooSlow;

/// Watches one direction of one body.
pub(crate) struct Pace {
    /// Bytes that a tick must bring.
    per_tick: u64,
    /// Ticks that are looked at together.
    grace: u64,
    /// Bytes since the last look.
    bytes: u64,
    /// Ticks waited since the last look, those of the wait under way not included.
    waited: u64,
    /// When the wait under way began.
    since: Option<u64>,
    alarm: Option<Alarm>,
}

impl Pace {
    pub(crate) fn new(limits: &Settled) -> Self {
        let tick = u64::try_from(alarm::TICK.as_millis()).unwrap_or(100);
        let grace = u64::try_from(limits.min_rate_grace.duration().as_millis()).unwrap_or(u64::MAX) / tick;
        Self {
            per_tick: limits.min_rate.bytes() * tick / 1000,
            grace: grace.max(1),
            bytes: 0,
            waited: 0,
            since: None,
            alarm: None,
        }
    }

    /// Notes that the client sent or took something.
    pub(crate) fn progress(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Notes that the client is not waited for any more.
    pub(crate) fn rest(&mut self) {
        if let Some(since) = self.since.take() {
            self.waited += alarm::now().saturating_sub(since);
        }
    }

    /// To be called when nothing goes on before the client moves. Ready if it is too slow.
    pub(crate) fn poll_wait(&mut self, context: &Context<'_>) -> Poll<TooSlow> {
        let alarm = self.alarm.get_or_insert_default();
        let now = alarm::now();
        let since = *self.since.get_or_insert(now);
        let waited = self.waited + now.saturating_sub(since);
        if waited >= self.grace {
            if self.bytes < self.per_tick.saturating_mul(waited) {
                return Poll::Ready(TooSlow);
            }
            (self.bytes, self.waited, self.since) = (0, 0, Some(now));
            alarm.set(alarm::TICK * u32::try_from(self.grace).unwrap_or(u32::MAX));
        } else {
            alarm.set(alarm::TICK * u32::try_from(self.grace - waited).unwrap_or(u32::MAX));
        }
        match alarm.poll_expired(context) {
            Poll::Ready(()) | Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    /// How long a client lasts that moves `bytes` every `pause`, up to two minutes.
    async fn lasts(bytes: usize, pause: Duration) -> Duration {
        let limits = model::limits::Limits::default().settle(&model::limits::Limits::default());
        let mut pace = Pace::new(&limits);
        let began = tokio::time::Instant::now();
        while began.elapsed() < Duration::from_mins(2) {
            let wait = poll_fn(|context| pace.poll_wait(context));
            if tokio::time::timeout(pause, wait).await.is_ok() {
                break;
            }
            pace.progress(bytes);
            pace.rest();
        }
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn one_byte_a_second_is_cut_soon_after_the_grace() {
        let lasted = lasts(1, Duration::from_secs(1)).await;
        assert!((10..13).contains(&lasted.as_secs()), "{lasted:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_cut_and_a_fair_rate_is_not() {
        assert!(lasts(0, Duration::from_secs(200)).await.as_secs() < 13);
        assert!(lasts(300, Duration::from_secs(1)).await.as_secs() >= 120);
    }
}
