//! What matched, for those who log and explain.

use super::state::{Found, Name, Transaction};
use crate::rules::{Described, RuleAt};
use crate::values::ValueId;
use crate::variable::Variable;

/// A match as it is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) at: RuleAt,
    pub(crate) found: Found,
    /// The value after transformations.
    pub(crate) value: ValueId,
    /// Of the last rule of a chain, what is logged.
    pub(crate) ending: Option<Ending>,
}

/// What is logged of a chain that matched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    pub(crate) message: Option<ValueId>,
    pub(crate) data: Option<ValueId>,
    pub(crate) log: bool,
    pub(crate) audit: bool,
    pub(crate) interrupted: bool,
    /// Further values that the rule matched, of which there are no records.
    pub(crate) repeated: u32,
}

impl Ending {
    /// That of a rule which nobody is told about.
    pub(crate) const SILENT: Self =
        Self { message: None, data: None, log: false, audit: false, interrupted: false, repeated: 0 };
}

/// A value that a rule matched.
#[derive(Clone, Copy)]
pub struct Matched<'a> {
    transaction: &'a Transaction,
    record: &'a Record,
}

impl Transaction {
    /// All matches so far, those of rules that do not log included, in their order.
    pub fn matches(&self) -> impl Iterator<Item = Matched<'_>> {
        self.records.iter().map(|record| Matched { transaction: self, record })
    }

    /// All values that have a name, with their variable: arguments, headers, cookies, elements and attributes of XML.
    pub fn named_values(&self) -> impl Iterator<Item = (Variable, &[u8], &[u8])> {
        let arguments = self.arguments.iter().map(|one| (Variable::Args, one.name, one.value));
        let lists = [
            (Variable::RequestHeaders, &self.request_headers),
            (Variable::RequestCookies, &self.cookies),
            (Variable::ResponseHeaders, &self.response_headers),
        ];
        let others = lists.into_iter().flat_map(|(of, list)| list.iter().map(move |one| (of, one.name, one.value)));
        let values = arguments.chain(others);
        let values = values.map(|(of, name, value)| (of, self.values.bytes(name), self.values.bytes(value)));
        let xml = self.xml.iter().flat_map(payload::xml::Xml::named);
        values.chain(xml.map(|(name, value)| (Variable::Xml, name, value)))
    }

    /// The value of a variable that was fed as it is, such as the query.
    pub fn raw(&self, variable: Variable) -> Option<&[u8]> {
        self.scalar(variable).map(|value| self.values.bytes(value))
    }
}

impl<'a> Matched<'a> {
    /// Where the rule stands in its set.
    pub fn at(&self) -> RuleAt {
        self.record.at
    }

    /// The rule.
    pub fn rule(&self) -> Option<Described<'a>> {
        self.transaction.rules.rule(self.record.at)
    }

    /// The variable that has the value.
    pub fn variable(&self) -> Variable {
        self.record.found.variable
    }

    /// What the value is called within its variable.
    pub fn name(&self) -> Option<&'a [u8]> {
        match self.record.found.name {
            Name::None | Name::Counted => None,
            Name::Is(name) | Name::Whole(name) => Some(self.transaction.values.bytes(name)),
            Name::Slot(slot) => Some(self.transaction.rules.slots.name(slot)),
        }
    }

    /// Whether it is not a value that matched, but how many there are.
    pub fn is_count(&self) -> bool {
        self.record.found.name == Name::Counted
    }

    /// The value as it was sent.
    pub fn original(&self) -> &'a [u8] {
        self.transaction.values.bytes(self.record.found.value)
    }

    /// The value that matched, after transformations.
    pub fn value(&self) -> &'a [u8] {
        self.transaction.values.bytes(self.record.value)
    }

    /// Whether the whole chain has matched with it.
    pub fn is_complete(&self) -> bool {
        self.record.ending.is_some()
    }

    /// Whether it goes to the log.
    pub fn is_logged(&self) -> bool {
        self.record.ending.is_some_and(|ending| ending.log)
    }

    /// Whether it makes the transaction one for the audit log.
    pub fn is_audited(&self) -> bool {
        self.record.ending.is_some_and(|ending| ending.audit)
    }

    /// Whether it interrupted the transaction.
    pub fn has_interrupted(&self) -> bool {
        self.record.ending.is_some_and(|ending| ending.interrupted)
    }

    /// How many values more the rule matched, which are left out for their number.
    pub fn repeated(&self) -> u32 {
        self.record.ending.map_or(0, |ending| ending.repeated)
    }

    /// `msg`, with what its macros stand for.
    pub fn message(&self) -> Option<&'a [u8]> {
        self.record.ending.and_then(|ending| ending.message).map(|text| self.transaction.values.bytes(text))
    }

    /// `logdata`, with what its macros stand for.
    pub fn data(&self) -> Option<&'a [u8]> {
        self.record.ending.and_then(|ending| ending.data).map(|text| self.transaction.values.bytes(text))
    }
}
