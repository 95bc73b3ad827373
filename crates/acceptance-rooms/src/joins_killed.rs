//! A process that is killed again and again while visitors join: every place that was told is there, and is the same.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rooms::{KeptRoom, Rooms};
use tempfile::TempDir;
use waiting_room::{JoinKey, RequestId, Rules};

use crate::kept;

const FOLDER: &str = "ROOMS_KILLED_FOLDER";
/// How often it is killed.
const KILLS: u8 = 10;
/// Visitors who join at the same time.
const VISITORS: u8 = 16;

fn open(folder: &Path) -> (Rooms, Arc<KeptRoom>) {
    kept::open(folder, kept::settings(Rules::default()))
}

/// Has visitors join until it is killed, some by a key, and takes pictures meanwhile; says by lines what each was told.
///
/// It is a test, so that the same binary can be started as the process to be killed; alone, it does nothing.
#[test]
fn the_process_to_be_killed() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let (rooms, room) = open(&folder);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for round in 1_u32.. {
            let joins = (0..VISITORS).map(|visitor| {
                let key = (visitor == 0).then_some(JoinKey([7; 16]));
                room.join(key, round)
            });
            for id in futures::future::join_all(joins).await {
                let id = id.unwrap();
                let (position, _) = room.look(|room| room.find(id)).unwrap().unwrap();
                if writeln!(std::io::stdout(), "told {id} {position}").is_err() {
                    return;
                }
            }
            if round % 50 == 0 {
                rooms.take_pictures().unwrap();
            }
        }
    });
}

#[test]
fn no_place_that_was_told_is_lost_or_changed_or_given_twice() {
    let folder = TempDir::new().unwrap();
    let mut told = HashMap::new();
    for kill in 1..=KILLS {
        kill_after(usize::from(kill) * 150, &folder, &mut told);

        let (_rooms, room) = open(folder.path());
        for (id, position) in &told {
            let found = room.look(|room| room.find(*id)).unwrap();
            assert_eq!(found.map(|(position, _)| position), Some(*position), "{id} after {kill}");
        }
        let places: Vec<RequestId> =
            room.look(|room| room.line().places.iter().map(|place| place.id).collect()).unwrap();
        let distinct: std::collections::HashSet<_> = places.iter().collect();
        assert_eq!(distinct.len(), places.len(), "each place is one visitor's, and there is no gap");
        assert!(!distinct.contains(&RequestId::default()));
    }
}

/// Notes what visitors were told before the process was killed.
fn kill_after(lines: usize, folder: &TempDir, told: &mut HashMap<RequestId, u32>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "joins_killed::the_process_to_be_killed", "--nocapture"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut seen = 0;
    for line in output {
        let words: Vec<_> = line.split(' ').collect();
        // The last line may be cut, but not within what it says first.
        let [_, id, position] = words[..] else { continue };
        let (Ok(id), Ok(position)) = (id.parse(), position.parse()) else { continue };
        seen += 1;
        if seen <= lines {
            let before = told.insert(id, position);
            assert!(before.is_none_or(|before| before == position));
        }
        if seen == lines {
            child.kill().unwrap();
        }
    }
    assert!(seen >= lines, "it ended by itself");
    child.wait().unwrap();
}
