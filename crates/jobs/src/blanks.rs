//! Texts with blanks in them that each run fills: `{last_date}`, `{run}`.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use store::UnixMicros;

/// A text with blanks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blanks(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Blank(Blank),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blank {
    Due,
    Date,
    LastDate,
    Month,
    LastMonth,
    Job,
    Run,
}

/// What fills blanks.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The name of the job.
    pub job: &'a str,
    /// The name of the run, unique among those of the job.
    pub run: &'a str,
    /// The time that the run is for.
    pub due: UnixMicros,
    /// By whose clock days and months are.
    pub zone: &'a TimeZone,
}

const BLANKS: &[(&str, Blank)] = &[
    ("due", Blank::Due),
    ("date", Blank::Date),
    ("last_date", Blank::LastDate),
    ("month", Blank::Month),
    ("last_month", Blank::LastMonth),
    ("job", Blank::Job),
    ("run", Blank::Run),
];

impl Blanks {
    /// Reads a text, or says what is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            plain.push_str(before);
            if let Some(after) = from.strip_prefix("{{") {
                plain.push('{');
                rest = after;
            } else if let Some(after) = from.strip_prefix("}}") {
                plain.push('}');
                rest = after;
            } else {
                let named = from.strip_prefix('{').and_then(|from| from.split_once('}'));
                let Some((name, after)) = named else {
                    return Err(
                        "has a brace without its other half; write `{{` or `}}` for the letter itself".to_owned()
                    );
                };
                let found = BLANKS.iter().find(|(known, _)| *known == name.trim());
                let Some((_, blank)) = found else {
                    let known: Vec<_> = BLANKS.iter().map(|(known, _)| format!("`{{{known}}}`")).collect();
                    return Err(format!("has no blank `{{{name}}}`; there are {}", known.join(", ")));
                };
                parts.push(Part::Text(std::mem::take(&mut plain)));
                parts.push(Part::Blank(*blank));
                rest = after;
            }
        }
        plain.push_str(rest);
        parts.push(Part::Text(plain));
        Ok(Self(parts))
    }

    /// The text of a run. What fills a blank has letters, digits, `-`, `:` and `T` alone, which are harmless wherever they go.
    pub fn filled(&self, facts: &Facts<'_>) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Blank(blank) => text.push_str(&blank.of(facts)),
            }
        }
        text
    }
}

impl Blank {
    fn of(self, facts: &Facts<'_>) -> String {
        let due = Timestamp::from_microsecond(i64::try_from(facts.due.0).unwrap_or(i64::MAX));
        let due = due.unwrap_or(Timestamp::MAX);
        let day = due.to_zoned(facts.zone.clone()).date();
        let month = |day: jiff::civil::Date| format!("{:04}-{:02}", day.year(), day.month());
        match self {
            Self::Due => due.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            Self::Date => day.to_string(),
            Self::LastDate => day.saturating_sub(1.day()).to_string(),
            Self::Month => month(day),
            Self::LastMonth => month(day.first_of_month().saturating_sub(1.day())),
            Self::Job => facts.job.to_owned(),
            Self::Run => facts.run.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, zone: &str) -> String {
        // 2026-03-01T00:30:00Z.
        let (zone, due) = (TimeZone::get(zone).unwrap(), UnixMicros(1_772_325_000_000_000));
        Blanks::read(text).unwrap().filled(&Facts { job: "nightly", run: "7", due, zone: &zone })
    }

    #[test]
    fn blanks_are_filled_by_the_clock_of_the_zone() {
        assert_eq!(filled("{date} {last_date} {month} {last_month}", "UTC"), "2026-03-01 2026-02-28 2026-03 2026-02");
        assert_eq!(
            filled("{date} {last_date} {month} {last_month}", "America/New_York"),
            "2026-02-28 2026-02-27 2026-02 2026-01"
        );
        assert_eq!(filled("{{{job}}}/{ run }?at={due}", "UTC"), "{nightly}/7?at=2026-03-01T00:30:00Z");
        assert_eq!(filled("{{\"a\": 1}}", "UTC"), "{\"a\": 1}");
    }

    #[test]
    fn what_is_no_blank_is_said() {
        assert!(Blanks::read("{day}").unwrap_err().starts_with("has no blank `{day}`; there are `{due}`, `{date}`"));
        for text in ["{", "}", "a{b", "a}b"] {
            assert!(Blanks::read(text).unwrap_err().starts_with("has a brace"), "{text}");
        }
    }
}
