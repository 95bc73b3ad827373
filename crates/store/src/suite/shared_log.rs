//! What every [`SharedLog`] has to do.

#![expect(missing_docs, reason = "the names are the promises")]

use std::time::Duration;

use async_trait::async_trait;

use crate::{Base, Behind, Cursor, CursorKept, LogReaders, Place, Reads, SharedLog, Then, Turn, Wrote};

/// An empty log, and the way its time passes.
#[async_trait]
pub trait Bench: Send + Sync {
    fn log(&self) -> &dyn SharedLog;
    fn readers(&self) -> &dyn LogReaders;
    /// Has time pass for the log: by its clock, or by waiting if it has one of its own.
    async fn pass(&self, time: Duration);
}

const START: Place = Place { number: 0, mark: 0 };
/// Longer than a turn that nobody uses.
const LONG: Duration = Duration::from_hours(1);

fn place(number: u64) -> Place {
    Place { number, mark: number.wrapping_mul(0x9e37_79b9_7f4a_7c15) }
}

fn batch(number: u64) -> Vec<u8> {
    [b"batch\0\xff\n", &number.to_le_bytes()[..]].concat()
}

/// Writes so many batches behind a place, as one who then passes the turn on.
async fn written(log: &dyn SharedLog, numbers: std::ops::RangeInclusive<u64>) {
    let last = *numbers.end();
    assert!(matches!(log.take("a", START).await.unwrap(), Turn::Ours(_)));
    for number in numbers {
        let between = (if number == 1 { START } else { place(number - 1) }, place(number));
        let then = if number == last { Then::Pass } else { Then::Keep };
        let expected = if number == last { Wrote::Passed } else { Wrote::Kept };
        assert_eq!(log.write("a", between, &batch(number), then).await.unwrap(), expected);
    }
}

fn known(behind: Behind) -> (Vec<(Place, Vec<u8>)>, Place) {
    match behind {
        Behind::Known { batches, last, .. } => (batches, last),
        Behind::Gone(last) => panic!("it ends at {last}"),
    }
}

pub async fn what_is_written_is_read_in_order(bench: &dyn Bench) {
    let log = bench.log();
    assert_eq!(known(log.read(START).await.unwrap()), (vec![], START));
    written(log, 1..=3).await;
    let all: Vec<_> = (1..=3).map(|number| (place(number), batch(number))).collect();
    assert_eq!(known(log.read(START).await.unwrap()), (all.clone(), place(3)));
    assert_eq!(known(log.read(place(2)).await.unwrap()), (all[2..].to_vec(), place(3)));
    assert_eq!(known(log.read(place(3)).await.unwrap()), (vec![], place(3)));
}

pub async fn a_long_log_is_read_bit_by_bit(bench: &dyn Bench) {
    let log = bench.log();
    written(log, 1..=150).await;
    let (mut at, mut read) = (START, 0);
    loop {
        let (batches, last) = known(log.read(at).await.unwrap());
        assert_eq!(last, place(150));
        let Some((to, _)) = batches.last() else { break };
        read += batches.len();
        at = *to;
    }
    assert_eq!((read, at), (150, place(150)));
}

pub async fn only_whose_turn_it_is_writes_and_only_behind_the_last(bench: &dyn Bench) {
    let log = bench.log();
    written(log, 1..=2).await;
    let write = async |who: &'static str, after, to| log.write(who, (after, to), b"x", Then::Keep).await.unwrap();
    assert_eq!(write("b", place(2), place(3)).await, Wrote::Refused, "it is nobody's turn");
    assert!(matches!(log.take("b", place(2)).await.unwrap(), Turn::Ours(_)));
    assert_eq!(write("b", place(1), place(3)).await, Wrote::Refused, "the log ends elsewhere");
    assert_eq!(write("a", place(2), place(3)).await, Wrote::Refused, "it is somebody else's turn");
    assert_eq!(write("b", place(2), place(3)).await, Wrote::Kept);
    assert_eq!(write("b", place(2), place(3)).await, Wrote::Kept, "the same again is there once");
    assert_eq!(known(log.read(START).await.unwrap()).0.len(), 3);
}

