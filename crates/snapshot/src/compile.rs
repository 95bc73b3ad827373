//! From a document to a snapshot: everything is compiled, and every finding is collected.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use http::Method;
use model::Document;
use model::api::{Api, Destination as Written, ForwardedHeaders, OnFailure as WrittenOnFailure, PolicyUse};
use model::named::Named;
use model::read::advice;
use model::requests::Requests;
use pipeline::{Chain, ChainBuilder, OnFailure};
use policies::CATALOG;
use policies::outside::Backends;
use problem::{Finding, Pointer};
use upstream::Upstream;

use crate::asking::Asking;
use crate::matching::{self, Way};
use crate::pattern::Segment;
use crate::route::{Destination, Mirror, Route};
use crate::router::Router;
use crate::{Lent, Snapshot};

/// Parts that a weighted split may have in all.
const SPLIT_PARTS: usize = 10_000;

impl Snapshot {
    /// Compiles a document, or says everything that is wrong with it.
    pub fn compile(document: &Arc<Document>, generation: u64, hash: &str, lent: &Lent) -> Result<Self, Vec<Finding>> {
        let compiler = Compiler::compile(document, lent, &|_| false);
        let limits = document.listeners.iter().map(|(name, listener)| {
            let own = listener.limits.clone().unwrap_or_default();
            (name.clone(), own.settle(&document.limits))
        });
        let limits = limits.collect();
        let unrouted = compiler.unrouted();
        let Compiler { findings, upstreams, router, mut routes, .. } = compiler;
        routes.shrink_to_fit();
        if !findings.is_empty() {
            return Err(findings);
        }
        let document = document.clone();
        let keeps_arrivals = routes.iter().any(|route| route.chain.keeps_arrivals());
        Ok(Self {
            generation,
            hash: hash.to_owned(),
            document,
            router,
            routes,
            unrouted,
            upstreams,
            limits,
            keeps_arrivals,
            observers: Vec::new(),
            partners: lent.services.find(),
        })
    }

    /// What is to be said of a document, some of whose parts are known to be wrong: what would follow from those is not told.
    pub fn check(document: &Document, lent: &Lent, is_doubtful: &dyn Fn(&Pointer) -> bool) -> Checked {
        let Compiler { findings, remarks, .. } = Compiler::compile(document, lent, is_doubtful);
        Checked { findings, remarks }
    }
}

/// What is to be said of a document that is looked at and not served.
#[derive(Debug, Default)]
pub struct Checked {
    /// What is wrong with it.
    pub findings: Vec<Finding>,
    /// What is no mistake, and to be known all the same.
    pub remarks: Vec<Finding>,
}

struct Compiler<'a> {
    lent: &'a Lent,
    requests: &'a Requests,
    is_doubtful: &'a dyn Fn(&Pointer) -> bool,
    findings: Vec<Finding>,
    remarks: Vec<Finding>,
    upstreams: Named<Arc<Upstream>>,
    /// The same, as policies may ask them.
    backends: Arc<Asking>,
    router: Router,
    routes: Vec<Route>,
    /// The chain of all routes that have no policy.
    plain: Arc<Chain>,
    /// What the router knows: a summary, and where it is written. These are the routes, unless something is wrong.
    written: Vec<(String, Pointer)>,
}

/// What an API's operations share.
struct Shared<'a> {
    name: Arc<str>,
    api: &'a Api,
    at: &'a Pointer,
}

impl<'a> Compiler<'a> {
    fn compile(document: &'a Document, lent: &'a Lent, is_doubtful: &'a dyn Fn(&Pointer) -> bool) -> Self {
        let mut compiler = Self {
            lent,
            requests: &document.requests,
            is_doubtful,
            findings: Vec::new(),
            remarks: Vec::new(),
            upstreams: Named::new(),
            backends: Arc::default(),
            router: Router::default(),
            routes: Vec::new(),
            plain: Arc::new(ChainBuilder::new("", lent.services.clone(), lent.kept.clone()).build()),
            written: Vec::new(),
        };
        let root = Pointer::default();
        compiler.upstreams(document, &root.at("upstreams"));
        compiler.backends = Arc::new(Asking::new(&compiler.upstreams, document.upstreams.keys().cloned().collect()));
        for (name, api) in &document.apis {
            compiler.api(name, api, &root.at("apis").at(name));
        }
        compiler
    }

    fn upstreams(&mut self, document: &Document, at: &Pointer) {
        for (name, settings) in &document.upstreams {
            match Upstream::compile(name, settings, &at.at(name)) {
                Ok(compiled) => {
                    // Connections and health survive a reload that leaves the settings as they are.
                    let key = serde_json::to_string(settings).unwrap_or_default();
                    let upstream = self.lent.kept.keep(&format!("{name} {key}"), || compiled);
                    self.upstreams.insert(name.clone(), upstream);
                }
                Err(findings) => self.findings.extend(findings),
            }
        }
    }

