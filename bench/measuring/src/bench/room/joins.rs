//! How many join and ask a second, and what each costs beside a static answer.

use super::place::{JOIN, Place, Rush, is_good, micros};
use crate::trial::report::Section;
use crate::trial::scene::milliseconds;
use anyhow::Result;

/// The machine's speed differs by half from minute to minute, so all of them are measured several times, in turns.
pub(super) const TURNS: usize = 5;

pub(super) fn run(section: &mut Section) -> Result<()> {
    let mut place = Place::make("room-rush")?;
    place.start()?;
    let queue_num = place.queue_num()?;
    let asked = [
        ("/still", ""),
        ("/fast/assign_queue_num", JOIN),
        ("/wait/assign_queue_num", JOIN),
        ("/wait/serving_num?event_id=Sample", ""),
        (&*queue_num, ""),
    ];
    let mut turns = asked.map(|_| Vec::new());
    for _ in 0..TURNS {
        for ((path, script), turns) in asked.iter().zip(&mut turns) {
            turns.push(place.rush(path, script)?);
        }
    }
    let [still, process, disk, serving_num, queue_num] = turns.map(|mut turns: Vec<Rush>| {
        turns.sort_by(|one, other| one.rate.total_cmp(&other.rate));
        turns.swap_remove(TURNS / 2)
    });
    let told = |rush: &Rush| {
        let p99 = milliseconds(rush.p99);
        format!("{:.0}/s, p99 {p99}, {:.1} µs of CPU each, {} bad", rush.rate, micros(rush), rush.bad)
    };
    let mut joins = |what: &str, bar: &str, rush: &Rush, rate| section.row(what, bar, told(rush), is_good(rush, rate));
    joins("joins, on the disk before they are answered", "≥ 20,000/s on one core", &disk, 20_000.0);
    joins("joins, `durability: process`", "≥ 60,000/s on one core", &process, 60_000.0);
    let ratio = micros(&disk) / micros(&still);
    let measured = format!("{ratio:.2} times ({:.1} µs for a static answer)", micros(&still));
    section.row("CPU of a durable join, beside a static answer", "≤ 3 times", measured, ratio <= 3.0);
    for (poll, name) in [(serving_num, "serving_num"), (queue_num, "queue_num")] {
        let ratio = poll.rate / still.rate;
        let (what, bar) = (format!("polls of `{name}`"), "≥ 0.7 of the rate of a static answer");
        let measured = format!("{ratio:.2} of {:.0}/s: {}", still.rate, told(&poll));
        section.row(what, bar, measured, ratio >= 0.7 && poll.bad < 1.0);
    }
    place.end("TERM")
}
