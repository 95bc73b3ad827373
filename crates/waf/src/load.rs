//! From lines to compiled rules: every finding is collected, and rules only come of files without any.

mod rule;
mod update;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use problem::Finding;

use self::rule::{Draft, Drafts};
use crate::Phase;
use crate::action::{self, Action, Actions, Disruptive, Effect};
use crate::chains::ChainSet;
use crate::context::Context;
use crate::rules::{Chain, Program, Rules, Start, Step};
use crate::seclang::{Before, Reader, Text, words};
use crate::select::Selection;
use crate::settings::{self, Compatibility, Outcome, Settings};
use crate::values::Fixed;

/// Reads directives, one after another.
pub(crate) struct Loader {
    reader: Reader,
    settings: Settings,
    context: Context,
    drafts: Drafts,
    /// `SecDefaultAction`, by phase, and the phase of the last one.
    defaults: HashMap<Phase, Vec<Action>>,
    default_phase: Phase,
    findings: Vec<Finding>,
}

/// What stands between the rules of a phase.
pub(crate) enum Entry {
    Chain(Vec<Draft>),
    /// A marker, in each phase.
    Marker(Box<[u8]>),
}

impl Loader {
    pub(crate) fn new(compatibility: Compatibility) -> Self {
        Self {
            reader: Reader::default(),
            settings: Settings::default(),
            context: Context::new(compatibility),
            drafts: Drafts::default(),
            defaults: HashMap::new(),
            default_phase: Phase::RequestBody,
            findings: Vec::new(),
        }
    }

    pub(crate) fn read(&mut self, pattern: &Path) {
        self.reader.read(pattern);
        self.directives();
    }

    pub(crate) fn take(&mut self, name: &Path, content: &[u8]) {
        self.reader.take(name, content);
        self.directives();
    }

    pub(crate) fn take_before(&mut self, file: &str, name: &Path, content: &[u8]) {
        self.reader.before = Some(Before { file: file.into(), name: name.into(), content: content.into() });
    }

    /// Whether there was a rule of this number, even one that was taken out again.
    pub(crate) fn knows(&self, rule: u64) -> bool {
        self.drafts.knows(rule)
    }

    fn directives(&mut self) {
        let before = self.findings.len();
        let lines = std::mem::take(&mut self.reader.lines);
        self.findings.append(&mut self.reader.findings);
        for line in &lines {
            match words(line) {
                Ok(words) => self.directive(&words),
                Err(finding) => self.findings.push(finding),
            }
        }
        // A chain whose end is missing must not take in what somebody else wrote.
        self.drafts.close(&mut self.findings);
        let told = before + MOST_FINDINGS;
        if let Some(first) = self.findings.get(told) {
            let untold = self.findings.len() - told;
            let message = format!("there are {untold} findings more from here on: is it a file of rules?");
            let last = Finding { message, ..first.clone() };
            self.findings.truncate(told);
            self.findings.push(last);
        }
    }

    fn directive(&mut self, words: &[Text]) {
        let [name, arguments @ ..] = words else { return };
        if name.byte(0) == Some(b'<') {
            return self.container(name, arguments);
        }
        let done = match name.lossy().to_ascii_lowercase().as_str() {
            "secrule" => self.rule(name, arguments),
            "secaction" => self.unconditional(name, arguments),
            "secmarker" => self.marker(name, arguments),
            "secdefaultaction" => self.default_action(name, arguments),
            "secruleremovebyid" | "secruleremovebytag" | "secruleremovebymsg" => self.remove(name, arguments),
            "secruleupdatetargetbyid" | "secruleupdatetargetbytag" | "secruleupdatetargetbymsg" => {
                self.update_targets(name, arguments)
            }
            "secruleupdateactionbyid" => self.update_actions(name, arguments),
            _ => self.setting(name, arguments),
        };
        if let Err(finding) = done {
            self.findings.push(finding);
        }
    }