pub async fn the_turn_goes_to_whoever_asked_first(bench: &dyn Bench) {
    let log = bench.log();
    assert!(matches!(log.take("a", START).await.unwrap(), Turn::Ours(_)));
    for who in ["b", "c", "b"] {
        assert_eq!(log.take(who, START).await.unwrap(), Turn::Theirs);
        bench.pass(Duration::from_millis(3)).await;
    }
    assert_eq!(log.write("a", (START, place(1)), b"1", Then::Keep).await.unwrap(), Wrote::Passed);
    assert_eq!(log.take("c", START).await.unwrap(), Turn::Theirs);
    let Turn::Ours(behind) = log.take("b", START).await.unwrap() else { panic!("it is the turn of b") };
    assert_eq!(known(behind).1, place(1));
    log.pass("b").await.unwrap();
    log.pass("a").await.unwrap();
    assert_eq!(log.take("a", place(1)).await.unwrap(), Turn::Theirs, "it is the turn of c");
    assert!(matches!(log.take("c", place(1)).await.unwrap(), Turn::Ours(_)));
}

pub async fn a_turn_that_nobody_uses_ends_and_its_batch_is_refused(bench: &dyn Bench) {
    let log = bench.log();
    assert!(matches!(log.take("a", START).await.unwrap(), Turn::Ours(_)));
    assert_eq!(log.take("b", START).await.unwrap(), Turn::Theirs);
    bench.pass(LONG).await;
    assert!(matches!(log.take("b", START).await.unwrap(), Turn::Ours(_)));
    assert_eq!(log.write("b", (START, place(1)), b"b", Then::Pass).await.unwrap(), Wrote::Passed);
    let other = Place { number: 1, mark: 7 };
    assert_eq!(log.write("a", (START, other), b"a", Then::Pass).await.unwrap(), Wrote::Refused);
    assert_eq!(known(log.read(START).await.unwrap()), (vec![(place(1), b"b".to_vec())], place(1)));
}

pub async fn a_place_that_the_log_never_had_is_gone(bench: &dyn Bench) {
    let log = bench.log();
    written(log, 1..=2).await;
    for strange in [Place { number: 1, mark: 9 }, Place { number: 2, mark: 9 }, place(3)] {
        assert_eq!(log.read(strange).await.unwrap(), Behind::Gone(place(2)), "{strange}");
    }
}

pub async fn a_log_that_is_shortened_has_a_base_instead(bench: &dyn Bench) {
    let log = bench.log();
    written(log, 1..=4).await;
    assert_eq!(log.base().await.unwrap(), Base::default());
    let base = Base { place: place(3), pieces: 2 };
    for number in 0..2 {
        log.lay_piece(base.place, number, &[u8::try_from(number).unwrap(), 0, 255]).await.unwrap();
    }
    log.rebase(base).await.unwrap();

    assert_eq!(log.base().await.unwrap(), base);
    assert_eq!(log.piece(base.place, 1).await.unwrap(), Some(vec![1, 0, 255]));
    assert_eq!(log.piece(base.place, 2).await.unwrap(), None);
    assert_eq!(known(log.read(place(3)).await.unwrap()).0, [(place(4), batch(4))]);
    assert_eq!(log.read(place(1)).await.unwrap(), Behind::Gone(place(4)));
    // One that comes too late, and one that the log never had, change nothing.
    // Nor does one that is not there, of which it is said that it failed.
    for (other, pieces, is_done) in
        [(place(2), 1, true), (Place { number: 4, mark: 1 }, 1, false), (place(4), 2, false)]
    {
        log.lay_piece(other, 0, b"x").await.unwrap();
        assert_eq!(log.rebase(Base { place: other, pieces }).await.is_ok(), is_done, "{other}");
        assert_eq!(log.base().await.unwrap(), base);
    }
    let next = Base { place: place(4), pieces: 1 };
    log.lay_piece(next.place, 0, b"next").await.unwrap();
    log.rebase(next).await.unwrap();
    assert_eq!(log.piece(base.place, 0).await.unwrap(), None, "the base of before is gone");
    assert_eq!(known(log.read(place(4)).await.unwrap()), (vec![], place(4)));
    assert!(matches!(log.take("b", place(4)).await.unwrap(), Turn::Ours(Behind::Known { .. })));
    assert_eq!(log.write("b", (place(4), place(5)), b"5", Then::Pass).await.unwrap(), Wrote::Passed);
}

