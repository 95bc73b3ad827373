//! Answers that are kept for whoever asks the same again because the first answer was lost.

use aws_lc_rs::digest::{SHA256, digest};
use store::{Commit, EntityId, Kind, Listing, Reply, ReplyId, Row, StoreError, Write};

use crate::{Error, Partners};

/// How long an answer is kept, in microseconds.
const KEPT: u64 = 24 * 3_600_000_000;

/// What became of a request that says by a key that it may be a repeated one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is the first one. It is to be done, and then [`Partners::settle`]d.
    First(Reply),
    /// It was done: this was the answer.
    Answered(store::Answer),
    /// It was begun, and has no answer: it goes on, or the gateway was ended meanwhile.
    Begun,
    /// The same key came with another request.
    Other,
}

impl Partners {
    /// Claims a key for a request, whose `fingerprint` tells it from others. Two processes never both get it.
    pub async fn claim(&self, asker: &str, key: &str, fingerprint: &[u8]) -> Result<Claim, Error> {
        let id = ReplyId::of(digest(&SHA256, format!("{asker}\0{key}").as_bytes()).as_ref());
        let fingerprint = store::hex(digest(&SHA256, fingerprint).as_ref());
        let reply = Reply { id, fingerprint, answer: None, at: self.now() };
        loop {
            match self.keep(Write::Create(Row::of(&reply))).await {
                Ok(()) => return Ok(Claim::First(reply)),
                Err(StoreError::Exists(_)) => {}
                Err(error) => return Err(error.into()),
            }
            let found = match self.records.get::<Reply>(&reply.id).await {
                Ok(found) => found,
                // It was forgotten just now.
                Err(StoreError::NotFound(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            if KEPT <= reply.at.0.saturating_sub(found.at.0) {
                self.forget(&reply.id).await?;
                continue;
            }
            return Ok(match &found.entity {
                other if other.fingerprint != reply.fingerprint => Claim::Other,
                Reply { answer: Some(answer), .. } => Claim::Answered(answer.clone()),
                Reply { answer: None, .. } => Claim::Begun,
            });
        }
    }

    /// Keeps the answer to a claimed request; without one, the request may be made again.
    pub async fn settle(&self, claimed: Reply, answer: Option<store::Answer>) -> Result<(), Error> {
        match answer {
            None => self.forget(&claimed.id).await,
            Some(answer) => {
                let reply = Reply { answer: Some(answer), ..claimed };
                Ok(self.keep(Write::Replace(Row::of(&reply), None)).await?)
            }
        }
    }

    /// Forgets the answers that are old enough.
    pub async fn forget_replies(&self) -> Result<(), Error> {
        let now = self.now();
        for reply in self.records.list::<Reply>(Listing::of(Kind::Reply)).await? {
            if KEPT <= now.0.saturating_sub(reply.at.0) {
                self.forget(&reply.id).await?;
            }
        }
        Ok(())
    }

    async fn forget(&self, id: &ReplyId) -> Result<(), Error> {
        match self.keep(Write::Delete(EntityId::from(id), None)).await {
            // Another process may have been faster.
            Ok(()) | Err(StoreError::NotFound(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes what is nobody's change, so that the audit log has no line for it.
    async fn keep(&self, write: Write) -> Result<(), StoreError> {
        self.records.registry().commit(Commit::of(write)).await.map(drop)
    }
}
