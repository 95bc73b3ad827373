//! How what happened lies in the log.

pub(crate) mod beside;
pub(crate) mod lots;

use std::sync::Arc;

use journal::wire::{Source, put_bytes, put_number};
use waiting_room::{By, Cause, Counters, Ending, Event, JoinKey, Noting, Position, RequestId, Seconds, State, Tuned};

use crate::tuning;

/// Writes what happened in a room as its change of this number.
pub fn put(to: &mut Vec<u8>, room: &str, number: u64, event: &Event) {
    put_bytes(to, room.as_bytes());
    put_number(to, number);
    match event {
        Event::Joined { position, id, key, at } => {
            put_kind(to, &[if key.is_some() { JOINED_BY_KEY } else { JOINED }], *position);
            put_number(to, u64::from(*at));
            to.extend_from_slice(&id.0);
            to.extend(key.iter().flat_map(|key| key.0));
        }
        Event::Moved { by, at, noting, cause, serving } => {
            to.extend_from_slice(&[MOVED, noting_code(*noting), cause_code(*cause)]);
            put_signed(to, *by);
            put_number(to, u64::from(*at));
            put_signed(to, *serving);
        }
        Event::Issued { position, issued, expires, issuer, row, id } => {
            put_kind(to, &[if row.is_some() { ISSUED_BY_ROW } else { ISSUED }], *position);
            put_number(to, u64::from(*issued));
            put_number(to, u64::from(*expires));
            put_bytes(to, issuer.as_bytes());
            to.extend_from_slice(&id.0);
            if let Some(row) = row {
                put_signed(to, *row);
            }
        }
        Event::Ended { position, ending, id, at } => {
            put_kind(to, &[ENDED, ending_code(*ending)], *position);
            put_number(to, u64::from(*at));
            to.extend_from_slice(&id.0);
        }
        Event::Swept { up_to, passed_on, at, noting, serving } => {
            put_kind(to, &[SWEPT, noting_code(*noting)], *up_to);
            put_number(to, u64::from(*passed_on));
            put_number(to, u64::from(*at));
            put_signed(to, *serving);
        }
        Event::Reset { at } => put_kind(to, &[RESET], *at),
        Event::Restored { at } => put_kind(to, &[RESTORED], *at),
        Event::Opened { by, at } => put_kind(to, &[OPENED, by_code(*by)], *at),
        Event::StateChanged { state, by, at } => {
            put_kind(to, &[STATE_CHANGED, state_code(*state), by_code(*by)], *at);
        }
        Event::Tuned { tuned, at } => put_tuned(to, *tuned, *at),
        Event::Skipped { positions, at, noting, serving } => {
            put_kind(to, &[SKIPPED, noting_code(*noting)], *at);
            put_signed(to, *serving);
            put_positions(to, positions);
        }
        Event::Measured { counters, active, at } => {
            put_kind(to, &[MEASURED], *at);
            put_number(to, *active);
            put_counters(to, counters);
        }
        Event::Beside { what, at } => beside::put(to, what, *at),
        Event::Committed { .. }
        | Event::Registered { .. }
        | Event::HallClosed
        | Event::Drawn { .. }
        | Event::Placed { .. } => lots::put(to, event),
    }
}

/// What most records begin with.
fn put_kind(to: &mut Vec<u8>, kind: &[u8], number: u32) {
    to.extend_from_slice(kind);
    put_number(to, u64::from(number));
}

fn put_tuned(to: &mut Vec<u8>, tuned: Option<Tuned>, at: Seconds) {
    put_kind(to, &[TUNED], at);
    tuning::put(to, tuned);
}

/// They are in order, so that most are a byte.
fn put_positions(to: &mut Vec<u8>, positions: &[Position]) {
    put_number(to, positions.len() as u64);
    let mut last = 0;
    for position in positions {
        put_number(to, u64::from(position.saturating_sub(last)));
        last = *position;
    }
}

fn positions(source: &mut Source<'_>) -> Option<Arc<[Position]>> {
    let (mut positions, mut last) = (Vec::new(), 0_u32);
    for _ in 0..source.number()? {
        last = last.checked_add(source.small()?)?;
        positions.push(last);
    }
    Some(positions.into())
}

/// Something that happened in a room.
#[derive(Debug, PartialEq, Eq)]
pub struct Happened<'a> {
    /// The room.
    pub room: &'a str,
    /// The number of the change.
    pub number: u64,
    /// What.
    pub event: Event,
}

