//! A master key that stays in `OpenBao`, a real server whose API is that of Vault.

use std::sync::Arc;

use control::Node;
use secrets::Error;
use servers::OpenBao;
use testkit::{Authority, Gateway};

const RIGHTS: &[&str] = &["transit/encrypt/vestibule", "transit/decrypt/vestibule", "transit/rewrap/vestibule"];

fn document(url: &str, more: &str) -> String {
    format!("store: {{embedded: ./data}}\nencryption: {{transit: {{url: \"{url}\", key: vestibule, {more}}}}}\n")
}

/// Keeps a secret, as whoever makes one does.
fn put(node: &Arc<Node>, name: &str, content: &str) -> Result<(), Error> {
    let content = content.as_bytes().to_vec();
    node.keeping.as_ref().unwrap().vault.update(name, |_| Ok(((), Some(content))))
}

fn secret(node: &Arc<Node>, name: &str) -> Option<Vec<u8>> {
    node.keeping.as_ref().unwrap().vault.get(name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_goes_on_while_the_server_is_away_and_does_not_start_without_it() {
    let mut server = OpenBao::start();
    let document = document(&server.url(), &format!("token: {}", server.token(RIGHTS)));
    let gateway = Gateway::serving(&document).await;
    put(gateway.node(), "mine", "plain text").unwrap();
    assert!(!gateway.folder().join("data/master.key").exists());

    server.stop();
    put(gateway.node(), "mine", "another text").unwrap();
    assert_eq!(secret(gateway.node(), "mine").unwrap(), b"another text");
    let folder = gateway.stopped().await;
    let (told, folder) = Gateway::refusing_in(folder, &document).await;
    let expected = format!("/encryption/transit: the master key cannot be used: {} does not answer: ", server.url());
    assert!(told.contains(&expected), "{told}");

    server.start_again();
    let gateway = Gateway::in_folder(folder, &document).await;
    assert_eq!(secret(gateway.node(), "mine").unwrap(), b"another text");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_server_is_told_in_words() {
    let server = OpenBao::start();
    let root = format!("token: {}", server.root());
    let told = async |more: &str| Gateway::refusing(&document(&server.url(), more)).await;

    let expected =
        "the token is not good enough (permission denied): it must be one that may `update` transit/encrypt/vestibule";
    assert!(told("token: nobody").await.contains(expected));
    let few = server.token(&["transit/decrypt/vestibule"]);
    let found = told(&format!("token: {few}")).await;
    assert!(found.contains("permission denied"), "{found}");
    let found = told(&format!("{root}, mount: elsewhere")).await;
    assert!(found.contains("there is no `transit` engine where it is looked for"), "{found}");
    let found = told("token_file: nowhere").await;
    assert!(found.contains("nowhere: No such file"), "{found}");
    server.seal();
    let found = told(&root).await;
    assert!(found.contains("it is sealed, or not ready"), "{found}");
    server.hold(true);
    let found = told(&format!("{root}, timeout: 200ms")).await;
    server.hold(false);
    assert!(found.contains("does not answer: it took longer than 200ms"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_trusted_by_its_authority_alone() {
    let (folder, authority, other) = (tempfile::tempdir().unwrap(), Authority::default(), Authority::default());
    let (cert, key) = authority.sign(&["127.0.0.1"]).write(folder.path(), "bao");
    for (name, authority) in [("ca.pem", &authority), ("other.pem", &other)] {
        std::fs::write(folder.path().join(name), authority.pem()).unwrap();
    }
    let server = OpenBao::with_tls(&cert, &key);
    // Somebody who renews it writes it anew.
    let token = folder.path().join("token");
    std::fs::write(&token, format!("{}\n", server.token(RIGHTS))).unwrap();
    let with = |ca: &str| {
        let ca = folder.path().join(ca);
        document(&server.url(), &format!("token_file: {}, tls: {{ca: {}}}", token.display(), ca.display()))
    };

    let told = Gateway::refusing(&with("other.pem")).await;
    assert!(told.contains("does not answer: ") && told.contains("certificate"), "{told}");
    let gateway = Gateway::serving(&with("ca.pem")).await;
    put(gateway.node(), "mine", "plain text").unwrap();
    std::fs::write(&token, server.token(RIGHTS)).unwrap();
    assert_eq!(secret(gateway.restart().await.node(), "mine").unwrap(), b"plain text");
}
