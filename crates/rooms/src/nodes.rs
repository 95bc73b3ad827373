//! What nodes that have a room together tell each other of it: what each notices of what is behind the room and of who is there,
//! and which of them steers the adaptive inlet.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use turns::MayWrite;
use waiting_room::{Adaptive, Beside, DIFFERENT, Event, Position, Room, Rules, Seconds, Signals};

use crate::KeptRoom;
use crate::log::NotKept;
use crate::room::Held;

/// What is known of the nodes that have a room. A room of one node knows of none.
#[derive(Default)]
pub(crate) struct Nodes {
    /// What others saw of what is behind the room, and when that was heard.
    others: HashMap<u64, (Signals, Seconds)>,
    /// Who steers the adaptive inlet, when that was heard, and how many a second come in.
    steers: Option<(u64, Seconds, f64)>,
    /// What the clock of this node said when it was looked for what is due last.
    pub(crate) looked_at: Seconds,
}

/// Places of whose holders there was a sign that other nodes do not know of yet.
#[derive(Default)]
pub(crate) struct Signs(Mutex<Vec<Position>>);

impl Signs {
    pub(crate) fn note(&self, position: Position) {
        let mut signs = self.0.lock();
        if signs.len() < MOST_SIGNS {
            signs.push(position);
        }
    }

    /// All of them, in order, each once.
    fn take(&self) -> Vec<Position> {
        let mut signs = std::mem::take(&mut *self.0.lock());
        signs.sort_unstable();
        signs.dedup();
        signs
    }

    fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}

impl Nodes {
    /// How many visitors a second whoever steers lets in.
    pub(crate) fn rate(&self) -> f64 {
        self.steers.map_or(0.0, |(_, _, rate)| rate)
    }

    /// When something is heard that a node told at a moment by its own clock, by the clock of this one: clocks differ a little.
    /// What was told long ago is only read now, and whoever has not looked at their clock yet takes what was told.
    fn heard_at(&self, told: Seconds) -> Seconds {
        if told.abs_diff(self.looked_at) > DIFFERENT { told } else { self.looked_at }
    }

    /// What this node and others saw in the last seconds, together.
    fn together(&self, own: Signals, now: Seconds) -> Signals {
        let fresh = self.others.values().filter(|(_, at)| at.saturating_add(FRESH) >= now).map(|(signals, _)| *signals);
        Signals::together(fresh.chain([own]))
    }

    /// Whether another node steers.
    fn is_steered_by_another(&self, node: u64, now: Seconds) -> bool {
        self.steers.is_some_and(|(who, at, _)| who != node && at.saturating_add(SILENT) >= now)
    }
}

impl KeptRoom {
    /// Knows what a node, perhaps this one, told of itself.
    pub(crate) fn hear(&self, held: &mut Held, what: &Beside, at: Seconds) {
        match what {
            Beside::Noticed { node, signals, seen } => {
                if let Some(signals) = signals.filter(|_| *node != self.node()) {
                    let heard = held.nodes.heard_at(at);
                    held.nodes.others.insert(*node, (signals, heard));
                }
                if *node != self.node() {
                    self.see_all(seen, at);
                }
            }
            Beside::Steered { node, rate } => {
                held.nodes.steers = Some((*node, held.nodes.heard_at(at), f64::from(*rate) / THOUSAND));
            }
            Beside::Revoked(_) | Beside::Came(_) => {}
        }
    }

