//! What is to be done about a job now.

use model::jobs::{Missed, Overlap};
use store::{JobState, Run, RunId, RunState, Running, UnixMicros};

use crate::Job;

/// What is to be done about a job now. What is kept first decides whether this process may do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing.
    Rest,
    /// To keep that times passed.
    Keep(Passed),
    /// To keep that, and to run it.
    Run(Passed, Begin),
}

/// What is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// How far the job has come then.
    pub state: JobState,
    /// Times at which there was no run.
    pub without: Vec<Run>,
    /// The run that its node did not bring to an end.
    pub lost: Option<RunId>,
}

/// A run that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin(pub Run);

impl Job {
    /// What is to be done about the job now, by a process of this name (`holder`) on a node (`node`).
    pub fn turn(&self, known: Option<&JobState>, (holder, node): (&str, &str), now: UnixMicros) -> Turn {
        let known = match known {
            Some(known) if known.schedule == self.written => known,
            // It is known from now on, and so is another schedule.
            other => return Turn::Keep(Passed::nothing(self.begun(other, now))),
        };
        let mut looking = Looking { job: self, node, now, passed: Passed::nothing(known.clone()) };
        if let Some(running) = &known.running {
            if now < running.held {
                return looking.while_it_runs(known);
            }
            looking.lose(running);
            if self.missed == Missed::Run {
                return looking.begin((running.due, 1), None, holder);
            }
        }
        if let Some(by) = &known.wish {
            looking.passed.state.wish = None;
            return looking.begin((now, 1), Some(by.clone()), holder);
        }
        looking.by_schedule(known, holder)
    }

    fn begun(&self, known: Option<&JobState>, now: UnixMicros) -> JobState {
        let fresh = JobState {
            name: self.name.clone(),
            schedule: String::new(),
            after: now,
            wish: None,
            running: None,
            ended: None,
            last: None,
        };
        JobState { after: now, schedule: self.written.clone(), ..known.cloned().unwrap_or(fresh) }
    }
}

impl Passed {
    fn nothing(state: JobState) -> Self {
        Self { state, without: Vec::new(), lost: None }
    }
}

struct Looking<'a> {
    job: &'a Job,
    node: &'a str,
    now: UnixMicros,
    passed: Passed,
}

impl Looking<'_> {
    /// A time that comes while it runs is left out, or waits.
    fn while_it_runs(mut self, known: &JobState) -> Turn {
        match (self.job.overlap, self.job.schedule.between(known.after, self.now)) {
            (Overlap::Skip, Some((times, due))) => {
                self.passed.state.after = due;
                self.without(RunState::Skipped, due, times);
                Turn::Keep(self.passed)
            }
            (Overlap::Skip, None) | (Overlap::Wait, _) => Turn::Rest,
        }
    }

    /// The node that ran it is gone.
    fn lose(&mut self, running: &Running) {
        self.passed.lost = Some(running.run.clone());
        let state = &mut self.passed.state;
        (state.running, state.ended, state.last) = (None, Some(self.now), Some(RunState::Lost));
    }

    fn by_schedule(mut self, known: &JobState, holder: &str) -> Turn {
        let schedule = &self.job.schedule;
        let Some((times, due)) = schedule.between(known.after, self.now) else {
            return if self.passed.lost.is_some() { Turn::Keep(self.passed) } else { Turn::Rest };
        };
        self.passed.state.after = due;
        // What came while the run before was not over has waited, and was not missed.
        let waited_until = known.ended.filter(|_| self.job.overlap == Overlap::Wait);
        let since = waited_until.map_or(known.after, |ended| ended.max(known.after));
        if self.now.0.saturating_sub(due.0) <= GRACE {
            if let Some((missed, last)) = schedule.between(since, UnixMicros(due.0.saturating_sub(1))) {
                self.without(RunState::Missed, last, missed);
            }
            return self.begin((due, 1), None, holder);
        }
        let Some((missed, last)) = schedule.between(since, self.now) else {
            return self.begin((due, times), None, holder);
        };
        self.without(RunState::Missed, last, missed);
        self.passed.state.last = Some(RunState::Missed);
        match self.job.missed {
            Missed::Run => self.begin((due, missed), None, holder),
            Missed::Skip => Turn::Keep(self.passed),
        }
    }

    fn begin(mut self, (due, times): (UnixMicros, u32), by: Option<String>, holder: &str) -> Turn {
        // What was missed has an id of its own.
        let run = RunId::at(self.job.name.clone(), UnixMicros(self.now.0 + self.passed.without.len() as u64));
        let held = UnixMicros(self.now.0.saturating_add(HELD));
        self.passed.state.running = Some(Running { run: run.clone(), holder: holder.to_owned(), held, due });
        let run = Run { times, by, tries: 1, ..self.row(run, RunState::Running, due) };
        Turn::Run(self.passed, Begin(run))
    }

    fn without(&mut self, state: RunState, due: UnixMicros, times: u32) {
        let id = RunId::at(self.job.name.clone(), UnixMicros(self.now.0 + self.passed.without.len() as u64));
        let run = Run { times, ended: Some(self.now), ..self.row(id, state, due) };
        self.passed.without.push(run);
    }

    fn row(&self, id: RunId, state: RunState, due: UnixMicros) -> Run {
        Run {
            id,
            state,
            due,
            began: self.now,
            ended: None,
            times: 1,
            by: None,
            node: self.node.to_owned(),
            tries: 0,
            said: None,
        }
    }
}

