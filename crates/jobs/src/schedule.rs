//! When a job is due: a cron expression in a time zone.

use cronexpr::{Crontab, MakeTimestamp, parse_crontab};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use store::UnixMicros;

/// Times by the clock of a zone.
///
/// A job of every hour, or of every so many minutes, goes on by real time when clocks are changed. One at certain hours is
/// meant by the clock on the wall: a time that a change leaves out comes as much later as clocks were put on, and of two
/// times of one name the first one counts.
#[derive(Clone, Debug)]
pub struct Schedule {
    by: By,
    zone: TimeZone,
}

#[derive(Clone, Debug)]
enum By {
    /// The expression knows the zone.
    RealTime(Crontab),
    /// The expression is one of a zone whose clocks are never changed.
    Wall(Crontab),
}

/// Why a text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotASchedule {
    /// It does not have five fields.
    #[error(
        "has {0} fields; write five, for minute, hour, day of the month, month and day of the week, such as `30 2 * * *`"
    )]
    Fields(usize),
    /// A field is wrong.
    #[error("is no cron expression: {0}")]
    Expression(String),
    /// It fits no day.
    #[error("never comes: no day fits all of it")]
    Never,
    /// There is no such time zone.
    #[error("`{0}` is no time zone; write one such as `Europe/Berlin`, or `UTC`")]
    Zone(String),
}

impl Schedule {
    /// Reads an expression of five fields.
    pub fn read(at: &str, zone: &str) -> Result<Self, NotASchedule> {
        let fields: Vec<_> = at.split_whitespace().collect();
        let [_, hour, ..] = *fields else { return Err(NotASchedule::Fields(fields.len())) };
        if fields.len() != 5 {
            return Err(NotASchedule::Fields(fields.len()));
        }
        let known = TimeZone::get(zone).map_err(|_unknown| NotASchedule::Zone(zone.to_owned()))?;
        let read = |zone: &str| parse_crontab(&format!("{} {zone}", fields.join(" "))).map_err(|error| wrong(&error));
        let by = if hour.starts_with('*') { By::RealTime(read(zone)?) } else { By::Wall(read("UTC")?) };
        let schedule = Self { by, zone: known };
        // Within eight years every day comes that comes at all.
        schedule
            .next(UnixMicros(SOME_DAY))
            .or_else(|| schedule.next(UnixMicros(FOUR_YEARS_ON)))
            .ok_or(NotASchedule::Never)?;
        Ok(schedule)
    }

    /// The first time after another one, if one comes within four years.
    pub fn next(&self, after: UnixMicros) -> Option<UnixMicros> {
        let after = Timestamp::from_microsecond(i64::try_from(after.0).ok()?).ok()?;
        match &self.by {
            By::RealTime(crontab) => micros(crontab.find_next(MakeTimestamp(after)).ok()?.timestamp()),
            By::Wall(crontab) => {
                let mut wall = after.to_zoned(self.zone.clone()).datetime();
                // Where clocks are put back, the next time on the wall may be over: it came an hour before.
                for _ in 0..TWICE {
                    let shown = wall.to_zoned(TimeZone::UTC).ok()?.timestamp();
                    wall = crontab.find_next(MakeTimestamp(shown)).ok()?.datetime();
                    // A time that is left out is as much later as clocks were put on; of two, the earlier one.
                    let due = wall.to_zoned(self.zone.clone()).ok()?.timestamp();
                    if after < due {
                        return micros(due);
                    }
                }
                None
            }
        }
    }

    /// How many times there are after one time up to another, and the last of them. Not more than a thousand are counted.
    pub(crate) fn between(&self, after: UnixMicros, upto: UnixMicros) -> Option<(u32, UnixMicros)> {
        let (mut count, mut last) = (0, after);
        while count < MOST {
            match self.next(last) {
                Some(due) if due <= upto => (count, last) = (count + 1, due),
                _ => break,
            }
        }
        if count == MOST {
            // What came before an hour ago is not told apart; the last one is.
            let mut recent = UnixMicros(upto.0.saturating_sub(HOUR).max(last.0));
            while let Some(due) = self.next(recent).filter(|due| *due <= upto) {
                (recent, last) = (due, due);
            }
        }
        (0 < count).then_some((count, last))
    }

    /// The zone by whose clock it is.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }
}

/// What the library says is wrong, without the expression, which stands in the document.
fn wrong(error: &cronexpr::Error) -> NotASchedule {
    let said = error.to_string();
    let reason = said.rsplit_once("^ ").map_or(said.as_str(), |(_, reason)| reason);
    NotASchedule::Expression(reason.trim().to_owned())
}

