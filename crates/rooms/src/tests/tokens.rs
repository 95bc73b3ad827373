//! Sections 3.5, 3.6, 6 and 8: tokens, the key that signs them, and who is let in by them.

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};

use super::*;
use crate::{Denied, Sessions};

/// The claims of a token, as another implementation reads them with the published key.
async fn claims(scene: &Scene, token: &str) -> Value {
    let key = scene.get("/public_key?event_id=Sample").await.body;
    let key = DecodingKey::from_jwk(&serde_json::from_value::<Jwk>(key).unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&["Sample"]);
    validation.validate_exp = false;
    decode::<Value>(token, &key, &validation).unwrap().claims
}

/// A room in which somebody may take their turn.
async fn served(settings: Settings) -> (Scene, String) {
    let scene = Scene::with(settings);
    let id = scene.join().await;
    scene.increment(1).await;
    (scene, id)
}

#[tokio::test]
async fn generate_token_answers_in_its_order() {
    for settings in [expiring(PassOn::Lost), strict(expiring(PassOn::Lost))] {
        let scene = Scene::with(settings);
        let ids = scene.joined(3).await;
        scene.token("nonsense").await.says(400, "Invalid event or request ID");
        let other = scene.public("/generate_token", json!({ "event_id": "x", "request_id": ids[0] })).await;
        other.says(400, "Invalid event or request ID");
        scene.token(NOBODY).await.says(400, "Invalid request ID");
        scene.token(&ids[0]).await.says(202, "Request ID not being served yet");
        scene.increment(2).await;
        assert_eq!(scene.token(&ids[0]).await.status, 200);
        scene.wait(901);
        scene.token(&ids[1]).await.says(410, "Queue position has expired");
        assert_eq!(scene.token(&ids[0]).await.status, 200, "a token that was issued is not subject to it");
        scene.end(&ids[0], -1).await;
        scene.token(&ids[0]).await.says(410, "Token corresponding to request id has expired");
        let missing = scene.public("/generate_token", json!({ "event_id": "Sample" })).await;
        missing.refuses(400, "Invalid request body");
        let wrong = json!({ "event_id": "Sample", "request_id": ids[2], "validity_period": "60" });
        scene.public("/generate_token", wrong).await.refuses(400, "Invalid request body");
    }
}

#[tokio::test]
async fn three_tokens_have_eight_claims_and_differ_in_their_use_only() {
    let (scene, id) = served(settings()).await;
    let reply = scene.token(&id).await;
    let body = reply.body.as_object().unwrap();
    assert_eq!(
        body.keys().collect::<Vec<_>>(),
        ["access_token", "refresh_token", "id_token", "token_type", "expires_in"]
    );
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(3600)));
    let kid = scene.get("/public_key?event_id=Sample").await.text_of("kid");
    for (member, of_use) in [("access_token", "access"), ("refresh_token", "refresh"), ("id_token", "id")] {
        let token = reply.text_of(member);
        let header = decode_header(&token).unwrap();
        assert_eq!((header.kid.as_ref(), header.typ.as_deref()), (Some(&kid), Some("JWT")));
        let expected = json!({
            "aud": "Sample", "sub": id, "queue_position": 1, "token_use": of_use, "iat": 1_800_000_000,
            "nbf": 1_800_000_000, "exp": 1_800_003_600, "iss": "https://wait.example/api",
        });
        assert_eq!(claims(&scene, &token).await, expected);
    }
}

#[tokio::test]
async fn a_token_is_issued_again_byte_for_byte_and_never_renewed() {
    for settings in all_settings() {
        let (scene, id) = served(settings).await;
        let first = scene.token(&id).await;
        for (seconds, left) in [(100, 3500), (3500, 0), (1000, 0)] {
            scene.wait(seconds);
            let again = scene.token(&id).await;
            assert_eq!(again.text_of("access_token"), first.text_of("access_token"));
            assert_eq!(again.body["expires_in"], left);
        }
        let again = scene.private("/generate_token", json!({ "event_id": "Sample", "request_id": id })).await;
        assert_eq!(again.text_of("id_token"), first.text_of("id_token"), "with its kid, from either side");
        assert_eq!(scene.room.counters().unwrap().tokens, 1);
    }
}

#[tokio::test]
async fn the_public_side_ignores_who_wants_another_issuer_or_validity() {
    let (scene, id) = served(settings()).await;
    let wish =
        json!({ "event_id": "Sample", "request_id": id, "issuer": "https://evil.example", "validity_period": 9 });
    let claims = claims(&scene, &scene.public("/generate_token", wish).await.text_of("access_token")).await;
    assert_eq!((&claims["iss"], &claims["exp"]), (&json!("https://wait.example/api"), &json!(1_800_003_600)));
}

