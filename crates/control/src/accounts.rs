//! Statements of companies: made from totals, closed, corrected.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use billing::{Account, BadCredit, BadPeriod, Contract, Credit, CreditNote, Month, Plan, TooLarge, decimal, hash};
use model::money::Currency;
use model::plan::Meter;
use parking_lot::RwLock;
use problem::Pointer;
use store::{
    Closed, Credited, Discarded, Drafted, NewCredit, NewStatement, StatementQuery, StatementRow, Statements,
    Unavailable, UnixMicros, UsageQuery, UsageTotals,
};

/// Where the time is taken from.
type Clock = Arc<dyn Fn() -> UnixMicros + Send + Sync>;

/// Makes statements by the plans that serve now.
pub struct Accounts {
    statements: Arc<dyn Statements>,
    totals: Arc<dyn UsageTotals>,
    plans: RwLock<BTreeMap<String, Arc<Plan>>>,
    clock: Clock,
}

/// A statement that somebody wants.
#[derive(Clone, Debug)]
pub struct Order {
    /// Who pays.
    pub company: String,
    /// By which plan.
    pub plan: String,
    /// The month.
    pub month: Month,
    /// From when to when the company has a contract of this plan.
    pub contract: Contract,
}

/// Why a statement is not made, closed or corrected.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// No plan has this name.
    #[error("there is no plan `{0}`; the configuration has them under `plans`")]
    NoPlan(String),
    /// No statement has this number.
    #[error("there is no statement {0}")]
    NoStatement(u64),
    /// There is no such period.
    #[error(transparent)]
    Period(#[from] BadPeriod),
    /// Hours would be paid for twice.
    #[error("statement {0} has hours of this company and period; discard it if it is a draft, or credit it")]
    Overlaps(u64),
    /// It was made and closed before.
    #[error("statement {0} of this company, plan and period is closed and stays; correct it by a credit note")]
    Stated(u64),
    /// The period is not over.
    #[error("the period of statement {0} is not over")]
    NotOver(u64),
    /// The draft was made anew since it was seen.
    #[error("statement {0} is not the one that was seen: its hash is another one now")]
    Changed(u64),
    /// Usage came after the draft was made, or the plan changed.
    #[error("usage was added or the plan changed since draft {0} was made; make it anew")]
    Outdated(u64),
    /// What is closed stays.
    #[error("statement {0} is closed and stays; correct it by a credit note")]
    Closed(u64),
    /// Only what is closed is corrected.
    #[error("statement {0} is a draft or a credit note; only a closed statement is corrected")]
    NotClosed(u64),
    /// It would give back more than there is.
    #[error("{0} is all that is left to give back")]
    TooMuch(String),
    /// The credit note is wrong.
    #[error(transparent)]
    Credit(#[from] BadCredit),
    /// An amount does not fit.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// Something that is kept cannot be read.
    #[error("what is kept of statement {0} cannot be read")]
    Unreadable(u64),
    /// The store cannot be asked.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// What was found when a statement was compared with the totals of today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recount {
    /// Whether its content is what its hash names.
    pub is_intact: bool,
    /// What its total would be today, by the plan of today.
    pub total: i64,
    /// Whether it would be the same in all its parts.
    pub is_same: bool,
}

/// Usage that came into the totals after a statement was closed, and is in no statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateUsage {
    /// What is counted.
    pub meter: Meter,
    /// The product.
    pub product: String,
    /// The API.
    pub api: String,
    /// The operation.
    pub operation: String,
    /// How much of it is in the statement.
    pub stated: u64,
    /// How much there is today.
    pub today: u64,
}

impl Accounts {
    /// Makes statements from `totals` into `statements`.
    pub fn new(statements: Arc<dyn Statements>, totals: Arc<dyn UsageTotals>, clock: Clock) -> Self {
        Self { statements, totals, plans: RwLock::default(), clock }
    }

    /// From now on there are these plans.
    pub fn set_plans(&self, plans: BTreeMap<String, Arc<Plan>>) {
        *self.plans.write() = plans;
    }

    /// The plan of this name.
    pub fn plan(&self, name: &str) -> Result<Arc<Plan>, AccountError> {
        self.plans.read().get(name).cloned().ok_or_else(|| AccountError::NoPlan(name.to_owned()))
    }

