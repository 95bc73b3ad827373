//! Who may operate waiting rooms: by tokens of the Admin API, and by access keys.

use std::sync::{Arc, OnceLock};

use futures::FutureExt;
use futures::future::BoxFuture;
use partners::{Partners, Role};
use policies::waiting_room_api::{Doing, Operators};
use rooms::{AccessKeys, Reach};
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
    fn may<'a>(&'a self, secret: &'a [u8], doing: Doing) -> BoxFuture<'a, Result<bool, Unavailable>> {
        async move {
            if self.is_bootstrap.get().is_some_and(|is_bootstrap| is_bootstrap(secret)) {
                return Ok(true);
            }
            let token = match self.partners.token(secret).await {
                Ok(token) => token,
                Err(partners::Error::Unavailable(cause)) => return Err(cause),
                Err(other) => return Err(Unavailable::because(other.to_string())),
            };
            Ok(token.is_some_and(|token| match token.role {
                Role::Owner | Role::Operator => true,
                Role::Auditor => doing == Doing::Look,
                Role::Billing | Role::Company => false,
            }))
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
}
