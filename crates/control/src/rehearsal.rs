//! A document compiled to be looked at, with the keys of its store if they can be read.

use std::error::Error;
use std::sync::Arc;

use limits::Plans;
use model::document::Store;
use model::keys::Encryption;
use partners::{Index, Pepper};
use pipeline::{Kept, Services};
use policies::backend_token::Signers;
use policies::outside::{Background, NoBackground};
use policies::revocation_list::Revocations;
use policies::waiting_room_api::WaitingRooms;
use problem::{Finding, with_causes};
use snapshot::{Lent, Snapshot};
use store::Registry;
use store_postgres::PostgresStore;
use store_sqlite::SqliteStore;

use crate::authorities::NamedAuthorities;
use crate::backends;
use crate::document::{Configuration, and_the_rest};
use crate::keeping::{self, IndexedPlans};
use crate::rooms::NamedRooms;
use crate::signers::NamedSigners;

/// What is known of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    /// The document has no store, so there are none.
    None,
    /// So many were read.
    Known(usize),
    /// They cannot be read, for this reason.
    Unknown(String),
}

/// Compiles a document to see what it would do. Its store is read, and nothing is changed anywhere.
pub async fn rehearse(configuration: &Configuration) -> Result<(Snapshot, Keys), Vec<Finding>> {
    let document = &configuration.document;
    let all = |found| and_the_rest(configuration, found);
    let products = keeping::products(document, &|_| false).map_err(all)?;
    let mut services = Services::default();
    let mut keys = Keys::None;
    if let Some(store) = &document.store {
        let (index, found) = match indexed(store, &document.encryption).await {
            Ok(index) => {
                let count = index.keys();
                (index, Keys::Known(count))
            }
            Err(reason) => (Index::new(Pepper::new(&[0; 32])), Keys::Unknown(reason)),
        };
        index.set_file_products(products);
        let index = Arc::new(index);
        services = services.with(index.clone()).with::<dyn Plans>(Arc::new(IndexedPlans::new(index)));
        services = services.with::<dyn Signers>(Arc::new(NamedSigners::of(document)));
        services = services.with::<dyn WaitingRooms>(Arc::new(NamedRooms::of(document)));
        services = crate::sessions::none().into_iter().fold(services, Services::with);
        keys = found;
    }
    services = services.with::<dyn Revocations>(Arc::new(NamedAuthorities::of(document)));
    services = services.with::<dyn Background>(Arc::new(NoBackground));
    let lent = Lent { services: Arc::new(services), kept: Arc::new(Kept::default()) };
    let snapshot = Snapshot::compile(document, 0, &configuration.hash, &lent).map_err(all)?;
    Ok((snapshot, keys))
}

/// The keys of a store, or why they cannot be read.
async fn indexed(store: &Store, encryption: &Encryption) -> Result<Index, String> {
    let told = |error: Box<dyn Error + Send + Sync>| with_causes(&*error);
    let shared = backends::postgres(store).map_err(told)?;
    let file = backends::database(store.folder());
    // Looking at a store must not make one.
    if shared.is_none() && !file.exists() {
        return Err(format!("there is no store in {} yet", store.folder().display()));
    }
    let registry: Box<dyn Registry> = match shared {
        Some(settings) => Box::new(PostgresStore::open_to_read(settings).await.map_err(|error| told(error.into()))?),
        None => Box::new(SqliteStore::open_to_read(&file).map_err(|error| told(error.into()))?),
    };
    let vault = backends::vault(store, encryption).map_err(told)?;
    let index = Index::new(Pepper::load_or_create(&vault).map_err(|error| told(error.into()))?);
    index.refresh(&*registry).await.map_err(|error| told(error.into()))?;
    Ok(index)
}