#[tokio::test]
async fn the_private_side_may_choose_them_once_and_for_that_token_only() {
    let (scene, id) = served(settings()).await;
    let other = scene.join().await;
    scene.increment(1).await;
    let wish = |id: &str| json!({ "event_id": "Sample", "request_id": id, "issuer": "https://own.example", "validity_period": 60.9 });
    let reply = scene.private("/generate_token", wish(&id)).await;
    assert_eq!(reply.body["expires_in"], 60);
    let chosen = claims(&scene, &reply.text_of("access_token")).await;
    assert_eq!((&chosen["iss"], &chosen["exp"]), (&json!("https://own.example"), &json!(1_800_000_060)));
    assert_eq!(claims(&scene, &scene.token(&id).await.text_of("access_token")).await, chosen);
    let usual = scene.private("/generate_token", json!({ "event_id": "Sample", "request_id": other })).await;
    assert_eq!(usual.body["expires_in"], 3600, "what one token was asked for is not what others get");
    let negative = json!({ "event_id": "Sample", "request_id": id, "validity_period": -1 });
    scene.private("/generate_token", negative).await.refuses(400, "Invalid request body");
}

#[tokio::test]
async fn a_token_outlives_a_serving_number_that_is_lowered_unless_strictly() {
    for (settings, status) in [(settings(), 200), (strict(settings()), 202)] {
        let (scene, id) = served(settings).await;
        scene.token(&id).await;
        scene.increment(-1).await;
        assert_eq!(scene.token(&id).await.status, status);
    }
}

#[tokio::test]
async fn many_who_ask_for_one_token_at_once_get_the_same() {
    let (scene, id) = served(settings()).await;
    let replies = futures::future::join_all((0..20).map(|_| scene.token(&id))).await;
    let tokens: Vec<_> = replies.iter().map(|reply| reply.text_of("access_token")).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert_eq!(scene.room.counters().unwrap().tokens, 1);
}

#[tokio::test]
async fn public_key_is_one_key_without_private_members() {
    let scene = Scene::new();
    let reply = scene.get("/public_key?event_id=Sample").await;
    assert_eq!(reply.status, 200);
    let mut members: Vec<_> = reply.body.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(members, ["alg", "e", "kid", "kty", "n"]);
    assert_eq!(
        (reply.text_of("kty"), reply.text_of("alg"), reply.text_of("e")),
        ("RSA".into(), "RS256".into(), "AQAB".into())
    );
    assert_eq!(reply.text_of("n").len(), 342, "2048 bits");
    scene.get("/public_key?event_id=x").await.says(400, "Invalid request ID");
    let scene = scene.restarted();
    assert_eq!(scene.get("/public_key?event_id=Sample").await.body, reply.body);
}

#[tokio::test]
async fn an_access_token_opens_and_nothing_else_does() {
    let (scene, id) = served(settings()).await;
    let (other, other_id) = served(settings()).await;
    let tokens = scene.token(&id).await;
    let access = tokens.text_of("access_token");
    let now = u64::from(scene.now.get());
    let admitted = async |token: &str, now: u64| scene.room.admitted(token, now, Sessions::Ignored).await.unwrap();

    assert_eq!(admitted(&access, now).await.map(|id| id.to_string()), Ok(id.clone()));
    assert!(admitted(&access, now + 3600).await.is_ok());
    assert_eq!(admitted(&access, now + 3601).await, Err(Denied::Expired));
    assert!(admitted(&access, now - 60).await.is_ok(), "clocks may differ by a minute");
    assert_eq!(admitted(&access, now - 61).await, Err(Denied::Expired));
    for member in ["id_token", "refresh_token"] {
        assert_eq!(admitted(&tokens.text_of(member), now).await, Err(Denied::OtherUse));
    }
    let forged = other.token(&other_id).await.text_of("access_token");
    let cut: String = access.chars().take(access.len() - 4).collect();
    for token in [&forged, "", "text", "a.b.c", &cut, &format!("Bearer {access}")] {
        assert_eq!(admitted(token, now).await, Err(Denied::Forged), "{token}");
    }
}

#[tokio::test]
async fn a_token_of_another_issuer_or_event_does_not_open() {
    let (scene, id) = served(settings()).await;
    let wish = json!({ "event_id": "Sample", "request_id": id, "issuer": "https://own.example" });
    let token = scene.private("/generate_token", wish).await.text_of("access_token");
    let now = scene.now.get().into();
    assert_eq!(scene.room.admitted(&token, now, Sessions::Ignored).await.unwrap(), Err(Denied::Elsewhere));
    scene.rooms.set([(
        "sale".to_owned(),
        Settings { event: "Next".into(), issuer: "https://own.example".into(), ..settings() },
    )]);
    assert_eq!(scene.room.admitted(&token, now, Sessions::Ignored).await.unwrap(), Err(Denied::Elsewhere));
}

#[tokio::test]
async fn whether_a_visit_has_ended_matters_where_it_is_checked() {
    let (scene, id) = served(settings()).await;
    let token = scene.token(&id).await.text_of("access_token");
    let now = scene.now.get().into();
    let admitted = async |sessions| scene.room.admitted(&token, now, sessions).await.unwrap().is_ok();
    assert!(admitted(Sessions::Checked).await);
    scene.end(&id, 1).await;
    assert!(admitted(Sessions::Ignored).await && !admitted(Sessions::Checked).await);
}
