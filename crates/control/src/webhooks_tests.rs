//! Endpoints as their owners notice them: what they are told, how often, and how they know who tells it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use partners::{Index, NewCompany, NewKey, Pepper};
use secrets::Masters;
use store::InMemory;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use aws_lc_rs::hmac;

use super::*;

const DAY: u64 = 86_400_000_000;

/// An endpoint that answers with one status after the other, and with the last one from then on.
struct Endpoint {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    statuses: Arc<Mutex<VecDeque<u16>>>,
}

#[derive(Clone, Debug)]
struct Heard {
    head: String,
    body: String,
}

impl Heard {
    fn header(&self, name: &str) -> &str {
        let of = |line: &'_ str| {
            line.split_once(": ")
                .filter(|(found, _)| found.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.to_owned())
        };
        self.head
            .lines()
            .find_map(of)
            .map_or_else(|| panic!("no {name}: {}", self.head), |value| Box::leak(value.into_boxed_str()))
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Endpoint {
    async fn answering(statuses: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (heard, statuses) = (
            Arc::<Mutex<Vec<Heard>>>::default(),
            Arc::new(Mutex::new(statuses.iter().copied().collect::<VecDeque<_>>())),
        );
        let (hears, says) = (heard.clone(), statuses.clone());
        #[expect(clippy::disallowed_methods, reason = "a test may start tasks")]
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut text = Vec::new();
                while matches!(stream.read_buf(&mut text).await, Ok(1..)) {
                    let said = String::from_utf8_lossy(&text).into_owned();
                    let Some((head, body)) = said.split_once("\r\n\r\n") else { continue };
                    let length = head
                        .lines()
                        .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
                    if body.len() < length.and_then(|length| length.parse().ok()).unwrap_or(0) {
                        continue;
                    }
                    hears.lock().push(Heard { head: head.to_owned(), body: body.to_owned() });
                    let status = {
                        let mut says = says.lock();
                        if says.len() > 1 { says.pop_front() } else { says.front().copied() }
                    };
                    let answer =
                        format!("HTTP/1.1 {} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status.unwrap());
                    drop(stream.write_all(answer.as_bytes()).await);
                    break;
                }
            }
        });
        Self { address, heard, statuses }
    }

    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().clone()
    }

    fn kinds(&self) -> Vec<String> {
        self.heard().iter().map(|heard| heard.json()["type"].as_str().unwrap().to_owned()).collect()
    }
}

struct Fixture {
    registry: Arc<InMemory>,
    partners: Arc<Partners>,
    vault: Arc<Vault>,
    webhooks: Webhooks,
    now: Arc<AtomicU64>,
    _folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vault =
            Vault::open(&folder.path().join("secrets"), Masters::File(folder.path().join("master.key"))).unwrap();
        let (registry, now) = (Arc::new(InMemory::default()), Arc::new(AtomicU64::new(DAY)));
        let clock: Clock = {
            let now = now.clone();
            Arc::new(move || UnixMicros(now.fetch_add(1, Ordering::Relaxed)))
        };
        let index = Arc::new(Index::new(Pepper::new(&[7; 32])));
        let partners = Arc::new(Partners::new(registry.clone(), index, clock.clone()));
        let vault = Arc::new(vault);
        let webhooks = Webhooks::new(registry.clone(), partners.clone(), vault.clone(), clock);
        webhooks.set(Settings {
            allow: vec!["127.0.0.0/8".parse().unwrap()],
            http: PlainHttp::Accepted,
            ..Settings::default()
        });
        Self { registry, partners, vault, webhooks, now, _folder: folder }
    }

    /// The same store, as another process would have it.
    fn another(&self) -> Webhooks {
        let now = self.now.clone();
        let clock: Clock = Arc::new(move || UnixMicros(now.fetch_add(1, Ordering::Relaxed)));
        let webhooks = Webhooks::new(self.registry.clone(), self.partners.clone(), self.vault.clone(), clock);
        webhooks.set(self.webhooks.settings.read().clone());
        webhooks
    }

    async fn hook(&self, endpoint: &Endpoint, kinds: &[&str]) -> String {
        let url = format!("http://{}/hooks", endpoint.address);
        let new =
            NewWebhook { name: "portal".to_owned(), url, kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect() };
        self.webhooks.create(&self.partners, new).await.unwrap().1
    }

    async fn company(&self, name: &str) {
        self.partners.create_company(NewCompany { name: name.to_owned(), title: None }).await.unwrap();
    }

    fn pass(&self, time: Duration) {
        self.now.fetch_add(u64::try_from(time.as_micros()).unwrap(), Ordering::Relaxed);
    }

    async fn portal(&self) -> Webhook {
        self.partners.webhook(&"portal".parse().unwrap()).await.unwrap().entity
    }
}

