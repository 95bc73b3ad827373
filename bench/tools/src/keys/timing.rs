//! Whether the time that it takes to refuse a key says anything about the keys that there are.
//!
//! The test is that of dudect (Reparaz, Balasch, Verbauwhede, 2016): two classes of inputs are asked in random order, the
//! slowest measurements are left out at several bounds, which are the same for both classes, and Welch's t is computed of
//! what is left. Above 4.5 the times differ.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};
use partners::Index;
use serde_json::{Value, json};

use crate::form::{BEFORE_SECRET, Chance, HASHED, complete};

/// Inputs of each class: so many that none is remembered by the processor from its turn before.
const INPUTS: usize = 20_000;

/// Shares of measurements that stay, the fastest ones.
const KEPT: [f64; 5] = [0.5, 0.75, 0.9, 0.99, 1.0];

/// Compares classes of wrong keys, two and two.
pub(crate) fn timing(index: &Index, keys: &Path, samples: usize) -> Result<Value> {
    let text = std::fs::read_to_string(keys)?;
    let right: Vec<&str> = text.lines().take(INPUTS).collect();
    if right.len() < INPUTS {
        bail!("the store has too few keys: {INPUTS} are needed in `keys.txt`");
    }
    let mut chance = Chance(0x1234_5678_9abc_def1);
    let unknown_id: Vec<String> =
        right.iter().map(|_| complete(&format!("vk_live_{}_{}", chance.digits(12), chance.digits(32)))).collect();
    let known_id: Vec<String> = right.iter().map(|key| with_secret(key, 0, &mut chance)).collect();
    let nearly_right: Vec<String> = right.iter().map(|key| with_secret(key, 31, &mut chance)).collect();
    let another: Vec<String> = right.iter().map(|key| with_secret(key, 0, &mut chance)).collect();
    let mut compared = |one: &[String], other: &[String]| t(index, [one, other], samples, &mut chance);
    Ok(json!({
        "samples": samples,
        "keys": index.keys(),
        "known_or_unknown_id": compared(&known_id, &unknown_id),
        "nearly_right_or_all_wrong": compared(&nearly_right, &known_id),
        // What the test says of two classes that are alike.
        "alike": compared(&known_id, &another),
    }))
}

/// A key with the same id and the first `same` characters of its secret; its checksum is right.
fn with_secret(key: &str, same: usize, chance: &mut Chance) -> String {
    let kept = BEFORE_SECRET + same;
    let before = key.get(..kept).unwrap_or_default();
    loop {
        let made = complete(&format!("{before}{}", chance.digits(HASHED - kept)));
        if made != key {
            return made;
        }
    }
}

/// The largest t of all bounds.
fn t(index: &Index, classes: [&[String]; 2], samples: usize, chance: &mut Chance) -> f64 {
    let mut times: [Vec<f64>; 2] = [Vec::with_capacity(samples), Vec::with_capacity(samples)];
    let (mut turns, mut presented) = ([0; 2], String::with_capacity(64));
    while times.iter().any(|times| times.len() < samples) {
        let class = usize::from(chance.next() >> 63 == 1);
        let (Some(inputs), Some(turn), Some(times)) = (classes.get(class), turns.get_mut(class), times.get_mut(class))
        else {
            continue;
        };
        let Some(input) = inputs.get(*turn % inputs.len()) else { continue };
        *turn += 1;
        // Both classes are presented from one place: where an input lies must not count.
        presented.clear();
        presented.push_str(input);
        let input = black_box(presented.as_str());
        let began = Instant::now();
        let found = index.find(input);
        let took = began.elapsed();
        black_box(found.is_ok());
        times.push(f64::from(u32::try_from(took.as_nanos()).unwrap_or(u32::MAX)));
    }
    let mut all: Vec<f64> = times.iter().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let bound = |share: f64| all.get(bound_at(all.len(), share)).copied().unwrap_or(f64::MAX);
    KEPT.into_iter().map(|share| welch(&times, bound(share)).abs()).fold(0.0, f64::max)
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a list"
)]
fn bound_at(length: usize, share: f64) -> usize {
    ((length as f64 * share) as usize).min(length.saturating_sub(1))
}

/// Welch's t of two lists of times, without those above a bound.
fn welch(times: &[Vec<f64>; 2], bound: f64) -> f64 {
    let moments = times.each_ref().map(|times| {
        let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
        for time in times.iter().filter(|time| **time <= bound) {
            count += 1.0;
            let before: f64 = time - mean;
            mean += before / count;
            squares += before * (time - mean);
        }
        (mean, squares / (count - 1.0) / count)
    });
    let [(one, its_error), (other, their_error)] = moments;
    let error = (its_error + their_error).sqrt();
    if error > 0.0 { (one - other) / error } else { 0.0 }
}