    /// `<IfModule>` around rules says that `ModSecurity` must be there, which is so.
    fn container(&mut self, name: &Text, arguments: &[Text]) {
        let text = name.lossy().to_ascii_lowercase();
        let module = arguments.first().map(|argument| argument.lossy().to_ascii_lowercase()).unwrap_or_default();
        let ours = text == "</ifmodule>" || (text == "<ifmodule" && module.contains("security"));
        if !ours {
            let what =
                "containers of a web server mean nothing here: take the rules out of it, or use the gateway's routes";
            self.findings.push(name.finding(0, what));
        }
    }

    fn setting(&mut self, name: &Text, arguments: &[Text]) -> Result<(), Finding> {
        match settings::set(&mut self.settings, name, arguments, &mut self.context)? {
            Outcome::Done => Ok(()),
            Outcome::Noted(why) => {
                self.context.notes.push(name.finding(0, format!("{} has no effect: {why}", name.lossy())));
                Ok(())
            }
            Outcome::Unknown => {
                // What resembles no directive is not quoted: the file may be another one than was meant, and secret.
                Err(name.finding(
                    0,
                    match settings::suggestion(name) {
                        Some(near) => format!("there is no directive {}: is it {near}?", name.lossy()),
                        None => "is no directive: see the list in the reference".to_owned(),
                    },
                ))
            }
        }
    }

    fn marker(&mut self, name: &Text, arguments: &[Text]) -> Result<(), Finding> {
        let Some(label) = arguments.first() else {
            return Err(name.finding(0, "names no marker: write SecMarker and a name"));
        };
        // Old rules write `SecMarker "id:10"`.
        let label = label.bytes().strip_prefix(b"id:").unwrap_or(label.bytes());
        self.drafts.close(&mut self.findings);
        self.drafts.entries.push(Entry::Marker(label.into()));
        Ok(())
    }

    fn default_action(&mut self, name: &Text, arguments: &[Text]) -> Result<(), Finding> {
        let Some(list) = arguments.first() else {
            return Err(name.finding(0, "names no action: write SecDefaultAction \"phase:1,log,auditlog,pass\""));
        };
        let actions = action::read(list, &mut self.context, &mut self.findings);
        let together = Actions::of(&actions, &Disruptive::Pass);
        let Some(phase) = together.phase else {
            return Err(list.finding(0, "names no phase: write phase:1 or another one"));
        };
        if together.id.is_some() || together.chain || together.skip > 0 || together.skip_after.is_some() {
            return Err(list.finding(0, "cannot have id, chain, skip or skipAfter: they belong to one rule"));
        }
        let kept = actions.into_iter().filter(|action| !matches!(action, Action::Phase(_)));
        self.defaults.insert(phase, kept.collect());
        self.default_phase = phase;
        Ok(())
    }

