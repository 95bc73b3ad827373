//! How long somebody will wait, as an interval that holds four times of five.
//!
//! What is observed is the serving number over time: it has everything in it that makes people wait, inlets, operators, visits
//! that end and turns that nobody takes and others get. For somebody with `d` places before theirs, the forecast is what the last
//! `d` places took, times what such forecasts were wrong by before: every pair of times in the past is one that came true. How
//! far from each other the quantiles of these errors are is then set right by forecasts that were really made and have come
//! true since (adaptive conformal inference, Gibbs and Candès 2021): each that failed widens intervals of its kind a little, and
//! each that held narrows them by a quarter of that, so that four of five hold, however admissions go.

use std::collections::VecDeque;

use crate::Seconds;

/// For how long somebody will wait, with a confidence of [`CONFIDENCE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Seconds at least.
    pub low: u32,
    /// Seconds at most.
    pub high: u32,
}

/// How often an interval holds.
pub const CONFIDENCE: f64 = 0.8;

/// What became of forecasts lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Forecasts of which that is known.
    pub judged: u32,
    /// Those of them that held.
    pub held: u32,
}

/// What is known of how fast a room's serving number goes.
#[derive(Debug, Default)]
pub struct Forecast {
    /// Serving numbers, and when each was reached, in the order of both.
    reached: Vec<(i64, Seconds)>,
    /// Forecasts that were made and have not come true.
    probes: VecDeque<Probe>,
    probed: Seconds,
    levels: Vec<Level>,
    record: Record,
}

/// What is known of forecasts for so many places.
#[derive(Clone, Copy, Debug)]
struct Level {
    /// By how much forecasts were wrong in the past, as logarithms of ratios: the quantiles at a tenth, a half and nine tenths.
    errors: [f64; 3],
    /// How much further from each other the outer two are, by what came true.
    width: f64,
    /// When a forecast of this kind was made last whose outcome is looked at.
    probed: Seconds,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    level: usize,
    serving: i64,
    from: Seconds,
    until: Seconds,
}

impl Forecast {
    /// Notes where the serving number is. To be called each second, or whenever it moves.
    pub fn note(&mut self, serving: i64, now: Seconds) {
        match self.reached.last() {
            Some((last, _)) if *last == serving => {}
            Some((last, at)) if *last < serving && *at <= now => self.reached.push((serving, now)),
            // It was lowered, or the room was reset: what was before says nothing.
            _ => {
                *self = Self { levels: std::mem::take(&mut self.levels), record: self.record, ..Self::default() };
                self.reached.push((serving, now));
            }
        }
        self.thin_out();
        self.judge(serving, now);
        if now.saturating_sub(self.probed) >= PROBE && self.reached.len() >= FEWEST {
            self.probed = now;
            self.learn();
            self.probe(serving, now);
        }
    }

    /// For how long somebody will wait before whom there are so many places, counted with their own. None: nothing is known yet.
    pub fn interval(&self, places: u32, now: Seconds) -> Option<Interval> {
        if places == 0 || self.levels.is_empty() {
            return None;
        }
        let took = self.took(f64::from(places), now)?;
        let exponent = f64::from(places).log2();
        let below = self.level(exponent.floor());
        let above = self.level(exponent.ceil());
        let share = exponent.fract();
        let between = |one: f64, other: f64| one + share * (other - one);
        let [low, high] = [0, 1].map(|end| {
            let [below, above] = [below, above].map(|level| level.bounds().get(end).copied().unwrap_or(0.0));
            (took + 1.0) * between(below, above).exp() - 1.0
        });
        Some(Interval { low: whole(low.floor()), high: whole(high.ceil()) })
    }

    /// What became of forecasts lately.
    pub fn record(&self) -> Record {
        self.record
    }

    /// Forecasts for 1, 2, 4, ... places, as far as so many wait: between them it is a straight line.
    pub fn curve(&self, waiting: u32, now: Seconds) -> Vec<(u32, Interval)> {
        let places = (0..32).map(|exponent| 1_u32 << exponent).take_while(|places| *places / 2 < waiting);
        places.filter_map(|places| Some((places, self.interval(places, now)?))).collect()
    }

