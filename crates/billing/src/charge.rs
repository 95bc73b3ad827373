//! What usage of one kind costs: what is included, tiers, lines.

use model::money::{Currency, Money};
use model::plan::{Each, Meter};
use serde::{Deserialize, Serialize};
use store::UsageRow;

use crate::rounding::{Exact, TooLarge, decimal};

/// A price for usage of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Charge {
    pub(crate) meter: Meter,
    pub(crate) title: Option<String>,
    pub(crate) products: Vec<String>,
    pub(crate) apis: Vec<String>,
    pub(crate) each: Each,
    pub(crate) included: u64,
    pub(crate) prices: Prices,
}

/// Prices, whose tiers are in order and have no end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Prices {
    Flat(Money),
    Graduated(Vec<Tier>),
    Volume(Vec<Tier>),
}

/// Up to where a price holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tier {
    pub(crate) up_to: Option<u64>,
    pub(crate) price: Money,
}

/// Usage in what a meter counts: calls, or bytes.
pub(crate) type Quantity = u64;

/// A quantity times a price. Each is rounded once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Which part of the usage it is; empty for all of it.
    pub text: String,
    /// How much.
    pub quantity: String,
    /// Of what.
    pub unit: String,
    /// What one of it costs.
    pub unit_price: String,
    /// What this costs.
    pub amount: String,
    /// The same in smallest units.
    pub units: i64,
}

impl Charge {
    /// What of a row this charge counts, if it counts rows of this kind.
    pub(crate) fn counts(&self, row: &UsageRow) -> Option<Quantity> {
        let fits = |wanted: &[String], name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
        if !fits(&self.products, &row.product) || !fits(&self.apis, &row.api) {
            return None;
        }
        Some(match self.meter {
            Meter::Calls => row.requests,
            Meter::SuccessfulCalls if (2..=3).contains(&row.status_class) => row.requests,
            Meter::SuccessfulCalls => return None,
            Meter::Cost => row.cost,
            Meter::BytesIn => row.bytes_in,
            Meter::BytesOut => row.bytes_out,
            Meter::Bytes => row.bytes_in.saturating_add(row.bytes_out),
        })
    }

    /// The lines of so much usage.
    pub(crate) fn lines(&self, quantity: Quantity, currency: Currency) -> Result<Vec<Line>, TooLarge> {
        let unit = Unit::of(self.meter);
        let free = u128::from(self.included) * u128::from(unit.size());
        let free = free.min(quantity.into());
        let billed = u128::from(quantity) - free;
        let mut lines = Vec::new();
        let mut line = |text: String, quantity: u128, picos: u64, price: String| {
            let amount = Exact::product(quantity, unit.size(), picos)?.rounded(currency)?;
            let (quantity, unit_price, amount_text) = (unit.shown(quantity), price, decimal(amount, currency));
            lines.push(Line {
                text,
                quantity,
                unit: unit.name().to_owned(),
                unit_price,
                amount: amount_text,
                units: amount,
            });
            Ok(())
        };
        if free > 0 {
            line("included".to_owned(), free, 0, "0".to_owned())?;
        }
        match &self.prices {
            Prices::Flat(price) if billed > 0 || free == 0 => {
                let text = if free > 0 { "beyond what is included" } else { "" };
                line(text.to_owned(), billed, price.picos(), price.number())?;
            }
            Prices::Flat(_) => {}
            Prices::Volume(tiers) => {
                let reached = tiers.iter().find(|tier| tier.end(unit).is_none_or(|end| billed <= end));
                if let Some(tier) = reached.filter(|_| billed > 0) {
                    line(tier.volume_text(unit), billed, tier.price.picos(), tier.price.number())?;
                }
            }
            Prices::Graduated(tiers) => {
                let mut from = 0;
                for tier in tiers {
                    let to = tier.end(unit).map_or(billed, |end| end.min(billed));
                    if to <= from {
                        break;
                    }
                    line(tier.graduated_text(from, unit), to - from, tier.price.picos(), tier.price.number())?;
                    from = to;
                }
            }
        }
        Ok(lines)
    }

    /// What stands on a statement for it.
    pub(crate) fn text(&self) -> String {
        self.title.clone().unwrap_or_else(|| {
            match self.meter {
                Meter::Calls => "Calls",
                Meter::SuccessfulCalls => "Successful calls",
                Meter::Cost => "Calls by cost",
                Meter::BytesIn => "Data received",
                Meter::BytesOut => "Data sent",
                Meter::Bytes => "Data received and sent",
            }
            .to_owned()
        })
    }
}

impl Tier {
    /// Where it ends, in calls or bytes.
    fn end(&self, unit: Unit) -> Option<u128> {
        self.up_to.map(|up_to| u128::from(up_to) * u128::from(unit.size()))
    }

    fn volume_text(&self, unit: Unit) -> String {
        match self.up_to {
            Some(up_to) => format!("all, of up to {up_to} {}", unit.name()),
            None => format!("all, of more {}", unit.name()),
        }
    }

    fn graduated_text(&self, from: u128, unit: Unit) -> String {
        let from = unit.shown(from);
        match self.up_to {
            Some(up_to) => format!("beyond {from} up to {up_to}"),
            None => format!("beyond {from}"),
        }
    }
}

/// What a price is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Call,
    KiB,
}