    /// The actions that a rule of this phase begins with.
    fn defaults(&self, phase: Phase) -> &[Action] {
        self.defaults.get(&phase).or_else(|| self.defaults.get(&self.default_phase)).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn finish(mut self) -> Result<Rules, Vec<Finding>> {
        if let Some(first) = self.reader.before.take() {
            let behind = std::mem::take(&mut self.drafts.entries);
            let known = self.context.slots.len();
            self.take(&first.name, &first.content);
            self.drafts.entries.extend(behind);
            let sets = memchr::memmem::find_iter(&first.content, b"setvar:tx.").count();
            // Rules that could not be read may have been those that ask.
            if self.findings.is_empty() && sets > 0 && self.context.slots.len() == known + sets {
                self.findings.push(Text::of(&first.name, "").finding(0, "sets what no rule asks for"));
            }
        }
        self.check_skips();
        if !self.findings.is_empty() {
            return Err(self.findings);
        }
        let Self { settings, context, drafts, mut reader, .. } = self;
        let Context { slots, constants, notes, left_out, mut files, .. } = context;
        files.append(&mut reader.files);
        let mut chains = Vec::new();
        let mut rows: [Vec<Row>; Phase::COUNT] = std::array::from_fn(|_| Vec::new());
        let mut number = 0;
        for entry in drafts.entries {
            match entry {
                Entry::Marker(label) => rows.iter_mut().for_each(|row| row.push(Row::Marker(label.clone()))),
                Entry::Chain(links) => {
                    let Some(chain) = rule::chain(links, &mut number) else { continue };
                    if let Some(row) = rows.get_mut(chain.phase as usize) {
                        row.push(Row::Chain(u32::try_from(chains.len()).unwrap_or(u32::MAX)));
                    }
                    chains.push(chain);
                }
            }
        }
        resolve_controls(&mut chains);
        for target in chains.iter_mut().flat_map(|chain| &mut chain.links).flat_map(|rule| &mut rule.targets) {
            target.resolve(&slots);
        }
        let programs = rows.map(|row| program(&row, &chains));
        let mut fixed = Fixed::new();
        let constants = constants.into_texts().iter().map(|text| fixed.intern(text)).collect();
        let scalars = crate::engine::beginnings(&settings, &mut fixed);
        let index = crate::prefilter::Index::of(&chains, &programs, &slots, &mut fixed);
        let start = Start { fixed: Arc::new(fixed), constants, scalars };
        Ok(Rules { settings, slots, start, chains, programs, notes, left_out, files, index })
    }

    /// A skip to a marker that is nowhere skips all that is left of the phase: probably not what was meant.
    fn check_skips(&mut self) {
        for (position, entry) in self.drafts.entries.iter().enumerate() {
            let Entry::Chain(links) = entry else { continue };
            let Some(head) = links.first() else { continue };
            let Some(wanted) = &head.actions.skip_after else { continue };
            let mut later = self.drafts.entries.iter().skip(position + 1);
            let found = later.any(|entry| match entry {
                Entry::Marker(label) => label == wanted,
                Entry::Chain(links) => links.first().is_some_and(|head| is_id(head.actions.id, wanted)),
            });
            if !found {
                let what = format!("skips to `{}`, which is nowhere behind it", String::from_utf8_lossy(wanted));
                self.context.notes.push(head.spot.finding(what));
            }
        }
    }
}

/// Works out which chains each `ctl` means, so that no request has to.
fn resolve_controls(chains: &mut [Chain]) {
    let meant: Vec<Actions> =
        chains.iter().filter_map(|chain| chain.links.first()).map(|head| head.actions.clone()).collect();
    let chains_of = |selection: &Selection| -> ChainSet {
        let taken = (0..).zip(&meant).filter(|(_, actions)| selection.takes(actions));
        taken.map(|(number, _)| number).collect()
    };
    for effect in chains.iter_mut().flat_map(|chain| &mut chain.links).flat_map(|rule| &mut rule.actions.effects) {
        if let Effect::Control(control) = effect {
            control.resolve(chains_of);
        }
    }
}

enum Row {
    Chain(u32),
    Marker(Box<[u8]>),
}

fn is_id(id: Option<u64>, wanted: &[u8]) -> bool {
    id.is_some_and(|id| id.to_string().as_bytes() == wanted)
}

/// The steps of a phase, with its skips worked out.
fn program(rows: &[Row], chains: &[Chain]) -> Program {
    let mut steps = Vec::new();
    for (position, row) in rows.iter().enumerate() {
        let Row::Chain(number) = row else { continue };
        let Some(actions) =
            chains.get(*number as usize).and_then(|chain| chain.links.first()).map(|head| &head.actions)
        else {
            continue;
        };
        let after = rows.get(position + 1..).unwrap_or_default();
        let passed = match (&actions.skip_after, actions.skip) {
            (Some(wanted), _) => skipped_to(after, chains, wanted),
            (None, count) => count as usize,
        };
        let next = steps.len() + 1 + passed;
        steps.push(Step { chain: *number, then: u32::try_from(next).unwrap_or(u32::MAX) });
    }
    Program { steps }
}

/// How many chains stand before a marker, or up to the rule of that number.
fn skipped_to(rows: &[Row], chains: &[Chain], wanted: &[u8]) -> usize {
    let mut passed = 0;
    for row in rows {
        match row {
            Row::Marker(label) if label.as_ref() == wanted => return passed,
            Row::Marker(_) => {}
            Row::Chain(number) => {
                passed += 1;
                let head = chains.get(*number as usize).and_then(|chain| chain.links.first());
                if head.is_some_and(|head| is_id(head.actions.id, wanted)) {
                    return passed;
                }
            }
        }
    }
    passed
}

/// So many findings of one source are told. What is no file of rules at all would give one for each of its lines.
const MOST_FINDINGS: usize = 100;
