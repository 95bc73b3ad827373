//! Section 9: what an OpenID client asks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use waiting_room::{Lane, LaneKind, Lanes};

use crate::{OpenId, SLOW, Without, Work};

const SECRET: &str = "0123456789abcdefghij";

fn provider() -> Settings {
    let openid = OpenId {
        issuer: "https://wait.example/oidc".into(),
        client_secret: SECRET.into(),
        redirect_uris: vec!["https://shop.example/oauth2/idpresponse".to_owned()],
        login: Some("https://web.example/login.html".into()),
    };
    Settings { openid: Some(Arc::new(openid)), ..settings() }
}

impl Scene {
    async fn openid(&self, target: &str, headers: &[(&str, &str)]) -> Reply {
        self.ask_with(Side::OpenId, Method::GET, target, (headers, "")).await
    }

    async fn exchange(&self, headers: &[(&str, &str)], form: &str) -> Reply {
        let headers = [&[("content-type", "application/x-www-form-urlencoded")], headers].concat();
        self.ask_with(Side::OpenId, Method::POST, "/token", (&headers, form)).await
    }
}

#[tokio::test]
async fn the_configuration_tells_where_everything_is() {
    let scene = Scene::with(provider());
    let told = scene.openid("/.well-known/openid-configuration", &[]).await.body;
    for (member, path) in [
        ("issuer", ""),
        ("authorization_endpoint", "/authorize"),
        ("token_endpoint", "/token"),
        ("userinfo_endpoint", "/userInfo"),
        ("jwks_uri", "/.well-known/jwks.json"),
    ] {
        assert_eq!(told[member], format!("https://wait.example/oidc{path}"));
    }
    assert_eq!((&told["response_types_supported"], &told["scopes_supported"]), (&json!(["code"]), &json!(["openid"])));
    assert_eq!(told["token_endpoint_auth_methods_supported"], json!(["client_secret_basic", "client_secret_post"]));
    assert_eq!(
        (&told["subject_types_supported"], &told["id_token_signing_alg_values_supported"]),
        (&json!(["public"]), &json!(["RS256"]))
    );
    let keys = scene.openid("/.well-known/jwks.json", &[]).await.body;
    assert_eq!(keys["keys"][0]["kid"], scene.get("/public_key?event_id=Sample").await.body["kid"]);
}

#[tokio::test]
async fn authorize_leads_to_the_page_where_people_join_and_nobody_else() {
    let scene = Scene::with(provider());
    let query = "client_id=Sample&redirect_uri=https%3A%2F%2Fshop.example%2Foauth2%2Fidpresponse&response_type=code&scope=openid&state=a%26b%3Dc";
    let reply = scene.openid(&format!("/authorize?{query}"), &[]).await;
    let login = "https://web.example/login.html?client_id=Sample&redirect_uri=https%3A%2F%2Fshop.example%2Foauth2%2Fidpresponse&response_type=code&state=a%26b%3Dc&scope=openid";
    assert_eq!((reply.status, reply.header("location")), (302, login));
    let twice = query.replace("%3A%2F%2F", "%253A%252F%252F").replace("%2Foauth2%2F", "%252Foauth2%252F");
    assert_eq!(scene.openid(&format!("/authorize?{twice}"), &[]).await.status, 302, "encoded twice");
    for (right, wrong) in [
        ("client_id=Sample", "client_id=Other"),
        ("shop.example", "evil.example"),
        ("idpresponse", "idpresponse%2F.."),
        ("response_type=code", "response_type=token"),
        ("scope=openid", "scope=openid%20email"),
        ("scope=openid", "scope="),
    ] {
        let reply = scene.openid(&format!("/authorize?{}", query.replace(right, wrong)), &[]).await;
        assert_eq!((reply.status, &*reply.text, reply.header("location")), (400, &b"Bad Request"[..], ""), "{wrong}");
    }
}

#[tokio::test]
async fn token_exchanges_a_code_whose_turn_has_come_with_either_kind_of_credential() {
    let scene = Scene::with(provider());
    let ids = scene.joined(2).await;
    let form = |id: &str| format!("client_id=Sample&client_secret={SECRET}&code={id}&grant_type=authorization_code");
    let early = scene.exchange(&[], &form(&ids[0])).await;
    assert_eq!((early.status, &*early.text), (400, &b"Bad Request"[..]));
    scene.increment(2).await;

    let reply = scene.exchange(&[], &form(&ids[0])).await;
    assert_eq!(
        (reply.status, &reply.body["token_type"], &reply.body["expires_in"]),
        (200, &json!("Bearer"), &json!(3600))
    );
    let again = scene.exchange(&[], &form(&ids[0])).await;
    assert_eq!(again.text_of("id_token"), reply.text_of("id_token"), "codes can be used again");
    let basic = format!("Basic {}", STANDARD.encode(format!("Sample:{SECRET}")));
    let by_basic = format!("code={}&grant_type=authorization_code", ids[1]);
    assert_eq!(scene.exchange(&[("authorization", &basic)], &by_basic).await.status, 200);

    for (right, wrong) in [
        ("client_id=Sample", "client_id=Other"),
        (SECRET, "wrong"),
        ("grant_type=authorization_code", "grant_type=refresh_token"),
        (&*ids[0], NOBODY),
        (&*ids[0], "nonsense"),
    ] {
        assert_eq!(scene.exchange(&[], &form(&ids[0]).replace(right, wrong)).await.status, 400, "{wrong}");
    }
    let json = [("content-type", "application/json")];
    assert_eq!(scene.ask_with(Side::OpenId, Method::POST, "/token", (&json, "{}")).await.status, 415);
    assert_eq!(scene.openid("/token", &[]).await.status, 405);
}

