//! What every [`Registry`] has to do.

#![expect(missing_docs, reason = "the names are the promises")]

use crate::{
    App, AppId, Change, Changed, Company, EntityId, Environment, Key, KeyHash, KeyId, ManagedBy, Period, Product,
    Quota, Registry, Revision, StoreError, Subscription, SubscriptionId, SubscriptionState, UnixMicros,
};

fn company(name: &str) -> Company {
    Company { name: name.parse().unwrap(), title: format!("The {name} company"), created: UnixMicros(1) }
}

fn app_id(company: &str, app: &str) -> AppId {
    AppId { company: company.parse().unwrap(), app: app.parse().unwrap() }
}

fn app(company: &str, app: &str) -> App {
    App { id: app_id(company, app), title: format!("The {app} app"), created: UnixMicros(2) }
}

fn product(name: &str) -> Product {
    Product {
        name: name.parse().unwrap(),
        operations: vec!["orders: GET /**".to_owned(), "orders: POST /orders".to_owned()],
        quota: Some(Quota { requests: u64::from(u32::MAX) * 3, per: Period::Month }),
        managed_by: ManagedBy::Api,
        created: UnixMicros(3),
    }
}

fn subscription(company: &str, app: &str, product: &str) -> Subscription {
    Subscription {
        id: SubscriptionId { app: app_id(company, app), product: product.parse().unwrap() },
        state: SubscriptionState::Pending,
        created: UnixMicros(4),
        changed: UnixMicros(4),
    }
}

fn key(company: &str, app: &str, id: &str) -> Key {
    Key {
        id: id.parse().unwrap(),
        app: app_id(company, app),
        environment: Environment::Test,
        hash: KeyHash { algorithm: "a-tag-from-the-future".to_owned(), digest: (0..=255).collect() },
        scopes: vec!["orders:read".to_owned(), "a \"quoted\", scope".to_owned()],
        prefix: "vk_test_".to_owned(),
        last_four: "Zz09".to_owned(),
        created: UnixMicros(5),
        expires: Some(UnixMicros(u64::from(u32::MAX) * 1_000_000)),
        revoked: None,
        last_used: None,
    }
}

/// Two companies; `acme` has the apps `shop` and `site`.
async fn furnish(registry: &dyn Registry) {
    for name in ["acme", "zeta"] {
        registry.create_company(&company(name)).await.unwrap();
    }
    for name in ["shop", "site"] {
        registry.create_app(&app("acme", name)).await.unwrap();
    }
}

#[track_caller]
fn assert_missing<T: std::fmt::Debug>(answer: Result<T, StoreError>, id: impl Into<EntityId>) {
    let id = id.into();
    match answer {
        Err(StoreError::NotFound(missing)) if missing == id => {}
        answer => panic!("{id} should not be there: {answer:?}"),
    }
}

#[track_caller]
fn assert_taken(answer: Result<(), StoreError>, id: impl Into<EntityId>) {
    let id = id.into();
    match answer {
        Err(StoreError::Exists(taken)) if taken == id => {}
        answer => panic!("{id} should be there already: {answer:?}"),
    }
}

pub async fn a_company_is_found_until_it_is_deleted(registry: &dyn Registry) {
    let acme = company("acme");
    registry.create_company(&acme).await.unwrap();
    assert_eq!(registry.company(&acme.name).await.unwrap(), acme);

    registry.delete_company(&acme.name).await.unwrap();
    assert_missing(registry.company(&acme.name).await, &acme.name);
    assert_missing(registry.delete_company(&acme.name).await, &acme.name);
}

pub async fn a_name_is_taken_once(registry: &dyn Registry) {
    furnish(registry).await;
    let wish = subscription("acme", "shop", "gold");
    let first = key("acme", "shop", "aaaaaaaaaaaa");
    registry.create_product(&product("gold")).await.unwrap();
    registry.create_subscription(&wish).await.unwrap();
    registry.create_key(&first).await.unwrap();

    assert_taken(registry.create_company(&company("acme")).await, &company("acme").name);
    assert_taken(registry.create_app(&app("acme", "shop")).await, &app_id("acme", "shop"));
    assert_taken(registry.create_product(&product("gold")).await, &product("gold").name);
    assert_taken(registry.create_subscription(&wish).await, &wish.id);
    assert_taken(registry.create_key(&key("acme", "site", "aaaaaaaaaaaa")).await, &first.id);
    registry.create_app(&app("zeta", "shop")).await.unwrap();
}