    fn api(&mut self, name: &str, api: &Api, at: &Pointer) {
        let (mut ways, findings) = matching::ways(api, at);
        self.findings.extend(findings);
        if (self.is_doubtful)(&at.at("match")) {
            // What is left of it could clash with others.
            ways.clear();
        }
        let shared = Shared { name: name.into(), api, at };
        let destination = |compiler: &mut Self| match &api.upstream {
            Some(written) => compiler.destination(written, &at.at("upstream")),
            None => Some(Destination::None),
        };
        // Also where no way leads there, because `match` is wrong.
        drop(destination(self));
        self.mirrored(&shared);
        let chain = self.chain(&shared, None);
        for way in &ways {
            let destination = destination(self);
            self.route(&shared, way, chain.as_ref(), destination);
        }
        for (index, operation) in api.operations.iter().enumerate() {
            let at = at.at("operations").at(index);
            let destination = |compiler: &mut Self| match &operation.upstream {
                Some(written) => compiler.destination(written, &at.at("upstream")),
                None => destination(compiler),
            };
            drop(destination(self));
            let chain = self.chain(&shared, Some((&operation.policies, &at)));
            let (method, below) = match matching::operation(operation, &at) {
                Ok(parsed) => parsed,
                Err(finding) => {
                    self.findings.push(finding);
                    continue;
                }
            };
            for base in &ways {
                let way = under(base, method.as_ref(), &below, &at);
                let destination = destination(self);
                self.route(&shared, &way, chain.as_ref(), destination);
            }
        }
    }

    /// Adds a route, unless it clashes with another or a part of it could not be compiled.
    fn route(&mut self, shared: &Shared<'_>, way: &Way, chain: Option<&Arc<Chain>>, destination: Option<Destination>) {
        let parameter = |segment: &Segment| match segment {
            Segment::Parameter(name) => Some(name.clone()),
            Segment::Literal(_) => None,
        };
        if let Some(message) = matching::unreachable(way, self.requests) {
            self.findings.push(Finding::new(&way.at, message));
            return;
        }
        let number = self.written.len();
        if let Err(other) = self.router.insert(way.host.clone(), &way.pattern, way.conditions.clone(), number) {
            let (summary, other_at) = self.written.get(other).map_or(("", ""), |(summary, at)| (summary, at.as_str()));
            let message = format!(
                "`{}` clashes with `{summary}` at {other_at}: both want the same requests and neither is more specific; \
                 change a path, or add a host, method, header or query parameter to one of them",
                way.summary,
            );
            self.findings.push(Finding::new(&way.at, message));
            return;
        }
        self.written.push((way.summary.clone(), way.at.clone()));
        let mirror = self.mirrored(shared);
        let (Some(chain), Some(destination)) = (chain, destination) else { return };
        self.routes.push(Route {
            names: Arc::new(pipeline::Route {
                api: shared.name.clone(),
                template: way.pattern.to_string().into(),
                base: way.base,
            }),
            parameters: way.pattern.segments.iter().filter_map(parameter).collect(),
            chain: chain.clone(),
            destination,
            mirror,
            forwarded: shared.api.forwarded,
            operation: operation_at(&way.at),
            summary: way.summary.clone(),
        });
    }

    fn mirrored(&mut self, shared: &Shared<'_>) -> Option<Mirror> {
        let mirror = shared.api.mirror.as_ref()?;
        let upstream = self.named(&mirror.upstream, &shared.at.at("mirror").at("upstream"))?;
        let percent = usize::from(mirror.share.percent());
        Some(Mirror { upstream, percent, count: AtomicUsize::new(0) })
    }