#[tokio::test]
async fn user_info_verifies_and_reads_only() {
    let scene = Scene::with(provider());
    let ids = scene.joined(2).await;
    scene.increment(2).await;
    let form = format!("client_id=Sample&client_secret={SECRET}&code={}&grant_type=authorization_code", ids[0]);
    let tokens = scene.exchange(&[], &form).await;
    let access = tokens.text_of("access_token");
    let ask = async |token: &str| scene.openid("/userInfo", &[("authorization", &format!("Bearer {token}"))]).await;

    let claims = ask(&access).await;
    assert_eq!(
        (claims.status, &claims.body["sub"], &claims.body["iss"]),
        (200, &json!(ids[0]), &json!("https://wait.example/oidc"))
    );
    assert_eq!(claims.body.as_object().unwrap().len(), 8);
    let (head, signature) = access.rsplit_once('.').unwrap();
    let forged = format!("{}.{signature}", head.replacen('.', ".e30", 1));
    let unsigned = format!("{head}.");
    for token in [&tokens.text_of("id_token"), &tokens.text_of("refresh_token"), &forged, &unsigned, "nonsense"] {
        assert_eq!(ask(token).await.status, 400);
    }
    for headers in [&[][..], &[("authorization", "nonsense")], &[("authorization", "Basic eA==")]] {
        assert_eq!(scene.openid("/userInfo", headers).await.status, 401);
    }
    assert_eq!(scene.room.counters().unwrap().tokens, 1, "it makes none");
    scene.end(&ids[0], 1).await;
    assert_eq!(ask(&access).await.status, 400);
}

#[tokio::test]
async fn a_room_that_is_no_provider_is_none() {
    let scene = Scene::new();
    for target in ["/.well-known/openid-configuration", "/.well-known/jwks.json", "/authorize", "/userInfo"] {
        assert_eq!(scene.openid(target, &[]).await.status, 400, "{target}");
    }
}

/// What a browser is sent back with.
fn back(reply: &Reply) -> (String, String) {
    let location = reply.header("location");
    let query =
        location.strip_prefix("https://shop.example/oauth2/idpresponse?code=").unwrap_or_else(|| panic!("{location}"));
    let (code, state) = query.split_once("&state=").unwrap();
    (code.to_owned(), state.to_owned())
}

