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

use crate::form::{BEFORE_ID, BEFORE_SECRET, Chance, HASHED, complete};

/// Shares of measurements that stay, the fastest ones.
const KEPT: [f64; 5] = [0.5, 0.75, 0.9, 0.99, 1.0];

/// A sort of wrong keys. Each is made anew for each measurement: few that are asked often would say something about
/// themselves, such as where each is looked for, and not about their sort.
#[derive(Clone, Copy)]
enum Sort {
    /// No key has its id.
    UnknownId,
    /// A key has its id, and another secret.
    KnownId,
    /// All but the last character of the secret is right.
    NearlyRight,
}

/// Compares sorts of wrong keys, two and two.
pub(crate) fn timing(index: &Index, keys: &Path, samples: usize) -> Result<Value> {
    let text = std::fs::read_to_string(keys)?;
    let right: Vec<&str> = text.lines().collect();
    if right.is_empty() {
        bail!("the store has no keys");
    }
    let mut chance = Chance(0x1234_5678_9abc_def1);
    let mut compared = |one, other| t((index, &right), [one, other], samples, &mut chance);
    Ok(json!({
        "samples": samples,
        "keys": index.keys(),
        "known_or_unknown_id": compared(Sort::KnownId, Sort::UnknownId),
        "nearly_right_or_all_wrong": compared(Sort::NearlyRight, Sort::KnownId),
        // What the test says of two sorts that are one.
        "alike": compared(Sort::KnownId, Sort::KnownId),
    }))
}

/// A wrong key of this sort, whose checksum is right.
fn wrong(sort: Sort, right: &[&str], chance: &mut Chance) -> String {
    let drawn = usize::try_from(chance.next() >> 32).unwrap_or_default() % right.len();
    let key = right.get(drawn).copied().unwrap_or_default();
    let kept = match sort {
        Sort::UnknownId => BEFORE_ID,
        Sort::KnownId => BEFORE_SECRET,
        Sort::NearlyRight => HASHED - 1,
    };
    loop {
        // As much is drawn for each sort, so that none finds another processor than the others.
        let mut hashed = format!("vk_live_{}_{}", chance.digits(12), chance.digits(32));
        hashed.replace_range(..kept, key.get(..kept).unwrap_or_default());
        let made = complete(&hashed);
        if made != key {
            return made;
        }
    }
}

/// The largest t of all bounds.
fn t((index, right): (&Index, &[&str]), sorts: [Sort; 2], samples: usize, chance: &mut Chance) -> f64 {
    let mut times: [Vec<f64>; 2] = [Vec::with_capacity(samples), Vec::with_capacity(samples)];
    let mut presented = String::with_capacity(64);
    while times.iter().any(|times| times.len() < samples) {
        let drawn = usize::from(chance.next() >> 63 == 1);
        let (Some(sort), Some(times)) = (sorts.get(drawn), times.get_mut(drawn)) else { continue };
        let key = wrong(*sort, right, chance);
        // All are presented from one place: where a key lies must not count.
        presented.clear();
        presented.push_str(&key);
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