#[tokio::test]
async fn an_endpoint_is_told_what_it_asked_for_in_order_and_signed() {
    let fixture = Fixture::new();
    let endpoint = Endpoint::answering(&[204]).await;
    fixture.company("before").await;
    let secret = fixture.hook(&endpoint, &["company.*", "key.rotated"]).await;
    fixture.company("acme").await;
    let app = partners::NewApp { name: "shop".to_owned(), title: None };
    let app = fixture.partners.create_app(&"acme".parse().unwrap(), app).await.unwrap();
    let key = fixture.partners.create_key(&app.id, NewKey::default()).await.unwrap();
    fixture.partners.rotate_key(&key.key.id, Duration::from_hours(1)).await.unwrap();
    fixture.partners.delete_company(&"acme".parse().unwrap()).await.unwrap();

    fixture.webhooks.round().await;
    fixture.webhooks.round().await;

    assert_eq!(endpoint.kinds(), ["company.created", "key.rotated", "company.deleted"]);
    let first = endpoint.heard().remove(0);
    let json = first.json();
    assert_eq!((&json["data"]["id"], &json["data"]["actor"]), (&json!("acme"), &json!("gateway")));
    assert!(json["timestamp"].as_str().unwrap().starts_with("1970-01-02T00:00:00"), "{json}");
    let signed = format!("{}.{}.{}", first.header("webhook-id"), first.header("webhook-timestamp"), first.body);
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let expected = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), signed.as_bytes());
    assert_eq!(first.header("webhook-signature"), format!("v1,{}", STANDARD.encode(expected)));
    assert!(!endpoint.heard().iter().any(|heard| heard.body.contains("hash") || heard.body.contains(&secret)));
    let deliveries = fixture.partners.deliveries(&"portal".parse().unwrap(), None, 9).await.unwrap();
    assert_eq!(
        deliveries.iter().map(|delivery| (delivery.taken, delivery.status)).collect::<Vec<_>>(),
        [(true, Some(204)); 3]
    );
}

#[tokio::test]
async fn what_is_not_taken_is_told_again_later_with_the_same_id_and_others_wait() {
    let fixture = Fixture::new();
    let endpoint = Endpoint::answering(&[500, 200]).await;
    fixture.hook(&endpoint, &["company.created"]).await;
    fixture.company("acme").await;
    fixture.company("zeta").await;

    fixture.webhooks.round().await;
    fixture.webhooks.round().await;
    assert_eq!(endpoint.heard().len(), 1, "it is not asked again at once");
    fixture.pass(Duration::from_secs(5));
    fixture.webhooks.round().await;

    let ids: Vec<_> = endpoint.heard().iter().map(|heard| heard.header("webhook-id").to_owned()).collect();
    assert_eq!((ids.len(), ids[0] == ids[1], ids[1] == ids[2]), (3, true, false), "{ids:?}");
    let deliveries = fixture.partners.deliveries(&"portal".parse().unwrap(), None, 9).await.unwrap();
    assert_eq!(
        deliveries.iter().map(|delivery| (delivery.attempts, delivery.taken)).collect::<Vec<_>>(),
        [(2, true), (1, true)]
    );
}

