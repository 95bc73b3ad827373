//! What operators can measure of rooms.

use telemetry::metrics::{Definition, Registry, Unit};
use waiting_room::{Counters, EVERYBODY, LaneCounters};

use crate::Kind;

/// What is known of a room now.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Its name.
    pub room: String,
    /// What is counted in it.
    pub counters: Counters,
    /// Visits that have not ended, and whose token holds.
    pub active: u64,
    /// What happened in it, and how often.
    pub happened: Vec<(Kind, u64)>,
    /// How many visitors a second its adaptive inlet lets in, if it has one.
    pub inflow: Option<f64>,
    /// What is counted in each of its lanes.
    pub lanes: Vec<LaneCounters>,
    /// Whether visitors have to wait, where the room activates by itself.
    pub is_active: bool,
}

/// Shows, at every scrape, what `read` then knows of the rooms.
pub fn show(registry: &Registry, read: impl Fn() -> Vec<Reading> + Send + Sync + 'static) {
    registry.collect_with(move |scrape| {
        for Reading { room, counters, active, happened, inflow, lanes, is_active } in read() {
            scrape.gauge(&PLACES, &[&room], f64::from(counters.queue));
            scrape.gauge(&SERVING, &[&room], signed(counters.serving));
            scrape.gauge(&WAITING, &[&room], signed(counters.waiting()));
            scrape.gauge(&TOKENS, &[&room], f64::from(counters.tokens));
            scrape.gauge(&PASSED_ON, &[&room], unsigned(counters.expired));
            scrape.gauge(&VISITS, &[&room, "active"], unsigned(active));
            scrape.gauge(&VISITS, &[&room, "completed"], f64::from(counters.completed));
            scrape.gauge(&VISITS, &[&room, "abandoned"], f64::from(counters.abandoned));
            for (kind, count) in happened {
                scrape.counter(&EVENTS, &[&room, kind.name()], unsigned(count));
            }
            if let Some(inflow) = inflow {
                scrape.gauge(&INFLOW, &[&room], inflow);
            }
            for LaneCounters { name, visitors, waiting } in lanes {
                let lane = if &*name == EVERYBODY { NO_LANE } else { &name };
                scrape.gauge(&LANE_VISITORS, &[&room, lane], f64::from(visitors));
                scrape.gauge(&LANE_NUMBERS, &[&room, lane], f64::from(waiting));
            }
            scrape.gauge(&ACTIVE, &[&room], f64::from(u8::from(is_active)));
            scrape.gauge(&STATE, &[&room, counters.state.name()], 1.0);
        }
    });
}

/// What everybody's lane is called, as none can be.
const NO_LANE: &str = "(everybody)";

#[expect(clippy::cast_precision_loss, reason = "a metric is a double wherever it goes")]
fn unsigned(value: u64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a double wherever it goes")]
fn signed(value: i64) -> f64 {
    value as f64
}

const fn define(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Definition {
    Definition { name, help, labels, unit: Unit::Count, bounds: &[] }
}

// Gauges, all of them: a reset takes them back to zero, and undoing it takes that back.
static PLACES: Definition =
    define("vestibule_room_places", "Places that a waiting room has given since its last reset.", &["room"]);
static SERVING: Definition =
    define("vestibule_room_serving_number", "The place in a waiting room up to which turns have come.", &["room"]);
static WAITING: Definition = define("vestibule_room_waiting", "Visitors who wait in a waiting room.", &["room"]);
static TOKENS: Definition =
    define("vestibule_room_tokens", "Visitors of a waiting room who took their turn since its last reset.", &["room"]);
static PASSED_ON: Definition = define(
    "vestibule_room_turns_passed_on",
    "Turns in a waiting room that somebody else got because nobody took them, since its last reset.",
    &["room"],
);
static EVENTS: Definition =
    define("vestibule_room_events", "What happened in a waiting room since this process has it.", &["room", "type"]);
static INFLOW: Definition =
    define("vestibule_room_inflow", "Visitors a second that the adaptive inlet of a waiting room lets in.", &["room"]);
static ACTIVE: Definition = define(
    "vestibule_room_active",
    "1 while visitors have to wait in a waiting room that activates by itself.",
    &["room"],
);
static LANE_VISITORS: Definition = define(
    "vestibule_room_lane_visitors",
    "Visitors who came to a waiting room by a lane since its last reset.",
    &["room", "lane"],
);
static LANE_NUMBERS: Definition = define(
    "vestibule_room_lane_numbers_waiting",
    "Numbers for a lane of a waiting room that are taken, and whose turn has not come, whoever took them.",
    &["room", "lane"],
);
static STATE: Definition =
    define("vestibule_room_state", "1 with the state that a waiting room is in.", &["room", "state"]);
static VISITS: Definition = define(
    "vestibule_room_visits",
    "Visits behind a waiting room: those that go on, and those that have ended since its last reset.",
    &["room", "state"],
);
