//! The adaptive inlet: lets in as many as what is behind the room bears, by what it answers.
//!
//! Additive increase while it answers faster than the target, multiplicative decrease while it answers slower; and beside that
//! a push against what was just seen, which damps: a backend's queue adds up what it gets, so that steps alone would swing.

/// What an operator wants of the adaptive inlet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adaptive {
    /// How long 95 of 100 requests may take at most, in microseconds.
    pub target: u32,
    /// How many of a thousand requests may fail.
    pub failures: u32,
    /// How many a minute come in at least, whatever happens, but while the circuit is open.
    pub least: u32,
    /// How many a minute come in at most.
    pub most: u32,
    /// How many requests may be under way at most for anybody to be let in.
    pub in_flight: Option<u32>,
    /// How many seconds pass until a visitor who is let in shows in what the backend answers.
    pub settles: u32,
}

/// What was seen of the backend since the last step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// Requests that ended.
    pub finished: u32,
    /// Of these, those that failed.
    pub failed: u32,
    /// What 95 of 100 took at most, in microseconds, if enough ended to say so.
    pub slow: Option<u32>,
    /// Requests that are under way.
    pub in_flight: u32,
    /// Whether the circuit is open: the backend is not asked.
    pub is_broken: bool,
}

impl Signals {
    /// What was seen by several who each saw a part: as slow as the slowest, and broken if nobody got through.
    pub fn together(all: impl IntoIterator<Item = Self>) -> Self {
        let (mut sum, mut broken, mut whole) = (Self::default(), false, false);
        for Self { finished, failed, slow, in_flight, is_broken } in all {
            sum.finished = sum.finished.saturating_add(finished);
            sum.failed = sum.failed.saturating_add(failed);
            sum.in_flight = sum.in_flight.saturating_add(in_flight);
            sum.slow = sum.slow.max(slow);
            broken |= is_broken;
            whole |= finished > failed;
        }
        Self { is_broken: broken && !whole, ..sum }
    }
}

/// What became of turns since the last step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turns {
    /// How many wait whose turn has not come.
    pub waiting: u32,
    /// Turns that came.
    pub came: u32,
    /// Turns that were taken.
    pub taken: u32,
}

/// What steers an adaptive inlet. To be asked once a second.
#[derive(Clone, Debug)]
pub struct Steering {
    /// How many visitors a second the backend seems to bear.
    base: f64,
    smoothed: Option<f64>,
    phase: Phase,
    /// Steps in which it was far from the target, one after the other.
    easy: u32,
    /// The part of a visitor that was not let in yet.
    rest: f64,
    came: f64,
    taken: f64,
    /// Steps until failures count again.
    cooling: u32,
    /// What was decided last, a second.
    rate: f64,
}

/// Whether it is known yet what the backend bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It was never near its target.
    Seeking,
    Steering,
}

impl Default for Steering {
    fn default() -> Self {
        let (base, rest, came, taken, rate) = (0.0, 0.0, 0.0, 0.0, 0.0);
        let (smoothed, phase, easy, cooling) = (None, Phase::Seeking, 0, 0);
        Self { base, smoothed, phase, easy, rest, came, taken, cooling, rate }
    }
}

impl Steering {
    /// How many to let in now.
    pub fn step(&mut self, settings: &Adaptive, signals: &Signals, turns: &Turns) -> u32 {
        let (least, most) = (f64::from(settings.least) / 60.0, f64::from(settings.most) / 60.0);
        self.base = self.base.clamp(least, most.max(least));
        self.note_turns(turns);
        self.rate = self.decide(settings, signals, turns, (least, most));
        if self.rate <= 0.0 {
            self.rest = 0.0;
            return 0;
        }
        // Who does not take their turn is nobody's load.
        let due = self.rate / self.shows_up() + self.rest;
        let whole = due.floor();
        self.rest = due - whole;
        // Beyond those who wait only as many as come in a second, so that a quiet time does not open the doors for a rush.
        whole_number(whole).min(turns.waiting.saturating_add(whole_number(self.rate.ceil())))
    }

    /// Goes on where another one was, which let in so many a second.
    pub fn go_on_at(&mut self, rate: f64) {
        (self.base, self.rate, self.phase) = (rate, rate, Phase::Steering);
    }

