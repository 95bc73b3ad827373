//! Credit notes: how a closed statement is corrected.

use model::money::Currency;
use serde::{Deserialize, Serialize};

use crate::rounding::{decimal, smallest_units};

/// What is given back of a statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditNote {
    /// The number of the statement.
    pub statement: u64,
    /// What names the content of the statement.
    pub statement_hash: String,
    /// Who gets it.
    pub company: String,
    /// ISO 4217.
    pub currency: String,
    /// What is given back.
    pub lines: Vec<Credit>,
    /// The sum of the lines.
    pub total: String,
}

/// An amount that is given back, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credit {
    /// Why.
    pub text: String,
    /// How much, as a decimal number.
    pub amount: String,
}

/// Why there is no such credit note.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCredit {
    /// It gives nothing back.
    #[error("has no lines")]
    Empty,
    /// A line says nothing.
    #[error("has no text")]
    NoText(usize),
    /// A line has no amount of the statement's currency.
    #[error("has no amount of {1} above zero with at most {2} digits behind the point, such as `{3}`")]
    NoAmount(usize, String, u32, String),
    /// Together it is too much to reckon with.
    #[error("the sum is too large")]
    TooLarge,
}

impl BadCredit {
    /// The line that it is about, counted from 0, and which part of that.
    pub fn place(&self) -> Option<(usize, &'static str)> {
        match self {
            Self::Empty | Self::TooLarge => None,
            Self::NoText(line) => Some((*line, "text")),
            Self::NoAmount(line, ..) => Some((*line, "amount")),
        }
    }
}

impl CreditNote {
    /// The credit note of these lines for a statement, and its sum in smallest units.
    pub fn new(
        (statement, statement_hash): (u64, &str),
        company: &str,
        currency: Currency,
        lines: Vec<Credit>,
    ) -> Result<(Self, i64), BadCredit> {
        if lines.is_empty() {
            return Err(BadCredit::Empty);
        }
        let (mut total, mut shown) = (0_i64, Vec::new());
        for (index, line) in lines.into_iter().enumerate() {
            if line.text.trim().is_empty() {
                return Err(BadCredit::NoText(index));
            }
            let units = smallest_units(&line.amount, currency).filter(|units| *units > 0);
            let units = units.ok_or_else(|| {
                let digits = currency.minor_digits();
                BadCredit::NoAmount(index, currency.code().to_owned(), digits, decimal(10_i64.pow(digits), currency))
            })?;
            total = total.checked_add(units).ok_or(BadCredit::TooLarge)?;
            shown.push(Credit { text: line.text, amount: decimal(units, currency) });
        }
        let note = Self {
            statement,
            statement_hash: statement_hash.to_owned(),
            company: company.to_owned(),
            currency: currency.code().to_owned(),
            lines: shown,
            total: decimal(total, currency),
        };
        Ok((note, total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(lines: &[(&str, &str)]) -> Result<(CreditNote, i64), BadCredit> {
        let lines = lines.iter().map(|(text, amount)| Credit { text: (*text).into(), amount: (*amount).into() });
        CreditNote::new((7, "c0ffee"), "acme", "EUR".parse().unwrap(), lines.collect())
    }

    #[test]
    fn a_credit_note_is_the_sum_of_its_lines() {
        let (note, total) = note(&[("an outage", "10"), ("a courtesy", "2.5")]).unwrap();
        assert_eq!((note.total.as_str(), total, note.lines[0].amount.as_str()), ("12.50", 1250, "10.00"));
    }

    #[test]
    fn a_credit_note_says_why_and_how_much() {
        for lines in [&[][..], &[("", "1")], &[(" ", "1")], &[("x", "0")], &[("x", "-1")], &[("x", "1.005")]] {
            assert!(note(lines).is_err(), "{lines:?}");
        }
        let long = note(&[("x", "1"), ("y", "5.123")]).unwrap_err();
        let expected = "has no amount of EUR above zero with at most 2 digits behind the point, such as `1.00`";
        assert_eq!((long.to_string().as_str(), long.place()), (expected, Some((1, "amount"))));
        let most = "92233720368547758.07";
        assert_eq!(note(&[("a", most), ("b", most)]), Err(BadCredit::TooLarge));
    }
}
