//! Intervals against waits that came true, on three patterns of arrivals and admissions that are the same each time.

use super::*;

/// Chance that is the same each time (`SplitMix64`).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (precise((mixed >> 11).cast_signed()) + 0.5) / 2_f64.powi(53)
    }

    /// How many of very many unlikely things happen.
    fn poisson(&mut self, mean: f64) -> u32 {
        let (mut count, mut product) = (0, self.next());
        while product > (-mean).exp() {
            product *= self.next();
            count += 1;
        }
        count
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.next().ln()).sqrt() * (std::f64::consts::TAU * self.next()).cos()
    }
}

/// How many arrive and how many are let in, second by second.
type Pattern = Vec<(u32, u32)>;

const HOUR: usize = 3600;

/// Twenty thousand come at once and some later; ten are let in every other second, of whom one in five does not show up, and whose
/// turns others get a quarter of an hour later.
fn opening(chance: &mut Chance) -> Pattern {
    let mut pattern = vec![(0, 0); 2 * HOUR];
    for second in 0..pattern.len() {
        let decay = (-precise(i64::try_from(second).unwrap()) / 60.0).exp();
        pattern[second].0 += chance.poisson(330.0 * decay + 0.5);
        if second % 2 == 1 {
            pattern[second].1 += 10;
            let absent = u32::try_from((0..10).filter(|_| chance.next() < 0.2).count()).unwrap();
            if let Some(later) = pattern.get_mut(second + 900) {
                later.1 += absent;
            }
        }
    }
    pattern
}

/// A site that bears 600 visits, each of which takes about five minutes, at times longer; whoever leaves makes room.
fn steady(chance: &mut Chance) -> Pattern {
    let mut pattern = vec![(0, 0); 3 * HOUR];
    let mut leaving = vec![0_u32; 4 * HOUR];
    let mut mood = 0.0;
    let mut inside = 0;
    for second in 0..pattern.len() {
        inside -= leaving[second].min(inside);
        mood = 0.999 * mood + 0.015 * chance.normal();
        let free = 600_u32.saturating_sub(inside);
        for _ in 0..free {
            let length = 300.0 * (mood + 0.5 * chance.normal()).exp();
            let end = (second + 1 + index(length)).min(leaving.len() - 1);
            leaving[end] += 1;
        }
        inside += free;
        pattern[second] = (chance.poisson(2.6), free);
    }
    pattern
}

/// Waves of arrivals, and an operator who lets in more or fewer every ten minutes or so, in steps of a minute.
fn waves(chance: &mut Chance) -> Pattern {
    let mut pattern = vec![(0, 0); 4 * HOUR];
    let mut rate = 120.0;
    for (second, (arrive, admit)) in pattern.iter_mut().enumerate() {
        let phase = precise(i64::try_from(second).unwrap()) / 2400.0 * std::f64::consts::TAU;
        *arrive = chance.poisson(2.4 + 1.6 * phase.sin());
        if second % 600 == 0 {
            rate = (rate * (0.35 * chance.normal()).exp()).clamp(60.0, 240.0);
        }
        if second % 60 == 30 {
            *admit = chance.poisson(rate);
        }
    }
    pattern
}

/// The share of intervals, told to visitors every now and then while they wait, that held.
fn held(pattern: &Pattern, chance: &mut Chance) -> (f64, usize) {
    let (mut forecast, mut queue, mut serving) = (Forecast::default(), 0_i64, 0_i64);
    let (mut told, mut held, mut all) = (Vec::<(i64, u32, Interval)>::new(), 0, 0);
    for (second, (arrive, admit)) in (1000_u32..).zip(pattern) {
        queue += i64::from(*arrive);
        serving += i64::from(*admit);
        forecast.note(serving, second);
        told.retain(|(place, at, interval)| {
            let waits = second - at;
            if *place > serving {
                return true;
            }
            all += 1;
            held += usize::from((interval.low..=interval.high).contains(&waits));
            false
        });
        // Somebody of those who wait looks.
        let waiting = queue - serving;
        if waiting > 0 && second % 3 == 0 {
            let places = 1 + i64::from(whole(chance.next() * precise(waiting)));
            if let Some(interval) = forecast.interval(u32::try_from(places).unwrap(), second) {
                told.push((serving + places, second, interval));
            }
        }
    }
    let record = forecast.record();
    let known = f64::from(record.held) / f64::from(record.judged);
    assert!(record.judged >= 200 && (0.7..=0.9).contains(&known), "what is known of them: {record:?}");
    // Those who wait to the end are told of nothing.
    (precise(held.try_into().unwrap()) / precise(all.try_into().unwrap()), all)
}

#[test]
fn four_of_five_intervals_hold_whatever_the_pattern() {
    for (name, pattern) in [("opening", opening as fn(&mut Chance) -> Pattern), ("steady", steady), ("waves", waves)] {
        let mut shares = Vec::new();
        for seed in 1..=3 {
            let mut chance = Chance(seed);
            let pattern = pattern(&mut chance);
            let (share, all) = held(&pattern, &mut chance);
            assert!(all > 500, "{name}: {all}");
            shares.push(share);
        }
        let mean = shares.iter().sum::<f64>() / 3.0;
        assert!((0.75..=0.85).contains(&mean), "{name}: {mean:.3} of {shares:.3?}");
    }
}

#[test]
fn nothing_is_told_before_anything_is_known() {
    let mut forecast = Forecast::default();
    assert_eq!(forecast.interval(10, 100), None);
    for second in 0..60 {
        forecast.note(0, second);
    }
    assert_eq!((forecast.interval(10, 60), forecast.curve(100, 60)), (None, Vec::new()));
}

#[test]
fn what_goes_evenly_is_known_closely_and_longer_lines_take_longer() {
    let mut forecast = Forecast::default();
    for second in 0..3000_u32 {
        forecast.note(i64::from(second * 5), second);
    }
    let interval = forecast.interval(1000, 3000).unwrap();
    assert!(interval.low <= 201 && 199 <= interval.high && interval.high - interval.low < 150, "{interval:?}");
    let curve = forecast.curve(5000, 3000);
    assert_eq!(curve.last().unwrap().0, 8192);
    assert!(curve.windows(2).all(|pair| pair[0].1.high <= pair[1].1.high), "{curve:?}");
}

#[test]
fn a_reset_begins_anew() {
    let mut forecast = Forecast::default();
    for second in 0..300_u32 {
        forecast.note(i64::from(second), second);
    }
    assert!(forecast.interval(10, 300).is_some());
    forecast.note(0, 301);
    assert_eq!(forecast.interval(10, 301), None);
}

#[test]
fn any_history_is_taken_without_harm() {
    let mut chance = Chance(7);
    let mut forecast = Forecast::default();
    for _ in 0..5000 {
        let serving = whole(chance.next() * 1e9);
        let serving = if chance.next() < 0.01 { i64::MIN } else { i64::from(serving) };
        forecast.note(serving.saturating_sub(5), whole(chance.next() * 4e9));
        let places = whole(chance.next() * 4e9);
        let _interval = forecast.interval(places, whole(chance.next() * 4e9));
    }
}