pub async fn lists_come_in_pages_sorted_by_name(registry: &dyn Registry) {
    for name in ["b", "a-b", "a", "c", "a1"] {
        registry.create_company(&company(name)).await.unwrap();
        registry.create_app(&app("b", name)).await.ok();
        registry.create_product(&product(name)).await.unwrap();
    }
    registry.create_app(&app("c", "other")).await.unwrap();

    let first = registry.companies(None, 2).await.unwrap();
    assert_eq!(first, [company("a"), company("a-b")]);
    let rest = registry.companies(first.last().map(|last| &last.name), 9).await.unwrap();
    assert_eq!(rest, [company("a1"), company("b"), company("c")]);
    let of_b = registry.apps(&company("b").name, Some(&app_id("b", "a-b")), 2).await.unwrap();
    assert_eq!(of_b, [app("b", "a1"), app("b", "b")]);
    let products = registry.products(Some(&product("b").name), 9).await.unwrap();
    assert_eq!(products, [product("c")]);
}

pub async fn an_app_belongs_to_its_company(registry: &dyn Registry) {
    furnish(registry).await;
    let nobodys = app("nobody", "shop");

    assert_missing(registry.create_app(&nobodys).await, &nobodys.id.company);
    assert_missing(registry.apps(&nobodys.id.company, None, 9).await, &nobodys.id.company);
    assert_missing(registry.app(&app_id("zeta", "shop")).await, &app_id("zeta", "shop"));
    assert_eq!(registry.app(&app_id("acme", "shop")).await.unwrap(), app("acme", "shop"));
    assert_eq!(registry.apps(&company("zeta").name, None, 9).await.unwrap(), []);
}

pub async fn deleting_a_company_deletes_all_it_has(registry: &dyn Registry) {
    furnish(registry).await;
    registry.create_app(&app("zeta", "shop")).await.unwrap();
    let (lost, kept) = (key("acme", "shop", "lostlostlost"), key("zeta", "shop", "keptkeptkept"));
    let wish = subscription("acme", "site", "gold");
    registry.create_key(&lost).await.unwrap();
    registry.create_key(&kept).await.unwrap();
    registry.create_subscription(&wish).await.unwrap();

    registry.delete_company(&company("acme").name).await.unwrap();

    assert_missing(registry.key(&lost.id).await, &lost.id);
    assert_missing(registry.subscription(&wish.id).await, &wish.id);
    assert_missing(registry.app(&lost.app).await, &lost.app);
    assert_missing(registry.keys(&lost.app).await, &lost.app);
    assert_eq!(registry.key(&kept.id).await.unwrap(), kept);
    assert_eq!(registry.app(&kept.app).await.unwrap(), app("zeta", "shop"));
}

pub async fn a_product_keeps_what_was_written(registry: &dyn Registry) {
    let gold = product("gold");
    let free = Product { operations: Vec::new(), quota: None, managed_by: ManagedBy::File, ..product("free") };
    registry.create_product(&gold).await.unwrap();
    registry.create_product(&free).await.unwrap();

    assert_eq!(registry.product(&gold.name).await.unwrap(), gold);
    assert_eq!(registry.product(&free.name).await.unwrap(), free);
}

pub async fn a_replaced_product_keeps_its_birthday(registry: &dyn Registry) {
    let gold = product("gold");
    assert_missing(registry.replace_product(&gold).await, &gold.name);
    registry.create_product(&gold).await.unwrap();

    let quota = Some(Quota { requests: 1, per: Period::Minute });
    let changed = Product { quota, operations: Vec::new(), ..gold.clone() };
    registry.replace_product(&Product { created: UnixMicros(99), ..changed.clone() }).await.unwrap();

    assert_eq!(registry.product(&gold.name).await.unwrap(), changed);
}

pub async fn a_product_in_use_stays(registry: &dyn Registry) {
    furnish(registry).await;
    let (gold, wish) = (product("gold"), subscription("acme", "shop", "gold"));
    registry.create_product(&gold).await.unwrap();
    registry.create_subscription(&wish).await.unwrap();

    let answer = registry.delete_product(&gold.name).await;
    assert!(matches!(&answer, Err(StoreError::InUse(EntityId::Product(name))) if *name == gold.name), "{answer:?}");

    registry.delete_subscription(&wish.id).await.unwrap();
    registry.delete_product(&gold.name).await.unwrap();
    assert_missing(registry.product(&gold.name).await, &gold.name);
}

