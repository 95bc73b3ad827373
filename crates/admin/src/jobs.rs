//! `/jobs`: what is done at certain times, and what came of it.

use axum::Extension;
use axum::response::Json;
use control::JobError;
use jobs::{ShownJob, ShownRun, shown_run};
use problem::Problem;
use serde_json::json;
use store::{JobName, Run, RunId};

use crate::access::Asker;
use crate::failure::{Failure, NOT_FOUND};
use crate::page::{Listed, Page};
use crate::parts::{Asked, Named, Nothing, Stored};

/// `GET /jobs`: lists them by name.
pub(crate) async fn list(Stored(storage): Stored, Asked(page): Asked<Page>) -> Result<Listed<ShownJob>, Failure> {
    let after: Option<JobName> = page.after(|text| text.parse().ok())?;
    let now = storage.jobs.now();
    let all = storage.jobs.list().await?;
    page.out_of(all, after.as_ref(), |(job, _)| job.name.clone(), |(job, state)| job.shown(state.as_ref(), now))
}

/// `GET /jobs/{job}`: shows one.
pub(crate) async fn show(Stored(storage): Stored, Named(name): Named<JobName>) -> Result<Json<ShownJob>, Failure> {
    let (job, state) = storage.jobs.job(&name).await?;
    Ok(Json(job.shown(state.as_ref(), storage.jobs.now())))
}

/// `GET /jobs/{job}/runs`: lists runs, oldest first.
pub(crate) async fn runs(
    Stored(storage): Stored,
    Named(name): Named<JobName>,
    Asked(page): Asked<Page>,
) -> Result<Listed<ShownRun>, Failure> {
    let after: Option<RunId> = page.after(|text| format!("{name}/{text}").parse().ok())?;
    let found = storage.jobs.runs(&name, after.as_ref(), page.fetched()?).await?;
    page.of(found, |run: &Run| run.id.run.clone(), shown_run)
}

/// `POST /jobs/{job}/run`: has one run now.
pub(crate) async fn run(
    Stored(storage): Stored,
    Extension(asker): Extension<Asker>,
    Named(name): Named<JobName>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<Json<ShownJob>, Failure> {
    let (job, state) = storage.jobs.want(&name, &asker.name).await?;
    storage.partners.note("run", ("job", name.as_str()), json!({ "schedule": job.written })).await?;
    Ok(Json(job.shown(state.as_ref(), storage.jobs.now())))
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Store(error) => partners::Error::from(error).into(),
            error @ JobError::NoJob(_) => Problem::new(&NOT_FOUND).detail(format!("There is none: {error}.")).into(),
        }
    }
}
