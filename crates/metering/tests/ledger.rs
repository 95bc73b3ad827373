//! What quotas consumed is exact, whatever crashes.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use journal::{Journal, Settings};
use metering::{Compacted, Ledger};
use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;

const DIRECTORY: &str = "LEDGER_KILLED_DIRECTORY";

type Sums = BTreeMap<(String, u64), i64>;

fn open(directory: &Path, opened: u64) -> (Arc<Journal>, Ledger) {
    let settings = Settings { segment: 4096, reserve: 1024, ..Settings::default() };
    let journal = Arc::new(Journal::open(directory, settings, opened).unwrap());
    (journal.clone(), Ledger::new(journal))
}

fn consume(ledger: &Ledger, counter: &str, window: u64, n: u32) {
    // The next segment is laid out by another thread.
    while ledger.consumed(counter, window, n).is_err() {
        std::thread::yield_now();
    }
}

fn replayed(ledger: &Ledger) -> Sums {
    let mut sums = Sums::new();
    ledger.replay(|counter, window, n| *sums.entry((counter.to_owned(), window)).or_default() += n).unwrap();
    sums
}

#[derive(Clone, Debug)]
enum Act {
    Consume(u8, u8, u32),
    Often(u8),
    Compact,
    /// A compaction that crashed after its segment was there and before the others were gone.
    CompactHalf(usize),
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..4_u8, 0..3_u8, any::<u32>()).prop_map(|(counter, window, n)| Act::Consume(counter, window, n)),
        2 => any::<u8>().prop_map(Act::Often),
        2 => Just(Act::Compact),
        1 => (0..4_usize).prop_map(Act::CompactHalf),
        3 => Just(Act::Restart),
    ]
}

/// Compacts and brings back all but `removed` of the segments that are gone by it.
fn compact_half(ledger: &Ledger, directory: &Path, removed: usize) {
    let before: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "segment"))
        .map(|path| (fs::read(&path).unwrap(), path))
        .collect();
    ledger.compact(|_, _| true).unwrap();
    for (content, path) in before.into_iter().filter(|(_, path)| !path.exists()).skip(removed) {
        fs::write(path, content).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_replay_tells_exactly_what_was_consumed(acts in vec(act(), 1..25)) {
        let directory = TempDir::new().unwrap();
        let mut opened = 1;
        let mut both = open(directory.path(), opened);
        let mut sums = Sums::new();
        let mut count = |ledger: &Ledger, counter: String, window: u64, n: u32| {
            consume(ledger, &counter, window, n);
            // Every seventh gives something back.
            let back = if n.is_multiple_of(7) { n / 2 } else { 0 };
            while back > 0 && ledger.given_back(&counter, window, back).is_err() {
                std::thread::yield_now();
            }
            *sums.entry((counter, window)).or_default() += i64::from(n) - i64::from(back);
        };
        for act in acts {
            match act {
                Act::Consume(counter, window, n) => count(&both.1, format!("counter-{counter}"), window.into(), n),
                Act::Often(times) => (0..times).for_each(|n| count(&both.1, format!("often-{}", n % 3), 1, 1)),
                Act::Compact => drop(both.1.compact(|_, _| true).unwrap()),
                Act::CompactHalf(removed) => compact_half(&both.1, directory.path(), removed),
                Act::Restart => {
                    drop(both);
                    opened += 1;
                    both = open(directory.path(), opened);
                }
            }
        }
        drop(both);

        let (_, ledger) = open(directory.path(), opened + 1);
        prop_assert_eq!(replayed(&ledger), sums);
    }
}

/// Consumes until it is killed, and says by lines how much it has consumed.
///
/// It is a test, so that the same binary can be started as the process to be killed; alone, it does nothing.
#[test]
fn the_process_to_be_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let (_, ledger) = open(&directory, 1);
    for n in 1_u64.. {
        consume(&ledger, "acme", 1, 1);
        if writeln!(std::io::stdout(), "consumed {n}").is_err() {
            return;
        }
        if n % 1000 == 0 {
            ledger.compact(|_, _| true).unwrap();
        }
    }
}

#[test]
fn a_killed_process_has_consumed_exactly_what_it_said() {
    let directory = TempDir::new().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_process_to_be_killed", "--nocapture"])
        .env(DIRECTORY, directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = |line: String| line.strip_prefix("consumed ").and_then(|n| n.parse::<i64>().ok());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    lines.by_ref().filter_map(said).find(|n| *n == 5000).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let consumed = lines.filter_map(said).max().unwrap_or(5000);

    let replayed = replayed(&open(directory.path(), 2).1)[&("acme".to_owned(), 1)];

    // It may have been killed between a consumption and its line.
    assert!((consumed..=consumed + 1).contains(&replayed), "{consumed} {replayed}");
}

#[test]
fn a_compacted_ledger_is_small_and_without_windows_that_are_over() {
    let directory = TempDir::new().unwrap();
    for opened in 0..20 {
        let (_, ledger) = open(directory.path(), opened);
        consume(&ledger, "acme", 1, 5);
        consume(&ledger, "acme", 2, 7);
    }
    let (journal, ledger) = open(directory.path(), 20);

    assert_eq!(ledger.compact(|_, window| window == 2).unwrap(), Compacted::Into { segments: 20, sums: 1 });

    assert_eq!(journal.segments().unwrap().len(), 1);
    assert_eq!(replayed(&ledger), Sums::from([(("acme".to_owned(), 2), 140)]));
    assert_eq!(ledger.compact(|_, _| true).unwrap(), Compacted::Nothing);
}

#[test]
fn during_an_upgrade_each_process_learns_what_the_other_consumed() {
    let directory = TempDir::new().unwrap();
    let (_old_journal, old) = open(directory.path(), 1);
    consume(&old, "acme", 1, 5);
    let (_new_journal, new) = open(directory.path(), 2);
    assert_eq!(replayed(&new), Sums::from([(("acme".to_owned(), 1), 5)]));

    consume(&new, "acme", 1, 100);
    consume(&old, "acme", 1, 2);

    let mut learnt = Vec::new();
    new.catch_up(|counter, window, n| learnt.push((counter.to_owned(), window, n))).unwrap();
    old.catch_up(|counter, window, n| learnt.push((counter.to_owned(), window, n))).unwrap();
    new.catch_up(|counter, window, n| learnt.push((counter.to_owned(), window, n))).unwrap();
    assert_eq!(learnt, [("acme".to_owned(), 1, 2), ("acme".to_owned(), 1, 100)]);
}

#[test]
fn what_could_not_be_read_of_another_process_is_read_later() {
    let directory = TempDir::new().unwrap();
    let (journal, old) = open(directory.path(), 1);
    let (_new_journal, new) = open(directory.path(), 2);
    consume(&old, "acme", 1, 5);
    let segment = directory.path().join(format!("{}.segment", journal.segments().unwrap().first().unwrap()));
    let aside = directory.path().join("aside");

    // Nobody can open a name that leads to itself.
    fs::rename(&segment, &aside).unwrap();
    std::os::unix::fs::symlink(&segment, &segment).unwrap();
    new.catch_up(|_, _, _| {}).unwrap_err();
    fs::rename(&aside, &segment).unwrap();

    let mut learnt = 0;
    new.catch_up(|_, _, n| learnt += n).unwrap();
    assert_eq!(learnt, 5);
}
