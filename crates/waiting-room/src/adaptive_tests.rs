//! The adaptive inlet against a backend that is simulated: a queue before so many servers, some of which go and come back.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::*;

const SETTINGS: Adaptive =
    Adaptive { target: 300_000, failures: 50, least: 60, most: 60_000, in_flight: None, settles: 0 };

/// Numbers that look random and are the same each time.
struct Chance(u64);

impl Chance {
    /// Between 0 and 1.
    fn part(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(self.0 >> 33).unwrap()) / f64::from(1_u32 << 31)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Tick,
    /// The first request of a visit.
    Comes,
    Arrives,
    Ends {
        arrived: u64,
    },
}

/// A visit: after how long it begins at the earliest, how many requests it is, and how far apart they are, in microseconds.
#[derive(Clone, Copy)]
struct Visit {
    after: f64,
    requests: u32,
    apart: f64,
    /// Of a hundred whose turn comes, so many do.
    shown: u32,
}

const ONE_REQUEST: Visit = Visit { after: 150_000.0, requests: 1, apart: 0.0, shown: 100 };

/// What happened in one second.
#[derive(Clone, Copy, Debug)]
struct Second {
    let_in: u32,
    finished: u32,
}

struct Backend {
    chance: Chance,
    now: u64,
    events: BinaryHeap<Reverse<(u64, u64, What)>>,
    number: u64,
    servers: u32,
    busy: u32,
    queue: VecDeque<u64>,
    took: Vec<u32>,
    /// When requests arrived, and how long they took, all of them.
    all: Vec<(u64, u32)>,
}

/// What was seen of a run.
struct Run {
    seconds: Vec<Second>,
    all: Vec<(u64, u32)>,
}

impl Run {
    fn finished(&self, from: usize, until: usize) -> f64 {
        mean(self.seconds[from..until].iter().map(|second| f64::from(second.finished)))
    }

    /// What 95 of 100 took at most who came in these seconds, as a part of the target.
    fn slow(&self, from: usize, until: usize) -> f64 {
        let is_within = |at: u64| (from as u64..until as u64).contains(&(at / 1_000_000));
        let mut took: Vec<u32> = self.all.iter().filter(|(at, _)| is_within(*at)).map(|(_, took)| *took).collect();
        f64::from(slow(&mut took).unwrap()) / f64::from(SETTINGS.target)
    }
}

impl Backend {
    fn at(&mut self, when: u64, what: What) {
        self.number += 1;
        self.events.push(Reverse((when, self.number, what)));
    }

    /// Between 50 and 150 ms.
    fn serve(&mut self, arrived: u64) {
        self.busy += 1;
        let takes = micros(50_000.0 + 100_000.0 * self.chance.part());
        self.at(self.now + takes, What::Ends { arrived });
    }

    fn serve_who_waits(&mut self) {
        while self.busy < self.servers
            && let Some(arrived) = self.queue.pop_front()
        {
            self.serve(arrived);
        }
    }
}

fn micros(value: f64) -> u64 {
    u64::from(whole_number(value))
}

/// What 95 of 100 took at most.
fn slow(took: &mut [u32]) -> Option<u32> {
    took.sort_unstable();
    if took.len() < 5 { None } else { took.get(took.len() * 95 / 100).copied() }
}

