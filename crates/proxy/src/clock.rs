//! The time: when a request begins, and the date that answers carry.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

thread_local! {
    static DATE: Cell<(u64, [u8; 29])> = const { Cell::new((u64::MAX, [b' '; 29])) };
}

/// Now, for measuring and by the wall, in microseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "this is where the proxy takes the time from")]
pub(crate) fn now() -> (Instant, u64) {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (Instant::now(), u64::try_from(wall.as_micros()).unwrap_or(u64::MAX))
}

/// The date as answers carry it (RFC 9110, section 5.6.7), made anew at most every half second.
#[expect(clippy::disallowed_methods, reason = "this is where the proxy takes the time from")]
pub(crate) fn date() -> [u8; 29] {
    const TICKS: u64 = 5;
    let tick = alarm::now() / TICKS;
    DATE.with(|known| {
        let (made, date) = known.get();
        if made == tick {
            return date;
        }
        let text = httpdate::fmt_http_date(SystemTime::now());
        let mut date = [b' '; 29];
        date.iter_mut().zip(text.bytes()).for_each(|(place, byte)| *place = byte);
        known.set((tick, date));
        date
    })
}
