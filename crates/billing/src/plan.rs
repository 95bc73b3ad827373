//! A rate plan that cannot be wrong, or what is wrong with one.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Document;
use model::money::{Currency, Money};
use model::plan::{Charge as WrittenCharge, Plan as Written, Tiers as WrittenTiers};
use model::read::advice;
use problem::{Finding, Pointer};

use crate::calendar::Calendar;
use crate::charge::{Charge, Prices, Tier};

/// What a company with a contract pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) currency: Currency,
    pub(crate) calendar: Calendar,
    pub(crate) monthly: Option<Money>,
    pub(crate) minimum: Option<Money>,
    pub(crate) charges: Vec<Charge>,
    /// As it was written.
    pub(crate) terms: Written,
}

/// The plans of a document, or what is wrong with them, unless it follows from a part that is doubtful.
pub fn plans(
    document: &Document,
    is_doubtful: &dyn Fn(&Pointer) -> bool,
) -> Result<BTreeMap<String, Arc<Plan>>, Vec<Finding>> {
    let (mut plans, mut findings) = (BTreeMap::new(), Vec::new());
    for (name, written) in &document.plans {
        let at = Pointer::default().at("plans").at(name);
        for (index, charge) in written.charges.iter().enumerate() {
            for (place, api) in charge.apis.iter().enumerate() {
                let is_known = document.apis.contains_key(api);
                if !is_known && !is_doubtful(&Pointer::default().at("apis").at(api)) {
                    let known: Vec<_> = document.apis.keys().map(String::as_str).collect();
                    let at = at.at("charges").at(index).at("apis").at(place);
                    findings.push(Finding::new(&at, format!("there is no api `{api}`{}", advice(api, &known))));
                }
            }
        }
        match Plan::compile(name, written, &at) {
            Ok(plan) => drop(plans.insert(name.clone(), Arc::new(plan))),
            Err(found) => findings.extend(found),
        }
    }
    if findings.is_empty() { Ok(plans) } else { Err(findings) }
}

