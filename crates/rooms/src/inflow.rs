//! The adaptive inlet of a kept room, and how the room went.

use waiting_room::{Adaptive, Room, Sample, Seconds, Signals, State, Steering, Turns};

use crate::{Inlet, KeptRoom};

/// What an adaptive inlet remembers from one second to the next. It is forgotten when the process ends, and learnt again.
#[derive(Default)]
pub(crate) struct Inflow {
    steering: Steering,
    /// Turns that had come, and that were taken.
    before: Option<(u32, u32)>,
}

impl Inflow {
    /// How many to let in now.
    pub(crate) fn step(&mut self, settings: &Adaptive, room: &Room, signals: &Signals) -> u32 {
        let counters = room.counters();
        let served = u32::try_from(counters.serving.max(0)).unwrap_or(u32::MAX);
        let (came, taken) = (room.line().called(), counters.tokens);
        let (came_before, taken_before) = self.before.replace((came, taken)).unwrap_or((came, taken));
        if counters.state != State::Open {
            return 0;
        }
        let turns = Turns {
            waiting: counters.queue.saturating_sub(came),
            came: came.saturating_sub(came_before),
            taken: taken.saturating_sub(taken_before),
        };
        let by = self.steering.step(settings, signals, &turns);
        // What is ahead of the line already is let in already.
        let ahead = served.saturating_sub(counters.last);
        by.saturating_sub(ahead)
    }

    /// Goes on where another node was, which let in so many a second.
    pub(crate) fn go_on_at(&mut self, rate: f64) {
        self.steering.go_on_at(rate);
    }

    pub(crate) fn rate(&self) -> f64 {
        self.steering.rate()
    }
}

impl KeptRoom {
    /// How many visitors a second its adaptive inlet lets in, if it has one.
    pub fn inflow(&self) -> Option<f64> {
        matches!(self.settings().inlet, Inlet::Adaptive(_)).then(|| {
            let held = self.held.lock();
            if self.is_shared() { held.nodes.rate() } else { held.steering.rate() }
        })
    }

    /// How it went until now, as long as anything is known of it.
    pub fn history(&self, now: Seconds) -> Vec<Sample> {
        self.held.lock().room.history().until(now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use waiting_room::Adaptive;

    use crate::tests::{Scene, settings};
    use crate::{Activation, Durability, Inlet, PassEnding, Settings};

    #[tokio::test]
    async fn who_waits_is_let_in_as_fast_as_answers_come() {
        let adaptive = Adaptive { target: 200_000, failures: 50, least: 60, most: 6_000, in_flight: None, settles: 0 };
        let durability = Durability::Process;
        let scene = Scene::with(Settings { inlet: Inlet::Adaptive(adaptive), durability, ..settings() });
        scene.joined(10_000).await;
        let mut inflows = Vec::new();
        for (millis, seconds) in [(20, 30), (900, 30), (20, 30)] {
            for _ in 0..seconds {
                for _ in 0..30 {
                    scene.room.passes();
                    let ending = PassEnding::Answered(Duration::from_millis(millis));
                    scene.room.passed(ending, &Activation::default(), 0);
                }
                scene.wait(1);
                scene.tick();
            }
            inflows.push(scene.room.inflow().unwrap());
        }
        let [fast, slow, again] = inflows[..] else { panic!() };
        assert!(fast > 50.0 && slow < 10.0 && again > 2.0 * slow, "{inflows:?}");
        assert!(scene.serving().await.parse::<u32>().unwrap() > 500);
    }

    #[tokio::test]
    async fn a_quiet_room_has_a_turn_or_two_for_whoever_comes_and_no_more() {
        let adaptive = Adaptive { target: 200_000, failures: 50, least: 60, most: 6_000, in_flight: None, settles: 0 };
        let scene = Scene::with(Settings { inlet: Inlet::Adaptive(adaptive), ..settings() });
        for _ in 0..100 {
            scene.wait(1);
            scene.tick();
        }
        assert_eq!(scene.serving().await, "1");
    }
}
