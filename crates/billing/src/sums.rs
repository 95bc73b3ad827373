//! Sums of usage, by whom and by what they are told apart.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use store::UsageRow;

use crate::calendar::Calendar;
use crate::statement::hour_text;

/// There are more than are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are more than are wanted")]
pub struct TooMany;

/// What was used, as one sum.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "UsageSums")]
pub struct Sums {
    /// Requests.
    pub requests: u64,
    /// What they count for.
    pub cost: u64,
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of response bodies.
    pub bytes_out: u64,
    /// How long they took together, in microseconds.
    pub latency_micros: u64,
}

/// What sums are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The hour, by UTC.
    Hour,
    /// The day, by a calendar.
    Day,
    /// The month, by a calendar.
    Month,
    /// Who calls.
    Company,
    /// With which app.
    App,
    /// By which product.
    Product,
    /// Which API.
    Api,
    /// Which operation.
    Operation,
    /// With which class of status it was answered.
    Status,
}

/// Sums by what they are told apart by, in the order in which that was asked.
#[derive(Debug)]
pub struct Groups {
    by: Vec<By>,
    /// The sums.
    pub sums: BTreeMap<Vec<(&'static str, Arc<str>)>, Sums>,
    /// The sum of all.
    pub total: Sums,
    /// By which days and months begin.
    pub calendar: Calendar,
    /// How the hour, the day and the month of an hour are called.
    names: HashMap<u32, [Arc<str>; 3]>,
    most: usize,
}

impl Groups {
    /// No sums yet, and so many at most.
    pub fn new(by: Vec<By>, calendar: Calendar, most: usize) -> Self {
        Self { by, sums: BTreeMap::new(), total: Sums::default(), calendar, names: HashMap::new(), most }
    }

    /// How the time of an hour is called.
    pub fn time(&mut self, by: By, hour: u32) -> Arc<str> {
        let Self { calendar, names, .. } = self;
        let names = names.entry(hour).or_insert_with(|| {
            let (day, month) = (calendar.day_of(hour).to_string(), calendar.month_of(hour).to_string());
            [hour_text(hour).into(), day.into(), month.into()]
        });
        let [hour, day, month] = names;
        match by {
            By::Day => day.clone(),
            By::Month => month.clone(),
            _ => hour.clone(),
        }
    }

    /// The hours, days or months in these hours, as they are called. Each is looked at once, however long it is; there are so many
    /// at most.
    pub fn times(&mut self, hours: &Range<u32>, step: By, most: usize) -> Result<Vec<Arc<str>>, TooMany> {
        let longest = match step {
            By::Day => LONGEST_DAY,
            By::Month => LONGEST_MONTH,
            _ => 1,
        };
        if (hours.end.saturating_sub(hours.start) / longest) as usize > most {
            return Err(TooMany);
        }
        let (mut times, mut hour) = (Vec::new(), hours.start);
        while hour < hours.end {
            if times.len() == most {
                return Err(TooMany);
            }
            times.push(self.time(step, hour));
            let next = match step {
                By::Day => self.calendar.day_after(hour),
                By::Month => self.calendar.month_after(hour),
                _ => Ok(hour.saturating_add(1)),
            };
            // Beyond the calendar nothing begins.
            hour = next.unwrap_or(hours.end);
        }
        Ok(times)
    }

    fn of(&mut self, by: By, row: &UsageRow) -> Arc<str> {
        match by {
            By::Hour | By::Day | By::Month => self.time(by, row.hour),
            By::Company => row.company.clone(),
            By::App => row.app.clone(),
            By::Product => row.product.clone(),
            By::Api => row.api.clone(),
            By::Operation => row.operation.clone(),
            By::Status => match row.status_class {
                0 => "none".into(),
                class => format!("{class}xx").into(),
            },
        }
    }

    /// Adds usage.
    pub fn add(&mut self, row: &UsageRow) -> Result<(), TooMany> {
        self.total.absorb(row);
        if self.by.is_empty() {
            return Ok(());
        }
        let of = self.by.clone().into_iter().map(|by| (by.word(), self.of(by, row))).collect();
        if self.sums.len() == self.most && !self.sums.contains_key(&of) {
            return Err(TooMany);
        }
        self.sums.entry(of).or_default().absorb(row);
        Ok(())
    }
}

impl Sums {
    fn absorb(&mut self, row: &UsageRow) {
        self.requests = self.requests.saturating_add(row.requests);
        self.cost = self.cost.saturating_add(row.cost);
        self.bytes_in = self.bytes_in.saturating_add(row.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(row.bytes_out);
        self.latency_micros = self.latency_micros.saturating_add(row.latency_micros);
    }
}

impl By {
    /// All there are.
    pub const ALL: [Self; 9] = [
        Self::Hour,
        Self::Day,
        Self::Month,
        Self::Company,
        Self::App,
        Self::Product,
        Self::Api,
        Self::Operation,
        Self::Status,
    ];

    /// How it is called.
    pub fn word(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
            Self::Company => "company",
            Self::App => "app",
            Self::Product => "product",
            Self::Api => "api",
            Self::Operation => "operation",
            Self::Status => "status",
        }
    }
}

/// Hours of a day that no day exceeds: zones have put their clocks back by a whole one.
const LONGEST_DAY: u32 = 48;

/// Hours of a month that no month exceeds.
const LONGEST_MONTH: u32 = 32 * 24;

#[cfg(test)]
mod tests {
    use super::*;

    /// The hour in which 2026 begins.
    const HOUR: u32 = 490_896;

    fn groups(zone: &str) -> Groups {
        Groups::new(Vec::new(), Calendar::of(zone).unwrap(), 9)
    }

    #[test]
    fn a_long_time_costs_a_step_for_each_of_its_times_and_not_for_each_of_its_hours() {
        for zone in ["UTC", "America/St_Johns", "Pacific/Apia"] {
            let hours = HOUR..HOUR + 4000;
            let mut every: Vec<_> = hours.clone().map(|hour| groups(zone).time(By::Day, hour)).collect();
            every.dedup();
            assert_eq!(groups(zone).times(&hours, By::Day, 1000), Ok(every), "{zone}");

            let mut groups = groups(zone);
            let times = groups.times(&(0..HOUR), By::Month, 1000).unwrap();
            assert!((672..=674).contains(&times.len()), "{zone} {}", times.len());
            assert_eq!(groups.names.len(), times.len());
        }
    }

    #[test]
    fn what_is_too_long_is_refused_before_anything_is_looked_at() {
        for step in [By::Hour, By::Day, By::Month] {
            let mut groups = groups("UTC");
            assert_eq!(groups.times(&(0..70_000_000), step, 50_000), Err(TooMany));
            assert!(groups.names.is_empty());
        }
    }
}