/// What a record says. None: nothing that this version knows.
pub fn read(record: &[u8]) -> Option<Happened<'_>> {
    let mut source = Source(record);
    let (room, number) = (source.text()?, source.number()?);
    let [kind] = source.array()?;
    let event = match kind {
        JOINED | JOINED_BY_KEY => {
            let (position, at) = (source.small()?, source.small()?);
            let id = RequestId(source.array()?);
            let key = if kind == JOINED_BY_KEY { Some(JoinKey(source.array()?)) } else { None };
            Event::Joined { position, id, key, at }
        }
        MOVED => {
            let [noting, cause] = source.array()?;
            let (noting, cause) = (noting_of(noting)?, cause_of(cause)?);
            let (by, at) = (signed(&mut source)?, source.small()?);
            Event::Moved { by, at, noting, cause, serving: signed(&mut source)? }
        }
        ISSUED | ISSUED_BY_ROW => {
            let (position, issued, expires) = (source.small()?, source.small()?, source.small()?);
            let (issuer, id) = (Arc::from(source.text()?), RequestId(source.array()?));
            let row = if kind == ISSUED_BY_ROW { Some(signed(&mut source)?) } else { None };
            Event::Issued { position, issued, expires, issuer, row, id }
        }
        ENDED => {
            let [ending] = source.array()?;
            let (position, at) = (source.small()?, source.small()?);
            Event::Ended { position, ending: ending_of(ending)?, id: RequestId(source.array()?), at }
        }
        SWEPT => {
            let [noting] = source.array()?;
            let (up_to, passed_on, at) = (source.small()?, source.small()?, source.small()?);
            Event::Swept { up_to, passed_on, at, noting: noting_of(noting)?, serving: signed(&mut source)? }
        }
        TUNED => {
            let at = source.small()?;
            Event::Tuned { at, tuned: tuning::read(&mut source)?.0 }
        }
        RESET => Event::Reset { at: source.small()? },
        RESTORED => Event::Restored { at: source.small()? },
        SKIPPED => {
            let [noting] = source.array()?;
            let (at, serving) = (source.small()?, signed(&mut source)?);
            Event::Skipped { positions: positions(&mut source)?, at, noting: noting_of(noting)?, serving }
        }
        MEASURED => {
            let (at, active) = (source.small()?, source.number()?);
            Event::Measured { counters: counters(&mut source)?, active, at }
        }
        OPENED => {
            let [by] = source.array()?;
            Event::Opened { by: by_of(by)?, at: source.small()? }
        }
        STATE_CHANGED => {
            let [state, by] = source.array()?;
            Event::StateChanged { state: state_of(state)?, by: by_of(by)?, at: source.small()? }
        }
        other => lots::read(other, &mut source).or_else(|| beside::read(other, &mut source))?,
    };
    Some(Happened { room, number, event })
}

/// Writes a number that may be negative, in as few bytes as its size needs.
pub(crate) fn put_signed(to: &mut Vec<u8>, number: i64) {
    put_number(to, (number << 1 ^ number >> 63).cast_unsigned());
}

/// The next number that may be negative.
pub(crate) fn signed(source: &mut Source<'_>) -> Option<i64> {
    let number = source.number()?;
    Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
}

fn put_counters(to: &mut Vec<u8>, counters: &Counters) {
    let Counters { queue, serving, tokens, expired, swept, completed, abandoned, state, last, registered } = counters;
    put_signed(to, *serving);
    put_number(to, *expired);
    for number in [queue, tokens, swept, completed, abandoned, last, registered] {
        put_number(to, u64::from(*number));
    }
    to.push(state_code(*state));
}

fn counters(source: &mut Source<'_>) -> Option<Counters> {
    let (serving, expired) = (signed(source)?, source.number()?);
    let (queue, tokens, swept) = (source.small()?, source.small()?, source.small()?);
    let (completed, abandoned, last, registered) = (source.small()?, source.small()?, source.small()?, source.small()?);
    let [state] = source.array()?;
    let state = state_of(state)?;
    Some(Counters { queue, serving, tokens, expired, swept, completed, abandoned, state, last, registered })
}

/// As it lies in files.
pub(crate) fn ending_code(ending: Ending) -> u8 {
    match ending {
        Ending::Completed => 1,
        Ending::Abandoned => 2,
    }
}

/// As [`ending_code`] wrote it.
pub(crate) fn ending_of(code: u8) -> Option<Ending> {
    [Ending::Completed, Ending::Abandoned].into_iter().find(|ending| ending_code(*ending) == code)
}

fn noting_code(noting: Noting) -> u8 {
    match noting {
        Noting::Nothing => 0,
        Noting::Anew => 1,
        Noting::Renewed => 2,
    }
}

fn noting_of(code: u8) -> Option<Noting> {
    [Noting::Nothing, Noting::Anew, Noting::Renewed].into_iter().find(|noting| noting_code(*noting) == code)
}

fn cause_code(cause: Cause) -> u8 {
    match cause {
        Cause::Operator => 0,
        Cause::Inlet => 1,
    }
}

fn cause_of(code: u8) -> Option<Cause> {
    [Cause::Operator, Cause::Inlet].into_iter().find(|cause| cause_code(*cause) == code)
}

/// As it lies in files.
pub(crate) fn state_code(state: State) -> u8 {
    match state {
        State::Idle => 0,
        State::PreQueue => 1,
        State::Open => 2,
        State::Paused => 3,
        State::Closed => 4,
        State::PassingEverybody => 5,
    }
}