pub async fn a_subscription_changes_its_state(registry: &dyn Registry) {
    furnish(registry).await;
    let wish = subscription("acme", "shop", "gold");
    let approved = SubscriptionState::Approved;
    assert_missing(registry.set_subscription_state(&wish.id, approved, UnixMicros(9)).await, &wish.id);
    assert_missing(registry.create_subscription(&subscription("acme", "no", "gold")).await, &app_id("acme", "no"));
    registry.create_subscription(&wish).await.unwrap();

    for (at, state) in [(9, approved), (10, SubscriptionState::Suspended), (11, SubscriptionState::Refused)] {
        let changed = registry.set_subscription_state(&wish.id, state, UnixMicros(at)).await.unwrap();
        assert_eq!(changed, Subscription { state, changed: UnixMicros(at), ..wish.clone() });
        assert_eq!(registry.subscription(&wish.id).await.unwrap(), changed);
    }
    assert_missing(registry.subscriptions(&app_id("acme", "no")).await, &app_id("acme", "no"));
}

pub async fn subscriptions_are_found_by_state(registry: &dyn Registry) {
    furnish(registry).await;
    let wishes =
        [("shop", "gold"), ("shop", "silver"), ("site", "bronze")].map(|(app, to)| subscription("acme", app, to));
    for wish in &wishes {
        registry.create_subscription(wish).await.unwrap();
    }
    let [gold, silver, bronze] = &wishes;
    registry.set_subscription_state(&gold.id, SubscriptionState::Approved, UnixMicros(9)).await.unwrap();

    let pending = SubscriptionState::Pending;
    assert_eq!(registry.subscriptions_in(pending, None, 9).await.unwrap(), [silver.clone(), bronze.clone()]);
    assert_eq!(registry.subscriptions_in(pending, Some(&silver.id), 9).await.unwrap(), std::slice::from_ref(bronze));
    assert_eq!(registry.subscriptions_in(pending, None, 1).await.unwrap(), std::slice::from_ref(silver));
    let of_shop = registry.subscriptions(&app_id("acme", "shop")).await.unwrap();
    assert_eq!(of_shop.iter().map(|wish| wish.id.product.as_str()).collect::<Vec<_>>(), ["gold", "silver"]);
}

pub async fn a_key_keeps_all_that_it_was_given(registry: &dyn Registry) {
    furnish(registry).await;
    let (full, bare) = (key("acme", "shop", "aaaaaaaaaaaa"), key("acme", "shop", "bbbbbbbbbbbb"));
    let bare = Key { expires: None, scopes: Vec::new(), environment: Environment::Live, ..bare };
    assert_missing(registry.create_key(&key("acme", "no", "cccccccccccc")).await, &app_id("acme", "no"));
    registry.create_key(&bare).await.unwrap();
    registry.create_key(&full).await.unwrap();

    assert_eq!(registry.key(&full.id).await.unwrap(), full);
    assert_eq!(registry.keys(&full.app).await.unwrap(), [full.clone(), bare.clone()]);
    let expires = Some(UnixMicros(7));
    assert_eq!(registry.set_key_expiry(&bare.id, expires).await.unwrap(), Key { expires, ..bare.clone() });
    assert_eq!(registry.set_key_expiry(&bare.id, None).await.unwrap(), bare);
}

pub async fn a_revoked_key_stays_revoked_since_the_first_time(registry: &dyn Registry) {
    furnish(registry).await;
    let key = key("acme", "shop", "aaaaaaaaaaaa");
    assert_missing(registry.revoke_key(&key.id, UnixMicros(7)).await, &key.id);
    registry.create_key(&key).await.unwrap();

    let revoked = Key { revoked: Some(UnixMicros(7)), ..key.clone() };
    assert_eq!(registry.revoke_key(&key.id, UnixMicros(7)).await.unwrap(), revoked);
    assert_eq!(registry.revoke_key(&key.id, UnixMicros(8)).await.unwrap(), revoked);
    assert_eq!(registry.key(&key.id).await.unwrap(), revoked);
}

pub async fn a_touched_key_never_goes_back_and_makes_no_change(registry: &dyn Registry) {
    furnish(registry).await;
    let key = key("acme", "shop", "aaaaaaaaaaaa");
    registry.create_key(&key).await.unwrap();
    let before = registry.revision().await.unwrap();

    let nobodys = KeyId::read(b"nobodysnobod").unwrap();
    registry.touch_keys(&[(key.id, UnixMicros(20)), (nobodys, UnixMicros(20))]).await.unwrap();
    registry.touch_keys(&[(key.id, UnixMicros(10))]).await.unwrap();

    assert_eq!(registry.key(&key.id).await.unwrap().last_used, Some(UnixMicros(20)));
    assert_eq!(registry.revision().await.unwrap(), before);
}

