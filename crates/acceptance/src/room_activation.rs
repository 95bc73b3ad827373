//! A waiting room that activates by itself, lets in what is behind it bears, and knows what to do without its room.

use testkit::{Gateway, Reply, Stub};

const DOCUMENT: &str = "
store: {embedded: ./data}
rooms: {sale: {event: Sample, INLET}}
upstreams: {shop: {targets: [\"http://BACKEND\"]}}
apis:
  shop: {match: {path: /shop}, upstream: shop, policies: [{waiting-room: {room: sale, POLICY}}]}
";

/// Somebody comes in now and then.
const SLOW: &str = "durability: process, inlet: {periodic: {by: 1, every: 1h}}";

async fn serving(shop: &Stub, inlet: &str, policy: &str) -> Gateway {
    let document = DOCUMENT.replace("BACKEND", &shop.address.to_string());
    Gateway::serving(&document.replace("INLET", inlet).replace("POLICY", policy)).await
}

async fn browse(gateway: &Gateway, cookie: &str) -> Reply {
    gateway.get_with("/shop/tickets", &[("Accept", "text/html"), ("Cookie", cookie)]).await
}

fn cookie(reply: &Reply) -> String {
    reply.header("set-cookie").unwrap_or_else(|| panic!("{reply:?}")).split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn nobody_waits_until_too_many_come_and_who_was_in_goes_on() {
    let shop = Stub::saying("sold").await;
    let gateway = serving(&shop, SLOW, "activates: {rate: 5}").await;
    let asked = gateway.send("POST", "/shop/tickets?a=b&vestibule-room=live", &[]).await;
    assert_eq!((asked.status, shop.request().line()), (200, "POST /shop/tickets?a=b HTTP/1.1"), "that is the room's");
    let first = browse(&gateway, "").await;
    assert_eq!((first.status, first.header("cache-control")), (200, Some("private, no-cache")));
    let inside = cookie(&first);
    assert!(inside.starts_with("vestibule-room-sale.pass="), "{inside}");

    let mut replies = Vec::new();
    for _ in 0..100 {
        replies.push(browse(&gateway, "").await);
    }

    let waiting = replies.iter().filter(|reply| reply.status == 503).count();
    assert!(waiting >= 50, "{waiting} of a hundred wait");
    let last = replies.last().unwrap();
    assert_eq!(last.status, 503);
    assert!(last.text().contains("You are in line"), "{}", last.text());
    assert_eq!(browse(&gateway, &inside).await.text(), "sold", "who was in when it activated stays in");
    let forged = inside.replace("pass=", "pass=A");
    assert_eq!(browse(&gateway, &forged).await.status, 503);
    let metrics = gateway.node().registry.render(None).body;
    assert!(metrics.contains("vestibule_room_active{room=\"sale\"} 1"), "{metrics}");
}

#[tokio::test]
async fn failures_of_what_is_behind_activate_it_too() {
    let failing = |_: &testkit::Request| b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_vec();
    let shop = Stub::replying(failing).await;
    let gateway = serving(&shop, SLOW, "activates: {failures: 20%}").await;
    let mut statuses = Vec::new();
    while !statuses.contains(&503) && statuses.len() < 1000 {
        statuses.push(browse(&gateway, "").await.status);
    }
    assert!(statuses.len() > 20 && statuses.last() == Some(&503), "{statuses:?}");
}

#[tokio::test]
async fn a_room_that_is_closed_lets_nobody_pass_though_nobody_has_to_wait() {
    let shop = Stub::saying("sold").await;
    let closed = format!("{SLOW}, schedule: {{closes: \"2020-01-01T00:00:00Z\"}}");
    let gateway = serving(&shop, &closed, "activates: {in_flight: 1000}").await;
    testkit::until("it is closed", async || browse(&gateway, "").await.status == 403).await;
}

#[tokio::test]
async fn what_becomes_of_requests_while_the_room_cannot_be_asked_is_said() {
    for (unavailable, passed) in [("refuse", 0), ("pass", 9), ("{pass-per-second: 3}", 3)] {
        let shop = Stub::saying("sold").await;
        let gateway = serving(&shop, "durability: process", &format!("unavailable: {unavailable}")).await;
        // As while another process has the rooms.
        gateway.node().keeping.as_ref().unwrap().rooms.let_go();
        let mut statuses = Vec::new();
        for query in ["", "?room-join=slow-lane", "?a=b"].repeat(3) {
            let target = format!("/shop/tickets{query}");
            let reply = gateway.get_with(&target, &[("Accept", "text/html")]).await;
            if reply.status != 200 {
                assert_eq!((reply.status, reply.header("retry-after")), (503, Some("5")));
            }
            statuses.push(reply.status);
        }
        let count = statuses.iter().filter(|status| **status == 200).count();
        assert!(count >= passed && (passed > 0) == (count > 0), "{unavailable}: {statuses:?}");
    }
}

#[tokio::test]
async fn an_adaptive_inlet_lets_in_whoever_waits() {
    let shop = Stub::saying("sold").await;
    let inlet = "durability: process, inlet: {adaptive: {latency: 200ms, most_per_minute: 6000}}";
    let gateway = serving(&shop, inlet, "unavailable: refuse").await;
    let waiting = cookie(&browse(&gateway, "").await);
    testkit::until("the turn comes", async || browse(&gateway, &waiting).await.text() == "sold").await;
}

#[tokio::test]
async fn what_cannot_be_meant_is_a_finding() {
    let document = "
store: {embedded: ./data}
rooms:
  sale: {inlet: {adaptive: {latency: 0s, most_per_minute: 10}}}
  next: {inlet: {periodic: {by: 1, unless_alert: nobody}}}
  still: {}
apis:
  other: {match: {path: /other}, policies: [{waiting-room: {room: still, activates: {rate: 5}}}]}
  shop: {match: {path: /shop}, policies: [{waiting-room: {room: sale, activates: {}}}]}
";
    let findings = Gateway::refusing(document).await;
    for expected in [
        "/rooms/sale/inlet/adaptive/latency: is no time at all",
        "/rooms/sale/inlet/adaptive/most_per_minute: is less than `least_per_minute`",
        "/rooms/next/inlet/periodic/unless_alert: there is no rule `nobody`",
        "activates: says nothing",
        "/apis/other/policies/0/waiting-room/activates: nobody lets in whoever waits then: give the room `still` an `inlet`",
    ] {
        assert!(findings.contains(expected), "{expected}: {findings}");
    }
}
