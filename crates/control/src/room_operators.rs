//! Who may operate waiting rooms: by tokens of the Admin API, and by access keys.

use std::sync::{Arc, OnceLock};

use futures::FutureExt;
use futures::future::BoxFuture;
use partners::{Act, Partners, Role};
use policies::waiting_room_api::{Doing, Operators};
use rooms::{AccessKeys, Changed, Reach};
use serde_json::Value;
use store::Unavailable;

/// Who may operate rooms by the traffic's listeners: those who may by the admin listener.
pub struct RoomOperators {
    partners: Arc<Partners>,
    access_keys: Arc<AccessKeys>,
    /// Whether a secret is the bootstrap token, once there is an admin listener.
    is_bootstrap: OnceLock<IsBootstrap>,
}

type IsBootstrap = Box<dyn Fn(&[u8]) -> bool + Send + Sync>;

impl RoomOperators {
    pub(crate) fn new(partners: Arc<Partners>, access_keys: Arc<AccessKeys>) -> Self {
        Self { partners, access_keys, is_bootstrap: OnceLock::new() }
    }

    /// Has the bootstrap token count, too.
    pub fn know_bootstrap(&self, is_bootstrap: impl Fn(&[u8]) -> bool + Send + Sync + 'static) {
        // Whoever was first may stay.
        drop(self.is_bootstrap.set(Box::new(is_bootstrap)));
    }
}

impl Operators for RoomOperators {
    fn who<'a>(&'a self, secret: &'a [u8], doing: Doing) -> BoxFuture<'a, Result<Option<Arc<str>>, Unavailable>> {
        async move {
            if self.is_bootstrap.get().is_some_and(|is_bootstrap| is_bootstrap(secret)) {
                return Ok(Some("bootstrap".into()));
            }
            let token = match self.partners.token(secret).await {
                Ok(token) => token,
                Err(partners::Error::Unavailable(cause)) => return Err(cause),
                Err(other) => return Err(Unavailable::because(other.to_string())),
            };
            let allowed = token.filter(|token| match token.role {
                Role::Owner | Role::Operator => true,
                Role::Auditor => doing == Doing::Look,
                Role::Billing | Role::Company => false,
            });
            Ok(allowed.map(|token| token.name.shared().clone()))
        }
        .boxed()
    }

    fn access_key<'a>(&'a self, id: &'a str, now: u64) -> BoxFuture<'a, Result<Option<(String, Doing)>, Unavailable>> {
        async move {
            let found = self.access_keys.find(id, now).await.map_err(Unavailable::because)?;
            Ok(found.map(|key| {
                let most = match key.reach {
                    Reach::Operator => Doing::Change,
                    Reach::Auditor => Doing::Look,
                };
                (key.expose().to_owned(), most)
            }))
        }
        .boxed()
    }

    fn note<'a>(
        &'a self,
        who: Arc<str>,
        (changed, room): (Changed, &'a str),
        now: Value,
    ) -> BoxFuture<'a, Result<(), Unavailable>> {
        async move {
            let partners = self.partners.acting(Act { actor: who, ..Act::default() });
            partners.note(changed.0, ("room", room), now).await.map_err(|error| match error {
                partners::Error::Unavailable(cause) => cause,
                other => Unavailable::because(other.to_string()),
            })
        }
        .boxed()
    }
}