/// Runs for so many seconds, each seed another way; `servers` says how many there are at each second.
fn run(seed: u64, settings: &Adaptive, visit: Visit, seconds: u64, servers: impl Fn(u64) -> u32) -> Run {
    let mut steering = Steering::default();
    let (events, queue, took, all) = (BinaryHeap::new(), VecDeque::new(), Vec::new(), Vec::new());
    let (chance, servers_now) = (Chance(seed), servers(0));
    let mut backend = Backend { chance, now: 0, events, number: 0, servers: servers_now, busy: 0, queue, took, all };
    for second in 0..seconds {
        backend.at(second * 1_000_000, What::Tick);
    }
    let (mut seen, mut turns) = (Vec::new(), Turns { waiting: 1_000_000, came: 0, taken: 0 });
    while let Some(Reverse((now, _, what))) = backend.events.pop() {
        if now >= seconds * 1_000_000 {
            break;
        }
        backend.now = now;
        match what {
            What::Tick => {
                backend.servers = servers(now / 1_000_000);
                let finished = u32::try_from(backend.took.len()).unwrap();
                let late = u32::try_from(backend.took.iter().filter(|took| **took > settings.target).count()).unwrap();
                let slow = slow(&mut backend.took);
                backend.took.clear();
                let in_flight = backend.busy + u32::try_from(backend.queue.len()).unwrap();
                let signals = Signals { finished, failed: 0, late, slow, in_flight, is_broken: false };
                let by = steering.step(settings, &signals, &turns);
                turns = Turns { waiting: 1_000_000, came: by, taken: 0 };
                seen.push(Second { let_in: by, finished });
                let coming = by * visit.shown / 100;
                for number in 0..coming {
                    let within = 1e6 * (f64::from(number) + backend.chance.part()) / f64::from(coming);
                    let mut when = visit.after + within;
                    backend.at(now + micros(when), What::Comes);
                    for _ in 1..visit.requests {
                        when += visit.apart * (0.5 + backend.chance.part());
                        backend.at(now + micros(when), What::Arrives);
                    }
                }
                backend.serve_who_waits();
            }
            What::Comes => {
                turns.taken += 1;
                backend.at(now, What::Arrives);
            }
            What::Arrives if backend.busy < backend.servers => backend.serve(now),
            What::Arrives => backend.queue.push_back(now),
            What::Ends { arrived } => {
                backend.busy -= 1;
                let took = u32::try_from(now - arrived).unwrap();
                backend.took.push(took);
                backend.all.push((arrived, took));
                backend.serve_who_waits();
            }
        }
    }
    Run { seconds: seen, all: backend.all }
}

/// The capacity halves after 80 seconds, and is back after 160.
fn halves_and_recovers(second: u64) -> u32 {
    if (80..160).contains(&second) { 10 } else { 20 }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / f64::from(u32::try_from(values.len()).unwrap())
}

/// From half a minute after each change to the next one, and what is borne then.
const SETTLED: [(usize, usize, f64); 3] = [(30, 80, 200.0), (110, 160, 100.0), (190, 240, 200.0)];

#[test]
fn a_backend_is_kept_at_its_target_whatever_it_bears() {
    for after in [0.0, 150_000.0, 500_000.0] {
        let (mut slow, mut whole, visit) = (Vec::new(), Vec::new(), Visit { after, ..ONE_REQUEST });
        for seed in 1..=10 {
            let seen = run(seed, &SETTINGS, visit, 240, halves_and_recovers);
            for (from, until, bears) in SETTLED {
                slow.extend((from..until).step_by(10).map(|from| (seen.slow(from, from + 10) - 1.0).abs()));
                whole.push(seen.slow(from, until));
                let finished = seen.finished(from, until);
                assert!(finished > 0.97 * bears, "{finished} of {bears}");
                let two = seen.seconds[from..until].chunks(2);
                let let_in: Vec<f64> = two.map(|two| f64::from(two[0].let_in + two[1].let_in)).collect();
                let around = mean(let_in.iter().copied());
                let swing = let_in.iter().map(|rate| (rate / around - 1.0).abs()).fold(0.0, f64::max);
                assert!(swing < 0.2, "{swing} around {around}");
            }
        }
        let on_average = mean(whole.into_iter());
        assert!((on_average - 1.0).abs() < 0.03, "the p95 of all is {on_average} on average, after {after}");
        slow.sort_by(f64::total_cmp);
        let nearly_all = slow[slow.len() * 9 / 10];
        assert!(nearly_all < 0.15, "nine of ten times the p95 of ten seconds is within {nearly_all}, after {after}");
    }
}

#[test]
fn those_who_do_not_come_are_made_up_for() {
    let visit = Visit { shown: 50, ..ONE_REQUEST };
    let finished = run(7, &SETTINGS, visit, 120, |_| 20).finished(60, 120);
    assert!(finished > 190.0, "{finished}");
}