    /// Makes a draft from the totals, or makes it anew.
    pub async fn draft(&self, order: &Order) -> Result<StatementRow, AccountError> {
        let plan = self.plan(&order.plan)?;
        let hours = self.hours(order, &plan).await?;
        let account = self.account(order, plan.clone(), hours).await?;
        let (statement, total) = account.statement()?;
        let body = written(&statement)?;
        let new = NewStatement {
            company: order.company.clone(),
            plan: order.plan.clone(),
            hours: account.hours(),
            currency: plan.currency().code().to_owned(),
            total,
            hash: hash(&body),
            body,
            at: (self.clock)(),
        };
        match self.statements.draft(&new).await? {
            Drafted::Draft(row) => Ok(row),
            Drafted::Overlaps(number) => {
                let other = self.statement(number).await?;
                let kept = kept(&other)?;
                let is_same = (&kept.plan, &kept.from, &kept.to) == (&statement.plan, &statement.from, &statement.to);
                let is_stated = is_same && other.closed.is_some();
                Err(if is_stated { AccountError::Stated(number) } else { AccountError::Overlaps(number) })
            }
        }
    }

    /// The hours of a statement: those of its days by the plan's time zone. But where the days of another statement of the
    /// company end or begin where these begin or end, its hours do, too. It may have been made by another zone, and then
    /// hours between the two would be paid by nobody, or twice.
    async fn hours(&self, order: &Order, plan: &Plan) -> Result<Range<u32>, AccountError> {
        let period = order.contract.within(order.month)?;
        let (from, to) = (period.from.to_string(), period.to.to_string());
        let usual = plan.calendar().hours(period)?;
        let mut hours = usual.clone();
        let company = Some(order.company.clone());
        let mut query = StatementQuery { company, after: None, limit: PAGE };
        loop {
            let rows = self.statements.statements(&query).await?;
            let is_near = |row: &&StatementRow| {
                let (before, behind) = (row.hours.end.abs_diff(usual.start), row.hours.start.abs_diff(usual.end));
                row.corrects.is_none() && before.min(behind) <= BETWEEN_ZONES
            };
            for row in rows.iter().filter(is_near) {
                let neighbour = kept(row)?;
                if neighbour.to == from {
                    hours.start = row.hours.end;
                }
                if neighbour.from == to {
                    hours.end = row.hours.start;
                }
            }
            match rows.last() {
                Some(last) if rows.len() == PAGE => query.after = Some(last.number),
                _ => return Ok(hours.start.min(hours.end)..hours.end),
            }
        }
    }

    /// Closes a draft, if it has this hash and is what totals come to today. Once closed, it never changes.
    ///
    /// The caller has seen to it that everything is in the totals that the journal holds.
    pub async fn close(&self, number: u64, seen: &str) -> Result<StatementRow, AccountError> {
        let row = self.statement(number).await?;
        if row.corrects.is_some() {
            return Err(AccountError::Closed(number));
        }
        let now = (self.clock)();
        if row.closed.is_none() {
            if now.0 < u64::from(row.hours.end) * MICROS_AN_HOUR {
                return Err(AccountError::NotOver(number));
            }
            if row.hash == seen && !self.recount(&row).await?.is_same {
                return Err(AccountError::Outdated(number));
            }
        }
        match self.statements.close(number, seen, now).await? {
            Closed::Now(row) | Closed::Before(row) => Ok(row),
            Closed::Changed(_) => Err(AccountError::Changed(number)),
            Closed::Missing => Err(AccountError::NoStatement(number)),
        }
    }

    /// Lets a draft go.
    pub async fn discard(&self, number: u64) -> Result<(), AccountError> {
        match self.statements.discard(number).await? {
            Discarded::Now => Ok(()),
            Discarded::Closed => Err(AccountError::Closed(number)),
            Discarded::Missing => Err(AccountError::NoStatement(number)),
        }
    }

    /// Corrects a closed statement.
    pub async fn credit(&self, number: u64, lines: Vec<Credit>) -> Result<StatementRow, AccountError> {
        let corrected = self.statement(number).await?;
        let currency = currency(&corrected)?;
        let (note, total) = CreditNote::new((number, &corrected.hash), &corrected.company, currency, lines)?;
        let body = written(&note)?;
        let new = NewCredit { corrects: number, total, hash: hash(&body), body, at: (self.clock)() };
        match self.statements.credit(&new).await? {
            Credited::Now(row) => Ok(row),
            Credited::TooMuch { left } => Err(AccountError::TooMuch(format!("{} {currency}", decimal(left, currency)))),
            Credited::NotClosed => Err(AccountError::NotClosed(number)),
            Credited::Missing => Err(AccountError::NoStatement(number)),
        }
    }

    /// The statement or credit note of this number.
    pub async fn statement(&self, number: u64) -> Result<StatementRow, AccountError> {
        self.statements.statement(number).await?.ok_or(AccountError::NoStatement(number))
    }

