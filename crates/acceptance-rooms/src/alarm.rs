//! An inlet that rests while an alert is open: a real one, of a backend that fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use testkit::{Gateway, Stub, until};

use crate::cluster::{join, now, room};

const DOCUMENT: &str = "
store: {embedded: ./data}
rooms: {sale: {event: Sample, inlet: {periodic: {by: 1, every: 1s, unless_alert: shop-fails}}}}
upstreams: {shop: {targets: [\"http://BACKEND\"], retries: {attempts: 0}, ejection: {failures: 0}, breaker: {failures: 0}}}
apis:
  wait: {match: {path: /wait}, policies: [{waiting-room-api: {room: sale}}]}
  shop: {match: {path: /shop}, upstream: shop}
alerts:
  to: {ops: {webhook: {url: \"http://BACKEND/alerts\", secret: whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=}}}
  calm: 1s
  usual: off
  rules: [{failures: {name: shop-fails, reach: 1/1m}}]
";

fn serving(gateway: &Gateway) -> i64 {
    room(gateway).counters().unwrap().serving
}

#[tokio::test]
async fn the_clocks_inlet_rests_while_an_alert_is_open_and_goes_on_when_it_is_over() {
    let fails = Arc::new(AtomicBool::new(true));
    let failing = fails.clone();
    let shop = Stub::replying(move |request| {
        let fails = failing.load(Ordering::Relaxed) && request.line().contains("/shop");
        let status = if fails { "503 Service Unavailable" } else { "200 OK" };
        format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").into_bytes()
    })
    .await;
    let gateway = Gateway::serving(&DOCUMENT.replace("BACKEND", &shop.address.to_string())).await;
    let alerts = &gateway.node().keeping.as_ref().unwrap().alerts;
    let is_open = async || !alerts.list(true).await.unwrap().is_empty();
    for _ in 0..9 {
        join(&gateway).await;
    }
    until("the clock lets somebody in", async || serving(&gateway) > 0).await;

    until("an alert is open", async || {
        gateway.get("/shop/1").await;
        is_open().await
    })
    .await;
    // It has rested for as long as it takes to be let in twice.
    let rested = async || {
        let (before, began) = (serving(&gateway), now());
        until("three seconds have passed", async || now() >= began + 3).await;
        gateway.get("/shop/1").await;
        serving(&gateway) == before
    };
    until("nobody is let in any more", rested).await;
    assert!(is_open().await);
    let before = serving(&gateway);

    fails.store(false, Ordering::Relaxed);
    until("the alert is over", async || !is_open().await).await;
    until("the clock lets somebody in again", async || serving(&gateway) > before).await;
}
