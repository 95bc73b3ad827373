//! Which encodings there are, and which of them a client likes best (RFC 9110, section 12.5.3).

use http::header::{self, HeaderMap, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An encoding of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Coding {
    /// RFC 1952, known to everybody.
    #[serde(rename = "gzip")]
    Gzip,
    /// RFC 7932, the smallest for texts.
    #[serde(rename = "br")]
    Brotli,
    /// RFC 8878, the fastest for its size.
    #[serde(rename = "zstd")]
    Zstd,
}

impl Coding {
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// The name as a header has it.
    pub fn value(self) -> HeaderValue {
        HeaderValue::from_static(self.name())
    }
}

/// The encoding that a client likes best; the first of `offered` where it likes several the same.
pub fn negotiated(headers: &HeaderMap, offered: &[Coding]) -> Option<Coding> {
    let mut values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).peekable();
    values.peek()?;
    let liking = Liking::read(values);
    let mut best = None;
    for coding in offered {
        let quality = liking.of(*coding);
        if quality > 0 && best.is_none_or(|(most, _)| quality > most) {
            best = Some((quality, *coding));
        }
    }
    let (quality, coding) = best?;
    // Who names identity and likes it better gets it.
    if liking.identity.is_some_and(|identity| identity > quality) { None } else { Some(coding) }
}

/// Quality values in thousandths.
#[derive(Default)]
struct Liking {
    gzip: Option<u16>,
    brotli: Option<u16>,
    zstd: Option<u16>,
    identity: Option<u16>,
    others: u16,
}

impl Liking {
    fn read<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut liking = Self::default();
        for item in values.flat_map(|value| value.split(',')) {
            let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
            let Some(quality) = quality(parameters) else { continue };
            match name.trim() {
                "*" => liking.others = quality,
                name if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => {
                    liking.gzip = Some(quality);
                }
                name if name.eq_ignore_ascii_case("br") => liking.brotli = Some(quality),
                name if name.eq_ignore_ascii_case("zstd") => liking.zstd = Some(quality),
                name if name.eq_ignore_ascii_case("identity") => liking.identity = Some(quality),
                _ => {}
            }
        }
        liking
    }

    fn of(&self, coding: Coding) -> u16 {
        let named = match coding {
            Coding::Gzip => self.gzip,
            Coding::Brotli => self.brotli,
            Coding::Zstd => self.zstd,
        };
        named.unwrap_or(self.others)
    }
}

/// The quality among parameters in thousandths, 1000 if it is left out, nothing if it is malformed.
fn quality(parameters: &str) -> Option<u16> {
    let parameters = parameters.trim();
    if parameters.is_empty() {
        return Some(1000);
    }
    let value = parameters.strip_prefix(['q', 'Q'])?.trim_start().strip_prefix('=')?.trim();
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let thousandths = fraction.bytes().chain(std::iter::repeat(b'0')).take(3);
    let fraction = thousandths.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

    fn chosen(accepted: &str) -> Option<Coding> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_str(accepted).unwrap());
        negotiated(&headers, &ALL)
    }

    #[test]
    fn the_client_s_liking_decides_and_then_the_order_offered() {
        for (accepted, expected) in [
            ("gzip", Some(Coding::Gzip)),
            ("gzip, deflate, br, zstd", Some(Coding::Brotli)),
            ("gzip, zstd", Some(Coding::Zstd)),
            ("br;q=0.5, gzip;q=0.8", Some(Coding::Gzip)),
            ("BR; Q=0.001", Some(Coding::Brotli)),
            ("x-gzip", Some(Coding::Gzip)),
            ("*", Some(Coding::Brotli)),
            ("*, br;q=0", Some(Coding::Zstd)),
            ("*;q=0, gzip", Some(Coding::Gzip)),
            ("*;q=0.1, gzip;q=0.2", Some(Coding::Gzip)),
            ("identity;q=0", None),
            ("identity;q=0, gzip", Some(Coding::Gzip)),
            ("identity, gzip;q=0.5", None),
            ("identity;q=0.5, gzip", Some(Coding::Gzip)),
            ("gzip;q=0", None),
            ("gzip;q=0.000, br;q=0.0", None),
            ("deflate", None),
            ("", None),
            ("gzip;q=2", None),
            ("gzip;q=abc", None),
            ("gzip;q=0.1234", None),
        ] {
            assert_eq!(chosen(accepted), expected, "{accepted}");
        }
    }

    #[test]
    fn a_client_that_does_not_say_gets_the_answer_as_it_is() {
        assert_eq!(negotiated(&HeaderMap::new(), &ALL), None);
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_a_panic(accepted in "[a-z0-9*;=,. -]{0,60}") {
            let _coding = chosen(&accepted);
        }
    }
}
