//! How lots, lanes and invites lie in the log and in pictures.

use std::sync::Arc;

use journal::wire::{Source, put_bytes, put_number};
use waiting_room::{
    Drawn, Event, Hall, InviteId, JoinKey, LaneKind, LaneLine, Line, Registered, RequestId, Seed, Shelf, Taken, Weighed,
};

/// Writes the kind of what happened, and what it says, if it is one of those.
pub(super) fn put(to: &mut Vec<u8>, event: &Event) {
    match event {
        Event::Committed { seed } => {
            to.push(COMMITTED);
            to.extend_from_slice(&seed.0);
        }
        Event::Registered { id, key, at, lane, invite } => {
            to.push(REGISTERED);
            put_joined(to, (*id, *key, *at), lane, *invite);
        }
        Event::HallClosed => to.push(HALL_CLOSED),
        Event::Drawn { public, lanes, at } => {
            to.push(DRAWN);
            put_bytes(to, public.as_bytes());
            put_weighed(to, lanes);
            put_number(to, u64::from(*at));
        }
        Event::Placed { position, of, id, key, at, lane, invite } => {
            to.push(PLACED);
            put_number(to, u64::from(*position));
            put_bytes(to, of.as_bytes());
            put_joined(to, (*id, *key, *at), lane, *invite);
        }
        _ => {}
    }
}

/// What a record of this kind says.
pub(super) fn read(kind: u8, source: &mut Source<'_>) -> Option<Event> {
    Some(match kind {
        COMMITTED => Event::Committed { seed: Seed(source.array()?) },
        REGISTERED => {
            let Joined { id, key, at, lane, invite } = joined(source)?;
            Event::Registered { id, key, at, lane, invite }
        }
        HALL_CLOSED => Event::HallClosed,
        DRAWN => {
            let (public, lanes) = (source.text()?.into(), weighed(source)?);
            Event::Drawn { public, lanes, at: source.small()? }
        }
        PLACED => {
            let (position, of) = (source.small()?, source.text()?.into());
            let Joined { id, key, at, lane, invite } = joined(source)?;
            Event::Placed { position, of, id, key, at, lane, invite }
        }
        _ => return None,
    })
}

/// Writes parts of a picture, each as a number and its bytes.
pub(crate) fn put_parts(line: &Line) -> Vec<(u64, Vec<u8>)> {
    let mut parts = Vec::new();
    if line.hall != Hall::default() {
        parts.push((HALL, hall(&line.hall)));
    }
    if !line.lanes.is_empty() {
        parts.push((LANES, lanes(line)));
    }
    if !line.invited.is_empty() {
        parts.push((INVITED, line.invited.iter().flat_map(|invite| invite.0).collect()));
    }
    parts
}

/// Reads a part of a picture. None: it is none of these, or damaged.
pub(crate) fn read_part(line: &mut Line, number: u64, part: &[u8]) -> Option<()> {
    let mut source = Source(part);
    match number {
        HALL => line.hall = read_hall(&mut source)?,
        LANES => read_lanes(line, &mut source)?,
        INVITED => {
            while !source.0.is_empty() {
                line.invited.push(InviteId(source.array()?));
            }
        }
        _ => return None,
    }
    source.0.is_empty().then_some(())
}

struct Joined {
    id: RequestId,
    key: Option<JoinKey>,
    at: u32,
    lane: Arc<str>,
    invite: Option<InviteId>,
}

fn put_joined(
    to: &mut Vec<u8>,
    (id, key, at): (RequestId, Option<JoinKey>, u32),
    lane: &str,
    invite: Option<InviteId>,
) {
    to.extend_from_slice(&id.0);
    put_optional(to, key.map(|key| key.0));
    put_optional(to, invite.map(|invite| invite.0));
    put_number(to, u64::from(at));
    put_bytes(to, lane.as_bytes());
}

fn joined(source: &mut Source<'_>) -> Option<Joined> {
    let id = RequestId(source.array()?);
    let key = optional(source).ok()?.map(JoinKey);
    let invite = optional(source).ok()?.map(InviteId);
    Some(Joined { id, key, at: source.small()?, lane: source.text()?.into(), invite })
}

fn put_optional(to: &mut Vec<u8>, bytes: Option<[u8; 16]>) {
    to.push(u8::from(bytes.is_some()));
    to.extend_from_slice(bytes.as_ref().map_or(&[], |bytes| bytes.as_slice()));
}

/// What [`put_optional`] wrote. An error: nothing that it writes.
fn optional(source: &mut Source<'_>) -> Result<Option<[u8; 16]>, Damaged> {
    match source.array().ok_or(Damaged)? {
        [0] => Ok(None),
        [1] => source.array().map(Some).ok_or(Damaged),
        [_] => Err(Damaged),
    }
}

struct Damaged;

fn put_weighed(to: &mut Vec<u8>, lanes: &[Weighed]) {
    put_number(to, lanes.len() as u64);
    for lane in lanes {
        put_bytes(to, lane.name.as_bytes());
        to.extend_from_slice(&[lane.weight, kind_code(lane.kind)]);
    }
}

fn weighed(source: &mut Source<'_>) -> Option<Vec<Weighed>> {
    let mut lanes = Vec::new();
    for _ in 0..source.number()? {
        let name = source.text()?.into();
        let [weight, kind] = source.array()?;
        lanes.push(Weighed { name, weight, kind: kind_of(kind)? });
    }
    Some(lanes)
}

fn kind_code(kind: LaneKind) -> u8 {
    match kind {
        LaneKind::Preferred => 0,
        LaneKind::Slow => 1,
    }
}

