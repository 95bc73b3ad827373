//! Coarse time limits for very many tasks: setting one is an atomic store, and reads no clock.
//!
//! A timer of the runtime costs a request 4 to 12 % of its processor time. A gateway's limits need not be exact to the
//! millisecond, so each runtime has one task that ticks and wakes whoever is late. A limit is kept to within two ticks.
//! The same tick looks at what tasks depend on: see [`Life`] and [`Alarm::watch`].
//! Deliberately not here: timers for what happens once; those are the runtime's.

mod bells;
mod life;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::runtime::{Handle, Id};
use tokio::time::{Instant, MissedTickBehavior};

use self::bells::{Bell, Bells, NEVER};
pub use self::life::{Life, Lives, Over};

/// The time between two ticks.
pub const TICK: Duration = Duration::from_millis(100);

/// In every so many ticks, what tasks depend on is looked at.
const LOOK: u64 = 2;

/// Ticks that a late clock makes up for at once.
const MOST_AT_ONCE: u32 = 3;

/// A time limit that a task sets again and again.
#[derive(Debug)]
pub struct Alarm {
    bell: Bell,
    clock: Arc<Clock>,
}

/// The ticks of one runtime, and who listens to them.
#[derive(Debug, Default)]
struct Clock {
    now: AtomicU64,
    /// The time by the wall when lives were last looked at, in microseconds since 1970.
    wall: AtomicU64,
    bells: Bells,
}

thread_local! {
    static CLOCK: RefCell<Option<(Id, Arc<Clock>)>> = const { RefCell::new(None) };
}

/// The time was up first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired;

impl std::fmt::Display for Expired {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the time is up")
    }
}

impl std::error::Error for Expired {}

impl Alarm {
    /// An alarm that is not set. Must be called within a runtime.
    pub fn new() -> Self {
        let clock = clock();
        Self { bell: clock.bells.take(), clock }
    }

    /// Sets the limit anew, from now on.
    pub fn set(&self, after: Duration) {
        self.bell.at().store(self.clock.now.load(Ordering::Relaxed) + ticks(after), Ordering::Relaxed);
    }

    /// Takes the limit away.
    pub fn clear(&self) {
        self.bell.at().store(NEVER, Ordering::Relaxed);
    }

    /// Whether the time is up; if not, the task is woken when it is.
    pub fn poll_expired(&self, context: &Context<'_>) -> Poll<()> {
        if self.is_expired() {
            return Poll::Ready(());
        }
        self.bell.wakes(context.waker());
        Poll::Pending
    }

    /// Whether the time is up.
    pub fn is_expired(&self) -> bool {
        self.bell.at().load(Ordering::Relaxed) <= self.clock.now.load(Ordering::Relaxed)
    }

    /// Has the task woken when one of these is over, and not any more when one of those before is.
    ///
    /// It costs no allocation, no reading of a clock, and no lock that anybody but the tick wants.
    pub fn watch(&self, lives: Lives) {
        self.bell.watch(lives);
    }

    /// Why what is watched is over; if it is not, the task is woken when it is, within three ticks.
    pub fn poll_over(&self, context: &Context<'_>) -> Poll<Over> {
        if !self.bell.watches() {
            return Poll::Pending;
        }
        if let Some(over) = self.bell.over(self.clock.wall.load(Ordering::Relaxed)) {
            return Poll::Ready(over);
        }
        self.bell.wakes(context.waker());
        Poll::Pending
    }

    /// What `work` comes to, if it does so in time.
    pub async fn limit<F: Future>(&self, after: Duration, work: F) -> Result<F::Output, Expired> {
        let mut work = pin!(work);
        self.set(after);
        let answer = poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => self.poll_expired(context).map(|()| Err(Expired)),
        })
        .await;
        self.clear();
        answer
    }
}

impl Default for Alarm {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.clock.bells.give_back(&self.bell);
    }
}

/// Wakes every task of this thread's runtime that waits with an alarm, so that it looks around.
pub fn wake_all() {
    clock().bells.ring_all();
}

/// Ticks since this thread's runtime first asked; a clock that costs nothing.
pub fn now() -> u64 {
    clock().now.load(Ordering::Relaxed)
}

