//! Exclusions that are said beside the rules, so that routes with different ones share a set of rules.

use std::path::Path;
use std::sync::Arc;

use crate::action::{Control, Reach, Removal};
use crate::chains::ChainSet;
use crate::context::Context;
use crate::engine::Transaction;
use crate::prefilter::{Index, Settled};
use crate::rules::{Chain, Rules};
use crate::seclang::Text;
use crate::select::Selection;
use crate::settings::Compatibility;

/// What some rules do not look at, or rules that are not looked at.
#[derive(Clone, Debug, Default)]
pub struct Exclusions {
    removed: ChainSet,
    removals: Vec<Arc<Removal>>,
    /// Whether rules may run that none does without it: what was foreseen at load does not hold.
    is_unforeseen: bool,
}

impl Exclusions {
    /// Adds one, as `ctl` writes it, such as `ruleRemoveTargetById=942100;ARGS:password`; or says what is wrong with it.
    pub fn add(&mut self, rules: &Rules, written: &str) -> Result<(), String> {
        let mut context = Context::new(Compatibility::Strict);
        context.slots = rules.slots.clone();
        let text = Text::of(Path::new(""), written);
        let mut control = Control::read(&text, &mut context).map_err(|finding| finding.message)?;
        control.resolve(|selection| rules.chains_of(selection));
        let meant = match control {
            Control::RemoveRules(_, chains) => {
                self.removed.add(&chains);
                self.is_unforeseen |= rules.relies_on(&chains);
                chains
            }
            Control::RemoveTargets(_, removal) => {
                // Whoever excludes a value of a rule means the whole rule, in however many links it is written.
                self.removals.push(Arc::new(Removal { reach: Reach::Chain, ..(*removal).clone() }));
                self.is_unforeseen |= removal.targets.iter().any(Index::decides)
                    && (0..)
                        .zip(&rules.chains)
                        .any(|(chain, _)| removal.chains.contains(chain) && rules.index.relies_on(chain));
                Arc::new(removal.chains.clone())
            }
            _ => return Err("excludes nothing".to_owned()),
        };
        if meant.is_empty() { Err("means no rule of this set".to_owned()) } else { Ok(()) }
    }
}

impl Rules {
    fn chains_of(&self, selection: &Selection) -> ChainSet {
        let heads = (0..).zip(self.chains.iter().filter_map(|chain| chain.links.first()));
        heads.filter(|(_, head)| selection.takes(&head.actions)).map(|(number, _)| number).collect()
    }

    /// Whether other rules may run without these chains: one of them skips rules that stay, or sets something.
    fn relies_on(&self, chains: &ChainSet) -> bool {
        self.programs.iter().any(|program| {
            (1..).zip(&program.steps).any(|(next, step)| {
                let skipped = program.steps.get(next..step.then as usize).unwrap_or_default();
                let sets = |chain: &Chain| chain.links.iter().any(|rule| !rule.actions.effects.is_empty());
                chains.contains(step.chain)
                    && self.index.relies_on(step.chain)
                    && (self.chains.get(step.chain as usize).is_some_and(sets)
                        || skipped.iter().any(|skipped| !chains.contains(skipped.chain)))
            })
        })
    }
}

impl Transaction {
    /// Leaves out what is excluded, from now on.
    pub fn exclude(&mut self, exclusions: &Exclusions) {
        self.control.removed.add(&exclusions.removed);
        self.control.removals.extend(exclusions.removals.iter().cloned());
        if exclusions.is_unforeseen {
            self.control.foreseen = Settled::No;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Environment, Phase};

    fn logged(written: &[&str]) -> Vec<u64> {
        let content = "SecRule ARGS x \"id:1,phase:1,pass,tag:'a'\"\nSecRule ARGS x \"id:2,phase:1,pass\"";
        let rules = Arc::new(Rules::parse("a.conf", content.as_bytes(), Compatibility::Strict).unwrap());
        let mut exclusions = Exclusions::default();
        for written in written {
            exclusions.add(&rules, written).unwrap();
        }
        let mut transaction = Transaction::new(rules, Environment::default());
        transaction.exclude(&exclusions);
        transaction.request_line(b"GET", b"/?a=x", b"HTTP/1.1");
        transaction.phase(Phase::RequestHead);
        transaction.matches().filter_map(|matched| matched.rule()?.id()).collect()
    }

    #[test]
    fn rules_and_targets_are_left_out() {
        assert_eq!(logged(&[]), [1, 2]);
        assert_eq!(logged(&["ruleRemoveById=1"]), [2]);
        assert_eq!(logged(&["ruleRemoveTargetByTag=a;ARGS:a"]), [2]);
        assert_eq!(logged(&["ruleRemoveTargetById=1-2;ARGS:a"]), [] as [u64; 0]);
    }

    #[test]
    fn what_excludes_nothing_is_told() {
        let rules = Rules::parse("a.conf", b"SecAction \"id:1,phase:1,pass\"", Compatibility::Strict).unwrap();
        let told = |written: &str| Exclusions::default().add(&rules, written).unwrap_err();
        assert_eq!(told("ruleRemoveById=2"), "means no rule of this set");
        assert_eq!(told("ruleEngine=Off"), "excludes nothing");
        assert!(told("ruleRemoveTargetById=1;ARGZ").contains("is it ARGS?"));
    }
}
