//! What every [`Registry`] has to do.

#![expect(missing_docs, reason = "the names are the promises")]

use crate::{
    Change, Changed, Commit, EntityId, Kind, Listing, Mode, Registry, Revision, Row, StoreError, Stored, UnixMicros,
    Write, chained,
};

fn id(kind: Kind, path: &str) -> EntityId {
    EntityId::new(kind, path)
}

fn company(name: &str) -> Row {
    let body = format!("{{\"title\":\"The \\\"{name}\\\" company \u{1f600}\"}}");
    Row { id: id(Kind::Company, name), parent: None, refers_to: Vec::new(), label: None, body }
}

fn app(path: &str) -> Row {
    let company = path.split_once('/').unwrap().0;
    Row { id: id(Kind::App, path), parent: Some(id(Kind::Company, company)), ..self::company(path) }
}

fn key(path: &str, app: &str) -> Row {
    Row { id: id(Kind::Key, path), parent: Some(id(Kind::App, app)), ..company(path) }
}

fn product(name: &str) -> Row {
    Row { id: id(Kind::Product, name), ..company(name) }
}

fn wish(app: &str, product: &str, state: &str) -> Row {
    Row {
        id: id(Kind::Subscription, &format!("{app}/{product}")),
        parent: Some(id(Kind::App, app)),
        refers_to: vec![id(Kind::Product, product)],
        label: Some(state.to_owned()),
        body: "{}".to_owned(),
    }
}

async fn create(registry: &dyn Registry, row: Row) -> Revision {
    registry.commit(Commit::of(Write::Create(row))).await.unwrap()
}

async fn replace(registry: &dyn Registry, row: Row) -> Revision {
    registry.commit(Commit::of(Write::Replace(row, None))).await.unwrap()
}

async fn delete(registry: &dyn Registry, id: &EntityId) -> Result<Revision, StoreError> {
    registry.commit(Commit::of(Write::Delete(id.clone(), None))).await
}

/// Two companies; `acme` has the apps `shop` and `site`.
async fn furnish(registry: &dyn Registry) {
    for row in [company("acme"), company("zeta"), app("acme/shop"), app("acme/site")] {
        create(registry, row).await;
    }
}

async fn row(registry: &dyn Registry, id: &EntityId) -> Option<Row> {
    registry.find(id).await.unwrap().map(|stored| stored.row)
}

async fn paths(registry: &dyn Registry, listing: Listing<'_>) -> Vec<String> {
    registry.list(listing).await.unwrap().iter().map(|stored| stored.row.id.path().to_owned()).collect()
}

pub async fn an_entity_is_found_as_it_was_written_until_it_is_deleted(registry: &dyn Registry) {
    furnish(registry).await;
    create(registry, product("gold")).await;
    for written in [company("big"), wish("acme/shop", "gold", "pending"), key("aaaa", "acme/shop")] {
        let revision = create(registry, written.clone()).await;
        let stored = registry.find(&written.id).await.unwrap().unwrap();
        assert_eq!(stored, Stored { row: written.clone(), revision, used: None });

        delete(registry, &written.id).await.unwrap();
        assert_eq!(row(registry, &written.id).await, None);
        let again = delete(registry, &written.id).await;
        assert!(matches!(&again, Err(StoreError::NotFound(gone)) if *gone == written.id), "{again:?}");
    }
}

pub async fn an_id_is_taken_once_and_kinds_do_not_meet(registry: &dyn Registry) {
    create(registry, company("acme")).await;
    create(registry, product("acme")).await;

    let other = Row { body: "{}".to_owned(), ..company("acme") };
    let again = registry.commit(Commit::of(Write::Create(other))).await;

    assert!(matches!(&again, Err(StoreError::Exists(taken)) if *taken == company("acme").id), "{again:?}");
    assert_eq!(row(registry, &company("acme").id).await, Some(company("acme")));
}

