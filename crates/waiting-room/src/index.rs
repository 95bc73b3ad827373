//! What can be found out from a line, kept at hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::{HashMap, HashTable};

use crate::line::count;
use crate::{Hall, InviteId, JoinKey, Line, Position, RequestId, Seconds, Token};

/// What can be found out from a line, kept at hand.
#[derive(Debug, Default)]
pub(crate) struct Index {
    ids: Numbers,
    keys: Numbers,
    issuers: HashMap<Arc<str>, u32>,
    /// How many visits that have not ended have a token that holds until then.
    active: BTreeMap<Seconds, u32>,
    /// Those who have no places yet, by ids and by keys.
    registered: [Numbers; 2],
    /// How often invites were used.
    invited: HashMap<InviteId, u32>,
    /// The furthest place whose turn was taken, or whose holder was passed over.
    furthest: Position,
}

impl Index {
    pub(crate) fn of(line: &Line) -> Self {
        let mut index = Self::default();
        for (number, place) in line.positions() {
            // One that the log lost is nobody's.
            if place.id != RequestId::default() {
                index.note_place(number, place.id);
            }
            if place.token > 0 {
                index.note_turn(number);
            }
        }
        for (number, _) in line.keys.iter().enumerate() {
            index.note_key(line, count(number));
        }
        for (number, issuer) in line.issuers.iter().enumerate() {
            index.issuers.insert(issuer.clone(), count(number));
        }
        for token in line.tokens.iter().filter(|token| token.ending.is_none()) {
            index.note_active(token);
        }
        for (number, _) in line.hall.registered.iter().enumerate() {
            index.note_registered(&line.hall, count(number));
        }
        for invite in line.invited.iter() {
            index.note_use(*invite);
        }
        index
    }

    pub(crate) fn position(&self, line: &Line, id: RequestId) -> Option<Position> {
        self.ids.find(&id.0, |position| line.place(position).is_some_and(|place| place.id == id))
    }

    pub(crate) fn position_of_key(&self, line: &Line, key: JoinKey) -> Option<Position> {
        let keyed = |number: u32| line.keys.get(number as usize);
        let found = self.keys.find(&key.0, |number| keyed(number).is_some_and(|keyed| keyed.key == key))?;
        keyed(found).map(|keyed| keyed.position)
    }

    pub(crate) fn note_place(&mut self, position: Position, id: RequestId) {
        self.ids.insert(&id.0, position);
    }

    /// Notes the join of this number among those that may be repeated.
    pub(crate) fn note_key(&mut self, line: &Line, number: u32) {
        if let Some(keyed) = line.keys.get(number as usize) {
            self.keys.insert(&keyed.key.0, number);
        }
    }

    /// Where in the hall somebody is.
    pub(crate) fn registered(&self, hall: &Hall, id: RequestId) -> Option<u32> {
        let [ids, _] = &self.registered;
        ids.find(&id.0, |number| hall.registered.get(number as usize).is_some_and(|there| there.id == id))
    }

    /// Who came to the hall by this key.
    pub(crate) fn registered_by(&self, hall: &Hall, key: JoinKey) -> Option<RequestId> {
        let [_, keys] = &self.registered;
        let there = |number: u32| hall.registered.get(number as usize);
        let found = keys.find(&key.0, |number| there(number).is_some_and(|there| there.key == Some(key)))?;
        there(found).map(|there| there.id)
    }

    /// Notes who came to the hall after so many others.
    pub(crate) fn note_registered(&mut self, hall: &Hall, number: u32) {
        let [ids, keys] = &mut self.registered;
        let Some(there) = hall.registered.get(number as usize) else { return };
        ids.insert(&there.id.0, number);
        if let Some(key) = there.key {
            keys.insert(&key.0, number);
        }
    }

    /// How often an invite was used.
    pub(crate) fn uses(&self, invite: InviteId) -> u32 {
        self.invited.get(&invite).copied().unwrap_or(0)
    }