fn kind_of(code: u8) -> Option<LaneKind> {
    [LaneKind::Preferred, LaneKind::Slow].into_iter().find(|kind| kind_code(*kind) == code)
}

fn hall(hall: &Hall) -> Vec<u8> {
    let mut to = Vec::new();
    to.push(u8::from(hall.seed.is_some()));
    to.extend_from_slice(hall.seed.as_ref().map_or(&[], |seed| seed.0.as_slice()));
    put_number(&mut to, hall.closed.map_or(0, |closed| u64::from(closed) + 1));
    put_number(&mut to, hall.registered.len() as u64);
    for there in hall.registered.iter() {
        to.extend_from_slice(&there.id.0);
        to.extend_from_slice(&there.entered.to_le_bytes());
        to.push(there.lane);
        put_optional(&mut to, there.key.map(|key| key.0));
    }
    to.push(u8::from(hall.drawn.is_some()));
    if let Some(drawn) = &hall.drawn {
        put_drawn(&mut to, drawn);
    }
    to
}

fn read_hall(source: &mut Source<'_>) -> Option<Hall> {
    let mut hall = Hall::default();
    if source.array()? == [1] {
        hall.seed = Some(Seed(source.array()?));
    }
    hall.closed = match source.number()?.checked_sub(1) {
        Some(closed) => Some(closed.try_into().ok()?),
        None => None,
    };
    for _ in 0..source.number()? {
        let (id, entered) = (RequestId(source.array()?), u32::from_le_bytes(source.array()?));
        let [lane] = source.array()?;
        hall.registered.push(Registered { id, entered, key: optional(source).ok()?.map(JoinKey), lane });
    }
    if source.array()? == [1] {
        hall.drawn = Some(Arc::new(read_drawn(source)?));
    }
    Some(hall)
}

fn put_drawn(to: &mut Vec<u8>, drawn: &Drawn) {
    to.extend_from_slice(&drawn.seed.0);
    put_bytes(to, drawn.public.as_bytes());
    for number in [drawn.at, drawn.before, drawn.after, drawn.visitors] {
        put_number(to, u64::from(number));
    }
    put_weighed(to, &drawn.lanes);
    put_number(to, drawn.by.len() as u64);
    to.extend(drawn.by.iter());
}

fn read_drawn(source: &mut Source<'_>) -> Option<Drawn> {
    let (seed, public) = (Seed(source.array()?), source.text()?.into());
    let (at, before, after, visitors) = (source.small()?, source.small()?, source.small()?, source.small()?);
    let lanes = weighed(source)?;
    let mut by = Shelf::default();
    for _ in 0..source.number()? {
        let [lane] = source.array()?;
        by.push(lane);
    }
    Some(Drawn { seed, public, at, before, after, visitors, lanes, by })
}

fn lanes(line: &Line) -> Vec<u8> {
    let mut to = Vec::new();
    put_number(&mut to, u64::from(line.in_order));
    put_number(&mut to, line.lanes.len() as u64);
    for lane in &line.lanes {
        put_bytes(&mut to, lane.name.as_bytes());
        put_number(&mut to, u64::from(lane.visitors));
        put_number(&mut to, lane.taken.len() as u64);
        for taken in lane.taken.iter() {
            to.extend_from_slice(&taken.position.to_le_bytes());
            to.extend_from_slice(&taken.order.to_le_bytes());
        }
    }
    to
}

fn read_lanes(line: &mut Line, source: &mut Source<'_>) -> Option<()> {
    line.in_order = source.small()?;
    for _ in 0..source.number()? {
        let (name, visitors) = (source.text()?.into(), source.small()?);
        let mut taken = Shelf::default();
        for _ in 0..source.number()? {
            let (position, order) = (u32::from_le_bytes(source.array()?), u32::from_le_bytes(source.array()?));
            taken.push(Taken { position, order });
        }
        line.lanes.push(LaneLine { name, visitors, taken });
    }
    Some(())
}

const COMMITTED: u8 = 50;
const REGISTERED: u8 = 51;
const HALL_CLOSED: u8 = 52;
const DRAWN: u8 = 53;
const PLACED: u8 = 54;

/// Parts of pictures.
const HALL: u64 = 50;
const LANES: u64 = 51;
const INVITED: u64 = 52;

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = Arc<str>> {
        any::<String>().prop_map(Into::into)
    }

    /// Something that happened with lots or lanes.
    pub(crate) fn event() -> impl Strategy<Value = Event> {
        let joined = || {
            let key = any::<Option<[u8; 16]>>().prop_map(|key| key.map(JoinKey));
            let invite = any::<Option<[u8; 16]>>().prop_map(|invite| invite.map(InviteId));
            (any::<[u8; 16]>().prop_map(RequestId), key, any::<u32>(), text(), invite)
        };
        let kind = prop_oneof![Just(LaneKind::Preferred), Just(LaneKind::Slow)];
        let weighed = (text(), any::<u8>(), kind).prop_map(|(name, weight, kind)| Weighed { name, weight, kind });
        prop_oneof![
            any::<[u8; 32]>().prop_map(|seed| Event::Committed { seed: Seed(seed) }),
            joined().prop_map(|(id, key, at, lane, invite)| Event::Registered { id, key, at, lane, invite }),
            Just(Event::HallClosed),
            (text(), prop::collection::vec(weighed, 0..3), any::<u32>()).prop_map(|(public, lanes, at)| Event::Drawn {
                public,
                lanes,
                at
            }),
            (any::<u32>(), text(), joined()).prop_map(|(position, of, (id, key, at, lane, invite))| Event::Placed {
                position,
                of,
                id,
                key,
                at,
                lane,
                invite
            }),
        ]
    }
}
