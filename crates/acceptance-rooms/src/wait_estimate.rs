//! How long visitors are told that they will wait, against how long they do, on three patterns of arrivals that are played through
//! real rooms by a clock of its own: every visitor joins, takes a turn or does not, and leaves.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rooms::{Inlet, KeptRoom, Left, Settings, Wish};
use waiting_room::{Ending, Expiry, Interval, MaxSize, PassOn, Periodic, Position, RequestId, Rules, Tuned};

use crate::kept;

const BEGIN: u32 = 1_800_000_000;
const HOUR: u32 = 3600;

fn settings(inlet: Inlet, expiry: u32) -> Settings {
    let expiry = Some(Expiry { period: expiry, pass_on: PassOn::ToTheNext });
    Settings { validity: 2 * HOUR, inlet, ..kept::settings(Rules { expiry, ..Rules::default() }) }
}

fn every(by: u32, every: u32) -> Periodic {
    Periodic { by, every, from: 0, until: None }
}

/// Chance that is the same each time (`SplitMix64`).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (f64::from(u32::try_from((mixed ^ mixed >> 31) >> 32).unwrap()) + 0.5) / 2_f64.powi(32)
    }

    /// How many of very many unlikely things happen.
    fn poisson(&mut self, mean: f64) -> u32 {
        let (mut count, mut product) = (0, self.next());
        while product > (-mean).exp() {
            product *= self.next();
            count += 1;
        }
        count
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.next().ln()).sqrt() * (std::f64::consts::TAU * self.next()).cos()
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of seconds or visitors")]
    fn up_to(&mut self, most: f64) -> u32 {
        (self.next() * most) as u32
    }

    /// A length of time around one, at times much longer.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of seconds")]
    fn around(&mut self, seconds: f64, spread: f64) -> u32 {
        1 + (seconds * (spread * self.normal()).exp()) as u32
    }
}

/// A pattern of arrivals and what lets visitors in.
struct Pattern {
    settings: Settings,
    /// For how long visitors come. Then nobody does, until the line is empty.
    lasts: u32,
    /// How many come in a second on average, so many seconds after the beginning.
    comes: fn(f64) -> f64,
    /// The share of those whose turn comes and who are not there.
    absent: f64,
    /// How long a visit takes.
    visit: f64,
    /// What an operator does at a second.
    operates: fn(&mut Chance, u32) -> Operates,
}

enum Operates {
    Nothing,
    LetsIn(i64),
    Tunes(Periodic),
}

/// Some twenty thousand come at once and later fewer and fewer; ten are let in every other second, of whom one in five is not
/// there, and whose turns others get a quarter of an hour later.
fn rush() -> Pattern {
    Pattern {
        settings: settings(Inlet::Periodic(every(10, 2)), 900),
        lasts: 2 * HOUR,
        comes: |second| 330.0 * (-second / 60.0).exp() + 0.5,
        absent: 0.2,
        visit: 300.0,
        operates: |_, _| Operates::Nothing,
    }
}

/// A site that bears 600 visits of five minutes or so, and a few more visitors than that come evenly.
fn even() -> Pattern {
    Pattern {
        settings: settings(Inlet::MaxSize(MaxSize { size: 600 }), 300),
        lasts: 3 * HOUR,
        comes: |_| 2.2,
        absent: 0.03,
        visit: 270.0,
        operates: |_, second| if second == 1 { Operates::LetsIn(600) } else { Operates::Nothing },
    }
}

/// Waves of arrivals, one in seven of whom is not there in the end, and an operator who has the inlet let in more or fewer every
/// ten minutes.
fn waves() -> Pattern {
    Pattern {
        settings: settings(Inlet::Periodic(every(100, 60)), 300),
        lasts: 4 * HOUR,
        comes: |second| 2.4 + 1.6 * (second / 2400.0 * std::f64::consts::TAU).sin(),
        absent: 0.15,
        visit: 300.0,
        operates: |chance, second| {
            if second % 600 == 0 {
                let by = chance.around(120.0, 0.35).clamp(60, 240);
                Operates::Tunes(every(by, 60))
            } else {
                Operates::Nothing
            }
        },
    }
}

/// Who was told how long they will wait, and when.
struct Told {
    position: Position,
    at: u32,
    interval: Interval,
    when: When,
}

/// When somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// When they join.
    Joining,
    /// While they wait, now and then.
    Waiting,
}

/// How many were told, and of how many that held.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    held: u32,
    all: u32,
}

impl Share {
    fn note(&mut self, holds: bool) {
        self.all += 1;
        self.held += u32::from(holds);
    }

    fn part(self) -> f64 {
        f64::from(self.held) / f64::from(self.all)
    }
}

enum Step {
    Enters(RequestId),
    Leaves(RequestId),
}

struct Play {
    room: Arc<KeptRoom>,
    chance: Chance,
    now: u32,
    line: VecDeque<(Position, RequestId)>,
    steps: BTreeMap<u32, Vec<Step>>,
    told: Vec<Told>,
    /// Of those who were told when they joined, and of those who were while they waited.
    shares: [Share; 2],
}

