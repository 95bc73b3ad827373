//! Exclusions of a route: which rules or values are not looked at, and for which requests.

use partners::{Operation, Target};
use pipeline::Exchange;
use problem::{Finding, Pointer};
use waf::{Exclusions, Rules, Transaction};

use crate::settings::{Exclusion, Ids};

/// The exclusions of a route, as far as requests choose among them.
#[derive(Debug, Default)]
pub(crate) struct Excluded {
    /// Those of every request.
    always: Exclusions,
    /// Those of requests that one of these operations covers.
    sometimes: Vec<(Vec<Operation>, Exclusions)>,
}

impl Excluded {
    /// Reads them, or says everything that is wrong with them. `api` is the API's name.
    pub(crate) fn compile(written: &[Exclusion], rules: &Rules, api: &str, at: &Pointer) -> Result<Self, Vec<Finding>> {
        let (mut excluded, mut findings) = (Self::default(), Vec::new());
        for (index, exclusion) in written.iter().enumerate() {
            let at = at.at(index);
            let operations = operations(exclusion, api, &at, &mut findings);
            let mut own = Exclusions::default();
            let into = if exclusion.operations.is_empty() { &mut excluded.always } else { &mut own };
            let Exclusion { rules: ids, tags, targets, .. } = exclusion;
            if ids.is_empty() && tags.is_empty() && targets.is_empty() {
                findings.push(Finding::new(&at, "excludes nothing: name `rules`, `tags` or `targets`"));
                continue;
            }
            let exclusion = &with_known_targets(exclusion, rules, &at, &mut findings);
            for (at, control) in controls(exclusion, &at, &mut findings) {
                if let Err(message) = into.add(rules, &control) {
                    findings.push(Finding::new(&at, message));
                }
            }
            if !exclusion.operations.is_empty() {
                excluded.sometimes.push((operations, own));
            }
        }
        if findings.is_empty() { Ok(excluded) } else { Err(findings) }
    }

    /// Leaves out what is excluded for every request.
    pub(crate) fn apply_always(&self, transaction: &mut Transaction) {
        transaction.exclude(&self.always);
    }

    /// Leaves out what is excluded for a request.
    pub(crate) fn apply(&self, exchange: &Exchange, transaction: &mut Transaction) {
        self.apply_always(transaction);
        if self.sometimes.is_empty() {
            return;
        }
        let route = &exchange.route;
        let target = Target::new(&route.api, &exchange.method, exchange.head.uri.path(), route.base);
        for (operations, exclusions) in &self.sometimes {
            if operations.iter().any(|operation| operation.allows(&target)) {
                transaction.exclude(exclusions);
            }
        }
    }
}

fn operations(written: &Exclusion, api: &str, at: &Pointer, findings: &mut Vec<Finding>) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (index, text) in written.operations.iter().enumerate() {
        if let Ok(operation) = format!("{api}: {text}").parse() {
            operations.push(operation);
            continue;
        }
        let message = format!("`{text}` is no method and path: write `POST /login` or `* /files/**`");
        findings.push(Finding::new(&at.at("operations").at(index), message));
    }
    operations
}

/// An exclusion without those of its targets that cannot be read, each of which is told at its place.
fn with_known_targets(written: &Exclusion, rules: &Rules, at: &Pointer, findings: &mut Vec<Finding>) -> Exclusion {
    let mut known = written.clone();
    known.targets.clear();
    for (index, target) in written.targets.iter().enumerate() {
        match Exclusions::default().add(rules, &format!("ruleRemoveTargetById=0-{};{target}", u64::MAX)) {
            Ok(()) => known.targets.push(target.clone()),
            Err(message) => findings.push(Finding::new(&at.at("targets").at(index), message)),
        }
    }
    known
}

