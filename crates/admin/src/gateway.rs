//! The node of this process, as operators see it.

use std::path::Path;

use async_trait::async_trait;
use control::{Configuration as Written, NotRebuilt, Phase};
use model::diff::{Change, diff};
use problem::{Finding, Pointer};
use telemetry::metrics::Exposition;

use crate::node::{Applied, Apply, Configuration, Node, Readiness, Rebuilt, Refused, Serving};
use crate::{JournalStatus, ListenerStatus, Status, TargetStatus, UpstreamStatus};

#[async_trait]
impl Node for control::Node {
    fn readiness(&self) -> Readiness {
        let snapshot = self.live.current();
        Readiness { state: state(self.phase()), generation: snapshot.generation, hash: snapshot.hash.clone() }
    }

    fn metrics(&self, accept: Option<&str>) -> Exposition {
        self.registry.render(accept)
    }

    fn status(&self) -> Status {
        let snapshot = self.live.current();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: std::process::id(),
            state: state(self.phase()),
            generation: snapshot.generation,
            hash: snapshot.hash.clone(),
            listeners: listeners(self),
            upstreams: upstreams(self),
            journal: self.keeping.as_ref().map(|keeping| {
                let journal = keeping.journal();
                JournalStatus { bytes: journal.bytes, segments: journal.segments, failures: journal.failed_commits }
            }),
            keys: self.keeping.as_ref().map_or(0, |keeping| keeping.partners.index().keys() as u64),
            refused: self.service().refusals(),
        }
    }

    fn configuration(&self) -> Option<Configuration> {
        let snapshot = self.live.current();
        let document = self.configuration().source.written(&Pointer::default())?;
        Some(Configuration { generation: snapshot.generation, hash: snapshot.hash.clone(), document })
    }

    async fn reload(&self) -> Result<Applied, Refused> {
        let before = self.configuration();
        if self.file.is_none() {
            return Err(Refused::Conflict("the configuration came from no file; put one to /config".to_owned()));
        }
        let published = control::Node::reload(self).map_err(Refused::Findings)?;
        let changes = changes(&before, &self.configuration());
        Ok(Applied { generation: published.generation, hash: published.hash, changes })
    }

    async fn apply(&self, document: &str, apply: Apply) -> Result<Applied, Refused> {
        if let (Apply::Now, Some(file)) = (apply, &self.file) {
            // The file would bring the old one back at the next start, or at its next change.
            let file = file.display();
            let why = format!("the configuration is that of {file}: write it there, and it is taken up within seconds");
            return Err(Refused::Conflict(why));
        }
        // What the document refers to is looked for beside the file, which it is not.
        let file = self.file.as_deref().unwrap_or(Path::new("")).with_file_name("request");
        let serving = self.configuration();
        let written = Written::sent(document, &file, &serving).map_err(Refused::Findings)?;
        let changes = changes(&serving, &written);
        match apply {
            Apply::DryRun => {
                refuse(control::check(&written).findings)?;
                let generation = self.live.current().generation;
                Ok(Applied { generation, hash: written.hash, changes })
            }
            Apply::Now => {
                let published = self.publish(written).map_err(Refused::Findings)?;
                Ok(Applied { generation: published.generation, hash: published.hash, changes })
            }
        }
    }

    async fn count_usage(&self) -> Result<(), Refused> {
        let Some(keeping) = &self.keeping else { return Ok(()) };
        let refused = |error| Refused::Failed("The latest requests are not added up.".to_owned(), Box::new(error));
        keeping.add_up().await.map_err(refused)
    }

    async fn rebuild_usage(&self) -> Result<Rebuilt, Refused> {
        let rebuilt = match &self.keeping {
            Some(keeping) => keeping.rebuild().await,
            None => Err(NotRebuilt::NothingKept),
        };
        match rebuilt {
            Ok((from_hour, metering::Rebuilt { records, rows, changed })) => {
                Ok(Rebuilt { from_hour, records, rows, changed })
            }
            Err(error @ NotRebuilt::NothingKept) => Err(Refused::Conflict(error.to_string())),
            Err(error) => Err(Refused::Failed("The sums are as they were.".to_owned(), Box::new(error))),
        }
    }
}

fn state(phase: Phase) -> Serving {
    match phase {
        Phase::Serving => Serving::Ready,
        Phase::Draining => Serving::Draining,
    }
}

fn refuse(findings: Vec<Finding>) -> Result<(), Refused> {
    if findings.is_empty() { Ok(()) } else { Err(Refused::Findings(findings)) }
}

fn changes(old: &Written, new: &Written) -> Vec<Change> {
    diff((&old.document, &old.source), (&new.document, &new.source))
}

fn listeners(node: &control::Node) -> Vec<ListenerStatus> {
    let mut listeners = node.gateway.present();
    listeners.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut statuses = Vec::new();
    for (name, present) in listeners {
        let address = node.gateway.address(&name).map(|address| address.to_string()).unwrap_or_default();
        statuses.push(ListenerStatus { name, address, connections: u64::from(present.count()) });
    }
    statuses
}

fn upstreams(node: &control::Node) -> Vec<UpstreamStatus> {
    let snapshot = node.live.current();
    let status = snapshot.upstreams.values().map(|upstream| {
        let targets = upstream.targets().iter().map(|target| TargetStatus {
            url: target.name.to_string(),
            in_service: target.is_in_service(|| upstream.now()),
            in_flight: u64::from(target.in_flight()),
        });
        UpstreamStatus {
            name: upstream.name.to_string(),
            breaker: if upstream.breaker().is_open() { "open" } else { "closed" }.to_owned(),
            in_flight: u64::from(upstream.in_flight()),
            connections: u64::from(upstream.connections()),
            targets: targets.collect(),
        }
    });
    status.collect()
}
