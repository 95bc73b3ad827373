//! Days and months of a time zone as hours of UTC.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// Why there is no such period.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPeriod {
    /// It is no month.
    #[error("`{0}` is no month; write one such as `2026-01`")]
    NoMonth(String),
    /// It is no date.
    #[error("`{0}` is no date; write one such as `2026-01-31`")]
    NoDate(String),
    /// The contract covers no day of it.
    #[error("the contract covers no day of {0}")]
    NotCovered(Month),
    /// It is too far from now.
    #[error("{0} is beyond the calendar")]
    Beyond(Date),
}

/// A month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month(Date);

/// From when to when a contract holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contract {
    /// Its first day, if it has one.
    pub start: Option<Date>,
    /// The day after its last one, if it has one.
    pub end: Option<Date>,
}

/// The days of a month that a contract covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// The month.
    pub month: Month,
    /// The first day.
    pub from: Date,
    /// The day after the last one.
    pub to: Date,
}

/// Days and months as a time zone has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    zone: TimeZone,
    name: String,
}

impl FromStr for Month {
    type Err = BadPeriod;

    fn from_str(text: &str) -> Result<Self, BadPeriod> {
        let first = if text.len() == "2026-01".len() { format!("{text}-01").parse().ok() } else { None };
        first.map(Self).ok_or_else(|| BadPeriod::NoMonth(text.to_owned()))
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m"))
    }
}

impl Month {
    /// How many days it has.
    pub fn days(self) -> u32 {
        self.0.days_in_month().unsigned_abs().into()
    }

    fn next(self) -> Result<Date, BadPeriod> {
        self.0.checked_add(1.month()).map_err(|_beyond| BadPeriod::Beyond(self.0))
    }
}

impl Contract {
    /// A contract by its dates as they are written.
    pub fn read(start: Option<&str>, end: Option<&str>) -> Result<Self, BadPeriod> {
        let date = |text: &str| text.parse().map_err(|_none| BadPeriod::NoDate(text.to_owned()));
        Ok(Self { start: start.map(date).transpose()?, end: end.map(date).transpose()? })
    }

    /// The days of a month that it covers.
    pub fn within(self, month: Month) -> Result<Period, BadPeriod> {
        let from = self.start.map_or(month.0, |start| start.max(month.0));
        let to = self.end.map_or(month.next()?, |end| end.min(month.next().unwrap_or(end)));
        if to <= from {
            return Err(BadPeriod::NotCovered(month));
        }
        Ok(Period { month, from, to })
    }
}

impl Period {
    /// How many days of the month are covered.
    pub fn days(self) -> u32 {
        let days = (self.to - self.from).get_days();
        days.unsigned_abs()
    }
}

impl Calendar {
    /// The calendar of a zone of the IANA database. `None`: there is no such zone.
    pub fn of(zone: &str) -> Option<Self> {
        Some(Self { zone: TimeZone::get(zone).ok()?, name: zone.to_owned() })
    }

    /// The zone's name.
    pub fn zone(&self) -> &str {
        &self.name
    }

    /// The day to which an hour, counted since 1970, belongs: the last one that has begun when it begins.
    ///
    /// Clocks that are put back at midnight show a day that is over once more; that hour belongs to the new day.
    pub fn day_of(&self, hour: u32) -> Date {
        let second = i64::from(hour) * HOUR;
        let time = Timestamp::from_second(second).unwrap_or(Timestamp::MAX);
        let day = time.to_zoned(self.zone.clone()).date();
        // Where clocks go back at midnight, a day begins twice: its hours are those after the first time.
        match day.tomorrow().map(|next| (next, self.first_hour(next))) {
            Ok((next, Ok(first))) if first <= hour => next,
            _ => day,
        }
    }

    /// The month in which an hour begins.
    pub fn month_of(&self, hour: u32) -> Month {
        Month(self.day_of(hour).first_of_month())
    }

    /// The first hour of the day after the one to which an hour belongs.
    pub fn day_after(&self, hour: u32) -> Result<u32, BadPeriod> {
        let day = self.day_of(hour);
        let next = day.tomorrow().map_err(|_beyond| BadPeriod::Beyond(day))?;
        // A day that a zone left out begins when the next one does.
        Ok(self.first_hour(next)?.max(hour.saturating_add(1)))
    }

    /// The first hour of the month after the one to which an hour belongs.
    pub fn month_after(&self, hour: u32) -> Result<u32, BadPeriod> {
        self.first_hour(self.month_of(hour).next()?)
    }

    /// The first hour that begins in a day or after it.
    pub fn first_hour(&self, day: Date) -> Result<u32, BadPeriod> {
        let beyond = || BadPeriod::Beyond(day);
        let midnight = day.to_zoned(self.zone.clone()).map_err(|_beyond| beyond())?;
        let second = midnight.timestamp().as_second();
        let hour = second.checked_add(HOUR - 1).ok_or_else(beyond)?.div_euclid(HOUR);
        u32::try_from(hour).map_err(|_beyond| beyond())
    }