/// As [`state_code`] wrote it.
pub(crate) fn state_of(code: u8) -> Option<State> {
    State::ALL.into_iter().find(|state| state_code(*state) == code)
}

/// As it lies in files.
pub(crate) fn by_code(by: By) -> u8 {
    match by {
        By::Schedule => 0,
        By::Operator => 1,
    }
}

/// As [`by_code`] wrote it.
pub(crate) fn by_of(code: u8) -> Option<By> {
    [By::Schedule, By::Operator].into_iter().find(|by| by_code(*by) == code)
}

const JOINED: u8 = 1;
const JOINED_BY_KEY: u8 = 2;
const MOVED: u8 = 3;
const ISSUED: u8 = 4;
const ISSUED_BY_ROW: u8 = 5;
const ENDED: u8 = 6;
const SWEPT: u8 = 7;
const RESET: u8 = 8;
const RESTORED: u8 = 9;
const OPENED: u8 = 40;
const STATE_CHANGED: u8 = 41;
const MEASURED: u8 = 42;
const SKIPPED: u8 = 43;
const TUNED: u8 = 60;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use waiting_room::{MaxSize, Periodic};

    use super::*;

    fn event() -> impl Strategy<Value = Event> {
        let noting = || prop_oneof![Just(Noting::Nothing), Just(Noting::Anew), Just(Noting::Renewed)];
        let cause = prop_oneof![Just(Cause::Operator), Just(Cause::Inlet)];
        let ending = prop_oneof![Just(Ending::Completed), Just(Ending::Abandoned)];
        let by = || prop_oneof![Just(By::Schedule), Just(By::Operator)];
        prop_oneof![
            (any::<u32>(), any::<[u8; 16]>(), any::<Option<[u8; 16]>>(), any::<u32>()).prop_map(
                |(position, id, key, at)| { Event::Joined { position, id: RequestId(id), key: key.map(JoinKey), at } }
            ),
            (any::<i64>(), any::<u32>(), noting(), cause, any::<i64>())
                .prop_map(|(by, at, noting, cause, serving)| Event::Moved { by, at, noting, cause, serving }),
            (any::<u32>(), any::<u32>(), any::<u32>(), any::<String>(), any::<Option<i64>>(), any::<[u8; 16]>())
                .prop_map(|(position, issued, expires, issuer, row, id)| {
                    Event::Issued { position, issued, expires, issuer: issuer.into(), row, id: RequestId(id) }
                }),
            (any::<u32>(), ending, any::<[u8; 16]>(), any::<u32>())
                .prop_map(|(position, ending, id, at)| Event::Ended { position, ending, id: RequestId(id), at }),
            (any::<u32>(), any::<u32>(), any::<u32>(), noting(), any::<i64>()).prop_map(
                |(up_to, passed_on, at, noting, serving)| Event::Swept { up_to, passed_on, at, noting, serving }
            ),
            any::<u32>().prop_map(|at| Event::Reset { at }),
            any::<u32>().prop_map(|at| Event::Restored { at }),
            (any::<std::collections::BTreeSet<u32>>(), any::<u32>(), noting(), any::<i64>()).prop_map(
                |(positions, at, noting, serving)| {
                    let positions = positions.into_iter().collect();
                    Event::Skipped { positions, at, noting, serving }
                }
            ),
            (any::<[u32; 5]>(), any::<i64>(), any::<[u64; 2]>(), any::<u32>()).prop_map(|(small, serving, big, at)| {
                let [queue, tokens, swept, completed, abandoned] = small;
                let [expired, active] = big;
                let state = State::Paused;
                let (last, registered) = (queue, tokens);
                let counters =
                    Counters { queue, serving, tokens, expired, swept, completed, abandoned, state, last, registered };
                Event::Measured { counters, active, at }
            }),
            (by(), any::<u32>()).prop_map(|(by, at)| Event::Opened { by, at }),
            (any::<Option<[u32; 3]>>(), any::<Option<u32>>(), any::<u32>()).prop_map(|(numbers, until, at)| {
                let tuned = numbers.map(|[by, every, from]| Tuned::Periodic(Periodic { by, every, from, until }));
                Event::Tuned { tuned, at }
            }),
            (0..2_usize, any::<u32>(), any::<u32>()).prop_map(|(which, size, at)| {
                let tuned = [Tuned::Manual, Tuned::MaxSize(MaxSize { size })].get(which).copied();
                Event::Tuned { tuned, at }
            }),
            (prop::sample::select(State::ALL.to_vec()), by(), any::<u32>())
                .prop_map(|(state, by, at)| Event::StateChanged { state, by, at }),
            lots::tests::event(),
            beside::tests::event(),
        ]
    }

    proptest! {
        #[test]
        fn what_happened_is_read_as_it_was_written(room: String, number: u64, event in event()) {
            let mut record = Vec::new();
            put(&mut record, &room, number, &event);
            prop_assert_eq!(read(&record), Some(Happened { room: &room, number, event }));
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
            drop(read(&bytes));
        }
    }
}
