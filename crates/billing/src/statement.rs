//! The statement of a company and a period: lines that can be traced to totals.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use model::money::Money;
use model::plan::{Each, Meter, Plan as Terms};
use serde::{Deserialize, Serialize};
use store::UsageRow;

use crate::calendar::{BadPeriod, Period};
use crate::charge::{Charge, Line, Quantity};
use crate::plan::Plan;
use crate::rounding::{Exact, TooLarge, decimal};

/// What a company pays for a period. As JSON it is what is kept: amounts are decimal texts, so that no reader rounds them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Who pays.
    pub company: String,
    /// By which plan.
    pub plan: String,
    /// What the plan is called.
    pub plan_title: String,
    /// ISO 4217.
    pub currency: String,
    /// By which days and months begin.
    pub time_zone: String,
    /// What the plan asked for, whatever becomes of it.
    pub terms: Terms,
    /// The month.
    pub period: String,
    /// The first day that is covered.
    pub from: String,
    /// The day after the last one.
    pub to: String,
    /// The first hour whose usage is in it.
    pub usage_from: String,
    /// The hour after the last one.
    pub usage_to: String,
    /// What is paid for.
    pub items: Vec<Item>,
    /// The sum of all lines before the minimum.
    pub subtotal: String,
    /// What is to be paid.
    pub total: String,
}

/// What is paid for, with how it comes to its amount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What it is.
    pub text: String,
    /// What is counted; none for a fee.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meter: Option<Meter>,
    /// The product, where each is counted for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// The API and operation, where each is counted for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// How much of it costs what.
    pub lines: Vec<Line>,
    /// The sum of its lines.
    pub amount: String,
    /// The totals of which it is the sum.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub usage: Vec<Trace>,
}

/// What was used of one operation by one product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The product.
    pub product: String,
    /// The API.
    pub api: String,
    /// The operation.
    pub operation: String,
    /// The first hour with usage.
    pub first: String,
    /// The last hour with usage.
    pub last: String,
    /// Calls, or bytes: what the meter counts.
    pub quantity: u64,
}

/// Adds up what a company used, row by row, and comes to a statement.
#[derive(Debug)]
pub struct Account {
    plan: Arc<Plan>,
    company: String,
    period: Period,
    hours: std::ops::Range<u32>,
    // For each charge of the plan.
    usage: Vec<BTreeMap<Place, Sum>>,
}

type Place = [Arc<str>; 3];

#[derive(Clone, Copy, Debug)]
struct Sum {
    quantity: Quantity,
    first: u32,
    last: u32,
}

impl Account {
    /// The account of a company for a period of its contract by a plan.
    pub fn new(plan: Arc<Plan>, company: String, period: Period) -> Result<Self, BadPeriod> {
        let hours = plan.calendar.hours(period)?;
        let usage = vec![BTreeMap::new(); plan.charges.len()];
        Ok(Self { plan, company, period, hours, usage })
    }

    /// The same for other hours than those of the plan's calendar.
    #[must_use]
    pub fn of_hours(self, hours: std::ops::Range<u32>) -> Self {
        Self { hours, ..self }
    }

    /// The hours whose usage belongs to it.
    pub fn hours(&self) -> std::ops::Range<u32> {
        self.hours.clone()
    }

    /// Adds usage, in any order and in whatever parts. What is another company's or of another time is passed over.
    pub fn add(&mut self, row: &UsageRow) -> Result<(), TooLarge> {
        if *row.company != *self.company || !self.hours.contains(&row.hour) {
            return Ok(());
        }
        for (charge, usage) in self.plan.charges.iter().zip(&mut self.usage) {
            let Some(quantity) = charge.counts(row) else { continue };
            let place = [row.product.clone(), row.api.clone(), row.operation.clone()];
            let sum = usage.entry(place).or_insert(Sum { quantity: 0, first: row.hour, last: row.hour });
            sum.quantity = sum.quantity.checked_add(quantity).ok_or(TooLarge)?;
            sum.first = sum.first.min(row.hour);
            sum.last = sum.last.max(row.hour);
        }
        Ok(())
    }

