//! Keys that are rotated and imported, as an operator and a request see them.

use std::sync::Arc;
use std::time::Duration;

use store::{Key, UnixMicros};

use crate::tests::{DAY, Fixture};
use crate::{Error, ImportedKey, KeyState, Known, NewKey, Partners, Unknown};

const HOUR: Duration = Duration::from_hours(1);

fn import(known: Known) -> ImportedKey {
    ImportedKey { known, key: NewKey::default(), prefix: None, last_four: None }
}

fn text(text: &str) -> ImportedKey {
    import(Known::Text(text.to_owned()))
}

fn hashed(algorithm: &str, digest: &str) -> ImportedKey {
    import(Known::Hash { algorithm: algorithm.to_owned(), digest: digest.to_owned() })
}

fn places(answer: Result<Vec<Key>, Error>) -> Vec<String> {
    match answer {
        Err(Error::Invalid(findings)) => findings.iter().map(|finding| finding.at.to_string()).collect(),
        answer => panic!("should be invalid: {answer:?}"),
    }
}

#[tokio::test]
async fn a_rotated_key_tells_until_when_it_works_and_its_successor_does_not() {
    let fixture = Fixture::new();
    let app = fixture.app().await;
    let old = fixture.key(&app.id).await;
    let index = fixture.partners.index();
    assert_eq!(index.find(old.secret.expose()).unwrap().sunset(), None);

    let new = fixture.partners.rotate_key(&old.key.id, HOUR).await.unwrap();

    let end = UnixMicros(DAY + 3_600_000_000);
    assert_eq!(index.find(old.secret.expose()).unwrap().sunset(), Some(end));
    assert_eq!(index.find(new.secret.expose()).unwrap().sunset(), None);
    assert_eq!(new.key.replaces, Some(old.key.id));
}

#[tokio::test]
async fn a_rotation_lets_no_key_live_longer() {
    let fixture = Fixture::new();
    let app = fixture.app().await;
    let new = NewKey { expires: Some(UnixMicros(DAY + 60_000_000)), ..NewKey::default() };
    let old = fixture.partners.create_key(&app.id, new).await.unwrap();

    let new = fixture.partners.rotate_key(&old.key.id, HOUR).await.unwrap();

    fixture.pass(59_999_999);
    assert_eq!((fixture.state(&old), fixture.state(&new)), (Ok(KeyState::Alive), Ok(KeyState::Alive)));
    fixture.pass(1);
    let over = Ok(KeyState::Expired(UnixMicros(DAY + 60_000_000)));
    assert_eq!((fixture.state(&old), fixture.state(&new)), (over, over));
}

#[tokio::test]
async fn two_secrets_are_the_most_that_work_for_one_key() {
    let fixture = Fixture::new();
    let app = fixture.app().await;
    let first = fixture.key(&app.id).await;
    let second = fixture.partners.rotate_key(&first.key.id, HOUR).await.unwrap();

    let again = fixture.partners.rotate_key(&first.key.id, HOUR).await;
    assert!(matches!(again, Err(Error::KeyIsRotated { by, .. }) if by == second.key.id));
    let too_soon = fixture.partners.rotate_key(&second.key.id, HOUR).await;
    assert!(matches!(too_soon, Err(Error::Overlaps { before, .. }) if before == first.key.id));

    fixture.partners.end_overlap(&second.key.id).await.unwrap();
    assert_eq!(fixture.state(&first), Ok(KeyState::Expired(UnixMicros(DAY))));
    let third = fixture.partners.rotate_key(&second.key.id, HOUR).await.unwrap();
    assert_eq!((fixture.state(&second), fixture.state(&third)), (Ok(KeyState::Alive), Ok(KeyState::Alive)));
    let none = fixture.partners.end_overlap(&first.key.id).await;
    assert!(matches!(none, Err(Error::NoOverlap(_))));
}