#[test]
fn visits_of_several_requests_are_steered_more_slowly() {
    let visit = Visit { requests: 4, apart: 1e6, ..ONE_REQUEST };
    for seed in 1..=8 {
        let seen = run(seed, &Adaptive { settles: 3, ..SETTINGS }, visit, 240, halves_and_recovers);
        for (from, until, bears) in [(60, 80, 200.0), (120, 160, 100.0), (200, 240, 200.0)] {
            let finished = seen.finished(from, until);
            assert!(finished > 0.9 * bears, "{finished} of {bears}");
            let slow = seen.slow(from, until);
            assert!(slow < 1.3, "{slow}");
        }
    }
}

#[test]
fn a_backend_that_answers_nothing_is_sent_nobody_more() {
    let seen = run(7, &SETTINGS, ONE_REQUEST, 100, |second| if second < 60 { 20 } else { 0 });
    let let_in: u32 = seen.seconds[62..].iter().map(|second| second.let_in).sum();
    assert!(let_in < 60, "{let_in} in 38 seconds, of which one comes each");
}

/// Steps with the same signals, and what is let in by each.
fn steps(steering: &mut Steering, settings: &Adaptive, signals: Signals, count: usize) -> Vec<u32> {
    let mut turns = Turns { waiting: 1_000_000, came: 0, taken: 0 };
    let mut step = || {
        let by = steering.step(settings, &signals, &turns);
        (turns.came, turns.taken) = (by, by);
        by
    };
    (0..count).map(|_| step()).collect()
}

const FAST: Signals = Signals { finished: 100, failed: 0, late: 0, slow: Some(50_000), in_flight: 3, is_broken: false };

#[test]
fn nobody_is_let_in_while_the_circuit_is_open_and_few_after_that() {
    let mut steering = Steering::default();
    let before = steps(&mut steering, &SETTINGS, FAST, 40)[39];
    let broken = Signals { is_broken: true, ..FAST };
    assert_eq!(steps(&mut steering, &SETTINGS, broken, 5), [0; 5]);
    let after = steps(&mut steering, &SETTINGS, FAST, 1)[0];
    assert!(before > 100 && after < before / 10, "{before} {after}");
}

#[test]
fn failures_and_too_many_requests_under_way_hold_visitors_back() {
    let mut steering = Steering::default();
    let before = steps(&mut steering, &SETTINGS, FAST, 40)[39];
    let failing = Signals { failed: 6, ..FAST };
    let then = steps(&mut steering, &SETTINGS, failing, 10)[9];
    assert!(then < before / 2, "{before} {then}");
    let few_failing = Signals { failed: 4, ..FAST };
    assert!(steps(&mut steering, &SETTINGS, few_failing, 10)[9] > then);
    let settings = Adaptive { in_flight: Some(50), ..SETTINGS };
    assert_eq!(steps(&mut steering, &settings, Signals { in_flight: 50, ..FAST }, 2), [0, 0]);
    assert!(steps(&mut steering, &settings, Signals { in_flight: 49, ..FAST }, 1)[0] > 0);
}

#[test]
fn one_late_answer_does_not_end_the_search_for_what_is_borne() {
    let mut steering = Steering::default();
    steps(&mut steering, &SETTINGS, FAST, 3);
    let late = Signals { slow: Some(5_000_000), ..FAST };
    steps(&mut steering, &SETTINGS, late, 1);
    let then = steps(&mut steering, &SETTINGS, FAST, 40)[39];
    assert!(then > 500, "{then}");
}

#[test]
fn bounds_hold_and_nothing_grows_while_nobody_waits() {
    let mut steering = Steering::default();
    let settings = Adaptive { most: 600, ..SETTINGS };
    assert!(steps(&mut steering, &settings, FAST, 200).into_iter().all(|by| by <= 11));
    let slow = Signals { late: 100, slow: Some(9_000_000), in_flight: 900, ..FAST };
    let least = steps(&mut steering, &settings, slow, 200);
    assert_eq!(least[190..].iter().sum::<u32>(), 10, "one a second");
    let mut steering = Steering::default();
    let nobody = Turns::default();
    let quiet: Vec<_> = (0..200).map(|_| steering.step(&SETTINGS, &FAST, &nobody)).collect();
    assert!(quiet.iter().all(|by| *by <= 1), "{quiet:?}");
}
