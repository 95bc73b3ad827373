//! Which route a request takes: one compiled matcher, and the most specific route wins.
//!
//! In this order: an exact host before a wildcard, a longer wildcard before a shorter one, any host last. Then, segment
//! by segment, literal text before a parameter, and a longer path before a shorter one; an exact path before what lies
//! below the same path. Then more headers and query parameters before fewer, and a method before none. Two routes that
//! are still equal and may want the same request clash, and are refused when they are compiled.

use hashbrown::HashMap;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use percent_encoding::percent_decode_str;
use smallvec::SmallVec;

use crate::pattern::{Pattern, Reach, Segment};

/// A compiled matcher.
#[derive(Default)]
pub struct Router {
    exact: HashMap<Box<str>, Tree>,
    /// By what follows the star: `.example.com`.
    wildcard: HashMap<Box<str>, Tree>,
    any: Tree,
}

/// What a request is matched by.
pub struct Wanted<'a> {
    /// The host, without a port, in lower case.
    pub host: &'a str,
    /// The path, not decoded.
    pub path: &'a str,
    /// The method.
    pub method: &'a Method,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The query, without its question mark.
    pub query: Option<&'a str>,
}

/// A route that a request takes.
#[derive(Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// The route's number.
    pub route: usize,
    /// The segments that stand for its parameters, not decoded, in order.
    pub parameters: SmallVec<[&'a str; 4]>,
}

/// Why a request takes no route.
#[derive(Debug, PartialEq, Eq)]
pub enum Lost {
    /// No route has this host and path.
    NoRoute,
    /// Routes have this host and path, for these methods.
    OtherMethods(Vec<Method>),
}

/// What a host must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Any,
    Exact(Box<str>),
    /// What follows the star, with its dot.
    Below(Box<str>),
}

/// What a request must have beside host and path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    pub(crate) methods: Vec<Method>,
    /// With the value it must have; none: any.
    pub(crate) headers: Vec<(HeaderName, Option<HeaderValue>)>,
    pub(crate) query: Vec<(String, Option<String>)>,
}

#[derive(Default)]
struct Tree {
    nodes: Vec<Node>,
}

#[derive(Default)]
struct Node {
    literals: HashMap<Box<str>, usize>,
    parameter: Option<usize>,
    exact: Vec<Candidate>,
    below: Vec<Candidate>,
}

struct Candidate {
    route: usize,
    conditions: Conditions,
}

impl Router {
    /// Adds a route, unless another one may want the same requests and is no less specific: then that one is returned.
    pub(crate) fn insert(
        &mut self,
        host: Host,
        pattern: &Pattern,
        conditions: Conditions,
        route: usize,
    ) -> Result<(), usize> {
        let tree = match host {
            Host::Any => &mut self.any,
            Host::Exact(host) => self.exact.entry(host).or_default(),
            Host::Below(suffix) => self.wildcard.entry(suffix).or_default(),
        };
        tree.insert(pattern, Candidate { route, conditions })
    }

    /// The most specific route that wants the request.
    pub fn find<'a>(&self, wanted: &Wanted<'a>) -> Result<Found<'a>, Lost> {
        let mut search = Search { wanted, parameters: SmallVec::new(), methods: Vec::new() };
        let route = self.trees(wanted.host).find_map(|tree| tree.find(&mut search));
        match route {
            Some(route) => Ok(Found { route, parameters: search.parameters }),
            None if search.methods.is_empty() => Err(Lost::NoRoute),
            None => Err(Lost::OtherMethods(search.methods)),
        }
    }

    /// Every route that has the request's host and path, most specific first, with what the request lacks for it.
    pub fn candidates(&self, wanted: &Wanted<'_>) -> Vec<(usize, Vec<String>)> {
        let mut found = Vec::new();
        for tree in self.trees(wanted.host) {
            tree.walk(0, segments(wanted.path), &mut |candidates| {
                found.extend(candidates.iter().map(|one| (one.route, one.conditions.lacking(wanted))));
                None::<usize>
            });
        }
        found
    }

    /// The trees for a host, most specific first.
    fn trees<'r>(&'r self, host: &'r str) -> impl Iterator<Item = &'r Tree> {
        let exact = if self.exact.is_empty() { None } else { self.exact.get(host) };
        let dots = host.bytes().enumerate().filter(|(_, byte)| *byte == b'.').map(|(index, _)| index);
        let below = (!self.wildcard.is_empty())
            .then(|| dots.filter(|index| *index > 0).filter_map(|index| self.wildcard.get(host.get(index..)?)))
            .into_iter()
            .flatten();
        exact.into_iter().chain(below).chain(std::iter::once(&self.any))
    }
}

