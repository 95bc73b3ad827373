//! Other programs are told what changes in the registry.

use partners::{NewCompany, NewWebhook};
use tempfile::TempDir;
use testkit::{Gateway, Stub, eventually, until};

const DOCUMENT: &str = "version: 1
store: {embedded: ./data}
webhooks: {allow: [127.0.0.0/8], http: accepted}
";

/// Makes an endpoint at a stub, and a company that it is told of.
async fn tell(gateway: &Gateway, portal: &Stub) {
    let keeping = gateway.node().keeping.as_ref().unwrap();
    let url = format!("http://{}/hooks", portal.address);
    let new = NewWebhook { name: "portal".to_owned(), url, kinds: vec!["company.created".to_owned()] };
    keeping.webhooks.create(&keeping.partners, new).await.unwrap();
    company(gateway, "acme").await;
}

async fn company(gateway: &Gateway, name: &str) {
    let partners = &gateway.node().keeping.as_ref().unwrap().partners;
    partners.create_company(NewCompany { name: name.to_owned(), title: None }).await.unwrap();
}

/// Waits until so many events were told.
async fn told(portal: &Stub, count: usize) -> Vec<String> {
    eventually("it is told", || portal.count() >= count).await;
    let about = |body: &[u8]| {
        serde_json::from_slice::<serde_json::Value>(body).unwrap()["data"]["id"].as_str().unwrap().to_owned()
    };
    portal.requests().iter().map(|request| about(&request.body)).collect()
}

#[tokio::test]
async fn a_portal_is_told_within_seconds_what_an_operator_did() {
    let portal = Stub::saying("thanks").await;
    let gateway = Gateway::serving(DOCUMENT).await;

    tell(&gateway, &portal).await;

    assert_eq!(told(&portal, 1).await, ["acme"]);
    let request = &portal.requests()[0];
    assert_eq!(request.line(), "POST /hooks HTTP/1.1");
    assert!(request.header("webhook-signature").unwrap().starts_with("v1,"));
    assert!(request.header("webhook-id").unwrap().starts_with("evt_"));
}

#[tokio::test]
async fn what_changed_before_a_gateway_was_ended_is_told_by_the_next_one_and_nothing_twice() {
    let portal = Stub::saying("thanks").await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("vestibule.yaml");
    let gateway = Gateway::in_folder(folder, DOCUMENT).await;
    tell(&gateway, &portal).await;
    assert_eq!(told(&portal, 1).await, ["acme"]);
    // Before that is written down, it would be told again, with the same id.
    let partners = &gateway.node().keeping.as_ref().unwrap().partners;
    let name = "portal".parse().unwrap();
    until("it is written down", async || !partners.deliveries(&name, None, 1).await.unwrap().is_empty()).await;
    gateway.node().stop().await;
    company(&gateway, "zeta").await;

    let configuration = control::Configuration::open(&file).unwrap();
    let next = control::Node::start(configuration, Some(file), proxy::Inherited::default()).await.unwrap();

    assert_eq!(told(&portal, 2).await, ["acme", "zeta"]);
    next.stop().await;
}
