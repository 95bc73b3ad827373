//! What the index does with a store that fails, and with what requests under way depend on.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pipeline::Over;
use store::{
    Change, Commit, EntityId, InMemory, Kind, Listing, Noted, Registry, Revision, StoreError, Stored, Unavailable,
    UnixMicros,
};

use crate::Unknown;
use crate::tests::{DAY, Fixture, index};

/// A registry that cannot list certificates, so that a first reading stops after the keys.
struct FailsAfterKeys(Arc<InMemory>);

#[async_trait]
impl Registry for FailsAfterKeys {
    async fn commit(&self, commit: Commit) -> Result<Revision, StoreError> {
        self.0.commit(commit).await
    }

    async fn find(&self, id: &EntityId) -> Result<Option<Stored>, StoreError> {
        self.0.find(id).await
    }

    async fn list(&self, listing: Listing<'_>) -> Result<Vec<Stored>, StoreError> {
        match listing.kind {
            Kind::Certificate => Err(Unavailable::because(std::io::Error::other("it is down")).into()),
            _ => self.0.list(listing).await,
        }
    }

    async fn touch(&self, used: &[(EntityId, UnixMicros)]) -> Result<(), StoreError> {
        self.0.touch(used).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.0.revision().await
    }

    async fn changes_since(&self, since: Revision, limit: usize) -> Result<Vec<Change>, StoreError> {
        self.0.changes_since(since, limit).await
    }

    async fn noted(&self, after: u64, limit: usize) -> Result<Vec<Noted>, StoreError> {
        self.0.noted(after, limit).await
    }
}

#[tokio::test]
async fn what_a_reading_saw_that_failed_and_is_gone_since_opens_nothing() {
    let fixture = Fixture::new();
    let key = fixture.key(&fixture.app().await.id).await;
    let second = index();
    second.refresh(&FailsAfterKeys(fixture.registry.clone())).await.unwrap_err();
    assert!(second.find(key.secret.expose()).is_ok());

    fixture.forget(&key.key.id).await;
    second.refresh(&*fixture.registry).await.unwrap();

    assert_eq!(second.find(key.secret.expose()).err(), Some(Unknown::NoSuchKey));
    assert_eq!(second.keys(), 0);
}

#[tokio::test]
async fn what_a_key_opened_ends_with_it_however_it_changed_before() {
    let fixture = Fixture::new();
    let app = fixture.app().await;
    let hour = Duration::from_hours(1);
    let (rotated, revoked, deleted) =
        (fixture.key(&app.id).await, fixture.key(&app.id).await, fixture.key(&app.id).await);
    let life = |key: &crate::Issued| {
        let found = fixture.partners.index().find(key.secret.expose()).unwrap();
        found.life().clone()
    };
    let lives = [&rotated, &revoked, &deleted].map(life);
    let over = |at: u64| [0, 1, 2].map(|index: usize| lives[index].over(at));
    assert_eq!(over(9 * DAY), [None, None, None]);

    fixture.partners.rotate_key(&rotated.key.id, hour).await.unwrap();
    fixture.partners.expire_key(&revoked.key.id, Some(UnixMicros(2 * DAY))).await.unwrap();
    fixture.partners.revoke_key(&revoked.key.id).await.unwrap();
    fixture.forget(&deleted.key.id).await;

    assert_eq!(over(DAY), [None, Some(Over::Revoked), Some(Over::Deleted)]);
    assert_eq!(over(DAY + 3_600_000_000)[0], Some(Over::Expired));
    assert!(Arc::ptr_eq(&lives[0], &life(&rotated)), "it stays the same");
}

#[tokio::test]
async fn what_keys_opened_that_a_store_does_not_have_any_more_ends() {
    let fixture = Fixture::new();
    let app = fixture.app().await;
    let lost = fixture.key(&app.id).await;
    let life = fixture.partners.index().find(lost.secret.expose()).unwrap().life().clone();
    fixture.key(&app.id).await;

    fixture.partners.index().refresh(&InMemory::default()).await.unwrap();

    assert_eq!((life.over(DAY), fixture.partners.index().keys()), (Some(Over::Deleted), 0));
}