    fn level(&self, exponent: f64) -> Level {
        let last = self.levels.len().saturating_sub(1);
        self.levels.get(index(exponent).min(last)).copied().unwrap_or_default()
    }

    /// How many seconds the last so many places took.
    fn took(&self, places: f64, now: Seconds) -> Option<f64> {
        let ((first, begun), (last, _)) = (*self.reached.first()?, *self.reached.last()?);
        let in_all = precise(last.saturating_sub(first));
        if in_all < 1.0 {
            return None;
        }
        let since = f64::from(now.saturating_sub(begun));
        if places >= in_all {
            return Some(since * places / in_all);
        }
        // Between two numbers that were reached it went evenly.
        let number = precise(last) - places;
        Some(f64::from(now) - self.time_of(number)?)
    }

    /// When a number was reached, going evenly from one that was to the next.
    fn time_of(&self, number: f64) -> Option<f64> {
        let after = self.reached.partition_point(|(reached, _)| precise(*reached) < number);
        let (to, at) = *self.reached.get(after)?;
        let Some((from, before)) = after.checked_sub(1).and_then(|before| self.reached.get(before)) else {
            return Some(f64::from(at));
        };
        let share = (number - precise(*from)) / precise(to.saturating_sub(*from));
        Some(f64::from(*before) + share * (f64::from(at) - f64::from(*before)))
    }

    /// Looks what forecasts would have been wrong by.
    fn learn(&mut self) {
        let (Some((first, _)), Some((last, _))) = (self.reached.first(), self.reached.last()) else { return };
        let in_all = precise(last.saturating_sub(*first));
        let (mut errors, mut exponent) = (Level::default().errors, 0);
        let mut levels = Vec::new();
        // Twice as far as anything was ever seen to go, and once more.
        while exponent < LEVELS && (exponent == 0 || f64::from(exponent - 1).exp2() < in_all) {
            let places = f64::from(exponent).exp2();
            let seen = self.errors(places);
            // Pairs of times that overlap tell the same more than once.
            let weight = (in_all / (2.0 * places)).min(precise(i64::try_from(seen.len()).unwrap_or(0)));
            // What is known of fewer places says a little less of more.
            for (error, unknown) in errors.iter_mut().zip(Level::default().errors) {
                *error += (unknown - *error) * STRANGER;
            }
            if let Some(quantiles) = quantiles(seen) {
                for (error, seen) in errors.iter_mut().zip(quantiles) {
                    *error = (*error * PRIOR + seen * weight) / (PRIOR + weight);
                }
            }
            let Level { width, .. } = self.level(f64::from(exponent));
            let probed = self.levels.get(levels.len()).map_or(0, |level| level.probed);
            levels.push(Level { errors, width, probed });
            exponent += 1;
        }
        self.levels = levels;
    }

    /// What forecasts for so many places would have been wrong by, had they been made in the past.
    fn errors(&self, places: f64) -> Vec<f64> {
        let (Some((first, begun)), Some((last, ended))) = (self.reached.first(), self.reached.last()) else {
            return Vec::new();
        };
        let (first, last) = (precise(*first), precise(*last));
        let span = f64::from(*ended) - f64::from(*begun);
        let origins = (1..ORIGINS).map(|origin| f64::from(*begun) + span * f64::from(origin) / f64::from(ORIGINS));
        let error = |at: f64| {
            let index = self.reached.partition_point(|(_, reached)| f64::from(*reached) <= at).checked_sub(1)?;
            let serving = precise(self.reached.get(index)?.0);
            if serving - places < first || serving + places > last {
                return None;
            }
            let took = at - self.time_of(serving - places)?;
            // Whoever waits is served when the number is reached, and not before.
            let reached = self.reached.partition_point(|(reached, _)| precise(*reached) < serving + places);
            let takes = f64::from(self.reached.get(reached)?.1) - at;
            Some(((takes + 1.0) / (took + 1.0)).ln())
        };
        origins.filter_map(error).collect()
    }