impl Play {
    async fn comes(&mut self) {
        let id = self.room.join(None, self.now).await.unwrap();
        let (position, _) = self.room.look(|room| room.find(id)).unwrap().unwrap();
        let place = self.line.partition_point(|(before, _)| *before < position);
        self.line.insert(place, (position, id));
        if position % 5 == 0 {
            self.tell(position, When::Joining);
        }
    }

    async fn act(&mut self, visit: f64) {
        let mut left = Left::default();
        for step in self.steps.remove(&self.now).unwrap_or_default() {
            match step {
                Step::Enters(id) => {
                    if self.room.take_turn(id, self.now, Wish::default()).await.unwrap().is_ok() {
                        let leaves = self.now + self.chance.around(visit, 0.5);
                        self.steps.entry(leaves).or_default().push(Step::Leaves(id));
                    }
                }
                Step::Leaves(id) => left.ended.push((id, Ending::Completed)),
            }
        }
        if !left.ended.is_empty() {
            self.room.left(left, self.now).await.unwrap();
        }
    }

    /// Those whose turn has come enter in a moment, or are not there; and it is known whether what was told holds.
    fn call(&mut self, absent: f64) {
        let (now, serving) = (self.now, self.room.counters().unwrap().serving);
        while self.line.front().is_some_and(|(position, _)| i64::from(*position) <= serving) {
            let (_, id) = self.line.pop_front().unwrap();
            if self.chance.next() >= absent {
                let enters = now + 1 + self.chance.up_to(20.0);
                self.steps.entry(enters).or_default().push(Step::Enters(id));
            }
        }
        let [joining, waiting] = &mut self.shares;
        self.told.retain(|Told { position, at, interval, when }| {
            if i64::from(*position) > serving {
                return true;
            }
            let share = if *when == When::Joining { &mut *joining } else { &mut *waiting };
            share.note((interval.low..=interval.high).contains(&(now - at)));
            false
        });
    }

    /// Somebody of those who wait looks.
    fn looks(&mut self) {
        let one = self.chance.up_to(f64::from(u32::try_from(self.line.len()).unwrap()));
        let Some((position, _)) = self.line.get(usize::try_from(one).unwrap()).copied() else { return };
        self.tell(position, When::Waiting);
    }

    fn tell(&mut self, position: Position, when: When) {
        if let Some(interval) = self.room.wait_of(position, self.now).unwrap() {
            self.told.push(Told { position, at: self.now, interval, when });
        }
    }
}

async fn played(pattern: Pattern, seed: u64) -> [Share; 2] {
    let folder = tempfile::tempdir().unwrap();
    let (rooms, room) = kept::open(folder.path(), pattern.settings);
    let (line, steps, told, shares) = Default::default();
    let mut play = Play { room, chance: Chance(seed), now: BEGIN, line, steps, told, shares };
    for second in 0.. {
        if second >= pattern.lasts && play.line.is_empty() {
            break;
        }
        assert!(second < 4 * pattern.lasts, "the line never ends: {}", play.line.len());
        play.now = BEGIN + second;
        if second < pattern.lasts {
            for _ in 0..play.chance.poisson((pattern.comes)(f64::from(second))) {
                play.comes().await;
            }
        }
        match (pattern.operates)(&mut play.chance, second) {
            Operates::Nothing => {}
            Operates::LetsIn(by) => drop(play.room.move_by(by, play.now).await.unwrap()),
            Operates::Tunes(inlet) => {
                play.room.tune(Some(Tuned::Periodic(inlet)), play.now).await.unwrap();
            }
        }
        play.act(pattern.visit).await;
        rooms.tick(play.now);
        play.call(pattern.absent);
        if second % 3 == 0 {
            play.looks();
        }
    }
    play.shares
}

/// Four of five intervals hold, of those that visitors are told when they join as of those that they are told while they wait.
async fn four_of_five_hold(pattern: fn() -> Pattern) {
    let mut each = Vec::new();
    for seed in 1..=SEEDS {
        each.push(played(pattern(), seed).await);
    }
    for (which, when) in [When::Joining, When::Waiting].into_iter().enumerate() {
        let parts: Vec<_> = each.iter().map(|shares| shares[which].part()).collect();
        assert!(each.iter().all(|shares| shares[which].all > 500), "{each:?}");
        let mean = parts.iter().sum::<f64>() / f64::from(u32::try_from(parts.len()).unwrap());
        println!("{when:?}: {mean:.3} of {parts:.3?}");
        assert!((0.75..=0.85).contains(&mean), "{when:?}: {mean:.3} of {parts:.3?}");
    }
}

#[tokio::test]
async fn visitors_wait_as_long_as_they_are_told_in_a_rush_when_a_room_opens() {
    four_of_five_hold(rush).await;
}

#[tokio::test]
async fn visitors_wait_as_long_as_they_are_told_where_others_leave_to_let_them_in() {
    four_of_five_hold(even).await;
}

#[tokio::test]
async fn visitors_wait_as_long_as_they_are_told_in_waves_while_an_operator_changes_the_inlet() {
    four_of_five_hold(waves).await;
}

/// Each pattern is played so often, by another chance.
const SEEDS: u64 = 4;
