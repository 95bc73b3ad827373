//! Windows by the calendar: seconds, minutes, hours, days, weeks, months and years in a time zone.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How long a window is, by the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Period {
    /// From second to second.
    Second,
    /// From minute to minute.
    Minute,
    /// From hour to hour.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday.
    Week,
    /// From the first of a month to the next.
    Month,
    /// From the first of January to the next.
    Year,
}

impl Period {
    /// The word that settings and messages use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// How many seconds the longest such window has, clock changes aside.
    pub fn seconds(self) -> u64 {
        const DAY: u64 = 24 * 3600;
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => DAY,
            Self::Week => 7 * DAY,
            Self::Month => 31 * DAY,
            Self::Year => 366 * DAY,
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One window: its first second and the first after it, in seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Window {
    /// When it begins.
    pub start: u64,
    /// When the next one begins.
    pub end: u64,
}

/// There is no time zone of this name.
#[derive(Debug, Error)]
#[error("there is no time zone `{0}`; write a name such as `Europe/Berlin` or `UTC`")]
pub struct UnknownZone(String);

/// Knows in which window a moment falls.
///
/// It remembers the window that it answered with last, so that the calendar is asked once per window and not once per request.
pub struct Calendar {
    period: Period,
    zone: TimeZone,
    /// The window answered last: its start in the upper bits, its length in the lower [`LENGTH_BITS`].
    last: AtomicU64,
}

impl Calendar {
    /// The windows of a period in the time zone of this name.
    pub fn new(period: Period, zone: &str) -> Result<Self, UnknownZone> {
        // UTC is known even where the system has no time zone database.
        let zone = match zone {
            "UTC" => TimeZone::UTC,
            _ => TimeZone::get(zone).ok().ok_or_else(|| UnknownZone(zone.to_owned()))?,
        };
        Ok(Self { period, zone, last: AtomicU64::new(0) })
    }

    /// The windows of a period in UTC.
    pub fn utc(period: Period) -> Self {
        Self { period, zone: TimeZone::UTC, last: AtomicU64::new(0) }
    }

    /// How long the windows are.
    pub fn period(&self) -> Period {
        self.period
    }

    /// The window of a moment, in microseconds since 1970.
    pub fn window(&self, now: u64) -> Window {
        let now = now / 1_000_000;
        // One cell, so that start and end always belong together.
        let last = self.last.load(Ordering::Relaxed);
        let (start, length) = (last >> LENGTH_BITS, last & LENGTH_MASK);
        if now.wrapping_sub(start) < length {
            return Window { start, end: start + length };
        }
        let window = self.computed(now);
        self.last.store((window.start << LENGTH_BITS) | (window.end - window.start), Ordering::Relaxed);
        window
    }

    /// A moment as the zone's people write it, such as `2026-03-01T00:00:00+01:00`.
    pub fn written(&self, seconds: u64) -> String {
        let Ok(moment) = signed(seconds).and_then(Timestamp::from_second) else { return String::new() };
        let offset = self.zone.to_offset(moment);
        moment.display_with_offset(offset).to_string()
    }

    fn computed(&self, now: u64) -> Window {
        let now = now.min(LATEST);
        let bounds = match self.period {
            Period::Second => self.within_the_hour(now, 1),
            Period::Minute => self.within_the_hour(now, 60),
            Period::Hour => self.within_the_hour(now, 3600),
            Period::Day | Period::Week | Period::Month | Period::Year => self.by_date(now),
        };
        // The calendar cannot fail between 1970 and `LATEST`. If it did, a second is the safe window: it ends.
        let (start, end) = bounds.unwrap_or((now, now + 1));
        Window { start: start.min(now), end: end.clamp(now + 1, start.min(now) + LENGTH_MASK) }
    }

    /// Windows by the minute hand. They also end where the zone moves its clocks, which may be by half an hour.
    fn within_the_hour(&self, now: u64, length: u64) -> Result<(u64, u64), jiff::Error> {
        let moment = signed(now).and_then(Timestamp::from_second)?;
        let offset = i64::from(self.zone.to_offset(moment).seconds());
        let length = signed(length)?;
        let mut start = moment.as_second() - (moment.as_second() + offset).rem_euclid(length);
        let mut end = start + length;
        if let Some(change) = self.zone.preceding(moment + 1.second()).next() {
            start = start.max(change.timestamp().as_second());
        }
        if let Some(change) = self.zone.following(moment).next() {
            end = end.min(change.timestamp().as_second());
        }
        Ok((unsigned(start), unsigned(end)))
    }

    fn by_date(&self, now: u64) -> Result<(u64, u64), jiff::Error> {
        let today = self.zone.to_datetime(signed(now).and_then(Timestamp::from_second)?).date();
        let (first, next) = match self.period {
            Period::Second | Period::Minute | Period::Hour | Period::Day => (today, today.checked_add(1.day())?),
            Period::Week => {
                let monday = today.checked_sub(i64::from(today.weekday().to_monday_zero_offset()).days())?;
                (monday, monday.checked_add(1.week())?)
            }
            Period::Month => (today.first_of_month(), today.first_of_month().checked_add(1.month())?),
            Period::Year => (today.first_of_year(), today.first_of_year().checked_add(1.year())?),
        };
        let begins = |date: Date| date.to_zoned(self.zone.clone()).map(|zoned| unsigned(zoned.timestamp().as_second()));
        Ok((begins(first)?, begins(next)?))
    }
}

impl fmt::Debug for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Calendar({}, {})", self.period, self.zone.iana_name().unwrap_or("?"))
    }
}

