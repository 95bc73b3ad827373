//! Keys as operators and portals see them.

use http::StatusCode;
use serde_json::json;

use crate::tester::{NOW, Tester};

const KEYS: &str = "/companies/acme/apps/shop/keys";

#[tokio::test]
async fn a_secret_is_shown_once_and_opens_at_once() {
    let tester = Tester::with_app().await;

    let made = tester.post(KEYS, json!({ "scopes": ["read"] })).await;

    made.is_made();
    let secret = made.json["secret"].as_str().unwrap();
    let id = made.json["id"].as_str().unwrap();
    assert_eq!(made.headers["location"], format!("/keys/{id}").as_str());
    assert_eq!(made.headers["cache-control"], "no-store");
    assert!(tester.partners.index().find(secret).is_ok());
    let shown = tester.get(&format!("/keys/{id}")).await;
    let listed = tester.get(KEYS).await;
    assert!(secret.ends_with(&shown.text_of("last_four")));
    assert!(secret.starts_with(&shown.text_of("prefix")));
    assert_eq!((&shown.json["state"], &shown.json["created"]), (&json!("alive"), &json!(NOW)));
    assert_eq!(listed.json["items"], json!([shown.json]));
    for answer in [&shown, &listed] {
        assert!(!answer.text.contains(secret) && !answer.text.contains("hash") && !answer.text.contains("secret"));
    }
}

#[tokio::test]
async fn a_revoked_key_opens_nothing() {
    let tester = Tester::with_app().await;
    let id = tester.post(KEYS, json!({})).await.text_of("id");

    let revoked = tester.post_nothing(&format!("/keys/{id}/revoke")).await;

    assert_eq!((revoked.status, &revoked.json["state"]), (StatusCode::OK, &json!("revoked")));
    assert_eq!(tester.get(&format!("/keys/{id}")).await.json["revoked"], NOW);
    let rotated = tester.post_nothing(&format!("/keys/{id}/rotate")).await;
    rotated.is_problem(StatusCode::CONFLICT, "key-is-dead");
}

