//! Operations about what the gateway does beside serving: alerts and jobs.

use alerts::{ShownAlert, ShownSilence};
use jobs::{ShownJob, ShownRun};
use openapi::Operation as Op;

use crate::operation::{Lists, Operations};
use crate::{alerts as of_alerts, jobs as of_jobs};

pub(super) fn operations() -> Operations {
    const ALERT: &str = "/alerts/{alert}";
    const TEST: &str = "/alert-receivers/{receiver}/test";
    const JOB: &str = "/jobs/{job}";
    Operations::default()
        .on(
            Op::get("/alerts", "Lists alerts that are open, or that are over")
                .lists::<ShownAlert>()
                .asks::<of_alerts::Question>(),
            of_alerts::list,
        )
        .on(Op::get(ALERT, "Shows an alert").answers::<ShownAlert>(), of_alerts::show)
        .on(
            Op::post("/alerts/{alert}/close", "Says that what an alert is about is well; it opens again if it is not")
                .at_once()
                .answers::<ShownAlert>(),
            of_alerts::close,
        )
        .on(
            Op::get("/silences", "Lists alerts that nobody is told of for a while").lists::<ShownSilence>(),
            of_alerts::silences,
        )
        .on(
            Op::post("/silences", "Has nobody told of some alerts for a while")
                .takes::<of_alerts::NewSilence>()
                .shows::<ShownSilence>()
                .makes::<ShownSilence>(),
            of_alerts::silence,
        )
        .on(Op::delete("/silences/{silence}", "Ends a silence"), of_alerts::end_silence)
        .on(
            Op::get("/alert-receivers", "Lists who is told of alerts, and how that went from this node")
                .lists::<of_alerts::Receiver>(),
            of_alerts::receivers,
        )
        .on(
            Op::post(TEST, "Tells a receiver of an alert that is none, and says whether it took it")
                .at_once()
                .answers::<of_alerts::Tested>(),
            of_alerts::test,
        )
        .on(Op::get("/jobs", "Lists jobs by name").lists::<ShownJob>(), of_jobs::list)
        .on(Op::get(JOB, "Shows a job").answers::<ShownJob>(), of_jobs::show)
        .on(Op::get("/jobs/{job}/runs", "Lists runs of a job, oldest first").lists::<ShownRun>(), of_jobs::runs)
        .on(
            Op::post("/jobs/{job}/run", "Has a job run now, by whichever node looks first")
                .at_once()
                .answers::<ShownJob>(),
            of_jobs::run,
        )
}
