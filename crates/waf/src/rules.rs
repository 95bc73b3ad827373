//! Compiled rules, which any number of transactions share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use payload::transform::Transformation;
use problem::Finding;

use crate::Phase;
use crate::action::{Actions, Control, Disruptive, Effect};
use crate::load::Loader;
use crate::operator::Operator;
use crate::seclang::Spot;
use crate::settings::{Compatibility, Settings};
use crate::slots::Slots;
use crate::target::Target;
use crate::values::{Fixed, ValueId};

/// A set of rules.
#[derive(Debug)]
pub struct Rules {
    pub(crate) settings: Settings,
    pub(crate) slots: Slots,
    /// What transactions begin with.
    pub(crate) start: Start,
    /// All chains, in the order in which they are written, whatever their phase.
    pub(crate) chains: Vec<Chain>,
    pub(crate) programs: [Program; Phase::COUNT],
    pub(crate) notes: Vec<Finding>,
    pub(crate) left_out: Vec<Finding>,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) index: crate::prefilter::Index,
}

/// What all transactions begin with.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) fixed: Arc<Fixed>,
    /// By number: the values of texts without macros that rules set or compare with.
    pub(crate) constants: Box<[ValueId]>,
    /// By variable: what it is before anything is told.
    pub(crate) scalars: Box<[Option<ValueId>]>,
}

/// What happens in a phase, in order.
#[derive(Debug, Default)]
pub(crate) struct Program {
    pub(crate) steps: Vec<Step>,
}

/// A chain, and where a match of it leads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// Its number in [`Rules::chains`].
    pub(crate) chain: u32,
    /// The step that follows a match of the whole chain.
    pub(crate) then: u32,
}

/// A rule, or several that must all match.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) links: Vec<Rule>,
    pub(crate) phase: Phase,
}

/// A rule.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) spot: Spot,
    pub(crate) targets: Vec<Target>,
    pub(crate) operator: Operator,
    pub(crate) negated: bool,
    pub(crate) actions: Actions,
    /// Its number among all rules, links of chains included.
    pub(crate) number: u32,
}

impl Rules {
    /// Reads rule files, in their order; names may have wildcards.
    pub fn load<P: AsRef<Path>>(files: &[P], compatibility: Compatibility) -> Result<Self, Vec<Finding>> {
        let mut loader = Loader::new(compatibility);
        for file in files {
            loader.read(file.as_ref());
        }
        loader.finish()
    }

    /// Reads rules that are in memory, as if they stood in a file of that name.
    pub fn parse(name: &str, content: &[u8], compatibility: Compatibility) -> Result<Self, Vec<Finding>> {
        let mut loader = Loader::new(compatibility);
        loader.take(Path::new(name), content);
        loader.finish()
    }

    /// Reads from files and from memory, in order.
    pub fn read(sources: &[Source<'_>], compatibility: Compatibility) -> Result<Self, Vec<Finding>> {
        let mut loader = Loader::new(compatibility);
        for source in sources {
            match source {
                Source::Files(pattern) => loader.read(pattern),
                Source::Unless { rule, .. } if loader.knows(*rule) => {}
                Source::Text { name, content } | Source::Unless { name, content, .. } => {
                    loader.take(Path::new(name), content);
                }
                Source::Before { file, name, content } => loader.take_before(file, Path::new(name), content),
            }
        }
        loader.finish()
    }

    /// What directives set.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What is in the files and has no effect here, and why.
    pub fn notes(&self) -> &[Finding] {
        &self.notes
    }

    /// What cannot be done here and was left out for the sake of [`Compatibility::Lenient`], with the rule that it belongs to,
    /// and why.
    pub fn left_out(&self) -> &[Finding] {
        &self.left_out
    }

    /// The files that were read, those that rules refer to, and what is looked for in vain: folders that wildcards look into,
    /// and files that may be missing. Once one of these changes, so may the rules.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// How many rules there are, links of chains included.
    pub fn len(&self) -> usize {
        self.chains.iter().map(|chain| chain.links.len()).sum()
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.chains.is_empty()
    }

    /// Whether bodies of answers are looked at, or a rule may say so.
    pub fn may_look_at_bodies_of_answers(&self) -> bool {
        let mut effects = self.chains.iter().flat_map(|chain| &chain.links).flat_map(|rule| &rule.actions.effects);
        let turns_on = |effect: &Effect| matches!(effect, Effect::Control(Control::ResponseBodyAccess(true)));
        self.settings.response_body || effects.any(turns_on)
    }

    /// Whether there are rules of the phases of answers.
    pub fn look_at_answers(&self) -> bool {
        [Phase::ResponseHead, Phase::ResponseBody].iter().any(|phase| !self.program(*phase).steps.is_empty())
    }

    pub(crate) fn program(&self, phase: Phase) -> &Program {
        let [first, second, third, fourth, fifth] = &self.programs;
        match phase {
            Phase::RequestHead => first,
            Phase::RequestBody => second,
            Phase::ResponseHead => third,
            Phase::ResponseBody => fourth,
            Phase::Logging => fifth,
        }
    }

    /// A rule by its place, for those who show matches.
    pub fn rule(&self, at: RuleAt) -> Option<Described<'_>> {
        let chain = self.chains.get(at.chain as usize)?;
        Some(Described { head: chain.links.first()?, rule: chain.links.get(at.link as usize)?, phase: chain.phase })
    }
}

