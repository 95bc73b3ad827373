//! Jobs of all nodes of a store: each run by one of them, with what came of it kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use jobs::{Begin, Job, Passed, Turn};
use parking_lot::{Mutex, RwLock};
use store::{
    Commit, EntityId, JobName, JobState, Kind, Listing, Registry, Row, Run, RunId, RunState, StoreError, Stored, Write,
};
use tokio::task::JoinSet;

use crate::alerting::Alerts;
use crate::duty::HELD;
use crate::webhooks::Clock;

/// Jobs by name.
pub(crate) type Plans = BTreeMap<JobName, Arc<Job>>;

/// Jobs of all nodes of a store.
pub struct Jobs {
    registry: Arc<dyn Registry>,
    clock: Clock,
    /// What this process is called among the nodes.
    node: String,
    alerts: Arc<Alerts>,
    plans: RwLock<Arc<Plans>>,
    /// Runs that ended in this process, by job and by what became of them.
    counts: Mutex<BTreeMap<(JobName, RunState), u64>>,
}

/// Does what jobs are for.
pub(crate) trait Does: Send + Sync {
    /// Does it once; a sentence about what came of it, whether it is done or not.
    fn work(&self, job: Arc<Job>, run: Run) -> BoxFuture<'static, Result<String, String>>;
}

