//! What is done with silences: alerts that nobody is told of for a while.

use std::time::Duration;

use problem::Pointer;
use store::{Kind, Listing, Silence, SilenceId, UnixMicros};

use crate::input::{Checking, NewSilence};
use crate::records::At;
use crate::{Error, Partners};

impl Partners {
    /// Makes a silence.
    pub async fn create_silence(&self, new: NewSilence) -> Result<At<Silence>, Error> {
        let NewSilence { alert, rule, labels, reason, lasts } = new;
        let mut checking = Checking::default();
        let at = |member: &str| Pointer::default().at(member);
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
