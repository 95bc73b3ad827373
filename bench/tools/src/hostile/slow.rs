//! Slow clients of every kind, all at once: what each does, and when it was cut.

use crate::frames::{self, frame};
use crate::options::Options;
use crate::{now, spawn};
use anyhow::{Context, Result};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use serde_json::{Map, Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

/// Where a gateway listens.
pub(crate) struct Targets<'a> {
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
    pub(crate) certificate: &'a str,
}

/// A way to be slow.
struct Kind {
    name: &'static str,
    wire: Wire,
    /// What is sent at once.
    opening: Vec<u8>,
    /// What is sent byte by byte after that, or over and over.
    drip: Drip,
    taking: Taking,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wire {
    /// The plain listener.
    Plain,
    /// The listener with TLS, but what is sent is raw.
    Raw,
    /// The listener with TLS, after a handshake.
    Tls,
}

enum Drip {
    Nothing,
    /// One byte of this a second, from its beginning again at its end.
    Bytes(Vec<u8>),
    /// All of this each second.
    Whole(Vec<u8>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Taking {
    /// Reads all that comes.
    All,
    /// Reads a byte a second, with the smallest buffer that there is.
    Byte,
}

/// Opens all connections and waits until they are cut, or the time is over.
pub(crate) async fn all(targets: &Targets<'_>, options: &Options) -> Result<Value> {
    let tls = trusting(targets.certificate)?;
    let until = Duration::from_secs_f64(options.seconds);
    let mut fates = Vec::new();
    for kind in kinds(&tls)? {
        if !options.kinds.is_empty() && !options.kinds.iter().any(|wanted| wanted == kind.name) {
            continue;
        }
        let kind = Arc::new(kind);
        let address = if kind.wire == Wire::Plain { targets.plain } else { targets.tls };
        for _ in 0..options.each {
            let (kind, tls) = (Arc::clone(&kind), TlsConnector::from(Arc::clone(&tls)));
            fates.push((kind.name, spawn(async move { live(&kind, address, &tls, until).await })));
        }
    }
    let mut by_kind = Map::new();
    for (name, fate) in fates {
        let of_kind = by_kind.entry(name).or_insert_with(|| json!({ "failed": 0, "cut": [], "kept": 0 }));
        match fate.await?? {
            Some(after) => {
                if let Some(cut) = of_kind.get_mut("cut").and_then(Value::as_array_mut) {
                    cut.push(json!(after.as_secs_f64()));
                }
            }
            None => *of_kind.get_mut("kept").context("it was made so")? = json!(kept(of_kind) + 1),
        }
    }
    Ok(Value::Object(by_kind))
}

fn kept(of_kind: &Value) -> u64 {
    of_kind.get("kept").and_then(Value::as_u64).unwrap_or(0)
}

/// One connection; answers after which time it was cut, if it was.
async fn live(kind: &Kind, address: SocketAddr, tls: &TlsConnector, until: Duration) -> Result<Option<Duration>> {
    let socket = TcpSocket::new_v4()?;
    if kind.taking == Taking::Byte {
        socket.set_recv_buffer_size(1024)?;
    }
    let stream = socket.connect(address).await.context("could not connect")?;
    stream.set_nodelay(true)?;
    let begun = now();
    let life = async {
        match (kind.wire, kind.taking) {
            (Wire::Tls, _) => match tls.connect(ServerName::try_from("localhost")?, stream).await {
                Ok(stream) => drip(kind, stream).await,
                Err(_) => Ok(()),
            },
            (_, Taking::All) => drip(kind, stream).await,
            (_, Taking::Byte) => sip(kind, stream).await,
        }
    };
    match tokio::time::timeout(until, life).await {
        Ok(result) => result.map(|()| Some(begun.elapsed())),
        Err(_) => Ok(None),
    }
}

/// Sends slowly and reads all that comes, until the connection ends.
async fn drip(kind: &Kind, stream: impl AsyncRead + AsyncWrite) -> Result<()> {
    let (mut read, mut write) = tokio::io::split(stream);
    if write.write_all(&kind.opening).await.is_err() || write.flush().await.is_err() {
        return Ok(());
    }
    let mut pad = [0; 4096];
    let mut at = 0;
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            came = read.read(&mut pad) => {
                if came.unwrap_or(0) == 0 {
                    return Ok(());
                }
            }
            _ = second.tick() => {
                let next = kind.drip.next(&mut at);
                if write.write_all(next).await.is_err() || write.flush().await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

/// Reads slowly, until the connection is reset or ends.
///
/// What was sent before a reset can still be read, a byte a second: the socket's error tells of it at once.
async fn sip(kind: &Kind, mut stream: TcpStream) -> Result<()> {
    if stream.write_all(&kind.opening).await.is_err() {
        return Ok(());
    }
    let mut at = 0;
    let mut tenth = tokio::time::interval(Duration::from_millis(100));
    for tick in 0_u64.. {
        tenth.tick().await;
        if stream.take_error()?.is_some() {
            return Ok(());
        }
        if !tick.is_multiple_of(10) {
            continue;
        }
        if stream.write_all(kind.drip.next(&mut at)).await.is_err() {
            return Ok(());
        }
        match stream.try_read(&mut [0]) {
            Ok(1..) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => return Ok(()),
        }
    }
    Ok(())
}

impl Drip {
    fn next(&self, at: &mut usize) -> &[u8] {
        match self {
            Self::Nothing => &[],
            Self::Whole(bytes) => bytes,
            Self::Bytes(bytes) => {
                let next = bytes.get(*at..=*at).unwrap_or_default();
                *at = (*at + 1) % bytes.len().max(1);
                next
            }
        }
    }
}

fn kinds(tls: &Arc<ClientConfig>) -> Result<Vec<Kind>> {
    Ok([http1(), over_tls(hello(tls)?), http2()].into_iter().flatten().collect())
}

fn quiet(name: &'static str, wire: Wire, opening: Vec<u8>) -> Kind {
    Kind { name, wire, opening, drip: Drip::Nothing, taking: Taking::All }
}

fn dripping(name: &'static str, wire: Wire, opening: Vec<u8>, drip: Drip) -> Kind {
    Kind { name, wire, opening, drip, taking: Taking::All }
}

fn http1() -> Vec<Kind> {
    let head = |line: &str, rest: &str| format!("{line} HTTP/1.1\r\nHost: hostile.example\r\n{rest}").into_bytes();
    let bytes = |text: &[u8]| Drip::Bytes(text.to_vec());
    let (long, chunked) = ("Content-Length: 100000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n");
    vec![
        dripping("slow head", Wire::Plain, head("GET /1k", ""), bytes(b"X-Slow: 1\r\n")),
        dripping("slow body", Wire::Plain, head("POST /1k", long), bytes(b"x")),
        dripping("slow chunk", Wire::Plain, head("POST /1k", chunked), bytes(b"1\r\nx\r\n")),
        Kind { taking: Taking::Byte, ..quiet("slow read", Wire::Plain, head("GET /big", "\r\n")) },
        quiet("idle after an answer", Wire::Plain, head("GET /1k", "\r\n")),
        quiet("silent", Wire::Plain, Vec::new()),
    ]
}

fn over_tls(hello: Vec<u8>) -> Vec<Kind> {
    let half = hello.get(..hello.len() / 2).unwrap_or_default().to_vec();
    vec![
        quiet("TLS: half a hello", Wire::Raw, half),
        dripping("TLS: slow hello", Wire::Raw, Vec::new(), Drip::Bytes(hello)),
        quiet("TLS: silent after the handshake", Wire::Tls, Vec::new()),
    ]
}

fn http2() -> Vec<Kind> {
    let plain = || frames::greeting(&[]);
    // A window of one byte, and a large one.
    let (small, large) = (|| frames::greeting(&[(4, 1)]), || frames::greeting(&[(4, 1 << 30)]));
    let and = |greeting: Vec<u8>, frames: &[u8]| [greeting.as_slice(), frames].concat();
    let half_a_head = frame(frames::HEADERS, frames::END_STREAM, 1, &frames::head("GET", "/1k"));
    let first_field = frame(frames::HEADERS, frames::END_STREAM, 1, b"\x82");
    let next_field = frame(frames::CONTINUATION, 0, 1, b"\x00\x01x\x01y");
    let a_byte = || frames::window_update(1, 1);
    let pings = frame(frames::PING, 0, 0, &[0; 8]).repeat(50);
    let big = frames::get(1, "/big");
    let whole_window = [frames::window_update(0, 1 << 30), big.clone()].concat();
    vec![
        dripping("HTTP/2: slow preface", Wire::Plain, Vec::new(), Drip::Bytes(plain())),
        dripping("HTTP/2: slow head", Wire::Plain, and(plain(), &first_field), Drip::Whole(next_field)),
        quiet("HTTP/2: half a head", Wire::Plain, and(plain(), &half_a_head)),
        dripping(
            "HTTP/2: slow body",
            Wire::Plain,
            and(plain(), &frames::post(1, "/1k")),
            Drip::Whole(frame(frames::DATA, 0, 1, b"x")),
        ),
        dripping("HTTP/2: window a byte a second", Wire::Plain, and(small(), &big), Drip::Whole(a_byte())),
        dripping(
            "HTTP/2: the same, beside 50 pings a second",
            Wire::Plain,
            and(small(), &big),
            Drip::Whole([a_byte(), pings].concat()),
        ),
        Kind { taking: Taking::Byte, ..quiet("HTTP/2: slow read", Wire::Plain, and(large(), &whole_window)) },
        quiet("HTTP/2: idle after an answer", Wire::Plain, and(plain(), &frames::get(1, "/1k"))),
        quiet("HTTP/2: silent", Wire::Plain, plain()),
    ]
}

/// The first thing that a client of TLS says.
fn hello(config: &Arc<ClientConfig>) -> Result<Vec<u8>> {
    let mut hello = Vec::new();
    ClientConnection::new(Arc::clone(config), ServerName::try_from("localhost")?)?.write_tls(&mut hello)?;
    Ok(hello)
}

/// A client that trusts one certificate only.
fn trusting(file: &str) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file).with_context(|| format!("could not read {file}"))?)?;
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}
