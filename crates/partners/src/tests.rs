//! The use cases and the index together, as an operator and a request see them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Method;
use store::{
    App, AppId, Commit, CompanyName, InMemory, Key, ManagedBy, Quota, Registry, Row, SubscriptionState, UnixMicros,
    Write,
};

use crate::{
    Error, Index, Issued, KeyState, NewApp, NewCompany, NewKey, NewProduct, Partners, Pepper, Product, Target, Unknown,
};

pub(crate) const DAY: u64 = 86_400_000_000;

pub(crate) struct Fixture {
    pub(crate) registry: Arc<InMemory>,
    pub(crate) partners: Partners,
    now: Arc<AtomicU64>,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let registry = Arc::new(InMemory::default());
        let now = Arc::new(AtomicU64::new(DAY));
        let clock = now.clone();
        let index = Arc::new(index());
        let partners =
            Partners::new(registry.clone(), index, Arc::new(move || UnixMicros(clock.load(Ordering::Relaxed))));
        Self { registry, partners, now }
    }

    pub(crate) async fn app(&self) -> App {
        let company = self.partners.create_company(NewCompany { name: "acme".to_owned(), title: None }).await.unwrap();
        let new = NewApp { name: "shop".to_owned(), title: Some("The shop".to_owned()) };
        self.partners.create_app(&company.name, new).await.unwrap().entity
    }

    pub(crate) async fn key(&self, app: &AppId) -> Issued {
        self.partners.create_key(app, NewKey::default()).await.unwrap()
    }

    pub(crate) fn state(&self, issued: &Issued) -> Result<KeyState, Unknown> {
        self.partners.whoami(issued.secret.expose()).map(|whoami| whoami.state)
    }

    pub(crate) async fn registry_touches(&self, used: Vec<(store::EntityId, UnixMicros)>) {
        self.registry.touch(&used).await.unwrap();
    }

    /// Deletes a key, which no operator can but with its app.
    pub(crate) async fn forget(&self, key: &store::KeyId) {
        self.registry.commit(Commit::of(Write::Delete(key.into(), None))).await.unwrap();
        self.partners.tell().await;
    }

    pub(crate) fn pass(&self, micros: u64) {
        self.now.fetch_add(micros, Ordering::Relaxed);
    }
}

pub(crate) fn index() -> Index {
    Index::new(Pepper::new(&[7; 32]))
}

fn product(name: &str, operation: &str) -> NewProduct {
    NewProduct { name: name.to_owned(), operations: vec![operation.to_owned()], quota: None }
}

fn of_file(name: &str, operation: &str) -> Product {
    Product {
        name: name.parse().unwrap(),
        operations: vec![operation.parse().unwrap()],
        quota: None,
        managed_by: ManagedBy::File,
    }
}

fn allowed_by(index: &Index, issued: &Issued) -> Option<String> {
    let found = index.find(issued.secret.expose()).unwrap();
    let target = Target::new("orders", &Method::GET, "/x", 0);
    found.app().grants().product_for(&target).map(|granted| granted.product().name.to_string())
}

#[tokio::test]
async fn a_key_works_as_soon_as_it_is_made_and_no_longer_than_it_may() {
    let fixture = Fixture::new();
    let app = fixture.app().await;
    let key = fixture.key(&app.id).await;
    assert_eq!(fixture.state(&key), Ok(KeyState::Alive));

    fixture.partners.revoke_key(&key.key.id).await.unwrap();
    assert_eq!(fixture.state(&key), Ok(KeyState::Revoked(UnixMicros(DAY))));

    fixture.partners.delete_app(&app.id).await.unwrap();
    assert_eq!(fixture.state(&key), Err(Unknown::NoSuchKey));
    assert_eq!(fixture.partners.index().keys(), 0);
}

#[tokio::test]
async fn a_secret_is_kept_nowhere() {
    let fixture = Fixture::new();
    let issued = fixture.key(&fixture.app().await.id).await;

    let stored = fixture.registry.find(&issued.key.id.into()).await.unwrap().unwrap();
    let kept: Key = stored.entity().unwrap();
    let secret = issued.secret.expose();
    assert!(!format!("{issued:?} {kept:?} {stored:?}").contains(secret));
    assert!(secret.starts_with(&kept.prefix) && secret.ends_with(&kept.last_four));
    assert_eq!(kept.hash.digest.len(), 32);
    assert!(kept.hash.algorithm.starts_with("hmac-sha256/"));
}