/// How many ticks a time takes; never none, because the tick under way has begun already.
fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_millis().div_ceil(TICK.as_millis())).unwrap_or(NEVER - 1).saturating_add(1).min(NEVER / 2)
}

/// The clock of the runtime that this thread is in, started if it has none.
fn clock() -> Arc<Clock> {
    let runtime = Handle::current().id();
    CLOCK.with_borrow_mut(|known| match known {
        Some((id, clock)) if *id == runtime => clock.clone(),
        _ => {
            let clock = Arc::new(Clock::default());
            *known = Some((runtime, clock.clone()));
            start(clock.clone());
            clock
        }
    })
}

#[expect(clippy::disallowed_methods, reason = "the clock has nothing to finish: it ends with its runtime")]
fn start(clock: Arc<Clock>) {
    tokio::spawn(async move {
        let mut interval = tokio::time::interval(TICK);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = interval.tick().await;
        let mut owed = Duration::ZERO;
        loop {
            interval.tick().await;
            let now = Instant::now();
            owed += now - std::mem::replace(&mut last, now);
            // A thread that is busy ticks late and makes up for it; one that was stopped does not, because the time in
            // which nobody could be served is not for clients to answer for.
            owed = owed.min(MOST_AT_ONCE * TICK);
            while owed >= TICK {
                owed -= TICK;
                clock.tick();
            }
        }
    });
}

impl Clock {
    fn tick(&self) {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        let looks = now.is_multiple_of(LOOK);
        if looks {
            self.wall.store(wall(), Ordering::Relaxed);
        }
        self.bells.ring(now, looks.then(|| self.wall.load(Ordering::Relaxed)));
    }
}

/// The time by the wall, in microseconds since 1970: credentials expire by it.
#[expect(clippy::disallowed_methods, reason = "the tick is where tasks take the time from")]
fn wall() -> u64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(wall.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_limit_is_kept_to_within_two_ticks() {
        for seconds in [0, 1, 10] {
            let limit = Duration::from_secs(seconds);
            let began = Instant::now();

            assert_eq!(Alarm::new().limit(limit, pending::<()>()).await, Err(Expired));

            let took = began.elapsed();
            assert!(took >= limit && took <= limit + 2 * TICK, "{took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_in_time_is_not_disturbed_and_leaves_no_limit() {
        let alarm = Alarm::new();

        assert_eq!(alarm.limit(Duration::from_secs(1), async { 7 }).await, Ok(7));

        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(!alarm.is_expired());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_is_woken_when_what_it_depends_on_is_over_and_no_other_task_is() {
        let (mine, others) = (Arc::new(Life::new()), Arc::new(Life::new()));
        let alarm = Alarm::new();
        alarm.watch([mine.clone(), Arc::new(Life::new())].into_iter().collect());
        let other = Alarm::new();
        other.watch([others].into_iter().collect());
        let mut over = pin!(poll_fn(|context| alarm.poll_over(context)));
        let mut other_over = pin!(poll_fn(|context| other.poll_over(context)));
        let second = Duration::from_secs(1);
        assert!(tokio::time::timeout(second, &mut over).await.is_err());

        mine.end(Over::Revoked);

        assert_eq!(tokio::time::timeout(4 * TICK, &mut over).await, Ok(Over::Revoked));
        assert!(tokio::time::timeout(second, &mut other_over).await.is_err());
        alarm.watch(Lives::new());
        assert!(tokio::time::timeout(second, poll_fn(|context| alarm.poll_over(context))).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_an_end_is_over_when_that_has_come() {
        let life = Arc::new(Life::new());
        life.lasts_until(Some(wall() - 1));
        let alarm = Alarm::new();
        alarm.watch([life].into_iter().collect());

        let over = poll_fn(|context| alarm.poll_over(context));

        assert_eq!(tokio::time::timeout(4 * TICK, over).await, Ok(Over::Expired));
    }

    #[tokio::test(start_paused = true)]
    async fn alarms_that_are_gone_are_forgotten() {
        let kept = Alarm::new();
        drop(std::iter::repeat_with(Alarm::new).take(1000).collect::<Vec<_>>());
        tokio::time::sleep(3 * TICK).await;

        assert_eq!(kept.clock.bells.rows(), 1);
    }
}
