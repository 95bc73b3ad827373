//! Directives that change rules which are there already.

use problem::Finding;

use super::rule::Draft;
use super::{Entry, Loader};
use crate::action::{self, Action, Actions};
use crate::seclang::Text;
use crate::select::{Selection, parse_ids};
use crate::target::{Manner, Target};

impl Loader {
    /// `SecRuleRemoveById`, `...ByTag`, `...ByMsg`.
    pub(super) fn remove(&mut self, name: &Text, arguments: &[Text]) -> Result<(), Finding> {
        if arguments.is_empty() {
            return Err(name.finding(0, "names no rule"));
        }
        for argument in arguments {
            let Some(selection) = self.selection(name, argument)? else { continue };
            self.drafts.entries.retain(|entry| match entry {
                Entry::Chain(links) => links.first().is_none_or(|head| !selection.takes(&head.actions)),
                Entry::Marker(_) => true,
            });
        }
        Ok(())
    }

    /// `SecRuleUpdateTargetById`, `...ByTag`, `...ByMsg`: adds targets, or puts them in the place of one.
    pub(super) fn update_targets(&mut self, name: &Text, arguments: &[Text]) -> Result<(), Finding> {
        let (which, targets, replaced) = match arguments {
            [which, targets] => (which, targets, None),
            [which, targets, replaced] => (which, targets, Some(replaced)),
            _ => {
                return Err(
                    name.finding(0, "needs a rule and variables: SecRuleUpdateTargetById 942100 \"!ARGS:password\"")
                );
            }
        };
        // `id:1` means one link of a chain, counted from 0; without it all of them are meant, as `ModSecurity` 2 has it.
        let (which, link) = if name.is("SecRuleUpdateTargetById") { which_link(which)? } else { (which.clone(), None) };
        let Some(selection) = self.selection(name, &which)? else { return Ok(()) };
        let before = self.findings.len();
        let added = Target::list(targets, &mut self.context, &mut self.findings);
        let replaced = replaced.map(|text| Target::list(text, &mut self.context, &mut self.findings));
        if self.findings.len() > before {
            return Ok(());
        }
        let mut met = false;
        self.selected(&selection, link, |draft| {
            met = true;
            retarget(draft, &added, replaced.as_deref());
        });
        self.note_unmet(met, name, &which);
        Ok(())
    }

    /// `SecRuleUpdateActionById`.
    pub(super) fn update_actions(&mut self, name: &Text, arguments: &[Text]) -> Result<(), Finding> {
        let [which, list] = arguments else {
            return Err(name.finding(0, "needs a rule and actions: SecRuleUpdateActionById 942100 \"pass\""));
        };
        let (which, link) = which_link(which)?;
        // Actions are mostly those of the whole chain, which stand in its first rule.
        let link = link.or(Some(0));
        let selection = Selection::Ids(parse_ids(&which)?);
        let before = self.findings.len();
        let added = action::read(list, &mut self.context, &mut self.findings);
        let fixed = added.iter().any(|action| matches!(action, Action::Id(_) | Action::Phase(_) | Action::Chain));
        if fixed {
            self.findings
                .push(list.finding(0, "cannot change id, phase or chain of a rule: remove it and write another one"));
        }
        if self.findings.len() > before {
            return Ok(());
        }
        let mut met = false;
        self.selected(&selection, link, |draft| {
            met = true;
            draft.list.extend(added.iter().cloned());
            draft.actions = Actions::of(&draft.list, &draft.block);
        });
        self.note_unmet(met, name, &which);
        Ok(())
    }

    fn selection(&mut self, name: &Text, argument: &Text) -> Result<Option<Selection>, Finding> {
        Selection::read(&name.lossy().to_ascii_lowercase(), argument, &mut self.context)
    }

    /// Changes one link of each chain that is meant, or all of them.
    fn selected(&mut self, selection: &Selection, link: Option<usize>, mut change: impl FnMut(&mut Draft)) {
        for entry in &mut self.drafts.entries {
            let Entry::Chain(links) = entry else { continue };
            if links.first().is_some_and(|head| selection.takes(&head.actions)) {
                match link {
                    Some(link) => links.get_mut(link).into_iter().for_each(&mut change),
                    None => links.iter_mut().for_each(&mut change),
                }
            }
        }
    }

    fn note_unmet(&mut self, met: bool, name: &Text, which: &Text) {
        if !met {
            let what = format!("{} changes nothing: no rule before it is {}", name.lossy(), which.lossy());
            self.context.notes.push(which.finding(0, what));
        }
    }
}

/// The rule and the number of the link in `id:link`.
fn which_link(text: &Text) -> Result<(Text, Option<usize>), Finding> {
    let Some((which, link)) = text.split_once(b':') else { return Ok((text.clone(), None)) };
    let number = link.lossy().parse().ok();
    number
        .map(|number| (which, Some(number)))
        .ok_or_else(|| link.finding(0, "must be the number of a link, counted from 0"))
}

fn retarget(draft: &mut Draft, added: &[Target], replaced: Option<&[Target]>) {
    if let Some(replaced) = replaced {
        let before = draft.targets.len();
        draft.targets.retain(|target| !replaced.iter().any(|old| old.is_same(target)));
        if draft.targets.len() == before {
            return;
        }
    }
    for target in added {
        if !draft.targets.iter().any(|present| present.is_same(target)) {
            draft.targets.push(target.clone());
        }
    }
    // Exclusions work on what stands before them.
    draft.targets.sort_by_key(|target| target.manner == Manner::Exclude);
}