#[tokio::test]
async fn a_new_index_learns_everything_from_the_store() {
    let fixture = Fixture::new();
    let app = fixture.app().await;
    let keys = [fixture.key(&app.id).await, fixture.key(&app.id).await];
    let gold = fixture.partners.create_product(product("gold", "orders: GET /**")).await.unwrap();
    fixture.partners.subscribe(&app.id, &gold.name, SubscriptionState::Approved).await.unwrap();

    let second = index();
    second.refresh(&*fixture.registry).await.unwrap();

    for key in &keys {
        assert_eq!(allowed_by(&second, key).as_deref(), Some("gold"));
    }
    assert_eq!((second.keys(), second.revision()), (2, fixture.registry.revision().await.unwrap()));
    assert_eq!(second.refresh(&*fixture.registry).await.unwrap(), 0);
}

#[tokio::test]
async fn what_another_process_changes_is_followed() {
    let fixture = Fixture::new();
    let app = fixture.app().await;
    let key = fixture.key(&app.id).await;
    let second = index();
    second.refresh(&*fixture.registry).await.unwrap();

    fixture.partners.revoke_key(&key.key.id).await.unwrap();

    assert_eq!(second.find(key.secret.expose()).unwrap().state(UnixMicros(0)), KeyState::Alive);
    assert_eq!(second.refresh(&*fixture.registry).await.unwrap(), 1);
    assert_ne!(second.find(key.secret.expose()).unwrap().state(UnixMicros(0)), KeyState::Alive);
}

#[tokio::test(start_paused = true)]
async fn a_follower_needs_no_telling() {
    let fixture = Fixture::new();
    let app = fixture.app().await;
    let second = index();

    let following = crate::follow(&second, &*fixture.registry, &store::Alone, "one", Duration::from_millis(500));
    tokio::time::timeout(Duration::from_secs(1), following).await.unwrap_err();

    let key = fixture.key(&app.id).await;
    assert!(second.find(key.secret.expose()).is_err());
    let following = crate::follow(&second, &*fixture.registry, &store::Alone, "one", Duration::from_millis(500));
    tokio::time::timeout(Duration::from_secs(1), following).await.unwrap_err();
    assert!(second.find(key.secret.expose()).is_ok());
}

#[tokio::test]
async fn an_index_follows_a_store_that_went_back() {
    let fixture = Fixture::new();
    let app = fixture.app().await;
    let lost = fixture.key(&app.id).await;
    let backup = Fixture::new();
    let old_app = backup.app().await;
    let old = backup.key(&old_app.id).await;
    fixture.key(&app.id).await;

    fixture.partners.index().refresh(&*backup.registry).await.unwrap();

    assert_eq!(fixture.state(&lost), Err(Unknown::NoSuchKey));
    assert_eq!(fixture.state(&old), Ok(KeyState::Alive));
    assert_eq!(fixture.partners.index().revision(), backup.registry.revision().await.unwrap());
}

#[tokio::test]
async fn a_key_of_another_pepper_opens_nothing_and_is_counted() {
    let fixture = Fixture::new();
    let key = fixture.key(&fixture.app().await.id).await;
    let other = Index::new(Pepper::new(&[8; 32]));

    other.refresh(&*fixture.registry).await.unwrap();

    assert_eq!(other.find(key.secret.expose()).err(), Some(Unknown::NoSuchKey));
    assert_eq!((other.foreign_keys(), other.keys()), (1, 0));
}

#[tokio::test]
async fn a_subscription_opens_only_while_it_is_approved() {
    let fixture = Fixture::new();
    let app = fixture.app().await;
    let key = fixture.key(&app.id).await;
    let gold = fixture.partners.create_product(product("gold", "orders: GET /**")).await.unwrap();
    let wish = fixture.partners.subscribe(&app.id, &gold.name, SubscriptionState::Pending).await.unwrap();
    let index = fixture.partners.index();
    assert_eq!(allowed_by(index, &key), None);

    for (state, opens) in [
        (SubscriptionState::Approved, true),
        (SubscriptionState::Suspended, false),
        (SubscriptionState::Approved, true),
        (SubscriptionState::Refused, false),
    ] {
        fixture.partners.decide(&wish.id, state).await.unwrap();
        assert_eq!(allowed_by(index, &key).is_some(), opens, "{state}");
    }
    fixture.partners.approve(&wish.id).await.unwrap();
    fixture.partners.replace_product(product("gold", "orders: POST /**")).await.unwrap();
    assert_eq!(allowed_by(index, &key), None);
    fixture.partners.unsubscribe(&wish.id).await.unwrap();
    fixture.partners.delete_product(&gold.name).await.unwrap();
    assert!(index.product("gold").is_none());
}