/// The claims of a token.
fn claims(token: &str) -> Value {
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

#[tokio::test]
async fn without_a_page_of_their_own_people_wait_at_authorize_and_the_nonce_of_the_client_comes_back() {
    let mut settings = provider();
    let openid = OpenId { login: None, ..OpenId::clone(settings.openid.as_ref().unwrap()) };
    settings.openid = Some(Arc::new(openid));
    let scene = Scene::with(settings);
    let query = "client_id=Sample&redirect_uri=https%3A%2F%2Fshop.example%2Foauth2%2Fidpresponse&response_type=code&scope=openid";
    let target = format!("/authorize?{query}&state=a%26b&nonce=n%2B1");
    let page = scene.openid(&target, &[("accept-language", "de")]).await;
    assert_eq!((page.status, page.header("content-type")), (503, "text/html; charset=utf-8"));
    assert!(page.text.windows(28).any(|part| part == "<h1 data-v=\"heading\">Sie sin".as_bytes()));
    let cookie = page.header("set-cookie").split(';').next().unwrap().to_owned();
    assert!(page.header("set-cookie").ends_with("; HttpOnly; SameSite=Lax; Secure"));
    scene.increment(1).await;

    let sent_back = scene.openid(&target, &[("cookie", &cookie)]).await;
    assert_eq!((sent_back.status, scene.room.counters().unwrap().queue), (302, 1));
    let (code, state) = back(&sent_back);
    assert_eq!(state, "a%26b");
    assert_eq!(scene.room.counters().unwrap().tokens, 0, "the client takes the turn");
    let form =
        |code: &str| format!("client_id=Sample&client_secret={SECRET}&code={code}&grant_type=authorization_code");
    let tokens = scene.exchange(&[], &form(&code)).await;
    let of_id = claims(&tokens.text_of("id_token"));
    assert_eq!((&of_id["nonce"], &of_id["iss"]), (&json!("n+1"), &json!("https://wait.example/oidc")));
    assert_eq!(claims(&tokens.text_of("access_token")).get("nonce"), None);
    let other = code.replacen('.', ".eA", 1);
    assert_eq!(scene.exchange(&[], &form(&other)).await.status, 400, "nobody else says what the nonce is");

    let long = scene.openid(&format!("{target}{}", "x".repeat(255)), &[("cookie", &cookie)]).await;
    assert_eq!(long.status, 400);
    let again = scene.openid(&target.replace("n%2B1", "2"), &[("cookie", &cookie)]).await;
    let again = scene.exchange(&[], &form(&back(&again).0)).await;
    assert_eq!(claims(&again.text_of("id_token"))["nonce"], "2");
    let plain = scene.openid(&format!("/authorize?{query}&state=x"), &[("cookie", &cookie)]).await;
    assert_eq!(back(&plain).0.len(), 36, "without a nonce the code is the request id");
}

#[tokio::test]
async fn a_page_of_the_sites_own_leads_back_with_the_nonce_once_it_is_somebodys_turn() {
    let scene = Scene::with(provider());
    let query = "client_id=Sample&redirect_uri=https%3A%2F%2Fshop.example%2Foauth2%2Fidpresponse&response_type=code&scope=openid";
    let target = format!("/authorize?{query}&state=a%26b&nonce=n%2B1");
    let login = scene.openid(&target, &[]).await.header("location").to_owned();
    assert!(login.ends_with("&state=a%26b&scope=openid&nonce=n%2B1"), "{login}");
    let id = scene.join().await;
    for nobody in [&id, NOBODY, "nonsense"] {
        let early = scene.openid(&format!("{target}&request_id={nobody}"), &[]).await;
        assert_eq!((early.status, early.header("location")), (302, &*login), "not yet, or never: {nobody}");
    }
    scene.increment(1).await;
    let (_, query) = login.split_once('?').unwrap();
    let sent_back = scene.openid(&format!("/authorize?{query}&request_id={id}"), &[]).await;
    let (code, state) = back(&sent_back);
    let form = format!("client_id=Sample&client_secret={SECRET}&code={code}&grant_type=authorization_code");
    let tokens = scene.exchange(&[], &form).await;
    assert_eq!((claims(&tokens.text_of("id_token"))["nonce"].as_str(), &*state), (Some("n+1"), "a%26b"));
    let long = scene.openid(&format!("{target}{}", "x".repeat(255)), &[]).await;
    assert_eq!((long.status, scene.room.counters().unwrap().queue), (400, 1));
}

#[tokio::test]
async fn who_came_in_otherwise_joins_anew_for_a_client_which_takes_no_tokens_of_another_issuer() {
    let mut settings = provider();
    settings.openid = settings.openid.map(|openid| Arc::new(OpenId { login: None, ..OpenId::clone(&openid) }));
    let scene = Scene::with(settings);
    let id = scene.join().await;
    scene.increment(2).await;
    assert_eq!(scene.token(&id).await.status, 200);
    let cookie = format!("vestibule-room-sale={}.0", scene.room.ticket(id.parse().unwrap()));
    let query = "client_id=Sample&redirect_uri=https%3A%2F%2Fshop.example%2Foauth2%2Fidpresponse&response_type=code&scope=openid&state=x";
    let reply = scene.openid(&format!("/authorize?{query}"), &[("cookie", &cookie)]).await;
    assert!(back(&reply).0 != id && reply.header("set-cookie").contains("vestibule-room-sale="));
}

#[tokio::test]
async fn who_joins_at_authorize_works_for_a_place_or_comes_by_the_slow_lane() {
    let mut settings = provider();
    settings.openid = settings.openid.map(|openid| Arc::new(OpenId { login: None, ..OpenId::clone(&openid) }));
    let slow = Lane { name: SLOW.into(), weight: 5, quota: None, kind: LaneKind::Slow };
    settings.fairness = Fairness {
        lanes: Arc::new(Lanes::of(vec![slow])),
        work: Some(Work { difficulty: 1, valid: 60, without: Without::SlowLane }),
        ..Fairness::default()
    };
    let scene = Scene::with(settings);
    let query = "client_id=Sample&redirect_uri=https%3A%2F%2Fshop.example%2Foauth2%2Fidpresponse&response_type=code&scope=openid&state=x";
    let target = format!("/authorize?{query}");

    let page = scene.openid(&target, &[]).await;
    let text = String::from_utf8(page.text.to_vec()).unwrap();
    assert_eq!((page.status, scene.room.counters().unwrap().queue), (503, 0));
    assert!(text.contains("state=x&amp;room-join=slow-lane"), "{text}");
    let (_, rest) = text.split_once("data-challenge=\"").unwrap();
    let proof = room_tickets::solved(rest.split('"').next().unwrap(), 1).unwrap();

    let worked = scene.openid(&target, &[("cookie", &format!("vestibule-proof-sale={proof}"))]).await;
    assert!(worked.header("set-cookie").starts_with("vestibule-room-sale="));
    let slower = format!("{target}&room-join=slow-lane");
    let without = scene.openid(&slower, &[]).await;
    let cookie = without.header("set-cookie").split(';').next().unwrap().to_owned();
    assert_eq!(scene.openid(&slower, &[("cookie", &cookie)]).await.status, 503);
    assert_eq!(scene.room.counters().unwrap().queue, 2, "who has a place gets no other");
}