/// Why a job is not there or not run.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// There is no such job.
    #[error("there is no job `{0}`; the configuration has them under `jobs`")]
    NoJob(JobName),
    /// The store cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Jobs {
    /// Jobs whose runs are in a registry, as run by a process of this name (`node`).
    pub fn new(registry: Arc<dyn Registry>, node: String, alerts: Arc<Alerts>, clock: Clock) -> Self {
        Self { registry, clock, node, alerts, plans: RwLock::default(), counts: Mutex::default() }
    }

    /// From now on these are to be run.
    pub(crate) fn set(&self, plans: Plans) {
        *self.plans.write() = Arc::new(plans);
    }

    /// Begins with what is due, wanted, or left by a node that is gone, unless another process was first.
    pub(crate) async fn round(self: &Arc<Self>, does: &Arc<dyn Does>, tasks: &mut JoinSet<()>) {
        let plans = self.plans.read().clone();
        if plans.is_empty() {
            return;
        }
        let states = match self.states().await {
            Ok(states) => states,
            Err(error) => return tracing::warn!(%error, "jobs wait for the store"),
        };
        for job in plans.values() {
            let kept = states.get(&job.name);
            let state = kept.and_then(|stored| stored.entity::<JobState>().ok());
            let (passed, begin) = match job.turn(state.as_ref(), (&self.node, &self.node), (self.clock)()) {
                Turn::Rest => continue,
                Turn::Keep(passed) => (passed, None),
                Turn::Run(passed, begin) => (passed, Some(begin)),
            };
            match self.keep(kept, &passed, begin.as_ref()).await {
                Ok(()) => {}
                // Another process was first.
                Err(StoreError::Changed(_) | StoreError::Exists(_) | StoreError::NotFound(_)) => continue,
                Err(error) => {
                    tracing::warn!(job = %job.name, %error, "a job waits for the store");
                    continue;
                }
            }
            self.tell(job, &passed);
            if let Some(Begin(run)) = begin {
                tracing::info!(job = %job.name, run = run.id.run, "a job is run");
                tasks.spawn(self.clone().carry_out(job.clone(), run, does.clone()));
            }
        }
        // Those that ended are of no use any more.
        while tasks.try_join_next().is_some() {}
    }

    async fn states(&self) -> Result<BTreeMap<JobName, Stored>, StoreError> {
        let stored = self.registry.list(Listing::of(Kind::Job)).await?;
        Ok(stored.into_iter().filter_map(|stored| Some((stored.row.id.path().parse().ok()?, stored))).collect())
    }

    /// Keeps that a run begins and what passed without one; whoever does so first has it.
    async fn keep(&self, kept: Option<&Stored>, passed: &Passed, begin: Option<&Begin>) -> Result<(), StoreError> {
        let state = Row::of(&passed.state);
        // First: what belongs to a job cannot be there before it.
        let mut writes = vec![match kept {
            Some(stored) => Write::Replace(state, Some(stored.revision)),
            None => Write::Create(state),
        }];
        writes.extend(passed.without.iter().map(|run| Write::Create(Row::of(run))));
        writes.extend(begin.map(|Begin(run)| Write::Create(Row::of(run))));
        if let Some(lost) = &passed.lost
            && let Some(stored) = self.registry.find(&EntityId::from(lost)).await?
        {
            let run: Run = stored.entity()?;
            let said = Some(format!("{} ended before it did", run.node));
            let run = Run { state: RunState::Lost, ended: passed.state.ended, said, ..run };
            writes.push(Write::Replace(Row::of(&run), None));
        }
        self.registry.commit(Commit { writes, ..Commit::default() }).await.map(drop)
    }

    /// Reports what passed without a run.
    fn tell(&self, job: &Job, passed: &Passed) {
        for run in passed.without.iter().filter(|run| run.state == RunState::Missed) {
            let times = if run.times == 1 { "once".to_owned() } else { format!("{} times", run.times) };
            tracing::warn!(job = %job.name, times = run.times, "a job was not run when it was due");
            self.report(job, &format!("was not run when it was due, {times}: no node was there"));
            self.count(job, RunState::Missed);
        }
        if passed.lost.is_some() {
            tracing::warn!(job = %job.name, "a run of a job was lost with its node");
            self.report(job, "was not brought to an end: its node ended before");
            self.count(job, RunState::Lost);
        }
    }

    fn report(&self, job: &Job, said: &str) {
        for rule in self.alerts.rules().of_kind("job") {
            self.alerts.report(alerts::job_trouble(rule, job.name.as_str(), said));
        }
    }

    fn count(&self, job: &Job, state: RunState) {
        let mut counts = self.counts.lock();
        let count = counts.entry((job.name.clone(), state)).or_default();
        *count = count.saturating_add(1);
    }

    /// Runs a job to its end, and keeps what came of it.
    async fn carry_out(self: Arc<Self>, job: Arc<Job>, run: Run, does: Arc<dyn Does>) {
        let (mut tries, mut pause) = (1, FIRST_PAUSE);
        let came = loop {
            let work = does.work(job.clone(), run.clone());
            match self.holding(&run, work).await {
                Err(_) if tries <= job.retries => {
                    self.holding(&run, tokio::time::sleep(pause)).await;
                    (tries, pause) = (tries + 1, pause * 2);
                }
                came => break came,
            }
        };
        let state = if came.is_ok() { RunState::Done } else { RunState::Failed };
        match &came {
            Ok(said) => {
                tracing::info!(job = %job.name, said, "a job is done");
                for rule in self.alerts.rules().of_kind("job") {
                    self.alerts.report(alerts::job_is_well(rule, job.name.as_str()));
                }
            }
            Err(said) => {
                tracing::error!(job = %job.name, said, "a job failed");
                self.report(&job, &format!("failed: {said}"));
            }
        }
        let (Ok(said) | Err(said)) = came;
        let run = Run { state, ended: Some((self.clock)()), tries, said: Some(said), ..run };
        self.count(&job, state);
        self.finish(&job, run).await;
    }

    /// Awaits something, and says meanwhile that the run is this process's.
    async fn holding<T>(&self, run: &Run, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(BEAT) => {
                    let held = (self.clock)().0.saturating_add(HELD);
                    let renewed = self.change(&run.id, |state| {
                        if let Some(running) = &mut state.running {
                            running.held.0 = held;
                        }
                    });
                    if let Err(error) = renewed.await {
                        tracing::warn!(job = %run.id.job, %error, "it cannot be kept that a job is run");
                    }
                }
            }
        }
    }

    /// Keeps what came of a run, as soon as the store can be asked.
    async fn finish(&self, job: &Job, run: Run) {
        for _ in 0..PATIENCE {
            match self.finished(job, &run).await {
                Ok(()) => return,
                Err(error) => tracing::warn!(job = %job.name, %error, "what came of a job waits for the store"),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn finished(&self, job: &Job, run: &Run) -> Result<(), StoreError> {
        let row = || vec![Write::Replace(Row::of(run), None)];
        self.changed(&run.id, row, |state| {
            (state.running, state.ended, state.last) = (None, run.ended, Some(run.state));
        })
        .await?;
        let parent = EntityId::from(&job.name);
        let runs = self.registry.list(Listing { parent: Some(&parent), ..Listing::of(Kind::Run) }).await?;
        let beyond = runs.len().saturating_sub(job.history);
        let writes: Vec<_> = runs.into_iter().take(beyond).map(|old| Write::Delete(old.row.id, None)).collect();
        if writes.is_empty() {
            return Ok(());
        }
        match self.registry.commit(Commit { writes, ..Commit::default() }).await {
            // Another process forgets them.
            Ok(_) | Err(StoreError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn change(&self, run: &RunId, change: impl Fn(&mut JobState)) -> Result<(), StoreError> {
        self.changed(run, Vec::new, change).await
    }

    /// Changes what is kept of a job whose run is this one still.
    async fn changed(
        &self,
        run: &RunId,
        more: impl Fn() -> Vec<Write>,
        change: impl Fn(&mut JobState),
    ) -> Result<(), StoreError> {
        let mut tries = TRIES;
        loop {
            let Some(stored) = self.registry.find(&EntityId::from(&run.job)).await? else { return Ok(()) };
            let mut state: JobState = stored.entity()?;
            if state.running.as_ref().is_none_or(|running| running.run != *run) {
                return Ok(());
            }
            change(&mut state);
            let mut writes = vec![Write::Replace(Row::of(&state), Some(stored.revision))];
            writes.extend(more());
            tries -= 1;
            match self.registry.commit(Commit { writes, ..Commit::default() }).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Changed(_)) if 0 < tries => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Lets others make up for the runs of this process, before it ends.
    pub(crate) async fn let_go(&self) {
        let Ok(states) = self.states().await else { return };
        for stored in states.into_values() {
            let Ok(mut state) = stored.entity::<JobState>() else { continue };
            let Some(running) = state.running.as_mut().filter(|running| running.holder == self.node) else { continue };
            running.held.0 = 0;
            // Where it cannot be kept, others wait until the time is over.
            self.registry.commit(Commit::of(Write::Replace(Row::of(&state), Some(stored.revision)))).await.ok();
        }
    }

    /// The jobs of the configuration, each with what is kept of it.
    pub async fn list(&self) -> Result<Vec<(Arc<Job>, Option<JobState>)>, JobError> {
        let plans = self.plans.read().clone();
        let states = self.states().await?;
        let with_state = |job: &Arc<Job>| (job.clone(), states.get(&job.name).and_then(|stored| stored.entity().ok()));
        Ok(plans.values().map(with_state).collect())
    }

    /// A job of the configuration, with what is kept of it.
    pub async fn job(&self, name: &JobName) -> Result<(Arc<Job>, Option<JobState>), JobError> {
        let job = self.plans.read().get(name).cloned().ok_or_else(|| JobError::NoJob(name.clone()))?;
        let stored = self.registry.find(&EntityId::from(name)).await?;
        Ok((job, stored.and_then(|stored| stored.entity().ok())))
    }

    /// Runs of a job, also of one that the configuration does not have any more, oldest first.
    pub async fn runs(&self, name: &JobName, after: Option<&RunId>, limit: usize) -> Result<Vec<Run>, JobError> {
        let parent = EntityId::from(name);
        if !self.plans.read().contains_key(name) && self.registry.find(&parent).await?.is_none() {
            return Err(JobError::NoJob(name.clone()));
        }
        let after = after.map(ToString::to_string);
        let listing = Listing { parent: Some(&parent), after: after.as_deref(), limit, ..Listing::of(Kind::Run) };
        let runs = self.registry.list(listing).await?;
        Ok(runs.iter().map(Stored::entity).collect::<Result<_, _>>()?)
    }

    /// Has a job run now: by whichever node looks first, as soon as no run is under way.
    pub async fn want(&self, name: &JobName, by: &str) -> Result<(Arc<Job>, Option<JobState>), JobError> {
        let mut tries = TRIES;
        loop {
            let (job, _) = self.job(name).await?;
            let Some(stored) = self.registry.find(&EntityId::from(name)).await? else {
                // No node has looked at it yet.
                let Turn::Keep(passed) = job.turn(None, (&self.node, &self.node), (self.clock)()) else { continue };
                match self.keep(None, &passed, None).await {
                    Ok(()) | Err(StoreError::Exists(_)) => continue,
                    Err(error) => return Err(error.into()),
                }
            };
            let mut state: JobState = stored.entity()?;
            state.wish = Some(by.to_owned());
            tries -= 1;
            match self.registry.commit(Commit::of(Write::Replace(Row::of(&state), Some(stored.revision)))).await {
                Ok(_) => return Ok((job, Some(state))),
                Err(StoreError::Changed(_)) if 0 < tries => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Runs that ended in this process, by job and by what became of them.
    pub(crate) fn counts(&self) -> Vec<(String, &'static str, u64)> {
        let counts = self.counts.lock();
        counts.iter().map(|((job, state), count)| (job.to_string(), state.as_str(), *count)).collect()
    }

    /// What time it is.
    pub fn now(&self) -> store::UnixMicros {
        (self.clock)()
    }
}

/// How often a process says that a run is its own.
const BEAT: Duration = Duration::from_secs(10);

/// The pause before a run is tried again the first time.
const FIRST_PAUSE: Duration = Duration::from_secs(10);

/// Seconds for which it is tried to keep what came of a run.
const PATIENCE: usize = 600;

/// How often a job is written that others write at the same time.
const TRIES: usize = 16;

#[cfg(test)]
#[path = "cron_tests.rs"]
mod tests;
