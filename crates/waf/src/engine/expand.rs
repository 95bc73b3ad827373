//! Macros: `%{tx.anomaly_score}` becomes what it stands for.

use super::state::{Found, Transaction};
use crate::rules::RuleAt;
use crate::slots::Slots;
use crate::target::{Selector, Target};
use crate::template::{Part, Template};
use crate::values::ValueId;
use crate::variable::Variable;

impl Transaction {
    /// The text that a template gives.
    pub(super) fn expand(&mut self, template: &Template, at: Option<RuleAt>) -> ValueId {
        if let Some(known) = template.constant.and_then(|number| self.rules.start.constants.get(number as usize)) {
            return *known;
        }
        if let Some(text) = template.constant() {
            return self.values.intern(text);
        }
        // A macro by itself is what it stands for.
        if let [Part::Macro(target)] = &*template.parts {
            return self.first(target, at).unwrap_or_default();
        }
        let mut text = std::mem::take(&mut self.composed);
        text.clear();
        for part in &template.parts {
            match part {
                Part::Text(plain) => text.extend_from_slice(plain),
                Part::Macro(target) => {
                    if let Some(value) = self.first(target, at) {
                        text.extend_from_slice(self.values.bytes(value));
                    }
                }
            }
        }
        let expanded = self.values.intern(&text);
        self.composed = text;
        expanded
    }

    /// The same for a text that is only shown: nobody looks for it among values, and of long ones the beginning does.
    pub(super) fn compose(&mut self, template: &Template, at: RuleAt) -> ValueId {
        if template.constant().is_some() {
            return self.expand(template, Some(at));
        }
        let mut text = std::mem::take(&mut self.composed);
        text.clear();
        for part in &template.parts {
            match part {
                Part::Text(plain) => text.extend_from_slice(plain),
                Part::Macro(target) if target.variable == Variable::MatchedVarName => {
                    if let Some((found, _)) = self.last_match {
                        self.write_name(&found, &mut text);
                    }
                }
                Part::Macro(target) => {
                    if let Some(value) = self.first(target, Some(at)) {
                        let value = self.values.bytes(value);
                        text.extend_from_slice(value.get(..SHOWN).unwrap_or(value));
                    }
                }
            }
        }
        let composed = self.values.append(&text);
        self.composed = text;
        composed
    }

    /// The text of an expression.
    ///
    /// A text that rules have set in `TX`, such as `utf-8|iso-8859-1`, means there what it does to `ModSecurity` 2.9 (its
    /// `log_escape_re` leaves these signs as they are). All else comes from outside and stands for itself alone.
    pub(super) fn expand_pattern(&mut self, template: &Template, at: Option<RuleAt>) -> ValueId {
        let mut text = Vec::new();
        for part in &template.parts {
            match part {
                Part::Text(plain) => text.extend_from_slice(plain),
                Part::Macro(target) => {
                    let Some(value) = self.first(target, at) else { continue };
                    let is_own = self.values.is_fixed(value) && is_set_by_rules(target);
                    for byte in self.values.bytes(value) {
                        let is_sign = is_own && b"|*^${}".contains(byte);
                        if is_sign || byte.is_ascii_alphanumeric() || *byte == b'_' {
                            text.push(*byte);
                        } else {
                            text.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
                        }
                    }
                }
            }
        }
        self.values.intern(&text)
    }

    /// The first value of a target.
    fn first(&mut self, target: &Target, at: Option<RuleAt>) -> Option<ValueId> {
        // By far the most frequent macros, without a list of values.
        match (target.variable, &target.selector) {
            (Variable::Tx, Selector::Slot(slot)) => return self.variables.get(slot.0 as usize).copied().flatten(),
            (Variable::MatchedVar | Variable::MatchedVarName, _) => return self.single(target.variable),
            _ => {}
        }
        let mut found: Vec<Found> = Vec::new();
        self.values_of(target, at, &mut found);
        found.first().map(|found| found.value)
    }
}

/// Whether it is a member of `TX` that no capture puts a part of a request into.
fn is_set_by_rules(target: &Target) -> bool {
    target.variable == Variable::Tx
        && matches!(&target.selector, Selector::Slot(slot) if slot.0 as usize >= Slots::CAPTURES)
}

/// So much is shown of what a macro stands for.
const SHOWN: usize = 1024;