/// For how long a process runs a job alone, from its last word on.
pub(crate) const HELD: u64 = 30_000_000;

/// So long after its time a run still counts as on time.
const GRACE: u64 = 60_000_000;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    const MINUTE: u64 = 60_000_000;
    /// 2026-01-01T00:00:00Z.
    const START: u64 = 1_767_225_600_000_000;

    fn job(settings: &Value) -> Arc<Job> {
        let mut written = json!({ "at": "*/10 * * * *", "run": { "rotate-data-key": {} } });
        written.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let document = json!({
            "version": 1, "listeners": {}, "store": { "embedded": "data" }, "jobs": { "tidy": written },
        });
        let jobs = crate::compile(&serde_json::from_value(document).unwrap(), &|_| false).unwrap();
        jobs.values().next().unwrap().clone()
    }

    fn minutes(count: u64) -> UnixMicros {
        UnixMicros(START + count * MINUTE)
    }

    const ME: (&str, &str) = ("me", "node");

    fn fresh(job: &Job) -> JobState {
        let Turn::Keep(passed) = job.turn(None, ME, minutes(0)) else { panic!() };
        passed.state
    }

    fn run(turn: Turn) -> (Passed, Run) {
        let Turn::Run(passed, Begin(run)) = turn else { panic!("{turn:?}") };
        (passed, run)
    }

    #[test]
    fn a_new_job_has_missed_nothing_and_runs_when_it_is_due() {
        let job = job(&json!({}));
        let state = fresh(&job);
        assert_eq!(job.turn(Some(&state), ME, minutes(9)), Turn::Rest);

        let (passed, begun) = run(job.turn(Some(&state), ME, minutes(10)));

        assert_eq!((begun.due, begun.state, begun.times), (minutes(10), RunState::Running, 1));
        assert!(passed.without.is_empty() && passed.lost.is_none());
        assert_eq!(job.turn(Some(&passed.state), ("other", "node"), minutes(10)), Turn::Rest);
    }

    #[test]
    fn another_schedule_begins_anew() {
        let state = fresh(&job(&json!({})));
        let other = job(&json!({ "at": "* * * * *" }));
        let Turn::Keep(passed) = other.turn(Some(&state), ME, minutes(1000)) else { panic!() };
        assert_eq!((passed.state.after, passed.without), (minutes(1000), vec![]));
    }

    #[test]
    fn what_was_missed_is_reported_and_made_up_for_once_or_left_out() {
        let made_up = job(&json!({}));
        let (passed, begun) = run(made_up.turn(Some(&fresh(&made_up)), ME, minutes(35)));
        let missed: Vec<_> = passed.without.iter().map(|run| (run.state, run.due, run.times)).collect();
        assert_eq!(missed, [(RunState::Missed, minutes(30), 3)]);
        assert_eq!((begun.due, begun.times), (minutes(30), 3));
        assert_ne!(begun.id, passed.without[0].id);

        let left_out = job(&json!({ "missed": "skip" }));
        let Turn::Keep(passed) = left_out.turn(Some(&fresh(&left_out)), ME, minutes(35)) else { panic!() };
        assert_eq!((passed.state.after, passed.state.last), (minutes(30), Some(RunState::Missed)));
        assert_eq!(left_out.turn(Some(&passed.state), ME, minutes(36)), Turn::Rest);
        // One that comes again just in time is on time, the ones before were missed.
        let (passed, begun) = run(left_out.turn(Some(&fresh(&left_out)), ME, minutes(30)));
        assert_eq!((passed.without[0].times, passed.without[0].due), (2, minutes(20)));
        assert_eq!((begun.due, begun.times), (minutes(30), 1));
    }

    #[test]
    fn a_time_that_comes_while_it_runs_is_left_out_or_waits() {
        for (overlap, expected) in [("skip", Some(1)), ("wait", None)] {
            let job = job(&json!({ "overlap": overlap }));
            let (mut passed, _) = run(job.turn(Some(&fresh(&job)), ME, minutes(10)));
            passed.state.running.as_mut().unwrap().held = minutes(25);

            let turn = job.turn(Some(&passed.state), ME, minutes(20));
            let skipped = match &turn {
                Turn::Keep(kept) => {
                    passed.state = kept.state.clone();
                    Some(kept.without[0].times)
                }
                _ => None,
            };

            assert_eq!(skipped, expected, "{overlap}");
            (passed.state.running, passed.state.ended) = (None, Some(minutes(24)));
            match job.turn(Some(&passed.state), ME, minutes(24)) {
                Turn::Rest => assert_eq!(overlap, "skip"),
                turn => {
                    let (passed, begun) = run(turn);
                    assert_eq!((overlap, begun.due, passed.without.len()), ("wait", minutes(20), 0));
                }
            }
        }
    }

    #[test]
    fn a_run_whose_node_is_gone_is_lost_and_made_up_for_or_not() {
        for (missed, again) in [("run", true), ("skip", false)] {
            let job = job(&json!({ "missed": missed }));
            let (passed, begun) = run(job.turn(Some(&fresh(&job)), ME, minutes(10)));
            match job.turn(Some(&passed.state), ("other", "else"), minutes(11)) {
                Turn::Run(passed, Begin(next)) => {
                    assert!(again && passed.lost == Some(begun.id) && next.due == minutes(10) && next.node == "else");
                }
                Turn::Keep(passed) => assert!(!again && passed.lost == Some(begun.id)),
                Turn::Rest => panic!(),
            }
        }
    }

    #[test]
    fn whoever_wants_it_now_gets_it_now_and_what_is_due_comes_all_the_same() {
        let job = job(&json!({}));
        let state = JobState { wish: Some("ann".to_owned()), ..fresh(&job) };
        let (mut passed, begun) = run(job.turn(Some(&state), ME, minutes(3)));
        assert_eq!((begun.by.as_deref(), passed.state.wish.clone()), (Some("ann"), None));
        (passed.state.running, passed.state.ended) = (None, Some(minutes(3)));
        assert_eq!(run(job.turn(Some(&passed.state), ME, minutes(10))).1.due, minutes(10));
    }
}
