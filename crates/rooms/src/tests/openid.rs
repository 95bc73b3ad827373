//! Section 9: what an OpenID client asks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::OpenId;

const SECRET: &str = "0123456789abcdefghij";

fn provider() -> Settings {
    let openid = OpenId {
        issuer: "https://wait.example/oidc".into(),
        client_secret: SECRET.into(),
        redirect_uris: vec!["https://shop.example/oauth2/idpresponse".to_owned()],
        login: "https://web.example/login.html".into(),
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
