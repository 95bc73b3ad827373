//! A store with many keys.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use model::keys::Encryption;
use partners::{
    App, AppId, Company, Environment, Index, Key, Pepper, Registry, Subscription, SubscriptionId, SubscriptionState,
    UnixMicros,
};
use serde_json::{Value, json};
use store::{Commit, Row};
use store_sqlite::SqliteStore;

use crate::form::{Chance, complete};

/// Keys of an app, and apps of a company.
const TEN: u64 = 10;

/// Changes that are made together.
const AT_ONCE: usize = 5_000;

const NOW: UnixMicros = UnixMicros(1_767_225_600_000_000);

/// Makes the store in a folder as a gateway would have it.
pub(crate) async fn fill(folder: &Path, count: u64) -> Result<Value> {
    fs::create_dir_all(folder)?;
    let began = Instant::now();
    let pepper = pepper(folder)?;
    let store = SqliteStore::open(&folder.join("vestibule.db"))?;
    let (mut chance, mut writes, mut shown) = (Chance(88_172_645_463_325_252), Vec::new(), String::new());
    let mut app = None;
    for number in 0..count {
        if number % (TEN * TEN) == 0 {
            let name = format!("company-{}", number / (TEN * TEN)).parse()?;
            let company = Company { name, title: "A company".to_owned(), created: NOW };
            writes.push(store::Write::Create(Row::of(&company)));
        }
        if number % TEN == 0 {
            let id = AppId {
                company: format!("company-{}", number / (TEN * TEN)).parse()?,
                app: format!("app-{}", number / TEN % TEN).parse()?,
            };
            writes.push(store::Write::Create(Row::of(&App {
                id: id.clone(),
                title: "An app".to_owned(),
                created: NOW,
            })));
            let subscription = SubscriptionId { app: id.clone(), product: "gold".parse()? };
            let (state, created) = (SubscriptionState::Approved, NOW);
            writes.push(store::Write::Create(Row::of(&Subscription {
                id: subscription,
                state,
                created,
                changed: NOW,
            })));
            app = Some(id);
        }
        let app = app.as_ref().context("the first key has an app")?;
        let (key, text) = key(app, &pepper, &mut chance)?;
        writes.push(store::Write::Create(Row::of(&key)));
        if count <= TEN || number % TEN == 0 {
            writeln!(shown, "{text}")?;
        }
        if AT_ONCE <= writes.len() {
            commit(&store, &mut writes).await?;
        }
    }
    commit(&store, &mut writes).await?;
    fs::write(folder.join("keys.txt"), shown)?;
    Ok(json!({ "keys": count, "seconds": began.elapsed().as_secs_f64() }))
}

/// The index of a store that was filled.
pub(crate) async fn index(folder: &Path) -> Result<Index> {
    let index = Index::new(pepper(folder)?);
    index.refresh(&SqliteStore::open(&folder.join("vestibule.db"))?).await?;
    Ok(index)
}

/// The pepper where a gateway with this folder has it.
fn pepper(folder: &Path) -> Result<Pepper> {
    let store = serde_json::from_value(json!({ "embedded": folder }))?;
    let vault = control::vault(&store, &Encryption::default()).map_err(|cause| anyhow!(cause))?;
    Ok(Pepper::load_or_create(&vault)?)
}

fn key(app: &AppId, pepper: &Pepper, chance: &mut Chance) -> Result<(Key, String)> {
    let id = chance.digits(12);
    let hashed = format!("vk_live_{id}_{}", chance.digits(32));
    let text = complete(&hashed);
    let key = Key {
        id: id.parse()?,
        app: app.clone(),
        environment: Environment::Live,
        hash: pepper.hash(hashed.as_bytes()),
        imported: false,
        scopes: Vec::new(),
        prefix: format!("vk_live_{id}"),
        last_four: text.get(text.len() - 4..).unwrap_or_default().to_owned(),
        created: NOW,
        expires: None,
        revoked: None,
        replaces: None,
        replaced: None,
        last_used: None,
    };
    Ok((key, text))
}

async fn commit(store: &SqliteStore, writes: &mut Vec<store::Write>) -> Result<()> {
    store.commit(Commit { writes: std::mem::take(writes), ..Commit::default() }).await?;
    Ok(())
}
