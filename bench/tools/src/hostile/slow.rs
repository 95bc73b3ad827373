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
    let kind = |name, wire, opening: &[u8], drip, taking| Kind { name, wire, opening: opening.to_vec(), drip, taking };
    let head = |rest: &str| format!("{rest}Host: hostile.example\r\n").into_bytes();
    let bytes = |text: &[u8]| Drip::Bytes(text.to_vec());
    let hello = hello(tls)?;
    // A window of one byte, and a large one.
    let (small, large) = (frames::greeting(&[(4, 1)]), frames::greeting(&[(4, 1 << 30)]));
    let plain = frames::greeting(&[]);
    let begun_head = frame(frames::HEADERS, frames::END_STREAM, 1, &frames::head("GET", "/1k"));
    let a_byte = frames::window_update(1, 1);
    let pings = frame(frames::PING, 0, 0, &[0; 8]).repeat(50);
    let no_data = frame(frames::DATA, 0, 1, b"x");
    let quiet = |name, wire, opening: &[u8]| kind(name, wire, opening, Drip::Nothing, Taking::All);
    Ok(vec![
        kind("slow head", Wire::Plain, &head("GET /1k HTTP/1.1\r\n"), bytes(b"X-Slow: 1\r\n"), Taking::All),
        kind(
            "slow body",
            Wire::Plain,
            &[head("POST /1k HTTP/1.1\r\n").as_slice(), b"Content-Length: 100000\r\n\r\n"].concat(),
            bytes(b"x"),
            Taking::All,
        ),
        kind(
            "slow chunk",
            Wire::Plain,
            &[head("POST /1k HTTP/1.1\r\n").as_slice(), b"Transfer-Encoding: chunked\r\n\r\n"].concat(),
            bytes(b"1\r\nx\r\n"),
            Taking::All,
        ),
        kind(
            "slow read",
            Wire::Plain,
            &[&head("GET /big HTTP/1.1\r\n"), b"\r\n".as_slice()].concat(),
            Drip::Nothing,
            Taking::Byte,
        ),
        quiet("idle after an answer", Wire::Plain, &[&head("GET /1k HTTP/1.1\r\n"), b"\r\n".as_slice()].concat()),
        quiet("silent", Wire::Plain, b""),
        quiet("TLS: half a hello", Wire::Raw, hello.get(..hello.len() / 2).unwrap_or_default()),
        kind("TLS: slow hello", Wire::Raw, b"", Drip::Bytes(hello), Taking::All),
        quiet("TLS: silent after the handshake", Wire::Tls, b""),
        kind("HTTP/2: slow preface", Wire::Plain, b"", bytes(&plain), Taking::All),
        kind(
            "HTTP/2: slow head",
            Wire::Plain,
            &[plain.as_slice(), &frame(frames::HEADERS, frames::END_STREAM, 1, b"\x82")].concat(),
            Drip::Whole(frame(frames::CONTINUATION, 0, 1, b"\x86")),
            Taking::All,
        ),
        quiet("HTTP/2: half a head", Wire::Plain, &[plain.as_slice(), &begun_head].concat()),
        kind(
            "HTTP/2: slow body",
            Wire::Plain,
            &[plain.as_slice(), &frames::post(1, "/1k")].concat(),
            Drip::Whole(no_data),
            Taking::All,
        ),
        kind(
            "HTTP/2: window a byte a second",
            Wire::Plain,
            &[small.as_slice(), &frames::get(1, "/big")].concat(),
            Drip::Whole(a_byte.clone()),
            Taking::All,
        ),
        kind(
            "HTTP/2: the same, beside 50 pings a second",
            Wire::Plain,
            &[small.as_slice(), &frames::get(1, "/big")].concat(),
            Drip::Whole([a_byte, pings].concat()),
            Taking::All,
        ),
        kind(
            "HTTP/2: slow read",
            Wire::Plain,
            &[large.as_slice(), &frames::window_update(0, 1 << 30), &frames::get(1, "/big")].concat(),
            Drip::Nothing,
            Taking::Byte,
        ),
        quiet("HTTP/2: idle after an answer", Wire::Plain, &[plain.as_slice(), &frames::get(1, "/1k")].concat()),
        quiet("HTTP/2: silent", Wire::Plain, &plain),
    ])
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
