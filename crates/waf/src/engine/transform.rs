//! Values and what transformations make of them.

use hashbrown::HashMap;
use payload::transform::Transformation;
use smallvec::{SmallVec, smallvec};

use super::state::{Evaluation, Transaction};
use crate::values::ValueId;

/// What transformations have made of values already.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    results: HashMap<(ValueId, Transformation), ValueId>,
}

impl Memo {
    pub(super) fn clear(&mut self) {
        self.results.clear();
        if self.results.capacity() > MANY {
            self.results = HashMap::new();
        }
    }
}

/// More results take room that is not kept for the next transaction.
const MANY: usize = 8192;

impl Transaction {
    /// What a row of transformations makes of a value.
    pub(crate) fn transformed(&mut self, value: ValueId, transformations: &[Transformation]) -> ValueId {
        transformations.iter().fold(value, |value, transformation| self.step(value, *transformation))
    }

    /// What one transformation makes of a value.
    pub(crate) fn step(&mut self, value: ValueId, transformation: Transformation) -> ValueId {
        let Self { values, memo, scratch, environment, sieve, .. } = self;
        if environment.evaluation == Evaluation::Plain {
            scratch.clear();
            return if transformation.apply(values.bytes(value), scratch) { values.intern(scratch) } else { value };
        }
        if transformation.leaves(values.held(value), values.bytes(value)) {
            return value;
        }
        if let Some(result) = memo.results.get(&(value, transformation)) {
            return *result;
        }
        scratch.clear();
        let result = if transformation.convert(values.bytes(value), scratch) { values.intern(scratch) } else { value };
        memo.results.insert((value, transformation), result);
        if matches!(transformation, Transformation::Lowercase | Transformation::Uppercase) {
            sieve.is_like(result, value);
        }
        result
    }

    /// What a row of transformations makes of a value, and each step at which it may be looked at with `multiMatch`.
    pub(crate) fn stages(&mut self, value: ValueId, transformations: &[Transformation]) -> SmallVec<[ValueId; 4]> {
        let mut stages = smallvec![value];
        let mut current = value;
        for transformation in transformations {
            let next = self.step(current, *transformation);
            if transformation.counts_as_change(self.values.bytes(current), self.values.bytes(next)) {
                stages.push(next);
            }
            current = next;
        }
        stages
    }
}
