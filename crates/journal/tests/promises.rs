//! What a journal promises: any prefix that was written is read, whatever happens to the rest.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use journal::{End, Journal, MAX_RECORD, Next, NotAppended, PerThread, SegmentId, Settings};
use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;

const OPENED_AT: u64 = 1_700_000_000_000_000;

fn small() -> Settings {
    Settings { segment: 4096, limit: 1 << 20, reserve: 1024, ..Settings::default() }
}

fn open(directory: &TempDir, settings: Settings) -> Journal {
    Journal::open(directory.path(), settings, OPENED_AT).unwrap()
}

/// All records of a segment from `offset` on, the offset behind each, and how it ends, if it does.
fn read(journal: &Journal, id: SegmentId, offset: u64) -> (Vec<(Vec<u8>, u64)>, Option<End>) {
    // A writer that ended may have taken it back since it was listed.
    let Some(mut reader) = journal.read(id, offset).unwrap() else { return (Vec::new(), None) };
    let mut records = Vec::new();
    loop {
        let record = match reader.next().unwrap() {
            Next::Record(record) => record.to_vec(),
            Next::NothingYet => return (records, None),
            Next::End(end) => return (records, Some(end)),
        };
        records.push((record, reader.offset()));
    }
}

fn records(journal: &Journal) -> Vec<Vec<u8>> {
    let segments = journal.segments().unwrap();
    segments.into_iter().flat_map(|id| read(journal, id, 0).0).map(|(record, _)| record).collect()
}

fn file(directory: &Path) -> std::path::PathBuf {
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|end| end == "segment")).min().unwrap()
}

/// Waits for a state; it comes by the journal's own threads.
fn until(mut reached: impl FnMut() -> bool) {
    for _ in 0..100_000 {
        if reached() {
            return;
        }
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_micros(100));
    }
    panic!("it did not come to pass");
}

#[test]
fn a_live_segment_is_read_while_it_is_written() {
    let directory = TempDir::new().unwrap();
    let journal = open(&directory, small());
    let mut writer = journal.writer().unwrap();
    let id = journal.segments().unwrap()[0];

    writer.append(b"one").unwrap();
    let (first, end) = read(&journal, id, 0);
    assert_eq!((first[0].0.as_slice(), end), (&b"one"[..], None));

    writer.append(b"two").unwrap();
    let (second, _) = read(&journal, id, first[0].1);
    assert_eq!(second[0].0, b"two");

    drop(writer);
    assert_eq!(read(&journal, id, second[0].1), (vec![], Some(End::Sealed)));
}

#[test]
fn a_reader_in_another_thread_follows_a_writer_without_missing_anything() {
    let directory = TempDir::new().unwrap();
    let journal = open(&directory, Settings { segment: 1 << 20, ..small() });
    let mut writer = journal.writer().unwrap();
    let mut reader = journal.read(journal.segments().unwrap()[0], 0).unwrap().unwrap();

    std::thread::scope(|scope| {
        scope.spawn(move || {
            for n in 0..10_000_usize {
                writer.append(&vec![n.to_le_bytes()[0]; n % 150]).unwrap();
            }
        });
        let mut seen = 0_usize;
        loop {
            match reader.next().unwrap() {
                Next::Record(record) => {
                    assert_eq!(record, vec![seen.to_le_bytes()[0]; seen % 150]);
                    seen += 1;
                }
                Next::NothingYet => std::thread::yield_now(),
                Next::End(end) => break assert_eq!((end, seen), (End::Sealed, 10_000)),
            }
        }
    });
}

#[test]
fn a_writer_goes_on_to_the_next_segment_and_no_record_is_lost() {
    let directory = TempDir::new().unwrap();
    let journal = open(&directory, small());
    let mut writer = journal.writer().unwrap();

    for n in 0_u32..2000 {
        until(|| writer.has_room());
        writer.append(&n.to_le_bytes()).unwrap();
    }

    assert!(journal.segments().unwrap().len() > 5);
    assert!(records(&journal).into_iter().eq((0_u32..2000).map(|n| n.to_le_bytes().to_vec())));
}

