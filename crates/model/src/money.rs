//! Amounts of money as operators write them: a decimal number and its currency, never a bare number.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};
use thiserror::Error;

/// Why a text is no amount of money.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotMoney {
    /// The number is missing, has a sign, or is not decimal.
    #[error("`{0}` does not begin with a decimal number; write {MONEY_FORM}")]
    Number(String),
    /// There is a number alone.
    #[error("`{0}` has no currency; write {MONEY_FORM}")]
    NoCurrency(String),
    /// No such currency is in ISO 4217.
    #[error("`{0}` is no currency of ISO 4217; write {MONEY_FORM}")]
    UnknownCurrency(String),
    /// There are more digits than are kept.
    #[error("`{0}` has more than {DIGITS} digits behind its point")]
    TooFine(String),
    /// The number does not fit.
    #[error("`{0}` is too large; {LARGEST} is the most")]
    TooLarge(String),
}

/// A currency of ISO 4217.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency {
    code: &'static str,
    minor_digits: u32,
}

impl Currency {
    /// Its code, such as `EUR`.
    pub const fn code(self) -> &'static str {
        self.code
    }

    /// How many digits of its smallest unit stand behind the point: 2 for `EUR`, 0 for `JPY`, 3 for `KWD`.
    pub const fn minor_digits(self) -> u32 {
        self.minor_digits
    }
}

impl FromStr for Currency {
    type Err = NotMoney;

    fn from_str(code: &str) -> Result<Self, NotMoney> {
        let found = CURRENCIES.iter().find_map(|(minor_digits, codes)| {
            let code = codes.split(' ').find(|known| *known == code)?;
            Some(Self { code, minor_digits: *minor_digits })
        });
        found.ok_or_else(|| NotMoney::UnknownCurrency(code.to_owned()))
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code)
    }
}

/// An amount of money, such as `49 EUR` or `0.00025 USD`. Exact, and never less than nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Money {
    picos: u64,
    currency: Currency,
}

impl Money {
    /// So many millionths of a millionth.
    pub const fn picos(self) -> u64 {
        self.picos
    }

    /// The currency.
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// The number without its currency.
    pub fn number(self) -> String {
        let (whole, rest) = (self.picos / ONE, self.picos % ONE);
        let digits = format!("{whole}.{rest:0DIGITS$}");
        digits.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

impl FromStr for Money {
    type Err = NotMoney;

    fn from_str(text: &str) -> Result<Self, NotMoney> {
        let text = text.trim();
        let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
        let (number, code) = text.split_at(end);
        let (whole, rest) = number.split_once('.').unwrap_or((number, ""));
        let is_decimal = !whole.is_empty() && !number.ends_with('.') && !rest.contains('.');
        if !is_decimal {
            return Err(NotMoney::Number(text.to_owned()));
        }
        if rest.len() > DIGITS {
            return Err(NotMoney::TooFine(text.to_owned()));
        }
        let code = code.trim();
        if code.is_empty() {
            return Err(NotMoney::NoCurrency(text.to_owned()));
        }
        let currency = code.parse()?;
        let parsed: Option<u64> = format!("{whole}{rest:0<DIGITS$}").parse().ok();
        match parsed.filter(|picos| *picos <= LARGEST * ONE) {
            Some(picos) => Ok(Self { picos, currency }),
            None => Err(NotMoney::TooLarge(text.to_owned())),
        }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number(), self.currency)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Money;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(MONEY_FORM)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Money, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Money, E> {
                Err(E::custom(NotMoney::NoCurrency(number.to_string())))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Money, E> {
                Err(E::custom(NotMoney::NoCurrency(number.to_string())))
            }
        }
        // Any, so that a bare number comes with advice and not only with its type.
        deserializer.deserialize_any(Text)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Money {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Money".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "format": "money", "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*[A-Z]{3}\s*$",
            "description": "An amount of money: a decimal number and a currency of ISO 4217.",
            "examples": ["0.002 EUR"],
        })
    }
}

pub(crate) const MONEY_FORM: &str = "an amount such as `49 EUR` or `0.002 EUR`";

/// Digits that are kept behind the point.
const DIGITS: usize = 12;
const ONE: u64 = 1_000_000_000_000;
/// The most that a price or a fee may be, so that it fits.
const LARGEST: u64 = 10_000_000;

/// The currencies of ISO 4217 by the digits of their smallest unit; without funds, metals and test codes.
const CURRENCIES: [(u32, &str); 3] = [
    (
        2,
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC \
         CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR \
         JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD \
         NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN \
         SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG",
    ),
    (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"),
    (3, "BHD IQD JOD KWD LYD OMR TND"),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_amount_is_a_number_and_its_currency() {
        for (text, picos, shown) in [
            ("49 EUR", 49 * ONE, "49 EUR"),
            ("0.002EUR", 2_000_000_000, "0.002 EUR"),
            (" 1.50  JPY ", ONE * 3 / 2, "1.5 JPY"),
            ("0.000000000001 KWD", 1, "0.000000000001 KWD"),
            ("10000000 USD", LARGEST * ONE, "10000000 USD"),
        ] {
            let money: Money = text.parse().unwrap();
            assert_eq!((money.picos(), money.to_string().as_str()), (picos, shown), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_says_what_to_write() {
        for (text, message) in [
            ("EUR 49", "`EUR 49` does not begin with a decimal number"),
            ("-1 EUR", "`-1 EUR` does not begin with a decimal number"),
            ("1. EUR", "`1. EUR` does not begin with a decimal number"),
            ("1.2.3 EUR", "`1.2.3 EUR` does not begin with a decimal number"),
            ("0.002", "`0.002` has no currency; write an amount such as `49 EUR`"),
            ("1 eur", "`eur` is no currency of ISO 4217"),
            ("1 EUX", "`EUX` is no currency of ISO 4217"),
            ("0.0000000000001 EUR", "has more than 12 digits"),
            ("10000001 EUR", "is too large; 10000000 is the most"),
        ] {
            let error = text.parse::<Money>().unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
        let bare = serde_json::from_str::<Money>("0.5").unwrap_err().to_string();
        assert!(bare.contains("has no currency"), "{bare}");
    }

    #[test]
    fn currencies_have_the_digits_of_their_smallest_unit() {
        for (code, digits) in [("EUR", 2), ("JPY", 0), ("KWD", 3)] {
            assert_eq!(code.parse::<Currency>().unwrap().minor_digits(), digits);
        }
        for code in ["", " ", "EUR JPY", "XXX"] {
            assert!(code.parse::<Currency>().is_err(), "{code}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(picos in 0..=LARGEST * ONE) {
            let money = Money { picos, currency: "EUR".parse().unwrap() };
            prop_assert_eq!(money.to_string().parse(), Ok(money));
        }

        #[test]
        fn any_text_is_read_without_harm(text: String) {
            drop(text.parse::<Money>());
        }
    }
}
