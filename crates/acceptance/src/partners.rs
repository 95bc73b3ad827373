//! Keys, quotas and usage, as a partner notices them.

use testkit::{Gateway, Stub};

const DOCUMENT: &str = "
store: {embedded: ./data}
upstreams: {orders: {targets: [\"http://BACKEND\"]}}
apis:
  orders:
    match: {path: /orders}
    upstream: orders
    policies:
      - api-key: {}
      - quota: {from: product}
  fast:
    match: {path: /fast}
    upstream: orders
    policies:
      - api-key: {}
      - spike-arrest: {rate: 1/h, burst: 3, per: app}
products:
  trial:
    operations: [\"orders: GET /**\"]
    quota: {requests: 10, per: year}
  fast:
    operations: [\"fast: * /**\"]
";

async fn gateway() -> (Stub, Gateway) {
    let backend = Stub::saying("hello").await;
    let gateway = Gateway::with(&backend, DOCUMENT).await;
    (backend, gateway)
}

#[tokio::test]
async fn a_key_opens_the_operations_of_its_products_and_no_others() {
    let (backend, gateway) = gateway().await;
    let key = gateway.key("acme", "trial").await;
    let with = |key: &str| vec![("X-Api-Key", key.to_owned())];
    let ask = async |method: &str, path: &str, headers: Vec<(&'static str, String)>| {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        gateway.send(method, path, &headers).await
    };

    let (beginning, last) = key.split_at(key.len() - 1);
    assert_eq!(ask("GET", "/orders/7", with(&key)).await.text(), "hello");
    for (method, path, headers, status, code) in [
        ("GET", "/orders", vec![], 401, "api-key-missing"),
        ("GET", "/orders", with("nonsense"), 401, "api-key-unknown"),
        (
            "GET",
            "/orders",
            with(&format!("{beginning}{}", if last == "x" { "y" } else { "x" })),
            401,
            "api-key-unknown",
        ),
        ("POST", "/orders", with(&key), 403, "operation-not-allowed"),
        ("GET", "/fast", with(&key), 403, "operation-not-allowed"),
    ] {
        let reply = ask(method, path, headers).await;
        assert_eq!((reply.status, reply.problem().as_str()), (status, code), "{method} {path}");
        assert!(!reply.text().contains(&key[8..]), "no answer repeats a key");
    }
    assert_eq!(backend.count(), 1);
    assert_eq!(backend.request().header("x-api-key"), None, "the key is not the backend's business");
    assert_eq!(gateway.usage("acme").await, [(2, 1), (4, 2)], "a refusal is counted for whoever was refused");
}

#[tokio::test]
async fn the_eleventh_call_of_ten_is_refused_with_a_clear_answer() {
    let (backend, gateway) = gateway().await;
    let key = gateway.key("acme", "trial").await;
    let other = gateway.key("other", "trial").await;

    for left in (0..10).rev() {
        let reply = gateway.get_with("/orders", &[("X-Api-Key", &key)]).await;
        assert_eq!(reply.status, 200);
        let limit = reply.header("ratelimit").unwrap_or_else(|| panic!("no RateLimit: {reply:?}"));
        assert!(limit.contains(&format!("r={left}")), "{limit}");
        assert!(reply.header("ratelimit-policy").unwrap().contains("q=10"), "{reply:?}");
    }
    let refused = gateway.get_with("/orders", &[("X-Api-Key", &key)]).await;

    assert_eq!((refused.status, refused.problem().as_str()), (429, "quota-exceeded"));
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
    assert!(refused.header("ratelimit").unwrap().contains("r=0"));
    assert_eq!(backend.count(), 10);
    assert_eq!(gateway.get_with("/orders", &[("X-Api-Key", &other)]).await.status, 200, "each app has its own");
}

#[tokio::test]
async fn a_quota_is_exact_however_many_come_at_once() {
    let (backend, gateway) = gateway().await;
    let key = gateway.key("acme", "trial").await;

    let asks = (0..30).map(|_| async { gateway.get_with("/orders", &[("X-Api-Key", &key)]).await.status });
    let statuses = futures::future::join_all(asks).await;

    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 10);
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 20);
    assert_eq!(backend.count(), 10);
}

#[tokio::test]
async fn a_spike_is_arrested_at_its_burst() {
    let (backend, gateway) = gateway().await;
    let key = gateway.key("acme", "fast").await;

    let mut statuses = Vec::new();
    for _ in 0..5 {
        let reply = gateway.get_with("/fast", &[("X-Api-Key", &key)]).await;
        if reply.status == 429 {
            assert_eq!(reply.problem(), "rate-limited");
            assert!(reply.header("retry-after").unwrap().parse::<u64>().unwrap() > 3000);
        }
        statuses.push(reply.status);
    }

    assert_eq!(statuses[2..], [200, 429, 429]);
    assert!(backend.count() <= 4);
}

#[tokio::test]
async fn usage_is_what_was_asked_and_a_restart_forgets_nothing() {
    let (_backend, gateway) = gateway().await;
    let key = gateway.key("acme", "trial").await;
    let header = [("X-Api-Key", key.as_str())];

    for _ in 0..7 {
        assert_eq!(gateway.get_with("/orders", &header).await.status, 200);
    }
    assert_eq!(gateway.usage("acme").await, [(2, 7)]);

    let gateway = gateway.restart().await;
    for _ in 0..3 {
        assert_eq!(gateway.get_with("/orders", &header).await.status, 200);
    }
    assert_eq!(gateway.get_with("/orders", &header).await.status, 429, "the quota goes on where it was");

    assert_eq!(gateway.usage("acme").await, [(2, 10), (4, 1)]);
}

#[tokio::test]
async fn a_quota_goes_on_over_a_reload() {
    let (backend, gateway) = gateway().await;
    let key = gateway.key("acme", "trial").await;
    let header = [("X-Api-Key", key.as_str())];

    for round in 0..10 {
        assert_eq!(gateway.get_with("/orders", &header).await.status, 200);
        let document = DOCUMENT.replace("BACKEND", &backend.address.to_string());
        gateway.reload(&format!("{document}\nlimits: {{headers: {}}}\n", 50 + round)).unwrap();
    }

    assert_eq!(gateway.get_with("/orders", &header).await.status, 429);
}

/// A gateway whose requests meet two limits.
async fn limited(first: &str, second: &str) -> (Stub, Gateway) {
    let backend = Stub::saying("hello").await;
    let policies = format!("apis: {{a: {{match: {{path: /}}, upstream: backend, policies: [{first}, {second}]}}}}\n");
    let gateway = Gateway::with(&backend, &policies).await;
    (backend, gateway)
}

#[tokio::test]
async fn what_one_limit_refuses_costs_nothing_in_the_other() {
    let rate = "spike-arrest: {rate: 1/h, burst: 3, name: rate}";
    let quota = "quota: {requests: 2, per: year, by: api, name: quota}";
    let (_backend, gateway) = limited(rate, quota).await;

    for _ in 0..2 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
    for _ in 0..5 {
        let refused = gateway.get("/").await;
        assert_eq!((refused.status, refused.problem().as_str()), (429, "quota-exceeded"));
        let left = refused.header("ratelimit").unwrap();
        assert!(left.contains("\"rate\";r=1;") && left.contains("\"quota\";r=0;"), "{left}");
    }

    let small = "spike-arrest: {rate: 1/h, burst: 1, name: rate}";
    let large = "quota: {requests: 10, per: year, by: api, name: quota}";
    let (_backend, gateway) = limited(large, small).await;
    assert_eq!(gateway.get("/").await.status, 200);
    for _ in 0..5 {
        let refused = gateway.get("/").await;
        assert_eq!((refused.status, refused.problem().as_str()), (429, "rate-limited"));
        let left = refused.header("ratelimit").unwrap();
        assert!(left.contains("\"rate\";r=0;") && left.contains("\"quota\";r=9;"), "{left}");
    }
}

#[tokio::test]
async fn what_was_given_back_stays_given_back_over_a_restart() {
    let backend = Stub::saying("hello").await;
    let document = |burst: u32| {
        format!(
            "store: {{embedded: ./data}}\nupstreams: {{u: {{targets: [\"http://{}\"]}}}}\napis: {{a: {{match: {{path: /}}, \
             upstream: u, policies: [{{quota: {{requests: 3, per: year, by: api}}}}, {{spike-arrest: {{rate: 1/h, burst: {burst}}}}}]}}}}\n",
            backend.address
        )
    };
    let gateway = Gateway::serving(&document(1)).await;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(gateway.get("/").await.status);
    }
    assert_eq!(statuses, [200, 429, 429, 429, 429]);

    gateway.reload(&document(9)).unwrap();
    let gateway = gateway.restart().await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(gateway.get("/").await.status);
    }

    assert_eq!(statuses, [200, 200, 429], "two of three were left");
}

#[tokio::test]
async fn two_processes_of_an_upgrade_never_grant_more_than_the_quota_together() {
    let (backend, old) = gateway().await;
    let key = old.key("acme", "trial").await;
    let header = [("X-Api-Key", key.as_str())];
    for _ in 0..2 {
        assert_eq!(old.get_with("/orders", &header).await.status, 200);
    }

    let new = old.successor().await;
    let asks = (0..30).map(|number| {
        let gateway = if number % 2 == 0 { &old } else { &new };
        async move { gateway.get_with("/orders", &header).await.status }
    });
    let statuses = futures::future::join_all(asks).await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 8, "{statuses:?}");

    old.stop().await;
    drop(old);
    assert_eq!(new.get_with("/orders", &header).await.status, 429);
    let new = new.restart().await;
    assert_eq!(new.get_with("/orders", &header).await.status, 429);
    assert_eq!(backend.count(), 10);
}

