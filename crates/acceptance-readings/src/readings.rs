//! What servers read in different ways: the gateway's routes and policies and the backend see the same.

use testkit::{Gateway, Stub};

const GUARDED: &str = "\
apis:
  all: {match: {path: /}, upstream: backend}
  admin: {match: {path: /admin/secrets}, upstream: backend, policies: [respond: {status: 403}]}
";

#[tokio::test]
async fn several_slashes_lead_past_no_policy_and_reach_the_backend_as_one() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::with(&backend, GUARDED).await;

    for path in ["/admin/secrets", "//admin/secrets", "/admin//secrets", "/admin///%73ecrets//x?y=//"] {
        assert_eq!(gateway.get(path).await.status, 403, "{path}");
    }
    assert_eq!(backend.count(), 0);
    assert_eq!(gateway.get("//orders///7//?next=//a").await.status, 200);
    assert!(backend.request().head.starts_with("GET /orders/7/?next=//a HTTP/1.1"), "{}", backend.request().head);
}

#[tokio::test]
async fn several_slashes_are_refused_or_kept_if_the_operator_says_so() {
    let backend = Stub::saying("hello").await;
    let kept = Stub::saying("hello").await;
    let refusing = Gateway::with(&backend, &format!("requests: {{repeated_slashes: refuse}}\n{GUARDED}")).await;
    let keeping = Gateway::with(&kept, &format!("requests: {{repeated_slashes: keep}}\n{GUARDED}")).await;

    let reply = refusing.get("/orders//7").await;
    assert_eq!((reply.status, reply.problem().as_str()), (400, "ambiguous-path"));
    assert_eq!(refusing.get("/orders/7?next=//a").await.status, 200);

    assert_eq!(keeping.get("/orders//7").await.status, 200);
    assert!(kept.request().head.starts_with("GET /orders//7 HTTP/1.1"), "{}", kept.request().head);
}

#[tokio::test]
async fn a_header_with_an_underscore_cannot_pass_for_one_that_the_gateway_sets() {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::with(&backend, GUARDED).await;

    let reply =
        gateway.get_with("/", &[("X_Forwarded_For", "203.0.113.7"), ("content_length", "5"), ("X-Plain", "a_b")]).await;

    assert_eq!(reply.status, 200);
    let request = backend.request();
    assert!(!request.head.contains("203.0.113.7") && !request.head.contains("content_length"), "{}", request.head);
    assert_eq!(request.header("x-plain"), Some("a_b"));
}

#[tokio::test]
async fn headers_with_an_underscore_are_refused_or_kept_if_the_operator_says_so() {
    let backend = Stub::saying("hello").await;
    let refusing = Gateway::with(&backend, &format!("requests: {{underscore_headers: refuse}}\n{GUARDED}")).await;
    let keeping = Gateway::with(&backend, &format!("requests: {{underscore_headers: keep}}\n{GUARDED}")).await;

    let reply = refusing.get_with("/", &[("x_tenant", "7")]).await;
    assert_eq!((reply.status, reply.problem().as_str()), (400, "ambiguous-header"));
    assert!(reply.text().contains("`x_tenant`"), "{}", reply.text());
    assert_eq!(backend.count(), 0);

    assert_eq!(keeping.get_with("/", &[("x_tenant", "7")]).await.status, 200);
    assert_eq!(backend.request().header("x_tenant"), Some("7"));
}

#[tokio::test]
async fn a_route_that_no_request_can_take_is_a_finding() {
    let backend = Stub::saying("hello").await;
    for (matched, setting) in
        [("path: {exact: /a//b}", "repeated_slashes"), ("path: /, header: {x_tenant: \"7\"}", "underscore_headers")]
    {
        let apis = format!("apis: {{a: {{match: {{{matched}}}, upstream: backend}}}}\n");
        let document = |requests: &str| {
            let upstreams = format!("upstreams: {{backend: {{targets: [\"http://{}\"]}}}}\n", backend.address);
            format!("version: 1\nlisteners: {{a: {{bind: \"127.0.0.1:0\"}}}}\n{requests}{upstreams}{apis}")
        };
        let check = |text: &str| {
            let configuration = control::Configuration::read(text, std::path::Path::new("v.yaml"));
            control::check(&configuration.ok().unwrap()).findings.iter().map(ToString::to_string).collect::<Vec<_>>()
        };

        let findings = check(&document(""));
        assert!(findings.len() == 1 && findings[0].contains(setting), "{findings:?}");
        assert!(check(&document(&format!("requests: {{{setting}: keep}}\n"))).is_empty());
    }
}