#[tokio::test]
async fn another_process_goes_on_where_one_was_ended_and_never_beside_it() {
    let fixture = Fixture::new();
    let endpoint = Endpoint::answering(&[200, 500, 200]).await;
    fixture.hook(&endpoint, &["company.created"]).await;
    fixture.company("acme").await;
    fixture.company("zeta").await;
    fixture.webhooks.round().await;
    assert_eq!(endpoint.heard().len(), 2);

    let another = fixture.another();
    fixture.pass(Duration::from_secs(10));
    another.round().await;
    assert_eq!(endpoint.heard().len(), 2, "the first one may be alive");
    fixture.pass(Duration::from_secs(30));
    another.round().await;

    let about: Vec<_> =
        endpoint.heard().iter().map(|heard| heard.json()["data"]["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(about, ["acme", "zeta", "zeta"]);
}

#[tokio::test]
async fn an_endpoint_that_takes_nothing_for_days_is_told_no_more_until_it_is_enabled() {
    let fixture = Fixture::new();
    let endpoint = Endpoint::answering(&[500]).await;
    fixture.hook(&endpoint, &["company.created"]).await;
    fixture.company("acme").await;

    let mut rounds = 0;
    while fixture.portal().await.disabled.is_none() {
        fixture.webhooks.round().await;
        fixture.pass(Duration::from_hours(6));
        rounds += 1;
    }

    assert_eq!(rounds, 21, "five days of six hours, and the first one");
    let because = fixture.portal().await.disabled.unwrap().because;
    assert_eq!(because, "it took nothing for 5d: it answered with status 500");
    let log = fixture.partners.noted(0, 99).await.unwrap();
    assert!(log.last().unwrap().body.contains("it took nothing"), "the audit log says so");
    *endpoint.statuses.lock() = [500, 200].into();
    fixture.partners.enable_webhook(&"portal".parse().unwrap()).await.unwrap();
    fixture.webhooks.round().await;
    assert_eq!(endpoint.heard().len(), 22, "it is told at once");
    assert_eq!(fixture.portal().await.disabled, None, "one failure is nothing");
    fixture.pass(Duration::from_secs(5));
    fixture.webhooks.round().await;
    assert_eq!(endpoint.heard().len(), 23, "what it missed is told");
    let deliveries = fixture.partners.deliveries(&"portal".parse().unwrap(), None, 9).await.unwrap();
    assert_eq!((deliveries[0].taken, deliveries[0].attempts), (true, 2));
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_told_no_more_at_once() {
    let fixture = Fixture::new();
    let endpoint = Endpoint::answering(&[410]).await;
    fixture.hook(&endpoint, &["*"]).await;

    fixture.webhooks.round().await;

    assert!(fixture.portal().await.disabled.unwrap().because.contains("410"));
}

#[tokio::test]
async fn two_secrets_sign_while_one_takes_the_place_of_the_other() {
    let fixture = Fixture::new();
    let endpoint = Endpoint::answering(&[200]).await;
    fixture.hook(&endpoint, &["company.created"]).await;
    let name = "portal".parse().unwrap();
    fixture.webhooks.rotate(&fixture.partners, &name, Duration::from_hours(1)).await.unwrap();

    let signatures = async || {
        assert!(fixture.webhooks.test(&name).await.unwrap().taken);
        endpoint.heard().last().unwrap().header("webhook-signature").split(' ').map(str::to_owned).collect::<Vec<_>>()
    };

    let during = signatures().await;
    fixture.pass(Duration::from_hours(1));
    let after = signatures().await;
    assert_eq!((during.len(), after.len()), (2, 1));
    assert_ne!(during[0], during[1]);
}

#[tokio::test]
async fn nothing_of_this_machine_is_told_anything_unless_that_is_meant() {
    let fixture = Fixture::new();
    let endpoint = Endpoint::answering(&[200]).await;
    fixture.hook(&endpoint, &["company.created"]).await;
    let port = endpoint.address.port();
    let name = "portal".parse().unwrap();
    let ask = async |url: String| {
        let new = NewWebhook { name: "portal".to_owned(), url, kinds: vec!["*".to_owned()] };
        fixture.partners.replace_webhook(&name, new).await.unwrap();
        fixture.webhooks.test(&name).await.unwrap()
    };

    fixture.webhooks.set(Settings { http: PlainHttp::Accepted, ..Settings::default() });
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "0.0.0.0"] {
        let told = ask(format!("http://{host}:{port}/hooks")).await;
        assert!(!told.taken && told.status.is_none(), "{host}: {told:?}");
        let error = told.error.unwrap();
        assert!(error.contains("own") || error.contains("not to be connected to"), "{host}: {error}");
    }
    assert_eq!(endpoint.heard().len(), 0);
    fixture.webhooks.set(Settings::default());
    assert!(ask("http://portal.example/".to_owned()).await.error.unwrap().contains("without TLS"));
    for (url, wrong) in
        [("portal", "no scheme"), ("ftp://a.example", "another scheme"), ("https://a:b@c.example", "password")]
    {
        assert!(fixture.webhooks.wrong_url(url).unwrap().contains(wrong), "{url}");
    }
    assert_eq!(fixture.webhooks.wrong_url("https://portal.example/hooks"), None);
}