    pub(crate) fn note_use(&mut self, invite: InviteId) {
        *self.invited.entry(invite).or_default() += 1;
    }

    /// Has the places of another index, and nobody in the hall.
    pub(crate) fn take_places(&mut self, other: Self) {
        (self.ids, self.keys) = (other.ids, other.keys);
        self.registered = Default::default();
    }

    /// The number of an issuer, which is added to the line if need be.
    pub(crate) fn issuer(&mut self, line: &mut Line, issuer: &Arc<str>) -> u32 {
        if let Some(known) = self.issuers.get(issuer) {
            return *known;
        }
        let number = count(line.issuers.len());
        line.issuers.push(issuer.clone());
        self.issuers.insert(issuer.clone(), number);
        number
    }

    /// Notes that the turn of a place was taken, or its holder passed over.
    pub(crate) fn note_turn(&mut self, position: Position) {
        self.furthest = self.furthest.max(position);
    }

    /// The furthest place of which that was noted; behind it there is none.
    pub(crate) fn furthest(&self) -> Position {
        self.furthest
    }

    pub(crate) fn note_active(&mut self, token: &Token) {
        *self.active.entry(token.expires).or_default() += 1;
    }

    pub(crate) fn note_ended(&mut self, token: &Token) {
        if let Some(active) = self.active.get_mut(&token.expires) {
            *active = active.saturating_sub(1);
            if *active == 0 {
                self.active.remove(&token.expires);
            }
        }
    }

    pub(crate) fn active(&self, now: Seconds) -> u64 {
        self.active.range(now..).map(|(_, active)| u64::from(*active)).sum()
    }
}

/// Numbers of things that are known by 16 bytes, which are random or a digest. Tables are many once there is much in them, so
/// that none of them takes long to grow: whoever joins meanwhile, or asks on that core, waits for it.
#[derive(Debug, Default)]
struct Numbers {
    tables: Vec<HashTable<Numbered>>,
}

/// The number of a thing, and a part of what it is known by: to move it to a larger table nothing else has to be looked at,
/// which would lie anywhere in memory.
#[derive(Clone, Copy, Debug)]
struct Numbered {
    part: u32,
    number: u32,
}

impl Numbers {
    fn find(&self, known_by: &[u8; 16], is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let part = part(known_by);
        let is_it = |entry: &Numbered| entry.part == part && is_it(entry.number);
        self.tables.get(self.table(part))?.find(hash(part), is_it).map(|entry| entry.number)
    }

    fn insert(&mut self, known_by: &[u8; 16], number: u32) {
        match self.tables.as_slice() {
            [] => self.tables.push(HashTable::new()),
            [only] if only.len() >= SPLIT_AT => {
                let whole = std::mem::take(&mut self.tables);
                self.tables.resize_with(TABLES, HashTable::new);
                whole.into_iter().flatten().for_each(|entry| self.put(entry));
            }
            _ => {}
        }
        self.put(Numbered { part: part(known_by), number });
    }

    fn put(&mut self, entry: Numbered) {
        let table = self.table(entry.part);
        if let Some(table) = self.tables.get_mut(table) {
            table.insert_unique(hash(entry.part), entry, |entry| hash(entry.part));
        }
    }

    fn table(&self, part: u32) -> usize {
        if self.tables.len() <= 1 { 0 } else { (part >> 20) as usize % TABLES }
    }
}

/// All bytes are in it.
fn part(known_by: &[u8; 16]) -> u32 {
    known_by.as_chunks::<4>().0.iter().fold(0, |part, bytes| part ^ u32::from_le_bytes(*bytes))
}

/// A table looks at the lowest bits first, and then at the highest, which depend on those that all in it share and on others.
fn hash(part: u32) -> u64 {
    u64::from(part).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

const SPLIT_AT: usize = 16 * 1024;
/// So many that each stays small with millions in all of them, and that chance has them grow at many times.
const TABLES: usize = 4096;
