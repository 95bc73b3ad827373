//! What is kept, and what is said of it.

use journal::Settings;
use tempfile::TempDir;

use super::*;

const HOUR: u64 = 3_600_000_000;

fn journal(folder: &Path) -> Arc<Journal> {
    let consumers = vec![KEPT.to_owned()];
    let settings = Settings { segment: 8192, reserve: 1024, consumers, ..Settings::default() };
    Arc::new(Journal::open(folder, settings, 1).unwrap())
}

/// Writes a record of an hour by a writer of its own, whose segment then is complete.
fn write(journal: &Journal, hour: u64) {
    let mut record = Vec::new();
    UsageRecord {
        id: 0,
        at: hour * HOUR,
        status: 200,
        complete: true,
        cost: 1,
        received: 0,
        sent: 0,
        took: 0,
        company: "acme",
        app: "shop",
        product: "gold",
        api: "orders",
        method: "GET",
        template: "/",
    }
    .encode(&mut record);
    journal.writer().unwrap().append(&record).unwrap();
}

/// From which hour on all is there.
fn whole_since(kept: &KeptUsage) -> u32 {
    kept.read_since().unwrap()
}

#[test]
fn records_stay_as_long_as_they_are_to_be_kept() {
    let folder = TempDir::new().unwrap();
    let journal = journal(folder.path());
    write(&journal, 5);
    let kept = KeptUsage::open(journal.clone(), folder.path(), (Duration::from_hours(1), u64::MAX), 3).unwrap();
    #[expect(clippy::disallowed_methods, reason = "files have the time of the system")]
    let now = SystemTime::now();

    kept.let_go(now).unwrap();
    assert_eq!(whole_since(&kept), 3);
    kept.let_go(now + Duration::from_hours(2)).unwrap();
    assert_eq!(whole_since(&kept), 6);
}

#[test]
fn more_than_may_be_kept_goes_early_and_what_is_written_stays() {
    let folder = TempDir::new().unwrap();
    let journal = journal(folder.path());
    write(&journal, 5);
    write(&journal, 9);
    let mut writer = journal.writer().unwrap();
    writer.append(b"a record of a version to come").unwrap();
    let kept = KeptUsage::open(journal.clone(), folder.path(), (Duration::from_hours(1), 0), 0).unwrap();
    #[expect(clippy::disallowed_methods, reason = "files have the time of the system")]
    let now = SystemTime::now();

    kept.let_go(now).unwrap();

    assert_eq!(whole_since(&kept), 10);
    drop(writer);
}

#[test]
fn what_was_said_holds_after_a_restart_until_keeping_ends() {
    let folder = TempDir::new().unwrap();
    let journal = journal(folder.path());
    let open = |first| KeptUsage::open(journal.clone(), folder.path(), (Duration::ZERO, 0), first).unwrap();
    assert_eq!(whole_since(&open(3)), 3);
    assert_eq!(whole_since(&open(9)), 3);
    KeptUsage::end(folder.path()).unwrap();
    KeptUsage::end(folder.path()).unwrap();
    assert_eq!(whole_since(&open(9)), 9);
}
