//! The adaptive inlet: lets in as many as what is behind the room bears, by what it answers.
//!
//! A backend's queue adds up what it gets, and how long answers take tells of it when it is too late. So what is steered is how
//! much is under way: as many come in as requests end, more while less is under way than there may be, fewer while it is more,
//! with visitors counted who were called and are on their way. How much there may be follows from how long answers take: time
//! under way is requests under way by requests a second (Little's law), so it fits at once when the backend is slower or faster.

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
    /// Of these, those that took longer than the target.
    pub late: u32,
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
        for Self { finished, failed, late, slow, in_flight, is_broken } in all {
            sum.finished = sum.finished.saturating_add(finished);
            sum.failed = sum.failed.saturating_add(failed);
            sum.late = sum.late.saturating_add(late);
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
#[derive(Clone, Debug, Default)]
pub struct Steering {
    /// How many visitors a second the backend seems to bear.
    base: f64,
    phase: Phase,
    /// Steps in which it was far from the target, one after the other.
    easy: u32,
    /// The part of a visitor that was not let in yet.
    rest: f64,
    /// Steps until failures count again.
    cooling: u32,
    /// What was decided last, a second.
    rate: f64,
    flow: Flow,
    visitors: Visitors,
}

/// What is seen of requests.
#[derive(Clone, Debug)]
struct Flow {
    /// The square of what 95 of 100 took, smoothed. Late answers weigh more, as they do for those who wait.
    slow: Option<f64>,
    /// What is aimed at, as a part of the target: less, if more than five of a hundred were late over some time.
    aim: f64,
    /// Requests that end in a second, smoothed.
    speed: f64,
    /// How long requests are under way on average while the target is met, in seconds.
    dwell: f64,
    /// Steps without enough to say anything.
    silent: u32,
    /// Requests that ended in the last half minute.
    ended: f64,
}

/// What is seen of visitors.
#[derive(Clone, Debug, Default)]
struct Visitors {
    /// Turns of the last half minute that came, and that were taken.
    came: f64,
    taken: f64,
    /// Those who were called and are not there yet.
    coming: f64,
    /// For how many seconds they usually are that.
    way: f64,
}

/// Whether it is known yet what the backend bears.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// It was never near its target.
    #[default]
    Seeking,
    Steering,
}

impl Steering {
    /// How many to let in now.
    pub fn step(&mut self, settings: &Adaptive, signals: &Signals, turns: &Turns) -> u32 {
        let (least, most) = (f64::from(settings.least) / 60.0, f64::from(settings.most) / 60.0);
        self.base = self.base.clamp(least, most.max(least));
        self.visitors.note(turns, self.rate);
        self.flow.note(signals);
        self.rate = self.decide(settings, signals, turns, (least, most));
        if self.rate <= 0.0 {
            self.rest = 0.0;
            return 0;
        }
        // Who does not take their turn is nobody's load.
        let due = self.rate / self.visitors.part() + self.rest;
        let whole = due.floor();
        self.rest = due - whole;
        // Beyond those who wait only as many as come in a second, so that a quiet time does not open the doors for a rush.
        whole_number(whole).min(turns.waiting.saturating_add(whole_number(self.rate.ceil())))
    }

    /// Goes on where another one was, which let in so many a second, and finds out from there what the backend bears.
    pub fn go_on_at(&mut self, rate: f64) {
        (self.base, self.rate) = (rate, rate);
    }

    /// How many a second it lets in, of those who take their turn.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    fn decide(&mut self, settings: &Adaptive, signals: &Signals, turns: &Turns, (least, most): (f64, f64)) -> f64 {
        let target = f64::from(settings.target.max(1));
        if signals.is_broken {
            // Whoever mends it should not be met by everybody at once.
            self.base = (self.base * 0.5).max(least);
            (self.flow.slow, self.phase, self.easy) = (None, Phase::Steering, 0);
            self.flow.begin(self.base, target);
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
            self.flow.begin(self.base, target);
            return self.base * 0.7;
        }
        if settings.in_flight.is_some_and(|most| signals.in_flight >= most) {
            return 0.0;
        }
        let pace = 1.0 / (1.0 + 0.5 * f64::from(settings.settles));
        let left = signals.slow.map(|slow| (target - f64::from(slow)) / target);
        if self.phase == Phase::Seeking {
            if left.is_none_or(|left| left >= NEAR) {
                // At first so few come that nothing is said for seconds; but who came must not be stuck in there.
                if left.is_some() || f64::from(signals.in_flight) <= (2.0 * self.base).max(5.0) {
                    self.grow(SOUGHT * pace, turns, most);
                }
                return self.base;
            }
            (self.phase, self.easy) = (Phase::Steering, 0);
            self.flow.begin(f64::from(signals.finished), target);
        }
        self.easy = if left.is_some_and(|left| left >= NEAR) { self.easy.saturating_add(1) } else { 0 };
        if self.easy > EASY + settings.settles {
            // It bears much more than before, or one answer was late by chance when few came.
            self.phase = Phase::Seeking;
        }
        self.flow.aim(signals, target, turns.waiting > 0, pace);
        let each = (self.flow.ended / self.visitors.taken.max(1.0)).max(1.0);
        let gap = self.flow.level() - f64::from(signals.in_flight) - self.visitors.unusual(self.rate);
        self.base = (self.flow.speed / each).clamp(least, most);
        let push = if turns.waiting > 0 { gap } else { gap.min(0.0) };
        ((self.flow.speed + PUSH * pace * push) / each).clamp(least, most)
    }

    /// Only what was used says that more can be borne.
    fn grow(&mut self, part: f64, turns: &Turns, most: f64) {
        if turns.waiting > 0 {
            self.base = (self.base * (1.0 + part)).min(most);
        }
    }
}