#[tokio::test]
async fn a_quota_that_was_taken_out_and_comes_back_goes_on_where_it_was() {
    let (backend, gateway) = gateway().await;
    let key = gateway.key("acme", "trial").await;
    let header = [("X-Api-Key", key.as_str())];
    for _ in 0..10 {
        assert_eq!(gateway.get_with("/orders", &header).await.status, 200);
    }

    let document = DOCUMENT.replace("BACKEND", &backend.address.to_string());
    gateway.reload(&document.replace("      - quota: {from: product}\n", "")).unwrap();
    assert_eq!(gateway.get_with("/orders", &header).await.status, 200);
    gateway.reload(&document).unwrap();

    assert_eq!(gateway.get_with("/orders", &header).await.status, 429);
}

#[tokio::test]
async fn when_a_key_was_last_used_outlives_a_restart() {
    let (_backend, gateway) = gateway().await;
    let key = gateway.key("acme", "trial").await;
    let id = key.split('_').nth(2).unwrap().parse().unwrap();
    let last_used = async |gateway: &Gateway| {
        let partners = &gateway.node().keeping.as_ref().unwrap().partners;
        partners.key(&id).await.unwrap().last_used
    };
    assert_eq!(last_used(&gateway).await, None);

    gateway.get_with("/orders", &[("X-Api-Key", &key)]).await;
    let gateway = gateway.restart().await;

    assert!(last_used(&gateway).await.is_some());
}