impl Unit {
    fn of(meter: Meter) -> Self {
        match meter {
            Meter::Calls | Meter::SuccessfulCalls | Meter::Cost => Self::Call,
            Meter::BytesIn | Meter::BytesOut | Meter::Bytes => Self::KiB,
        }
    }

    /// How many of what is counted.
    fn size(self) -> u64 {
        match self {
            Self::Call => 1,
            Self::KiB => 1024,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Call => "calls",
            Self::KiB => "KiB",
        }
    }

    /// A quantity as a decimal number of units. It is exact: a 1024th has ten digits.
    fn shown(self, quantity: u128) -> String {
        let (whole, rest) = (quantity / u128::from(self.size()), quantity % u128::from(self.size()));
        if rest == 0 {
            return whole.to_string();
        }
        let digits = format!("{:010}", rest * 10_u128.pow(10) / u128::from(self.size()));
        format!("{whole}.{}", digits.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::tests::plan;

    fn charge(written: &Value) -> (Charge, Currency) {
        let plan = plan(json!({ "charges": [written] }));
        (plan.charges[0].clone(), plan.currency())
    }

    fn lines(written: &Value, quantity: u64) -> Vec<(String, String, String)> {
        let (charge, currency) = charge(written);
        let lines = charge.lines(quantity, currency).unwrap();
        lines.into_iter().map(|line| (line.quantity, line.unit_price, line.amount)).collect()
    }

    fn told(lines: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
        lines.iter().map(|(quantity, price, amount)| ((*quantity).into(), (*price).into(), (*amount).into())).collect()
    }

    #[test]
    fn what_is_included_costs_nothing_and_the_rest_its_price() {
        let written = json!({ "meter": "calls", "included": 1000, "price": "0.0025 EUR" });
        assert_eq!(lines(&written, 1500), told(&[("1000", "0", "0.00"), ("500", "0.0025", "1.25")]));
        assert_eq!(lines(&written, 1000), told(&[("1000", "0", "0.00")]));
        assert_eq!(lines(&written, 0), told(&[("0", "0.0025", "0.00")]));
    }

    #[test]
    fn data_costs_by_the_byte_at_the_price_of_a_kib() {
        let written = json!({ "meter": "bytes-out", "price": "1 EUR" });
        assert_eq!(lines(&written, 1536), told(&[("1.5", "1", "1.50")]));
        assert_eq!(lines(&written, 1), told(&[("0.0009765625", "1", "0.00")]));
    }

    #[test]
    fn graduated_tiers_have_a_line_each_and_volume_tiers_one_for_all() {
        let tiers = json!([
            { "up_to": 10, "price": "1 EUR" }, { "up_to": 20, "price": "0.5 EUR" }, { "price": "0.1 EUR" }
        ]);
        let graduated = json!({ "meter": "calls", "tiers": { "graduated": tiers } });
        let volume = json!({ "meter": "calls", "included": 1, "tiers": { "volume": tiers } });
        assert_eq!(lines(&graduated, 25), told(&[("10", "1", "10.00"), ("10", "0.5", "5.00"), ("5", "0.1", "0.50")]));
        assert_eq!(lines(&graduated, 10), told(&[("10", "1", "10.00")]));
        for (quantity, price, amount) in [(11, "1", "10.00"), (12, "0.5", "5.50"), (22, "0.1", "2.10")] {
            let billed = (quantity - 1).to_string();
            assert_eq!(lines(&volume, quantity), told(&[("1", "0", "0.00"), (&billed, price, amount)]));
        }
    }

    /// What each call costs, one after another.
    fn by_hand(bounds: &[(Option<u64>, u64)], included: u64, calls: u64) -> u128 {
        let mut sum = 0;
        let mut amounts = vec![0_u128; bounds.len()];
        for call in 1..=calls {
            if call <= included {
                continue;
            }
            let billed = call - included;
            let tier = bounds.iter().position(|(up_to, _)| up_to.is_none_or(|up_to| billed <= up_to)).unwrap();
            amounts[tier] += u128::from(bounds[tier].1);
        }
        for amount in amounts {
            // In millionths, to cents.
            sum += (amount + 5000) / 10_000;
        }
        sum
    }

    proptest! {
        #[test]
        fn graduated_tiers_cost_what_each_call_costs_by_itself(
            steps in prop::collection::vec((1_u64..400, 0_u64..2_000_000), 0..5),
            last in 0_u64..2_000_000, included in 0_u64..300, calls in 0_u64..2500,
        ) {
            let mut bounds = Vec::new();
            let mut end = 0;
            for (width, price) in steps {
                end += width;
                bounds.push((Some(end), price));
            }
            bounds.push((None, last));
            let tiers: Vec<_> = bounds.iter().map(|(up_to, price)| {
                json!({ "up_to": up_to, "price": format!("{}.{:06} EUR", price / 1_000_000, price % 1_000_000) })
            }).collect();
            let (charge, currency) =
                charge(&json!({ "meter": "calls", "included": included, "tiers": { "graduated": tiers } }));

            let lines = charge.lines(calls, currency).unwrap();

            let sum: i64 = lines.iter().map(|line| line.units).sum();
            prop_assert_eq!(u128::try_from(sum).unwrap(), by_hand(&bounds, included, calls));
        }
    }
}
