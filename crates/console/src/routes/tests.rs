use futures::FutureExt;
use http::Method;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;

struct Known;

impl Check for Known {
    fn whose(&self, token: Box<str>) -> BoxFuture<'_, Option<Who>> {
        let who = (&*token == "va_right").then(|| Who { name: "ops".into(), role: "operator".into() });
        async move { who }.boxed()
    }

    fn now(&self) -> u64 {
        1_800_000_000
    }
}

async fn told(headers: HeaderMap) -> String {
    format!("{:?} {:?}", headers.get(AUTHORIZATION), headers.get(COOKIE))
}

/// An Admin API that tells how it was asked.
fn desk() -> (Console, Router) {
    let console = Console::default();
    let routes = console.routes(Router::new().route("/rooms", get(told)), Known, true);
    (console, routes)
}

async fn ask(
    routes: &Router,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::builder().method(method).uri(path).header(HOST, "admin.example:9900");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(axum::body::Body::from(body.to_owned())).unwrap();
    let (head, body) = routes.clone().oneshot(request).await.unwrap().into_parts();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    (head.status, head.headers, body)
}

const PAGE: (&str, &str) = (MARK, "1");
const JSON: (&str, &str) = ("content-type", "application/json");

async fn signed_in(routes: &Router, entry: &str) -> (StatusCode, String) {
    let (status, headers, _) = ask(routes, Method::POST, "/console/session", &[PAGE, JSON], entry).await;
    let cookie = headers.get(SET_COOKIE).map(|cookie| cookie.to_str().unwrap().to_owned()).unwrap_or_default();
    (status, cookie)
}

#[tokio::test]
async fn who_presents_a_token_once_is_asked_for_by_a_cookie_until_they_sign_out() {
    let (_, routes) = desk();
    let (status, cookie) = signed_in(&routes, "{\"token\": \" va_right\\n\"}").await;
    assert_eq!(status, StatusCode::OK);
    assert!(cookie.ends_with("; Path=/console; HttpOnly; SameSite=Strict; Secure"), "{cookie}");
    assert!(!cookie.contains("va_right"));
    let cookie = ("cookie", cookie.split(';').next().unwrap());

    let (_, _, told) = ask(&routes, Method::GET, "/console/api/rooms", &[PAGE, cookie], "").await;
    assert_eq!(told, "Some(Sensitive) None", "the Admin API sees a token, and no cookie");
    let (_, _, told) = ask(&routes, Method::GET, "/console/session", &[PAGE, cookie], "").await;
    assert_eq!(told, "{\"name\":\"ops\",\"role\":\"operator\",\"ends\":1800028800}");

    let (status, ..) = ask(&routes, Method::DELETE, "/console/session", &[PAGE, cookie], "").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (_, _, told) = ask(&routes, Method::GET, "/console/api/rooms", &[PAGE, cookie], "").await;
    assert_eq!(told, "None None");
    let (status, ..) = ask(&routes, Method::GET, "/console/session", &[PAGE, cookie], "").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn nobody_else_signs_in() {
    let (console, routes) = desk();
    for entry in ["{\"token\": \"va_wrong\"}", "{\"token\": \"\"}", "{\"link\": \"x\"}"] {
        assert_eq!(signed_in(&routes, entry).await, (StatusCode::UNAUTHORIZED, String::new()), "{entry}");
    }
    let link = console.invite("va_right", Known.now()).unwrap();
    let entry = json!({ "link": link.strip_prefix("/console/#link=").unwrap() }).to_string();
    assert_eq!(signed_in(&routes, &entry).await.0, StatusCode::OK);
    assert_eq!(signed_in(&routes, &entry).await.0, StatusCode::UNAUTHORIZED, "a link is good once");
    let (_, _, told) =
        ask(&routes, Method::GET, "/console/api/rooms", &[PAGE, ("authorization", "Bearer x")], "").await;
    assert_eq!(told, "None None", "it is the cookie that counts here");
}

#[tokio::test]
async fn another_site_can_ask_for_nothing_in_the_name_of_who_is_signed_in() {
    let (_, routes) = desk();
    let (_, cookie) = signed_in(&routes, "{\"token\": \"va_right\"}").await;
    let cookie = ("cookie", cookie.split(';').next().unwrap());
    for headers in [
        &[cookie][..],
        &[cookie, PAGE, ("sec-fetch-site", "same-site")],
        &[cookie, PAGE, ("sec-fetch-site", "cross-site")],
        &[cookie, PAGE, ("origin", "http://admin.example:8080")],
        &[cookie, PAGE, ("origin", "null")],
    ] {
        for (method, path) in [
            (Method::GET, "/console/api/rooms"),
            (Method::POST, "/console/session"),
            (Method::DELETE, "/console/session"),
        ] {
            let (status, ..) = ask(&routes, method, path, headers, "").await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{path} {headers:?}");
        }
    }
    let own = [cookie, PAGE, ("sec-fetch-site", "same-origin"), ("origin", "https://admin.example:9900")];
    assert_eq!(ask(&routes, Method::GET, "/console/api/rooms", &own, "").await.0, StatusCode::OK);
}

#[tokio::test]
async fn the_page_is_there_for_everybody_and_brings_nothing_from_elsewhere() {
    let (_, routes) = desk();
    let scripts = ["/console/console.js", "/console/plot.js", "/console/simulate.js", "/console/words.js"];
    for path in [&["/console/", "/console/console.css"][..], &scripts].concat() {
        let (status, headers, content) = ask(&routes, Method::GET, path, &[], "").await;
        assert_eq!(status, StatusCode::OK);
        assert!(
            headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'; script-src 'self'")
        );
        assert!(!content.replace("http://www.w3.org/2000/svg", "").contains("http"), "{path}");
    }
    let (status, headers, _) = ask(&routes, Method::GET, "/console", &[], "").await;
    assert_eq!((status, &headers["location"]), (StatusCode::SEE_OTHER, &HeaderValue::from_static("/console/")));
}