/// Where rules come from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// Files, whose name may have wildcards.
    Files(&'a Path),
    /// Text under the name of a file.
    Text {
        /// The name in findings; what it includes is looked for beside it.
        name: &'a str,
        /// What stands in it.
        content: &'a [u8],
    },
    /// Text that is read before the first file whose name begins so, be it included by another one; without such a file it
    /// is read before everything else, which is a finding if no rule knows a variable that it sets.
    Before {
        /// What the name of the file begins with.
        file: &'a str,
        /// The name in findings.
        name: &'a str,
        /// What stands in it.
        content: &'a [u8],
    },
    /// Text that is left out if a rule before it has this number, and does what it would do.
    Unless {
        /// The number of the rule.
        rule: u64,
        /// The name in findings.
        name: &'a str,
        /// What stands in it.
        content: &'a [u8],
    },
}

/// The place of a rule in its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RuleAt {
    pub(crate) chain: u32,
    pub(crate) link: u32,
}

impl RuleAt {
    /// No rule at all.
    pub(crate) const NOWHERE: Self = Self { chain: u32::MAX, link: 0 };

    /// Whether the two stand in the same chain.
    pub fn is_with(self, other: Self) -> bool {
        self.chain == other.chain
    }

    /// Whether it is the first of its chain.
    pub fn is_head(self) -> bool {
        self.link == 0
    }
}

/// A rule for people.
#[derive(Clone, Copy, Debug)]
pub struct Described<'a> {
    head: &'a Rule,
    rule: &'a Rule,
    phase: Phase,
}

impl<'a> Described<'a> {
    /// The number of its chain.
    pub fn id(&self) -> Option<u64> {
        self.head.actions.id
    }

    /// The phase in which it runs.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Where it stands.
    pub fn spot(&self) -> &'a Spot {
        &self.rule.spot
    }

    /// What is done to a value before it is compared.
    pub fn transformations(&self) -> &'a [Transformation] {
        &self.rule.actions.transformations
    }

    /// The operator and what it compares with, as it is written.
    pub fn operator(&self) -> String {
        format!("{}{}", if self.rule.negated { "!" } else { "" }, self.rule.operator.shown())
    }

    /// The severity, from 0 for an emergency to 7.
    pub fn severity(&self) -> Option<u8> {
        self.head.actions.severity
    }

    /// The tags of its chain, with the names of macros for their values.
    pub fn tags(&self) -> impl Iterator<Item = String> + use<'a> {
        self.head.actions.tags.iter().map(crate::template::Template::shown)
    }

    /// `ver`.
    pub fn version(&self) -> Option<&'a str> {
        self.head.actions.version.as_deref()
    }

    /// The message, with the names of macros for their values.
    pub fn message(&self) -> Option<String> {
        self.head.actions.message.as_ref().map(crate::template::Template::shown)
    }

    /// `logdata`, with the names of macros for their values.
    pub fn data(&self) -> Option<String> {
        self.head.actions.data.as_ref().map(crate::template::Template::shown)
    }

    /// `rev`.
    pub fn revision(&self) -> Option<&'a str> {
        self.head.actions.revision.as_deref()
    }

    /// `maturity` and `accuracy`.
    pub fn ratings(&self) -> (Option<u8>, Option<u8>) {
        (self.head.actions.maturity, self.head.actions.accuracy)
    }

    /// Whether a match interrupts the transaction, where the engine is on.
    pub fn interrupts(&self) -> bool {
        !matches!(self.head.actions.disruptive, Disruptive::Pass | Disruptive::Allow(_))
    }
}
