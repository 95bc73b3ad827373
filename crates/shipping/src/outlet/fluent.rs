//! The Forward protocol of Fluentd, version 1: a connection, perhaps a handshake, and batches as `PackedForward`.

use std::io;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA512, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, Bytes, BytesMut};
use model::logs::{Ack, Fluent as Settings, ForwardCompression};
use problem::{Finding, Pointer};
use rmpv::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex;
use upstream::socket::{Dialer, Socket, in_time};

use super::Sent;
use super::post::gzip;
use crate::batch::Batch;
use crate::layout::{Layout, pack_text};
use crate::record::Record;

/// A server of the Forward protocol.
pub(crate) struct Forward {
    dialer: Dialer,
    tag: String,
    key: Option<String>,
    hostname: String,
    ack: Ack,
    compression: ForwardCompression,
    layout: Layout,
    open: Mutex<Option<Connection>>,
}

struct Connection {
    socket: Socket,
    /// What the server said and nobody has read yet.
    said: BytesMut,
}

impl Forward {
    pub(crate) fn compile(settings: &Settings, layout: Layout, at: &Pointer) -> Result<Self, Vec<Finding>> {
        let Settings { address, tag, shared_key, hostname, tls, ack, compress, .. } = settings;
        if shared_key.as_ref().is_some_and(|key| key.trim().is_empty()) {
            return Err(vec![Finding::new(&at.at("shared_key"), "is empty")]);
        }
        Ok(Self {
            dialer: Dialer::compile((address, &at.at("address")), tls.as_ref(), &at.at("tls"))?,
            tag: tag.clone(),
            // The line's end of a file is no part of the key.
            key: shared_key.as_ref().map(|key| key.trim().to_owned()),
            hostname: hostname.clone(),
            ack: *ack,
            compression: *compress,
            layout,
            open: Mutex::new(None),
        })
    }

    /// Entries: an event time and a map each.
    pub(crate) fn prepare(&self, batch: &Batch, which: &[usize]) -> Bytes {
        let mut entries = Vec::with_capacity(which.len() * 640);
        for record in which.iter().filter_map(|index| Record::read(batch.record(*index)?)) {
            entries.push(ARRAY_OF_TWO);
            entries.extend_from_slice(&EVENT_TIME);
            let (seconds, microseconds) = (record.time / 1_000_000, record.time % 1_000_000);
            for part in [seconds, microseconds * 1000] {
                entries.extend_from_slice(&u32::try_from(part).unwrap_or(u32::MAX).to_be_bytes());
            }
            self.layout.message_pack(&mut entries, &record);
        }
        match self.compression {
            ForwardCompression::None => entries.into(),
            // Memory takes all that is written.
            ForwardCompression::Gzip => gzip(&entries).unwrap_or_default().into(),
        }
    }

    pub(crate) async fn send(&self, entries: Bytes, count: usize) -> Sent {
        match self.forward(&entries, count).await {
            Ok(()) => Sent::Taken { refused: 0 },
            Err(error) => Sent::later(error),
        }
    }

    async fn forward(&self, entries: &[u8], count: usize) -> io::Result<()> {
        let mut open = self.open.lock().await;
        // Taken out: after a failure it is of no use.
        let mut connection = match open.take().filter(|connection| connection.socket.is_of_use()) {
            Some(connection) => connection,
            None => in_time(self.introduced()).await?,
        };
        let mut chance = [0; 16];
        getrandom::fill(&mut chance).map_err(|error| io::Error::other(error.to_string()))?;
        let chunk = STANDARD.encode(chance);
        let message = self.message(entries, count, &chunk)?;
        in_time(async {
            connection.socket.write_all(&message).await?;
            connection.socket.flush().await?;
            if self.ack == Ack::None {
                return Ok(());
            }
            let answer = connection.message().await?;
            if member(&answer, "ack").and_then(Value::as_str) == Some(&chunk) {
                return Ok(());
            }
            Err(protocol("the server acknowledged something else"))
        })
        .await?;
        *open = Some(connection);
        Ok(())
    }

