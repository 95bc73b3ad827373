//! Where those came from who joined by everybody's lane: how many from each network, of each size.

use std::sync::Arc;

use crate::Shares;

/// How many came from each network, of each size by itself. Networks are numbers here; 0 is one that is not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origins {
    sizes: Vec<Arc<Shares<u64>>>,
}

/// How many networks of each size are counted: nobody is taken to have more than they have by more than a five-hundredth of the
/// least share that can be set, and a room needs less than half a megabyte for each size, whoever comes.
pub const COUNTED: usize = 5_000;

impl Origins {
    /// These, each of a size.
    pub fn of(sizes: Vec<Shares<u64>>) -> Self {
        Self { sizes: sizes.into_iter().map(Arc::new).collect() }
    }

    /// How many came from each network, by size.
    pub fn sizes(&self) -> impl ExactSizeIterator<Item = &Shares<u64>> {
        self.sizes.iter().map(|shares| &**shares)
    }

    /// How many came at all.
    pub fn total(&self) -> u64 {
        self.sizes.first().map_or(0, |shares| shares.total())
    }

    /// How many came from a network of a size, at most. Nobody, if it is not known.
    pub fn from(&self, size: usize, network: u64) -> u64 {
        let shares = self.sizes.get(size).filter(|_| network != UNKNOWN);
        shares.map_or(0, |shares| shares.of(network))
    }

    /// Somebody came from these.
    pub(crate) fn came(&mut self, networks: &[u64]) {
        for (size, network) in networks.iter().enumerate() {
            if self.sizes.len() <= size {
                self.sizes.push(Arc::new(Shares::new(COUNTED)));
            }
            if let Some(shares) = self.sizes.get_mut(size).filter(|_| *network != UNKNOWN) {
                Arc::make_mut(shares).add(*network);
            }
        }
    }
}

const UNKNOWN: u64 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_is_counted_in_a_network_of_each_size_that_is_known() {
        let mut origins = Origins::default();
        for networks in [[7, 70, 0], [7, 70, 700], [8, 70, 700]] {
            origins.came(&networks);
        }
        let from =
            [(0, 7), (0, 8), (1, 70), (2, 700), (2, 0), (3, 7)].map(|(size, network)| origins.from(size, network));
        assert_eq!((origins.total(), from), (3, [2, 1, 3, 2, 0, 0]));
        let again = Origins::of(origins.sizes().cloned().collect());
        assert_eq!(again, origins);
    }
}