#[test]
fn lack_of_room_shows_before_there_is_none() {
    let directory = TempDir::new().unwrap();
    let journal = open(&directory, Settings { limit: 8192, ..small() });
    let mut writer = journal.writer().unwrap();
    until(|| journal.segments().unwrap().len() == 2);

    let mut told = 0;
    while writer.has_room() {
        writer.append(&[7; 64]).unwrap();
        told += 1;
    }
    let mut finished = 0;
    while writer.append(&[7; 64]).is_ok() {
        finished += 1;
    }

    assert!(told > 0 && finished >= 1024 / 72 - 1, "{told} {finished}");
    assert_eq!(writer.append(&[7; 64]), Err(NotAppended::NoRoom));
    assert_eq!(records(&journal).len(), told + finished);
    until(|| journal.state().refused_segments > 0);
}

#[test]
fn a_journal_leaves_the_last_of_a_disk_to_others() {
    let directory = TempDir::new().unwrap();
    let journal = open(&directory, Settings { keep_free: u64::MAX / 2, ..small() });

    let refused = journal.writer().unwrap_err();

    assert_eq!(refused.cause.kind(), std::io::ErrorKind::StorageFull);
    // How much is needed, and how much there is.
    let said = refused.cause.to_string();
    assert!(said.starts_with("8796093022209 MiB must be free, 8796093022208 of which stay so, and "), "{said}");
    assert!(journal.segments().unwrap().is_empty());
}

#[test]
fn what_a_process_left_unfinished_is_removed_later() {
    let directory = TempDir::new().unwrap();
    let left = directory.path().join("000000000000000000000000000000aa.unfinished");
    fs::write(&left, [0; 100]).unwrap();

    drop(open(&directory, small()));
    assert!(left.exists(), "it may be of a living process");
    drop(Journal::open(directory.path(), small(), 10 * OPENED_AT).unwrap());
    assert!(!left.exists());
}

#[test]
fn room_comes_back_when_consumers_are_done() {
    let directory = TempDir::new().unwrap();
    let names = vec!["bills".to_owned(), "logs".to_owned()];
    let journal = open(&directory, Settings { limit: 8192, consumers: names, ..small() });
    let mut writer = journal.writer().unwrap();
    let [mut bills, mut logs] = ["bills", "logs"].map(|name| journal.consumer(name).unwrap().unwrap());
    until(|| journal.segments().unwrap().len() == 2);
    while writer.append(&[7; 64]).is_ok() {}

    let full = journal.segments().unwrap()[0];
    bills.done([full]).unwrap();
    assert_eq!(bills.segments().unwrap().len(), 1);
    assert_eq!(logs.segments().unwrap().len(), 2);
    logs.done([full]).unwrap();

    // The journal looks once a second, or when a writer asks.
    until(|| writer.has_room());
    assert!(!journal.segments().unwrap().contains(&full));
    assert_eq!(bills.gone().unwrap(), [full].into());
    bills.done([]).unwrap();
    assert_eq!(bills.gone().unwrap(), [].into());
}

#[test]
fn a_consumer_that_is_let_go_holds_nothing_up() {
    let directory = TempDir::new().unwrap();
    let names = vec!["bills".to_owned(), "away".to_owned()];
    let journal = open(&directory, Settings { limit: 8192, consumers: names, ..small() });
    let mut writer = journal.writer().unwrap();
    until(|| journal.segments().unwrap().len() == 2);
    // The next segment may come a moment after this one is full.
    let fill = |writer: &mut journal::Writer| while writer.append(&[7; 64]).is_ok() {};
    fill(&mut writer);
    let full = journal.segments().unwrap()[0];
    journal.consumer("bills").unwrap().unwrap().done([full]).unwrap();
    until(|| {
        fill(&mut writer);
        journal.state().room == 0
    });
    assert!(!writer.has_room());

    journal.let_go("away");

    until(|| writer.has_room());
    assert!(!journal.segments().unwrap().contains(&full));
}

