//! Places for the names of `TX` that rules mention, so that no name is looked up while they run.

use hashbrown::HashMap;
use smallvec::SmallVec;

/// The place of a name in a transaction's `TX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Slot(pub(crate) u32);

/// The names of `TX` that have a place. The first ten are those of captures, `0` to `9`.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    names: Vec<Box<[u8]>>,
    by_name: HashMap<Box<[u8]>, Slot>,
}

impl Slots {
    /// How many captures an expression can leave.
    pub(crate) const CAPTURES: usize = 10;

    pub(crate) fn new() -> Self {
        let mut slots = Self { names: Vec::new(), by_name: HashMap::new() };
        for digit in b'0'..=b'9' {
            slots.of(&[digit]);
        }
        slots
    }

    /// The place of a name, which it gets if it has none.
    pub(crate) fn of(&mut self, name: &[u8]) -> Slot {
        if let Some(slot) = self.find(name) {
            return slot;
        }
        let slot = Slot(u32::try_from(self.names.len()).unwrap_or(u32::MAX));
        self.names.push(name.into());
        self.by_name.insert(name.to_ascii_lowercase().into(), slot);
        slot
    }

    pub(crate) fn find(&self, name: &[u8]) -> Option<Slot> {
        let mut lower: SmallVec<[u8; 64]> = SmallVec::from_slice(name);
        lower.make_ascii_lowercase();
        self.by_name.get(lower.as_slice()).copied()
    }

    pub(crate) fn name(&self, slot: Slot) -> &[u8] {
        self.names.get(slot.0 as usize).map_or(b"", |name| name)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = Slot> + use<> {
        (0..u32::try_from(self.names.len()).unwrap_or(u32::MAX)).map(Slot)
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }
}

/// Texts of rules that are the same in each transaction, by numbers, so that none is looked up while they run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Constants(HashMap<Box<[u8]>, u32>);

impl Constants {
    pub(crate) fn number(&mut self, text: &[u8]) -> u32 {
        let next = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        *self.0.entry_ref(text).or_insert(next)
    }

    /// The texts by their numbers.
    pub(crate) fn into_texts(self) -> Vec<Box<[u8]>> {
        let mut texts: Vec<_> = self.0.into_iter().collect();
        texts.sort_unstable_by_key(|(_, number)| *number);
        texts.into_iter().map(|(text, _)| text).collect()
    }
}