    /// The chain of an API, or of one of its operations: policies by stage, then in the order written.
    fn chain(&mut self, shared: &Shared<'_>, operation: Option<(&[PolicyUse], &Pointer)>) -> Option<Arc<Chain>> {
        let before = self.findings.len();
        let at = operation.map_or(shared.at, |(_, at)| at);
        let mut uses: Vec<_> = places(&shared.api.policies, shared.at).collect();
        if let Some((own, at)) = operation {
            uses.extend(places(own, at));
        }
        if uses.is_empty() {
            return Some(self.plain.clone());
        }
        let mut known = Vec::new();
        for (used, at) in &uses {
            match CATALOG.iter().find(|entry| entry.name == used.policy) {
                Some(entry) => known.push((entry, *used, at)),
                None => self.findings.push(Finding::new(at, format!("there is no policy `{}`", used.policy))),
            }
        }
        known.sort_by_key(|(entry, ..)| entry.stage);
        let (services, kept) = (self.lent.services.clone(), self.lent.kept.clone());
        let mut chain = ChainBuilder::new(&shared.name, services, kept);
        chain.lend::<dyn Backends>(self.backends.clone());
        for (entry, used, at) in known {
            let condition =
                used.when.as_ref().map(|when| attributes::expression::condition_in(&chain, when, &at.at("when")));
            let condition = condition.transpose().unwrap_or_else(|finding| {
                self.findings.push(finding);
                None
            });
            let on_failure = match used.on_failure {
                WrittenOnFailure::Close => OnFailure::Close,
                WrittenOnFailure::Open => OnFailure::Open,
            };
            chain.enter(entry.name, entry.stage, on_failure, condition);
            if let Err(finding) = (entry.install)(used.settings.clone(), &at.at(entry.name), &mut chain) {
                self.findings.push(finding);
            }
            self.findings.extend(chain.take_findings());
            self.remarks.extend(chain.take_remarks());
        }
        self.findings.extend(chain.finding(&at.at("policies")));
        // An API's findings would be told once more for each operation.
        self.findings.dedup();
        (self.findings.len() == before).then(|| Arc::new(chain.build()))
    }

    fn unrouted(&self) -> Route {
        Route {
            names: Arc::new(pipeline::Route { api: "".into(), template: "".into(), base: 0 }),
            parameters: Vec::new(),
            chain: self.plain.clone(),
            destination: Destination::None,
            mirror: None,
            forwarded: ForwardedHeaders::None,
            operation: None,
            summary: String::new(),
        }
    }

    fn destination(&mut self, written: &Written, at: &Pointer) -> Option<Destination> {
        let parts = match written {
            Written::Upstream(name) => return self.named(name, at).map(Destination::Upstream),
            Written::Split(parts) => parts,
        };
        let total: usize = parts.iter().map(|part| part.weight as usize).sum();
        if total == 0 || total > SPLIT_PARTS {
            let message = format!("the weights come to {total}; together they must be 1 to {SPLIT_PARTS}");
            self.findings.push(Finding::new(at, message));
            return None;
        }
        let mut sequence = Vec::with_capacity(total);
        for (index, part) in parts.iter().enumerate() {
            let upstream = self.named(&part.upstream, &at.at(index).at("upstream"))?;
            for turn in 0..part.weight as usize {
                // Each part's turns stand at equal distances, so that a small part is never served in a burst.
                sequence.push(((2 * turn + 1) * total / part.weight as usize, index, upstream.clone()));
            }
        }
        sequence.sort_by_key(|(place, index, _)| (*place, *index));
        let sequence = sequence.into_iter().map(|(_, _, upstream)| upstream).collect();
        Some(Destination::Split { sequence, next: AtomicUsize::new(0) })
    }

    fn named(&mut self, name: &str, at: &Pointer) -> Option<Arc<Upstream>> {
        let found = self.upstreams.get(name).cloned();
        let written = Pointer::default().at("upstreams").at(name);
        let is_below = |finding: &Finding| finding.at.as_str().starts_with(written.as_str());
        if found.is_none() && !self.findings.iter().any(is_below) && !(self.is_doubtful)(&written) {
            let known: Vec<_> = self.upstreams.keys().map(String::as_str).collect();
            let advice = advice(name, &known);
            self.findings.push(Finding::new(at, format!("there is no upstream `{name}`{advice}")));
        }
        found
    }
}

fn places<'a>(uses: &'a [PolicyUse], at: &Pointer) -> impl Iterator<Item = (&'a PolicyUse, Pointer)> {
    let at = at.at("policies");
    uses.iter().enumerate().map(move |(index, used)| (used, at.at(index)))
}

/// The number of the operation that stands at this place of the document, if one does.
fn operation_at(at: &Pointer) -> Option<usize> {
    let parent = at.parent()?;
    let (_, number) = at.as_str().rsplit_once('/')?;
    if parent.as_str().ends_with("/operations") { number.parse().ok() } else { None }
}

/// The way to an operation below a way to its API.
fn under(base: &Way, method: Option<&Method>, below: &crate::pattern::Pattern, at: &Pointer) -> Way {
    let pattern = base.pattern.join(below);
    let mut conditions = base.conditions.clone();
    if let Some(method) = method {
        conditions.methods = vec![method.clone()];
    }
    let summary = matching::summary(&base.host, &pattern, &conditions);
    Way { host: base.host.clone(), pattern, base: base.base, conditions, summary, at: at.clone() }
}
