//! `bench-rush ADDRESS PATH EVENT --visitors N --joins K [--each M]`: so many visitors at the same time, each of whom joins a waiting
//! room K times, one time after the other, M of them on a connection of HTTP/2. Whoever gets no answer asks again, by the same
//! `Idempotency-Key`, until there is one.
//!
//! Prints a line for each place that was told, `ID PLACE`, and ends when everybody has all of theirs.

use anyhow::{Context, Result, bail, ensure};
use h2::client::SendRequest;
use http::{Method, Request, StatusCode};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::LocalSet;

/// How long whoever was not answered waits before they ask again.
const AGAIN: Duration = Duration::from_millis(30);
/// How long everything may take.
const LIMIT: Duration = Duration::from_mins(2);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (address, path, event, visitors, joins, each) = match words.as_slice() {
        [address, path, event, "--visitors", visitors, "--joins", joins] => {
            (address, path, event, visitors, joins, "100")
        }
        [address, path, event, "--visitors", visitors, "--joins", joins, "--each", each] => {
            (address, path, event, visitors, joins, *each)
        }
        _ => bail!("usage: bench-rush ADDRESS PATH EVENT --visitors N --joins K [--each M]"),
    };
    let (visitors, joins, each): (u32, u32, u32) = (visitors.parse()?, joins.parse()?, each.parse()?);
    ensure!(visitors > 0 && each > 0, "nobody comes");
    let run = std::process::id();
    let room = Rc::new(Room { address: address.parse()?, path: (*path).to_owned(), event: (*event).to_owned() });
    let told = Rc::new(RefCell::new(String::new()));
    let tasks = LocalSet::new();
    let all = tasks.run_until(async {
        let mut everybody = Vec::new();
        for first in (0..visitors).step_by(usize::try_from(each)?) {
            let line = Rc::new(Line { room: room.clone(), open: Mutex::default(), number: Cell::new(0) });
            for visitor in first..visitors.min(first.saturating_add(each)) {
                let (line, told) = (line.clone(), told.clone());
                everybody.push(tokio::task::spawn_local(async move {
                    for join in 0..joins {
                        let (id, place) = line.join(&format!("rush-{run:010}-{visitor:08}-{join:04}")).await?;
                        told.borrow_mut().extend([&id, " ", &place.to_string(), "\n"]);
                    }
                    anyhow::Ok(())
                }));
            }
        }
        for visitor in everybody {
            visitor.await??;
        }
        anyhow::Ok(())
    });
    tokio::time::timeout(LIMIT, all).await.context("not everybody got their places in time")??;
    std::io::stdout().write_all(told.borrow().as_bytes())?;
    Ok(())
}

struct Room {
    address: SocketAddr,
    path: String,
    event: String,
}

/// A connection, opened again when it has ended.
struct Line {
    room: Rc<Room>,
    /// With its number, so that of all who notice its end one opens the next.
    open: Mutex<Option<(u32, SendRequest<bytes::Bytes>)>>,
    number: Cell<u32>,
}

impl Line {
    /// Joins by this key; the id and the place.
    async fn join(&self, key: &str) -> Result<(String, u64)> {
        let Room { address, path, event } = &*self.room;
        let join = || {
            Request::builder()
                .method(Method::POST)
                .uri(format!("http://{address}{path}/assign_queue_num"))
                .header("idempotency-key", key)
                .body(format!("{{\"event_id\":\"{event}\"}}"))
        };
        let joined = self.insist(join).await?;
        let id = joined.get("api_request_id").and_then(Value::as_str).context("no id")?.to_owned();
        let ask = || {
            Request::builder()
                .uri(format!("http://{address}{path}/queue_num?event_id={event}&request_id={id}"))
                .body(String::new())
        };
        let asked = self.insist(ask).await?;
        Ok((id.clone(), asked.get("queue_number").and_then(Value::as_u64).context("no place")?))
    }

    /// Asks until it is answered by 200. Whatever is promised and not kept is an error, and no reason to ask again.
    async fn insist(&self, request: impl Fn() -> http::Result<Request<String>>) -> Result<Value> {
        loop {
            match self.ask(request()?).await {
                Ok((StatusCode::OK, body)) => return Ok(serde_json::from_slice(&body)?),
                Ok((status, body)) if !status.is_server_error() => {
                    bail!("answered with {status}: {}", String::from_utf8_lossy(&body))
                }
                Ok(_) | Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    }

    async fn ask(&self, request: Request<String>) -> Result<(StatusCode, Vec<u8>)> {
        let (number, sender) = self.opened().await?;
        let answer = exchange(sender, request).await;
        if answer.is_err() {
            let mut open = self.open.lock().await;
            if open.as_ref().is_some_and(|(known, _)| *known == number) {
                *open = None;
            }
        }
        answer
    }

    async fn opened(&self) -> Result<(u32, SendRequest<bytes::Bytes>)> {
        let mut open = self.open.lock().await;
        if let Some(open) = &*open {
            return Ok(open.clone());
        }
        let stream = TcpStream::connect(self.room.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = h2::client::handshake(stream).await?;
        tokio::task::spawn_local(async move { drop(connection.await) });
        self.number.set(self.number.get() + 1);
        Ok(open.insert((self.number.get(), sender)).clone())
    }
}

async fn exchange(sender: SendRequest<bytes::Bytes>, request: Request<String>) -> Result<(StatusCode, Vec<u8>)> {
    let (head, body) = request.into_parts();
    let mut sender = sender.ready().await?;
    let (answer, mut stream) = sender.send_request(Request::from_parts(head, ()), body.is_empty())?;
    if !body.is_empty() {
        stream.send_data(body.into(), true)?;
    }
    let answer = answer.await?;
    let (status, mut pieces, mut whole) = (answer.status(), answer.into_body(), Vec::new());
    while let Some(piece) = pieces.data().await {
        let piece = piece?;
        pieces.flow_control().release_capacity(piece.len())?;
        whole.extend_from_slice(&piece);
    }
    Ok((status, whole))
}
