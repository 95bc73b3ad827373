//! A document compiled to be looked at, with the keys of its store if they can be read.

use std::path::Path;
use std::sync::Arc;

use limits::Plans;
use partners::{Index, Pepper};
use pipeline::{Kept, Services};
use policies::backend_token::Signers;
use policies::outside::{Background, NoBackground};
use policies::revocation_list::Revocations;
use problem::Finding;
use snapshot::{Lent, Snapshot};
use store_sqlite::SqliteStore;

use crate::authorities::NamedAuthorities;
use crate::document::{Configuration, and_the_rest};
use crate::keeping::{self, IndexedPlans};
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
        let (index, found) = match indexed(&store.embedded).await {
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
        keys = found;
    }
    services = services.with::<dyn Revocations>(Arc::new(NamedAuthorities::of(document)));
    services = services.with::<dyn Background>(Arc::new(NoBackground));
    let lent = Lent { services: Arc::new(services), kept: Arc::new(Kept::default()) };
    let snapshot = Snapshot::compile(document, 0, &configuration.hash, &lent).map_err(all)?;
    Ok((snapshot, keys))
}

/// The keys of a store, or why they cannot be read.
async fn indexed(folder: &Path) -> Result<Index, String> {
    let (pepper, file) = (folder.join("pepper"), folder.join("vestibule.db"));
    // Looking at a store must not make one.
    if !pepper.exists() || !file.exists() {
        return Err(format!("there is no store in {} yet", folder.display()));
    }
    let index = Index::new(Pepper::load_or_create(&pepper).map_err(|error| told(&error))?);
    let store = SqliteStore::open_to_read(&file).map_err(|error| told(&error))?;
    index.refresh(&store).await.map_err(|error| told(&error))?;
    Ok(index)
}

/// An error with its causes.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |told, cause| format!("{told}: {cause}"))
}