    /// Statements and credit notes by number.
    pub async fn statements(&self, query: &StatementQuery) -> Result<Vec<StatementRow>, AccountError> {
        Ok(self.statements.statements(query).await?)
    }

    /// What came into the totals after a statement was closed, by what its plan counted; nothing, of what is not closed.
    pub async fn late(&self, row: &StatementRow) -> Result<Vec<LateUsage>, AccountError> {
        if row.closed.is_none() || row.corrects.is_some() {
            return Ok(Vec::new());
        }
        let kept = kept(row)?;
        // The plan may be another one today, or gone.
        let plan = Plan::compile(&kept.plan, &kept.terms, &Pointer::default());
        let plan = plan.map_err(|_wrong| AccountError::Unreadable(row.number))?;
        let (today, _) = self.account(&order(&kept)?, Arc::new(plan), row.hours.clone()).await?.statement()?;
        let (stated, today) = (traced(&kept), traced(&today));
        let late = today.into_iter().filter_map(|(place, today)| {
            let stated = stated.get(&place).copied().unwrap_or(0);
            let (meter, product, api, operation) = place;
            (stated < today).then_some(LateUsage { meter, product, api, operation, stated, today })
        });
        Ok(late.collect())
    }

    /// Compares a statement with what the totals come to today.
    pub async fn recount(&self, row: &StatementRow) -> Result<Recount, AccountError> {
        let kept = kept(row)?;
        let plan = self.plan(&kept.plan)?;
        let (statement, total) = self.account(&order(&kept)?, plan, row.hours.clone()).await?.statement()?;
        Ok(Recount { is_intact: hash(&row.body) == row.hash, total, is_same: statement == kept })
    }

    /// Adds up what the totals have for an order, in pieces of time that are short enough for memory.
    async fn account(&self, order: &Order, plan: Arc<Plan>, hours: Range<u32>) -> Result<Account, AccountError> {
        let account = Account::new(plan, order.company.clone(), order.contract.within(order.month)?)?;
        let mut account = account.of_hours(hours);
        let Range { mut start, end } = account.hours();
        let mut step = end.saturating_sub(start).max(1);
        while start < end {
            let hours = start..end.min(start.saturating_add(step));
            // An hour by itself is read whole: it has no more rows than a company has apps, operations and classes.
            let limit = if step == 1 { usize::MAX } else { ROWS };
            let company = Some(order.company.clone());
            let query = UsageQuery { company, hours: hours.clone(), limit, ..UsageQuery::default() };
            let rows = self.totals.query(&query).await?;
            if rows.len() == limit {
                step = (step / 2).max(1);
                continue;
            }
            rows.iter().try_for_each(|row| account.add(row))?;
            start = hours.end;
        }
        Ok(account)
    }
}

/// What is kept of a statement.
fn kept(row: &StatementRow) -> Result<billing::Statement, AccountError> {
    serde_json::from_str(&row.body).map_err(|_cause| AccountError::Unreadable(row.number))
}

/// The order that a statement was made by.
fn order(kept: &billing::Statement) -> Result<Order, AccountError> {
    Ok(Order {
        company: kept.company.clone(),
        plan: kept.plan.clone(),
        month: kept.period.parse()?,
        contract: Contract::read(Some(&kept.from), Some(&kept.to))?,
    })
}

/// How much a statement has of what is counted, by meter, product, API and operation.
fn traced(statement: &billing::Statement) -> BTreeMap<(Meter, String, String, String), u64> {
    let mut quantities = BTreeMap::new();
    for item in &statement.items {
        let Some(meter) = item.meter else { continue };
        for trace in &item.usage {
            let place = (meter, trace.product.clone(), trace.api.clone(), trace.operation.clone());
            // Several charges may count the same.
            let quantity: &mut u64 = quantities.entry(place).or_default();
            *quantity = (*quantity).max(trace.quantity);
        }
    }
    quantities
}

/// The currency of a statement.
fn currency(row: &StatementRow) -> Result<Currency, AccountError> {
    row.currency.parse().map_err(|_unknown| AccountError::Unreadable(row.number))
}

fn written(content: &impl serde::Serialize) -> Result<String, AccountError> {
    // Texts and numbers alone cannot fail to be written.
    serde_json::to_string(content).map_err(|cause| Unavailable::because(cause).into())
}

const MICROS_AN_HOUR: u64 = 3_600_000_000;

/// Rows in memory at a time.
const ROWS: usize = 50_000;

/// Statements in memory at a time.
const PAGE: usize = 100;

/// Hours between the beginnings of one day in two zones at most.
const BETWEEN_ZONES: u32 = 26;

#[cfg(test)]
#[path = "accounts_tests.rs"]
mod tests;