    /// The statement, and what is to be paid in smallest units.
    pub fn statement(&self) -> Result<(Statement, i64), TooLarge> {
        let plan = &*self.plan;
        let mut items = Vec::new();
        if let Some(fee) = plan.monthly {
            items.push(self.fee("Monthly fee", fee)?);
        }
        for (charge, usage) in plan.charges.iter().zip(&self.usage) {
            self.charge(charge, usage, &mut items)?;
        }
        let subtotal = sum(&items)?;
        if let Some(minimum) = plan.minimum {
            let least = self.share(minimum)?;
            if subtotal < least {
                let (missing, price) = (least - subtotal, decimal(least, plan.currency));
                let text = "up to the minimum".to_owned();
                items.push(single(
                    "Minimum",
                    Line {
                        text,
                        quantity: "1".into(),
                        unit: "periods".into(),
                        unit_price: price,
                        amount: decimal(missing, plan.currency),
                        units: missing,
                    },
                ));
            }
        }
        let total = sum(&items)?;
        let statement = Statement {
            company: self.company.clone(),
            plan: plan.name.clone(),
            plan_title: plan.title.clone(),
            currency: plan.currency.code().to_owned(),
            time_zone: plan.calendar.zone().to_owned(),
            terms: plan.terms.clone(),
            period: self.period.month.to_string(),
            from: self.period.from.to_string(),
            to: self.period.to.to_string(),
            usage_from: hour_text(self.hours.start),
            usage_to: hour_text(self.hours.end),
            items,
            subtotal: decimal(subtotal, plan.currency),
            total: decimal(total, plan.currency),
        };
        Ok((statement, total))
    }

    /// A fee for the days that are covered.
    fn fee(&self, text: &str, fee: Money) -> Result<Item, TooLarge> {
        let (days, of) = (self.period.days(), self.period.month.days());
        let units = self.share(fee)?;
        Ok(single(
            text,
            Line {
                text: if days == of { String::new() } else { format!("{days} of {of} days") },
                quantity: if days == of { "1".to_owned() } else { format!("{days}/{of}") },
                unit: "months".to_owned(),
                unit_price: fee.number(),
                amount: decimal(units, self.plan.currency),
                units,
            },
        ))
    }

    fn share(&self, of: Money) -> Result<i64, TooLarge> {
        let month = self.period.month.days().into();
        Exact::product(self.period.days().into(), month, of.picos())?.rounded(self.plan.currency)
    }

    /// The items of a charge: one, or one for each of what is counted by itself.
    fn charge(&self, charge: &Charge, usage: &BTreeMap<Place, Sum>, items: &mut Vec<Item>) -> Result<(), TooLarge> {
        let mut groups: BTreeMap<Vec<&str>, (Quantity, Vec<Trace>)> = BTreeMap::new();
        if charge.each == Each::Company {
            groups.insert(Vec::new(), Default::default());
        }
        for (place @ [product, api, operation], sum) in usage {
            let group = match charge.each {
                Each::Company => Vec::new(),
                Each::Product => vec![&**product],
                Each::Operation => place.iter().map(|name| &**name).collect(),
            };
            let (quantity, traces) = groups.entry(group).or_default();
            *quantity = quantity.checked_add(sum.quantity).ok_or(TooLarge)?;
            traces.push(Trace {
                product: product.to_string(),
                api: api.to_string(),
                operation: operation.to_string(),
                first: hour_text(sum.first),
                last: hour_text(sum.last),
                quantity: sum.quantity,
            });
        }
        for (group, (quantity, usage)) in groups {
            let lines = charge.lines(quantity, self.plan.currency)?;
            let amount = decimal(sum_of(&lines)?, self.plan.currency);
            let (product, operation) = match group.as_slice() {
                [product, api, operation] => (Some((*product).to_owned()), Some(format!("{api}: {operation}"))),
                [product, ..] => (Some((*product).to_owned()), None),
                [] => (None, None),
            };
            items.push(Item {
                text: charge.text(),
                meter: Some(charge.meter),
                product,
                operation,
                lines,
                amount,
                usage,
            });
        }
        Ok(())
    }
}

/// An item of one line that counts nothing.
fn single(text: &str, line: Line) -> Item {
    let amount = line.amount.clone();
    let text = text.to_owned();
    Item { text, meter: None, product: None, operation: None, lines: vec![line], amount, usage: Vec::new() }
}

/// What names the content of a statement or credit note, as it is kept.
pub fn hash(body: &str) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
    digest(&SHA256, body.as_bytes()).as_ref().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn sum(items: &[Item]) -> Result<i64, TooLarge> {
    items.iter().try_fold(0_i64, |sum, item| sum.checked_add(sum_of(&item.lines)?).ok_or(TooLarge))
}

fn sum_of(lines: &[Line]) -> Result<i64, TooLarge> {
    lines.iter().try_fold(0_i64, |sum, line| sum.checked_add(line.units).ok_or(TooLarge))
}

/// An hour, counted since 1970, as a time.
pub fn hour_text(hour: u32) -> String {
    Timestamp::from_second(i64::from(hour) * 3600).unwrap_or(Timestamp::MAX).to_string()
}

#[cfg(test)]
#[path = "statement_tests.rs"]
mod tests;
