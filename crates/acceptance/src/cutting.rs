//! What is revoked or removed does not go on: open answers and tunnels end, and nobody else's do.

use ::partners::Partners;
use futures::{SinkExt, StreamExt};
use h2::RecvStream;
use http::Request;
use store::{AppId, SubscriptionState};
use testkit::{Gateway, Stub, Wire, within};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{accept_async, client_async};

const DOCUMENT: &str = "
store: {embedded: ./data}
logs: [{file: {path: access.log}}]
upstreams: {events: {targets: [\"http://BACKEND\"]}}
apis:
  events:
    match: {path: /events}
    upstream: events
    policies: [{api-key: {}}]
products:
  all: {operations: [\"events: * /**\"]}
";

/// A backend whose answers go on until the sender is told, each piece a number.
async fn counting() -> (Stub, watch::Sender<u32>) {
    let (tell, told) = watch::channel(0);
    let backend = Stub::talking(move |mut talk| {
        let mut told = told.clone();
        async move {
            talk.head().await;
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
            talk.wire.send(head).await;
            loop {
                let piece = format!("data: {}\n\n", *told.borrow_and_update());
                let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
                if talk.wire.try_send(chunk).await.is_err() || told.changed().await.is_err() {
                    return;
                }
            }
        }
    });
    (backend.await, tell)
}

/// How somebody is cut off.
#[derive(Clone, Copy, Debug)]
enum Act {
    RevokeKey,
    ExpireKey,
    SuspendSubscription,
    DeleteSubscription,
    DeleteApp,
    DeleteCompany,
}

impl Act {
    async fn on(self, partners: &Partners, app: &AppId) {
        let product = "all".parse().unwrap();
        let subscription = store::SubscriptionId { app: app.clone(), product };
        let key = partners.keys(app).await.unwrap()[0].id;
        match self {
            Self::RevokeKey => drop(partners.revoke_key(&key).await.unwrap()),
            Self::ExpireKey => drop(partners.rotate_key(&key, std::time::Duration::ZERO).await.unwrap()),
            Self::SuspendSubscription => {
                drop(partners.decide(&subscription, SubscriptionState::Suspended).await.unwrap());
            }
            Self::DeleteSubscription => partners.unsubscribe(&subscription).await.unwrap(),
            Self::DeleteApp => partners.delete_app(app).await.unwrap(),
            Self::DeleteCompany => partners.delete_company(&app.company).await.unwrap(),
        }
    }
}

fn partners(gateway: &Gateway) -> &Partners {
    &gateway.node().keeping.as_ref().unwrap().partners
}

fn app(company: &str) -> AppId {
    format!("{company}/app").parse().unwrap()
}

/// An open stream of events, whose first one has come.
async fn listen(gateway: &Gateway, key: &str) -> Wire {
    let mut wire = gateway.connect().await;
    wire.send(format!("GET /events HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\n\r\n")).await;
    assert_eq!(wire.head().await.status, 200);
    assert!(!wire.chunk().await.is_empty());
    wire
}

#[tokio::test]
async fn a_stream_of_events_ends_with_what_it_depends_on_and_a_neighbours_stays() {
    let (backend, tell) = counting().await;
    let gateway = Gateway::with(&backend, DOCUMENT).await;
    let neighbour = gateway.key("neighbour", "all").await;
    let mut neighbour = listen(&gateway, &neighbour).await;
    let acts = [
        (Act::RevokeKey, "access-revoked"),
        (Act::ExpireKey, "access-expired"),
        (Act::SuspendSubscription, "access-suspended"),
        (Act::DeleteSubscription, "access-deleted"),
        (Act::DeleteApp, "access-deleted"),
        (Act::DeleteCompany, "access-deleted"),
    ];
    for (number, (act, reason)) in acts.into_iter().enumerate() {
        let company = format!("company-{number}");
        let key = gateway.key(&company, "all").await;
        let mut wire = listen(&gateway, &key).await;

        act.on(partners(&gateway), &app(&company)).await;

        assert_eq!(wire.end().await, b"", "{act:?}: the end of the answer is missing");
        tell.send_modify(|number| *number += 1);
        assert!(!neighbour.chunk().await.is_empty(), "{act:?}");
        let log = gateway.folder().join("access.log");
        let is_logged = || {
            let lines = std::fs::read_to_string(&log).unwrap_or_default();
            lines.lines().any(|line| line.contains(&company) && line.contains(reason) && line.contains(":false"))
        };
        testkit::eventually("the line of the log that says why", is_logged).await;
    }
}

#[tokio::test]
async fn a_key_that_is_rotated_or_used_further_keeps_its_streams() {
    let (backend, tell) = counting().await;
    let gateway = Gateway::with(&backend, DOCUMENT).await;
    let key = gateway.key("acme", "all").await;
    let mut wire = listen(&gateway, &key).await;
    let id = partners(&gateway).keys(&app("acme")).await.unwrap()[0].id;

    partners(&gateway).rotate_key(&id, std::time::Duration::from_hours(1)).await.unwrap();
    // Whoever is cut would be by then: another one is.
    let other = gateway.key("other", "all").await;
    let mut other = listen(&gateway, &other).await;
    Act::RevokeKey.on(partners(&gateway), &app("other")).await;
    other.end().await;
    tell.send_modify(|number| *number += 1);

    assert!(!wire.chunk().await.is_empty());
    Act::DeleteCompany.on(partners(&gateway), &app("acme")).await;
    assert_eq!(wire.end().await, b"");
}

#[tokio::test]
async fn a_request_that_still_waits_for_its_answer_is_told_why_it_ends() {
    let backend = Stub::talking(|mut talk| async move {
        talk.head().await;
        talk.wire.end().await;
    })
    .await;
    let gateway = Gateway::with(&backend, DOCUMENT).await;
    let key = gateway.key("acme", "all").await;
    let mut wire = gateway.connect().await;
    wire.send(format!("GET /events HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\n\r\n")).await;
    testkit::eventually("the backend is asked", || backend.count() == 1).await;

    Act::RevokeKey.on(partners(&gateway), &app("acme")).await;

    let reply = wire.reply().await;
    assert_eq!((reply.status, reply.problem().as_str()), (403, "access-revoked"));
    backend.is_left_alone().await;
}

#[tokio::test]
async fn a_websocket_ends_with_its_key_and_a_neighbours_stays() {
    let backend = Stub::talking(|talk| async move {
        let mut socket = accept_async(talk.wire).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if socket.send(message).await.is_err() {
                return;
            }
        }
    })
    .await;
    let gateway = Gateway::with(&backend, DOCUMENT).await;
    let open = async |company: &str| {
        let key = gateway.key(company, "all").await;
        let tcp = TcpStream::connect(gateway.address()).await.unwrap();
        let request = Request::get("ws://a/events")
            .header("host", "a")
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("x-api-key", key);
        let (mut socket, _) = client_async(request.body(()).unwrap(), tcp).await.unwrap();
        socket.send(Message::text("hello")).await.unwrap();
        assert_eq!(within("the echo", socket.next()).await.unwrap().unwrap(), Message::text("hello"));
        socket
    };
    let (mut acme, mut neighbour) = (open("acme").await, open("neighbour").await);

    Act::RevokeKey.on(partners(&gateway), &app("acme")).await;

    assert!(within("the end of the tunnel", acme.next()).await.is_none_or(|message| message.is_err()));
    neighbour.send(Message::text("still here")).await.unwrap();
    assert_eq!(within("the echo", neighbour.next()).await.unwrap().unwrap(), Message::text("still here"));
}

#[tokio::test]
async fn one_stream_of_a_connection_is_cut_and_the_others_stay() {
    let (backend, tell) = counting().await;
    let gateway = Gateway::with(&backend, DOCUMENT).await;
    let tcp = TcpStream::connect(gateway.address()).await.unwrap();
    let (client, connection) = h2::client::handshake(tcp).await.unwrap();
    tokio::spawn(connection);
    let open = async |company: &str| -> RecvStream {
        let key = gateway.key(company, "all").await;
        let mut client = within("a place", client.clone().ready()).await.unwrap();
        let request = Request::get("http://a.example/events").header("x-api-key", key).body(()).unwrap();
        let (answer, _) = client.send_request(request, true).unwrap();
        let mut body = within("the answer", answer).await.unwrap().into_body();
        within("the first piece", body.data()).await.unwrap().unwrap();
        body
    };
    let (mut acme, mut neighbour) = (open("acme").await, open("neighbour").await);

    Act::RevokeKey.on(partners(&gateway), &app("acme")).await;

    let error = within("the end of the stream", acme.data()).await.unwrap().unwrap_err();
    assert_eq!(error.reason(), Some(h2::Reason::CANCEL));
    tell.send_modify(|number| *number += 1);
    assert!(within("the next piece", neighbour.data()).await.unwrap().is_ok());
}
