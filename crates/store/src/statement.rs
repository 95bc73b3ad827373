//! The promise of a store of statements: drafts that change, and what is closed and never does.

use std::ops::Range;

use async_trait::async_trait;

use crate::{Unavailable, UnixMicros};

/// A statement or a credit note, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementRow {
    /// Its number, which no other one has or had.
    pub number: u64,
    /// For a credit note: the number of the statement that it corrects.
    pub corrects: Option<u64>,
    /// Who pays.
    pub company: String,
    /// By which plan.
    pub plan: String,
    /// The hours whose usage is in it, counted since 1970.
    pub hours: Range<u32>,
    /// The currency of its total.
    pub currency: String,
    /// What is to be paid, or given back, in smallest units.
    pub total: i64,
    /// Its content.
    pub body: String,
    /// What names its content.
    pub hash: String,
    /// When it was made, or made anew.
    pub made: UnixMicros,
    /// Since when it does not change any more.
    pub closed: Option<UnixMicros>,
}

/// A statement to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewStatement {
    /// Who pays.
    pub company: String,
    /// By which plan.
    pub plan: String,
    /// The hours whose usage is in it.
    pub hours: Range<u32>,
    /// The currency of its total.
    pub currency: String,
    /// What is to be paid, in smallest units.
    pub total: i64,
    /// Its content.
    pub body: String,
    /// What names its content.
    pub hash: String,
    /// Now.
    pub at: UnixMicros,
}

/// A credit note to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCredit {
    /// The number of the statement.
    pub corrects: u64,
    /// What is given back, in smallest units.
    pub total: i64,
    /// Its content.
    pub body: String,
    /// What names its content.
    pub hash: String,
    /// Now.
    pub at: UnixMicros,
}

/// What became of a draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drafted {
    /// It is there, in place of an earlier draft of the same company, plan and hours.
    Draft(StatementRow),
    /// The company has another statement, of this number, with some of these hours, or a closed one with all of them.
    Overlaps(u64),
}

/// What became of a statement that was to be closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// It is closed.
    Now(StatementRow),
    /// It was closed before.
    Before(StatementRow),
    /// Its content is not the one that was to be closed.
    Changed(StatementRow),
    /// There is none.
    Missing,
}

/// What became of a draft that was to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discarded {
    /// It is gone.
    Now,
    /// It is closed, so it stays.
    Closed,
    /// There is none.
    Missing,
}

/// What became of a credit note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credited {
    /// It is there, and closed.
    Now(StatementRow),
    /// More would be given back than is left of the statement.
    TooMuch {
        /// What is left, in smallest units.
        left: i64,
    },
    /// What it corrects is a draft or a credit note itself.
    NotClosed,
    /// There is no such statement.
    Missing,
}

/// Which statements somebody wants to see, and credit notes among them.
#[derive(Clone, Debug, Default)]
pub struct StatementQuery {
    /// Only this company's.
    pub company: Option<String>,
    /// Only those with a higher number.
    pub after: Option<u64>,
    /// At most so many.
    pub limit: usize,
}

/// Keeps statements and credit notes. What is closed never changes and never goes.
#[async_trait]
pub trait Statements: Send + Sync {
    /// Makes a draft, or makes it anew: then it keeps its number. No hour of a company is in two statements.
    async fn draft(&self, new: &NewStatement) -> Result<Drafted, Unavailable>;
    /// Closes a statement, if this is its content.
    async fn close(&self, number: u64, hash: &str, at: UnixMicros) -> Result<Closed, Unavailable>;
    /// Lets a draft go.
    async fn discard(&self, number: u64) -> Result<Discarded, Unavailable>;
    /// Makes a credit note for a closed statement. All credit notes of one together give back no more than its total.
    async fn credit(&self, new: &NewCredit) -> Result<Credited, Unavailable>;
    /// The statement or credit note of this number.
    async fn statement(&self, number: u64) -> Result<Option<StatementRow>, Unavailable>;
    /// The statements and credit notes that match, by number.
    async fn statements(&self, query: &StatementQuery) -> Result<Vec<StatementRow>, Unavailable>;
}

// What every backend decides alike, between what it reads and what it writes.

impl StatementRow {
    /// The row closed, if this is its content and it is a draft.
    pub fn closing(self, hash: &str, at: UnixMicros) -> Result<Self, Closed> {
        if self.hash != hash {
            return Err(Closed::Changed(self));
        }
        if self.closed.is_some() {
            return Err(Closed::Before(self));
        }
        Ok(Self { closed: Some(at), ..self })
    }
}

impl Discarded {
    /// What becomes of a row that is to go.
    pub fn of(found: Option<&StatementRow>) -> Self {
        match found {
            None => Self::Missing,
            Some(row) if row.closed.is_some() => Self::Closed,
            Some(_) => Self::Now,
        }
    }
}

impl NewStatement {
    /// The number of the draft whose place it takes, if there is one among the statements of its company that share hours with it.
    pub fn in_place_of<'a>(&self, sharing: impl IntoIterator<Item = &'a StatementRow>) -> Result<Option<u64>, Drafted> {
        let mut number = None;
        for row in sharing {
            if row.closed.is_some() || row.plan != self.plan || row.hours != self.hours {
                return Err(Drafted::Overlaps(row.number));
            }
            number = Some(row.number);
        }
        Ok(number)
    }

    /// The row of it, under a number.
    pub fn draft(&self, number: u64) -> StatementRow {
        let Self { company, plan, hours, currency, total, body, hash, at } = self.clone();
        StatementRow {
            number,
            corrects: None,
            company,
            plan,
            hours,
            currency,
            total,
            body,
            hash,
            made: at,
            closed: None,
        }
    }
}

impl NewCredit {
    /// The row of it, under no number yet, if so much is left of what it corrects after all that was given back before.
    pub fn of(&self, corrected: Option<&StatementRow>, given: i64) -> Result<StatementRow, Credited> {
        let Some(corrected) = corrected else { return Err(Credited::Missing) };
        if corrected.corrects.is_some() || corrected.closed.is_none() {
            return Err(Credited::NotClosed);
        }
        let left = corrected.total.saturating_sub(given);
        if left < self.total { Err(Credited::TooMuch { left }) } else { Ok(self.note(0, corrected)) }
    }

    /// The row of it, under a number, for a statement.
    fn note(&self, number: u64, of: &StatementRow) -> StatementRow {
        let Self { corrects, total, body, hash, at } = self.clone();
        StatementRow { number, corrects: Some(corrects), total, body, hash, made: at, closed: Some(at), ..of.clone() }
    }
}
