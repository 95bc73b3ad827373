use std::sync::atomic::{AtomicU64, Ordering};

use store::{InMemory, Kind, Listing};

use super::*;

/// Two nodes with one clock and one store.
fn nodes() -> (Collections, Collections, Arc<AtomicU64>) {
    let now = Arc::new(AtomicU64::new(1_000_000_000));
    let registry: Arc<dyn Registry> = Arc::new(InMemory::default());
    let node = || {
        let now = now.clone();
        Collections::shared(registry.clone(), Arc::new(move || UnixMicros(now.load(Ordering::Relaxed))))
    };
    (node(), node(), now.clone())
}

fn place(key: &'static [u8]) -> Place<'static> {
    Place { application: None, collection: "ip", key }
}

fn raised(name: &str) -> Vec<Difference> {
    vec![Difference::Added { name: name.into(), by: 1 }]
}

fn value(node: &Collections, key: &'static [u8], name: &str) -> Option<String> {
    let kept = node.load(&place(key));
    let found = kept.into_iter().find(|kept| kept.name == name.as_bytes())?;
    Some(String::from_utf8(found.value).unwrap())
}

#[tokio::test]
async fn what_nodes_raise_together_is_raised_by_all_of_them() {
    let (one, two, _) = nodes();
    for _ in 0..3 {
        one.store(&place(b"192.0.2.1"), &raised("seen"), 3600);
        two.store(&place(b"192.0.2.1"), &raised("seen"), 3600);
    }
    assert_eq!(value(&one, b"192.0.2.1", "seen").as_deref(), Some("3"));

    for node in [&one, &two, &one] {
        node.share().await;
    }

    for node in [&one, &two] {
        assert_eq!(value(node, b"192.0.2.1", "seen").as_deref(), Some("6"));
        assert_eq!(value(node, b"192.0.2.2", "seen"), None);
    }
}

#[tokio::test]
async fn what_is_over_is_gone_on_every_node_and_in_the_store() {
    let (one, two, now) = nodes();
    let changes = [raised("seen"), vec![Difference::Expires { name: "seen".into(), at: 1010 }]].concat();
    one.store(&place(b"a"), &changes, 60);
    one.store(&place(b"a"), &[Difference::Set { name: b"name".to_vec(), value: b"x".to_vec() }], 60);
    one.share().await;
    two.share().await;
    assert_eq!(value(&two, b"a", "seen").as_deref(), Some("1"));

    now.fetch_add(20_000_000, Ordering::Relaxed);
    assert_eq!((value(&two, b"a", "seen"), value(&two, b"a", "name").as_deref()), (None, Some("x")));

    now.fetch_add(700_000_000, Ordering::Relaxed);
    one.share().await;
    assert_eq!(value(&one, b"a", "name"), None);
    let registry = one.registry.clone().unwrap();
    assert_eq!(registry.list(Listing::of(Kind::Collection)).await.unwrap(), []);
}

#[tokio::test]
async fn a_node_that_starts_knows_what_others_remember() {
    let (one, two, _) = nodes();
    one.store(&place(b"a"), &raised("seen"), 60);
    one.share().await;
    assert_eq!(value(&two, b"a", "seen"), None);
    two.share().await;
    assert_eq!(value(&two, b"a", "seen").as_deref(), Some("1"));
}

#[tokio::test]
async fn many_collections_reach_the_other_nodes_whoever_changes_the_same_ones() {
    let (one, two, _) = nodes();
    let keys: Vec<&'static [u8]> = (0..100_u8).map(|key| &*Vec::leak(vec![key])).collect();
    for key in &keys {
        one.store(&place(key), &raised("seen"), 60);
        two.store(&place(key), &raised("seen"), 60);
    }

    tokio::join!(one.share(), two.share());
    tokio::join!(one.share(), two.share());

    for key in keys {
        assert_eq!([&one, &two].map(|node| value(node, key, "seen")), [Some("2".to_owned()), Some("2".to_owned())]);
    }
}

#[tokio::test]
async fn a_value_that_is_set_again_goes_when_it_would_have_gone() {
    let (one, two, now) = nodes();
    let set = || Difference::Set { name: b"banned".to_vec(), value: b"1".to_vec() };
    one.store(&place(b"a"), &[set(), Difference::Expires { name: b"banned".to_vec(), at: 1060 }], 3600);
    one.share().await;
    two.share().await;
    now.fetch_add(30_000_000, Ordering::Relaxed);
    two.store(&place(b"a"), &[set()], 3600);
    two.share().await;
    one.share().await;
    assert_eq!(value(&one, b"a", "banned").as_deref(), Some("1"));

    now.fetch_add(31_000_000, Ordering::Relaxed);
    assert_eq!([&one, &two].map(|node| value(node, b"a", "banned")), [None, None]);
    // What is set after that begins anew.
    two.store(&place(b"a"), &[set()], 3600);
    now.fetch_add(300_000_000, Ordering::Relaxed);
    assert_eq!(value(&two, b"a", "banned").as_deref(), Some("1"));
}

#[test]
fn however_many_are_invented_whoever_comes_again_is_counted() {
    let now = Arc::new(AtomicU64::new(1_000_000_000));
    let node = Collections::alone({
        let now = now.clone();
        Arc::new(move || UnixMicros(now.load(Ordering::Relaxed)))
    });
    let come = |key: &'static [u8]| node.store(&place(key), &raised("seen"), 60);
    for round in 0..3_u32 {
        come(b"again");
        for number in 0..u32::try_from(MOST / 2).unwrap() {
            now.fetch_add(1, Ordering::Relaxed);
            let key = [round.to_be_bytes(), number.to_be_bytes()].concat();
            node.store(&Place { application: None, collection: "session", key: &key }, &raised("seen"), 60);
        }
    }
    come(b"new");

    assert_eq!(value(&node, b"again", "seen").as_deref(), Some("3"));
    assert_eq!(value(&node, b"new", "seen").as_deref(), Some("1"));
    let known = node.known.lock();
    assert_eq!((known.held.len(), known.ends.len()), (MOST, MOST));
}
