//! Whether visitors have to wait at all: a room that activates by itself when what is behind it has too much to do.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use turns::MayWrite;
use waiting_room::sensor::{Ending, Sensor};
use waiting_room::{Cause, Event, RequestId, Room, Rules, Seconds, State};

use crate::room::Held;
use crate::{KeptRoom, NotKept};

/// When visitors have to wait: when one of these is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activation {
    /// So many requests are under way.
    pub in_flight: Option<u32>,
    /// One of twenty takes longer.
    pub latency: Option<Duration>,
    /// So many of a thousand fail.
    pub failures: Option<u32>,
    /// So many requests come in a second.
    pub rate: Option<u32>,
}

/// What decides whether visitors have to wait.
#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) sensor: Sensor,
    is_active: AtomicBool,
    /// Turns that nobody waited for are to be taken back, once it is this node's turn.
    takes_back: AtomicBool,
    /// Requests of each quarter of a second of the last one, and which that was.
    quarter: AtomicU64,
    arrived: [AtomicU32; 4],
    /// When it was last too much, in microseconds since 1970.
    pressed: AtomicU64,
    /// Requests that were let through this second while the room could not be asked: the second, and how many.
    unasked: AtomicU64,
}

impl KeptRoom {
    /// A request comes, at this time in microseconds since 1970: whether its visitor has to wait like everybody. While the room
    /// is not open, everybody is told so.
    pub fn has_to_wait(&self, activation: &Activation, now: u64) -> bool {
        let state = self.state_now(u32::try_from(now / 1_000_000).unwrap_or(u32::MAX));
        self.is_pressed(activation, now) || state.is_ok_and(|state| state != State::Open)
    }

    fn is_pressed(&self, activation: &Activation, now: u64) -> bool {
        let gate = self.gate();
        let arrived = gate.arrives(now);
        if gate.is_too_much(activation, arrived, now) {
            gate.pressed.store(now, Ordering::Relaxed);
            if !gate.is_active.swap(true, Ordering::Relaxed) {
                self.activated(now);
            }
            return true;
        }
        if !gate.is_active.load(Ordering::Relaxed) {
            return false;
        }
        let pressed = gate.pressed.load(Ordering::Relaxed);
        if pressed > now + LATE * QUARTER {
            // The clock was set back.
            gate.pressed.store(now, Ordering::Relaxed);
        }
        let calm = now.saturating_sub(pressed);
        let is_over = calm > CALM && self.look(nobody_waits).unwrap_or(false);
        if is_over && gate.is_active.swap(false, Ordering::Relaxed) {
            tracing::info!(room = &**self.name(), "visitors need not wait any more");
        }
        !is_over
    }

    /// Whether visitors have to wait, in a room that activates by itself.
    pub fn is_active(&self) -> bool {
        self.gate().is_active.load(Ordering::Relaxed)
    }

    /// A request is let through to what is behind the room. Its end has to be told.
    pub fn passes(&self) {
        self.gate().sensor.begin();
    }

    /// A request that was let through came to its end, at this time in microseconds since 1970.
    pub fn passed(&self, ending: Ending, activation: &Activation, now: u64) {
        self.gate().sensor.end(ending, activation.latency, now / HALF);
    }