#[tokio::test]
async fn the_overlaps_that_go_on_say_which_secret_is_used() {
    let fixture = Fixture::new();
    let app = fixture.app().await;
    let mut rotated = Vec::new();
    for _ in 0..3 {
        let old = fixture.key(&app.id).await;
        let new = fixture.partners.rotate_key(&old.key.id, HOUR).await.unwrap();
        rotated.push((old, new));
    }
    rotated.sort_by_key(|(old, _)| old.key.id);
    let (still_used, revoked, ended) = (&rotated[0], &rotated[1], &rotated[2]);
    fixture.partners.revoke_key(&revoked.0.key.id).await.unwrap();
    fixture.partners.end_overlap(&ended.0.key.id).await.unwrap();
    let index = fixture.partners.index();
    index.find(still_used.0.secret.expose()).unwrap().used(UnixMicros(DAY));
    fixture.registry_touches(index.uses_since(UnixMicros(0))).await;

    let overlaps = fixture.partners.overlaps(None, 9).await.unwrap();

    let [overlap] = overlaps.as_slice() else { panic!("{overlaps:?}") };
    assert_eq!((overlap.old.id, overlap.new), (still_used.0.key.id, still_used.1.key.id));
    assert_eq!((overlap.old.last_used, overlap.new_used), (Some(UnixMicros(DAY)), None));
}

#[tokio::test]
async fn imported_keys_open_as_they_are_whatever_they_were_hashed_by() {
    // SHA-256 and HMAC-SHA-256 with the key `legacy pepper` of `a-key-of-the-old-portal-0001`, made by openssl.
    const SHA: &str = "0500d3729f8d553eea514097432bf351f1ffc6cbed5754cc6d33320322a2d22c";
    const HMAC: &str = "EY8T6Q4tXCQCejSZFojXzA0SRUlxFHHeqYYsq2L/cr0=";
    let fixture = Fixture::new();
    let app = fixture.app().await;
    let index = fixture.partners.index();
    index.set_peppers([(&"legacy".to_owned(), &"legacy pepper".to_owned())]);
    let unknown = |text: &str| index.find(text).err();
    assert!(matches!(unknown("a-key-of-the-old-portal-0001"), Some(Unknown::Malformed(_))));

    for known in [text("a-key-of-the-old-portal-0001"), hashed("sha-256", SHA), hashed("hmac-sha-256:legacy", HMAC)] {
        let key = fixture.partners.import_keys(&app.id, vec![known.clone()]).await.unwrap().remove(0);

        let found = index.find("a-key-of-the-old-portal-0001").unwrap();
        assert_eq!((found.id(), found.app().id()), (key.id, &app.id), "{}", key.hash.algorithm);
        assert_eq!(unknown("a-key-of-the-old-portal-0002"), Some(Unknown::NoSuchKey));
        assert!(matches!(unknown("vk_live_short"), Some(Unknown::Malformed(_))));
        assert_eq!(
            places(fixture.partners.import_keys(&app.id, vec![known]).await),
            ["/keys/0"],
            "it is there already"
        );
        fixture.partners.revoke_key(&key.id).await.unwrap();
        assert_ne!(index.find("a-key-of-the-old-portal-0001").unwrap().state(UnixMicros(DAY)), KeyState::Alive);
        fixture.forget(&key.id).await;
        assert_eq!(unknown("a-key-of-the-old-portal-0001"), Some(Unknown::NoSuchKey));
    }
}

#[tokio::test]
async fn an_imported_key_is_rotated_into_one_of_ours() {
    let fixture = Fixture::new();
    let app = fixture.app().await;
    let old =
        fixture.partners.import_keys(&app.id, vec![text("a-key-of-the-old-portal-0001")]).await.unwrap().remove(0);
    assert_eq!((old.prefix.as_str(), old.last_four.as_str()), ("a-ke", "0001"));

    let new = fixture.partners.rotate_key(&old.id, HOUR).await.unwrap();

    assert!(new.secret.expose().starts_with("vk_live_") && !new.key.imported);
    assert!(fixture.partners.index().find("a-key-of-the-old-portal-0001").unwrap().sunset().is_some());
}

#[tokio::test]
async fn an_import_is_done_whole_or_every_mistake_is_told() {
    let fixture = Fixture::new();
    let app = fixture.app().await;
    let ours = fixture.key(&app.id).await;
    let good = "a-key-of-the-old-portal-0001";
    let keys = vec![
        text(good),
        text(good),
        text("short"),
        text("with a blank in the midst"),
        text(ours.secret.expose()),
        hashed("md5", &"0".repeat(64)),
        hashed("hmac-sha-256:nobody", &"0".repeat(64)),
        hashed("sha-256", "00"),
        ImportedKey { prefix: Some("much-too-long".to_owned()), ..text("another-key-of-the-portal") },
    ];

    let expected = [
        "/keys/1",
        "/keys/2/text",
        "/keys/3/text",
        "/keys/4/text",
        "/keys/5/algorithm",
        "/keys/6/algorithm",
        "/keys/7/digest",
        "/keys/8/prefix",
    ];
    assert_eq!(places(fixture.partners.import_keys(&app.id, keys).await), expected);
    assert_eq!(fixture.partners.keys(&app.id).await.unwrap().len(), 1);
    assert_eq!(places(fixture.partners.import_keys(&app.id, Vec::new()).await), ["/keys"]);
    let many = (0..100).map(|number| text(&format!("{good}-{number}"))).collect();
    assert!(matches!(fixture.partners.import_keys(&app.id, many).await, Err(Error::TooManyKeys { .. })));
}