pub async fn what_belongs_to_another_needs_it_and_goes_with_it(registry: &dyn Registry) {
    let orphan = registry.commit(Commit::of(Write::Create(app("acme/shop")))).await;
    assert!(matches!(&orphan, Err(StoreError::NotFound(missing)) if missing.path() == "acme"), "{orphan:?}");
    furnish(registry).await;
    for row in [key("aaaa", "acme/shop"), key("bbbb", "acme/site"), wish("acme/site", "gold", "pending")] {
        create(registry, row).await;
    }
    create(registry, app("zeta/shop")).await;
    create(registry, key("cccc", "zeta/shop")).await;

    delete(registry, &company("acme").id).await.unwrap();

    assert_eq!(paths(registry, Listing::of(Kind::App)).await, ["zeta/shop"]);
    assert_eq!(paths(registry, Listing::of(Kind::Key)).await, ["cccc"]);
    assert_eq!(paths(registry, Listing::of(Kind::Subscription)).await, [""; 0]);
}

pub async fn what_is_referred_to_stays_unless_both_go(registry: &dyn Registry) {
    furnish(registry).await;
    let (gold, wished) = (product("gold"), wish("acme/shop", "gold", "approved"));
    create(registry, gold.clone()).await;
    // A reference need not lead anywhere.
    create(registry, wish("acme/shop", "of-the-file", "approved")).await;
    create(registry, wished.clone()).await;

    let refused = delete(registry, &gold.id).await;
    let is_told = matches!(&refused, Err(StoreError::InUse { id, by }) if *id == gold.id && *by == wished.id);
    assert!(is_told, "{refused:?}");
    // It may be written anew, and then refer to others.
    replace(registry, Row { refers_to: Vec::new(), ..wished.clone() }).await;
    replace(registry, gold.clone()).await;
    replace(registry, wished.clone()).await;
    assert!(delete(registry, &gold.id).await.is_err());

    delete(registry, &company("acme").id).await.unwrap();
    delete(registry, &gold.id).await.unwrap();
}

pub async fn an_entity_is_changed_only_as_the_caller_knows_it(registry: &dyn Registry) {
    let first = create(registry, company("acme")).await;
    let changed = Row { body: "{\"title\":\"new\"}".to_owned(), label: Some("x".to_owned()), ..company("acme") };
    let second = registry.commit(Commit::of(Write::Replace(changed.clone(), Some(first)))).await.unwrap();
    assert!(first < second);

    for write in [Write::Replace(company("acme"), Some(first)), Write::Delete(changed.id.clone(), Some(first))] {
        let refused = registry.commit(Commit::of(write)).await;
        assert!(matches!(&refused, Err(StoreError::Changed(id)) if *id == changed.id), "{refused:?}");
    }
    let stored = registry.find(&changed.id).await.unwrap().unwrap();
    assert_eq!((stored.row, stored.revision), (changed.clone(), second));
    let missing = registry.commit(Commit::of(Write::Replace(company("nobody"), None))).await;
    assert!(matches!(missing, Err(StoreError::NotFound(_))));
    registry.commit(Commit::of(Write::Delete(changed.id, Some(second)))).await.unwrap();
}

pub async fn changes_are_made_together_or_not_at_all(registry: &dyn Registry) {
    let before = registry.revision().await.unwrap();
    let writes = vec![Write::Create(company("acme")), Write::Create(app("acme/shop")), Write::Create(app("no/shop"))];
    let note = Some("{}".to_owned());
    registry.commit(Commit { writes: writes.clone(), note: note.clone(), ..Commit::default() }).await.unwrap_err();

    assert_eq!(row(registry, &company("acme").id).await, None);
    assert_eq!(registry.revision().await.unwrap(), before);
    assert_eq!(registry.noted(0, 9).await.unwrap(), []);

    let writes = writes.into_iter().take(2).collect();
    let last = registry.commit(Commit { writes, note, ..Commit::default() }).await.unwrap();
    assert_eq!(registry.revision().await.unwrap(), last);
    assert_eq!(registry.find(&app("acme/shop").id).await.unwrap().unwrap().revision, last);
}