    /// Makes a forecast of each kind, to see what comes of it. Those of long waits are made seldom: many that are made together
    /// hold or fail together, and say no more than one.
    fn probe(&mut self, serving: i64, now: Seconds) {
        for level in 0..self.levels.len() {
            let places = 1_u32 << level.min(31);
            let outstanding = self.probes.iter().filter(|probe| probe.level == level).count();
            let Some(Interval { low, high }) = self.interval(places, now) else { continue };
            let every = low.saturating_add(high) / (2 * PARTS);
            let Some(known) = self.levels.get_mut(level) else { continue };
            if outstanding < PROBES && now.saturating_sub(known.probed) >= every {
                known.probed = now;
                let (from, until) = (now.saturating_add(low), now.saturating_add(high));
                self.probes.push_back(Probe { level, serving: serving.saturating_add(places.into()), from, until });
            }
        }
    }

    /// Looks which forecasts have come true, and which have failed.
    fn judge(&mut self, serving: i64, now: Seconds) {
        let (levels, record) = (&mut self.levels, &mut self.record);
        self.probes.retain(|probe| {
            let is_reached = probe.serving <= serving;
            let has_failed = now > probe.until || is_reached && now < probe.from;
            if !is_reached && !has_failed {
                return true;
            }
            record.note(has_failed);
            if let Some(level) = levels.get_mut(probe.level) {
                let step = if has_failed { CONFIDENCE } else { CONFIDENCE - 1.0 };
                level.width = (level.width * (STEP * step).exp()).clamp(NARROWEST, WIDEST);
            }
            false
        });
    }

    /// Forgets every other number of the older half, so that a day needs no more room than an hour.
    fn thin_out(&mut self) {
        if self.reached.len() < MOST {
            return;
        }
        let half = self.reached.len() / 2;
        let mut number = 0;
        self.reached.retain(|_| {
            number += 1;
            number > half || number % 2 == 1
        });
    }
}

impl Record {
    fn note(&mut self, has_failed: bool) {
        if self.judged >= LATELY {
            *self = Self { judged: self.judged / 2, held: self.held / 2 };
        }
        self.judged += 1;
        self.held += u32::from(!has_failed);
    }
}

impl Level {
    /// Logarithms of what a forecast is to be multiplied by.
    fn bounds(&self) -> [f64; 2] {
        let [low, middle, high] = self.errors;
        [middle + self.width * (low - middle), middle + self.width * (high - middle)]
    }
}

/// Before anything is known.
impl Default for Level {
    fn default() -> Self {
        Self { errors: [-0.26, 0.0, 0.26], width: 1.0, probed: 0 }
    }
}

/// The quantiles at a tenth, a half and nine tenths.
fn quantiles(mut values: Vec<f64>) -> Option<[f64; 3]> {
    values.sort_unstable_by(f64::total_cmp);
    let at = |tenths: usize| values.get(((values.len().checked_sub(1)?) * tenths + 5) / 10).copied();
    Some([at(1)?, at(5)?, at(9)?])
}

#[expect(clippy::cast_precision_loss, reason = "nobody waits behind so many that it matters")]
fn precise(number: i64) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what is beyond is at the bound")]
fn whole(number: f64) -> u32 {
    number as u32
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what is beyond is at the bound")]
fn index(number: f64) -> usize {
    number as usize
}

/// Serving numbers that have to be known before anything is forecast.
const FEWEST: usize = 3;
/// Serving numbers that are remembered.
const MOST: usize = 1024;
/// Times in the past at which it is looked what a forecast would have been wrong by.
const ORIGINS: u32 = 32;
/// How many pairs of times what was assumed, or is known of fewer places, is worth.
const PRIOR: f64 = 2.0;
/// How much less what is known of forecasts says of those for twice as many places.
const STRANGER: f64 = 0.18;
/// Kinds of forecasts: for 1, 2, 4, ... places.
const LEVELS: u32 = 28;
/// Seconds between two forecasts of a kind at least.
const PROBE: Seconds = 5;
/// Into so many parts they divide the time that they are for.
const PARTS: u32 = 100;
/// How many of a kind may not have come true.
const PROBES: usize = 64;
/// So many forecasts are lately.
const LATELY: u32 = 1000;
/// How much a forecast that failed widens others.
const STEP: f64 = 0.035;
const NARROWEST: f64 = 0.1;
const WIDEST: f64 = 20.0;

#[cfg(test)]
mod tests;
