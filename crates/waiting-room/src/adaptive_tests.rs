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
    Arrives,
    Ends { arrived: u64 },
}

/// A visit: how many requests, and how far apart, in microseconds.
#[derive(Clone, Copy)]
struct Visit {
    requests: u32,
    apart: f64,
    /// Of a hundred whose turn comes, so many do.
    shown: u32,
}

const ONE_REQUEST: Visit = Visit { requests: 1, apart: 0.0, shown: 100 };

/// What happened in one second.
#[derive(Clone, Copy, Debug)]
struct Second {
    rate: f64,
    slow: Option<u32>,
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

/// Runs for so many seconds; `servers` says how many there are at each of them.
fn run(settings: &Adaptive, visit: Visit, seconds: u64, servers: impl Fn(u64) -> u32) -> Vec<Second> {
    let mut steering = Steering::default();
    let (events, queue, took) = (BinaryHeap::new(), VecDeque::new(), Vec::new());
    let mut backend =
        Backend { chance: Chance(7), now: 0, events, number: 0, servers: servers(0), busy: 0, queue, took };
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
                let slow = slow(&mut backend.took);
                backend.took.clear();
                let in_flight = backend.busy + u32::try_from(backend.queue.len()).unwrap();
                let signals = Signals { finished, failed: 0, slow, in_flight, is_broken: false };
                let by = steering.step(settings, &signals, &turns);
                turns = Turns { waiting: 1_000_000, came: by, taken: by * visit.shown / 100 };
                seen.push(Second { rate: steering.rate(), slow, finished });
                for number in 0..turns.taken {
                    let mut when = 1e6 * (f64::from(number) + backend.chance.part()) / f64::from(turns.taken);
                    for _ in 0..visit.requests {
                        backend.at(now + micros(when), What::Arrives);
                        when += visit.apart * (0.5 + backend.chance.part());
                    }
                }
                backend.serve_who_waits();
            }
            What::Arrives if backend.busy < backend.servers => backend.serve(now),
            What::Arrives => backend.queue.push_back(now),
            What::Ends { arrived } => {
                backend.busy -= 1;
                backend.took.push(u32::try_from(now - arrived).unwrap());
                backend.serve_who_waits();
            }
        }
    }
    seen
}

/// The capacity halves after 80 seconds, and is back after 160.
fn halves_and_recovers(second: u64) -> u32 {
    if (80..160).contains(&second) { 10 } else { 20 }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / f64::from(u32::try_from(values.len()).unwrap())
}

#[test]
fn a_backend_is_kept_at_its_target_whatever_it_bears() {
    let seen = run(&SETTINGS, ONE_REQUEST, 240, halves_and_recovers);
    // From half a minute after each change to the next one.
    for (part, bears) in [(&seen[30..80], 200.0), (&seen[110..160], 100.0), (&seen[190..], 200.0)] {
        let slow: Vec<f64> = part.iter().filter_map(|second| second.slow).map(f64::from).collect();
        for window in slow.windows(10) {
            let around = mean(window.iter().copied());
            assert!((around / 300_000.0 - 1.0).abs() < 0.15, "the p95 of ten seconds is {around}");
        }
        let finished = mean(part.iter().map(|second| f64::from(second.finished)));
        assert!(finished > 0.9 * bears, "{finished} of {bears}");
        let rate = mean(part.iter().map(|second| second.rate));
        for second in part {
            assert!((second.rate / rate - 1.0).abs() < 0.2, "{} around {rate}", second.rate);
        }
    }
}

#[test]
fn those_who_do_not_come_are_made_up_for() {
    let visit = Visit { shown: 50, ..ONE_REQUEST };
    let seen = run(&SETTINGS, visit, 120, |_| 20);
    let finished = mean(seen[60..].iter().map(|second| f64::from(second.finished)));
    assert!(finished > 180.0, "{finished}");
}

#[test]
fn visits_of_several_requests_are_steered_more_slowly() {
    let visit = Visit { requests: 4, apart: 1e6, shown: 100 };
    let seen = run(&Adaptive { settles: 3, ..SETTINGS }, visit, 240, halves_and_recovers);
    for (part, bears) in [(&seen[60..80], 200.0), (&seen[120..160], 100.0), (&seen[200..], 200.0)] {
        let finished = mean(part.iter().map(|second| f64::from(second.finished)));
        assert!(finished > 0.9 * bears, "{finished} of {bears}");
        let slow = mean(part.iter().filter_map(|second| second.slow).map(f64::from));
        assert!(slow < 1.3 * 300_000.0, "{slow}");
    }
}

/// Steps with the same signals, and what is let in by each.
fn steps(steering: &mut Steering, settings: &Adaptive, signals: Signals, count: usize) -> Vec<u32> {
    let turns = Turns { waiting: 1_000_000, came: 0, taken: 0 };
    (0..count).map(|_| steering.step(settings, &signals, &turns)).collect()
}

const FAST: Signals = Signals { finished: 100, failed: 0, slow: Some(50_000), in_flight: 3, is_broken: false };

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
    let slow = Signals { slow: Some(9_000_000), ..FAST };
    let least = steps(&mut steering, &settings, slow, 200);
    assert_eq!(least[190..].iter().sum::<u32>(), 10, "one a second");
    let mut steering = Steering::default();
    let nobody = Turns::default();
    let quiet: Vec<_> = (0..200).map(|_| steering.step(&SETTINGS, &FAST, &nobody)).collect();
    assert!(quiet.iter().all(|by| *by <= 1), "{quiet:?}");
}