impl Plan {
    /// The plan that is written at a place, or everything that is wrong with it.
    pub fn compile(name: &str, written: &Written, at: &Pointer) -> Result<Self, Vec<Finding>> {
        let mut reading = Reading { currency: None, findings: Vec::new() };
        let is_name = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        if name.is_empty() || !name.chars().all(is_name) {
            reading.wrong(at, format!("`{name}` cannot be a plan's name: write lower case letters, digits and `-`"));
        }
        let calendar = Calendar::of(&written.time_zone);
        if calendar.is_none() {
            let message = format!("there is no time zone `{}`; write one such as `Europe/Berlin`", written.time_zone);
            reading.wrong(&at.at("time_zone"), message);
        }
        for (member, amount) in [("monthly", written.monthly), ("minimum", written.minimum)] {
            reading.note(amount, &at.at(member));
        }
        let charges: Vec<_> = written
            .charges
            .iter()
            .enumerate()
            .filter_map(|(index, charge)| reading.charge(charge, &at.at("charges").at(index)))
            .collect();
        if reading.currency.is_none() && reading.findings.is_empty() {
            reading
                .wrong(at, "asks for no money: write `monthly`, `minimum` or a charge, `monthly: 0 EUR` if it is free");
        }
        match (reading.currency, calendar) {
            (Some(currency), Some(calendar)) if reading.findings.is_empty() => Ok(Self {
                name: name.to_owned(),
                title: written.title.clone().unwrap_or_else(|| name.to_owned()),
                currency,
                calendar,
                monthly: written.monthly,
                minimum: written.minimum,
                charges,
                terms: written.clone(),
            }),
            _ => Err(reading.findings),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The calendar by which its days and months begin.
    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// What it is paid in.
    pub fn currency(&self) -> Currency {
        self.currency
    }
}

/// What was found while a plan was read.
struct Reading {
    /// Of the first amount; all others have the same.
    currency: Option<Currency>,
    findings: Vec<Finding>,
}

impl Reading {
    fn wrong(&mut self, at: &Pointer, message: impl Into<String>) {
        self.findings.push(Finding::new(at, message));
    }

    fn note(&mut self, amount: Option<Money>, at: &Pointer) {
        let Some(amount) = amount else { return };
        let first = *self.currency.get_or_insert(amount.currency());
        if first != amount.currency() {
            let message =
                format!("is in {}, and the plan's first amount in {first}; write one currency", amount.currency());
            self.wrong(at, message);
        }
    }

    fn charge(&mut self, written: &WrittenCharge, at: &Pointer) -> Option<Charge> {
        self.note(written.price, &at.at("price"));
        let prices = match (written.price, &written.tiers) {
            (Some(price), None) => Some(Prices::Flat(price)),
            (None, Some(tiers)) => self.tiers(tiers, &at.at("tiers")),
            (Some(_), Some(_)) => {
                self.wrong(at, "has `price` and `tiers`; leave one of them out");
                None
            }
            (None, None) => {
                self.wrong(at, "has no price; write `price` or `tiers`");
                None
            }
        };
        let WrittenCharge { meter, title, products, apis, each, included, .. } = written.clone();
        Some(Charge { meter, title, products, apis, each, included, prices: prices? })
    }

    fn tiers(&mut self, written: &WrittenTiers, at: &Pointer) -> Option<Prices> {
        let (kind, tiers) = match written {
            WrittenTiers::Graduated(tiers) => ("graduated", tiers),
            WrittenTiers::Volume(tiers) => ("volume", tiers),
        };
        let at = at.at(kind);
        let before = self.findings.len();
        let (mut read, mut last) = (Vec::new(), 0);
        for (index, tier) in tiers.iter().enumerate() {
            let here = at.at(index);
            self.note(Some(tier.price), &here.at("price"));
            match tier.up_to {
                Some(up_to) if up_to <= last => {
                    self.wrong(
                        &here.at("up_to"),
                        format!("{up_to} is not beyond the tier before, which ends at {last}"),
                    );
                }
                Some(up_to) => last = up_to,
                None if index + 1 < tiers.len() => {
                    self.wrong(&here, "has no `up_to`, and only the last tier may have none");
                }
                None => {}
            }
            read.push(Tier { up_to: tier.up_to, price: tier.price });
        }
        match tiers.last() {
            None => self.wrong(&at, "has no tiers"),
            Some(tier) if tier.up_to.is_some() => {
                self.wrong(
                    &at,
                    "ends with an `up_to`, so that there is no price beyond it; leave it out of the last tier",
                );
            }
            Some(_) => {}
        }
        if before != self.findings.len() {
            return None;
        }
        Some(match written {
            WrittenTiers::Graduated(_) => Prices::Graduated(read),
            WrittenTiers::Volume(_) => Prices::Volume(read),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A plan as it would be written.
    pub(crate) fn plan(written: Value) -> Plan {
        let written: Written = serde_json::from_value(written).unwrap();
        Plan::compile("gold", &written, &Pointer::default()).unwrap()
    }

    fn findings(written: Value) -> Vec<String> {
        let written: Written = serde_json::from_value(written).unwrap();
        let found = Plan::compile("gold", &written, &Pointer::default()).unwrap_err();
        found.iter().map(Finding::to_string).collect()
    }

    #[test]
    fn a_plan_is_in_the_currency_of_its_amounts() {
        let plan = plan(json!({ "minimum": "5 JPY", "charges": [{ "meter": "calls", "price": "1 JPY" }] }));
        assert_eq!((plan.currency().code(), plan.calendar().zone()), ("JPY", "UTC"));
    }

    #[test]
    fn everything_that_is_wrong_with_a_plan_is_told_with_its_place() {
        let graduated = |tiers: Value| json!({ "charges": [{ "meter": "calls", "tiers": { "graduated": tiers } }] });
        for (written, expected) in [
            (json!({}), "asks for no money"),
            (json!({ "monthly": "1 EUR", "time_zone": "Europe/Atlantis" }), "/time_zone: there is no time zone"),
            (
                json!({ "monthly": "1 EUR", "minimum": "1 USD" }),
                "/minimum: is in USD, and the plan's first amount in EUR",
            ),
            (json!({ "charges": [{ "meter": "calls" }] }), "/charges/0: has no price"),
            (
                json!({ "charges": [{ "meter": "calls", "price": "1 EUR", "tiers": { "volume": [{ "price": "1 EUR" }] } }] }),
                "/charges/0: has `price` and `tiers`",
            ),
            (graduated(json!([])), "/charges/0/tiers/graduated: has no tiers"),
            (graduated(json!([{ "price": "1 EUR", "up_to": 5 }])), "graduated: ends with an `up_to`"),
            (graduated(json!([{ "price": "1 EUR" }, { "price": "1 EUR" }])), "graduated/0: has no `up_to`"),
            (
                graduated(
                    json!([{ "price": "1 EUR", "up_to": 5 }, { "price": "1 EUR", "up_to": 5 }, { "price": "1 EUR" }]),
                ),
                "graduated/1/up_to: 5 is not beyond the tier before",
            ),
            (
                graduated(json!([{ "price": "1 EUR", "up_to": 5 }, { "price": "2 USD" }])),
                "graduated/1/price: is in USD",
            ),
        ] {
            let told = findings(written).join("\n");
            assert!(told.contains(expected), "{told}");
        }
        let many = findings(json!({ "time_zone": "x", "charges": [{ "meter": "calls" }, { "meter": "bytes" }] }));
        assert_eq!(many.len(), 3, "{many:?}");
    }

    #[test]
    fn a_name_is_in_kebab_case() {
        let written: Written = serde_json::from_value(json!({ "monthly": "1 EUR" })).unwrap();
        for name in ["", "Gold", "a/b", "a b"] {
            assert!(Plan::compile(name, &written, &Pointer::default()).is_err(), "{name}");
        }
    }
}