fn upto(number: u64, records: u32) -> Cursor {
    Cursor { place: if number == 0 { START } else { place(number) }, records }
}

pub async fn a_reader_begins_where_the_log_ends_and_goes_on_where_it_was(bench: &dyn Bench) {
    let (log, readers) = (bench.log(), bench.readers());
    assert_eq!(readers.hold("first", "a").await.unwrap(), Reads::Here(upto(0, 0)));
    written(log, 1..=3).await;
    assert_eq!(readers.hold("later", "a").await.unwrap(), Reads::Here(upto(3, 0)));
    assert_eq!(readers.after(place(3)).await.unwrap(), []);
    let all: Vec<_> = (1..=3).map(|number| (place(number), batch(number))).collect();
    assert_eq!(readers.after(START).await.unwrap(), all);
    for cursor in [upto(0, 2), upto(1, 0), upto(2, 7)] {
        assert_eq!(readers.remember("first", "a", cursor, 14).await.unwrap(), CursorKept::Here);
        assert_eq!(readers.hold("first", "a").await.unwrap(), Reads::Here(cursor));
    }
    assert_eq!(readers.after(place(2)).await.unwrap(), all[2..]);
}

pub async fn one_node_reads_for_a_reader_until_it_says_nothing_for_a_while(bench: &dyn Bench) {
    let (log, readers) = (bench.log(), bench.readers());
    assert_eq!(readers.hold("sink", "a").await.unwrap(), Reads::Here(upto(0, 0)));
    written(log, 1..=2).await;
    assert_eq!(readers.hold("sink", "b").await.unwrap(), Reads::Elsewhere);
    assert_eq!(readers.remember("sink", "b", upto(2, 0), 1).await.unwrap(), CursorKept::Elsewhere);
    assert_eq!(readers.hold("other", "b").await.unwrap(), Reads::Here(upto(2, 0)), "each has its own");
    assert_eq!(readers.remember("sink", "a", upto(1, 0), 14).await.unwrap(), CursorKept::Here);
    bench.pass(LONG).await;
    assert_eq!(readers.hold("sink", "b").await.unwrap(), Reads::Here(upto(1, 0)), "it goes on where the first one was");
    assert_eq!(readers.remember("sink", "a", upto(2, 0), 14).await.unwrap(), CursorKept::Elsewhere);
    assert_eq!(readers.hold("sink", "a").await.unwrap(), Reads::Elsewhere);
}

pub async fn what_a_reader_has_not_read_outlives_that_the_log_is_shortened(bench: &dyn Bench) {
    let (log, readers) = (bench.log(), bench.readers());
    assert_eq!(readers.hold("sink", "a").await.unwrap(), Reads::Here(upto(0, 0)));
    written(log, 1..=4).await;
    assert_eq!(readers.remember("sink", "a", upto(1, 3), 14).await.unwrap(), CursorKept::Here);
    let base = Base { place: place(3), pieces: 1 };
    log.lay_piece(base.place, 0, b"base").await.unwrap();
    log.rebase(base).await.unwrap();
    let numbers = async || readers.after(place(1)).await.unwrap().into_iter().map(|(place, _)| place.number);
    assert_eq!(numbers().await.collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!(known(log.read(place(3)).await.unwrap()).0, [(place(4), batch(4))], "writers begin with the base");
    assert_eq!(readers.remember("sink", "a", upto(4, 0), 14).await.unwrap(), CursorKept::Here);
    let next = Base { place: place(4), pieces: 1 };
    log.lay_piece(next.place, 0, b"next").await.unwrap();
    log.rebase(next).await.unwrap();
    assert_eq!(numbers().await.count(), 0, "nobody needs them any more");
}