    /// Lets in as many as the adaptive inlet says, unless another node does: then what was seen here, which that has to know.
    pub(crate) fn steer(
        &self,
        held: &mut Held,
        inlet: &Adaptive,
        (now, turn): (Seconds, Option<&MayWrite>),
        rules: &Rules,
    ) -> Result<Option<Signals>, NotKept> {
        let sensor = &self.gate().sensor;
        if !self.is_shared() {
            let Held { room, steering, .. } = held;
            let by = steering.step(inlet, room, &sensor.signals(inlet.target));
            self.let_in_if_any(held, by, now, rules)?;
            return Ok(None);
        }
        if sensor.is_quiet() && is_idle(&held.room) {
            return Ok(None);
        }
        // Not before: what is seen is read once.
        turn.ok_or(NotKept::NotOurTurn)?;
        let own = sensor.signals(inlet.target);
        if held.nodes.is_steered_by_another(self.node(), now) {
            return Ok(Some(own).filter(|own| *own != Signals::default()));
        }
        let Held { room, steering, nodes, .. } = held;
        if let Some((_, _, rate)) = nodes.steers.filter(|(who, ..)| *who != self.node()) {
            // Its successor knows as much as it told.
            steering.go_on_at(rate);
        }
        let by = steering.step(inlet, room, &nodes.together(own, now));
        let what = Beside::Steered { node: self.node(), rate: thousandths(steering.rate()) };
        self.happen(held, &Event::Beside { what, at: now })?;
        self.let_in_if_any(held, by, now, rules)?;
        Ok(None)
    }

    /// Has other nodes know what was noticed here.
    pub(crate) fn tell_nodes(
        &self,
        held: &mut Held,
        mut signals: Option<Signals>,
        (now, turn): (Seconds, Option<&MayWrite>),
    ) -> Result<(), NotKept> {
        let is_present = self.settings().rules.presence.is_some();
        if !self.is_shared() || signals.is_none() && (!is_present || self.signs().is_empty()) {
            return Ok(());
        }
        turn.ok_or(NotKept::NotOurTurn)?;
        let (node, seen) = (self.node(), self.signs().take());
        for seen in seen.chunks(MOST_TOLD).chain(seen.is_empty().then_some([].as_slice())) {
            let what = Beside::Noticed { node, signals: signals.take(), seen: Arc::from(seen) };
            self.happen(held, &Event::Beside { what, at: now })?;
        }
        Ok(())
    }
}

/// Whether nobody waits, and whoever comes next has a turn at once.
fn is_idle(room: &Room) -> bool {
    let counters = room.counters();
    counters.registered == 0 && i64::from(counters.last) < counters.serving
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is not negative; what is too large becomes the largest"
)]
fn thousandths(rate: f64) -> u32 {
    (rate * THOUSAND) as u32
}

const THOUSAND: f64 = 1000.0;
/// For so many seconds what another node saw counts.
const FRESH: Seconds = 3;
/// After so many seconds in which nothing was heard of a node that steers another one does it.
const SILENT: Seconds = 5;
/// Signs of a second that other nodes are told of.
const MOST_SIGNS: usize = 1_000_000;
/// Places in one record.
const MOST_TOLD: usize = 50_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_nodes_saw_is_taken_together_as_long_as_it_is_fresh() {
        let signals = |finished, failed, slow, is_broken| Signals {
            finished,
            failed,
            late: failed / 2,
            slow,
            in_flight: 2,
            is_broken,
        };
        let mut nodes = Nodes::default();
        nodes.others.insert(7, (signals(100, 3, Some(900), false), 50));
        nodes.others.insert(8, (signals(100, 100, None, true), 10));
        let own = signals(10, 0, Some(300), false);
        let all = Signals { finished: 110, failed: 3, late: 1, slow: Some(900), in_flight: 4, is_broken: false };
        assert_eq!(nodes.together(own, 52), all);
        assert_eq!(nodes.together(own, 60), own);
        nodes.others.remove(&7);
        assert!(nodes.together(Signals::default(), 12).is_broken, "nobody got through");
        nodes.looked_at = 100;
        assert_eq!([96, 104, 39].map(|told| nodes.heard_at(told)), [100, 100, 39], "clocks differ by a few seconds");
        nodes.steers = Some((7, 50, 3.5));
        assert!(nodes.is_steered_by_another(1, 55) && !nodes.is_steered_by_another(7, 55));
        assert!(!nodes.is_steered_by_another(1, 56), "it says nothing any more");
    }
}
