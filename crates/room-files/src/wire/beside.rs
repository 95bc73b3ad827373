//! How what happens beside the line lies in the log and in pictures.

use std::sync::Arc;

use journal::wire::{Source, put_number};
use waiting_room::{Beside, COUNTED, Event, History, InviteId, Line, Origins, Room, Sample, Seconds, Shares, Signals};

use super::{positions, put_positions, put_signed, signed};

/// Writes the kind of what happened, when, and what it says.
pub(super) fn put(to: &mut Vec<u8>, what: &Beside, at: Seconds) {
    to.push(match what {
        Beside::Revoked(_) => REVOKED,
        Beside::Noticed { .. } => NOTICED,
        Beside::Steered { .. } => STEERED,
        Beside::Came(_) => CAME,
    });
    put_number(to, u64::from(at));
    match what {
        Beside::Revoked(invites) => put_revoked(to, invites.iter().copied()),
        Beside::Came(networks) => to.extend(networks.iter().flat_map(|network| network.to_le_bytes())),
        Beside::Noticed { node, signals, seen } => {
            to.extend_from_slice(&node.to_le_bytes());
            put_signals(to, signals.as_ref());
            put_positions(to, seen);
        }
        Beside::Steered { node, rate } => {
            to.extend_from_slice(&node.to_le_bytes());
            put_number(to, u64::from(*rate));
        }
    }
}

/// What a record of this kind says.
pub(super) fn read(kind: u8, source: &mut Source<'_>) -> Option<Event> {
    if !(REVOKED..=CAME).contains(&kind) {
        return None;
    }
    let at = source.small()?;
    let what = match kind {
        REVOKED => Beside::Revoked(revoked(source)?.into()),
        NOTICED => {
            let node = u64::from_le_bytes(source.array()?);
            let signals = signals(source).ok()?;
            Beside::Noticed { node, signals, seen: positions(source)? }
        }
        STEERED => Beside::Steered { node: u64::from_le_bytes(source.array()?), rate: source.small()? },
        _ => Beside::Came(networks(source)?),
    };
    Some(Event::Beside { what, at })
}

fn put_revoked(to: &mut Vec<u8>, invites: impl Iterator<Item = (InviteId, Seconds)>) {
    for (InviteId(id), until) in invites {
        to.extend_from_slice(&id);
        to.extend_from_slice(&until.to_le_bytes());
    }
}

fn revoked(source: &mut Source<'_>) -> Option<Vec<(InviteId, Seconds)>> {
    let mut invites = Vec::new();
    while !source.0.is_empty() {
        invites.push((InviteId(source.array()?), u32::from_le_bytes(source.array()?)));
    }
    Some(invites)
}

fn networks(source: &mut Source<'_>) -> Option<Arc<[u64]>> {
    let mut networks = Vec::new();
    while !source.0.is_empty() {
        networks.push(u64::from_le_bytes(source.array()?));
    }
    Some(networks.into())
}

fn put_signals(to: &mut Vec<u8>, signals: Option<&Signals>) {
    let Some(Signals { finished, failed, late, slow, in_flight, is_broken }) = signals else { return to.push(0) };
    to.push(if *is_broken { 2 } else { 1 });
    for number in [finished, failed, late, in_flight] {
        put_number(to, u64::from(*number));
    }
    put_number(to, slow.map_or(0, |slow| u64::from(slow) + 1));
}

/// What [`put_signals`] wrote. An error: nothing that it writes.
fn signals(source: &mut Source<'_>) -> Result<Option<Signals>, Damaged> {
    let is_broken = match source.array().ok_or(Damaged)? {
        [0] => return Ok(None),
        [1] => false,
        [2] => true,
        [_] => return Err(Damaged),
    };
    let mut number = || source.number().ok_or(Damaged);
    let small = |number: u64| u32::try_from(number).map_err(|_too_large| Damaged);
    let (finished, failed, late) = (small(number()?)?, small(number()?)?, small(number()?)?);
    let in_flight = small(number()?)?;
    let slow = number()?.checked_sub(1).map(small).transpose()?;
    Ok(Some(Signals { finished, failed, late, slow, in_flight, is_broken }))
}

struct Damaged;