fn signed(seconds: u64) -> Result<i64, jiff::Error> {
    i64::try_from(seconds).map_err(|error| jiff::Error::from_args(format_args!("{error}")))
}

/// Seconds since 1970; what is before it counts as 1970.
fn unsigned(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or(0)
}

/// Enough for two years in seconds.
const LENGTH_BITS: u32 = 26;
const LENGTH_MASK: u64 = (1 << LENGTH_BITS) - 1;

/// The year 9000, which the calendar still knows.
const LATEST: u64 = 221_845_392_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(moment: &str) -> u64 {
        unsigned(moment.parse::<Timestamp>().unwrap().as_second())
    }

    fn window(period: Period, zone: &str, moment: &str) -> Window {
        Calendar::new(period, zone).unwrap().window(seconds(moment) * 1_000_000)
    }

    #[test]
    fn windows_begin_and_end_by_the_zones_calendar() {
        let at = "2026-03-29T12:34:56Z";
        for (period, zone, start, end) in [
            (Period::Second, "UTC", "2026-03-29T12:34:56Z", "2026-03-29T12:34:57Z"),
            (Period::Minute, "UTC", "2026-03-29T12:34:00Z", "2026-03-29T12:35:00Z"),
            (Period::Hour, "UTC", "2026-03-29T12:00:00Z", "2026-03-29T13:00:00Z"),
            (Period::Hour, "Asia/Kolkata", "2026-03-29T12:30:00Z", "2026-03-29T13:30:00Z"),
            (Period::Day, "UTC", "2026-03-29T00:00:00Z", "2026-03-30T00:00:00Z"),
            // The day on which clocks go forward has 23 hours.
            (Period::Day, "Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
            (Period::Week, "Europe/Berlin", "2026-03-22T23:00:00Z", "2026-03-29T22:00:00Z"),
            (Period::Month, "America/New_York", "2026-03-01T05:00:00Z", "2026-04-01T04:00:00Z"),
            (Period::Year, "Pacific/Auckland", "2025-12-31T11:00:00Z", "2026-12-31T11:00:00Z"),
        ] {
            let expected = Window { start: seconds(start), end: seconds(end) };
            assert_eq!(window(period, zone, at), expected, "{period} in {zone}");
        }
    }

    #[test]
    fn an_hour_that_is_cut_by_half_an_hour_makes_two_windows() {
        // Lord Howe Island turns back from 02:00 +11 to 01:30 +10:30, which is at 15:00Z.
        let hour = |moment| window(Period::Hour, "Australia/Lord_Howe", moment);
        let change = seconds("2026-04-04T15:00:00Z");
        assert_eq!(hour("2026-04-04T14:59:59Z"), Window { start: change - 3600, end: change });
        assert_eq!(hour("2026-04-04T15:00:00Z"), Window { start: change, end: change + 1800 });
    }

    #[test]
    fn an_unknown_zone_is_said_to_be_unknown() {
        let error = Calendar::new(Period::Day, "Europe/Atlantis").unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no time zone `Europe/Atlantis`; write a name such as `Europe/Berlin` or `UTC`"
        );
    }

    #[test]
    fn a_moment_is_written_with_the_zones_offset() {
        let calendar = Calendar::new(Period::Month, "Europe/Berlin").unwrap();
        assert_eq!(calendar.written(seconds("2026-02-28T23:00:00Z")), "2026-03-01T00:00:00+01:00");
        assert_eq!(Calendar::utc(Period::Day).written(0), "1970-01-01T00:00:00+00:00");
    }

    fn any_period() -> impl Strategy<Value = Period> {
        prop::sample::select(vec![
            Period::Second,
            Period::Minute,
            Period::Hour,
            Period::Day,
            Period::Week,
            Period::Month,
            Period::Year,
        ])
    }

    fn any_zone() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "UTC",
            "Europe/Berlin",
            "America/Havana",
            "Australia/Lord_Howe",
            "Pacific/Apia",
            "Asia/Kathmandu",
            "Africa/Casablanca",
        ])
    }

    proptest! {
        #[test]
        fn windows_follow_each_other_without_gap_or_overlap(
            period in any_period(), zone in any_zone(), at in 40_000_000..6_000_000_000_u64,
        ) {
            let calendar = Calendar::new(period, zone).unwrap();
            let this = calendar.window(at * 1_000_000);
            prop_assert!(this.start <= at && at < this.end);
            prop_assert!(this.end - this.start <= period.seconds() + 3600);
            prop_assert_eq!(calendar.window(this.start * 1_000_000), this);
            prop_assert_eq!(calendar.window(this.end * 1_000_000 - 1), this);
            prop_assert_eq!(calendar.window(this.end * 1_000_000).start, this.end);
            prop_assert_eq!(calendar.window(this.start * 1_000_000 - 1).end, this.start);
        }

        #[test]
        fn what_is_remembered_is_what_would_be_computed(
            period in any_period(), zone in any_zone(), moments in prop::collection::vec(any::<u64>(), 1..20),
        ) {
            let calendar = Calendar::new(period, zone).unwrap();
            for moment in moments {
                let fresh = Calendar::new(period, zone).unwrap();
                prop_assert_eq!(calendar.window(moment), fresh.window(moment));
            }
        }
    }
}
