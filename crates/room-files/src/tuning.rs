//! How an inlet that an operator set lies in files.

use journal::wire::{Source, put_number};
use waiting_room::{MaxSize, Periodic, Tuned};

/// Writes what an operator set.
pub(crate) fn put(to: &mut Vec<u8>, tuned: Option<Tuned>) {
    match tuned {
        None => to.push(0),
        Some(Tuned::Manual) => to.push(1),
        Some(Tuned::Periodic(Periodic { by, every, from, until })) => {
            to.push(2);
            for number in [by, every, from] {
                put_number(to, u64::from(number));
            }
            put_number(to, until.map_or(0, |until| u64::from(until) + 1));
        }
        Some(Tuned::MaxSize(MaxSize { size })) => {
            to.push(3);
            put_number(to, u64::from(size));
        }
    }
}

/// What an operator set, or that it was left to the settings.
pub(crate) struct Set(pub(crate) Option<Tuned>);

/// What an operator set, as [`put`] wrote it.
pub(crate) fn read(source: &mut Source<'_>) -> Option<Set> {
    let [kind] = source.array()?;
    Some(Set(match kind {
        0 => None,
        1 => Some(Tuned::Manual),
        2 => {
            let (by, every, from) = (source.small()?, source.small()?, source.small()?);
            let until = match source.number()?.checked_sub(1) {
                Some(until) => Some(until.try_into().ok()?),
                None => None,
            };
            Some(Tuned::Periodic(Periodic { by, every, from, until }))
        }
        3 => Some(Tuned::MaxSize(MaxSize { size: source.small()? })),
        _ => return None,
    }))
}