pub async fn a_rehearsal_answers_as_it_would_be_and_changes_nothing(registry: &dyn Registry) {
    furnish(registry).await;
    let before = registry.revision().await.unwrap();
    let rehearse = |write| Commit { mode: Mode::Rehearsal, note: Some("{}".to_owned()), ..Commit::of(write) };

    registry.commit(rehearse(Write::Delete(company("acme").id, None))).await.unwrap();
    let taken = registry.commit(rehearse(Write::Create(company("acme")))).await;

    assert!(matches!(taken, Err(StoreError::Exists(_))));
    assert_eq!(registry.revision().await.unwrap(), before);
    assert_eq!(paths(registry, Listing::of(Kind::App)).await, ["acme/shop", "acme/site"]);
    assert_eq!(registry.noted(0, 9).await.unwrap(), []);
}

pub async fn lists_come_in_pages_sorted_byte_by_byte(registry: &dyn Registry) {
    for name in ["b", "a-b", "a", "c", "a1", "B"] {
        create(registry, company(name)).await;
    }
    for path in ["b/z", "b/a-b", "a/x", "a-b/x"] {
        create(registry, app(path)).await;
    }

    let all = Listing::of(Kind::Company);
    assert_eq!(paths(registry, Listing { limit: 3, ..all.clone() }).await, ["B", "a", "a-b"]);
    assert_eq!(paths(registry, Listing { after: Some("a-b"), limit: 9, ..all }).await, ["a1", "b", "c"]);
    assert_eq!(paths(registry, Listing::of(Kind::App)).await, ["a-b/x", "a/x", "b/a-b", "b/z"]);
    let b = company("b").id;
    let of_b = Listing { parent: Some(&b), after: Some("b/a-b"), ..Listing::of(Kind::App) };
    assert_eq!(paths(registry, of_b).await, ["b/z"]);
}

pub async fn entities_are_found_by_their_label(registry: &dyn Registry) {
    furnish(registry).await;
    for (app, product) in [("acme/shop", "gold"), ("acme/shop", "silver"), ("acme/site", "bronze")] {
        create(registry, wish(app, product, "pending")).await;
    }
    replace(registry, wish("acme/shop", "gold", "approved")).await;

    let pending = Listing { label: Some("pending"), ..Listing::of(Kind::Subscription) };
    assert_eq!(paths(registry, pending.clone()).await, ["acme/shop/silver", "acme/site/bronze"]);
    let shop = app("acme/shop").id;
    assert_eq!(paths(registry, Listing { parent: Some(&shop), ..pending.clone() }).await, ["acme/shop/silver"]);
    let after = Listing { after: Some("acme/shop/silver"), ..pending };
    assert_eq!(paths(registry, after).await, ["acme/site/bronze"]);
}

pub async fn a_use_never_goes_back_and_is_no_change(registry: &dyn Registry) {
    furnish(registry).await;
    let written = key("aaaa", "acme/shop");
    create(registry, written.clone()).await;
    let before = registry.revision().await.unwrap();

    registry.touch(&[(written.id.clone(), UnixMicros(20)), (id(Kind::Key, "nobody"), UnixMicros(20))]).await.unwrap();
    registry.touch(&[(written.id.clone(), UnixMicros(10))]).await.unwrap();
    let used = async || registry.find(&written.id).await.unwrap().unwrap().used;

    assert_eq!(used().await, Some(UnixMicros(20)));
    assert_eq!(registry.revision().await.unwrap(), before);
    replace(registry, written.clone()).await;
    assert_eq!(used().await, Some(UnixMicros(20)), "a change leaves it");
    let listed = registry.list(Listing::of(Kind::Key)).await.unwrap();
    assert_eq!(listed.iter().map(|stored| stored.used).collect::<Vec<_>>(), [Some(UnixMicros(20))]);
}