    /// The hours of a period.
    pub fn hours(&self, period: Period) -> Result<Range<u32>, BadPeriod> {
        Ok(self.first_hour(period.from)?..self.first_hour(period.to)?)
    }
}

/// Seconds.
const HOUR: i64 = 3600;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn month(text: &str) -> Month {
        text.parse().unwrap()
    }

    fn hours(zone: &str, text: &str) -> u32 {
        let whole = Contract::default().within(month(text)).unwrap();
        let hours = Calendar::of(zone).unwrap().hours(whole).unwrap();
        hours.end - hours.start
    }

    #[test]
    fn a_month_has_the_hours_that_its_zone_gives_it() {
        assert_eq!(hours("UTC", "2026-02"), 28 * 24);
        // Clocks go forward in March and back in October.
        assert_eq!(hours("Europe/Berlin", "2026-03"), 31 * 24 - 1);
        assert_eq!(hours("Europe/Berlin", "2026-10"), 31 * 24 + 1);
        assert_eq!(hours("Asia/Kolkata", "2026-10"), 31 * 24);
    }

    #[test]
    fn an_hour_that_midnight_divides_belongs_to_the_day_in_which_it_begins() {
        let calendar = Calendar::of("Asia/Kolkata").unwrap();
        let first: Date = "2026-01-02".parse().unwrap();
        let hour = calendar.first_hour(first).unwrap();
        // Midnight is at half past 18 of the day before, UTC.
        assert_eq!(hour, calendar_utc_hour("2026-01-01", 19));
        assert_eq!(calendar.day_of(hour), first);
        assert_eq!(calendar.day_of(hour - 1), first.yesterday().unwrap());
    }

    fn calendar_utc_hour(day: &str, hour: u32) -> u32 {
        Calendar::of("UTC").unwrap().first_hour(day.parse().unwrap()).unwrap() + hour
    }

    #[test]
    fn a_day_that_begins_twice_has_the_hours_after_the_first_time() {
        let calendar = Calendar::of("America/St_Johns").unwrap();
        let day: Date = "2009-11-01".parse().unwrap();
        let hour = calendar.first_hour(day).unwrap();
        // At a minute past midnight clocks went back by an hour, into the day before.
        assert_eq!((calendar.day_of(hour - 1), calendar.day_of(hour)), (day.yesterday().unwrap(), day));
    }

    #[test]
    fn a_contract_covers_a_part_of_a_month() {
        for (start, end, days) in [
            (None, None, 30),
            (Some("2025-01-01"), Some("2027-01-01"), 30),
            (Some("2026-04-11"), None, 20),
            (None, Some("2026-04-11"), 10),
            (Some("2026-04-30"), Some("2026-05-20"), 1),
        ] {
            let period = Contract::read(start, end).unwrap().within(month("2026-04")).unwrap();
            assert_eq!((period.days(), period.month.days()), (days, 30), "{start:?} {end:?}");
        }
        for (start, end) in [(Some("2026-05-01"), None), (None, Some("2026-04-01")), (Some("2026-04-9"), None)] {
            let read = Contract::read(start, end).and_then(|contract| contract.within(month("2026-04")));
            assert!(read.is_err(), "{start:?} {end:?}");
        }
    }

    #[test]
    fn what_is_no_month_is_refused() {
        for text in ["", "2026", "2026-13", "2026-1", "2026-01-01", "january"] {
            assert!(text.parse::<Month>().is_err(), "{text}");
        }
        assert_eq!(month("2026-01").to_string(), "2026-01");
    }

    #[test]
    fn an_hour_that_is_shown_twice_belongs_to_the_new_day() {
        // On 2009-11-01 clocks in St John's were put back from 00:01 to 23:01 of the day before.
        let calendar = Calendar::of("America/St_Johns").unwrap();
        assert_eq!(calendar.day_of(349_178).to_string(), "2009-10-31");
        assert_eq!(calendar.day_of(349_179).to_string(), "2009-11-01");
    }

    proptest! {
        #[test]
        fn months_divide_time_without_gap_or_overlap(hour in 200_000_u32..900_000) {
            for zone in ["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia"] {
                let calendar = Calendar::of(zone).unwrap();
                let month = calendar.month_of(hour);
                let hours = calendar.hours(Contract::default().within(month).unwrap()).unwrap();
                prop_assert!(hours.contains(&hour), "{zone} {hour} {hours:?}");
                prop_assert_eq!(calendar.month_of(hours.start), month);
                prop_assert_eq!(calendar.month_of(hours.end - 1), month);
            }
        }
    }
}