    /// Whether a request may pass of those that may in a second while the room cannot be asked.
    pub fn passes_unasked(&self, per_second: u32, now: Seconds) -> bool {
        let (second, unasked) = (u64::from(now) << 32, &self.gate().unasked);
        let next = |before: u64| if before & !u64::from(u32::MAX) == second { before + 1 } else { second + 1 };
        let before = unasked.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |before| {
            let next = next(before);
            (next & u64::from(u32::MAX) <= u64::from(per_second)).then_some(next)
        });
        before.is_ok()
    }

    /// What a browser shows that came while nobody had to wait: it need not wait when others do.
    pub fn pass(&self, now: Seconds) -> String {
        let mut bytes = [0; 16];
        if let Some(first) = bytes.first_chunk_mut() {
            *first = now.to_be_bytes();
        }
        self.tickets().ticket(&self.scope_of_passes(), RequestId(bytes))
    }

    /// Since when a browser has been let in, if it shows that; it ends when a token would.
    pub fn read_pass(&self, pass: &str, now: Seconds) -> Option<Seconds> {
        let RequestId(bytes) = self.tickets().read(&self.scope_of_passes(), pass)?;
        let since = Seconds::from_be_bytes(*bytes.first_chunk()?);
        (since <= now && now - since <= self.settings().validity).then_some(since)
    }

    /// No room has such a name.
    fn scope_of_passes(&self) -> String {
        format!("{} passes", self.name())
    }

    /// Visitors have to wait from now on. Turns that nobody waited for are none for those who come now.
    fn activated(&self, now: u64) {
        tracing::warn!(room = &**self.name(), "visitors have to wait from now on");
        let now = u32::try_from(now / 1_000_000).unwrap_or(u32::MAX);
        self.gate().takes_back.store(true, Ordering::Relaxed);
        // Where nodes share the room, it is done with the turn to write.
        if !self.is_shared()
            && let Err(cause) = self.take_back_if_due(&mut self.held.lock(), (now, Some(&MayWrite::default())))
        {
            tracing::warn!(room = &**self.name(), %cause, "turns that nobody waited for could not be taken back");
        }
    }

    /// Takes turns back that nobody waited for, if that is to be done yet.
    pub(crate) fn take_back_if_due(
        &self,
        held: &mut Held,
        (now, turn): (Seconds, Option<&MayWrite>),
    ) -> Result<(), NotKept> {
        let takes_back = &self.gate().takes_back;
        if !takes_back.load(Ordering::Relaxed) {
            return Ok(());
        }
        turn.ok_or(NotKept::NotOurTurn)?;
        takes_back.store(false, Ordering::Relaxed);
        if let Some(event) = taken_back(&held.room, now, &self.settings().rules) {
            self.happen(held, &event)?;
        }
        Ok(())
    }
}