/// What is excluded, as `ctl` writes it, each with its place.
fn controls(written: &Exclusion, at: &Pointer, findings: &mut Vec<Finding>) -> Vec<(Pointer, String)> {
    let Exclusion { rules, tags, targets, .. } = written;
    let id = |ids: &Ids| match ids {
        Ids::One(id) => id.to_string(),
        Ids::Range(range) => range.clone(),
    };
    let mut meant: Vec<(Pointer, &str, String)> = Vec::new();
    meant.extend(rules.iter().enumerate().map(|(index, ids)| (at.at("rules").at(index), "ById", id(ids))));
    meant.extend(tags.iter().enumerate().map(|(index, tag)| (at.at("tags").at(index), "ByTag", tag.clone())));
    if meant.is_empty() {
        meant.push((at.at("targets"), "ById", format!("0-{}", u64::MAX)));
    }
    let mut controls = Vec::new();
    for (place, by, which) in meant {
        if which.contains([';', '\n']) {
            findings.push(Finding::new(&place, "cannot have a semicolon in it"));
            continue;
        }
        if targets.is_empty() {
            controls.push((place, format!("ruleRemove{by}={which}")));
            continue;
        }
        for target in targets {
            controls.push((place.clone(), format!("ruleRemoveTarget{by}={which};{target}")));
        }
    }
    controls
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use waf::{Compatibility, Environment, Phase, Verdict};

    use super::*;

    fn rules() -> Arc<Rules> {
        let rules = b"SecRule ARGS x \"id:1,phase:1,deny,tag:'attack-sqli'\"\nSecRule ARGS y \"id:2,phase:1,deny\"";
        Arc::new(Rules::parse("a.conf", rules, Compatibility::Strict).unwrap())
    }

    fn compile(written: serde_json::Value) -> Result<Excluded, Vec<Finding>> {
        let written: Vec<Exclusion> = serde_json::from_value(written).unwrap();
        Excluded::compile(&written, &rules(), "shop", &Pointer::default())
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let found = compile(json!([
            {}, {"rules": [7]}, {"tags": ["("]}, {"rules": ["1-2"], "targets": ["ARGZ:a"]},
            {"rules": [1], "operations": ["login"]},
        ]));
        let found: Vec<_> = found.unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(found[0], "/0: excludes nothing: name `rules`, `tags` or `targets`");
        assert!(found.contains(&"/1/rules/0: means no rule of this set".to_owned()), "{found:?}");
        assert!(found.iter().any(|finding| finding.starts_with("/2/tags/0: ")), "{found:?}");
        assert!(
            found.iter().any(|finding| finding.starts_with("/3/targets/0: there is no variable ARGZ")),
            "{found:?}"
        );
        assert_eq!(found.len(), 5, "{found:?}");
        assert!(found.iter().any(|finding| finding.starts_with("/4/operations/0: `login` is no method")), "{found:?}");
    }

    #[test]
    fn operations_choose_among_exclusions() {
        let excluded = compile(json!([
            {"rules": [2]}, {"tags": ["sqli"], "targets": ["ARGS:a"], "operations": ["POST /login", "* /files/**"]},
        ]));
        let excluded = excluded.unwrap();
        let is_stopped = |method: &str, target: &str| {
            let mut exchange = pipeline::tester::exchange(http::Request::builder().method(method).uri(target));
            exchange.route = Arc::new(pipeline::Route { api: "shop".into(), template: "/v1".into(), base: 1 });
            let mut transaction = Transaction::new(rules(), Environment::default());
            excluded.apply(&exchange, &mut transaction);
            transaction.request_line(method.as_bytes(), target.as_bytes(), b"HTTP/1.1");
            transaction.phase(Phase::RequestHead) != Verdict::Pass
        };
        for (method, target, stopped) in [
            ("POST", "/v1/login?a=x", false),
            ("POST", "/v1/login?b=x", true),
            ("GET", "/v1/login?a=x", true),
            ("GET", "/v1/files/1/2?a=x", false),
            ("GET", "/v1/other?a=y", false),
        ] {
            assert_eq!(is_stopped(method, target), stopped, "{method} {target}");
        }
    }
}
