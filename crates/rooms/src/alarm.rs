//! The alarm that the clock's inlet heeds: while it rings, nobody is let in by the clock.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::KeptRoom;

/// What is known of the alarm of a room.
#[derive(Default)]
pub(crate) struct Alarm {
    rings: AtomicBool,
    /// Whether anybody knows, or knows that nobody does.
    has_heard: AtomicBool,
}

impl KeptRoom {
    /// Whether the alarm rings.
    pub(crate) fn alarm(&self, rings: bool) {
        self.alarm.rings.store(rings, Ordering::Relaxed);
        self.alarm_is_away();
    }

    /// Nobody knows whether the alarm rings: it is as it was known last, and silent before anything was.
    pub(crate) fn alarm_is_away(&self) {
        self.alarm.has_heard.store(true, Ordering::Relaxed);
    }

    /// Whether the clock's inlet rests for an alarm, or for a moment after a start, until it is known whether there is one.
    pub(crate) fn rests_for_alarm(&self) -> bool {
        let Alarm { rings, has_heard } = &self.alarm;
        let rests = rings.load(Ordering::Relaxed) || !has_heard.load(Ordering::Relaxed);
        rests && self.settings().alarm.is_some()
    }
}
