//! The story of a request, for people and for machines.

use std::fmt;
use std::time::Duration;

use pipeline::{Caller, Stage};
use serde_json::{Value, json};

/// What becomes of a request.
pub(super) struct Story {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) client: String,
    pub(super) caller: Option<String>,
    pub(super) note: Option<String>,
    pub(super) routes: Vec<Route>,
    pub(super) other_routes: usize,
    pub(super) policies: Vec<Policy>,
    pub(super) answer: Option<Answer>,
    pub(super) place: Option<Place>,
}

/// A route that has the request's host and path.
pub(super) struct Route {
    pub(super) summary: String,
    pub(super) api: String,
    /// None for the one that won.
    pub(super) lost_because: Option<String>,
}

/// A policy, and what it said.
pub(super) struct Policy {
    pub(super) stage: Stage,
    pub(super) name: &'static str,
    pub(super) verdict: Verdict,
    pub(super) took: Option<Duration>,
}

/// What a policy said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Passes,
    Answers,
    /// Its condition did not hold.
    LeftOut,
    /// One before it answered.
    NotAsked,
}

/// The gateway's own answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) problem: Option<&'static str>,
    pub(super) detail: Option<String>,
}

/// Where the request goes.
pub(super) struct Place {
    pub(super) request: String,
    pub(super) targets: Vec<Target>,
    pub(super) mirror: Option<String>,
}

/// An upstream, and how many of all requests it gets in relation to the others.
pub(super) struct Target {
    pub(super) upstream: String,
    pub(super) targets: Vec<String>,
    pub(super) share: usize,
}

/// Who calls, in a line.
pub(super) fn caller(caller: &Caller) -> String {
    let whose = match (&caller.company, &caller.app) {
        (Some(company), Some(app)) => format!(" of {company}/{app}"),
        (Some(company), None) => format!(" of {company}"),
        (None, _) => String::new(),
    };
    format!("{}{whose}, known by {}", caller.credential, caller.by)
}

impl Verdict {
    fn text(self) -> &'static str {
        match self {
            Self::Passes => "passes",
            Self::Answers => "answers",
            Self::LeftOut => "left out: its condition does not hold",
            Self::NotAsked => "not asked",
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::Passes => "passes",
            Self::Answers => "answers",
            Self::LeftOut => "left-out",
            Self::NotAsked => "not-asked",
        }
    }
}

fn stage(stage: Stage) -> String {
    format!("{stage:?}").to_lowercase()
}

impl Story {
    /// The story for machines.
    pub(super) fn as_json(&self) -> Value {
        let route =
            |route: &Route| json!({ "route": route.summary, "api": route.api, "lost_because": route.lost_because });
        let policy = |policy: &Policy| {
            let micros = policy.took.map(|took| took.as_secs_f64() * 1e6);
            let (stage, verdict) = (stage(policy.stage), policy.verdict.code());
            json!({ "stage": stage, "policy": policy.name, "verdict": verdict, "micros": micros })
        };
        let target =
            |target: &Target| json!({ "upstream": target.upstream, "targets": target.targets, "share": target.share });
        let place = self.place.as_ref().map(|place| {
            let targets: Vec<_> = place.targets.iter().map(target).collect();
            json!({ "request": place.request, "upstreams": targets, "mirror": place.mirror })
        });
        let answer = self.answer.as_ref();
        json!({
            "method": self.method,
            "url": self.url,
            "client": self.client,
            "caller": self.caller,
            "note": self.note,
            "routes": self.routes.iter().map(route).collect::<Vec<_>>(),
            "other_routes": self.other_routes,
            "policies": self.policies.iter().map(policy).collect::<Vec<_>>(),
            "answer": answer.map(|a| json!({ "status": a.status, "problem": a.problem, "detail": a.detail })),
            "goes_to": place,
        })
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {} from {}", self.method, self.url, self.client)?;
        if let Some(note) = &self.note {
            writeln!(f, "({note})")?;
        }
        writeln!(f, "\nRoutes")?;
        for Route { summary: route, api, lost_because } in &self.routes {
            match lost_because {
                None => writeln!(f, "  won   {route} of {api}")?,
                Some(reason) => writeln!(f, "  lost  {route} of {api}: {reason}")?,
            }
        }
        match (self.routes.is_empty(), self.other_routes) {
            (true, others) => writeln!(f, "  none of {others} has this host and path")?,
            (false, 0) => {}
            (false, 1) => writeln!(f, "  1 more has another host or path")?,
            (false, others) => writeln!(f, "  {others} more have another host or path")?,
        }
        if !self.policies.is_empty() {
            writeln!(f, "\nPolicies")?;
        }
        let width = self.policies.iter().map(|policy| policy.name.len()).max().unwrap_or_default();
        for Policy { stage: at, name: policy, verdict, took } in &self.policies {
            let took = took.map(|took| format!(", {:.1} µs", took.as_secs_f64() * 1e6)).unwrap_or_default();
            writeln!(f, "  {:9}  {policy:width$}  {}{took}", stage(*at), verdict.text())?;
        }
        if let Some(caller) = &self.caller {
            writeln!(f, "\nCaller\n  {caller}")?;
        }
        if let Some(Answer { status, problem, detail }) = &self.answer {
            let problem = problem.map(|code| format!(" {code}")).unwrap_or_default();
            let detail = detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
            return writeln!(f, "\nAnswer\n  {status}{problem}{detail}");
        }
        let Some(Place { request, targets, mirror }) = &self.place else {
            return writeln!(f, "\nGoes nowhere: the api has no upstream, and no policy answers (404).");
        };
        writeln!(f, "\nGoes to\n  {request}")?;
        let all: usize = targets.iter().map(|target| target.share).sum();
        for Target { upstream, targets, share } in targets {
            let share = if *share == all { String::new() } else { format!(", {share} of {all} requests") };
            writeln!(f, "  upstream {upstream}{share}: {}", targets.join(", "))?;
        }
        match mirror {
            Some(mirror) => writeln!(f, "  copies: {mirror}"),
            None => Ok(()),
        }
    }
}