    /// How many a second it lets in, of those who take their turn.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// The part of turns that is taken.
    pub fn shows_up(&self) -> f64 {
        if self.came < 10.0 { 1.0 } else { (self.taken / self.came).clamp(LEAST_SHOWN, 1.0) }
    }

    fn decide(&mut self, settings: &Adaptive, signals: &Signals, turns: &Turns, (least, most): (f64, f64)) -> f64 {
        if signals.is_broken {
            // Whoever mends it should not be met by everybody at once.
            self.base = (self.base * 0.5).max(least);
            (self.smoothed, self.phase, self.easy) = (None, Phase::Steering, 0);
            return 0.0;
        }
        self.cooling = self.cooling.saturating_sub(1);
        let is_failing = signals.finished >= ENOUGH
            && u64::from(signals.failed) * 1000 > u64::from(signals.finished) * u64::from(settings.failures);
        if is_failing {
            if self.cooling == 0 {
                self.base = (self.base * 0.7).max(least);
                self.cooling = 2 + settings.settles;
            }
            (self.phase, self.easy) = (Phase::Steering, 0);
            return self.base * 0.7;
        }
        if settings.in_flight.is_some_and(|most| signals.in_flight >= most) {
            return 0.0;
        }
        let (pace, target) = (1.0 / (1.0 + 0.5 * f64::from(settings.settles)), f64::from(settings.target.max(1)));
        let Some(slow) = signals.slow else {
            // At first so few come that nothing is said for seconds; but who came must not be stuck in there.
            if self.phase == Phase::Seeking && f64::from(signals.in_flight) <= (2.0 * self.base).max(5.0) {
                self.grow(SOUGHT * pace, turns, most);
            }
            return self.base;
        };
        let seen = f64::from(slow);
        let smoothed = self.smoothed.map_or(seen, |before| 0.5 * before + 0.5 * seen);
        self.smoothed = Some(smoothed);
        let (left, left_now) = ((target - smoothed) / target, (target - seen) / target);
        self.easy = if left >= NEAR { self.easy.saturating_add(1) } else { 0 };
        if self.easy > EASY + settings.settles {
            // It bears much more than before, or one answer was late by chance when few came.
            self.phase = Phase::Seeking;
        }
        if self.phase == Phase::Seeking && left >= NEAR {
            self.grow(SOUGHT * pace, turns, most);
            return self.base;
        }
        if self.phase == Phase::Seeking {
            // What the last step let in has not shown yet.
            self.base = (self.base / (1.0 + SOUGHT * pace)).max(least);
            self.phase = Phase::Steering;
        }
        if left >= 0.0 {
            self.grow(pace * (0.10 * left).min(0.06), turns, most);
        } else {
            self.base = (self.base * (1.0 - pace * (-0.10 * left).min(0.12))).max(least);
        }
        let push = (0.25 * left_now).clamp(-0.5, 0.15);
        (self.base * (1.0 + push)).clamp(least, most)
    }

    /// Only what was used says that more can be borne.
    fn grow(&mut self, part: f64, turns: &Turns, most: f64) {
        if turns.waiting > 0 {
            self.base = (self.base * (1.0 + part)).min(most);
        }
    }

    fn note_turns(&mut self, turns: &Turns) {
        self.came = self.came * FORGOTTEN + f64::from(turns.came);
        self.taken = self.taken * FORGOTTEN + f64::from(turns.taken);
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is whole and not negative; what is too large becomes the largest"
)]
fn whole_number(value: f64) -> u32 {
    value as u32
}

/// So many requests have to end before failures say anything.
const ENOUGH: u32 = 10;
/// How much more it lets in each second while it seeks, as a part.
const SOUGHT: f64 = 0.35;
/// Beyond so many steps far from the target it seeks again.
const EASY: u32 = 5;
/// So near the target seeking ends, as a part of it.
const NEAR: f64 = 0.35;
/// What remains of a count a second later: the last half minute matters.
const FORGOTTEN: f64 = 0.97;
/// At least so many of those whose turn comes are taken to come, so that a few who come late are no flood.
const LEAST_SHOWN: f64 = 0.25;

#[cfg(test)]
#[path = "adaptive_tests.rs"]
mod tests;
