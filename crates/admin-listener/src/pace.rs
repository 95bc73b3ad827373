//! How often somebody asks.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// How often each asked in a minute.
#[derive(Default)]
pub struct Pace(Mutex<(u64, HashMap<Arc<str>, u32>)>);

impl Pace {
    /// Requests of one name in a minute.
    pub const MOST: u32 = 300;

    /// Whether somebody may ask once more in this minute, counted since whenever.
    pub fn takes(&self, name: &Arc<str>, minute: u64) -> bool {
        let mut pace = self.0.lock();
        if pace.0 != minute {
            *pace = (minute, HashMap::new());
        }
        let count = pace.1.entry(name.clone()).or_default();
        *count = count.saturating_add(1);
        *count <= Self::MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_asks_so_often_a_minute() {
        let (pace, one, other): (_, Arc<str>, Arc<str>) = (Pace::default(), "one".into(), "other".into());
        assert!((0..Pace::MOST).all(|_| pace.takes(&one, 7)));
        assert!(!pace.takes(&one, 7) && pace.takes(&other, 7) && pace.takes(&one, 8));
    }
}