#[tokio::test]
async fn a_rotated_key_works_on_for_the_overlap() {
    let tester = Tester::with_app().await;
    let id = tester.post(KEYS, json!({ "environment": "test", "scopes": ["read"] })).await.text_of("id");

    let new = tester.post(&format!("/keys/{id}/rotate"), json!({ "overlap": "1h" })).await;

    new.is_made();
    assert_ne!(new.json["id"], json!(id));
    assert_eq!((&new.json["environment"], &new.json["scopes"]), (&json!("test"), &json!(["read"])));
    assert_eq!(tester.get(&format!("/keys/{id}")).await.json["expires"], "2026-01-01T01:00:00Z");
    assert_eq!(tester.get(KEYS).await.json["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_rotation_without_a_body_overlaps_for_a_week() {
    let tester = Tester::with_app().await;
    let id = tester.post(KEYS, json!({})).await.text_of("id");

    tester.post_nothing(&format!("/keys/{id}/rotate")).await.is_made();

    assert_eq!(tester.get(&format!("/keys/{id}")).await.json["expires"], "2026-01-08T00:00:00Z");
}

#[tokio::test]
async fn a_key_expires_at_a_time_or_after_one() {
    let tester = Tester::with_app().await;
    let at = tester.post(KEYS, json!({ "expires": "2026-02-01T00:00:00+01:00" })).await;
    let after = tester.post(KEYS, json!({ "expires_in": "90d" })).await;
    assert_eq!(at.json["expires"], "2026-01-31T23:00:00Z");
    assert_eq!(after.json["expires"], "2026-04-01T00:00:00Z");
}

#[tokio::test]
async fn every_mistake_is_named_with_its_field() {
    let tester = Tester::with_app().await;
    let cases = [
        (json!({ "expires": "soon" }), "/expires"),
        (json!({ "expires": "2020-01-01" }), "/expires"),
        (json!({ "expires": "2030-01-01", "expires_in": "1d" }), "/expires_in"),
        (json!({ "expires_in": 5 }), "/expires_in"),
        (json!({ "expires_in": "213503982d" }), "/expires_in"),
        (json!({ "environment": "prod" }), "/environment"),
        (json!({ "scopes": ["read", 7] }), "/scopes/1"),
        (json!({ "scopes": ["a b"] }), "/scopes/0"),
        (json!({ "scope": "read" }), "/scope"),
    ];
    for (sent, pointer) in cases {
        let answer = tester.post(KEYS, sent).await;
        answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid");
        assert_eq!(answer.pointers(), [pointer], "{}", answer.text);
    }
    let id = tester.post(KEYS, json!({})).await.text_of("id");
    let answer = tester.post(&format!("/keys/{id}/rotate"), json!({ "overlap": "31d" })).await;
    assert_eq!(answer.pointers(), ["/overlap"]);
}

#[tokio::test]
async fn keys_of_nothing_are_not_found() {
    let tester = Tester::with_app().await;
    for path in ["/companies/acme/apps/none/keys", "/keys/abcdefghijkl", "/keys/short", "/keys/abcdefghijk!"] {
        tester.get(path).await.is_problem(StatusCode::NOT_FOUND, "not-found");
    }
    tester.post("/companies/acme/apps/none/keys", json!({})).await.is_problem(StatusCode::NOT_FOUND, "not-found");
    tester.post_nothing("/keys/abcdefghijkl/revoke").await.is_problem(StatusCode::NOT_FOUND, "not-found");
    tester.post_nothing("/keys/abcdefghijkl/rotate").await.is_problem(StatusCode::NOT_FOUND, "not-found");
}

#[tokio::test]
async fn a_list_goes_on_where_the_page_before_ended() {
    let tester = Tester::with_app().await;
    for _ in 0..3 {
        tester.post(KEYS, json!({})).await.is_made();
    }

    let first = tester.get(&format!("{KEYS}?limit=2")).await;
    let next = first.text_of("next");
    let second = tester.get(&format!("{KEYS}?limit=2&after={next}")).await;

    assert_eq!(first.json["items"].as_array().unwrap().len(), 2);
    assert_eq!(second.json["items"].as_array().unwrap().len(), 1);
    assert!(second.json.get("next").is_none());
}

#[tokio::test]
async fn a_rotation_is_seen_from_both_sides_until_it_is_ended() {
    let tester = Tester::with_app().await;
    let old = tester.post(KEYS, json!({})).await.text_of("id");
    let new = tester.post_nothing(&format!("/keys/{old}/rotate")).await.text_of("id");

    assert_eq!(tester.get(&format!("/keys/{new}")).await.json["replaces"], json!(old));
    assert_eq!(tester.get(&format!("/keys/{old}")).await.json["replaced_by"], json!(new));
    let report = tester.get("/keys/rotated").await;
    let expected = json!([{
        "company": "acme", "app": "shop", "id": old, "last_four": report.json["items"][0]["last_four"],
        "rotated": NOW, "ends": "2026-01-08T00:00:00Z", "last_used": null, "still_used": false,
        "replaced_by": new, "new_last_used": null,
    }]);
    assert_eq!(report.json["items"], expected);
    tester.post_nothing(&format!("/keys/{old}/rotate")).await.is_problem(StatusCode::CONFLICT, "key-is-rotated");
    tester.post_nothing(&format!("/keys/{new}/rotate")).await.is_problem(StatusCode::CONFLICT, "key-overlaps");

    let ended = tester.post_nothing(&format!("/keys/{new}/end-overlap")).await;

    assert_eq!((ended.text_of("id"), ended.text_of("state")), (old, "expired".to_owned()));
    assert_eq!(tester.get("/keys/rotated").await.json["items"], json!([]));
    tester.post_nothing(&format!("/keys/{new}/end-overlap")).await.is_problem(StatusCode::CONFLICT, "conflict");
}

#[tokio::test]
async fn an_expiry_is_set_and_taken_away() {
    let tester = Tester::with_app().await;
    let id = tester.post(KEYS, json!({})).await.text_of("id");
    let expire = format!("/keys/{id}/expire");

    let set = tester.post(&expire, json!({ "expires_in": "1d" })).await;
    let taken = tester.post(&expire, json!({})).await;

    assert_eq!((&set.json["expires"], &taken.json["expires"]), (&json!("2026-01-02T00:00:00Z"), &json!(null)));
    assert_eq!(tester.post(&expire, json!({ "expires": NOW })).await.pointers(), ["/expires"]);
}

#[tokio::test]
async fn keys_are_imported_together_and_every_mistake_is_named() {
    let tester = Tester::with_app().await;
    let import = format!("{KEYS}/import");
    let good = json!({ "text": "a-key-of-the-old-portal-0001", "scopes": ["read"], "environment": "test" });
    let hashed = json!({ "algorithm": "sha-256", "digest": "0".repeat(64), "prefix": "old_", "last_four": "abcd" });

    let made = tester.post(&import, json!({ "keys": [good, hashed] })).await;

    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let shown = |at: usize, member: &str| made.json["items"][at][member].clone();
    assert_eq!(
        (shown(0, "prefix"), shown(0, "last_four"), shown(0, "imported")),
        (json!("a-ke"), json!("0001"), json!(true))
    );
    assert_eq!(
        (shown(1, "prefix"), shown(1, "last_four"), shown(1, "scopes")),
        (json!("old_"), json!("abcd"), json!([]))
    );
    assert!(tester.partners.index().find("a-key-of-the-old-portal-0001").is_ok());
    assert!(!tester.get("/audit").await.text.contains("a-key-of-the-old-portal"), "secrets are in no log");
    for (key, pointer) in [
        (json!({}), "/keys/0/algorithm"),
        (json!({ "algorithm": "sha-256" }), "/keys/0/digest"),
        (json!({ "text": "x".repeat(20), "digest": "00" }), "/keys/0/text"),
        (json!({ "text": "x".repeat(20), "expires": "soon" }), "/keys/0/expires"),
        (json!({ "text": "x".repeat(20), "scopes": ["a b"] }), "/keys/0/scopes/0"),
        (json!({ "algorithm": "md5", "digest": "00" }), "/keys/0/algorithm"),
        (json!({ "key": "x" }), "/keys/0/key"),
    ] {
        let answer = tester.post(&import, json!({ "keys": [key] })).await;
        answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid");
        assert_eq!(answer.pointers(), [pointer], "{}", answer.text);
    }
}

#[tokio::test]
async fn whoever_looks_for_leaked_keys_learns_what_they_look_like() {
    let tester = Tester::new();
    let answer = tester.send_without_token(http::Method::GET, "/secret-patterns").await;
    assert!(answer.json["patterns"][0]["pattern"].as_str().unwrap().contains("vk_(?:live|test)_"), "{}", answer.text);
}