/// Where those came from who joined, as a part of a picture of a line, if that was counted.
pub(crate) fn put_origins(line: &Line) -> Option<(u64, Vec<u8>)> {
    let sizes = line.origins.sizes();
    if sizes.len() == 0 {
        return None;
    }
    let mut to = Vec::new();
    for shares in sizes {
        put_number(&mut to, shares.total());
        put_number(&mut to, shares.counts().count() as u64);
        for (network, count) in shares.counts() {
            to.extend_from_slice(&network.to_le_bytes());
            put_number(&mut to, count);
        }
    }
    Some((ORIGINS, to))
}

/// Reads what [`put_origins`] wrote.
pub(crate) fn read_origins(part: &[u8]) -> Option<Origins> {
    let (mut source, mut sizes) = (Source(part), Vec::new());
    while !source.0.is_empty() {
        let total = source.number()?;
        let mut counts = Vec::new();
        for _ in 0..source.number()? {
            counts.push((u64::from_le_bytes(source.array()?), source.number()?));
        }
        sizes.push(Shares::again(COUNTED, total, counts));
    }
    Some(Origins::of(sizes))
}

/// Parts of a picture of a room that are of no line.
pub(crate) fn put_parts(room: &Room) -> Vec<(u64, Vec<u8>)> {
    let (mut parts, history) = (Vec::new(), room.history());
    if let Some(latest) = history.latest {
        let mut to = Vec::new();
        put_number(&mut to, u64::from(history.thinned));
        for sample in [latest].iter().chain(&history.samples) {
            for number in [sample.at, sample.queue, sample.tokens] {
                put_number(&mut to, u64::from(number));
            }
            put_signed(&mut to, sample.serving);
            put_signed(&mut to, sample.waiting);
        }
        parts.push((HISTORY, to));
    }
    let mut taken_back = Vec::new();
    put_revoked(&mut taken_back, room.revoked());
    if !taken_back.is_empty() {
        parts.push((TAKEN_BACK, taken_back));
    }
    parts
}

/// The room with such a part. None: it is none of these, or damaged.
pub(crate) fn with_part(room: Room, number: u64, part: &[u8]) -> Option<Room> {
    let mut source = Source(part);
    let (mut history, mut invites) = (room.history().clone(), room.revoked().collect::<Vec<_>>());
    match number {
        HISTORY => history = read_history(&mut source)?,
        TAKEN_BACK => invites = revoked(&mut source)?,
        _ => return None,
    }
    Some(room.with(history, invites))
}

fn read_history(source: &mut Source<'_>) -> Option<History> {
    let thinned = source.small()?;
    let mut samples = Vec::new();
    while !source.0.is_empty() {
        let (at, queue, tokens) = (source.small()?, source.small()?, source.small()?);
        samples.push(Sample { at, queue, serving: signed(source)?, tokens, waiting: signed(source)? });
    }
    let latest = samples.first().copied();
    Some(History { samples: samples.split_off(1.min(samples.len())), latest, thinned })
}

const REVOKED: u8 = 80;
const NOTICED: u8 = 81;
const STEERED: u8 = 82;
const CAME: u8 = 83;

/// Parts of pictures.
const TAKEN_BACK: u64 = 80;
const HISTORY: u64 = 81;
pub(crate) const ORIGINS: u64 = 83;

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Something that happened beside the line.
    pub(crate) fn event() -> impl Strategy<Value = Event> {
        let invites = prop::collection::vec((any::<[u8; 16]>().prop_map(InviteId), any::<u32>()), 0..4);
        let signals = (any::<[u32; 4]>(), any::<Option<u32>>(), any::<bool>());
        let signals = signals.prop_map(|([finished, failed, late, in_flight], slow, is_broken)| Signals {
            finished,
            failed,
            late,
            slow,
            in_flight,
            is_broken,
        });
        let noticed = (any::<u64>(), prop::option::of(signals), any::<BTreeSet<u32>>())
            .prop_map(|(node, signals, seen)| Beside::Noticed { node, signals, seen: seen.into_iter().collect() });
        let what = prop_oneof![
            invites.prop_map(|invites| Beside::Revoked(invites.into())),
            prop::collection::vec(any::<u64>(), 0..4).prop_map(|networks| Beside::Came(networks.into())),
            noticed,
            (any::<u64>(), any::<u32>()).prop_map(|(node, rate)| Beside::Steered { node, rate }),
        ];
        (what, any::<u32>()).prop_map(|(what, at)| Event::Beside { what, at })
    }
}
