//! An expression over statuses of answers.

use fancy_regex::RegexBuilder;

/// The statuses that an expression matches.
///
/// There are only five hundred of them, so that each can be asked about when the expression is read, even with what no engine
/// does in linear time: `^(?:5|4(?!04))` stands in every `modsecurity.conf`.
#[derive(Clone, Debug)]
pub struct Statuses(Vec<u16>);

impl Statuses {
    /// Finds out which statuses an expression matches.
    pub fn of(pattern: &[u8]) -> Result<Self, String> {
        let pattern = String::from_utf8_lossy(pattern);
        let explained = |cause: fancy_regex::Error| super::explained(&cause.to_string());
        let compiled = RegexBuilder::new(&pattern).backtrack_limit(STEPS).build().map_err(explained)?;
        let mut matched = Vec::new();
        for status in ALL {
            if compiled.is_match(&status.to_string()).map_err(explained)? {
                matched.push(status);
            }
        }
        Ok(Self(matched))
    }

    /// Whether a status, as it is written, is one of them.
    pub fn is_match(&self, status: &[u8]) -> bool {
        let number = std::str::from_utf8(status).ok().and_then(|status| status.parse().ok());
        number.is_some_and(|number: u16| self.0.contains(&number))
    }
}

/// All statuses that an answer may have.
const ALL: std::ops::RangeInclusive<u16> = 100..=599;
/// Steps that an expression may take for one status, which has three digits.
const STEPS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_that_look_ahead_are_known_by_the_statuses_that_they_match() {
        let statuses = Statuses::of(b"^(?:5|4(?!04))").unwrap();
        for (status, expected) in
            [("500", true), ("403", true), ("404", false), ("405", true), ("200", false), ("", false), ("4o3", false)]
        {
            assert_eq!(statuses.is_match(status.as_bytes()), expected, "{status}");
        }
        assert!(Statuses::of(b"^(?:5").unwrap_err().starts_with("this expression cannot be read: "));
    }
}