pub async fn a_follower_learns_every_change_once_in_order(registry: &dyn Registry) {
    furnish(registry).await;
    let written = key("aaaa", "acme/shop");
    create(registry, written.clone()).await;
    let before = registry.revision().await.unwrap();
    assert_eq!(registry.changes_since(before, 9).await.unwrap(), []);

    replace(registry, Row { label: Some("first".to_owned()), ..written.clone() }).await;
    create(registry, product("gold")).await;
    let last = Row { label: Some("last".to_owned()), ..written };
    replace(registry, last.clone()).await;
    delete(registry, &app("acme/site").id).await.unwrap();

    let changes = registry.changes_since(before, 9).await.unwrap();
    let news: Vec<_> = changes.iter().map(|change| change.now.clone()).collect();
    assert_eq!(news, [Changed::Is(product("gold")), Changed::Is(last), Changed::Gone(app("acme/site").id)]);
    assert!(changes.is_sorted_by(|earlier, later| earlier.revision < later.revision));
    assert_eq!(changes.last().unwrap().revision, registry.revision().await.unwrap());
}

pub async fn a_follower_reads_in_pages_and_misses_nothing(registry: &dyn Registry) {
    furnish(registry).await;
    create(registry, product("gold")).await;
    create(registry, wish("acme/shop", "gold", "pending")).await;
    for path in ["aaaa", "bbbb", "cccc"] {
        create(registry, key(path, "acme/shop")).await;
    }
    delete(registry, &app("acme/shop").id).await.unwrap();

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
    create(registry, company("acme")).await;
    delete(registry, &company("acme").id).await.unwrap();
    let revision = create(registry, company("acme")).await;

    let changes = registry.changes_since(Revision(0), 9).await.unwrap();
    assert_eq!(changes, [Change { revision, now: Changed::Is(company("acme")) }]);
}

pub async fn collections_leave_nothing_behind(registry: &dyn Registry) {
    let collection = Row { id: id(Kind::Collection, "a1b2"), ..company("acme") };
    create(registry, collection.clone()).await;
    let created = registry.revision().await.unwrap();
    delete(registry, &collection.id).await.unwrap();

    assert!(created < registry.revision().await.unwrap());
    assert_eq!(registry.changes_since(Revision(0), 9).await.unwrap(), []);
}

pub async fn the_audit_log_is_a_chain_without_gaps(registry: &dyn Registry) {
    for number in 0..3 {
        let writes = vec![Write::Create(company(&format!("company-{number}")))];
        let note = Some(format!("{{\"number\":{number}}}"));
        registry.commit(Commit { writes, note, ..Commit::default() }).await.unwrap();
    }
    // Something may be noted that changes no entity.
    registry.commit(Commit { note: Some("{}".to_owned()), ..Commit::default() }).await.unwrap();

    let all = registry.noted(0, 9).await.unwrap();
    assert_eq!(all.iter().map(|noted| noted.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let bodies: Vec<_> = all.iter().map(|noted| noted.body.as_str()).collect();
    assert_eq!(bodies, ["{\"number\":0}", "{\"number\":1}", "{\"number\":2}", "{}"]);
    let mut before = [0; 32];
    for noted in &all {
        before = chained(&before, &noted.body);
        assert_eq!(noted.hash, before);
    }
    let some = registry.noted(1, 2).await.unwrap();
    assert!(some.iter().eq(all.iter().skip(1).take(2)));
}

pub async fn writers_at_once_take_turns(registry: &dyn Registry) {
    create(registry, company("acme")).await;
    let names: Vec<_> = (0..20).map(|number| format!("acme/app-{number}")).collect();
    let created = names
        .iter()
        .map(|name| registry.commit(Commit { note: Some("{}".to_owned()), ..Commit::of(Write::Create(app(name))) }));
    let mut revisions: Vec<_> = futures::future::join_all(created).await.into_iter().map(Result::unwrap).collect();

    revisions.sort_unstable();
    revisions.dedup();
    assert_eq!(revisions.len(), 20);
    assert_eq!(registry.noted(0, 99).await.unwrap().len(), 20);
    assert_eq!(registry.changes_since(Revision(0), 99).await.unwrap().len(), 21);
}
