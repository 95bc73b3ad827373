//! Exact products, and the one rounding of each line.

use model::money::Currency;

/// An amount is beyond what is reckoned with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an amount is too large")]
pub struct TooLarge;

/// What `quantity` costs at `picos` for each `unit` of it, as a fraction that is not rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exact {
    numerator: u128,
    denominator: u128,
}

impl Exact {
    /// `quantity / unit × picos`.
    pub(crate) fn product(quantity: u128, unit: u64, picos: u64) -> Result<Self, TooLarge> {
        let numerator = quantity.checked_mul(picos.into()).ok_or(TooLarge)?;
        Ok(Self { numerator, denominator: unit.max(1).into() })
    }

    /// In the smallest units of a currency, half of one away from zero.
    pub(crate) fn rounded(self, currency: Currency) -> Result<i64, TooLarge> {
        let digits = PICO_DIGITS.saturating_sub(currency.minor_digits());
        let divisor = 10_u128.pow(digits).checked_mul(self.denominator).ok_or(TooLarge)?;
        let (whole, rest) = (self.numerator / divisor, self.numerator % divisor);
        let up = u128::from(rest >= divisor - rest);
        i64::try_from(whole + up).map_err(|_large| TooLarge)
    }
}

/// An amount in smallest units as a decimal number, such as `12.50`.
pub fn decimal(amount: i64, currency: Currency) -> String {
    let digits = currency.minor_digits();
    let (sign, amount) = (if amount < 0 { "-" } else { "" }, amount.unsigned_abs());
    if digits == 0 {
        return format!("{sign}{amount}");
    }
    let one = 10_u64.pow(digits);
    format!("{sign}{}.{:0width$}", amount / one, amount % one, width = digits as usize)
}

/// Reads a decimal number as smallest units. `None`: it is none, or has more digits than its currency.
pub fn smallest_units(number: &str, currency: Currency) -> Option<i64> {
    let digits = currency.minor_digits() as usize;
    let (whole, rest) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    if whole.is_empty() || number.ends_with('.') || !is_number(whole) || !is_number(rest) || rest.len() > digits {
        return None;
    }
    format!("{whole}{rest:0<digits$}").parse().ok()
}

/// Digits behind the point of what prices are kept in.
const PICO_DIGITS: u32 = 12;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn currency(code: &str) -> Currency {
        code.parse().unwrap()
    }

    #[test]
    fn half_of_a_smallest_unit_is_rounded_away_from_zero() {
        for (picos, code, expected) in [
            (4_999_999_999, "EUR", 0),
            (5_000_000_000, "EUR", 1),
            (14_999_999_999, "EUR", 1),
            (15_000_000_000, "EUR", 2),
            (499_999_999_999, "JPY", 0),
            (500_000_000_000, "JPY", 1),
            (500_000_000, "KWD", 1),
        ] {
            let rounded = Exact::product(1, 1, picos).unwrap().rounded(currency(code));
            assert_eq!(rounded, Ok(expected), "{picos} {code}");
        }
        assert_eq!(Exact::product(1024, 1024, 10_000_000_000).unwrap().rounded(currency("EUR")), Ok(1));
        assert_eq!(Exact::product(511, 1024, 10_000_000_000).unwrap().rounded(currency("EUR")), Ok(0));
    }

    #[test]
    fn what_does_not_fit_is_an_error_and_never_a_wrong_amount() {
        assert_eq!(Exact::product(u128::MAX, 1, 2), Err(TooLarge));
        let large = Exact::product(u64::MAX.into(), 1, 10_000_000_000_000_000_000).unwrap();
        assert_eq!(large.rounded(currency("EUR")), Err(TooLarge));
    }

    #[test]
    fn amounts_are_written_with_the_digits_of_their_currency() {
        for (amount, code, text) in
            [(1250, "EUR", "12.50"), (5, "EUR", "0.05"), (-5, "EUR", "-0.05"), (7, "JPY", "7"), (7, "KWD", "0.007")]
        {
            assert_eq!(decimal(amount, currency(code)), text);
        }
        for (text, code, amount) in [
            ("12.5", "EUR", Some(1250)),
            ("12", "EUR", Some(1200)),
            ("12.505", "EUR", None),
            ("1.5", "JPY", None),
            ("-1", "EUR", None),
            ("", "EUR", None),
            ("1.", "EUR", None),
            (".5", "EUR", None),
            ("99999999999999999999", "EUR", None),
        ] {
            assert_eq!(smallest_units(text, currency(code)), amount, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(amount in 0..=i64::MAX) {
            for code in ["EUR", "JPY", "KWD"] {
                let currency = currency(code);
                prop_assert_eq!(smallest_units(&decimal(amount, currency), currency), Some(amount));
            }
        }

        #[test]
        fn rounding_is_off_by_half_a_unit_at_most(quantity: u64, picos in 0..10_000_000_000_u64) {
            let exact = Exact::product(quantity.into(), 1024, picos).unwrap();
            if let Ok(rounded) = exact.rounded(currency("EUR")) {
                let unit = 10_000_000_000_u128 * 1024;
                let off = (u128::try_from(rounded).unwrap() * unit).abs_diff(u128::from(quantity) * u128::from(picos));
                prop_assert!(off * 2 <= unit);
            }
        }
    }
}
