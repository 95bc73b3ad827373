//! What is done with silences: alerts that nobody is told of for a while.

use std::time::Duration;

use problem::Pointer;
use store::{Kind, Listing, Silence, SilenceId, UnixMicros};

use crate::input::{Checking, NewSilence};
use crate::records::At;
use crate::{Error, Partners};

impl Partners {
    /// Makes a silence. `rules` are the names that the rules of alerts have.
    pub async fn create_silence(&self, new: NewSilence, rules: &[String]) -> Result<At<Silence>, Error> {
        let NewSilence { alert, rule, labels, all, reason, lasts } = new;
        let mut checking = Checking::default();
        let at = |member: &str| Pointer::default().at(member);
        let is_of_some = alert.is_some() || rule.is_some() || !labels.is_empty();
        // What is left out by accident would keep everything else that goes wrong quiet, too.
        if is_of_some == all {
            let message =
                "name what it is about (`alert`, `rule` or `labels`), or say `all: true`: not both, nor neither";
            checking.wrong(&at("all"), message.to_owned());
        }
        if let Some(rule) = rule.as_ref().filter(|rule| !rules.contains(rule)) {
            let known = rules.join(", ");
            checking.wrong(&at("rule"), format!("there is no rule `{rule}` in the configuration; there are {known}"));
        }
        if reason.trim().is_empty() || LONGEST_REASON < reason.chars().count() {
            checking.wrong(&at("reason"), format!("has 1 to {LONGEST_REASON} characters, for those who wonder why"));
        }
        if lasts.is_zero() || LONGEST < lasts {
            checking.wrong(&at("for"), "is a time of up to 90d".to_owned());
        }
        checking.done(Some(()))?;
        let created = self.now();
        let until = UnixMicros(created.0.saturating_add(u64::try_from(lasts.as_micros()).unwrap_or(u64::MAX)));
        let silence = Silence { id: SilenceId::at(created), alert, rule, labels, reason, until, created };
        Ok(self.records.create(silence).await?)
    }

    /// Lists silences, those first that were made first.
    pub async fn silences(&self) -> Result<Vec<At<Silence>>, Error> {
        Ok(self.records.list(Listing::of(Kind::Silence)).await?)
    }

    /// Ends a silence.
    pub async fn delete_silence(&self, id: &SilenceId) -> Result<(), Error> {
        self.records.delete(id).await?;
        Ok(())
    }
}

/// Characters of a reason.
const LONGEST_REASON: usize = 500;

/// How long a silence lasts at most.
const LONGEST: Duration = Duration::from_hours(90 * 24);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Fixture;

    #[tokio::test]
    async fn a_silence_says_what_it_is_about() {
        let fixture = Fixture::new();
        let partners = &fixture.partners;
        let rules = ["upstream".to_owned(), "quota".to_owned()];
        let new =
            || NewSilence { reason: "moving".to_owned(), lasts: Duration::from_hours(1), ..NewSilence::default() };
        let labels = [("api".to_owned(), "orders".to_owned())].into();
        let of = |rule: &str| Some(rule.to_owned());
        for right in [
            NewSilence { rule: of("quota"), ..new() },
            NewSilence { labels, ..new() },
            NewSilence { all: true, ..new() },
        ] {
            partners.create_silence(right, &rules).await.unwrap();
            fixture.pass(1);
        }
        for (wrong, at) in [
            (new(), "/all"),
            (NewSilence { rule: of("quota"), all: true, ..new() }, "/all"),
            (NewSilence { rule: of("upstrem"), ..new() }, "/rule"),
        ] {
            let Err(Error::Invalid(findings)) = partners.create_silence(wrong, &rules).await else { panic!("{at}") };
            assert_eq!(findings.iter().map(|finding| finding.at.as_str()).collect::<Vec<_>>(), [at]);
            let names_known = findings[0].message.contains("upstream, quota");
            assert_eq!(names_known, at == "/rule", "{}", findings[0].message);
        }
    }
}