pub async fn every_change_moves_the_revision(registry: &dyn Registry) {
    let mut last = registry.revision().await.unwrap();
    assert_eq!(last, Revision(0));
    let (key, wish) = (key("acme", "shop", "aaaaaaaaaaaa"), subscription("acme", "shop", "gold"));
    let mut moved = async |what: &str| {
        let now = registry.revision().await.unwrap();
        assert!(last < now, "{what}");
        last = now;
    };

    registry.create_company(&company("acme")).await.unwrap();
    moved("create company").await;
    registry.create_app(&app("acme", "shop")).await.unwrap();
    moved("create app").await;
    registry.create_product(&product("gold")).await.unwrap();
    moved("create product").await;
    registry.replace_product(&product("gold")).await.unwrap();
    moved("replace product").await;
    registry.create_subscription(&wish).await.unwrap();
    moved("create subscription").await;
    registry.set_subscription_state(&wish.id, SubscriptionState::Approved, UnixMicros(9)).await.unwrap();
    moved("approve subscription").await;
    registry.create_key(&key).await.unwrap();
    moved("create key").await;
    registry.set_key_expiry(&key.id, None).await.unwrap();
    moved("set expiry").await;
    registry.revoke_key(&key.id, UnixMicros(9)).await.unwrap();
    moved("revoke key").await;
    registry.delete_subscription(&wish.id).await.unwrap();
    moved("delete subscription").await;
    registry.delete_product(&product("gold").name).await.unwrap();
    moved("delete product").await;
    registry.delete_company(&company("acme").name).await.unwrap();
    moved("delete company").await;
}

pub async fn nothing_changes_the_revision_but_a_change(registry: &dyn Registry) {
    furnish(registry).await;
    let before = registry.revision().await.unwrap();

    registry.create_company(&company("acme")).await.unwrap_err();
    registry.create_app(&app("nobody", "shop")).await.unwrap_err();
    registry.delete_company(&company("nobody").name).await.unwrap_err();
    registry.companies(None, 9).await.unwrap();

    assert_eq!(registry.revision().await.unwrap(), before);
    assert_eq!(registry.changes_since(before, 9).await.unwrap(), []);
}

pub async fn a_follower_learns_every_change_once_in_order(registry: &dyn Registry) {
    furnish(registry).await;
    let key = key("acme", "shop", "aaaaaaaaaaaa");
    registry.create_key(&key).await.unwrap();
    let before = registry.revision().await.unwrap();

    registry.revoke_key(&key.id, UnixMicros(6)).await.unwrap();
    registry.create_product(&product("gold")).await.unwrap();
    let last = registry.set_key_expiry(&key.id, None).await.unwrap();
    registry.delete_app(&app_id("acme", "site")).await.unwrap();

    let changes = registry.changes_since(before, 9).await.unwrap();
    let news: Vec<_> = changes.iter().map(|change| change.now.clone()).collect();
    let gone = Changed::Gone((&app_id("acme", "site")).into());
    assert_eq!(news, [Changed::Product(product("gold")), Changed::Key(last), gone]);
    assert!(changes.is_sorted_by(|earlier, later| earlier.revision < later.revision));
    assert_eq!(changes.last().unwrap().revision, registry.revision().await.unwrap());
}

pub async fn a_follower_reads_in_pages_and_misses_nothing(registry: &dyn Registry) {
    furnish(registry).await;
    registry.create_product(&product("gold")).await.unwrap();
    registry.create_subscription(&subscription("acme", "shop", "gold")).await.unwrap();
    for id in ["aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"] {
        registry.create_key(&key("acme", "shop", id)).await.unwrap();
    }
    registry.delete_app(&app_id("acme", "shop")).await.unwrap();

    let all = registry.changes_since(Revision(0), 99).await.unwrap();
    let mut read: Vec<Change> = Vec::new();
    loop {
        let since = read.last().map_or(Revision(0), |last| last.revision);
        let page = registry.changes_since(since, 2).await.unwrap();
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        read.extend(page);
    }
    assert_eq!(read, all);
    let gone = read.iter().filter(|change| matches!(change.now, Changed::Gone(_))).count();
    assert_eq!((read.len(), gone), (9, 5));
}

pub async fn what_comes_back_is_no_longer_gone(registry: &dyn Registry) {
    let acme = company("acme");
    registry.create_company(&acme).await.unwrap();
    registry.delete_company(&acme.name).await.unwrap();
    registry.create_company(&acme).await.unwrap();

    let changes = registry.changes_since(Revision(0), 9).await.unwrap();
    assert_eq!(changes, [Change { revision: registry.revision().await.unwrap(), now: Changed::Company(acme) }]);
}
