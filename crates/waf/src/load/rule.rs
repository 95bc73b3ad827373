//! `SecRule` and `SecAction`, and how they make chains.

use std::collections::HashSet;

use problem::Finding;

use super::{Entry, Loader};
use crate::Phase;
use crate::action::{self, Action, Actions, Disruptive};
use crate::operator::Operator;
use crate::rules::{Chain, Rule};
use crate::seclang::{Spot, Text};
use crate::target::{Manner, Selector, Target};
use crate::variable::Variable;

/// A rule that directives behind it may still change.
pub(crate) struct Draft {
    pub(crate) spot: Spot,
    pub(crate) targets: Vec<Target>,
    pub(crate) operator: Operator,
    pub(crate) negated: bool,
    /// The defaults, what is written, and what updates add, in this order.
    pub(crate) list: Vec<Action>,
    /// What `block` stands for.
    pub(crate) block: Disruptive,
    pub(crate) actions: Actions,
}

/// A rule as it is written.
struct Written<'a> {
    targets: Vec<Target>,
    operator: Result<(Operator, bool), Finding>,
    list: Option<&'a Text>,
    /// How many findings there were before it, and how much was left out.
    before: (usize, usize),
}

/// The rules so far.
#[derive(Default)]
pub(crate) struct Drafts {
    pub(crate) entries: Vec<Entry>,
    /// The chain whose end has not come yet.
    open: Vec<Draft>,
    /// Whether a link of the open chain could not be read.
    broken: bool,
    ids: HashSet<u64>,
}

impl Drafts {
    fn push(&mut self, draft: Draft) {
        let goes_on = draft.actions.chain;
        self.open.push(draft);
        if !goes_on {
            self.end();
        }
    }

    fn end(&mut self) {
        let links = std::mem::take(&mut self.open);
        if !std::mem::take(&mut self.broken) && !links.is_empty() {
            self.entries.push(Entry::Chain(links));
        }
    }

    pub(super) fn knows(&self, rule: u64) -> bool {
        self.ids.contains(&rule)
    }

    /// Says that a chain which goes on has nothing to go on with.
    pub(crate) fn close(&mut self, findings: &mut Vec<Finding>) {
        if let Some(last) = self.open.last().filter(|_| !self.broken) {
            findings
                .push(last.spot.finding("the chain goes on, and no rule follows: take `chain` out, or write the rule"));
        }
        self.open.clear();
        self.broken = false;
    }
}

impl Loader {
    pub(super) fn rule(&mut self, name: &Text, arguments: &[Text]) -> Result<(), Finding> {
        let (targets, operator, list) = match arguments {
            [targets, operator] => (targets, operator, None),
            [targets, operator, list] => (targets, operator, Some(list)),
            [] | [_] => {
                return Err(name.finding(0, "needs variables and an operator: SecRule ARGS \"@rx attack\" \"id:1\""));
            }
            [_, _, _, more, ..] => {
                return Err(more.finding(0, "is one argument too many: put the actions into one pair of quotes"));
            }
        };
        let before = (self.findings.len(), self.context.left_out.len());
        let targets = Target::list(targets, &mut self.context, &mut self.findings);
        let operator = Operator::read(operator, &mut self.context);
        self.draft(name, Written { targets, operator, list, before });
        Ok(())
    }

    pub(super) fn unconditional(&mut self, name: &Text, arguments: &[Text]) -> Result<(), Finding> {
        let [list] = arguments else {
            return Err(name.finding(0, "needs one list of actions in quotes: SecAction \"id:1,phase:1,pass,nolog\""));
        };
        // A variable that every transaction has.
        let (variable, selector) = (Variable::UniqueId, Selector::Every);
        let target = Target { manner: Manner::Include, variable, selector, slots: None };
        let before = (self.findings.len(), self.context.left_out.len());
        let operator = Ok((Operator::Always, false));
        self.draft(name, Written { targets: vec![target], operator, list: Some(list), before });
        Ok(())
    }

