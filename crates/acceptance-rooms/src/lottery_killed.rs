//! A process that is killed again and again while visitors come and lots are drawn: there is one seed and one draw.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rooms::lottery::Published;
use rooms::{Fairness, KeptRoom, Lots, Rooms, Settings};
use tempfile::TempDir;
use waiting_room::{RequestId, Rules, Schedule};

use crate::kept;

const FOLDER: &str = "LOTTERY_KILLED_FOLDER";
const NOW: &str = "LOTTERY_KILLED_NOW";
/// When visitors come, and when the room opens.
const GATHERS: u32 = 100;
const OPENS: u32 = 200;
/// How often it is killed while visitors come, and while lots are drawn.
const KILLS: usize = 4;
/// Visitors who come at the same time.
const VISITORS: u8 = 16;

fn open(folder: &Path) -> (Rooms, Arc<KeptRoom>) {
    let schedule = Schedule { pre_queue: Some(GATHERS), opens: Some(OPENS), closes: None };
    let fairness = Fairness { lottery: Some(Lots::default()), ..Fairness::default() };
    kept::open(folder, Settings { fairness, ..kept::settings(Rules { schedule, ..Rules::default() }) })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Has visitors come, or lots drawn, and says by lines what each was told.
///
/// It is a test, so that the same binary can be started as the process to be killed; alone, it does nothing.
#[test]
fn the_process_to_be_killed() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let now: u32 = std::env::var_os(NOW).unwrap().into_string().unwrap().parse().unwrap();
    let say = |line: String| writeln!(std::io::stdout(), "{line}").is_ok();
    let (rooms, room) = open(&folder);
    runtime().block_on(async {
        rooms.tick(now);
        if now < OPENS {
            let told = room.told_of_lottery().await.unwrap().unwrap();
            say(format!("commitment {}", told.commitment.unwrap()));
            for round in 0_u32.. {
                for id in futures::future::join_all((0..VISITORS).map(|_| room.join(None, now))).await {
                    if !say(format!("came {}", id.unwrap())) {
                        return;
                    }
                }
                if round % 20 == 19 {
                    rooms.take_pictures().unwrap();
                }
            }
        }
        say("draws now".to_owned());
        rooms.draw_lots(now).await;
        say("drawn now".to_owned());
        let places = room.look(|room| room.line().places.iter().map(|place| place.id).collect::<Vec<_>>());
        for id in places.unwrap() {
            let (position, _) = room.look(|room| room.find(id)).unwrap().unwrap();
            if !say(format!("place {id} {position}")) {
                return;
            }
        }
        rooms.take_pictures().unwrap();
        say("end now".to_owned());
    });
}

/// Lines of a process that is killed when it has said so many of a kind.
fn lines(folder: &TempDir, now: u32, (kind, most): (&str, usize)) -> Vec<(String, String)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lottery_killed::the_process_to_be_killed", "--nocapture"])
        .env(FOLDER, folder.path())
        .env(NOW, now.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut said, mut seen) = (Vec::new(), 0);
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        let Some((word, rest)) = line.split_once(' ') else { continue };
        if !matches!(word, "commitment" | "came" | "draws" | "drawn" | "place" | "end") {
            continue;
        }
        seen += usize::from(word == kind);
        if seen == most {
            child.kill().unwrap();
        }
        // What comes later was said by then, and may be cut.
        if seen <= most {
            said.push((word.to_owned(), rest.to_owned()));
        }
    }
    assert!(seen >= most, "it ended by itself");
    child.wait().unwrap();
    said
}

#[test]
fn whoever_came_has_a_lot_of_the_seed_that_was_committed_to_and_keeps_it() {
    let folder = TempDir::new().unwrap();
    let (mut commitments, mut came, mut places) = (Vec::new(), Vec::new(), HashMap::new());
    for kill in 1..=KILLS {
        for (word, rest) in lines(&folder, GATHERS, ("came", kill * 150)) {
            match word.as_str() {
                "commitment" => commitments.push(rest),
                "came" => came.push(rest.parse::<RequestId>().unwrap()),
                _ => {}
            }
        }
    }
    // Before the draw is written down, while it is, after it, and among those who learn of it.
    for until in [("draws", 1), ("draws", 1), ("drawn", 1), ("place", 100), ("end", 1)] {
        for (word, rest) in lines(&folder, OPENS, until) {
            if word == "place" {
                let (id, position) = rest.split_once(' ').unwrap();
                let (id, position): (RequestId, u32) = (id.parse().unwrap(), position.parse().unwrap());
                assert_eq!(*places.entry(id).or_insert(position), position, "{id}");
            }
        }
    }

    let (_rooms, room) = open(folder.path());
    assert!(commitments.windows(2).all(|pair| pair[0] == pair[1]), "{commitments:?}");
    for id in &came {
        let found = room.look(|room| room.find(*id)).unwrap().map(|(position, _)| position);
        assert_eq!(found, places.get(id).copied(), "{id}");
        assert!(found.is_some(), "{id}");
    }
    let told = runtime().block_on(room.told_of_lottery()).unwrap().unwrap();
    let mut lots = Vec::new();
    while let Some(some) = room.lots(u32::try_from(lots.len()).unwrap()).unwrap().filter(|some| !some.is_empty()) {
        lots.extend(some);
    }
    let published = Published { told, lots };
    let draw = published.verify(Some(&commitments[0])).unwrap();
    assert!(draw.visitors as usize >= came.len());
}