#[tokio::test]
async fn a_product_of_the_file_comes_and_goes_with_the_file() {
    let fixture = Fixture::new();
    let (app, index) = (fixture.app().await, fixture.partners.index());
    let key = fixture.key(&app.id).await;
    index.set_file_products(vec![of_file("gold", "orders: GET /**")]);
    fixture.partners.subscribe(&app.id, &"gold".parse().unwrap(), SubscriptionState::Approved).await.unwrap();
    assert_eq!(allowed_by(index, &key).as_deref(), Some("gold"));

    index.set_file_products(Vec::new());
    assert_eq!(allowed_by(index, &key), None);
    assert!(index.product("gold").is_none());

    index.set_file_products(vec![of_file("gold", "orders: GET /x")]);
    assert_eq!(allowed_by(index, &key).as_deref(), Some("gold"));
}

#[tokio::test]
async fn only_the_file_changes_a_product_of_the_file() {
    let fixture = Fixture::new();
    let name = "gold".parse().unwrap();
    fixture.partners.create_product(product("silver", "orders: GET /**")).await.unwrap();
    fixture.partners.create_product(product("gold", "orders: GET /hidden")).await.unwrap();
    fixture.partners.index().set_file_products(vec![of_file("gold", "orders: GET /x")]);

    let new = || product("gold", "orders: * /**");
    assert!(matches!(fixture.partners.create_product(new()).await, Err(Error::ManagedByFile(_))));
    assert!(matches!(fixture.partners.replace_product(new()).await, Err(Error::ManagedByFile(_))));
    assert!(matches!(fixture.partners.delete_product(&name).await, Err(Error::ManagedByFile(_))));
    assert_eq!(fixture.partners.product(&name).await.unwrap().operations, ["orders: GET /x"]);
    let all = fixture.partners.products(None, 9).await.unwrap();
    let all: Vec<_> = all.iter().map(|product| (product.name.as_str(), product.managed_by)).collect();
    assert_eq!(all, [("gold", ManagedBy::File), ("silver", ManagedBy::Api)]);
}

#[tokio::test]
async fn a_rotated_key_works_on_for_the_overlap() {
    let fixture = Fixture::new();
    let app = fixture.app().await;
    let new = NewKey { scopes: vec!["read".to_owned()], ..NewKey::default() };
    let old = fixture.partners.create_key(&app.id, new).await.unwrap();

    let rotated = fixture.partners.rotate_key(&old.key.id, Duration::from_hours(24)).await.unwrap();

    assert_eq!(rotated.key.scopes, old.key.scopes);
    assert_eq!((fixture.state(&old), fixture.state(&rotated)), (Ok(KeyState::Alive), Ok(KeyState::Alive)));
    fixture.pass(DAY);
    assert_eq!(fixture.state(&old), Ok(KeyState::Expired(UnixMicros(2 * DAY))));
    assert_eq!(fixture.state(&rotated), Ok(KeyState::Alive));
    let again = fixture.partners.rotate_key(&old.key.id, Duration::ZERO).await;
    assert!(matches!(again, Err(Error::KeyIsDead(_))));
}

#[tokio::test]
async fn every_mistake_is_told_with_its_place() {
    let fixture = Fixture::new();
    let app = fixture.app().await;
    let places = |answer: Result<(), Error>| match answer {
        Err(Error::Invalid(findings)) => findings.iter().map(|finding| finding.at.to_string()).collect::<Vec<_>>(),
        answer => panic!("should be invalid: {answer:?}"),
    };

    let new = NewCompany { name: "Acme Inc".to_owned(), title: Some("\n".to_owned()) };
    assert_eq!(places(fixture.partners.create_company(new).await.map(drop)), ["/name", "/title"]);
    let new = NewProduct {
        name: "-".to_owned(),
        operations: ["orders: GET /**", "GET /", "orders: get /"].map(str::to_owned).to_vec(),
        quota: Some(Quota { requests: 0, per: store::Period::Day }),
    };
    let expected = ["/name", "/operations/1", "/operations/2", "/quota/requests"];
    assert_eq!(places(fixture.partners.create_product(new).await.map(drop)), expected);
    let new = NewKey {
        scopes: vec!["ok".to_owned(), "not ok".to_owned()],
        expires: Some(UnixMicros(DAY)),
        ..NewKey::default()
    };
    assert_eq!(places(fixture.partners.create_key(&app.id, new).await.map(drop)), ["/scopes/1", "/expires"]);
}