    /// `[tag, entries, options]`
    fn message(&self, entries: &[u8], count: usize, chunk: &str) -> io::Result<Vec<u8>> {
        let mut message = Vec::with_capacity(entries.len() + 256);
        rmp::encode::write_array_len(&mut message, 3)?;
        pack_text(&mut message, &self.tag);
        rmp::encode::write_bin(&mut message, entries)?;
        let mut options = vec![(Value::from("size"), Value::from(count))];
        if self.ack == Ack::Required {
            options.push((Value::from("chunk"), Value::from(chunk)));
        }
        if self.compression == ForwardCompression::Gzip {
            options.push((Value::from("compressed"), Value::from("gzip")));
        }
        rmpv::encode::write_value(&mut message, &Value::Map(options))?;
        Ok(message)
    }

    /// A connection on which both sides know each other, as far as they want to.
    async fn introduced(&self) -> io::Result<Connection> {
        let mut connection = Connection { socket: self.dialer.connect().await?, said: BytesMut::new() };
        let Some(key) = &self.key else { return Ok(connection) };
        let hello = connection.message().await?;
        let options = part(&hello, 1);
        if part(&hello, 0).and_then(Value::as_str) != Some("HELO") {
            return Err(protocol("the server does not say HELO"));
        }
        let nonce = options.and_then(|options| member(options, "nonce")).and_then(bytes).unwrap_or_default();
        let mut chance = [0; 16];
        getrandom::fill(&mut chance).map_err(|error| io::Error::other(error.to_string()))?;
        let salt = STANDARD.encode(chance);
        let proof = |name: &str| hexadecimal(&[salt.as_bytes(), name.as_bytes(), nonce, key.as_bytes()].concat());
        let ping = ["PING", &self.hostname, &salt, &proof(&self.hostname), "", ""];
        let ping = Value::Array(ping.into_iter().map(Value::from).collect());
        let mut message = Vec::new();
        rmpv::encode::write_value(&mut message, &ping)?;
        connection.socket.write_all(&message).await?;
        connection.socket.flush().await?;

        let pong = connection.message().await?;
        let text = |index| part(&pong, index).and_then(Value::as_str).unwrap_or_default();
        if text(0) != "PONG" || part(&pong, 1).and_then(Value::as_bool) != Some(true) {
            return Err(protocol(format!("the server does not accept this client: {}", text(2))));
        }
        let (name, shown) = (text(3), text(4));
        if name == self.hostname || verify_slices_are_equal(shown.as_bytes(), proof(name).as_bytes()).is_err() {
            return Err(protocol("the server does not know the shared key"));
        }
        Ok(connection)
    }
}

impl Connection {
    /// The next message of the server.
    async fn message(&mut self) -> io::Result<Value> {
        loop {
            let mut rest = &self.said[..];
            match rmpv::decode::read_value_with_max_depth(&mut rest, DEPTH) {
                Ok(value) => {
                    let read = self.said.len() - rest.len();
                    self.said.advance(read);
                    return Ok(value);
                }
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.said.len() < LONGEST => {}
                Err(error) => return Err(protocol(format!("the server's message cannot be read: {error}"))),
            }
            if self.socket.read_buf(&mut self.said).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

fn part(value: &Value, index: usize) -> Option<&Value> {
    value.as_array()?.get(index)
}

fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.as_map()?.iter().find(|(known, _)| known.as_str() == Some(name)).map(|(_, value)| value)
}

/// The bytes of a text or of bytes: servers send either.
fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::String(text) => Some(text.as_bytes()),
        Value::Binary(bytes) => Some(bytes),
        _ => None,
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
    digest(&SHA512, bytes).as_ref().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn protocol(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

const ARRAY_OF_TWO: u8 = 0x92;
/// An extension of eight bytes, of type 0.
const EVENT_TIME: [u8; 2] = [0xd7, 0x00];
/// Messages of servers are small and flat.
const DEPTH: usize = 8;
const LONGEST: usize = 64 * 1024;
