//! How many join and ask a second, and what each costs beside a static answer.

use super::place::{JOIN, Place, Rush, is_good, micros};
use crate::trial::report::Section;
use crate::trial::scene::milliseconds;
use anyhow::Result;

pub(super) fn run(section: &mut Section) -> Result<()> {
    let mut place = Place::make("room-rush")?;
    place.start()?;
    let still = place.rush("/still", "")?;
    let process = place.rush("/fast/assign_queue_num", JOIN)?;
    let polls = [("/wait/serving_num?event_id=Sample".to_owned(), "serving_num"), (place.queue_num()?, "queue_num")];
    let disk = place.rush("/wait/assign_queue_num", JOIN)?;
    let told = |rush: &Rush| {
        format!(
            "{:.0}/s, p99 {}, {:.1} µs of CPU each, {} bad",
            rush.rate,
            milliseconds(rush.p99),
            micros(rush),
            rush.bad
        )
    };
    section.row(
        "joins, on the disk before they are answered",
        "≥ 20,000/s on one core",
        told(&disk),
        is_good(&disk, 20_000.0),
    );
    section.row("joins, `durability: process`", "≥ 60,000/s on one core", told(&process), is_good(&process, 60_000.0));
    let ratio = micros(&disk) / micros(&still);
    let measured = format!("{ratio:.2} times ({:.1} µs for a static answer)", micros(&still));
    section.row("CPU of a durable join, beside a static answer", "≤ 3 times", measured, ratio <= 3.0);
    for (path, name) in polls {
        let poll = place.rush(&path, "")?;
        let ratio = poll.rate / still.rate;
        let measured = format!("{ratio:.2} of {:.0}/s: {}", still.rate, told(&poll));
        section.row(
            format!("polls of `{name}`"),
            "≥ 0.7 of the rate of a static answer",
            measured,
            ratio >= 0.7 && poll.bad < 1.0,
        );
    }
    place.end("TERM")
}