#[tokio::test]
async fn what_is_missing_or_taken_is_named() {
    let fixture = Fixture::new();
    let app = fixture.app().await;
    let nobody: CompanyName = "nobody".parse().unwrap();
    let shop = || NewApp { name: "shop".to_owned(), title: None };

    let text = |answer: Result<(), Error>| answer.unwrap_err().to_string();
    assert_eq!(text(fixture.partners.company(&nobody).await.map(drop)), "there is no company `nobody`");
    assert_eq!(text(fixture.partners.create_app(&nobody, shop()).await.map(drop)), "there is no company `nobody`");
    let again = fixture.partners.create_app(&app.id.company, shop()).await;
    assert_eq!(text(again.map(drop)), "app `acme/shop` is there already");
    let no_product = "gold".parse().unwrap();
    let wish = fixture.partners.subscribe(&app.id, &no_product, SubscriptionState::Pending).await;
    assert_eq!(text(wish.map(drop)), "there is no product `gold`");
}

#[tokio::test]
async fn an_app_has_a_bounded_number_of_living_keys() {
    let fixture = Fixture::new();
    let app = fixture.app().await;
    let first = fixture.key(&app.id).await;
    for _ in 1..100 {
        fixture.key(&app.id).await;
    }
    let one_more = fixture.partners.create_key(&app.id, NewKey::default()).await;
    assert!(matches!(one_more, Err(Error::TooManyKeys { most: 100, .. })));

    fixture.partners.revoke_key(&first.key.id).await.unwrap();
    fixture.key(&app.id).await;
}

#[tokio::test]
async fn uses_are_noted_about_once_in_ten_minutes_and_those_of_a_rotated_key_once_a_minute() {
    let fixture = Fixture::new();
    let key = fixture.key(&fixture.app().await.id).await;
    let index = fixture.partners.index();
    let found = index.find(key.secret.expose()).unwrap();
    assert_eq!(index.uses_since(UnixMicros(0)), []);

    found.used(UnixMicros(DAY));
    found.used(UnixMicros(DAY + 599_999_999));
    assert_eq!(index.uses_since(UnixMicros(0)), [(key.key.id.into(), UnixMicros(DAY))]);
    found.used(UnixMicros(DAY + 600_000_000));
    assert_eq!(index.uses_since(UnixMicros(DAY)), [(key.key.id.into(), UnixMicros(DAY + 600_000_000))]);

    fixture.partners.rotate_key(&key.key.id, Duration::from_hours(1)).await.unwrap();
    index.find(key.secret.expose()).unwrap().used(UnixMicros(DAY + 660_000_000));
    // A change of the key keeps its uses.
    fixture.partners.revoke_key(&key.key.id).await.unwrap();
    assert_eq!(index.uses_since(UnixMicros(DAY + 600_000_000)), [(key.key.id.into(), UnixMicros(DAY + 660_000_000))]);
    assert_eq!(index.uses_since(UnixMicros(DAY + 660_000_000)), []);
}

#[tokio::test]
async fn a_key_that_only_looks_right_is_unknown() {
    let (fixture, other) = (Fixture::new(), Fixture::new());
    let app = fixture.app().await;
    let ours = fixture.key(&app.id).await;
    let theirs = other.key(&other.app().await.id).await;
    let index = fixture.partners.index();

    assert_eq!(index.find(theirs.secret.expose()).err(), Some(Unknown::NoSuchKey));
    // The id of one key with the hash of another one.
    let swapped = Key { id: theirs.key.id, ..ours.key.entity.clone() };
    fixture.registry.commit(Commit::of(Write::Create(Row::of(&swapped)))).await.unwrap();
    index.refresh(&*fixture.registry).await.unwrap();
    assert_eq!(index.find(theirs.secret.expose()).err(), Some(Unknown::NoSuchKey));
    assert!(index.find(ours.secret.expose()).is_ok());
}

#[tokio::test]
async fn a_product_of_an_api_that_is_not_there_is_refused() {
    let fixture = Fixture::new();
    fixture.partners.index().set_apis(vec!["orders".to_owned(), "stock".to_owned()]);
    let operations = ["stock: GET /**", "ordres: GET /**"].map(str::to_owned).to_vec();
    let refused = fixture.partners.create_product(NewProduct { operations, ..product("gold", "") }).await;

    let Err(Error::Invalid(findings)) = refused else { panic!("{refused:?}") };
    let told: Vec<_> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["/operations/1: there is no api `ordres`; did you mean `orders`?"]);
}