#[tokio::test]
async fn an_expiry_is_set_moved_and_taken_away() {
    let fixture = Fixture::new();
    let app = fixture.app().await;
    let key = fixture.key(&app.id).await;
    let expire = async |at: Option<u64>| fixture.partners.expire_key(&key.key.id, at.map(UnixMicros)).await;

    expire(Some(2 * DAY)).await.unwrap();
    assert_eq!(expire(None).await.unwrap().expires, None);
    expire(Some(DAY + 1)).await.unwrap();
    assert!(matches!(expire(Some(DAY)).await, Err(Error::Invalid(_))), "that is now");
    fixture.pass(1);
    assert!(matches!(expire(None).await, Err(Error::KeyIsDead(_))), "a dead key does not come back to life");
}

#[test]
fn the_published_patterns_find_keys_and_nothing_shorter() {
    let [(_, key), (_, token)] = crate::patterns();
    let pattern = |text: &str| regex_lite::Regex::new(text).unwrap();
    let secret = format!("vk_live_{}_{}", "a1".repeat(6), "B2".repeat(19));

    assert_eq!(pattern(key).find(&format!("key={secret};")).map(|found| found.as_str()), Some(secret.as_str()));
    assert!(!pattern(key).is_match(secret.get(..58).unwrap()));
    assert!(pattern(token).is_match(&format!("va_{}", "x".repeat(43))));
}

#[tokio::test]
async fn one_key_is_imported_once_as_a_text_or_a_hash_of_it_whoever_is_first() {
    const SHA: &str = "0500d3729f8d553eea514097432bf351f1ffc6cbed5754cc6d33320322a2d22c";
    const HMAC: &str = "EY8T6Q4tXCQCejSZFojXzA0SRUlxFHHeqYYsq2L/cr0=";
    let text = || text("a-key-of-the-old-portal-0001");
    for (first, second) in [
        (text(), text()),
        (text(), hashed("sha-256", SHA)),
        (hashed("sha-256", SHA), text()),
        (text(), hashed("hmac-sha-256:legacy", HMAC)),
    ] {
        for is_told in [true, false] {
            let fixture = Fixture::new();
            let app = fixture.app().await;
            // Another process, or a request at the same moment, knows nothing yet of what was imported.
            let other = Arc::new(crate::tests::index());
            let other = Partners::new(fixture.registry.clone(), other, Arc::new(|| UnixMicros(DAY)));
            for partners in [&fixture.partners, &other] {
                partners.index().set_peppers([(&"legacy".to_owned(), &"legacy pepper".to_owned())]);
            }
            let second_at = if is_told { &fixture.partners } else { &other };

            fixture.partners.import_keys(&app.id, vec![first.clone()]).await.unwrap();

            assert_eq!(places(second_at.import_keys(&app.id, vec![second.clone()]).await), ["/keys/0"]);
        }
    }
}

#[tokio::test]
async fn rotations_leave_a_bounded_number_of_dead_keys_behind() {
    let fixture = Fixture::new();
    let app = fixture.app().await;
    let mut key = fixture.key(&app.id).await.key.id;
    let rotate = async |key: &store::KeyId| fixture.partners.rotate_key(key, Duration::ZERO).await;
    for _ in 0..crate::keys::MOST_ROTATIONS {
        key = rotate(&key).await.unwrap().key.id;
    }

    let refused = rotate(&key).await.unwrap_err();

    assert!(matches!(refused, Error::TooOften { .. }), "{refused}");
    fixture.key(&app.id).await;
    fixture.pass(DAY);
    key = rotate(&key).await.unwrap().key.id;
    fixture.pass(91 * DAY);
    rotate(&key).await.unwrap();
    let left = fixture.partners.keys(&app.id).await.unwrap().len();
    assert_eq!(left, 3, "two that work, and the one that was rotated just now");
}