impl Default for Flow {
    fn default() -> Self {
        Self { slow: None, aim: 1.0, speed: 0.0, dwell: 0.0, silent: 0, ended: 0.0 }
    }
}

impl Flow {
    fn note(&mut self, signals: &Signals) {
        self.ended = self.ended * FORGOTTEN + f64::from(signals.finished);
        if signals.slow.is_none() && signals.finished == 0 {
            self.silent = self.silent.saturating_add(1);
            return;
        }
        let speed = f64::from(signals.finished) / f64::from(self.silent + 1);
        self.speed = 0.4 * self.speed + 0.6 * speed;
        self.silent = 0;
    }

    /// Begins to steer, by a guess.
    fn begin(&mut self, speed: f64, target: f64) {
        (self.speed, self.dwell, self.slow) = (speed, GUESS * target / MICROS, None);
    }

    /// Learns how much may be under way.
    fn aim(&mut self, signals: &Signals, target: f64, may_grow: bool, pace: f64) {
        let Some(slow) = signals.slow.map(f64::from) else { return };
        let smoothed = self.slow.map_or(target * target, |before| KEPT * before + (1.0 - KEPT) * slow * slow);
        self.slow = Some(smoothed);
        let late = f64::from(signals.late) / f64::from(signals.finished.max(1));
        // One bad second is what the square above is for; this is for what remains of many.
        let trim = pace * (TRIM * (LATE - late)).max(-MOST_TRIMMED);
        self.aim = (self.aim + trim).clamp(0.8, 1.05);
        let target = self.aim * target;
        let left = (target - smoothed.sqrt()) / target;
        if left < 0.0 || may_grow {
            let part = (LEARNT * pace * left).clamp(-0.06, 0.03);
            self.dwell = (self.dwell * (1.0 + part)).clamp(0.05 * target / MICROS, target / MICROS);
        }
    }

    /// How many requests may be under way.
    fn level(&self) -> f64 {
        (self.dwell * self.speed).max(1.0)
    }
}

impl Visitors {
    /// Notes what became of turns, while so many a second were let in.
    fn note(&mut self, turns: &Turns, rate: f64) {
        let (came, taken) = (f64::from(turns.came), f64::from(turns.taken));
        (self.came, self.taken) = (self.came * FORGOTTEN + came, self.taken * FORGOTTEN + taken);
        // Who is not there after half a minute does not come.
        self.coming = ((self.coming + came * self.part() - taken) * 0.95).max(0.0);
        self.way = 0.8 * self.way + 0.2 * self.coming / rate.max(1.0);
    }

    /// The part of turns that is taken.
    fn part(&self) -> f64 {
        if self.came < 10.0 { 1.0 } else { (self.taken / self.came).clamp(LEAST_SHOWN, 1.0) }
    }

    /// How many more are on their way than usual where so many come in a second.
    fn unusual(&self, rate: f64) -> f64 {
        self.coming - self.way * rate
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
/// How much of a gap is filled in a second.
const PUSH: f64 = 0.8;
/// What is kept of how slow it was a second before.
const KEPT: f64 = 0.55;
/// How far an error moves what may be under way, as a part, in a second.
const LEARNT: f64 = 0.08;
/// How far a part of answers that were late, beyond what there may be, lowers what is aimed at, in a second.
const TRIM: f64 = 0.07;
const MOST_TRIMMED: f64 = 0.02;
/// The part of answers that may be late.
const LATE: f64 = 0.05;
/// The mean of answers of which 95 of 100 take so long, as a part of that, until it is known.
const GUESS: f64 = 0.7;
const MICROS: f64 = 1e6;
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