fn micros(at: Timestamp) -> Option<UnixMicros> {
    u64::try_from(at.as_microsecond()).ok().map(UnixMicros)
}

/// Times of one name that can come, one behind the other, where clocks are put back: every minute of a few hours.
const TWICE: usize = 300;
const MOST: u32 = 1000;
const HOUR: u64 = 3_600_000_000;
/// 2026-01-01, and four years on.
const SOME_DAY: u64 = 1_767_225_600_000_000;
const FOUR_YEARS_ON: u64 = SOME_DAY + 1461 * 24 * HOUR;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> UnixMicros {
        micros(text.parse().unwrap()).unwrap()
    }

    /// The times after one, as text.
    fn times(schedule: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::read(schedule, zone).unwrap();
        let mut last = at(after);
        let mut next = || {
            last = schedule.next(last).unwrap();
            Timestamp::from_microsecond(last.0.cast_signed()).unwrap().to_string()
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn a_time_is_by_the_clock_of_its_zone() {
        assert_eq!(times("30 2 * * *", "UTC", "2026-01-01T02:30:00Z", 1), ["2026-01-02T02:30:00Z"]);
        assert_eq!(times("0 3 L * *", "Europe/Berlin", "2026-01-31T02:00:00Z", 1), ["2026-02-28T02:00:00Z"]);
        assert_eq!(times("0 9 * * MON-FRI", "America/New_York", "2026-01-02T15:00:00Z", 1), ["2026-01-05T14:00:00Z"]);
        assert_eq!(times("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", 1), ["2028-02-29T00:00:00Z"]);
    }

    #[test]
    fn a_time_that_a_change_of_clocks_leaves_out_comes_after_it() {
        // In Berlin, 2026-03-29T02:30 does not exist.
        assert_eq!(
            times("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3),
            ["2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]
        );
    }

    #[test]
    fn a_time_that_comes_twice_is_one_time() {
        // In Berlin, 2026-10-25T02:30 comes twice.
        assert_eq!(
            times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
        );
        assert_eq!(times("*/15 2 * * *", "Europe/Berlin", "2026-10-25T00:45:00Z", 1), ["2026-10-26T01:00:00Z"]);
    }

    #[test]
    fn what_comes_every_few_minutes_goes_on_while_clocks_are_changed() {
        assert_eq!(
            times("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", 4),
            ["2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"]
        );
        assert_eq!(
            times("0 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 2),
            ["2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"]
        );
    }

    #[test]
    fn what_is_no_schedule_is_said_with_its_reason() {
        for (text, zone, expected) in [
            ("@daily", "UTC", "has 1 fields"),
            ("0 0 * * * UTC", "UTC", "has 6 fields"),
            ("60 * * * *", "UTC", "is no cron expression: "),
            ("0 0 30 2 *", "UTC", "never comes"),
            ("0 0 * * *", "Europe/Bonn", "`Europe/Bonn` is no time zone"),
        ] {
            let error = Schedule::read(text, zone).unwrap_err().to_string();
            assert!(error.starts_with(expected) && !error.contains('\n'), "{text}: {error}");
        }
    }

    #[test]
    fn times_between_two_are_counted_up_to_a_bound_and_the_last_is_known() {
        let schedule = Schedule::read("* * * * *", "UTC").unwrap();
        let between = |from: &str, upto: &str| schedule.between(at(from), at(upto));
        assert_eq!(between("2026-01-01T00:00:00Z", "2026-01-01T00:00:59Z"), None);
        assert_eq!(between("2026-01-01T00:00:00Z", "2026-01-01T00:03:00Z"), Some((3, at("2026-01-01T00:03:00Z"))));
        assert_eq!(between("2026-01-01T00:00:00Z", "2026-02-01T00:00:30Z"), Some((1000, at("2026-02-01T00:00:00Z"))));
    }

    proptest! {
        #[test]
        fn the_next_time_is_always_later(seconds in 0_u64..4_000_000_000, hour in 0_u8..24, minute in 0_u8..60) {
            let schedule = Schedule::read(&format!("{minute} {hour} * * *"), "Europe/Berlin").unwrap();
            let after = UnixMicros(seconds * 1_000_000);
            let next = schedule.next(after).unwrap();
            prop_assert!(after < next && next.0 - after.0 <= 26 * HOUR);
        }
    }
}