/// The segments of a path: what stands between its slashes, and nothing for `/`.
fn segments(path: &str) -> Option<&str> {
    path.strip_prefix('/').filter(|path| !path.is_empty())
}

struct Search<'s, 'a> {
    wanted: &'s Wanted<'a>,
    parameters: SmallVec<[&'a str; 4]>,
    methods: Vec<Method>,
}

impl Tree {
    fn insert(&mut self, pattern: &Pattern, candidate: Candidate) -> Result<(), usize> {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let mut at = 0;
        for segment in &pattern.segments {
            at = self.child(at, segment);
        }
        let Some(node) = self.nodes.get_mut(at) else { return Ok(()) };
        let candidates = match pattern.reach {
            Reach::Exact => &mut node.exact,
            Reach::Below => &mut node.below,
        };
        let rank = candidate.conditions.rank();
        let clash =
            |other: &&Candidate| other.conditions.rank() == rank && other.conditions.overlap(&candidate.conditions);
        if let Some(other) = candidates.iter().find(clash) {
            return Err(other.route);
        }
        let place = candidates.partition_point(|other| other.conditions.rank() >= rank);
        // As much as is needed: mostly it stays at one, and there may be thousands of nodes.
        candidates.reserve_exact(1);
        candidates.insert(place, candidate);
        Ok(())
    }

    fn child(&mut self, at: usize, segment: &Segment) -> usize {
        let new = self.nodes.len();
        let Some(node) = self.nodes.get_mut(at) else { return at };
        let child = match segment {
            Segment::Literal(text) => *node.literals.entry(text.clone()).or_insert(new),
            Segment::Parameter(_) => *node.parameter.get_or_insert(new),
        };
        if child == new {
            self.nodes.push(Node::default());
        }
        child
    }

    fn find(&self, search: &mut Search<'_, '_>) -> Option<usize> {
        if self.nodes.is_empty() {
            return None;
        }
        let (wanted, methods) = (search.wanted, &mut search.methods);
        let mut choose = |candidates: &[Candidate]| {
            let matching = |one: &&Candidate| {
                let holds = one.conditions.hold(wanted);
                if !holds && one.conditions.hold_but_for_the_method(wanted) {
                    methods.extend(one.conditions.methods.iter().filter(|method| **method != *wanted.method).cloned());
                }
                holds
            };
            candidates.iter().find(matching).map(|one| one.route)
        };
        let mut parameters = SmallVec::new();
        let route = self.walk_noting(0, segments(wanted.path), &mut parameters, &mut choose)?;
        search.parameters = parameters;
        Some(route)
    }

    fn walk<T>(&self, at: usize, rest: Option<&str>, choose: &mut impl FnMut(&[Candidate]) -> Option<T>) -> Option<T> {
        self.walk_noting(at, rest, &mut SmallVec::new(), choose)
    }