impl Gate {
    /// A request comes; so many came in the last second.
    fn arrives(&self, now: u64) -> u32 {
        let quarter = now / QUARTER;
        let mut before = self.quarter.fetch_max(quarter, Ordering::Relaxed);
        if before > quarter + LATE {
            // The clock was set back, and nothing of what is counted is of this second.
            self.quarter.store(quarter, Ordering::Relaxed);
            before = 0;
        }
        // What lies between was without requests.
        for passed in (before + 1).max(quarter.saturating_sub(3))..=quarter {
            if let Some(count) = self.arrived.get(place_of(passed)) {
                count.store(0, Ordering::Relaxed);
            }
        }
        if let Some(count) = self.arrived.get(place_of(quarter)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.arrived.iter().fold(0, |sum, count| sum.saturating_add(count.load(Ordering::Relaxed)))
    }

    fn is_too_much(&self, activation: &Activation, arrived: u32, now: u64) -> bool {
        let Activation { in_flight, latency, failures, rate } = *activation;
        if rate.is_some_and(|most| arrived > most) || in_flight.is_some_and(|most| self.sensor.in_flight() >= most) {
            return true;
        }
        if latency.is_none() && failures.is_none() {
            return false;
        }
        self.sensor.parts(now / HALF).is_some_and(|parts| {
            (latency.is_some() && parts.slow > SLOW) || failures.is_some_and(|most| parts.failed > most)
        })
    }
}

/// That turns are taken back that nobody waits for, if an inlet gave any.
fn taken_back(room: &Room, now: Seconds, rules: &Rules) -> Option<Event> {
    let given = room.turns_ahead().saturating_sub(room.line().by_hand);
    let given = i64::try_from(given).unwrap_or(i64::MAX);
    if given > 0 { room.move_by(-given, now, Cause::Inlet, rules) } else { None }
}

fn nobody_waits(room: &Room) -> bool {
    let counters = room.counters();
    i64::from(counters.last) <= counters.serving
}

fn place_of(quarter: u64) -> usize {
    usize::try_from(quarter % 4).unwrap_or_default()
}

/// In microseconds.
const QUARTER: u64 = 250_000;
const HALF: u64 = 500_000;
/// Quarters of a second by which a request may be late that somebody else held up.
const LATE: u64 = 240;
/// Without having too much to do for so long, nobody has to wait, if nobody does.
const CALM: u64 = 10_000_000;
/// Of a thousand requests, so many may take longer.
const SLOW: u32 = 50;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Scene, settings};
    use crate::{Inlet, Settings};

    use waiting_room::{Periodic, Tuned};

    const NOW: u64 = 1_800_000_000_000_000;

    #[tokio::test]
    async fn a_room_activates_by_the_rate_within_the_second_and_rests_when_it_is_calm() {
        let scene = Scene::new();
        let activation = Activation { rate: Some(100), ..Activation::default() };
        let comes = |after: u64| scene.room.has_to_wait(&activation, NOW + after);
        assert!(!(0..100).any(|number| comes(number * 5_000)));
        assert!(comes(500_000) && scene.room.is_active());
        assert!(comes(2_000_000), "it does not flicker");
        scene.join().await;
        assert!(comes(13_000_000), "somebody waits");
        scene.increment(1).await;
        assert!(!comes(13_000_001) && !scene.room.is_active());
        assert!(!(0..50).any(|number| comes(20_000_000 + number)), "a short burst below the rate");
    }

    #[tokio::test]
    async fn a_room_activates_by_what_is_under_way_by_latency_and_by_failures() {
        let slow = Some(Duration::from_millis(100));
        let answered = |millis: u64| Ending::Answered(Duration::from_millis(millis));
        for (activation, ending) in [
            (Activation { latency: slow, ..Activation::default() }, answered(101)),
            (Activation { failures: Some(100), ..Activation::default() }, Ending::Failed(None)),
            (Activation { failures: Some(100), ..Activation::default() }, Ending::NotSent),
        ] {
            let scene = Scene::new();
            let end = |ending| {
                scene.room.passes();
                scene.room.passed(ending, &activation, NOW);
            };
            (0..40).for_each(|_| end(answered(99)));
            assert!(!scene.room.has_to_wait(&activation, NOW), "{activation:?}");
            (0..10).for_each(|_| end(ending));
            assert!(scene.room.has_to_wait(&activation, NOW), "{activation:?}");
        }
        let scene = Scene::new();
        let activation = Activation { in_flight: Some(2), ..Activation::default() };
        scene.room.passes();
        assert!(!scene.room.has_to_wait(&activation, NOW));
        scene.room.passes();
        assert!(scene.room.has_to_wait(&activation, NOW));
    }

    #[tokio::test]
    async fn turns_that_nobody_waited_for_are_none_for_a_rush_unless_somebody_gave_them_by_hand() {
        let periodic = Periodic { by: 50, every: 1, from: 0, until: None };
        for (inlet, by_hand) in [(Inlet::Periodic(periodic), 0), (Inlet::Manual, 0), (Inlet::Manual, 1000)] {
            let scene = Scene::with(Settings { inlet, ..settings() });
            scene.room.tune(Some(Tuned::Periodic(periodic)), scene.now.get()).await.unwrap();
            scene.increment(by_hand).await;
            scene.tick();
            assert_eq!(scene.serving().await, (50 + by_hand).to_string());
            scene.joined(7).await;
            let activation = Activation { in_flight: Some(0), ..Activation::default() };
            assert!(scene.room.has_to_wait(&activation, NOW));
            assert_eq!(scene.serving().await, (7 + by_hand).to_string());
        }
    }

    #[test]
    fn a_clock_that_is_set_back_has_no_room_wait_for_ever() {
        let scene = Scene::new();
        let slow = Some(Duration::from_millis(100));
        let activation = Activation { rate: Some(9), latency: slow, ..Activation::default() };
        let comes = |now| {
            scene.room.passes();
            scene.room.passed(Ending::Answered(Duration::from_millis(200)), &activation, now);
            scene.room.has_to_wait(&activation, now)
        };
        assert!((0..40).any(|_| comes(NOW + 3_600_000_000)));
        for second in 1..=20 {
            scene.room.has_to_wait(&activation, NOW + second * 1_000_000);
        }
        assert!(!scene.room.is_active());
    }

    #[tokio::test]
    async fn who_was_in_before_shows_it_until_a_token_would_end() {
        let scene = Scene::new();
        let pass = scene.room.pass(1000);
        assert_eq!(scene.room.read_pass(&pass, 1000), Some(1000));
        assert_eq!((scene.room.read_pass(&pass, 4600), scene.room.read_pass(&pass, 4601)), (Some(1000), None));
        assert_eq!((scene.room.read_pass(&pass, 999), scene.room.read_ticket(&pass)), (None, None));
        let ticket = scene.room.ticket(RequestId::of([0; 16]));
        assert_eq!(scene.room.read_pass(&ticket, 1000), None);
    }

    #[test]
    fn so_many_a_second_pass_while_a_room_cannot_be_asked() {
        let scene = Scene::new();
        let passed = |now| (0..100).filter(|_| scene.room.passes_unasked(7, now)).count();
        assert_eq!((passed(10), passed(11), passed(11)), (7, 7, 0));
    }
}
