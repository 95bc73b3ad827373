//! How long visitors of a room will wait, by what its serving number did so far as this node saw it.

use std::fmt::Write as _;
use std::sync::Arc;

use parking_lot::Mutex;
use waiting_room::{Counters, Forecast, Interval, Position, Record, Seconds};

use crate::{KeptRoom, Trouble};

/// What is known of a room's waits. Rooms in which nobody waits have none.
#[derive(Default)]
pub(crate) struct Waits(Mutex<Option<Box<Known>>>);

#[derive(Default)]
struct Known {
    forecast: Forecast,
    /// The forecasts as everybody who watches is told them.
    told: Arc<str>,
    told_at: Seconds,
}

impl Waits {
    /// Notes what is counted now. To be called each second; returns the forecasts for those who watch.
    pub(crate) fn note(&self, counters: Counters, now: Seconds) -> Arc<str> {
        let mut known = self.0.lock();
        // What is observed are numbers, not all of which anybody has where there are lanes.
        let numbers = u32::try_from(i64::from(counters.last).saturating_sub(counters.serving)).unwrap_or(0);
        if known.is_none() && numbers == 0 {
            return Arc::default();
        }
        let Known { forecast, told, told_at } = &mut **known.get_or_insert_default();
        forecast.note(counters.serving, now);
        if now.saturating_sub(*told_at) >= TOLD_EVERY {
            *told_at = now;
            *told = written(&forecast.curve(numbers, now)).into();
        }
        told.clone()
    }

    fn interval(&self, places: u32, now: Seconds) -> Option<Interval> {
        self.0.lock().as_ref()?.forecast.interval(places, now)
    }

    fn record(&self) -> Record {
        self.0.lock().as_ref().map(|known| known.forecast.record()).unwrap_or_default()
    }

    fn told(&self) -> Arc<str> {
        self.0.lock().as_ref().map(|known| known.told.clone()).unwrap_or_default()
    }
}

impl KeptRoom {
    /// For how many seconds whoever has a place will wait, which holds in four of five cases. None: it is their turn, or nothing is
    /// known yet.
    pub fn wait_of(&self, position: Position, now: Seconds) -> Result<Option<Interval>, Trouble> {
        let ahead = i64::from(position).saturating_sub(self.counters()?.serving);
        let places = u32::try_from(ahead).unwrap_or(0);
        Ok(if places == 0 { None } else { self.waits().interval(places, now) })
    }

    /// For how many seconds whoever joins now will wait, if that is known, and what became of such forecasts lately.
    pub fn outlook(&self, now: Seconds) -> Result<(Option<Interval>, Record), Trouble> {
        let next = self.counters()?.last.saturating_add(1);
        Ok((self.wait_of(next, now)?, self.waits().record()))
    }

    /// The forecasts as everybody who watches is told them.
    pub(crate) fn waits_told(&self) -> Arc<str> {
        self.waits().told()
    }
}

/// For 1, 2, 4, ... places, the least and the most seconds.
fn written(curve: &[(u32, Interval)]) -> String {
    let mut text = String::new();
    for (places, Interval { low, high }) in curve {
        let comma = if text.is_empty() { "" } else { "," };
        // Formatting into a text does not fail.
        let _written = write!(text, "{comma}[{places},{low},{high}]");
    }
    text
}

/// Seconds between two forecasts that those who watch are told.
const TOLD_EVERY: Seconds = 5;