    /// Takes a rule in, or marks the chain that it belongs to as one that cannot be.
    fn draft(&mut self, name: &Text, rule: Written<'_>) {
        let Written { targets, operator, list, before: (before, left_out) } = rule;
        let written = match list {
            Some(list) => action::read(list, &mut self.context, &mut self.findings),
            None => Vec::new(),
        };
        let is_head = self.drafts.open.is_empty() && !self.drafts.broken;
        let alone = Actions::of(&written, &Disruptive::Pass);
        if is_head {
            self.check_head(name, &alone);
        } else {
            self.check_link(name, list.unwrap_or(name), &written);
        }
        let phase = match self.drafts.open.first() {
            Some(head) => head.actions.phase.unwrap_or(self.default_phase),
            None => alone.phase.unwrap_or(self.default_phase),
        };
        let block = Actions::of(self.defaults(phase), &Disruptive::Pass).disruptive;
        let mut combined = self.defaults(phase).to_vec();
        combined.push(Action::Phase(phase));
        combined.extend(written);
        let actions = Actions::of(&combined, &block);
        if phase == Phase::Logging && !matches!(actions.disruptive, Disruptive::Pass | Disruptive::Allow(_)) {
            self.findings.push(name.finding(0, "nothing can be interrupted in phase 5: write `pass`"));
        }
        let (operator, negated) = operator.unwrap_or_else(|finding| {
            self.findings.push(finding);
            (Operator::Never, false)
        });
        let head = self.drafts.open.first().map_or(&actions, |head| &head.actions);
        let does = if matches!(operator, Operator::Never) { " never matches" } else { "" };
        for one in self.context.left_out.iter_mut().skip(left_out) {
            one.message = format!("rule {}{does}: {}", head.id.unwrap_or_default(), one.message);
        }
        self.drafts.broken |= self.findings.len() > before;
        let spot = name.spot(0);
        self.drafts.push(Draft { spot, targets, operator, negated, list: combined, block, actions });
    }

    fn check_head(&mut self, name: &Text, actions: &Actions) {
        match actions.id {
            None => self.findings.push(name.finding(0, "has no id: write one that no other rule has, such as id:1000")),
            Some(id) if !self.drafts.ids.insert(id) => {
                self.findings.push(name.finding(0, format!("another rule has the id {id} already: write another one")));
            }
            Some(_) => {}
        }
    }

    /// What belongs to the whole chain is written at its head.
    fn check_link(&mut self, name: &Text, list: &Text, written: &[Action]) {
        let misplaced = written.iter().find_map(|action| match action {
            Action::Id(_) => Some("id"),
            Action::Phase(_) => Some("phase"),
            Action::Message(_) => Some("msg"),
            Action::Data(_) => Some("logdata"),
            Action::Severity(_) => Some("severity"),
            Action::Revision(_) => Some("rev"),
            Action::Version(_) => Some("ver"),
            Action::Maturity(_) => Some("maturity"),
            Action::Accuracy(_) => Some("accuracy"),
            Action::Disruptive(_) | Action::Block => Some("what interrupts"),
            Action::Skip(_) => Some("skip"),
            Action::SkipAfter(_) => Some("skipAfter"),
            _ => None,
        });
        if let Some(what) = misplaced {
            let first =
                self.drafts.open.first().map(|head| format!(", in line {} of {}", head.spot.line, head.spot.file));
            let first = first.unwrap_or_default();
            let message = format!("{what} belongs to the whole chain: write it in the first rule of the chain{first}");
            self.findings.push(if list.len() > 0 { list } else { name }.finding(0, message));
        }
    }
}

/// The chain that drafts have become.
pub(super) fn chain(links: Vec<Draft>, number: &mut u32) -> Option<Chain> {
    let phase = links.first()?.actions.phase?;
    let links = links.into_iter().map(|draft| {
        let rule = Rule {
            spot: draft.spot,
            targets: draft.targets,
            operator: draft.operator,
            negated: draft.negated,
            actions: draft.actions,
            number: *number,
        };
        *number += 1;
        rule
    });
    Some(Chain { links: links.collect(), phase })
}
