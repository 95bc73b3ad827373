//! Sets of chains, by their numbers.

/// A set of chains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChainSet(Vec<u64>);

impl ChainSet {
    pub(crate) fn insert(&mut self, chain: u32) {
        let word = chain as usize / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word |= 1 << (chain % 64);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    pub(crate) fn contains(&self, chain: u32) -> bool {
        self.0.get(chain as usize / 64).is_some_and(|word| word >> (chain % 64) & 1 == 1)
    }

    pub(crate) fn add(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }
}

impl FromIterator<u32> for ChainSet {
    fn from_iter<I: IntoIterator<Item = u32>>(chains: I) -> Self {
        let mut set = Self::default();
        chains.into_iter().for_each(|chain| set.insert(chain));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in() {
        let mut set: ChainSet = [1, 64, 700].into_iter().collect();
        set.add(&[3].into_iter().collect());
        let held: Vec<u32> = (0..1000).filter(|chain| set.contains(*chain)).collect();
        assert_eq!(held, [1, 3, 64, 700]);
    }
}