#[test]
fn a_consumer_is_one_at_a_time_and_remembers_what_it_is_done_with() {
    let directory = TempDir::new().unwrap();
    let journal = open(&directory, small());
    drop(journal.writer().unwrap());
    let other = open(&directory, small());

    let mut consumer = journal.consumer("bills").unwrap().unwrap();
    assert!(other.consumer("bills").unwrap().is_none());
    let all = consumer.segments().unwrap();
    consumer.done(all.clone()).unwrap();
    drop(consumer);

    // The writer's next segment may come only now, to be taken back.
    let left = other.consumer("bills").unwrap().unwrap().segments().unwrap();
    assert!(all.iter().all(|id| !left.contains(id)), "{all:?} {left:?}");
}

#[test]
fn a_record_that_is_too_long_is_refused_and_the_next_one_taken() {
    let directory = TempDir::new().unwrap();
    let journal = open(&directory, Settings { segment: 128 * 1024, ..small() });
    let mut writer = journal.writer().unwrap();

    assert_eq!(writer.append(&vec![0; MAX_RECORD + 1]), Err(NotAppended::TooLong));
    writer.append(&vec![1; MAX_RECORD]).unwrap();
    writer.append(b"").unwrap();
    let tiny = TempDir::new().unwrap();
    assert_eq!(open(&tiny, small()).writer().unwrap().append(&[0; 4096]), Err(NotAppended::TooLong));

    assert_eq!(records(&journal), [vec![1; MAX_RECORD], vec![]]);
}

#[test]
fn a_whole_segment_is_read_like_any_other() {
    let directory = TempDir::new().unwrap();
    let journal = open(&directory, small());

    let id = journal.write_whole([&b"one"[..], b"two"].into_iter()).unwrap();

    let (records, end) = read(&journal, id, 0);
    assert_eq!(records.iter().map(|(record, _)| record.as_slice()).collect::<Vec<_>>(), [b"one", b"two"]);
    assert_eq!(end, Some(End::Sealed));
    journal.remove(id).unwrap();
    assert!(journal.segments().unwrap().is_empty());
    // Somebody else may have been faster.
    journal.remove(id).unwrap();
}

#[tokio::test]
async fn waiting_for_the_disk_ends() {
    let directory = TempDir::new().unwrap();
    let journal = open(&directory, Settings { commit_every: Duration::from_hours(1), ..small() });
    let mut writer = journal.writer().unwrap();
    writer.append(b"one").unwrap();

    journal.committed(&writer.mark().unwrap()).await.unwrap();

    writer.append(b"two").unwrap();
    journal.wait_until_committed(&writer.mark().unwrap()).unwrap();
}

#[test]
fn threads_write_segments_of_their_own() {
    let directory = TempDir::new().unwrap();
    let journal = Arc::new(open(&directory, small()));
    let writers = PerThread::new(journal.clone());

    std::thread::scope(|scope| {
        for n in 0..4_u8 {
            let writers = &writers;
            scope.spawn(move || {
                for _ in 0..100 {
                    until(|| writers.has_room());
                    writers.append(|record| record.push(n)).unwrap();
                }
            });
        }
    });

    let mut all = records(&journal);
    all.sort_unstable();
    assert!(all.into_iter().eq((0..4_u8).flat_map(|n| std::iter::repeat_n(vec![n], 100))));
}

#[test]
fn a_sealed_segment_gives_back_what_it_did_not_need() {
    let directory = TempDir::new().unwrap();
    let journal = open(&directory, Settings { segment: 1 << 20, ..small() });
    let mut writer = journal.writer().unwrap();
    writer.append(b"one").unwrap();
    let path = file(directory.path());

    drop(writer);

    until(|| fs::metadata(&path).unwrap().len() < 4096);
    assert_eq!(records(&journal), [b"one"]);
}

