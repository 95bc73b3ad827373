//! A process that is killed in the middle of appending: whatever it acknowledged is there.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use journal::{Journal, Next, Settings};
use tempfile::TempDir;

const DIRECTORY: &str = "JOURNAL_KILLED_DIRECTORY";
const THREADS: u32 = 2;

fn settings() -> Settings {
    Settings { segment: 64 * 1024, reserve: 16 * 1024, ..Settings::default() }
}

/// Appends until it is killed, and says by lines how many records each thread has appended.
///
/// It is a test, so that the same binary can be started as the process to be killed; alone, it does nothing.
#[test]
fn the_process_to_be_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let journal = Journal::open(&directory, settings(), 1).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let mut writer = journal.writer().unwrap();
            scope.spawn(move || {
                for n in 1_u64.. {
                    while !writer.has_room() {
                        std::thread::yield_now();
                    }
                    let mut record = [thread.to_le_bytes().as_slice(), &n.to_le_bytes()].concat();
                    record.resize(12 + usize::try_from(n % 200).unwrap(), 0);
                    writer.append(&record).unwrap();
                    if n % 64 == 0 && writeln!(std::io::stdout(), "appended {thread} {n}").is_err() {
                        return;
                    }
                }
            });
        }
    });
}

#[test]
fn whatever_a_killed_process_acknowledged_is_there() {
    for acknowledged_before in [1, 500, 3000] {
        let directory = TempDir::new().unwrap();
        let acknowledged = kill_after(acknowledged_before, &directory);

        let journal = Journal::open(directory.path(), settings(), 2).unwrap();
        let mut appended = [0_u64; THREADS as usize];
        for id in journal.segments().unwrap() {
            let mut reader = journal.read(id, 0).unwrap().unwrap();
            while let Next::Record(record) = reader.next().unwrap() {
                let thread = u32::from_le_bytes(record[..4].try_into().unwrap()) as usize;
                let n = u64::from_le_bytes(record[4..12].try_into().unwrap());
                assert_eq!(n, appended[thread] + 1, "no record is missing, and none is there twice");
                appended[thread] = n;
            }
        }
        for (appended, acknowledged) in appended.into_iter().zip(acknowledged) {
            assert!(appended >= acknowledged, "{appended} {acknowledged}");
        }
    }
}

/// What each thread of the process had acknowledged when it was killed.
fn kill_after(lines: usize, directory: &TempDir) -> [u64; THREADS as usize] {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_process_to_be_killed", "--nocapture"])
        .env(DIRECTORY, directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut acknowledged = [0; THREADS as usize];
    let mut note = |line: String| {
        let Some(rest) = line.strip_prefix("appended ") else { return false };
        // The last line may be cut.
        let Some((thread, n)) = rest.split_once(' ') else { return false };
        let thread: usize = thread.parse().unwrap();
        acknowledged[thread] = acknowledged[thread].max(n.parse().unwrap());
        true
    };
    let mut seen = 0;
    while seen < lines {
        seen += usize::from(note(output.next().unwrap()));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for line in output {
        note(line);
    }
    acknowledged
}
