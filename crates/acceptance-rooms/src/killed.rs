//! A process that is killed while everything happens in a room: what it told is so, and what became of everybody adds up.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rooms::{Inlet, KeptRoom, Left, Rooms, Settings, Wish};
use tempfile::TempDir;
use waiting_room::{Compatibility, Counters, Ending, Expiry, MaxSize, PassOn, Presence, RequestId, Room, Rules};

use crate::kept;

const FOLDER: &str = "ROOM_OF_EVERYTHING_FOLDER";
/// Its name as this program knows it.
const VICTIM: &str = "killed::the_process_to_be_killed";
/// How often it is killed.
const KILLS: u32 = 8;
const BEGIN: u32 = 1_800_000_000;

fn open(folder: &Path) -> (Rooms, Arc<KeptRoom>) {
    let rules = Rules {
        expiry: Some(Expiry { period: 20, pass_on: PassOn::ToTheNext }),
        compatibility: Compatibility::Mended,
        presence: Some(Presence { absent_after: 10, grace: 15 }),
        ..Rules::default()
    };
    let inlet = Inlet::MaxSize(MaxSize { size: 12 });
    kept::open(folder, Settings { validity: 30, inlet, ..kept::settings(rules) })
}

/// Numbers that look like chance, and are the same for the same seed (a linear congruential generator).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Has everything happen until it is killed, and says by lines what it is told, once it is.
///
/// It is a test, so that the same binary can be started as the process to be killed; alone, it does nothing.
#[test]
fn the_process_to_be_killed() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let (rooms, room) = open(&folder);
    let version = room.look(Room::version).unwrap();
    let mut chance = Chance(version + 7);
    // No earlier than whatever happened before.
    let mut now = BEGIN + u32::try_from(version).unwrap();
    let mut visitors: Vec<RequestId> =
        room.look(|room| room.line().places.iter().map(|place| place.id).collect()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        loop {
            let someone = chance.below(visitors.len().max(1) as u64);
            let someone = visitors.get(usize::try_from(someone).unwrap()).copied();
            let told = match (chance.below(20), someone) {
                (0..8, _) | (_, None) => {
                    let id = room.join(None, now).await.unwrap();
                    visitors.push(id);
                    let (position, _) = room.look(|room| room.find(id)).unwrap().unwrap();
                    format!("joined {id} {position}")
                }
                (8..13, Some(id)) => match room.take_turn(id, now, Wish::default()).await.unwrap() {
                    Ok(granted) => format!("token {id} {}", granted.token.issued),
                    Err(_) => continue,
                },
                (13 | 14, Some(id)) => {
                    let ending = if chance.below(2) == 0 { Ending::Completed } else { Ending::Abandoned };
                    if !room.end(id, ending, now).await.unwrap() {
                        continue;
                    }
                    format!("ended {id} {ending:?}")
                }
                (15, _) => {
                    let by = i64::try_from(chance.below(8)).unwrap() - 2;
                    format!("moved to {}", room.move_by(by, now).await.unwrap())
                }
                (16, _) => {
                    let left = Left { exited: Some(chance.below(4)), ..Left::default() };
                    format!("let to {}", room.left(left, now).await.unwrap().1)
                }
                (17, _) if chance.below(8) == 0 => {
                    rooms.take_pictures().unwrap();
                    continue;
                }
                _ => {
                    now += u32::try_from(chance.below(6)).unwrap();
                    rooms.tick(now);
                    continue;
                }
            };
            if writeln!(std::io::stdout(), "told {told}").is_err() {
                return;
            }
        }
    });
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Place(u32),
    Token(u32),
    Ended(String),
}

#[test]
fn what_became_of_everybody_adds_up_whenever_a_process_is_killed() {
    let (folder, mut told) = (TempDir::new().unwrap(), Vec::new());
    let mut before = Counters::default();
    for kill in 1..=KILLS {
        kill_after(kill as usize * 120, &folder, &mut told);

        let (_rooms, room) = open(folder.path());
        let counters = room.counters().unwrap();
        for (id, told) in &told {
            let is_so = room.look(|room| match told {
                Told::Place(position) => room.find(*id).map(|(position, _)| position) == Some(*position),
                Told::Token(issued) => room.token(*id).is_some_and(|(_, token)| token.issued == *issued),
                Told::Ended(ending) => {
                    let ended = room.token(*id).and_then(|(_, token)| token.ending);
                    ended.is_some_and(|ended| format!("{ended:?}") == *ending)
                }
            });
            assert!(is_so.unwrap(), "{id} was told {told:?}");
        }
        room.look(adds_up).unwrap();
        for (is, was) in
            [(counters.queue, before.queue), (counters.tokens, before.tokens), (counters.swept, before.swept)]
        {
            assert!(is >= was, "{counters:?} {before:?}");
        }
        before = counters;
    }
    assert!(before.expired > 0 && before.completed > 0 && before.abandoned > 0 && before.tokens > 50, "{before:?}");
}

/// Everybody waits, was let in or has been passed over, by the places themselves as by what is counted.
fn adds_up(room: &Room) {
    let (line, counters) = (room.line(), room.counters());
    let mut of: HashMap<&str, u32> = HashMap::new();
    for (position, place) in (1..).zip(line.places.iter()) {
        let became = match room.token(place.id) {
            Some((of, _)) => {
                assert_eq!(of, position);
                "let in"
            }
            None if line.is_passed_over(position, place) => "passed over",
            None => "waits",
        };
        *of.entry(became).or_default() += 1;
    }
    let count = |became| of.get(became).copied().unwrap_or(0);
    let ended = |ending| line.tokens.iter().filter(|token| token.ending == Some(ending)).count();
    assert_eq!(counters.queue, count("waits") + count("let in") + count("passed over"));
    assert_eq!(counters.tokens, count("let in"));
    assert_eq!(counters.expired, u64::from(count("passed over")));
    assert_eq!(counters.waiting(), i64::from(count("waits")));
    assert_eq!(counters.completed as usize, ended(Ending::Completed));
    assert_eq!(counters.abandoned as usize, ended(Ending::Abandoned));
}

/// Notes what was told before the process was killed.
fn kill_after(lines: usize, folder: &TempDir, told: &mut Vec<(RequestId, Told)>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", VICTIM, "--nocapture"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut seen = 0;
    for line in output {
        let words: Vec<_> = line.split(' ').collect();
        let ["told", what, id, how] = words[..] else { continue };
        seen += 1;
        if seen == lines {
            child.kill().unwrap();
        }
        let Ok(id) = id.parse() else { continue };
        // The last line may be cut, but not within what it says first.
        match (what, how.parse()) {
            ("joined", Ok(position)) => told.push((id, Told::Place(position))),
            ("token", Ok(issued)) => told.push((id, Told::Token(issued))),
            ("ended", _) if ["Completed", "Abandoned"].contains(&how) => told.push((id, Told::Ended(how.to_owned()))),
            _ => {}
        }
    }
    assert!(seen >= lines, "it ended by itself");
    child.wait().unwrap();
}