/// A segment of a dead process with these records, the place behind each, and its length.
fn abandoned(directory: &TempDir, payloads: &[Vec<u8>]) -> (SegmentId, Vec<u64>) {
    let journal = open(directory, Settings { segment: 64 * 1024, ..small() });
    let mut writer = journal.writer().unwrap();
    for payload in payloads {
        writer.append(payload).unwrap();
    }
    let id = journal.segments().unwrap()[0];
    let places = read(&journal, id, 0).0.into_iter().map(|(_, place)| place).collect();
    // A copy has no seal and no lock: as if its process had been killed here.
    let path = file(directory.path());
    let copy = fs::read(&path).unwrap();
    drop((writer, journal));
    for entry in fs::read_dir(directory.path()).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    fs::write(&path, copy).unwrap();
    (id, places)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_killed_writer_loses_nothing(payloads in vec(vec(any::<u8>(), 0..300), 0..40)) {
        let directory = TempDir::new().unwrap();
        let (id, _) = abandoned(&directory, &payloads);
        let journal = open(&directory, small());

        let (records, end) = read(&journal, id, 0);

        prop_assert_eq!(records.into_iter().map(|(record, _)| record).collect::<Vec<_>>(), payloads);
        prop_assert_eq!(end, Some(End::Abandoned));
    }

    #[test]
    fn a_cut_file_gives_exactly_the_records_before_the_cut(
        payloads in vec(vec(any::<u8>(), 0..300), 1..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let directory = TempDir::new().unwrap();
        let (id, places) = abandoned(&directory, &payloads);
        let cut = cut.index(usize::try_from(*places.last().unwrap()).unwrap()) as u64;
        OpenOptions::new().write(true).open(file(directory.path())).unwrap().set_len(cut).unwrap();
        let journal = open(&directory, small());

        let (records, end) = read(&journal, id, 0);

        // The padding behind a record may be missing.
        let whole = places.iter().zip(&payloads).filter(|(end, payload)| unpadded(**end, payload) <= cut).count();
        prop_assert_eq!(records.into_iter().map(|(record, _)| record).collect::<Vec<_>>(), &payloads[..whole]);
        prop_assert!(matches!(end, Some(End::Abandoned | End::Damaged)));
    }

    #[test]
    fn a_damaged_byte_gives_exactly_the_records_before_it(
        payloads in vec(vec(any::<u8>(), 0..300), 1..40),
        place in any::<prop::sample::Index>(),
        damage in 1..=255_u8,
    ) {
        let directory = TempDir::new().unwrap();
        let (id, places) = abandoned(&directory, &payloads);
        let place = place.index(usize::try_from(*places.last().unwrap()).unwrap()) as u64;
        flip(&file(directory.path()), place, damage);
        let journal = open(&directory, small());

        let (records, _) = read(&journal, id, 0);

        let begins = std::iter::once(32).chain(places.iter().copied());
        let hit = begins.zip(&places).zip(&payloads).position(|((begin, end), payload)| {
            (begin..unpadded(*end, payload)).contains(&place)
        });
        // Nothing is known of a segment without its opening; padding does not matter.
        let whole = if place < 32 { 0 } else { hit.unwrap_or(payloads.len()) };
        prop_assert_eq!(records.into_iter().map(|(record, _)| record).collect::<Vec<_>>(), &payloads[..whole]);
    }

    #[test]
    fn any_bytes_are_read_without_harm(bytes in vec(any::<u8>(), 0..500), offset in any::<u64>()) {
        let directory = TempDir::new().unwrap();
        let (id, _) = abandoned(&directory, &[]);
        let path = file(directory.path());
        let opening = fs::read(&path).unwrap()[..32].to_vec();
        fs::write(&path, [opening, bytes].concat()).unwrap();
        let journal = open(&directory, small());

        let (records, end) = read(&journal, id, 0);
        prop_assert!(records.is_empty() && end.is_some());
        prop_assert!(read(&journal, id, offset).1.is_some());
    }
}

/// The place behind the payload of the record that ends at `end`.
fn unpadded(end: u64, payload: &[u8]) -> u64 {
    let length = payload.len() as u64 + 8;
    end - length.next_multiple_of(8) + length
}

fn flip(path: &Path, place: u64, damage: u8) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, place).unwrap();
    file.write_all_at(&[byte[0] ^ damage], place).unwrap();
}