    /// Offers the candidates of every node that fits, most specific first, until one is chosen.
    fn walk_noting<'a, T>(
        &self,
        at: usize,
        rest: Option<&'a str>,
        parameters: &mut SmallVec<[&'a str; 4]>,
        choose: &mut impl FnMut(&[Candidate]) -> Option<T>,
    ) -> Option<T> {
        let node = self.nodes.get(at)?;
        let Some(path) = rest else {
            return choose(&node.exact).or_else(|| choose(&node.below));
        };
        let (segment, rest) = match path.split_once('/') {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (path, None),
        };
        if let Some(child) = node.literals.get(segment)
            && let Some(chosen) = self.walk_noting(*child, rest, parameters, choose)
        {
            return Some(chosen);
        }
        if let (Some(child), false) = (node.parameter, segment.is_empty()) {
            parameters.push(segment);
            if let Some(chosen) = self.walk_noting(child, rest, parameters, choose) {
                return Some(chosen);
            }
            parameters.pop();
        }
        choose(&node.below)
    }
}

impl Conditions {
    fn hold(&self, wanted: &Wanted<'_>) -> bool {
        (self.methods.is_empty() || self.methods.contains(wanted.method)) && self.hold_but_for_the_method(wanted)
    }

    fn hold_but_for_the_method(&self, wanted: &Wanted<'_>) -> bool {
        self.headers.iter().all(|header| has_header(wanted, header))
            && self.query.iter().all(|parameter| has_parameter(wanted, parameter))
    }

    /// What a request would need, for people.
    fn lacking(&self, wanted: &Wanted<'_>) -> Vec<String> {
        let mut lacking = Vec::new();
        if !self.methods.is_empty() && !self.methods.contains(wanted.method) {
            let methods: Vec<_> = self.methods.iter().map(Method::as_str).collect();
            lacking.push(format!("the method {}", methods.join(" or ")));
        }
        for (name, value) in self.headers.iter().filter(|header| !has_header(wanted, header)) {
            let value = value.as_ref().map(|value| format!(": {}", String::from_utf8_lossy(value.as_bytes())));
            lacking.push(format!("the header `{name}{}`", value.unwrap_or_default()));
        }
        for (name, value) in self.query.iter().filter(|parameter| !has_parameter(wanted, parameter)) {
            let value = value.as_ref().map(|value| format!("={value}"));
            lacking.push(format!("the query parameter `{name}{}`", value.unwrap_or_default()));
        }
        lacking
    }

    /// More is more specific.
    fn rank(&self) -> (usize, bool) {
        (self.headers.len() + self.query.len(), !self.methods.is_empty())
    }

    /// Whether one request could fulfil both.
    fn overlap(&self, other: &Self) -> bool {
        let methods = self.methods.is_empty()
            || other.methods.is_empty()
            || self.methods.iter().any(|method| other.methods.contains(method));
        methods && agree(&self.headers, &other.headers) && agree(&self.query, &other.query)
    }
}

fn has_header(wanted: &Wanted<'_>, (name, value): &(HeaderName, Option<HeaderValue>)) -> bool {
    match value {
        Some(value) => wanted.headers.get_all(name).iter().any(|sent| sent == value),
        None => wanted.headers.contains_key(name),
    }
}

fn has_parameter(wanted: &Wanted<'_>, (name, value): &(String, Option<String>)) -> bool {
    parameters(wanted.query.unwrap_or_default())
        .any(|(sent, with)| sent == name.as_str() && value.as_ref().is_none_or(|value| with == value.as_str()))
}

/// Whether no name must have two different values.
fn agree<N: PartialEq, V: PartialEq>(one: &[(N, Option<V>)], other: &[(N, Option<V>)]) -> bool {
    one.iter().all(|(name, value)| {
        let contradicts = |(other_name, other_value): &(N, Option<V>)| {
            other_name == name && matches!((value, other_value), (Some(a), Some(b)) if a != b)
        };
        !other.iter().any(contradicts)
    })
}

fn parameters(query: &str) -> impl Iterator<Item = (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (percent_decode_str(name).decode_utf8_lossy(), percent_decode_str(value).decode_utf8_lossy())
    })
}
